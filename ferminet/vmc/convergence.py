"""How far a training was from its end: the trend of the energy in its last quarter."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ferminet.vmc.statistics import reblock

# Shorter windows hold too few independent energies for an error.
LEAST_WINDOW = 16


def training_trend(history: Mapping[str, ArrayLike]) -> dict[str, Any] | None:
    """Return the slope of the energy between the last two eighths of a training.

    Neighbouring iterations are correlated, so the errors of both means are reblocked. A slope that
    is negative beyond its error says that more iterations would lower the energy.

    Args:
        history: columns of a training history: `energy` (hartree) and `variance` (hartree^2), each
            (n_iterations,).

    Returns:
        `slope` and `slope_error` in hartree per iteration, `variance` (hartree^2, median over
        the last eighth), `energy` and `energy_error` (hartree, mean over the last eighth) and
        `window` (iterations of an eighth); None for trainings of fewer than 128 iterations or
        energies that are not finite.
    """
    energy = np.asarray(history["energy"], np.float64)
    window = energy.size // 8
    if window < LEAST_WINDOW or not np.isfinite(energy[-2 * window :]).all():
        return None
    before, after = reblock(energy[-2 * window : -window]), reblock(energy[-window:])
    errors = [_error(energy[-2 * window : -window], before.error)]
    errors.append(_error(energy[-window:], after.error))
    return {
        "slope": (after.mean - before.mean) / window,
        "slope_error": math.hypot(*errors) / window,
        "variance": float(np.median(np.asarray(history["variance"], np.float64)[-window:])),
        "energy": after.mean,
        "energy_error": errors[1],
        "window": window,
    }


def _error(values: np.ndarray, reblocked: float) -> float:
    """Return the reblocked error, or that of quarters of a window too short for reblocking."""
    if math.isfinite(reblocked):
        return reblocked
    quarters = values[: values.size // 4 * 4].reshape(4, -1).mean(axis=1)
    return float(quarters.std(ddof=1) / 2.0)
