"""The trend of the energy in the last quarter of a training."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ferminet.vmc.statistics import Estimate, reblock

LEAST_WINDOW = 16  # iterations; shorter windows have too few independent energies for an error


def training_trend(history: Mapping[str, ArrayLike]) -> dict[str, Any] | None:
    """Return the slope of the energy between the last two eighths of a training.

    Neighbouring iterations are correlated, so both errors come from reblocking. If the slope is
    negative beyond its error, more iterations would lower the energy.

    Args:
        history: the columns `energy` (hartree) and `variance` (hartree^2), each (n_iterations,).

    Returns:
        `slope` and `slope_error` in hartree per iteration; for the last eighth, `variance`
        (hartree^2, median), `energy`, `energy_error` (hartree) and `window` (iterations). None if
        the training has fewer than 128 iterations or an energy is not finite.
    """
    energy = np.asarray(history["energy"], np.float64)
    window = energy.size // 8
    if window < LEAST_WINDOW or not np.isfinite(energy[-2 * window :]).all():
        return None
    before, after = _estimate(energy[-2 * window : -window]), _estimate(energy[-window:])
    return {
        "slope": (after.mean - before.mean) / window,
        "slope_error": math.hypot(before.error, after.error) / window,
        "variance": float(np.median(np.asarray(history["variance"], np.float64)[-window:])),
        "energy": after.mean,
        "energy_error": after.error,
        "window": window,
    }


def _estimate(values: np.ndarray) -> Estimate:
    """Return the mean and its reblocked error, or the error of four quarters if that fails."""
    reblocked = reblock(values)
    if math.isfinite(reblocked.error):
        return reblocked
    quarters = values[: values.size // 4 * 4].reshape(4, -1).mean(axis=1)
    return reblocked._replace(error=float(quarters.std(ddof=1) / 2.0))
