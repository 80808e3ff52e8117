"""The figures of ablations: what determinants, width and depth of the network are worth."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ferminet.benchmark.ablations import Line, ablation_lines, measure
from ferminet.benchmark.figures.style import (
    GREEN,
    GREY,
    annotate_empty,
    annotate_missing,
    draw_errors,
    plain_log_axis,
    series_look,
    style,
)
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows
from ferminet.config.ablations import DETERMINANTS, LAYERS, WIDTH
from ferminet.units import CHEMICAL_ACCURACY_MEH


def determinants(rows: Rows, references: References) -> Figure:
    """Draw the correlation energy recovered against the number of determinants."""
    measured, gaps = measure(rows, references)
    found = ablation_lines(measured, DETERMINANTS)
    drawn, missing = _complete(found, percent=True)
    with style():
        figure = Figure(figsize=(6.6, 4.2), layout="constrained")
        axes = figure.subplots()
        if not drawn:
            annotate_empty(axes, "no runs that differ in the number of determinants alone")
        for number, line in enumerate(drawn):
            colour, marker, dash = series_look(number)
            axes.errorbar(
                line.values,
                [one.percent or 0.0 for one in line.points],
                yerr=[one.percent_error for one in line.points],
                fmt=marker + dash,
                color=colour,
                label=line.label,
            )
        if drawn:
            axes.axhline(100, color=GREY, linewidth=1, linestyle="--", zorder=1)
            _doubling_axis(axes, drawn)
            axes.set_xlabel("determinants")
            axes.set_ylabel("correlation energy recovered / %")
            axes.set_title(f"Number of determinants (100 %: {_hundred(drawn)})", loc="left")
            axes.legend(loc="best")
        annotate_missing(figure, [*missing, *gaps])
    return figure


def width(rows: Rows, references: References) -> Figure:
    """Draw the error against the width of the one-electron stream, and against its depth."""
    measured, gaps = measure(rows, references)
    missing: list[str] = []
    panels = []
    for variation in (WIDTH, LAYERS):
        drawn, more = _complete(ablation_lines(measured, variation), percent=False)
        missing += more
        if drawn:
            panels.append((variation, drawn))
    with style():
        figure = Figure(figsize=(2.2 + 3.6 * max(1, len(panels)), 4.2), layout="constrained")
        grid = figure.subplots(1, max(1, len(panels)), squeeze=False, sharey=bool(panels)).ravel()
        if not panels:
            annotate_empty(grid[0], "no runs that differ in width or depth of the network alone")
        for axes, (variation, drawn) in zip(grid, panels, strict=False):
            for number, line in enumerate(drawn):
                draw_errors(
                    axes,
                    line.values,
                    [one.difference or 0.0 for one in line.points],
                    [one.difference_error for one in line.points],
                    series_look(number),
                    line.label,
                    joined=True,
                )
            if variation is WIDTH:
                _doubling_axis(axes, drawn)
            else:
                axes.set_xticks(sorted({value for line in drawn for value in line.values}))
            axes.set_xlabel("one-electron width" if variation is WIDTH else "layers")
            axes.legend(loc="best")
        if panels:
            # After all panels are drawn, which share this axis.
            grid[0].set_yscale("log")
            _mark_accuracy(grid)
            plain_log_axis(grid[0].yaxis)
            hundred = _hundred([line for _, drawn in panels for line in drawn])
            grid[0].set_ylabel("|E − E(reference)| / mEh")  # noqa: RUF001
            grid[0].set_title(f"Size of the network (reference: {hundred})", loc="left")
        annotate_missing(figure, [*missing, *gaps])
    return figure


def _complete(found: Sequence[Line], *, percent: bool) -> tuple[list[Line], list[str]]:
    """Return the lines with the points that have a value, and the names of all others."""
    kept, gaps = [], []
    for line in found:
        pairs = list(zip(line.values, line.points, strict=True))
        known = [p for p in pairs if (p[1].percent if percent else p[1].difference) is not None]
        gaps += [
            f"{one.place}, {one.ansatz} ({one.reason or 'no correlation energy'})"
            for value, one in pairs
            if (value, one) not in known
        ]
        if known:
            kept.append(Line(line.label, [v for v, _ in known], [one for _, one in known]))
    return kept, gaps


def _hundred(drawn: Sequence[Line]) -> str:
    return ", ".join(dict.fromkeys(one.reference for line in drawn for one in line.points))


def _doubling_axis(axes: Axes, drawn: Sequence[Line]) -> None:
    """Make the horizontal axis logarithmic to the base two, with a tick at each value drawn."""
    values = sorted({value for line in drawn for value in line.values})
    axes.set_xscale("log", base=2)
    axes.set_xticks(values, [str(value) for value in values])
    axes.xaxis.set_minor_locator(NullLocator())


def _mark_accuracy(grid: Iterable[Axes]) -> None:
    """Shade what is within chemical accuracy, in panels that share their vertical axis."""
    for axes in grid:
        bottom, top = axes.get_ylim()
        bottom = min(bottom, 0.8 * CHEMICAL_ACCURACY_MEH)
        axes.axhspan(bottom, CHEMICAL_ACCURACY_MEH, color=GREEN, alpha=0.10, linewidth=0)
        axes.set_ylim(bottom, max(top, 1.5 * CHEMICAL_ACCURACY_MEH))
