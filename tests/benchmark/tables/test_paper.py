"""A difference to the paper is explained, and only the paper's recipe is called paper."""

import math
from pathlib import Path

import pytest

from ferminet.benchmark.tables import paper_recipe
from ferminet.benchmark.tables.paper import above_paper_table, paper_table, recipe_counts
from ferminet.benchmark.tables.paper_recipe import departures, recipe_name
from ferminet.config import expand_runs, load_study
from ferminet.vmc.recipes import recipes
from tests.helpers.references import student

PAPER_ITERATIONS = 200_000
ROOT = Path(__file__).parents[3]


def settings_of(name: str, system: str) -> dict:
    study = load_study(ROOT / "workflow" / "config" / f"{name}.yaml")
    return next(run for run in expand_runs(study) if run.system == system).settings()


@pytest.fixture(scope="module")
def paper() -> dict:
    return settings_of("paper", "Li")


@pytest.fixture(scope="module")
def quickstart() -> dict:
    return settings_of("quickstart", "Li")


def trend(slope: float, error: float) -> dict:
    return {"slope": slope, "slope_error": error, "variance": 0.01}


def test_the_paper_study_is_the_recipe(paper, make_vmc) -> None:
    whole = make_vmc("Li", -7.47798, 1e-5, iterations=PAPER_ITERATIONS, details={"settings": paper})
    assert departures(whole) == []
    assert recipe_name(whole) == "paper settings"
    part = make_vmc("Li", -7.47798, 1e-5, iterations=5000, details={"settings": paper})
    assert recipe_name(part) == "paper settings, 2.5 % of the iterations"
    double = make_vmc(
        "Li", -7.478, 1e-5, iterations=PAPER_ITERATIONS, precision="float64",
        details={"settings": paper},
    )  # fmt: skip
    assert departures(double) == ["precision float64 (float32)"]


def test_a_row_is_called_paper_only_if_nothing_differs(paper, make_vmc, monkeypatch) -> None:
    """Today choices of the code always differ; without them the name would be the paper's."""
    row = make_vmc("Li", -7.4, 1e-5, iterations=PAPER_ITERATIONS, details={"settings": paper})
    same = recipes()["paper"].model_copy(update={"choices": []})
    monkeypatch.setattr(paper_recipe, "recipes", lambda: {"paper": same})
    assert recipe_name(row) == "paper"


def test_the_settings_of_the_jax_release_have_a_name(make_vmc) -> None:
    settings = settings_of("paper-jax", "Li")
    row = make_vmc("Li", -7.4, 1e-5, iterations=PAPER_ITERATIONS, details={"settings": settings})
    assert recipe_name(row) == "paper-jax settings, 20 % of the iterations"


def test_a_significant_difference_names_what_differs(quickstart, references, make_vmc) -> None:
    details = {"settings": quickstart, "convergence": trend(-5e-7, 1e-7)}
    row = make_vmc("Li", -7.47698, 3e-5, iterations=1200, details=details)
    (line,) = paper_table([row], references).lines
    assert line["difference_mEh"] == pytest.approx(1.0)
    assert line["difference_error_mEh"] == pytest.approx(1e3 * math.hypot(3e-5, 1e-5))
    assert line["z"] == pytest.approx(1e-3 / math.hypot(3e-5, 1e-5))
    assert line["slope_mEh"] == pytest.approx(-0.5)
    assert line["recipe"] == "own settings"
    why = line["explanation"]
    assert why.startswith(
        "1,200 iterations (0.6 % of the paper's); still falling by 0.5(1) mEh per"
    )
    for part in ("layers 3 (4)", "walkers 512 (4096)", "determinants 8 (16)", "envelope isotropic"):
        assert part in why
    (cells,) = above_paper_table([row], references).cells()
    assert cells[:3] == ["Li", "1.00(3)", "31.6"]
    assert cells[3].startswith("1,200 iterations (0.6 % of the paper's); still falling by 0.5(1)")
    assert "layers" not in cells[3]


def test_agreement_and_lower_energies_need_no_explanation(quickstart, references, make_vmc) -> None:
    details = {"settings": quickstart, "convergence": trend(1e-8, 1e-7)}
    near = make_vmc("Li", -7.47795, 3e-5, seed=1, details=details)
    below = make_vmc("Be", -14.66750, 1e-5, seed=1, details=details)
    lines = {line["system"]: line for line in paper_table([near, below], references).lines}
    assert lines["Li"]["explanation"] == "within 2 standard errors"
    assert lines["Be"]["explanation"] == "lower than the paper"
    assert above_paper_table([near, below], references).lines == []


def test_an_energy_below_the_exact_one_is_an_error(references, make_vmc) -> None:
    """The mean over seeds hides it, the mark does not."""
    rows = [make_vmc("LiH", -8.0800, 1e-4, seed=1), make_vmc("LiH", -8.0600, 1e-4, seed=2)]
    table = paper_table(rows, references)
    assert table.lines[0]["status"] == "suspicious"
    assert table.lines[0]["explanation"].startswith("significantly below the exact energy")
    assert [cell for cell in table.cells()[0] if cell.endswith("!")] == ["-8.07(6)!"]


def test_a_noisy_slope_is_no_convergence(quickstart, references, make_vmc) -> None:
    details = {"settings": quickstart, "convergence": trend(8e-5, 7e-5), "iterations_planned": 5000}
    row = make_vmc("Li", -7.46, 3e-5, iterations=900, status="unfinished", details=details)
    (line,) = paper_table([row], references).lines
    assert line["explanation"].startswith("900 of 5,000 planned iterations (0.45 %")
    assert "too noisy to show whether training had converged (80(70) mEh" in line["explanation"]


def test_seeds_are_combined_with_their_spread(references, make_vmc) -> None:
    rows = [make_vmc("Li", -7.477 + 1e-3 * k, 1e-5, seed=k) for k in (0, 1, 2)]
    (line,) = paper_table(rows, references).lines
    assert line["n_seeds"] == 3
    assert line["energy_error_hartree"] == pytest.approx(student(3) * 1e-3 / math.sqrt(3))
    assert line["recipe"] == "unknown"
    assert recipe_counts(rows) == {"unknown": 3}


def test_other_wavefunctions_and_failed_runs(paper, references, make_vmc) -> None:
    other = make_vmc(
        "Li", -7.4, 1e-5, ansatz="mine", details={"settings": {**paper, "build": "mine.py:build"}}
    )
    assert departures(other) == ["wavefunction mine (FermiNet)"]
    failed = make_vmc("Be", None, None, status="failed")
    lines = paper_table([other, failed], references).lines
    assert [line["explanation"][:8] for line in lines] == ["2,000 it", "seed 1 f"]
