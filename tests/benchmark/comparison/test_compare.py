"""Verdicts on made-up rows whose truth is known, and everything that is refused."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ferminet.benchmark.comparison.arms import choose_arm, left_out
from ferminet.benchmark.comparison.compare import Comparison, compare, plan
from ferminet.benchmark.comparison.inference import Criteria, Sample, overall_verdict, seeds_needed
from ferminet.benchmark.comparison.report import as_json, comparison_figure, headline, markdown
from ferminet.benchmark.figures.style import render
from ferminet.benchmark.records import read_rows, write_rows
from ferminet.benchmark.references import References
from ferminet.cli.main import main
from ferminet.errors import InputError, NotConvergedError
from tests.benchmark.comparison.conftest import arm_rows


def verdict_on(shift: dict[str, float], references: References, **fields) -> Comparison:
    new = choose_arm(arm_rows(1, 4, "mine", shift, **fields), "mine")
    baseline = choose_arm(arm_rows(2, 8, "ferminet"), "published")
    return compare(new, baseline, references)


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [
        ({}, "equivalent"),
        ({"Be": 1.5e-3}, "worse"),
        ({"Be": 1.5e-3, "Li": -2e-3}, "worse"),
        ({"LiH": -0.9e-3}, "better"),
    ],
)
def test_verdicts(shift, verdict, references) -> None:
    found = verdict_on(shift, references)
    assert found.verdict == verdict
    for one in found.systems:
        expected = {True: "worse", False: "better"}
        sign = shift.get(one.geometry_key[0], 0.0)
        assert one.verdict == (expected[sign > 0] if sign else "equivalent")
    assert verdict in markdown(found, references).splitlines()[0]


def test_large_scatter_is_undecided_and_more_seeds_would_decide(references) -> None:
    found = verdict_on({}, references, spread=6e-4)
    assert found.verdict == "undecided"
    waiting = [one for one in found.systems if one.verdict == "undecided"]
    assert all(one.seeds_needed is None or one.seeds_needed > 4 for one in waiting)
    text = markdown(found, references)
    assert "more seed" in text
    assert headline(found).startswith("mine of mine against FermiNet of published is not decided")


def test_the_predicted_number_of_seeds_decides() -> None:
    new, baseline = Sample(1e-4, 1.6e-7, 3.0, 4), Sample(0.0, 1.6e-8, 7.0, 8)
    needed = seeds_needed(new, baseline, Criteria(), 5)
    assert needed is not None and needed > 4
    assert seeds_needed(new, baseline, Criteria(), 5, most=needed - 1) is None
    far = seeds_needed(Sample(5e-4, 1e-6, 3.0, 4), Sample(0.0, 1e-6, 7.0, 8), Criteria(), 5)
    assert far is None  # the baseline's own error is too large


def test_the_order_of_verdicts() -> None:
    assert overall_verdict(["better", "undecided", "worse"]) == "worse"
    assert overall_verdict(["better", "undecided", "equivalent"]) == "undecided"
    assert overall_verdict(["better", "equivalent"]) == "better"
    assert overall_verdict(["equivalent"]) == "equivalent"


def test_one_seed_is_a_verdict_on_a_run(references) -> None:
    new = choose_arm([row for row in arm_rows(1, 1, "mine")], "mine")
    found = compare(new, choose_arm(arm_rows(2, 8, "ferminet"), "published"), references)
    assert any("One seed only" in note for note in found.notes)
    assert all(one.new.variance == one.control.variance for one in found.systems)
    both = compare(new, choose_arm(arm_rows(3, 1, "ferminet"), "published"), references)
    assert all(math.isinf(one.difference.dof) for one in both.systems)


def test_the_error_is_at_least_the_sampling_error(references) -> None:
    """Seeds that agree by chance better than their sampling allows."""
    found = verdict_on({}, references, spread=1e-7)
    for one in found.systems:
        assert one.new.variance >= 0.99 * 8e-5**2


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"energy": -2.95, "status": "suspicious"}, NotConvergedError, "below the exact"),
        ({"status": "failed", "energy": None, "stderr": None}, NotConvergedError, "no energy"),
        ({"r_hat": 1.2}, NotConvergedError, "walkers disagree"),
        ({"stein_z": -6.0}, NotConvergedError, "sentinel"),
        ({"acceptance": 0.97}, NotConvergedError, "acceptance"),
        ({"details": '{"n_nonfinite": 3}'}, NotConvergedError, "not finite"),
        ({"details": '{"drift_z": 5.0}'}, NotConvergedError, "halves"),
        ({"status": "unfinished"}, InputError, "not finished"),
    ],
)
def test_unsound_energies_are_errors_not_victories(change, error, sentence, references) -> None:
    rows = arm_rows(1, 4, "mine")
    rows[2] = rows[2].replace(**change)
    with pytest.raises(error, match=sentence):
        compare(
            choose_arm(rows, "mine"), choose_arm(arm_rows(2, 8, "ferminet"), "base"), references
        )


def test_ambiguous_choices_are_refused() -> None:
    rows = arm_rows(1, 2, "mine") + arm_rows(1, 2, "ferminet")
    with pytest.raises(InputError, match="choose one with --ansatz"):
        choose_arm(rows, "both")
    with pytest.raises(InputError, match="no wavefunction 'theirs'"):
        choose_arm(rows, "both", "theirs")
    with pytest.raises(InputError, match="2 configurations"):
        choose_arm(
            [*arm_rows(1, 2, "mine"), *(row.replace(config_hash="x") for row in rows[:1])], "a"
        )
    with pytest.raises(InputError, match="no energies of wavefunctions"):
        choose_arm([], "empty")


def test_systems_of_one_arm_only_are_noted() -> None:
    new = choose_arm(arm_rows(1, 2, "mine"), "mine")
    fewer = choose_arm([row for row in arm_rows(2, 2, "ferminet") if row.system == "He"], "b")
    assert "Li, Be, LiH" in left_out(new, fewer)[0]


def test_a_plan_predicts_the_error_of_the_comparison(references) -> None:
    """The planned error is the one that a new arm with the same scatter has."""
    baseline = choose_arm(arm_rows(2, 8, "ferminet"), "published")
    planned = {one.geometry_key: one for one in plan(baseline, 8)}
    again = choose_arm(arm_rows(2, 8, "ferminet"), "again")
    for one in compare(again, baseline, references).systems:
        found = planned[one.geometry_key]
        assert found.error == pytest.approx(one.difference.error, rel=1e-9)
        # Both arms have 7 degrees of freedom, so their difference has 14; what ratios that agree
        # add to the new one is not counted before it is known.
        assert found.half_width == pytest.approx(found.error * stats.t.ppf(0.95, 14), rel=1e-9)
        assert found.half_width >= one.difference.half_width(0.9)
    assert planned["He", "eq"].detectable > plan(baseline, 16)[0].detectable


def test_json_holds_the_numbers_and_the_figure_is_drawn(references) -> None:
    found = verdict_on({"Be": 2e-3}, references)
    data = as_json(found, references)
    low, high = data["systems"][2]["interval_hartree"]
    assert data["systems"][2]["interval_probability"] == 0.95
    place = found.systems[2].geometry_key
    energies = [row.energy for row in found.new.rows[place]]
    deviation = data["systems"][2]["new"]["seed_deviation_hartree"]
    assert deviation == pytest.approx(np.std(energies, ddof=1))
    assert low < 2e-3 < high
    assert data["verdict"] == "worse"
    assert data["systems"][0]["percent_of_correlation"] == pytest.approx(
        -100 * found.systems[0].difference.value / (-2.86168 + 2.903724)
    )
    assert render(comparison_figure(found), "svg").startswith(b"<?xml")


def test_times_do_not_change_the_verdict(references) -> None:
    slow = {"details": {"train_wall_s": 250.0}}
    found = verdict_on({}, references, **slow)
    speed = found.systems[0].throughput
    assert speed is not None and speed.ratio == pytest.approx(2.5)
    assert found.verdict == "equivalent"
    other = verdict_on({}, references, device="NVIDIA H100")
    assert other.systems[0].throughput is None
    assert "devices differ" in markdown(other, references)


@pytest.mark.parametrize(
    ("shift", "spread", "code"),
    [({}, 1.5e-4, 0), ({"Be": 2e-3}, 1.5e-4, 10), ({}, 6e-4, 11), ({"Li": -2e-3}, 1.5e-4, 0)],
)
def test_exit_codes(written, shift, spread, code, tmp_path, capsys) -> None:
    new = written("mine", arm_rows(1, 4, "mine", {**shift}, spread=spread))
    base = written("base", arm_rows(2, 8, "ferminet"))
    assert main(["compare", new, base, "--out-dir", str(tmp_path / "out")]) == code
    assert capsys.readouterr().out.startswith("## Verdict: ")
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {
        ".md", ".json", ".png", ".svg",
    }  # fmt: skip
    assert main(["compare", new, base, "--always-succeed", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"]


def test_bad_calls_are_refused_in_one_sentence(written, tmp_path, capsys) -> None:
    base = written("base", arm_rows(2, 8, "ferminet"))
    for arguments, sentence in (
        ([base], "got 1 results"),
        ([base, base, "--plan", "4"], "got 2 results"),
        ([base, "--plan", "4", "--ansatz", "ferminet"], "--plan needs none"),
        ([base, "--plan", "4", "--equal-device-time"], "--plan has only one"),
        ([base, base, "--margin", "21"], "more than 20 mEh"),
        ([str(tmp_path / "nothing"), base], "holds no energies"),
        (["my_net.yaml", base], "is a study; name its results, results/my_net"),
        ([base, base], "are the same rows"),
    ):
        assert main(["compare", *arguments]) == 2
        assert sentence in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["compare", base, base, "--margin", "-1"])
    assert stop.value.code == 2
    assert main(["compare", base, "--plan", "4"]) == 0
    assert "What 4 seeds can resolve" in capsys.readouterr().out


def test_two_halves_of_the_released_suite_are_equivalent(
    written, root: Path, monkeypatch, capsys
) -> None:
    """And sound: a row that no comparison would take makes the suite useless."""
    monkeypatch.chdir(root)
    suite = "results/published/regression"
    rows = read_rows(Path(suite, "energies.parquet"))
    halves = [written(str(half), [row for row in rows if row.seed % 2 == half]) for half in (0, 1)]
    assert main(["compare", *halves]) == 0
    assert "equivalent" in capsys.readouterr().out
    # With itself it is no comparison.
    assert main(["compare", suite, suite]) == 2
    assert "are the same rows" in capsys.readouterr().err
    assert main(["compare", "--plan", "4", suite]) == 0
    # Rows of runs that still train decide nothing, which is said before others are trained for it.
    assert main(["compare", "--plan", "4", "results/published/desktop"]) == 2
    assert "are not finished" in capsys.readouterr().err


def test_an_altered_suite_is_refused_as_a_control(root: Path, tmp_path, capsys) -> None:
    suite = tmp_path / "regression"
    shutil.copytree(root / "results/published/regression", suite)
    rows = read_rows(suite / "energies.parquet")
    write_rows(suite / "energies.parquet", rows[:-1])  # the inconvenient one
    for place in (suite, suite / "energies.parquet"):
        assert main(["compare", str(place), str(place)]) == 5
        assert "the manifest has" in capsys.readouterr().err
    assert main(["verify", str(root / "molecules")]) == 2
    assert "is not a suite of published rows" in capsys.readouterr().err
