"""The slope at the end of a training, against histories whose slope is known."""

import numpy as np
import pytest

from ferminet.vmc.statistics import training_trend


def history(n: int, slope: float, noise: float, seed: int, memory: float = 0.0) -> dict:
    generator = np.random.default_rng(seed)
    white = generator.normal(size=n) * noise * np.sqrt(1 - memory**2)
    correlated = np.empty(n)
    correlated[0] = generator.normal() * noise
    for i in range(1, n):
        correlated[i] = memory * correlated[i - 1] + white[i]
    energy = -1.0 + slope * np.arange(n) + correlated
    return {"energy": energy, "variance": np.full(n, 0.25)}


def test_a_straight_line_without_noise_has_its_slope() -> None:
    trend = training_trend(history(800, -3e-6, 0.0, 0))
    assert trend is not None
    assert trend["slope"] == pytest.approx(-3e-6, rel=1e-9)
    assert trend["window"] == 100
    assert trend["variance"] == 0.25
    # The mean over the last eighth lies at its centre.
    assert trend["energy"] == pytest.approx(-1.0 - 3e-6 * 749.5, abs=1e-12)


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_the_error_of_the_slope_covers_the_true_slope(memory: float) -> None:
    """z-scores of 200 histories: variance one, within four of its standard errors and reblocking's
    known underestimate."""
    scores = []
    for seed in range(200):
        trend = training_trend(history(2400, -2e-6, 1e-3, seed, memory))
        assert trend is not None
        scores.append((trend["slope"] + 2e-6) / trend["slope_error"])
    assert abs(np.mean(scores)) < 4 / np.sqrt(200)
    spread = np.var(scores)
    assert 1 - 4 * np.sqrt(2 / 200) < spread < (1 + 4 * np.sqrt(2 / 200)) * (1.0 + 0.8 * memory)


def test_short_or_broken_histories_have_no_trend() -> None:
    assert training_trend(history(127, 0.0, 1e-3, 0)) is None
    assert training_trend(history(128, 0.0, 1e-3, 0)) is not None
    broken = history(800, 0.0, 1e-3, 0)
    broken["energy"][-1] = np.nan
    assert training_trend(broken) is None


def test_a_window_too_short_for_reblocking_has_an_error() -> None:
    values = history(128, 0.0, 1e-3, 3)
    trend = training_trend(values)
    assert trend is not None
    assert trend["slope_error"] > 0
    assert trend["energy_error"] > 0
