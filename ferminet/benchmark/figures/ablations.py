"""The figures of ablations: the effect of determinants, width and depth of the network."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ferminet.benchmark.estimates import GROUP, vmc_groups
from ferminet.benchmark.figures import style as look
from ferminet.benchmark.figures.style import style
from ferminet.benchmark.numbers import geometry_name
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows, group_by
from ferminet.benchmark.tables.formatting import Line
from ferminet.benchmark.tables.systems import system_lines
from ferminet.config.ablations import (
    DETERMINANTS,
    LAYERS,
    WIDTH,
    Settings,
    Variation,
    families,
    flat,
    rest_of,
)
from ferminet.units import CHEMICAL_ACCURACY_MEH

Run = tuple[Line, Settings]  # a line of a table, seeds combined, and the settings of its runs


class Series(NamedTuple):
    """Wavefunctions of one system that differ in one setting, in the order of its values."""

    label: str  # the system, and what distinguishes this series from the others of the system
    values: tuple[Any, ...]
    points: tuple[Line, ...]


@style()
def determinants(rows: Rows, references: References) -> Figure:
    """Draw the correlation energy recovered against the number of determinants."""
    runs, gaps = _runs(rows, references)
    drawn, missing = _complete(_series(runs, DETERMINANTS), "percent")
    if not drawn:
        text = "no runs that differ in the number of determinants alone"
        return look.empty_figure(text, [*missing, *gaps])
    figure = Figure(figsize=(6.6, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, line in enumerate(drawn):
        colour, marker, dash = look.series_look(number)
        axes.errorbar(
            line.values,
            [point["percent"] for point in line.points],
            yerr=[point["percent_error"] for point in line.points],
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
    runs, gaps = _runs(rows, references)
    missing: list[str] = []
    panels = []
    for variation, title in ((WIDTH, "one-electron width"), (LAYERS, "layers")):
        drawn, incomplete = _complete(_series(runs, variation), "difference_mEh")
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
            differences = [point["difference_mEh"] for point in line.points]
            errors = [point["difference_error_mEh"] for point in line.points]
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


def _runs(rows: Rows, references: References) -> tuple[list[Run], list[str]]:
    """Return the wavefunctions with settings, and the names of those without."""
    lines, _ = system_lines(rows, references, "atom", "molecule", "ion", "curve")
    by_key = {tuple(line[name] for name in GROUP): line for line in lines}
    runs, gaps = [], []
    for key, seeds in vmc_groups(rows).items():
        settings = next((s for row in seeds if (s := row.details.settings)), None)
        if settings is None:
            gaps.append(f"{_name(by_key[key])} (its rows do not hold its settings)")
        else:
            runs.append((by_key[key], settings))
    return runs, gaps


def _name(line: Line) -> str:
    return f"{geometry_name(line['system'], line['geometry'])}, {line['ansatz']}"


def _series(runs: Sequence[Run], variation: Variation) -> list[Series]:
    """Return one series for each system and each value of the settings that are not varied."""
    by_system = group_by(runs, lambda run: tuple(run[0][name] for name in GROUP[:3]))
    alone = Variation(variation.key)
    all_series = []
    for (_, *system), members in by_system.items():
        groups = []
        for family in families(members, variation):
            values = {flat(settings)[variation.key] for _, settings in family}
            # Two runs at one value are divided by the settings that may differ too.
            groups += [family] if len(values) == len(family) else families(family, alone)
        rests = [rest_of(group[0][1], alone) for group in groups]
        for group, rest in zip(groups, rests, strict=True):
            pairs = [(flat(settings)[variation.key], line) for line, settings in group]
            values, points = zip(*sorted(pairs, key=lambda pair: pair[0]), strict=True)
            differing = [
                f"{_setting_name(name)} {value}"
                for name, value in rest.items()
                if name not in variation.free and any(r.get(name) != value for r in rests)
            ]
            label = ", ".join([geometry_name(*system), *differing])
            all_series.append(Series(label, values, points))
    return all_series


def _setting_name(key: str) -> str:
    name = key.rpartition(".")[2].replace("_", " ")
    return name.replace("one electron", "one-electron").replace("two electron", "two-electron")


def _complete(all_series: list[Series], column: str) -> tuple[list[Series], list[str]]:
    """Return the series with the points that have a value, and the names of all others."""
    complete, gaps = [], []
    for series in all_series:
        pairs = []
        for value, point in zip(series.values, series.points, strict=True):
            if point[column] is not None:
                pairs.append((value, point))
                continue
            reason = "no reference" if point["difference_mEh"] is None else "no correlation energy"
            if point["energy_hartree"] is None:
                reason = point["status"].replace("_", " ")
            gaps.append(f"{_name(point)} ({reason})")
        if pairs:
            complete.append(Series(series.label, *zip(*pairs, strict=True)))
    return complete, gaps


def _references(drawn: Iterable[Series]) -> str:
    return ", ".join(dict.fromkeys(point["reference"] for line in drawn for point in line.points))


def _values(drawn: Sequence[Series]) -> list[int]:
    return sorted({value for line in drawn for value in line.values})


def _doubling_axis(axes: Axes, drawn: Sequence[Series]) -> None:
    """Make the horizontal axis logarithmic to the base two, with a tick at each value drawn."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(_values(drawn), [str(value) for value in _values(drawn)])
    axes.xaxis.set_minor_locator(NullLocator())
