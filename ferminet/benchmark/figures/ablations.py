"""The figures of ablations: the effect of determinants, width and depth of the network."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ferminet.benchmark.ablations import Line, ablation_lines, measure
from ferminet.benchmark.figures import style as look
from ferminet.benchmark.figures.style import style
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows
from ferminet.config.ablations import DETERMINANTS, LAYERS, WIDTH
from ferminet.units import CHEMICAL_ACCURACY_MEH


@style()
def determinants(rows: Rows, references: References) -> Figure:
    """Draw the correlation energy recovered against the number of determinants."""
    measured, gaps = measure(rows, references)
    drawn, missing = _complete(ablation_lines(measured, DETERMINANTS), "percent")
    if not drawn:
        text = "no runs that differ in the number of determinants alone"
        return look.empty_figure(text, [*missing, *gaps])
    figure = Figure(figsize=(6.6, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, line in enumerate(drawn):
        colour, marker, dash = look.series_look(number)
        axes.errorbar(
            line.values,
            [point.percent or 0.0 for point in line.points],
            yerr=[point.percent_error for point in line.points],
            fmt=marker + dash,
            color=colour,
            label=line.label,
        )
    axes.axhline(100, color=look.GREY, linewidth=1, linestyle="--", zorder=1)
    _doubling_axis(axes, drawn)
    axes.set_xlabel("determinants")
    axes.set_ylabel("correlation energy recovered / %")
    axes.set_title(f"Number of determinants (100 %: {_references(drawn)})", loc="left")
    axes.legend(loc="best")
    look.annotate_missing(figure, [*missing, *gaps])
    return figure


@style()
def width(rows: Rows, references: References) -> Figure:
    """Draw the error against the width of the one-electron stream, and against its depth."""
    measured, gaps = measure(rows, references)
    missing: list[str] = []
    panels = []
    for variation, title in ((WIDTH, "one-electron width"), (LAYERS, "layers")):
        drawn, incomplete = _complete(ablation_lines(measured, variation), "difference")
        missing += incomplete
        if drawn:
            panels.append((title, drawn))
    if not panels:
        text = "no runs that differ in width or depth of the network alone"
        return look.empty_figure(text, [*missing, *gaps])
    figure = Figure(figsize=(2.2 + 3.6 * len(panels), 4.2), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True).ravel()
    for axes, (title, drawn) in zip(grid, panels, strict=True):
        for number, line in enumerate(drawn):
            differences = [point.difference or 0.0 for point in line.points]
            errors = [point.difference_error for point in line.points]
            line_look = look.series_look(number)
            look.draw_errors(
                axes, line.values, differences, errors, line_look, line.label, joined=True
            )
        if title == "layers":
            axes.set_xticks(_values(drawn))
        else:
            _doubling_axis(axes, drawn)
        axes.set_xlabel(title)
        axes.legend(loc="best")
    # After all panels are drawn, which share this axis.
    grid[0].set_yscale("log")
    for axes in grid:
        look.shade_accuracy(axes, min(axes.get_ylim()[0], 0.8 * CHEMICAL_ACCURACY_MEH))
    look.plain_log_axis(grid[0].yaxis)
    reference = _references(line for _, drawn in panels for line in drawn)
    grid[0].set_ylabel("|E − E(reference)| / mEh")  # noqa: RUF001
    grid[0].set_title(f"Size of the network (reference: {reference})", loc="left")
    look.annotate_missing(figure, [*missing, *gaps])
    return figure


def _complete(lines: Sequence[Line], quantity: str) -> tuple[list[Line], list[str]]:
    """Return the lines with the points that have the quantity, and the names of all others."""
    complete, gaps = [], []
    for line in lines:
        pairs = []
        for value, point in zip(line.values, line.points, strict=True):
            if getattr(point, quantity) is not None:
                pairs.append((value, point))
            else:
                reason = point.reason or "no correlation energy"
                gaps.append(f"{point.geometry_name}, {point.ansatz} ({reason})")
        if pairs:
            values, points = zip(*pairs, strict=True)
            complete.append(Line(line.label, list(values), list(points)))
    return complete, gaps


def _references(drawn: Iterable[Line]) -> str:
    return ", ".join(dict.fromkeys(point.reference for line in drawn for point in line.points))


def _values(drawn: Sequence[Line]) -> list[int]:
    return sorted({value for line in drawn for value in line.values})


def _doubling_axis(axes: Axes, drawn: Sequence[Line]) -> None:
    """Make the horizontal axis logarithmic to the base two, with a tick at each value drawn."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(_values(drawn), [str(value) for value in _values(drawn)])
    axes.xaxis.set_minor_locator(NullLocator())
