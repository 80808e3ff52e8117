"""Checks of the options of a study's wavefunctions, made before the first job."""

from collections.abc import Iterable

from ferminet.ansatz.options import OPTIONS
from ferminet.config import RunConfig
from ferminet.errors import InputError


def check_wavefunctions(runs: Iterable[RunConfig]) -> None:
    """Check the options of each kind of run.

    The wavefunctions of the package are checked without JAX. Plug-ins are built, which may
    import JAX.

    Raises:
        InputError: an option is out of range or does not fit a system; the message names both.
    """
    checked = set()
    for run in runs:
        kind = (run.ansatz.model_dump_json(), run.molecule.spins, len(run.molecule.symbols))
        if kind in checked:
            continue
        checked.add(kind)
        try:
            _check(run)
        except InputError as error:
            raise InputError(f"ansatz {run.ansatz_name} of {run.system}: {error}") from None


def _check(run: RunConfig) -> None:
    build, options, molecule = run.ansatz.build, run.ansatz.options, run.molecule
    if build in OPTIONS:
        OPTIONS[build].read(options, *molecule.spins)
        return
    from ferminet.ansatz.base import AnsatzSpec, build_ansatz

    build_ansatz(build, options, AnsatzSpec(*molecule.spins, len(molecule.symbols)))
