"""The figures of curves: energies along the parameter and differences to the best reference."""

import math

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferminet.benchmark.curves import (
    H4_CURVATURE,
    Series,
    best_quantity,
    curve_parameters,
    curve_series,
    parameter_title,
)
from ferminet.benchmark.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    PURPLE,
    SKY,
    VERMILION,
    YELLOW,
    annotate_empty,
    annotate_missing,
    style,
)
from ferminet.benchmark.references import References, quantity_label
from ferminet.benchmark.registry import H4
from ferminet.benchmark.schema import Rows
from ferminet.methods import METHODS
from ferminet.units import CHEMICAL_ACCURACY_MEH, MEH_PER_HARTREE

_SAMPLED_COLOURS = (BLUE, SKY, PURPLE, YELLOW)
# Colour, line style and marker: methods differ in all three, so that they differ in grey too.
_LOOKS = {
    "fci_cbs": (BLACK, "-", ""),
    "exact": (BLACK, "-", ""),
    "mrci_q_f12_cbs": (BLACK, "-", ""),
    "ccsd_t_cbs": (ORANGE, "-", ""),
    "uccsd_t_cbs": (PURPLE, "-", ""),
    "afqmc_cbs": (SKY, "-.", ""),
    "r12_mr_acpf": (GREEN, "-.", ""),
    "ferminet_paper": (VERMILION, "", "D"),
}


def curve(system: str, rows: Rows, references: References) -> Figure:
    """Draw a curve: energies above, differences to the best reference below.

    The upper panel of H4 shows each method relative to its own mean of 85 and 95 degrees, because
    in a finite basis the curves lie tens of mEh higher while the question is their shape. The lower
    panel shows what is comparable with the reference; series outside of it are named in it.

    Args:
        system: name of the curve.
        rows: rows of results.
        references: published energies.
    """
    parameters = curve_parameters(system, rows)
    if not parameters:
        return _empty(system)
    series = [s for s in curve_series(system, rows, references) if _is_drawn(s)]
    best = best_quantity(system, rows, references)
    relative = system == H4
    gaps: list[str] = []
    with style():
        figure = Figure(figsize=(7.2, 6.4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        for number, one in enumerate(series):
            if relative and one.name.startswith("hf"):
                continue  # the cusp of restricted Hartree-Fock would flatten all others
            anchor = _anchor(one) if relative else 0.0
            if anchor is None:
                ends = f"{H4_CURVATURE[0]} and {H4_CURVATURE[2]}"
                gaps.append(f"{one.label} in the upper panel (no energy at {ends})")
                continue
            points = _points(one, parameters, one.kind == "published")
            values = {x: (energy - anchor, error) for x, (energy, error) in points.items()}
            scale = MEH_PER_HARTREE if relative else 1.0
            _draw(upper, one, number, values, scale, parameters)
        gaps += _gaps(series, parameters)
        if best is None:
            annotate_empty(lower, "no reference energy for this curve")
        else:
            _draw_differences(lower, series, best, parameters)
        lower.set_xlabel(parameter_title(system, rows))
        low, high = H4_CURVATURE[0][1:], H4_CURVATURE[2][1:]
        upper.set_ylabel(
            f"E − ½[E({low}°) + E({high}°)] / mEh" if relative else "total energy / hartree"  # noqa: RUF001
        )
        shape = f", relative to the method's own mean of {low}° and {high}°" if relative else ""
        upper.set_title(f"{system}: energies along the curve{shape}", loc="left")
        _legend_of_both(upper, lower)
        annotate_missing(figure, gaps, _unfinished(series, parameters))
    return figure


def _unfinished(series: list[Series], parameters: dict[str, float]) -> str:
    """Return what a reader must know of points that are means over the end of training."""
    places = {
        label: None
        for one in series
        for label, point in one.points.items()
        if point.status == "unfinished" and label in parameters
    }
    values = ", ".join(f"{parameters[label]:g}" for label in places)
    return f"Training has not finished at {values}." if values else ""


def _empty(system: str) -> Figure:
    with style():
        figure = Figure(figsize=(7.2, 3.0), layout="constrained")
        annotate_empty(figure.subplots(), f"no energy of {system} yet")
        return figure


def _legend_of_both(upper: Axes, lower: Axes) -> None:
    """Add one legend next to the upper panel; series of the lower panel alone come last."""
    entries: dict[str, Artist] = {}
    for axes in (upper, lower):
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    upper.legend(
        list(entries.values()),
        list(entries),
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
    )


def _is_drawn(series: Series) -> bool:
    return series.kind != "published" or series.name in _LOOKS


def _anchor(series: Series) -> float | None:
    """Return the mean energy at 85 and 95 degrees, which are the same molecule."""
    ends = [series.points.get(label) for label in (H4_CURVATURE[0], H4_CURVATURE[2])]
    energies = [end.energy for end in ends if end is not None and end.energy is not None]
    return sum(energies) / 2 if len(energies) == 2 else None


def _points(
    series: Series, parameters: dict[str, float], beyond: bool
) -> dict[float, tuple[float, float]]:
    """Return energy and error by parameter, in its order; gaps are left out.

    Args:
        series: what is drawn.
        parameters: parameter by label of the geometry, of the study.
        beyond: also points between and beyond the study's geometries, of published curves.
    """
    found = {}
    for geometry, point in series.points.items():
        value = parameters.get(geometry)
        if value is None and beyond:
            value = _parameter_of(geometry)
        if value is not None and point.energy is not None:
            found[value] = (point.energy, point.error or 0.0)
    return dict(sorted(found.items()))


def _parameter_of(geometry: str) -> float | None:
    """Reads the parameter out of a label such as a86 or r2.0680."""
    try:
        return float(geometry[1:])
    except ValueError:
        return None


def _look(series: Series, number: int) -> tuple[str, str, str]:
    if series.kind == "vmc":
        return _SAMPLED_COLOURS[number % len(_SAMPLED_COLOURS)], "", "o"
    if series.kind == "published":
        return _LOOKS[series.name]
    method = METHODS[max((name for name in METHODS if series.name.startswith(name)), key=len)]
    look = method.uhf_look if "_uhf_" in series.name and method.uhf_look else method.look
    return PALETTE[look.colour], look.line, look.marker


def _draw(
    axes: Axes,
    series: Series,
    number: int,
    values: dict[float, tuple[float, float]],
    scale: float,
    parameters: dict[str, float],
) -> None:
    """Draw one series; where the study has a geometry without energy, the line breaks."""
    colour, line, marker = _look(series, number)
    reference = series.kind == "published" and colour == BLACK
    missing = [] if series.kind == "published" else [
        value for geometry, value in parameters.items() if value not in values
    ]  # fmt: skip
    x = np.array(sorted([*values, *missing]))
    energy = np.array([values.get(value, (math.nan, 0.0))[0] for value in x]) * scale
    error = np.array([values.get(value, (math.nan, 0.0))[1] for value in x]) * scale
    axes.errorbar(
        x,
        energy,
        yerr=error if series.kind == "vmc" else None,
        color=colour,
        linestyle=line or "none",
        linewidth=4.0 if reference else 1.4,
        alpha=0.3 if reference else 0.45 if series.in_smaller_basis else 1.0,
        marker=marker,
        markersize=8 if series.name.startswith("fci_") else 5.5,
        markerfacecolor="none" if series.kind != "vmc" else colour,
        label=f"{series.label}, this work" if series.kind == "vmc" else series.label,
        zorder=4 if series.kind == "vmc" else 3,
    )


def _draw_differences(
    axes: Axes, series: list[Series], best: str, parameters: dict[str, float]
) -> None:
    reference = next(one for one in series if one.name == best and one.kind == "published")
    base = {x: energy for x, (energy, _) in _points(reference, parameters, True).items()}
    accuracy = CHEMICAL_ACCURACY_MEH
    axes.axhspan(-accuracy, accuracy, color=GREEN, alpha=0.12, linewidth=0)
    axes.axhline(0, color=BLACK, linewidth=1.2)
    ranges: dict[str, tuple[float, float]] = {}
    low_limit, high_limit = -2 * accuracy, 2 * accuracy
    for number, one in enumerate(series):
        if one is reference:
            continue
        points = _points(one, parameters, one.kind == "published")
        values = {x: (e - base[x], error) for x, (e, error) in points.items() if x in base}
        if not values:
            continue
        _draw(axes, one, number, values, MEH_PER_HARTREE, parameters)
        extremes = [MEH_PER_HARTREE * difference for difference, _ in values.values()]
        ranges[one.label] = (min(extremes), max(extremes))
        if one.kind == "vmc" or one.name == "ferminet_paper":
            low_limit = min(low_limit, 1.25 * min(extremes))
            high_limit = max(high_limit, 1.25 * max(extremes))
    axes.set_ylim(low_limit, high_limit)
    outside = [
        label + f": {low:.1f} to {high:.1f}".replace("-", "−")  # noqa: RUF001
        for label, (low, high) in ranges.items()
        if low < low_limit or high > high_limit
    ]
    if outside:
        axes.text(
            1.01, 1.0, "outside this panel (mEh):\n" + "\n".join(outside), fontsize=8, color=GREY,
            transform=axes.transAxes, va="top",
        )  # fmt: skip
    axes.set_ylabel(f"E − {quantity_label(best)} / mEh")  # noqa: RUF001


def _gaps(series: list[Series], parameters: dict[str, float]) -> list[str]:
    gaps = []
    for one in series:
        if one.kind == "published":
            continue
        for geometry in parameters:
            point = one.points.get(geometry)
            if point is None or point.energy is None:
                why = "not run" if point is None else point.reason or point.status
                gaps.append(f"{one.label} at {geometry} ({why})")
    return gaps
