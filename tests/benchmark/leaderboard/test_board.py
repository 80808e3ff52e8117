"""Ranks with a known answer, what is ranked, costs, and a page that loads nothing."""

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ferminet.benchmark.leaderboard.board import (
    FAMILY_ERROR,
    literature,
    rank_ranges,
    results_of,
    within_budget,
)
from ferminet.benchmark.leaderboard.page import cost_figure, overall_table, render_leaderboard
from ferminet.benchmark.leaderboard.submission import Entry, Submission
from ferminet.benchmark.records import read_rows
from ferminet.benchmark.schema import EnergyRow, row

ROOT = Path(__file__).parents[3]
DOI = "10.1103/PhysRevResearch.2.033429"


@pytest.fixture
def entry(make_vmc):
    """Make an entry of lithium hydride or another system from the energies of its seeds."""

    def make(name: str, energies, stderr: float = 1e-4, system: str = "LiH", **fields) -> Entry:
        rows = [
            make_vmc(system, float(energy), stderr, seed=seed, study=name, **fields)
            for seed, energy in enumerate(energies, start=1)
        ]
        return Entry(name, rows)

    return make


def imported_row(one: EnergyRow, averaged: str, energy: float) -> EnergyRow:
    source = {"code": "JaQMC", "averaged": averaged, "window": "all", "file": "x", "sha256": "0"}
    changes = {"method": "imported", "ansatz": "JaQMC", "energy": energy}
    return row(**(dict(one) | changes | {"details": {"imported": source}}))


def test_ranks_of_single_seeds_follow_from_the_bars(entry) -> None:
    """Ten error bars separate the first; half a bar does not separate the other two."""
    seeds = [entry("a", [e]).rows for e in (-8.07, -8.0686, -8.06855)]
    assert rank_ranges(seeds) == [(1, 1), (2, 3), (2, 3)]


def test_not_distinguishable_is_not_transitive(entry) -> None:
    """Steps of 2.2 sqrt(2) bars: neighbours are 2.2 sigma apart (p = 0.03, three pairs: 0.06)."""
    step = 2.2 * np.sqrt(2) * 1e-4
    seeds = [entry("a", [-8.07 + i * step]).rows for i in range(3)]
    assert rank_ranges(seeds) == [(1, 2), (1, 3), (2, 3)]


def test_two_entries_with_seeds_are_compared_by_welch(entry) -> None:
    """Against SciPy's test, with seeds that scatter by far more than their bars."""
    decided = []
    for key in range(40):
        generator = np.random.default_rng(key)
        first = -8.07 + 1e-3 * generator.standard_normal(4)
        second = -8.067 + 2e-3 * generator.standard_normal(5)
        samples = sorted([first, second], key=np.mean)
        _, p_value = stats.ttest_ind(*samples, equal_var=False)
        ranges = rank_ranges([entry("a", energies, 1e-6).rows for energies in samples])
        assert ranges == ([(1, 1), (2, 2)] if p_value <= FAMILY_ERROR else [(1, 2), (1, 2)])
        decided.append(p_value <= FAMILY_ERROR)
    assert 5 < sum(decided) < 35  # both answers occur


def test_only_sound_evaluations_are_ranked(entry, references) -> None:
    """Energies below the exact one, unfinished ones and imported ones have no rank."""
    good = entry("good", [-8.0700])
    below = entry("below", [-8.0800])
    unfinished = entry("unfinished", [-8.0705], status="unfinished")
    one = good.rows[0]
    rows = [imported_row(one, "training tail", -8.0702)]
    rows += [imported_row(one.replace(seed=2), "inference", -8.0703)]
    results = results_of([below, good, unfinished, Entry("other", rows)], references)
    ranks = {(r.line["entry"], r.line["kind"]): r.line["rank"] for r in results}
    assert ranks == {
        ("good", "evaluation"): "1",
        ("below", "evaluation"): None,
        ("unfinished", "evaluation"): None,
        ("other", "training tail"): None,
        ("other", "inference"): None,
    }
    assert results[0].line["entry"] == "good"  # ranked lines come first
    lines = {line["entry"]: line for line in overall_table(results).lines}
    assert lines["good"]["first"] == 1 and lines["below"]["ranked"] == 0


def test_costs_and_budget(entry, references) -> None:
    fast = entry("fast", [-8.0690, -8.0692], wall_s=3000.0)
    slow = entry("slow", [-8.0704], wall_s=4000.0)
    gpu = entry("gpu", [-8.0703], wall_s=3000.0, device="NVIDIA H200")
    results = results_of([fast, slow, gpu], references)
    line = next(r.line for r in results if r.line["entry"] == "fast")
    assert (line["hours"], line["unit"]) == (pytest.approx(3000 / 3600), "core")
    assert line["evaluations"] == 2000 * 512
    assert line["difference_mEh"] == pytest.approx(1e3 * (8.070548 - 8.0691))
    assert line["percent"] == pytest.approx(100 * (8.0691 - 7.98737) / (8.070548 - 7.98737))
    cheap = within_budget(results, "core", 1.0)
    assert [(r.line["entry"], r.line["rank"]) for r in cheap] == [("fast", "1")]
    assert [r.line["entry"] for r in within_budget(results, "gpu", 1.0)] == ["gpu"]


def test_geometries_that_share_a_training_divide_its_walkers(references) -> None:
    """Nine angles share 576 walkers for 2,500 iterations: 64 each."""
    rows = read_rows(ROOT / "results/published/h4-shared/energies.parquet")
    results = results_of([Entry("h4-shared", rows)], references)
    assert {r.line["evaluations"] for r in results} == {2500 * 64}


def test_literature_stands_next_to_the_results_without_a_rank(entry, references) -> None:
    (result,) = results_of([entry("a", [-8.07])], references)
    lines = {line["entry"]: line for line in literature(result, references)}
    assert lines["exact"]["difference_mEh"] is None
    assert all(line["rank"] is None and line["kind"] == "literature" for line in lines.values())


def test_the_page_loads_nothing_and_links_to_dois_only(entry, references) -> None:
    submission = {
        "model": "MyNet", "authors": ["A. Author"], "code": "mine", "version": "1",
        "hardware": {"name": "a <core>", "unit": "core"},
        "systems": {"LiH": {"seeds": [1], "hours": 0.25}}, "files": {},
    }  # fmt: skip
    entries = [entry("ours", [-8.07, -8.0701])]
    for name, source in (
        ("doi", DOI),
        ("link", f"https://doi.org/{DOI}"),
        ("web", "https://a.b/c"),
    ):
        one = Submission.model_validate(submission | {"source": source})
        entries.append(entry(name, [-8.069])._replace(submission=one))
    results = results_of(entries, references)
    page = render_leaderboard(entries, results, references)
    addresses = re.findall(r'(?:href|src|action|srcset)="([^"]*)"', page)
    outside = [a for a in addresses if not a.startswith(("#", "data:image/svg+xml;base64,"))]
    assert outside == [f"https://doi.org/{DOI}"] * 2
    assert not re.search(r"url\(|@import|<link|<iframe", page)
    anchors = {address[1:] for address in addresses if address.startswith("#")}
    assert all(f'id="{anchor}"' in page for anchor in anchors)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}'\"" in page and "default-src 'none'" in page
    assert "a &lt;core&gt;" in page and "MyNet" in page
    line = next(r.line for r in results if r.line["entry"] == "doi")
    assert (line["hours"], line["model"]) == (0.25, "MyNet")  # what the submission states


def test_the_command_writes_both_files_and_leaves_a_refused_submission_out(
    tmp_path, monkeypatch, make_vmc
) -> None:
    from ferminet.benchmark.leaderboard import board
    from ferminet.cli.main import main

    h4 = {"h4-shared": ROOT / "results/published/h4-shared"}
    monkeypatch.setattr(board.layout, "suites", lambda: h4)
    monkeypatch.setattr(board.layout, "submissions", dict)
    assert main(["leaderboard", "--out-dir", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "leaderboard.json").read_text())
    assert len(content["results"]) == 9 and content["entries"] == {"h4-shared": None}
    assert all(line["unit"] == "core" for line in content["within_one_core_hour"])
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "submission.yaml").write_text("model: x\n")
    monkeypatch.setattr(board.layout, "submissions", lambda: {"bad": folder})
    assert main(["leaderboard", "--out-dir", str(tmp_path / "again")]) == 2
    assert not (tmp_path / "again").exists()


def test_the_figure_shows_core_and_gpu_hours_with_all_energies_in_view(entry, references) -> None:
    ours = entry("ours", [-8.0700], wall_s=3600.0)
    theirs = entry("theirs", [-8.0500], wall_s=36.0, device="NVIDIA H200")
    figure = cost_figure(results_of([ours, theirs], references), references)
    assert figure is not None
    cores, gpus = figure.axes
    assert (cores.get_xlabel(), gpus.get_xlabel()) == (
        "core-hours of one run",
        "GPU-hours of one run",
    )
    low, high = gpus.get_ylim()
    assert low < 1e3 * (8.070548 - 8.0700) and high > 1e3 * (8.070548 - 8.0500)
    assert gpus.get_xlim()[0] < 0.01 < gpus.get_xlim()[1]
