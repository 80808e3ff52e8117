"""The tables of curves: differences to the best reference along the parameter."""

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
from ferminet.benchmark.tables.columns import (
    difference_columns,
    energy_columns,
    error_notes,
    status_marks,
    status_notes,
)
from ferminet.benchmark.tables.formatting import Line, Shown, Table
from ferminet.units import MEH_PER_HARTREE

# Published series that a reader sees in the table; its lines hold all of them.
_SHOWN_QUANTITIES = (*BEST_QUANTITIES, "uccsd_t_cbs", PAPER)
_MISSING = Estimate(None, None, "missing")


def curve_table(system: str, rows: Rows, references: References) -> Table:
    """Build the table of a curve: one line per geometry and sampled series."""
    all_series = curve_series(system, rows, references)
    sampled = [series for series in all_series if series.kind == "vmc"]
    others = [series for series in all_series if series.kind != "vmc"]
    best = best_quantity(system, rows, references)
    lines: list[Line] = []
    for geometry, parameter in curve_parameters(system, rows).items():
        reference = references.lookup(system, geometry, best) if best else None
        compared = _other_columns(others, geometry)
        compared["reference"] = reference.label if reference else None
        for series in sampled or [Series("VMC", "vmc", "", {})]:
            estimate = series.points.get(geometry, _MISSING)
            line: Line = {
                "study": series.study,
                "system": system,
                "geometry": geometry,
                "parameter": parameter,
                "ansatz": series.name,
                "config_hash": series.config_hash,
            } | energy_columns(estimate)
            lines.append(line | compared | difference_columns(estimate, reference))
    shown = _shown(parameter_title(system, rows), sampled, others, best)
    notes = _notes(lines, sampled, others, best)
    return Table(lines, tuple(lines[0]), shown, notes, status_marks(lines))


def _other_columns(others: list[Series], geometry: str) -> Line:
    line: Line = {}
    for series in others:
        point = series.points.get(geometry, _MISSING)
        line[f"{series.name}_hartree"] = point.energy
        if series.kind == "published":
            line[f"{series.name}_uncertainty_hartree"] = point.error
        else:
            line[f"{series.name}_status"] = point.status
    return line


def _shown(
    parameter: str, sampled: list[Series], others: list[Series], best: str | None
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
        elif other.name in _SHOWN_QUANTITIES:
            # The shape of a curve is known better than its height, so the digits are as published.
            error = f"{other.name}_uncertainty_hartree" if other.name == PAPER else None
            key = f"{other.name}_hartree"
            shown.append(Shown(key, other.label, "hartree", error, published=True))
    if best is not None:
        title = f"difference to {quantity_label(best)}"
        shown.append(Shown("difference_mEh", title, "mEh", "difference_error_mEh"))
    return shown


def _notes(
    lines: list[Line], sampled: list[Series], others: list[Series], best: str | None
) -> list[str]:
    target = f"{quantity_label(best)}, and its error includes" if best else "the reference, with"
    notes = error_notes(
        lines,
        ". No percentage of the correlation energy is given for curves: the difference is ours "
        f"minus {target} the reference's uncertainty.",
    )
    for series in others:
        errors = sorted({p.error for p in series.points.values() if p.error})
        if series.name == best and errors:
            ends = dict.fromkeys(f"{MEH_PER_HARTREE * e:g}" for e in (errors[0], errors[-1]))
            notes.append(f"Uncertainty of {series.label}: {' to '.join(ends)} mEh.")
    for series in (*sampled, *others):
        for geometry, point in series.points.items():
            if point.reason:
                notes.append(f"{geometry}, {series.label}: {point.reason}.")
    return notes + status_notes(lines)
