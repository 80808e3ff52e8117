"""Several processes that compute one run together, connected by JAX (`jax.distributed`).

Each executes the same program on its own devices. Only the first writes files and reports progress.
"""

import os

from ferminet.errors import InputError, ResourceError

_VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
_joined = {"first": True, "several": False}


def join_processes() -> None:
    """Join the other processes of this run, before anything else uses JAX.

    JAX learns their number from SLURM or Open MPI; elsewhere from JAX_COORDINATOR_ADDRESS
    (host:port of the first), JAX_NUM_PROCESSES and JAX_PROCESS_ID (0, 1, ...).
    """
    import jax

    address, count, index = (os.environ.get(name) for name in _VARIABLES)
    try:
        n_processes, process = (None if text is None else int(text) for text in (count, index))
    except ValueError:
        raise InputError(
            f"JAX_NUM_PROCESSES and JAX_PROCESS_ID must be whole numbers, got {count!r} and "
            f"{index!r}."
        ) from None
    try:
        jax.distributed.initialize(address, n_processes, process)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ResourceError(
            f"the processes of this run cannot be joined ({reason}); start them with srun or "
            f"mpirun, or set {', '.join(_VARIABLES)}."
        ) from error
    _joined["first"] = jax.process_index() == 0
    _joined["several"] = jax.process_count() > 1


def is_one_of_several() -> bool:
    """Return whether other processes compute this run together with this one."""
    return _joined["several"]


def is_first() -> bool:
    """Return whether this process writes files and reports progress."""
    return _joined["first"]
