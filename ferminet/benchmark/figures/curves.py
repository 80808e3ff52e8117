"""The figures of curves: energies along the parameter and differences to the best reference."""

import contextlib
import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferminet.benchmark.curves import (
    H4_ENDS,
    Series,
    best_quantity,
    curve_parameters,
    curve_series,
    parameter_title,
)
from ferminet.benchmark.figures import style as look
from ferminet.benchmark.figures.style import BLACK, GREEN, ORANGE, PURPLE, SKY, VERMILION, style
from ferminet.benchmark.references import References, quantity_label, reference_notes
from ferminet.benchmark.registry import H4
from ferminet.benchmark.schema import Rows
from ferminet.methods import METHODS
from ferminet.units import CHEMICAL_ACCURACY_MEH, MEH_PER_HARTREE

_SAMPLED_COLOURS = (look.BLUE, SKY, PURPLE, look.YELLOW)
# Colour, line style and marker: methods differ in all three, so that they differ in grey too.
_LOOKS = {
    "fci_cbs": (BLACK, "-", ""),
    "exact": (BLACK, "-", ""),
    "mlr4_6_8": (BLACK, "-", ""),
    "mlr3_9": (look.GREY, "--", ""),
    "mrci_q_f12_cbs": (BLACK, "-", ""),
    "ccsd_t_cbs": (ORANGE, "-", ""),
    "uccsd_t_cbs": (PURPLE, "-", ""),
    "afqmc_cbs": (SKY, "-.", ""),
    "r12_mr_acpf": (GREEN, "-.", ""),
    "ferminet_paper": (VERMILION, "", "D"),
}
_Points = dict[float, tuple[float, float]]  # energy and its error by parameter


@style()
def curve(system: str, rows: Rows, references: References) -> Figure:
    """Draw a curve: energies above, differences to the best reference below.

    The upper panel of H4 shows each method relative to its own mean of 85 and 95 degrees, because
    in a finite basis the curves lie tens of mEh higher while the question is their shape. The lower
    panel shows what is comparable with the reference; it names the series outside its range.
    """
    parameters = curve_parameters(system, rows)
    if not parameters:
        return look.empty_figure(f"no energy of {system} yet")
    all_series = curve_series(system, rows, references)
    series = [each for each in all_series if each.kind != "published" or each.name in _LOOKS]
    best = best_quantity(system, rows, references)
    low, high = H4_ENDS
    figure = Figure(figsize=(7.2, 6.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    gaps: list[str] = []
    title = f"{system}: energies along the curve"
    if system == H4:
        gaps = _draw_shapes(upper, series, parameters)
        upper.set_ylabel(f"E − ½[E({low[1:]}°) + E({high[1:]}°)] / mEh")  # noqa: RUF001
        title += f", relative to the method's own mean of {low[1:]}° and {high[1:]}°"
    else:
        for number, each in enumerate(series):
            _draw(upper, each, number, _points(each, parameters), 1.0, parameters)
        upper.set_ylabel("total energy / hartree")
    upper.set_title(title, loc="left")
    if best is None:
        look.annotate_empty(lower, "no reference energy for this curve")
    else:
        _draw_differences(lower, series, best, parameters)
    lower.set_xlabel(parameter_title(system, rows))
    _legend_of_both(upper, lower)
    gaps += [
        f"{each.label} at {geometry} ({(point.reason or point.status) if point else 'not run'})"
        for each in series
        if each.kind != "published"
        for geometry in parameters
        if (point := each.points.get(geometry)) is None or point.energy is None
    ]
    notes = reference_notes(references.lookup(system, x, best or "") for x in parameters)
    look.annotate_missing(figure, gaps, " ".join([_unfinished(series, parameters), *notes]).strip())
    return figure


def _draw_shapes(axes: Axes, series: list[Series], parameters: dict[str, float]) -> list[str]:
    """Draw H4 relative to the mean of 85 and 95 degrees, which are the same molecule."""
    gaps = []
    low, high = H4_ENDS
    for number, each in enumerate(series):
        if each.name.startswith("hf"):
            continue  # the cusp of restricted Hartree-Fock would flatten all others
        energies = [each.points[end].energy for end in (low, high) if end in each.points]
        ends = [energy for energy in energies if energy is not None]
        if len(ends) < 2:
            gaps.append(f"{each.label} in the upper panel (no energy at {low} and {high})")
            continue
        mean = sum(ends) / 2
        points = {x: (e - mean, error) for x, (e, error) in _points(each, parameters).items()}
        _draw(axes, each, number, points, MEH_PER_HARTREE, parameters)
    return gaps


def _unfinished(series: list[Series], parameters: dict[str, float]) -> str:
    """Return a sentence that names the points that are means over the end of training."""
    values = ", ".join(
        dict.fromkeys(
            f"{parameters[label]:g}"
            for each in series
            for label, point in each.points.items()
            if point.status == "unfinished" and label in parameters
        )
    )
    return f"Training has not finished at {values}." if values else ""


def _legend_of_both(upper: Axes, lower: Axes) -> None:
    """Add one legend next to the upper panel; series of the lower panel alone come last."""
    entries = {}
    for axes in (upper, lower):
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    position = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
    upper.legend(list(entries.values()), list(entries), **position)


def _points(series: Series, parameters: dict[str, float]) -> _Points:
    """Return the points that have an energy, in the order of the parameter.

    Published curves have points between and beyond the geometries of the study, too.
    """
    points = {}
    for geometry, point in series.points.items():
        value = parameters.get(geometry)
        if value is None and series.kind == "published":
            with contextlib.suppress(ValueError):  # labels such as a86 or r2.0680
                value = float(geometry[1:])
        if value is not None and point.energy is not None:
            points[value] = (point.energy, point.error or 0.0)
    return dict(sorted(points.items()))


def _look(series: Series, number: int) -> tuple[str, str, str]:
    if series.kind == "vmc":
        return _SAMPLED_COLOURS[number % len(_SAMPLED_COLOURS)], "", "o"
    if series.kind == "published":
        return _LOOKS[series.name]
    method = METHODS[max((name for name in METHODS if series.name.startswith(name)), key=len)]
    own = method.uhf_look if "_uhf_" in series.name and method.uhf_look else method.look
    return look.PALETTE[own.colour], own.line, own.marker


def _draw(
    axes: Axes,
    series: Series,
    number: int,
    points: _Points,
    scale: float,
    parameters: dict[str, float],
) -> None:
    """Draw one series; where the study has a geometry without energy, the line breaks."""
    colour, line, marker = _look(series, number)
    sampled, published = series.kind == "vmc", series.kind == "published"
    reference = published and colour == BLACK
    x = np.array(sorted({*points, *(() if published else parameters.values())}))
    energy, error = scale * np.array([points.get(value, (math.nan, 0.0)) for value in x]).T
    axes.errorbar(
        x,
        energy,
        yerr=error if sampled else None,
        color=colour,
        linestyle=line or "none",
        linewidth=4.0 if reference else 1.4,
        alpha=0.3 if reference else 0.45 if series.in_smaller_basis else 1.0,
        marker=marker,
        markersize=8 if series.name.startswith("fci_") else 5.5,
        markerfacecolor=colour if sampled else "none",
        label=f"{series.label}, this work" if sampled else series.label,
        zorder=4 if sampled else 3,
    )


def _draw_differences(
    axes: Axes, series: list[Series], best: str, parameters: dict[str, float]
) -> None:
    reference = next(each for each in series if each.name == best and each.kind == "published")
    base = {x: energy for x, (energy, _) in _points(reference, parameters).items()}
    accuracy = CHEMICAL_ACCURACY_MEH
    axes.axhspan(-accuracy, accuracy, color=GREEN, alpha=0.12, linewidth=0)
    axes.axhline(0, color=BLACK, linewidth=1.2)
    ranges: dict[str, tuple[float, float]] = {}
    low_limit, high_limit = -2 * accuracy, 2 * accuracy
    for number, each in enumerate(series):
        points = _points(each, parameters)
        values = {x: (e - base[x], error) for x, (e, error) in points.items() if x in base}
        if each is reference or not values:
            continue
        _draw(axes, each, number, values, MEH_PER_HARTREE, parameters)
        differences = [MEH_PER_HARTREE * difference for difference, _ in values.values()]
        low, high = ranges[each.label] = min(differences), max(differences)
        if each.kind == "vmc" or each.name == "ferminet_paper":
            low_limit, high_limit = min(low_limit, 1.25 * low), max(high_limit, 1.25 * high)
    axes.set_ylim(low_limit, high_limit)
    outside = [
        label + f": {low:.1f} to {high:.1f}".replace("-", "−")  # noqa: RUF001
        for label, (low, high) in ranges.items()
        if low < low_limit or high > high_limit
    ]
    if outside:
        axes.text(
            1.01, 1.0, "outside this panel (mEh):\n" + "\n".join(outside), fontsize=8,
            color=look.GREY, transform=axes.transAxes, va="top",
        )  # fmt: skip
    axes.set_ylabel(f"E − {quantity_label(best)} / mEh")  # noqa: RUF001
