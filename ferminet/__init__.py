"""FermiNet benchmarks: wavefunctions of variational Monte Carlo beside conventional methods."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferminet.stages import Wavefunction

__version__ = "0.1.0"

# Part of every configuration hash and of every row. Raised by hand when a change of the code
# changes results beyond rounding, so that a corrected docstring never repeats a week of training.
METHOD_VERSION = "1"


def load(run: str | Path) -> "Wavefunction":
    """The trained wavefunction of a finished run.

    Args:
        run: folder of a run, ``results/{study}/runs/{system}/{geometry}/{ansatz}-{hash}/seed{n}``.

    Returns:
        ``(apply, params, nuclei, walkers)``: ``apply(params, walkers[i], nuclei)`` gives sign and
        log|psi| of one walker; ``params`` are the averaged parameters that were evaluated.
    """
    from ferminet.stages import load_wavefunction  # needs JAX, which costs a second

    return load_wavefunction(Path(run))
