"""Conventional energies for comparison: one of `METHODS` for one geometry in one basis set.

Memory and temporary files of PySCF are checked before a calculation and cleaned up after it.
"""

import errno
import fcntl
import gc
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyscf.lib

from ferminet.chemistry.cost import Cost, Task, predict, resolve_scf_reference
from ferminet.chemistry.scf import BaselineResult, run_scf
from ferminet.errors import NotConvergedError, ResourceError
from ferminet.methods import METHODS, ScfReference, load_function
from ferminet.runtime.environment import blas_libraries, machine_memory_gb, peak_memory_gb
from ferminet.runtime.interrupts import ended_by_signals
from ferminet.systems.molecule import Molecule

# The name includes the machine: on a shared disk, locks of other machines may be invisible.
_PREFIX = f"ferminet-pyscf-{platform.node()}-"
_LOCK = "ferminet.lock"
_ABANDONED_S = 3600.0  # a folder that was never locked in this time belongs to a killed process
_FAILED_WRITES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_SHARE_FOR_PYSCF = 0.85  # PySCF's limit is soft: it allocates blocks on top


def run_baseline(
    molecule: Molecule,
    method: str,
    basis: str,
    scf_reference: ScfReference = "auto",
    active_space: Sequence[int] | None = None,
    memory_mb: int | None = None,
) -> BaselineResult:
    """Compute a conventional energy with all electrons correlated.

    If a step does not converge, no further step is run: the result has the status not_converged,
    no energy and a note with the reason.

    `method` is a name of `METHODS`, `scf_reference` what `resolve_scf_reference` accepts, and
    `active_space` the active electrons and orbitals of a method that needs them. By default all of
    the machine's memory may be used.

    Raises:
        InputError: the basis is unknown, or the reference does not fit.
        ResourceError: the calculation would not fit into memory or onto the disk.
    """
    entry = METHODS[method]
    chosen = resolve_scf_reference(method, scf_reference, molecule)
    task = Task(molecule, basis, chosen, active_space)
    cost = predict(method, task)
    wall, cpu = time.perf_counter(), time.process_time()
    name = f"{method} of {molecule.name} {molecule.geometry} in {basis}"
    with calculation(name, cost, memory_mb) as in_memory:
        try:
            scf = run_scf(molecule, basis, "rohf" if chosen == "auto" else chosen)
            common = {
                "e_hf": scf.energy,
                "stable": scf.stable,
                "nmo": scf.n_orbitals,
                **scf.details,
            }
            result = load_function(entry.solver)(scf, task._replace(in_memory=in_memory))
        except NotConvergedError as error:
            passed = dict.fromkeys(entry.passed_methods)
            common, result = {}, BaselineResult(None, None, {"note": str(error)}, passed)
    measured = {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "peak_gb": peak_memory_gb(),
        "blas": blas_libraries(),
        "predicted": {
            "cpu_s": cost.seconds,
            "memory_gb": cost.memory_gb,
            "scratch_gb": cost.scratch_gb,
        },
    }
    return result._replace(
        details={**common, **result.details, **measured},
        scf_reference=None if chosen == "auto" else chosen,
    )


@contextmanager
def calculation(name: str, cost: Cost, memory_mb: int | None = None) -> Iterator[bool]:
    """Run a calculation within a memory limit and with a folder for its temporary files.

    The folder is in `PYSCF_TMPDIR`, else in `TMPDIR`, else in the system's folder. It is removed
    at the end, even after an error or a signal; the next calculation removes any leftovers.

    Yields:
        Whether all integrals are predicted to fit into `memory_mb`, or into the machine's memory.
    """
    allowed = min(machine_memory_gb(), memory_mb / 1e3 if memory_mb else float("inf"))
    named = os.environ.get("PYSCF_TMPDIR") or os.environ.get("TMPDIR")
    root = Path(named or tempfile.gettempdir())
    parameters: Any = pyscf.lib.param
    share = _SHARE_FOR_PYSCF * allowed
    before = parameters.TMPDIR, parameters.MAX_MEMORY
    with ended_by_signals(name), _scratch(root) as folder:
        require_resources(name, cost, allowed, folder)
        parameters.TMPDIR, parameters.MAX_MEMORY = str(folder), int(1e3 * share)
        try:
            yield cost.in_memory_gb <= share
        except (OSError, RuntimeError) as error:
            reason = _failed_write(error)
            if reason is None:
                raise
            raise ResourceError(
                f"{name}: temporary files in {root} cannot be written ({reason}); about "
                f"{cost.files_gb:.1f} GB were predicted. Set TMPDIR to a folder with more space."
            ) from error
        except MemoryError as error:
            raise ResourceError(
                f"{name} ran out of memory ({error}); {cost.memory_gb:.1f} GB were predicted and "
                f"{allowed:.1f} GB allowed."
            ) from error
        finally:
            parameters.TMPDIR, parameters.MAX_MEMORY = before


def _failed_write(error: BaseException | None) -> str | None:
    """Return why a file could not be written, or None; PySCF's threads wrap the first error."""
    while error is not None:
        match = re.search(r"errno = (\d+)", str(error))  # HDF5 states it only in its text
        number = int(match[1]) if match else getattr(error, "errno", None)
        if number in _FAILED_WRITES:
            return os.strerror(number)
        error = error.__cause__ or error.__context__
    return None


def require_resources(name: str, cost: Cost, allowed_gb: float, folder: Path) -> None:
    """Raise a `ResourceError` with the prediction if memory or disk space does not suffice."""
    duration = f"{max(cost.seconds / 60, 0.1):.1f} minutes"
    if cost.seconds >= 3600:
        duration = f"{cost.seconds / 3600:.1f} hours"
    estimate = f"{cost.n_basis} basis functions, about {duration} on one core"
    if cost.least_gb > allowed_gb:
        raise ResourceError(
            f"{name} ({estimate}) needs at least {cost.least_gb:.1f} GB of memory but may use "
            f"only {allowed_gb:.1f} GB; use a smaller basis or a larger machine."
        )
    if cost.in_memory_gb <= allowed_gb * _SHARE_FOR_PYSCF:
        return
    free = shutil.disk_usage(folder).free / 1e9
    if cost.files_gb > free:
        raise ResourceError(
            f"{name} ({estimate}) needs about {cost.files_gb:.1f} GB of temporary files, but "
            f"{folder.parent} has only {free:.1f} GB; set TMPDIR to a folder with more space, or "
            f"allow {cost.in_memory_gb / _SHARE_FOR_PYSCF:.1f} GB of memory."
        )


@contextmanager
def _scratch(root: Path) -> Iterator[Path]:
    """Remove leftovers, and make a locked folder for temporary files that is removed at the end."""
    for leftover in root.glob(f"{_PREFIX}*/"):
        # The lock of a killed calculation is free; that of a new folder is still empty.
        with suppress(OSError), open(leftover / _LOCK, "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            age = time.time() - leftover.stat().st_mtime
            if os.fstat(lock.fileno()).st_size or age > _ABANDONED_S:
                shutil.rmtree(leftover, ignore_errors=True)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        lock = open(folder / _LOCK, "a")
        with suppress(OSError):  # without locks on this file system nothing counts as a leftover
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("locked")
        lock.flush()
    except OSError as error:
        raise ResourceError(
            f"the folder for temporary files {root} cannot be written ({error.strerror}); set "
            "PYSCF_TMPDIR or TMPDIR to one that can."
        ) from error
    try:
        yield folder
    finally:
        gc.collect()  # PySCF's objects remove their own files when they are collected
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()
