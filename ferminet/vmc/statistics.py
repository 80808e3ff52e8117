"""Error bars and trends of correlated samples, in NumPy and float64.

Walkers are independent chains, so their means give the standard error without a model of the
autocorrelation; reblocking checks it. Autocorrelation times are in samples: 1 for independent
samples, var(mean) = variance tau / n.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Estimate(NamedTuple):
    """A mean and its standard error, in the units of the samples."""

    mean: float
    error: float


def walker_estimate(block_means: ArrayLike) -> Estimate:
    """Return the mean of (n_blocks, n_walkers), with the standard error of the walkers' means."""
    per_walker = np.asarray(block_means, np.float64).mean(axis=0)
    n_walkers = per_walker.size
    error = per_walker.std(ddof=1) / np.sqrt(n_walkers) if n_walkers > 1 else float("nan")
    return Estimate(float(per_walker.mean()), float(error))


def virial_estimate(kinetic: ArrayLike, potential: ArrayLike) -> Estimate:
    """Return the virial ratio -V/T and its standard error from means (n_blocks, n_walkers).

    Both energies come from the same samples, so their errors are correlated: the ratio's first
    derivatives (delta method) turn each walker into one deviation, -(V + ratio T) / <T>.
    """
    kinetic, potential = (np.asarray(values, np.float64) for values in (kinetic, potential))
    mean = kinetic.mean()
    ratio = -potential.mean() / mean
    return Estimate(float(ratio), walker_estimate((potential + ratio * kinetic) / mean).error)


class Means(NamedTuple):
    """Means and their standard errors, (n,) each."""

    mean: np.ndarray
    error: np.ndarray


def ratio_estimate(parts: np.ndarray, totals: np.ndarray) -> Means:
    """Return the ratios of sums over groups, with the error of the groups' spread around them.

    Parts are (n_groups, n), totals (n_groups,). The error is that of a ratio (Cochran, Sampling
    Techniques, 1977, sec. 9A.1), and nan for a single group.
    """
    n_groups, total = len(totals), totals.sum()
    mean = parts.sum(axis=0) / total
    if n_groups < 2:
        return Means(mean, np.full_like(mean, np.nan))
    beyond = parts - totals[:, None] * mean
    return Means(mean, np.sqrt(n_groups / (n_groups - 1) * np.sum(beyond**2, axis=0)) / total)


def reblock(series: ArrayLike) -> Estimate:
    """Reblock one correlated series (n,) by the method of Flyvbjerg and Petersen.

    Neighbours are averaged pairwise until the block length B satisfies B^3 > 2 n (s_B / s_1)^4,
    the optimal compromise of Wolff (2004) and Lee et al. (Phys. Rev. E 83, 066706 (2011)). The
    error is nan if the series is too short for it.
    """
    values = np.asarray(series, np.float64)
    n_samples = values.size
    mean = float(values.mean()) if n_samples else float("nan")
    first_error, length = None, 1
    while values.size >= 8:
        error = values.std(ddof=1) / np.sqrt(values.size)
        first_error = error if first_error is None else first_error
        if error == 0.0 or length**3 > 2.0 * n_samples * (error / first_error) ** 4:
            return Estimate(mean, float(error))
        values = 0.5 * (values[: values.size // 2 * 2 : 2] + values[1::2])
        length *= 2
    return Estimate(mean, float("nan"))


def autocorrelation_time(chains: ArrayLike) -> float:
    """Return the integrated autocorrelation time, in samples, averaged over chains.

    The sum over lags is cut at the first lag beyond 5 times the running estimate (Sokal 1997).
    Chains are centred on their common mean, so that slow drifts count. A constant gives 1.
    """
    values = np.asarray(chains, np.float64)
    values = values - values.mean()
    n_samples = values.shape[0]
    size = 1 << (2 * n_samples - 1).bit_length()
    spectrum = np.fft.rfft(values, size, axis=0)
    covariance = np.fft.irfft((spectrum * spectrum.conj()).real.sum(axis=1), size)[:n_samples]
    covariance = covariance / (n_samples - np.arange(n_samples))
    if not covariance[0] > 0.0:
        return 1.0
    correlation = covariance / covariance[0]
    tau = 2.0 * np.cumsum(correlation) - 1.0
    beyond = np.arange(n_samples) >= 5.0 * tau
    cut = int(np.argmax(beyond)) if beyond.any() else n_samples - 1
    return float(max(tau[cut], 1.0))


def split_r_hat(block_means: ArrayLike) -> float:
    """Return split R-hat of (n_blocks, n_walkers) (Gelman et al., BDA, 2013, sec. 11.4).

    Each walker's chain of block means is split into two, so that drifts show as well as stuck
    walkers. Means over blocks longer than the autocorrelation time are independent, and R-hat is 1
    for them however short the chains. A constant gives 1; fewer than four blocks give nan.
    """
    values = np.asarray(block_means, np.float64)
    half = values.shape[0] // 2
    if half < 2:
        return float("nan")
    chains = np.concatenate([values[:half], values[-half:]], axis=1)  # (half, 2 n_walkers)
    within = float(chains.var(axis=0, ddof=1).mean())
    between = float(chains.mean(axis=0).var(ddof=1))
    if within <= 0.0:
        return 1.0 if between <= 0.0 else float("inf")
    return float(np.sqrt((half - 1) / half + between / within))


def z_score(estimate: Estimate, exact: float) -> float:
    """Return (mean - exact) / error; 0 if both vanish."""
    difference = estimate.mean - exact
    if estimate.error == 0.0:
        return 0.0 if difference == 0.0 else float(np.copysign(np.inf, difference))
    return difference / estimate.error


LEAST_WINDOW = 16  # iterations; shorter windows have too few independent energies for an error


def training_trend(history: Mapping[str, ArrayLike]) -> dict[str, Any] | None:
    """Return the slope of the energy between the last two eighths of a training.

    Neighbouring iterations are correlated, so both errors come from reblocking. If the slope is
    negative beyond its error, more iterations would lower the energy. `history` has the columns
    `energy` (hartree) and `variance` (hartree^2), each (n_iterations,).

    Returns:
        `slope` and `slope_error` in hartree per iteration; for the last eighth, `variance`
        (hartree^2, median), `energy`, `energy_error` (hartree) and `window` (iterations). None if
        the training has fewer than 128 iterations or an energy is not finite.
    """
    energy = np.asarray(history["energy"], np.float64)
    window = energy.size // 8
    if window < LEAST_WINDOW or not np.isfinite(energy[-2 * window :]).all():
        return None
    before, after = (
        series_estimate(energy[-2 * window : -window]),
        series_estimate(energy[-window:]),
    )
    return {
        "slope": (after.mean - before.mean) / window,
        "slope_error": math.hypot(before.error, after.error) / window,
        "variance": float(np.median(np.asarray(history["variance"], np.float64)[-window:])),
        "energy": after.mean,
        "energy_error": after.error,
        "window": window,
    }


def series_estimate(values: np.ndarray) -> Estimate:
    """Return the mean and its reblocked error, or the error of four quarters if that fails."""
    reblocked = reblock(values)
    if math.isfinite(reblocked.error):
        return reblocked
    quarters = values[: values.size // 4 * 4].reshape(4, -1).mean(axis=1)
    return reblocked._replace(error=float(quarters.std(ddof=1) / 2.0))
