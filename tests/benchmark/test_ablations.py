"""Figures of ablations from rows that are made up, so that what they must show is known."""

import zlib

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ferminet.benchmark.figures import FIGURES
from ferminet.benchmark.figures.ablations import determinants, width
from ferminet.benchmark.figures.style import render
from ferminet.benchmark.figures.systems import cost
from ferminet.benchmark.figures.training import Training, optimisers
from ferminet.benchmark.registry import find_target
from ferminet.benchmark.report import figure_details, not_covered
from ferminet.benchmark.tables.build import contents_of
from tests.helpers.references import student

EXACT, HF = -8.070548, -7.98737  # of LiH, in conftest
NAMES = ("determinants", "width", "optimisers", "cost")


def settings(optimizer: str = "kfac", iterations: int = 2000, **options):
    return {
        "build": "ferminet.ansatz.ferminet:build",
        "options": {"determinants": 4, "layers": 2, "one_electron_width": 32} | options,
        "optimizer": {"name": optimizer},
        "train": {"iterations": iterations},
    }


@pytest.fixture
def run(make_vmc):
    """A row of LiH so many mEh above the exact energy."""

    def run(ansatz: str, error: float, seed: int = 1, given=None, seconds: float = 360.0, **more):
        name = f"{zlib.crc32(ansatz.encode()):08x}"
        details = {} if given is None else {"settings": given, "devices": 2}
        fields = {
            "ansatz": ansatz,
            "seed": seed,
            "config_hash": name,
        }
        fields |= {"details": details, "wall_s": seconds} | more
        return make_vmc("LiH", EXACT + 1e-3 * error, 2e-4, **fields)

    return run


def texts(figure: Figure) -> str:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return " ".join([*found, figure.get_supxlabel()]).replace("\n", " ")


def points(axes, number: int = 0) -> tuple[list[float], list[float], list[float]]:
    """Places, values and half lengths of the bars of one series."""
    container = axes.containers[number]
    line, _, (bars,) = container.lines
    halves = [(segment[1][1] - segment[0][1]) / 2 for segment in bars.get_segments()]
    return list(line.get_xdata()), list(line.get_ydata()), halves


def test_determinants_shows_percent_with_the_spread_of_seeds(run, references):
    rows = [
        run("two", 2.0, given=settings(determinants=2)),
        run("one", 4.0, 1, settings(determinants=1)),
        run("one", 6.0, 2, settings(determinants=1)),
        run("other", 1.0, given=settings(layers=3)),
    ]
    figure = determinants(rows, references)
    (axes,) = figure.axes
    x, y, bars = points(axes)
    percent = 100 / (1e3 * (HF - EXACT))  # of one mEh
    assert x == [1, 2]
    np.testing.assert_allclose(y, [100 - 5.0 * percent, 100 - 2.0 * percent], rtol=1e-6)
    # Two seeds 2 mEh apart: their mean's error is 1 mEh, widened by Student's t. One seed: 0.2 mEh,
    # of sampling.
    np.testing.assert_allclose(bars, [student(2) * percent, 0.2 * percent], rtol=1e-2)
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2"]


def test_a_line_for_each_of_the_other_settings(run, references):
    rows = [
        run(f"{layers} {n}", 1.0 + n, given=settings(determinants=n, layers=layers))
        for layers in (2, 3)
        for n in (1, 2)
    ]
    legend = determinants(rows, references).axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["LiH, layers 2", "LiH, layers 3"]


def test_width_has_a_panel_for_width_and_one_for_layers(run, references):
    rows = [
        run("base", 2.0, given=settings(two_electron_width=8)),
        run("wide", -0.5, given=settings(one_electron_width=64, two_electron_width=16)),
        run("deep", 1.0, given=settings(layers=3, two_electron_width=8)),
    ]
    left, right = width(rows, references).axes
    joined = left.lines[0]
    assert list(joined.get_xdata()) == [32, 64]
    np.testing.assert_allclose(joined.get_ydata(), [2.0, 0.5], rtol=1e-6)
    # Above and below the reference are series of their own; the second has open markers.
    assert points(left, 1)[0] == [64]
    assert left.containers[1].lines[0].get_markerfacecolor() == "white"
    np.testing.assert_allclose(right.lines[0].get_ydata(), [2.0, 1.0], rtol=1e-6)
    assert list(right.lines[0].get_xdata()) == [2, 3]
    low, high = right.get_ylim()
    assert low < 0.5 < 2.0 < high


def test_widths_of_both_streams_are_two_lines_where_both_vary(run, references):
    rows = [
        run(f"{one} {two}", 1.0, given=settings(one_electron_width=one, two_electron_width=two))
        for one in (16, 32)
        for two in (4, 8)
    ]
    legend = width(rows, references).axes[0].get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 2


def test_rows_without_settings_and_without_energy_are_named(run, references):
    rows = [
        run("one", 4.0, given=settings(determinants=1)),
        run("two", 2.0, given=settings(determinants=2)),
        run("old", 1.0),
        run("lost", 1.0, given=settings(determinants=8)).replace(
            energy=None, stderr=None, status="failed"
        ),
    ]
    text = texts(determinants(rows, references))
    assert "LiH, old (its rows do not hold its settings)" in text
    assert "LiH, lost (failed)" in text
    nothing = texts(determinants([run("old", 1.0)], references))
    assert "no runs that differ in the number of determinants alone" in nothing
    assert "LiH, old" in nothing
    assert "no runs that differ in width or depth" in texts(width(rows, references))


def test_cost_has_a_marker_per_run_at_its_device_hours(run, make_vmc, references):
    rows = [
        run("a", 3.0, 1, settings(), 1800.0),
        run("a", -2.0, 2, settings(), 3600.0),
        run("old", 5.0, 1, None, 7200.0),
        make_vmc("Be", None, None, status="failed"),
        make_vmc("N2", -109.0, 1e-3),
    ]
    figure = cost(rows, references)
    (axes,) = figure.axes
    drawn = [points(axes, number) for number in range(len(axes.containers))]
    flat = sorted((x, y) for xs, ys, _ in drawn for x, y in zip(xs, ys, strict=True))
    # Two devices for the first two, one where the row does not say.
    np.testing.assert_allclose(flat, [(1.0, 3.0), (2.0, 2.0), (2.0, 5.0)], rtol=1e-6)
    assert "Be, FermiNet, seed 1 (failed)" in texts(figure)
    assert "N2, FermiNet (no reference)" in texts(figure)
    assert "no run with a reference energy and a time" in texts(cost([], references))


def history(level: float, n: int = 100) -> pd.DataFrame:
    return pd.DataFrame(
        {"iteration": np.arange(n), "energy": level, "variance": 0.1, "acceptance": 0.5}
    )


def test_optimisers_are_drawn_against_iterations_and_device_time():
    def one(name: str, level: float, seconds: float | None, **more):
        given = settings(name, 100, **more)
        return Training("LiH", 1, history(-8.0 + level), -8.0, ansatz=name, settings=given,
                        device_seconds=seconds)  # fmt: skip

    figure = optimisers([one("kfac", 0.001, 60.0), one("adam", 0.004, None), one("spring", 1, 9,
                        layers=7)])  # fmt: skip
    left, right = figure.axes
    assert left.get_yscale() == "symlog"
    kfac, adam = left.lines[:2]
    np.testing.assert_allclose(kfac.get_ydata(), 1.0)
    np.testing.assert_allclose(adam.get_ydata(), 4.0)
    assert kfac.get_xdata()[-1] == 99
    np.testing.assert_allclose(right.lines[0].get_xdata()[[0, -1]], [0.01, 1.0])  # minutes
    assert "LiH, adam, seed 1 (no time)" in texts(figure)
    assert "no histories of one network with different optimisers" in texts(optimisers([]))
    render(figure, "svg")


def test_parts_of_the_paper_are_covered_by_rows_that_vary_them(run, references):
    base, one = run("base", 1.0, given=settings()), run("d", 2.0, given=settings(determinants=1))
    deep = run("deep", 1.0, given=settings(layers=4))
    adam = run("adam", 9.0, given=settings("adam", 9000))
    parts = {name: f"dependence on the {name} of the network" for name in ("width", "depth")}
    determinants_part = "dependence on the number of determinants"
    assert {determinants_part, *parts.values(), "comparison of optimisers"} <= set(
        not_covered([base], references)
    )
    assert determinants_part not in not_covered([base, one], references)
    assert parts["width"] in not_covered([base, one, deep, adam], references)
    assert parts["depth"] not in not_covered([base, deep], references)
    assert "comparison of optimisers" not in not_covered([base, adam], references)


def test_details_describe_what_is_drawn(rows):
    targets = [find_target(name, FIGURES, contents_of(rows)) for name in NAMES]
    texts = {target.name: figure_details(target, rows) for target in targets if target is not None}
    assert list(texts) == list(NAMES)
    for name, text in texts.items():
        assert "From 30 runs: " in text
        assert ("Error bars" in text) == (name != "optimisers")
    assert len(set(texts.values())) == len(NAMES)
