"""The figure of costs: the error of every run against the time that it took."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferminet.benchmark.estimates import ansatz_label
from ferminet.benchmark.figures import style as look
from ferminet.benchmark.figures.style import style
from ferminet.benchmark.numbers import difference_meh, geometry_name
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import EnergyRow, Rows, distinct
from ferminet.units import CHEMICAL_ACCURACY_MEH

# Offsets of a name from its marker, and the room it takes, in points.
_OFFSETS = ((5, 4), (5, -11), (-5, 4), (-5, -11), (5, 14), (-5, 14), (5, -21), (-5, -21))
_WIDE, _HIGH = 28.0, 10.0
_LEAST_MEH = 0.01  # as in the figure of errors: what is smaller is named, not drawn


class _Cost(NamedTuple):
    """A run that can be drawn: its device-hours, and its difference and error in mEh."""

    row: EnergyRow
    hours: float
    difference: float
    error: float


def device_hours(row: EnergyRow) -> float | None:
    """Return the time of training and evaluation times the number of devices; None if unknown."""
    return None if row.wall_s is None else row.wall_s * (row.details.devices or 1) / 3600


@style()
def cost(rows: Rows, references: References) -> Figure:
    """Draw error against device-hours, one marker per run, and name the systems."""
    sampled = [row for row in rows if row.method == "vmc"]
    ansaetze = distinct(sampled, "ansatz")
    costs, gaps, tiny = _costs(sampled, references)
    figure = Figure(figsize=(8.0, max(4.2, 1.6 + 0.22 * len(ansaetze))), layout="constrained")
    axes = figure.subplots()
    if not costs:
        look.annotate_empty(axes, "no run with a reference energy and a time")
        look.annotate_missing(figure, gaps)
        return figure
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
    look.annotate_missing(figure, gaps, _remark([run.row for run in costs], tiny))
    return figure


def _remark(drawn: Rows, tiny: list[str]) -> str:
    """Return remarks on tiny errors, several devices, and unfinished training."""
    devices = distinct(drawn, "device")
    unfinished = distinct((row for row in drawn if row.status == "unfinished"), "system")
    texts = (
        (tiny, f"Below {_LEAST_MEH} mEh, not drawn: {'; '.join(tiny)}."),
        (len(devices) > 1, f"Devices, whose hours do not compare: {', '.join(devices)}."),
        (unfinished, f"Training has not finished: {', '.join(unfinished)}."),
    )
    return " ".join(text for applies, text in texts if applies)


def _costs(sampled: Rows, references: References) -> tuple[list[_Cost], list[str], list[str]]:
    """Return the runs that can be drawn, the gaps, and the runs whose error is too small."""
    costs, gaps, tiny = [], [], []
    for row in sampled:
        name = f"{geometry_name(*row.geometry_key)}, {ansatz_label(row.ansatz or '')}"
        best, hours = references.best(*row.geometry_key), device_hours(row)
        if row.energy is None:
            gaps.append(f"{name}, seed {row.seed} ({row.status.replace('_', ' ')})")
        elif best is None:
            gaps.append(f"{name} (no reference)")
        elif hours is None or hours <= 0:
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
                    color=look.GREY, ha="left" if dx > 0 else "right",
                )  # fmt: skip
                break
