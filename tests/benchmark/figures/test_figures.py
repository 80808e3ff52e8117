import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ferminet.benchmark.figures.curves import curve
from ferminet.benchmark.figures.style import render
from ferminet.benchmark.figures.systems import correlation, errors
from ferminet.benchmark.figures.training import Training, training
from ferminet.benchmark.references import References


def _texts(figure: Figure) -> str:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [axes.get_title(loc="left") for axes in figure.axes]
    found += [t.get_text() for t in figure.texts]
    return " ".join([*found, figure.get_supxlabel()]).replace("\n", " ")


def _history(n: int = 400) -> pd.DataFrame:
    iteration = np.arange(n)
    noise = np.random.default_rng(0).normal(0, 1e-3, n)
    energy = -2.9 + np.exp(-iteration / 50) + noise
    return pd.DataFrame(
        {"iteration": iteration, "energy": energy, "variance": 0.02, "acceptance": 0.5}
    )


def test_the_same_data_give_the_same_bytes(rows, references):
    for format in ("png", "svg"):
        first, second = (render(correlation(rows, references), format) for _ in range(2))
        assert first == second
    svg = render(curve("H4", rows, references), "svg")
    assert b"<dc:date>" not in svg


def test_a_users_style_does_not_change_the_figures(rows, references):
    import matplotlib as mpl

    before = render(errors(rows, references), "png")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert render(errors(rows, references), "png") == before


def test_correlation_shows_error_bars_and_both_scales(rows, references):
    figure = correlation(rows, references)
    zoom, whole = figure.axes
    assert zoom.get_ylim()[0] > 90
    assert whole.get_ylim()[0] < 0 < 100 < whole.get_ylim()[1]
    legend = zoom.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["FermiNet, this work", "FermiNet, paper"]
    assert "H (no correlation energy)" in _texts(figure)


def test_figures_name_their_gaps(rows, references, make_vmc, make_baseline):
    incomplete = [row for row in rows if not (row.system == "Li" and row.method == "vmc")]
    incomplete.append(make_vmc("Li", None, None, status="failed"))
    assert "Li, FermiNet (failed)" in _texts(correlation(incomplete, references))
    incomplete = [r for r in rows if (r.system, r.method) != ("LiH", "ccsd_t")]
    incomplete.append(make_baseline("LiH", "ccsd_t", None, status="not_converged"))
    assert "LiH, CCSD(T)" in _texts(errors(incomplete, references))
    incomplete = [r for r in rows if (r.geometry, r.method) != ("a88", "fci")]
    assert "FCI/cc-pVDZ at a88 (not run)" in _texts(curve("H4", incomplete, references))


def test_errors_too_small_for_the_axis_are_named(rows, references):
    assert "Below 0.01 mEh, not drawn: H, FermiNet" in _texts(errors(rows, references))


def test_the_lower_panel_names_what_lies_outside(rows, references):
    figure = curve("H4", rows, references)
    low, high = figure.axes[1].get_ylim()
    assert low == -high
    assert 3 < high < 5
    assert "CCSD(T)/CBS: −13.4 to −5.6" in _texts(figure)  # noqa: RUF001


def test_the_curve_names_points_whose_training_has_not_finished(rows, references):
    assert "has not finished" not in _texts(curve("H4", rows, references))
    begun = [
        row.replace(status="unfinished") if (row.method, row.geometry) == ("vmc", "a90") else row
        for row in rows
    ]
    assert "Training has not finished at 90." in _texts(curve("H4", begun, references))


@pytest.mark.parametrize("draw", [correlation, errors])
def test_an_empty_figure_states_why_it_is_empty(draw):
    assert "no system" in _texts(draw([], References()))


def test_a_curve_without_reference_or_anchor_is_drawn(rows, references):
    mine = [row for row in rows if row.geometry in ("a88", "a90")]
    assert "no energy at a85 and a95" in _texts(curve("H4", mine, references))
    assert "no reference energy" in _texts(curve("H4", rows, References()))
    other = [row.replace(system="X4") for row in rows if row.system == "H4"]
    figure = curve("X4", other, References())
    assert figure.axes[0].get_ylabel() == "total energy / hartree"
    render(figure, "png", dpi=40)


def test_training_shows_error_variance_and_evaluated_energy_of_each_run():
    runs = [Training("He", seed, _history(), -2.9037, evaluated=(-2.9, 1e-3)) for seed in (1, 2)]
    runs.append(Training("X", 1, _history(3), None))
    figure = training(runs)
    energy, variance, without = figure.axes[:3]
    evaluated = energy.containers[1].lines[0].get_ydata()
    np.testing.assert_allclose(np.asarray(evaluated, float), 3.7)
    assert len(variance.lines) == 2
    np.testing.assert_allclose(variance.lines[0].get_ydata(), 0.02)
    legend = variance.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["seed 1", "seed 2"]
    assert "no reference energy" in _texts(figure)
    assert without.get_title(loc="left") == "X"
    assert "no training history" in _texts(training([]))
    render(figure, "svg")


def test_a_running_median_below_the_reference_leaves_no_gap():
    history = _history().assign(energy=-2.905)  # 1.3 mEh below
    history.loc[300, "energy"] = -1.0  # an outlier is no plateau
    (energy, _) = training([Training("He", 1, history, -2.9037)]).axes
    drawn = np.asarray(energy.lines[0].get_ydata(), float)
    np.testing.assert_allclose(drawn, -1.3, atol=1e-6)
    pixels = energy.transData.transform(np.column_stack([np.zeros(5), [-1.6, -0.8, 0, 0.8, 1.6]]))
    np.testing.assert_allclose(np.diff(pixels[:, 1]), np.diff(pixels[:, 1])[0])  # linear inside
    assert energy.get_ylim()[0] < -1.6 < 1.6 < energy.get_ylim()[1]


def test_many_systems_stand_in_two_columns_and_their_texts_do_not_overlap():
    runs = [Training(f"X{number}", 1, _history(), -2.9037) for number in range(17)]
    runs += [Training("H4", 1, _history(), -2.9037, geometry=f"a{angle}") for angle in range(9)]
    figure = training(runs)
    assert figure.get_figwidth() < 11 and len(figure.axes) == 36
    render(figure, "png", dpi=40)
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    assert not any(
        a.overlaps(b.get_tightbbox()) for a in titles for b in figure.axes[1::2] if a.width
    )


def test_seeds_of_one_wavefunction_share_a_look():
    runs = [
        Training("He", seed, _history(), -2.9037, ansatz=name)
        for name in ("a", "b")
        for seed in (1, 2)
    ]
    figure = training(runs)
    colours = [line.get_color() for line in figure.axes[1].lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    legend = figure.axes[1].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
