"""The figures of systems at one geometry: correlation energy recovered, errors.

A value that is missing leaves a gap, and the figure names it.
"""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferminet.benchmark.curves import PAPER
from ferminet.benchmark.estimates import ansatz_label, correlation_recovered, hartree_fock_limit
from ferminet.benchmark.figures import style as look
from ferminet.benchmark.figures.style import GREEN, GREY, SERIES_COLOURS, VERMILION, style
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows
from ferminet.benchmark.tables.columns import distinct_values, lines_by
from ferminet.benchmark.tables.formatting import Line
from ferminet.benchmark.tables.systems import all_system_lines
from ferminet.methods import METHODS, SYSTEM_TABLE_METHODS
from ferminet.units import CHEMICAL_ACCURACY_MEH, MEH_PER_HARTREE

_LEAST_MEH = 0.01  # where logarithmic axes of errors end


@style()
def correlation(rows: Rows, references: References) -> Figure:
    """Draw the correlation energy recovered per system, with the paper's values.

    The upper panel is zoomed so that error bars are visible, the lower one shows the whole scale
    from Hartree-Fock (0 %) to the reference (100 %).
    """
    lines = all_system_lines(rows, references)
    drawn = [line for line in lines if line["percent"] is not None]
    systems = distinct_values(drawn, "system")
    paper = _paper_percent(drawn, rows, references)
    figure = Figure(figsize=(max(6.0, 2.6 + 0.55 * len(systems)), 5.0), layout="constrained")
    zoom, whole = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for axes in (zoom, whole):
        if not systems:
            look.annotate_empty(axes, "no system with a reference energy")
            continue
        axes.axhline(100, color=GREY, linewidth=1, linestyle="--", zorder=1)
        _draw_percent(axes, drawn, systems, paper)
    if not systems:
        return figure
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
    unfinished = ", ".join(distinct_values(training, "system"))
    remark = f"Training has not finished: {unfinished}." if unfinished else ""
    look.annotate_missing(figure, _percent_gaps(lines), remark)
    return figure


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
    lines = all_system_lines(rows, references)
    with_exact = [line for line in lines if line["exact_hartree"] is not None]
    systems = distinct_values(with_exact, "system")
    without = [name for name in distinct_values(lines, "system") if name not in systems]
    gaps = [f"{name} (no exact energy)" for name in without]
    tiny: list[str] = []
    figure = Figure(figsize=(max(6.6, 3.2 + 0.7 * len(systems)), 4.2), layout="constrained")
    axes = figure.subplots()
    if not systems:
        look.annotate_empty(axes, "no system with an exact energy")
        return figure
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
    remark = f"Below {_LEAST_MEH} mEh, not drawn: {'; '.join(tiny)}." if tiny else ""
    look.annotate_missing(figure, gaps, remark)
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
