"""Tests and variances against SciPy, definitions, and simulations with known truth."""

import math

import numpy as np
import pytest
from scipy import stats

from ferminet.benchmark.comparison.inference import (
    Difference,
    Sample,
    detectable,
    difference,
    holm,
    moderated,
)


def sample_of(values: np.ndarray) -> Sample:
    return Sample(float(values.mean()), float(values.var(ddof=1)), len(values) - 1, len(values))


def test_welch_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.3, 1.0, 4), rng.normal(0.0, 2.5, 9)
    found = difference(sample_of(first), sample_of(second))
    exact = stats.ttest_ind(first, second, equal_var=False, alternative="greater")
    assert found.p_above() == pytest.approx(exact.pvalue, rel=1e-12)
    assert found.dof == pytest.approx(exact.df, rel=1e-12)
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert found.value + found.half_width(0.95) == pytest.approx(interval.high, rel=1e-12)


def test_equivalence_is_the_interval_within_the_margin() -> None:
    """Two one-sided tests at 5 % reject when the 90 % interval lies within the margin."""
    for value in np.linspace(-1.5, 1.5, 31):
        found = Difference(float(value), 0.31, 9.0)
        half = found.half_width(0.90)
        inside = abs(value) + half < 1.0
        assert (found.p_equivalent(1.0) < 0.05) == inside


def test_an_error_of_zero_is_certain() -> None:
    assert Difference(1e-9, 0.0, math.inf).p_above() == 0.0
    assert Difference(0.0, 0.0, math.inf).p_above() == 0.5


def test_holm_is_the_step_down_procedure() -> None:
    """Adjusted p values reject what the procedure, walked step by step, rejects."""
    rng = np.random.default_rng(2)
    for _ in range(200):
        p_values = rng.uniform(0, 0.1, rng.integers(1, 8))
        adjusted = holm(p_values.tolist())
        for level in (0.01, 0.05, 0.2):
            rejected = set()
            for rank, index in enumerate(np.argsort(p_values)):
                if p_values[index] > level / (len(p_values) - rank):
                    break
                rejected.add(int(index))
            assert {i for i, p in enumerate(adjusted) if p <= level} == rejected


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6]) == [0.6]


def test_moderation_estimates_how_similar_the_ratios_are() -> None:
    """True ratios drawn from a scaled inverse chi-squared of 3 degrees of freedom around 2."""
    rng, n = np.random.default_rng(3), 4000
    scales = np.exp(rng.normal(0.0, 3.0, n))
    true = 2.0 * 3.0 / rng.chisquare(3.0, n) * scales
    seen, other = true * rng.chisquare(5, n) / 5, scales * rng.chisquare(9, n) / 9
    values, prior = moderated(seen.tolist(), [5] * n, other.tolist(), [9] * n)
    # From the variance of 4,000 logarithms, which is known to about 3 %.
    assert prior == pytest.approx(3.0, rel=0.15)
    error = [np.mean((np.log(guess) - np.log(true)) ** 2) for guess in (values, seen)]
    assert error[0] < error[1]


def test_moderation_needs_two_systems_and_ratios_that_agree() -> None:
    assert moderated([3.0], [4], [1.0], [7]) == ([3.0], 0.0)
    ratios = [1e-4, 1.0, 1e4]
    values, prior = moderated(ratios, [7] * 3, [1.0] * 3, [7] * 3)
    assert prior < 0.3
    # (7 s^2 + d0) / (7 + d0): little is added, which shows where s^2 is tiny.
    expected = (7.0 * np.array(ratios) + prior) / (7.0 + prior)
    assert np.allclose(values, expected)


def test_equal_ratios_count_for_half_the_degrees_of_freedom_of_the_scales() -> None:
    values, prior = moderated([2e-4, 2.0, 2e4], [4] * 3, [1e-4, 1.0, 1e4], [7] * 3)
    assert prior == 3.5
    assert np.allclose(np.asarray(values) / [1e-4, 1.0, 1e4], values[1])


def test_the_detectable_difference_is_detected_that_often() -> None:
    """Simulated t statistics at the difference that a plan promises to find in 90 %."""
    rng, error, dof, level, power = np.random.default_rng(4), 0.2, 7.0, 0.002, 0.9
    promised = detectable(error, dof, level, power)
    scale = np.sqrt(rng.chisquare(dof, 20_000) / dof)
    t_values = rng.normal(promised / error, 1.0, 20_000) / scale
    found = float(np.mean(t_values > stats.t.ppf(1 - level, dof)))
    # (t_a + t_b) SE is the usual approximation of the noncentral t; it promises a little too much.
    assert 0.85 < found < 0.95
