"""Time to a threshold, on series whose answer is known."""

import numpy as np
import pytest

from bench.thresholds import LEAST_ITERATIONS, SHARE, Course, time_to, trailing_mean


def course(error: np.ndarray) -> Course:
    return Course("study", "He", 1, 0.5 * np.arange(1, len(error) + 1), error, (0.0, 0.1))


def test_trailing_mean_is_the_mean_of_the_last_fifth():
    values = np.random.default_rng(3).normal(size=700) - 14.6
    found = trailing_mean(values)
    for stop in (1, 30, 50, 51, 249, 250, 251, 500, 700):
        start = max(min(stop - LEAST_ITERATIONS, int((1 - SHARE) * stop)), 0)
        assert found[stop - 1] == pytest.approx(values[start:stop].mean(), abs=1e-12)


def test_a_threshold_is_reached_when_the_error_stays_below_it():
    error = np.linspace(10.0, 0.0, 101)
    assert time_to(course(error), 3.0) == pytest.approx(0.5 * 72)
    assert time_to(course(error), 20.0) == pytest.approx(0.5 * (LEAST_ITERATIONS + 1))
    assert time_to(course(error), -1.0) is None
    error[90] = 4.0
    assert time_to(course(error), 3.0) == pytest.approx(0.5 * 92)
    error[100] = 4.0
    assert time_to(course(error), 3.0) is None
