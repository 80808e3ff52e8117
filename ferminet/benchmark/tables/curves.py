"""The tables of curves: differences to the best reference along the parameter."""

import math
from collections.abc import Iterable
from typing import Any

from ferminet.benchmark import diagnostics as judge
from ferminet.benchmark.curves import (
    PAPER,
    Series,
    best_quantity,
    curve_parameters,
    curve_series,
    parameter_title,
)
from ferminet.benchmark.estimates import Estimate
from ferminet.benchmark.references import BEST_QUANTITIES, References, quantity_label
from ferminet.benchmark.schema import Rows
from ferminet.benchmark.tables.formatting import Shown, Table

# Published series that a reader sees in the table; its lines hold all.
SHOWN_QUANTITIES = (*BEST_QUANTITIES, "uccsd_t_cbs", PAPER)
_MILLI = 1e3


def curve_table(system: str, rows: Rows, references: References) -> Table:
    """Builds the table of a curve: one line per geometry and sampled series.

    Args:
        system: name of the curve.
        rows: rows of results.
        references: published energies.
    """
    parameters = curve_parameters(system, rows)
    everything = curve_series(system, rows, references)
    sampled = [series for series in everything if series.kind == "vmc"]
    others = [series for series in everything if series.kind != "vmc"]
    best = best_quantity(system, rows, references)
    lines = [
        _line(system, geometry, value, series, others, best, references)
        for geometry, value in parameters.items()
        for series in sampled or [Series("VMC", "vmc", "", {})]
    ]
    title = parameter_title(system, rows)
    return Table(
        lines,
        tuple(lines[0]),
        _shown(title, sampled, others, best),
        _notes(sampled, others, best),
        status_marks(lines),
    )


def _line(
    system: str,
    geometry: str,
    parameter: float,
    series: Series,
    others: list[Series],
    best: str | None,
    references: References,
) -> dict[str, Any]:
    estimate = series.points.get(geometry, Estimate(None, None, "missing"))
    line: dict[str, Any] = {
        "study": series.study,
        "system": system,
        "geometry": geometry,
        "parameter": parameter,
        "ansatz": series.name,
        "config_hash": series.config_hash,
        "seeds": " ".join(map(str, estimate.seeds)),
        "n_seeds": len(estimate.seeds),
        "status": estimate.status,
        "energy_hartree": estimate.energy,
        "energy_error_hartree": estimate.error,
    }
    for other in others:
        point = other.points.get(geometry, Estimate(None, None, "missing"))
        line[f"{other.name}_hartree"] = point.energy
        if other.kind == "published":
            line[f"{other.name}_uncertainty_hartree"] = point.error
        else:
            line[f"{other.name}_status"] = point.status
    reference = references.lookup(system, geometry, best) if best else None
    line |= {"reference": None, "difference_mEh": None, "difference_error_mEh": None, "z": None}
    if reference is not None:
        line["reference"] = reference.label
        if estimate.energy is not None:
            error = math.hypot(estimate.error or 0.0, reference.uncertainty or 0.0)
            line["difference_mEh"] = _MILLI * (estimate.energy - reference.energy)
            line["difference_error_mEh"] = _MILLI * error
            line["z"] = judge.z_score(estimate.energy, estimate.error or 0.0, reference)
    return line


def status_marks(lines: list[dict[str, Any]]) -> dict[tuple[int, str], str]:
    """Returns the signs behind our energies: ! suspicious, * unfinished."""
    signs = {"suspicious": "!", "unfinished": "*"}
    return {
        (index, "energy_hartree"): signs[line["status"]]
        for index, line in enumerate(lines)
        if line["status"] in signs
    }


def status_notes(statuses: Iterable[str]) -> list[str]:
    """Returns what the signs of `status_marks` mean, of those that occur."""
    meanings = {
        "suspicious": "! lies more than 4 standard errors below an exact energy: suspicious.",
        "unfinished": "* training has not finished.",
    }
    found = set(statuses)
    return [meaning for status, meaning in meanings.items() if status in found]


def _shown(
    parameter: str,
    sampled: list[Series],
    others: list[Series],
    best: str | None,
) -> list[Shown]:
    shown = [Shown("parameter", parameter)]
    if len(sampled) > 1:
        shown.append(Shown("ansatz", "ansatz"))
        if len({series.study for series in sampled}) > 1:
            shown.append(Shown("study", "study"))
    ours = sampled[0].label if len(sampled) == 1 else "VMC"
    shown.append(Shown("energy_hartree", ours, "hartree", "energy_error_hartree"))
    for other in others:
        if other.kind == "baseline":
            shown.append(Shown(f"{other.name}_hartree", other.label, "hartree"))
        elif other.name in SHOWN_QUANTITIES:
            # The shape of a curve is known better than its height: digits as published.
            error = f"{other.name}_uncertainty_hartree" if other.name == PAPER else None
            key = f"{other.name}_hartree"
            shown.append(Shown(key, other.label, "hartree", error, published=True))
    if best is not None:
        title = f"difference to {quantity_label(best)}"
        shown.append(Shown("difference_mEh", title, "mEh", "difference_error_mEh"))
    return shown


def _notes(sampled: list[Series], others: list[Series], best: str | None) -> list[str]:
    notes = [
        "A number in parentheses is the standard error of the last digit. No percentage of the "
        "correlation energy is given for curves: the difference is ours minus "
        + (f"{quantity_label(best)}, its error includes" if best else "the reference, with")
        + " the reference's uncertainty."
    ]
    seeds = max((len(p.seeds) for s in sampled for p in s.points.values()), default=0)
    if seeds > 1:
        notes.append(
            f"Energies are means over up to {seeds} training seeds; the error is the larger of the "
            "propagated one and the spread between seeds."
        )
    for series in others:
        errors = sorted({p.error for p in series.points.values() if p.error})
        if series.name == best and errors:
            text = " to ".join(f"{_MILLI * e:g}" for e in dict.fromkeys([errors[0], errors[-1]]))
            notes.append(f"Uncertainty of {series.label}: {text} mEh.")
    for series in (*sampled, *others):
        for geometry, point in series.points.items():
            if point.reason:
                notes.append(f"{geometry}, {series.label}: {point.reason}.")
    statuses = {point.status for series in sampled for point in series.points.values()}
    return notes + status_notes(statuses)
