"""The figures of systems: correlation energy recovered, errors, errors against the cost of runs.

A value that is missing leaves a gap, and the figure names it.
"""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferminet.benchmark.curves import PAPER
from ferminet.benchmark.estimates import ansatz_label, correlation_recovered, hartree_fock_limit
from ferminet.benchmark.figures import style as look
from ferminet.benchmark.figures.style import GREEN, GREY, SERIES_COLOURS, VERMILION, style
from ferminet.benchmark.numbers import difference_meh, geometry_name
from ferminet.benchmark.references import References, disputes
from ferminet.benchmark.schema import EnergyRow, Rows, distinct, vmc_rows
from ferminet.benchmark.tables.formatting import Line, distinct_values, lines_by
from ferminet.benchmark.tables.systems import system_lines
from ferminet.methods import METHODS, SYSTEM_TABLE_METHODS
from ferminet.units import CHEMICAL_ACCURACY_MEH, MEH_PER_HARTREE

_LEAST_MEH = 0.01  # where logarithmic axes of errors end; what is smaller is named, not drawn
# Offsets of a name from its marker, and the room it takes, in points.
_OFFSETS = ((5, 4), (5, -11), (-5, 4), (-5, -11), (5, 14), (-5, 14), (5, -21), (-5, -21))
_WIDE, _HIGH = 28.0, 10.0


@style()
def correlation(rows: Rows, references: References) -> Figure:
    """Draw the correlation energy recovered per system, with the paper's values.

    The upper panel is zoomed so that error bars are visible, the lower one shows the whole scale
    from Hartree-Fock (0 %) to the reference (100 %).
    """
    lines, _ = system_lines(rows, references, "atom", "molecule")
    drawn = [line for line in lines if line["percent"] is not None]
    systems = distinct_values(drawn, "system")
    paper = _paper_percent(drawn, rows, references)
    if not systems:
        return look.empty_figure("no system with a reference energy")
    figure = Figure(figsize=(max(6.0, 2.6 + 0.55 * len(systems)), 5.0), layout="constrained")
    zoom, whole = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for axes in (zoom, whole):
        axes.axhline(100, color=GREY, linewidth=1, linestyle="--", zorder=1)
        _draw_percent(axes, drawn, systems, paper)
    whole.axhline(0, color=GREY, linewidth=1, zorder=1)
    whole.set_ylim(-8, 112)
    whole.set_yticks([0, 50, 100], ["0 (HF)", "50", "100"])
    ends = [line["percent"] + sign * line["percent_error"] for line in drawn for sign in (-1, 1)]
    low = min([*ends, *(value for value, _ in paper.values())])
    high = max([*ends, 100.0])
    margin = 0.08 * max(high - low, 0.5)
    zoom.set_ylim(low - margin, high + margin)
    zoom.set_ylabel("correlation energy recovered / %")
    hundred = ", ".join(distinct_values(drawn, "percent_reference_source"))
    zoom.set_title(f"Correlation energy recovered (100 %: {hundred})", loc="left")
    zoom.legend(loc="lower left")
    look.name_systems(whole, systems)
    training = [line for line in drawn if line["status"] == "unfinished"]
    remark = _remark(unfinished=distinct_values(training, "system"))
    look.annotate_missing(figure, _percent_gaps(lines), remark)
    return figure


def _remark(*, tiny: list[str] | None = None, unfinished: list[str] | None = None) -> str:
    """Return remarks on tiny errors and on unfinished training."""
    texts = [f"Below {_LEAST_MEH} mEh, not drawn: {'; '.join(tiny)}."] if tiny else []
    texts += [f"Training has not finished: {', '.join(unfinished)}."] if unfinished else []
    return " ".join(texts)


def _draw_percent(
    axes: Axes, drawn: list[Line], systems: list[str], paper: dict[str, tuple[float, float]]
) -> None:
    ansaetze = distinct_values(drawn, "ansatz")
    offsets = np.linspace(-0.15, 0.15, len(ansaetze)) if len(ansaetze) > 1 else [0.0]
    for offset, name, colour in zip(offsets, ansaetze, SERIES_COLOURS, strict=False):
        lines = [line for line in drawn if line["ansatz"] == name]
        axes.errorbar(
            [systems.index(line["system"]) + offset for line in lines],
            [line["percent"] for line in lines],
            yerr=[line["percent_error"] for line in lines],
            fmt="o",
            color=colour,
            label=f"{ansatz_label(name)}, this work",
        )
    if paper:
        percent, error = zip(*paper.values(), strict=True)
        axes.errorbar(
            [systems.index(system) + 0.3 for system in paper],
            percent,
            yerr=error,
            fmt="D",
            color=VERMILION,
            markerfacecolor="white",
            label="FermiNet, paper",
        )


def _paper_percent(
    drawn: list[Line], rows: Rows, references: References
) -> dict[str, tuple[float, float]]:
    """Return percentage and error of the paper's energies, between the end points of ours."""
    percents = {}
    for line in drawn:
        geometry_key = (line["system"], line["geometry"])
        paper = references.lookup(*geometry_key, PAPER)
        if paper is None:
            continue
        same_geometry = [row for row in rows if row.geometry_key == geometry_key]
        recovered = correlation_recovered(
            paper.energy,
            paper.uncertainty,
            line["n_electrons"],
            hartree_fock_limit(same_geometry, references, *geometry_key),
            references.best(*geometry_key),
        )
        if recovered.percent is not None:
            percents[line["system"]] = (recovered.percent, recovered.error or 0.0)
    return percents


def _percent_gaps(lines: list[Line]) -> list[str]:
    gaps = []
    for line in lines:
        if line["percent"] is not None:
            continue
        name, reason = line["system"], "no reference"
        if line["energy_hartree"] is None:
            name += f", {ansatz_label(line['ansatz'])}" if line["ansatz"] else ""
            reason = line["status"].replace("_", " ")
        elif line["n_electrons"] < 2:
            reason = "no correlation energy"
        gaps.append(f"{name} ({reason})")
    return gaps


@style()
def errors(rows: Rows, references: References) -> Figure:
    """Draw the absolute error against the exact energy per system and method, logarithmic.

    An open marker means that the energy lies below the exact one. Error bars are those of sampling
    and of the reference. Errors below 0.01 mEh are named, not drawn.
    """
    lines, _ = system_lines(rows, references, "atom", "molecule")
    with_exact = [line for line in lines if line["exact_hartree"] is not None]
    systems = distinct_values(with_exact, "system")
    without = [name for name in distinct_values(lines, "system") if name not in systems]
    gaps = [f"{name} (no exact energy)" for name in without]
    if not systems:
        return look.empty_figure("no system with an exact energy")
    tiny: list[str] = []
    figure = Figure(figsize=(max(6.6, 3.2 + 0.7 * len(systems)), 4.2), layout="constrained")
    axes = figure.subplots()
    methods = _error_series(with_exact)
    for number, (label, series, key, colour, marker) in enumerate(methods):
        x = np.array([systems.index(line["system"]) for line in series], float)
        x += 0.14 * (number - (len(methods) - 1) / 2)
        difference, error = _difference(series, key)
        for line, value in zip(series, difference, strict=True):
            if np.isnan(value) and key != "paper":
                gaps.append(f"{line['system']}, {label}")
            elif abs(value) < _LEAST_MEH:
                tiny.append(f"{line['system']}, {label}")
        difference[np.abs(difference) < _LEAST_MEH] = np.nan
        look.draw_errors(axes, x, difference, error, (colour, marker, "-"), label)
    axes.set_yscale("log")
    axes.set_ylim(bottom=_LEAST_MEH)
    axes.axhspan(_LEAST_MEH, CHEMICAL_ACCURACY_MEH, color=GREEN, alpha=0.10, linewidth=0)
    axes.set_ylabel("|E − E(exact)| / mEh")  # noqa: RUF001
    axes.set_title("Error against the exact energy (open: below it)", loc="left")
    look.name_systems(axes, systems)
    axes.grid(axis="x", visible=False)
    axes.annotate(
        "within 1.6 mEh (1 kcal/mol)", (0.0, CHEMICAL_ACCURACY_MEH), ha="left", va="top",
        xycoords=("axes fraction", "data"), fontsize=8, color=GREEN, xytext=(3, -2),
        textcoords="offset points",
    )  # fmt: skip
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
    exact = [references.best(line["system"], line["geometry"]) for line in with_exact]
    look.annotate_missing(figure, gaps, " ".join([_remark(tiny=tiny), *disputes(exact)]).strip())
    return figure


def _error_series(lines: list[Line]) -> list[tuple[str, list[Line], str, str, str]]:
    """Return label, lines, column prefix, colour and marker of each series of `errors`."""
    single = [group[0] for group in lines_by(lines, "system").values()]
    series = []
    for name in SYSTEM_TABLE_METHODS:
        method, bases = METHODS[name], distinct_values(single, f"{name}_basis")
        label = f"{method.label}/{bases[0]}" if len(bases) == 1 else method.label
        series.append((label, single, name, look.PALETTE[method.look.colour], method.look.marker))
    series.append(("FermiNet, paper", single, "paper", VERMILION, "D"))
    ours = zip(lines_by(lines, "ansatz").items(), SERIES_COLOURS, strict=False)
    return series + [
        (f"{ansatz_label(name)}, this work", group, "energy", colour, "o")
        for ((name,), group), colour in ours
        if name
    ]


def _difference(lines: list[Line], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a method's differences to the exact energies and their errors, (n,), in mEh."""
    names = (f"{key}_error_hartree", f"{key}_uncertainty_hartree", "exact_uncertainty_hartree")
    energies = np.array([line[f"{key}_hartree"] for line in lines], float)  # None becomes NaN
    exact = np.array([line["exact_hartree"] for line in lines], float)
    error = [math.hypot(*(line.get(name) or 0.0 for name in names)) for line in lines]
    return MEH_PER_HARTREE * (energies - exact), MEH_PER_HARTREE * np.array(error)


class _Cost(NamedTuple):
    """A run that can be drawn: its device-hours, and its difference and error in mEh."""

    row: EnergyRow
    hours: float
    difference: float
    error: float


@style()
def cost(rows: Rows, references: References) -> Figure:
    """Draw error against device-hours, one marker per run, and name the systems."""
    sampled = vmc_rows(rows)
    ansaetze = distinct(sampled, "ansatz")
    costs, gaps, tiny = _costs(sampled, references)
    if not costs:
        return look.empty_figure("no run with a reference energy and a time", gaps)
    figure = Figure(figsize=(8.0, max(4.2, 1.6 + 0.22 * len(ansaetze))), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(ansaetze):
        if drawn := [run for run in costs if run.row.ansatz == name]:
            _, hours, difference, error = zip(*drawn, strict=True)
            series_look = look.series_look(number)
            look.draw_errors(axes, hours, difference, error, series_look, ansatz_label(name))
    axes.set_xscale("log")
    axes.set_yscale("log")
    smallest = min(abs(run.difference) for run in costs)
    look.shade_accuracy(axes, max(_LEAST_MEH, min(0.6 * smallest, 0.8 * CHEMICAL_ACCURACY_MEH)))
    look.plain_log_axis(axes.xaxis)
    look.plain_log_axis(axes.yaxis)
    _name_systems(axes, costs)
    axes.set_xlabel("training and evaluation / device-hours")
    axes.set_ylabel("|E − E(reference)| / mEh")  # noqa: RUF001
    systems = distinct(sampled, "system")
    of = f" of {systems[0]}" if len(systems) == 1 else ""
    axes.set_title(f"Error{of} against cost, each run (open: below the reference)", loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
    drawn = [run.row for run in costs]
    unfinished = distinct((row for row in drawn if row.status == "unfinished"), "system")
    remark = _remark(tiny=tiny, unfinished=unfinished)
    if len(devices := distinct(drawn, "device")) > 1:
        remark += f" Devices, whose hours do not compare: {', '.join(devices)}."
    look.annotate_missing(figure, gaps, remark.strip())
    return figure


def _costs(sampled: Rows, references: References) -> tuple[list[_Cost], list[str], list[str]]:
    """Return the runs that can be drawn, the gaps, and the runs whose error is too small."""
    costs, gaps, tiny = [], [], []
    for row in sampled:
        name = f"{geometry_name(*row.geometry_key)}, {ansatz_label(row.ansatz or '')}"
        best = references.best(*row.geometry_key)
        hours = (row.wall_s or 0.0) * (row.details.devices or 1) / 3600
        if row.energy is None:
            gaps.append(f"{name}, seed {row.seed} ({row.status.replace('_', ' ')})")
        elif best is None:
            gaps.append(f"{name} (no reference)")
        elif hours <= 0:
            gaps.append(f"{name}, seed {row.seed} (no time)")
        else:
            difference, error = difference_meh(row.energy, row.stderr, best)
            if abs(difference) < _LEAST_MEH:
                tiny.append(f"{name}, seed {row.seed}")
            else:
                costs.append(_Cost(row, hours, difference, error))
    return costs, gaps, tiny


def _name_systems(axes: Axes, costs: list[_Cost]) -> None:
    """Write each system's name next to its first run, if there is more than one system."""
    first = {run.row.system: run for run in reversed(costs)}
    if len(first) < 2:
        return
    taken: list[tuple[float, float]] = []
    for system in dict.fromkeys(run.row.system for run in costs):
        point = first[system].hours, abs(first[system].difference)
        x, y = axes.transData.transform(point)
        for dx, dy in _OFFSETS:
            spot = (x + dx, y + dy)
            if all(abs(spot[0] - a) > _WIDE or abs(spot[1] - b) > _HIGH for a, b in taken):
                taken.append(spot)
                axes.annotate(
                    system, point, xytext=(dx, dy), textcoords="offset points", fontsize=8,
                    color=GREY, ha="left" if dx > 0 else "right",
                )  # fmt: skip
                break
