"""Error bars against series whose exact errors are known.

AR(1): x_t = rho x_{t-1} + sqrt(1 - rho^2) noise has variance 1, the integrated autocorrelation
time (1 + rho) / (1 - rho) and, for n samples started in equilibrium, the variance of the mean
(1/n) [1 + 2 sum_{k<n} (1 - k/n) rho^k] exactly.
"""

import numpy as np
import pytest

from ferminet.vmc.statistics import (
    Estimate,
    autocorrelation_time,
    reblock,
    split_r_hat,
    virial_estimate,
    walker_estimate,
    z_score,
)


def chains(rho: float, n_samples: int, n_chains: int, seed: int) -> np.ndarray:
    """AR(1) chains in equilibrium with mean 0 and variance 1, (n_samples, n_chains)."""
    noise = np.random.default_rng(seed).normal(size=(n_samples, n_chains))
    values = noise.copy()
    for t in range(1, n_samples):
        values[t] = rho * values[t - 1] + np.sqrt(1.0 - rho**2) * noise[t]
    return values


def exact_error(rho: float, n_samples: int, n_chains: int) -> float:
    lags = np.arange(1, n_samples)
    inflation = 1.0 + 2.0 * np.sum((1.0 - lags / n_samples) * rho**lags)
    return float(np.sqrt(inflation / (n_samples * n_chains)))


def binomial_z(hits: int, trials: int, probability: float) -> float:
    return (hits - trials * probability) / np.sqrt(trials * probability * (1.0 - probability))


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.95])
def test_walker_estimate_has_the_exact_error_and_coverage(rho):
    repeats, n_samples, n_walkers = 400, 60, 64
    data = chains(rho, n_samples, repeats * n_walkers, 1).reshape(n_samples, repeats, n_walkers)
    estimates = [walker_estimate(data[:, r]) for r in range(repeats)]
    exact = exact_error(rho, n_samples, n_walkers)
    errors = np.array([estimate.error for estimate in estimates])
    # An estimate of an error from 64 walkers scatters by 1/sqrt(2 * 63), its mean over repeats by
    # that over 20; the square root biases it by -1/(4 * 63).
    bias = 1.0 - 1.0 / (4 * 63)
    assert abs(errors.mean() / exact - bias) < 4.0 / np.sqrt(2 * 63 * repeats)
    covered = sum(abs(z_score(estimate, 0.0)) < 2.0 for estimate in estimates)
    # Student's t with 63 degrees of freedom: P(|t| < 2) = 0.9502.
    assert abs(binomial_z(covered, repeats, 0.9502)) < 4.0


@pytest.mark.parametrize("zeta", [1.0, 1.2])
def test_the_virial_ratio_of_hydrogen_is_known_and_its_error_covers(zeta):
    """-V/T of exp(-zeta r) is 2/zeta: 2 for the exact function, less for one too compact."""
    repeats, walkers = 1000, 256
    radius = np.random.default_rng(7).gamma(3.0, 0.5 / zeta, size=(repeats, 8, walkers))
    kinetic, potential = zeta / radius - 0.5 * zeta**2, -1.0 / radius
    estimates = [virial_estimate(t, v) for t, v in zip(kinetic, potential, strict=True)]
    ratios, errors = np.transpose(estimates)
    scores = (ratios - 2.0 / zeta) / errors
    assert abs(scores.mean()) < 0.15  # of a ratio: a bias of order 1 / samples is left
    assert abs(binomial_z(np.sum(np.abs(scores) < 1.96), repeats, 0.95)) < 4.0
    assert ratios.std() == pytest.approx(np.mean(errors), rel=0.1)


def test_walker_estimate_is_the_plain_mean_of_walkers():
    data = np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 2.0]])
    estimate = walker_estimate(data)
    per_walker = np.array([2.0, 3.0, 4.0])
    assert estimate.mean == pytest.approx(3.0)
    assert estimate.error == pytest.approx(per_walker.std(ddof=1) / np.sqrt(3))
    assert np.isnan(walker_estimate(data[:, :1]).error)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_reblocking_a_long_series_gives_the_exact_error(rho):
    repeats, n_samples = 200, 10_000  # at least 500 autocorrelation times
    data = chains(rho, n_samples, repeats, 2)
    estimates = [reblock(data[:, r]) for r in range(repeats)]
    errors = np.array([estimate.error for estimate in estimates])
    assert np.isfinite(errors).all()
    # Known bias of the method at this length: a few per cent low (Lee et al. 2011).
    assert np.sqrt(np.mean(errors**2)) / exact_error(rho, n_samples, 1) == pytest.approx(1, abs=0.1)
    covered = sum(abs(z_score(estimate, 0.0)) < 2.0 for estimate in estimates)
    assert 0.90 < covered / repeats <= 1.0
    naive = data.std(axis=0) / np.sqrt(n_samples)
    if rho == 0.9:  # what the naive error would have covered
        assert np.mean(np.abs(data.mean(axis=0)) < 2.0 * naive) < 0.5


def flyvbjerg_petersen(series: np.ndarray) -> list[float]:
    """The brute-force twin: errors of the mean at all block lengths 1, 2, 4, ..."""
    errors, length = [], 1
    while series.size // length >= 8:
        n_blocks = series.size // length
        blocks = series[: n_blocks * length].reshape(n_blocks, length).mean(axis=1)
        errors.append(blocks.std(ddof=1) / np.sqrt(n_blocks))
        length *= 2
    return errors


@pytest.mark.parametrize("rho", [0.0, 0.7, 0.95])
def test_reblocking_picks_the_first_length_that_is_long_enough(rho):
    series = chains(rho, 4096, 1, 3)[:, 0]
    errors = flyvbjerg_petersen(series)
    chosen = next(
        error
        for level, error in enumerate(errors)
        if (2**level) ** 3 > 2 * series.size * (error / errors[0]) ** 4
    )
    assert reblock(series).error == pytest.approx(chosen, rel=1e-10)
    assert reblock(series).mean == pytest.approx(series.mean(), abs=1e-14)


def test_reblocking_a_short_series_gives_nan():
    assert np.isnan(reblock(chains(0.99, 200, 1, 4)[:, 0]).error)
    assert np.isnan(reblock(np.array([1.0, 2.0])).error)
    constant = reblock(np.full(100, -0.5))
    assert constant == Estimate(-0.5, 0.0)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_autocorrelation_time_is_exact(rho):
    tau = autocorrelation_time(chains(rho, 5000, 32, 5))
    # 32 chains of 5000: a relative scatter of about sqrt(2 (2 w + 1) tau / n), below 4 %.
    assert tau == pytest.approx((1 + rho) / (1 - rho), rel=0.1)


def test_autocorrelation_time_of_special_series():
    assert autocorrelation_time(np.full((50, 4), -0.5)) == 1.0
    # A drift that all chains share counts as correlation.
    drift = chains(0.0, 500, 16, 6) + np.linspace(-3.0, 3.0, 500)[:, None]
    assert autocorrelation_time(drift) > 50.0


def test_split_r_hat_is_near_one_for_independent_walkers():
    for n_walkers in (64, 512):
        assert split_r_hat(chains(0.0, 40, n_walkers, 7)) < 1.01
    assert split_r_hat(np.full((10, 64), 2.0)) == 1.0


def test_split_r_hat_detects_a_drift():
    drift = chains(0.0, 40, 64, 8) + np.linspace(-1.0, 1.0, 40)[:, None]
    assert split_r_hat(drift) > 1.05


@pytest.mark.parametrize("n_walkers", [64, 512])
def test_split_r_hat_detects_stuck_walkers(n_walkers):
    # As in separated atoms without exchange moves: each walker keeps its arrangement for ever.
    rng = np.random.default_rng(9)
    stuck = np.repeat(rng.choice([-1.0, 1.0], size=(1, n_walkers)), 40, axis=0)
    noise = 0.01 * rng.normal(size=stuck.shape)
    assert split_r_hat(stuck + noise) > 1.05


def test_split_r_hat_is_large_if_no_walker_ever_moves():
    stuck = np.repeat(np.linspace(-1.0, 1.0, 64)[None], 40, axis=0)
    assert split_r_hat(stuck) > 1.05


def test_z_score_is_the_difference_in_errors():
    assert z_score(Estimate(1.5, 0.25), 1.0) == pytest.approx(2.0)
    assert z_score(Estimate(1.0, 0.0), 1.0) == 0.0
    assert z_score(Estimate(0.5, 0.0), 1.0) == -np.inf
