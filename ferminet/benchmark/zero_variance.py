"""Extrapolation of energies to zero variance of the local energy.

Near an eigenstate, the error of the energy and the variance are both of second order in the error
of the wavefunction. So similar wavefunctions lie on a line E = E0 + a sigma^2, whose end E0 at zero
variance estimates the energy of the eigenstate. E0 is not variational.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ferminet.benchmark.registry import LEAST_POINTS
from ferminet.benchmark.schema import EnergyRow
from ferminet.vmc.statistics import series_estimate

LONGEST = 1.0  # length of an extrapolation, in units of the range of the variances
LARGEST_CHI_SQUARED = 10.0  # per degree of freedom
_BLOCKS = 8  # of the last three quarters of a training
_STEPS = 30  # of the iteration for the slope


class Points(NamedTuple):
    """Variances (hartree^2) and energies (hartree) with their standard errors, (n,) each."""

    variance: np.ndarray
    energy: np.ndarray
    variance_error: np.ndarray
    energy_error: np.ndarray


class ZeroVariance(NamedTuple):
    """A line through energies against variances, and its end at zero variance."""

    n_points: int
    energy: float | None = None  # at zero variance, hartree; None if the points forbid it
    error: float | None = None  # half of its 68 % interval, hartree
    slope: float | None = None  # 1/hartree
    chi_squared: float | None = None  # per degree of freedom
    reason: str = ""  # why there is no energy


def points_of_rows(rows: Iterable[EnergyRow]) -> Points:
    """Return the finished evaluations; an error of the variance that is unknown counts as zero."""
    used = [r for r in rows if r.variance and r.stderr and r.status != "unfinished"]
    columns = [(r.variance, r.energy, r.details.variance_error or 0.0, r.stderr) for r in used]
    return Points(*np.asarray(columns, float).reshape(-1, 4).T)


def points_of_training(history: pd.DataFrame) -> Points:
    """Return the means over blocks of the last three quarters of a training, with their errors.

    The errors of single blocks are noisy, so all blocks share one error relative to the standard
    deviation of the local energy, and one relative to its variance.
    """
    late = history.iloc[len(history) // 4 :]
    late = late[
        np.isfinite(late["energy"]) & np.isfinite(late["variance"]) & (late["variance"] > 0)
    ]
    if len(late) < 8 * _BLOCKS:
        return Points(*np.zeros((4, 0)))
    parts = np.array_split(np.arange(len(late)), _BLOCKS)
    energy, variance = (
        np.transpose([series_estimate(late[name].to_numpy()[part]) for part in parts])
        for name in ("energy", "variance")
    )
    variance[0] = [np.median(late["variance"].to_numpy()[part]) for part in parts]
    middle = variance[0]
    of_energy, of_variance = energy[1] / np.sqrt(middle), variance[1] / middle
    return Points(
        middle,
        energy[0],
        np.median(of_variance) * middle,
        np.sqrt(np.mean(of_energy**2)) * np.sqrt(middle),
    )


def joined(parts: Iterable[Points]) -> Points:
    """Return the points of several runs."""
    return Points(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def extrapolate(points: Points) -> ZeroVariance:
    """Fit a line to the points and return its end at zero variance, or why there is none.

    Both variables have errors. They are enlarged by the square root of chi-squared per degree of
    freedom if that exceeds one, because trainings scatter by more than their sampling errors.
    Student's t turns the standard error into half of the 68 % interval.
    """
    n = len(points.energy)
    if n < LEAST_POINTS:
        return ZeroVariance(n, reason=f"fewer than {LEAST_POINTS} points")
    length = points.variance.min() / max(np.ptp(points.variance), 1e-300)
    if length > LONGEST:
        return ZeroVariance(n, reason="the variances span too little")
    energy, error, slope, chi_squared = fit_line(points)
    found = ZeroVariance(n, slope=slope, chi_squared=chi_squared)
    if chi_squared > LARGEST_CHI_SQUARED:
        return found._replace(reason=f"not on a line, χ²/n {chi_squared:.0f}")
    widening = float(np.sqrt(max(1.0, chi_squared)) * stats.t.ppf(stats.norm.cdf(1.0), n - 2))
    return found._replace(energy=energy, error=widening * error)


def fit_line(points: Points) -> tuple[float, float, float, float]:
    """Fit a line to points with errors in both variables.

    Source: York, Evensen, Lopez Martinez, De Basabe Delgado, Am. J. Phys. 72, 367 (2004), for
    errors that are not correlated.

    Returns:
        The intercept, its standard error, the slope, and chi-squared per degree of freedom.
    """
    slope = float(np.polyfit(points.variance, points.energy, 1, w=1 / points.energy_error)[0])
    for _ in range(_STEPS):
        slope, *_ = _york_step(points, slope)
    slope, intercept, weights, fitted = _york_step(points, slope)
    centre = np.average(fitted, weights=weights)
    spread = np.sum(weights * (fitted - centre) ** 2)
    error = np.sqrt(1 / weights.sum() + centre**2 / spread)
    residuals = points.energy - intercept - slope * points.variance
    chi_squared = np.sum(weights * residuals**2) / (len(residuals) - 2)
    return intercept, float(error), slope, float(chi_squared)


def _york_step(points: Points, slope: float) -> tuple[float, float, np.ndarray, np.ndarray]:
    """Return the next slope and intercept, the points' weights, and their fitted variances."""
    x, y, x_error, y_error = points
    weights = 1 / (y_error**2 + (slope * x_error) ** 2)
    x_mean, y_mean = (np.average(values, weights=weights) for values in (x, y))
    u, v = x - x_mean, y - y_mean
    shifts = weights * (u * y_error**2 + slope * v * x_error**2)
    slope = float(np.sum(weights * shifts * v) / np.sum(weights * shifts * u))
    return slope, float(y_mean - slope * x_mean), weights, x_mean + shifts
