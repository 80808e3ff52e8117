import math

import pytest

from ferminet.benchmark import diagnostics as judge
from ferminet.benchmark.comparison.arms import choose_arm
from ferminet.benchmark.comparison.compare import compare
from ferminet.benchmark.references import References
from ferminet.benchmark.report import render_report, summary_text
from ferminet.benchmark.tables.build import build_table
from ferminet.benchmark.tables.formatting import to_markdown
from ferminet.errors import NotConvergedError
from tests.helpers.references import reference

EXACT = reference("Be", "eq", "exact", -14.66736, 1e-4)


@pytest.mark.parametrize(
    ("below", "stderr", "expected"),
    [(3.9e-4, 0.0, False), (4.1e-4, 0.0, True), (8.0e-4, 2e-4, False), (1.0e-3, 2e-4, True)],
)
def test_suspicious_is_more_than_four_combined_errors_below(make_vmc, below, stderr, expected):
    row = make_vmc("Be", EXACT.energy - below, stderr)
    assert judge.suspicious(row, EXACT) is expected


def test_only_sampled_energies_against_exact_ones_are_suspicious(make_vmc, make_baseline):
    low = EXACT.energy - 1.0
    coupled_cluster = reference("Be", "eq", "ccsd_t_cbs", -14.66, 1e-4)
    assert not judge.suspicious(make_vmc("Be", low, 1e-5), coupled_cluster)
    assert not judge.suspicious(make_vmc("Be", low, 1e-5), None)
    assert not judge.suspicious(make_baseline("Be", "ccsd_t", low), EXACT)
    assert not judge.suspicious(make_vmc("Be", None, None, status="failed"), EXACT)
    low_h4 = make_vmc("H4", -2.0353, 1e-4, geometry="a90")
    full = ("H4", "a90", "fci_cbs", -2.0153, 2e-4)
    assert not judge.suspicious(low_h4, reference(*full))
    for kind in ("upper bound", "fitted to experiment"):
        assert not judge.suspicious(low_h4, reference(*full, kind=kind))
    assert judge.suspicious(low_h4, reference(*full, kind="lower bound"))


def test_the_highest_bound_of_a_geometry_judges_its_rows(make_vmc):
    values = [("exact", -14.70, "exact"), ("projected", -14.67, "lower bound")]
    bounds = References(reference("Be", "eq", q, e, 1e-5, kind=kind) for q, e, kind in values)
    assert judge.marked(make_vmc("Be", -14.68, 1e-5), bounds).status == "suspicious"
    assert judge.marked(make_vmc("Be", -14.6699, 1e-5), bounds).status == "complete"
    assert judge.marked(make_vmc("Be", -14.68, 1e-5, geometry="r1"), bounds).status == "complete"


def test_z_without_any_error_is_infinite_not_a_crash():
    exact = reference("H", "eq", "exact", -0.5, None)
    assert judge.reference_z_score(-0.5, 0.0, exact) == 0.0
    assert judge.reference_z_score(-0.6, 0.0, exact) == -math.inf


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"s2": 0.10}, "spin"),
        ({"r_hat": 1.02}, "R-hat"),
        ({"stein_z": -5.0}, "sentinel"),
        ({"acceptance": 0.97}, "acceptance"),
        ({"status": "unfinished"}, "unfinished"),
        ({"status": "suspicious"}, "suspicious"),
        ({"details": {"n_nonfinite": 2}}, "not finite"),
        ({"details": {"drift_z": -4.5}}, "drift: the halves of the samples differ by 4.5"),
        ({"details": {"stderr_reblocked": 1.4e-4, "samples_per_tau": 600}}, "errors disagree"),
        ({"details": {"stderr_reblocked": 0.7e-4, "samples_per_tau": 600}}, "errors disagree"),
        ({"energy": -14.7}, "suspicious"),
    ],
)
def test_each_doubt_is_named(make_vmc, references, fields, word):
    values = {"energy": -14.66, "stderr": 1e-4} | fields
    assert judge.flags(make_vmc("Be", **values), references)
    assert word in judge.flags(make_vmc("Be", **values), references)[0]


def test_sound_rows_and_null_diagnostics_have_no_flags(make_vmc, references):
    assert judge.flags(make_vmc("Be", -14.66, 1e-4), references) == []
    blank = {"s2": None, "r_hat": None, "stein_z": None, "acceptance": None}
    assert judge.flags(make_vmc("Li", -7.47, 1e-4, **blank), references) == []


@pytest.mark.parametrize(
    "details",
    [
        {"drift_z": 3.9},
        {"stderr_reblocked": 1.4e-4, "samples_per_tau": 400},  # too short to be judged
        {"stderr_reblocked": 1.2e-4, "samples_per_tau": 600},
        {"flags": ["written by an older version"]},
    ],
)
def test_details_within_the_thresholds_have_no_flags(make_vmc, references, details):
    assert judge.flags(make_vmc("Be", -14.66, 1e-4, details=details), references) == []


DRIFTING = {"drift_z": 6.0}
DISAGREEING = {"stderr_reblocked": 3e-4, "samples_per_tau": 900}


@pytest.mark.parametrize(
    ("details", "flag"),
    [(DRIFTING, "halves of the samples differ by 6.0"), (DISAGREEING, "reblocking gives 3.00")],
)
def test_unsound_samples_are_shown_by_tables_and_report_and_refused_by_compare(
    make_vmc, references, details, flag
):
    sound = make_vmc("Be", -14.66, 1e-4)
    unsound = sound.replace(details=details)
    for name in ("atoms", "runs"):
        table = build_table(name, [unsound], references)
        assert flag in to_markdown(table)
        assert flag not in to_markdown(build_table(name, [sound], references))
    assert flag in render_report([unsound], references, {})
    assert flag in summary_text([unsound], references)
    arms = [choose_arm([row], "results", "ferminet") for row in (unsound, sound)]
    with pytest.raises(NotConvergedError, match=flag):
        compare(*arms, references)


def test_a_mean_over_seeds_is_judged_like_a_single_energy(make_vmc):
    """Each row lies at most three standard errors below; the mean of n lies sqrt(n) times that."""
    exact = References([EXACT.model_copy(update={"uncertainty": 1e-5})])
    for n, below, status in ((3, 3.0, "suspicious"), (16, 2.0, "suspicious"), (3, 2.0, "complete")):
        rows = [make_vmc("Be", EXACT.energy - below * 2e-4, 2e-4, seed=k) for k in range(n)]
        assert {judge.marked(row, exact).status for row in rows} == {"complete"}
        assert judge.judged_mean(rows, exact).status == status
    assert judge.judged_mean(rows[:1] * 3, References()).status == "complete"


def test_a_suspicious_mean_is_marked_in_the_tables(make_vmc):
    references = References([EXACT, reference("Be", "eq", "ferminet_paper", -14.66733, 3e-5)])
    rows = [make_vmc("Be", EXACT.energy - 7.5e-4, 2e-4, seed=k) for k in range(16)]
    assert {judge.marked(row, references).status for row in rows} == {"complete"}
    for name in ("atoms", "paper"):
        table = build_table(name, rows, references)
        assert [line["status"] for line in table.lines] == ["suspicious"]
        assert "!" in to_markdown(table)
    sound = [make_vmc("Be", EXACT.energy + 1e-3, 2e-4, seed=k) for k in range(16)]
    arms = [choose_arm(seeds, "results", "ferminet") for seeds in (rows, sound)]
    with pytest.raises(NotConvergedError, match=r"the mean of Be \(suspicious"):
        compare(*arms, references)


@pytest.mark.parametrize(
    ("s2", "stderr", "flagged"),
    [
        (2.04, 1e-4, False),
        (2.06, 1e-3, True),
        (2.3, 0.1, False),
        (2.3, 0.07, True),
        (1.9, 0.01, True),
    ],
)
def test_a_spin_is_flagged_beyond_the_tolerance_and_four_errors(
    make_vmc, s2, stderr, flagged
) -> None:
    row = make_vmc("O", -75.0, 1e-3, unpaired_electrons=2, s2=s2, s2_stderr=stderr)
    found = [flag for flag in judge.flags(row, References()) if flag.startswith("spin")]
    assert bool(found) == flagged
