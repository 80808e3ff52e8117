"""The figure of costs: the error of every run against the time that it took."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferminet.benchmark.ablations import place_name
from ferminet.benchmark.estimates import ansatz_label
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
from ferminet.benchmark.schema import EnergyRow, Rows, distinct
from ferminet.units import CHEMICAL_ACCURACY_MEH, MEH_PER_HARTREE

# Offsets of a name from its marker, and the room it takes, in points.
_OFFSETS = ((5, 4), (5, -11), (-5, 4), (-5, -11), (5, 14), (-5, 14), (5, -21), (-5, -21))
_WIDE, _HIGH = 28.0, 10.0
_LEAST_MEH = 0.01  # as in the figure of errors: what is smaller is named, not drawn


def device_hours(row: EnergyRow) -> float | None:
    """Return the time of training and evaluation times the number of devices; None if unknown."""
    if row.wall_s is None:
        return None
    return row.wall_s * (row.details.devices or 1) / 3600


def cost(rows: Rows, references: References) -> Figure:
    """Draw error against device-hours, one marker per run, and names the systems."""
    sampled = [row for row in rows if row.method == "vmc"]
    ansaetze = distinct(sampled, "ansatz")
    known, gaps, tiny = _costs(sampled, references)
    with style():
        tall = max(4.2, 1.6 + 0.22 * len(ansaetze))
        figure = Figure(figsize=(8.0, tall), layout="constrained")
        axes = figure.subplots()
        if not known:
            annotate_empty(axes, "no run with a reference energy and a time")
            annotate_missing(figure, gaps)
            return figure
        for number, name in enumerate(ansaetze):
            mine = [one for one in known if one[0].ansatz == name]
            if mine:
                _, hours, difference, error = zip(*mine, strict=True)
                look = series_look(number)
                draw_errors(axes, hours, difference, error, look, ansatz_label(name))
        axes.set_xscale("log")
        axes.set_yscale("log")
        smallest = min(abs(difference) for _, _, difference, _ in known)
        bottom = max(_LEAST_MEH, min(0.6 * smallest, 0.8 * CHEMICAL_ACCURACY_MEH))
        top = axes.get_ylim()[1]
        axes.axhspan(bottom, CHEMICAL_ACCURACY_MEH, color=GREEN, alpha=0.10, linewidth=0)
        axes.set_ylim(bottom, max(top, 1.5 * CHEMICAL_ACCURACY_MEH))
        plain_log_axis(axes.xaxis)
        plain_log_axis(axes.yaxis)
        _name_systems(axes, known)
        axes.set_xlabel("training and evaluation / device-hours")
        axes.set_ylabel("|E − E(reference)| / mEh")  # noqa: RUF001
        only = distinct(sampled, "system")
        of = f" of {only[0]}" if len(only) == 1 else ""
        axes.set_title(f"Error{of} against cost, each run (open: below the reference)", loc="left")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
        annotate_missing(figure, gaps, " ".join(_remarks(known, tiny)))
    return figure


def _remarks(known: list["_Cost"], tiny: list[str]) -> list[str]:
    """Return remarks on the points: tiny errors, several devices, unfinished training."""
    rows = [one[0] for one in known]
    devices = distinct(rows, "device")
    unfinished = distinct((row for row in rows if row.status == "unfinished"), "system")
    texts = (
        (tiny, f"Below {_LEAST_MEH} mEh, not drawn: {'; '.join(tiny)}."),
        (len(devices) > 1, f"Devices, whose hours do not compare: {', '.join(devices)}."),
        (unfinished, f"Training has not finished: {', '.join(unfinished)}."),
    )
    return [text for shown, text in texts if shown]


_Cost = tuple[EnergyRow, float, float, float]  # row, device-hours, difference and its error in mEh


def _costs(sampled: Rows, references: References) -> tuple[list[_Cost], list[str], list[str]]:
    """Return the runs that can be drawn, the gaps, and the runs whose error is too small."""
    known, gaps, tiny = [], [], []
    for row in sampled:
        name = f"{place_name(row.system, row.geometry)}, {ansatz_label(row.ansatz or '')}"
        best, hours = references.best(*row.geometry_key), device_hours(row)
        if row.energy is None:
            gaps.append(f"{name}, seed {row.seed} ({row.status.replace('_', ' ')})")
        elif best is None:
            gaps.append(f"{name} (no reference)")
        elif hours is None or hours <= 0:
            gaps.append(f"{name}, seed {row.seed} (no time)")
        else:
            difference = MEH_PER_HARTREE * (row.energy - best.energy)
            error = MEH_PER_HARTREE * math.hypot(row.stderr or 0.0, best.uncertainty or 0.0)
            if abs(difference) < _LEAST_MEH:
                tiny.append(f"{name}, seed {row.seed}")
            else:
                known.append((row, hours, difference, error))
    return known, gaps, tiny


def _name_systems(axes: Axes, known: list[_Cost]) -> None:
    """Write each system's name next to its first run, if there is more than one system."""
    first: dict[str, _Cost] = {}
    for one in known:
        first.setdefault(one[0].system, one)
    if len(first) < 2:
        return
    taken: list[tuple[float, float]] = []
    for system, (_, hours, difference, _) in first.items():
        x, y = axes.transData.transform((hours, abs(difference)))
        for dx, dy in _OFFSETS:
            spot = (x + dx, y + dy)
            if all(abs(spot[0] - a) > _WIDE or abs(spot[1] - b) > _HIGH for a, b in taken):
                taken.append(spot)
                axes.annotate(
                    system, (hours, abs(difference)), xytext=(dx, dy),
                    textcoords="offset points", fontsize=8, color=GREY,
                    ha="left" if dx > 0 else "right",
                )  # fmt: skip
                break
