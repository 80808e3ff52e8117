"""Checks of the options of a study's wavefunctions, made before the first job."""

from collections.abc import Iterable

from ferminet.ansatz.options import OPTIONS
from ferminet.config import RunConfig
from ferminet.errors import InputError


def check_wavefunctions(runs: Iterable[RunConfig]) -> None:
    """Check the options of each kind of run.

    Those of the package's wavefunctions are checked without JAX. Others are built, which may
    import it.

    Raises:
        InputError: an option is out of its range or does not fit a system; the sentence names both.
    """
    seen = set()
    for run in runs:
        molecule = run.molecule
        kind = (run.ansatz.model_dump_json(), molecule.spins, len(molecule.symbols))
        if kind in seen:
            continue
        seen.add(kind)
        try:
            _check(run)
        except InputError as error:
            raise InputError(f"ansatz {run.ansatz_name} of {run.system}: {error}") from None


def _check(run: RunConfig) -> None:
    build, options, molecule = run.ansatz.build, run.ansatz.options, run.molecule
    if build in OPTIONS:
        OPTIONS[build].read(options, *molecule.spins)
        return
    from ferminet.ansatz.base import AnsatzSpec
    from ferminet.ansatz.registry import build_ansatz

    build_ansatz(build, options, AnsatzSpec(*molecule.spins, len(molecule.symbols)))
