"""The extrapolation to zero variance: lines with known ends, and what must be refused."""

import numpy as np
import pandas as pd
import pytest

from ferminet.benchmark.figures.training import Training
from ferminet.benchmark.figures.zero_variance import zero_variance
from ferminet.benchmark.references import References
from ferminet.benchmark.tables.zero_variance import zero_variance_table
from ferminet.benchmark.zero_variance import (
    Points,
    extrapolate,
    points_of_rows,
    points_of_training,
)

ENERGY, SLOPE = -14.66736, 0.08
EXPECTED_68 = 0.6827


def line(
    rng: np.random.Generator, n: int, scatter: float = 1.0, blur: float = 0.0, bend: float = 0.0
) -> Points:
    """Points of E = ENERGY + SLOPE variance + bend variance^2, with noise.

    The noise is `scatter` errors of the energy, and `blur` of the variance.
    """
    exact = np.linspace(0.01, 0.05, n)
    energy_error, variance_error = np.full(n, 2e-4), blur * exact
    energy = ENERGY + SLOPE * exact + bend * exact**2
    return Points(
        exact + variance_error * rng.normal(size=n),
        energy + scatter * energy_error * rng.normal(size=n),
        variance_error,
        energy_error,
    )


def z_scores(found: list) -> np.ndarray:
    assert all(one.energy is not None for one in found)
    return np.array([(one.energy - ENERGY) / one.error for one in found])


# A line through points with errors in both variables has a bias that vanishes with the errors.
@pytest.mark.parametrize(
    ("n", "scatter", "blur", "bias"),
    [(4, 1.0, 0.0, 0.0), (12, 1.0, 0.0, 0.0), (12, 2.0, 0.0, 0.0), (12, 1.0, 0.05, 0.2)],
)
def test_the_end_of_a_line_is_unbiased_and_its_error_covers(n, scatter, blur, bias):
    rng, repeats = np.random.default_rng(3), 500
    found = [extrapolate(line(rng, n, scatter, blur)) for _ in range(repeats)]
    accepted = [one for one in found if one.energy is not None]
    assert len(accepted) > 0.98 * repeats
    scores = z_scores(accepted)
    ends = np.array([one.energy for one in accepted]) - ENERGY
    assert abs(ends.mean()) < (4.0 / np.sqrt(len(ends)) + bias) * ends.std()
    covered = np.mean(np.abs(scores) < 1.0)
    # Errors that hold are not reduced by a small chi-squared, so intervals may be too wide.
    assert EXPECTED_68 - 0.05 < covered < 0.9
    assert np.mean([one.slope for one in accepted]) == pytest.approx(SLOPE, rel=0.05)


def test_an_error_of_the_variance_does_not_flatten_the_line():
    rng = np.random.default_rng(4)
    points = [line(rng, 8) for _ in range(500)]
    points = [
        p._replace(
            variance=p.variance + 0.004 * rng.normal(size=8),
            variance_error=np.hypot(p.variance_error, 0.004),
            energy_error=np.full(8, 2e-4),
        )
        for p in points
    ]
    slopes, flat = [], []
    for p in points:
        found = extrapolate(p)
        if found.slope is not None:
            slopes.append(found.slope)
            flat.append(np.polyfit(p.variance, p.energy, 1)[0])
    assert np.median(slopes) == pytest.approx(SLOPE, rel=0.03)
    assert np.median(flat) < 0.95 * SLOPE


def test_points_that_cannot_be_extrapolated_are_refused_with_the_reason():
    rng = np.random.default_rng(5)
    few = Points(*(column[:2] for column in line(rng, 8)))
    assert "fewer than 3" in extrapolate(few).reason
    close = line(rng, 8)
    close = close._replace(variance=close.variance + 0.1)
    assert "span too little" in extrapolate(close).reason
    bent = extrapolate(line(rng, 8, bend=100.0))
    assert "not on a line" in bent.reason
    assert bent.chi_squared is not None and bent.chi_squared > 10.0
    for found in map(extrapolate, (few, close, line(rng, 8, bend=100.0))):
        assert found.energy is None and found.error is None


def history(seed: int, n: int = 1600) -> pd.DataFrame:
    """A training on the line whose variance falls from 0.1 to 0.01 hartree^2."""
    rng = np.random.default_rng(seed)
    variance = 0.01 + 0.09 * np.exp(-np.arange(n) / (0.4 * n))
    return pd.DataFrame({
        "iteration": np.arange(n),
        "energy": ENERGY + SLOPE * variance + np.sqrt(variance / 512) * rng.normal(size=n),
        "variance": variance * np.exp(0.2 * rng.normal(size=n)),
    })  # fmt: skip


def test_a_training_ends_on_the_line_that_it_follows():
    found = [extrapolate(points_of_training(history(seed))) for seed in range(200)]
    scores = z_scores(found)
    assert abs(scores.mean()) < 0.25
    assert EXPECTED_68 - 0.08 < np.mean(np.abs(scores) < 1.0) < 0.85
    assert len(points_of_training(history(1, 60)).energy) == 0
    broken = history(1)
    broken.loc[700:, ["energy", "variance"]] = [[np.nan, 0.02], [ENERGY, 0.0]] * 450
    assert extrapolate(points_of_training(broken)).energy is None
    broken.loc[700:1100] = history(1).loc[700:1100]
    assert extrapolate(points_of_training(broken)).energy is not None
    constant = history(1).assign(variance=0.02, energy=ENERGY)
    assert extrapolate(points_of_training(constant)).energy is None


@pytest.fixture
def be_rows(make_vmc):
    """Three wavefunctions of Be on the line."""
    return [
        make_vmc("Be", ENERGY + SLOPE * v, 1e-4, variance=v, ansatz=f"a{i}", config_hash=f"{i:08d}")
        for i, v in enumerate((0.01, 0.03, 0.05))
    ]


def test_unfinished_runs_and_runs_without_a_variance_are_left_out(be_rows):
    first, second, third = be_rows
    assert len(points_of_rows(be_rows).energy) == 3
    assert len(points_of_rows([first, second.replace(status="unfinished"), third]).energy) == 2
    assert len(points_of_rows([first, second.replace(variance=None)]).energy) == 1
    known = first.replace(details={"variance_error": 1e-3})
    assert points_of_rows([known, second]).variance_error.tolist() == [1e-3, 0.0]


def test_the_table_has_the_end_of_the_line_or_the_reason(be_rows, references):
    table = zero_variance_table([*be_rows, be_rows[0].replace(geometry="r2.0")], references)
    fitted, missing = table.lines
    assert fitted["energy_hartree"] == pytest.approx(ENERGY, abs=1e-9)
    assert fitted["difference_mEh"] == pytest.approx(1e3 * (ENERGY + 14.66736), abs=1e-6)
    assert fitted["slope"] == pytest.approx(SLOPE)
    assert missing["energy_hartree"] is None and "fewer than 3" in missing["reason"]


def test_the_figure_draws_training_and_runs_and_names_refusals(be_rows, references):
    runs = [Training("Be", 1, history(1), None, ansatz="a0")]
    figure = zero_variance(be_rows, references, runs)
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert any(text.startswith("all runs: 0.0") for text in texts)
    assert any(text.startswith("a0, training: ") and "χ²/n" in text for text in texts)
    assert "a1" in texts
    few = zero_variance(be_rows[:1], References(), runs)
    texts = [text.get_text() for text in few.axes[0].get_legend().get_texts()]
    assert "all runs: – (fewer than 3 points)" in texts  # noqa: RUF001
    assert few.axes[0].get_title(loc="left") == "Be, to the lowest energy"
    failed = be_rows[0].replace(status="failed", energy=None, stderr=None)
    assert zero_variance([failed], References(), runs).axes[0].texts
    assert "a0, training" in str(
        [
            text.get_text()
            for text in zero_variance([failed], references, runs).axes[0].get_legend().get_texts()
        ]
    )
    assert zero_variance([], References(), []).axes[0].texts
