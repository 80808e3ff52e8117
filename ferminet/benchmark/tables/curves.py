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

# Series of the literature that a reader sees in the table; its lines hold all.
SHOWN_QUANTITIES = (*BEST_QUANTITIES, "uccsd_t_cbs", PAPER)


def curve_table(system: str, rows: Rows, references: References) -> Table:
    """Build the table of a curve: one line per geometry and sampled series."""
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
        _notes(lines, sampled, others, best),
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
) -> Line:
    estimate = series.points.get(geometry, Estimate(None, None, "missing"))
    line: Line = {
        "study": series.study,
        "system": system,
        "geometry": geometry,
        "parameter": parameter,
        "ansatz": series.name,
        "config_hash": series.config_hash,
    } | energy_columns(estimate)
    for other in others:
        point = other.points.get(geometry, Estimate(None, None, "missing"))
        line[f"{other.name}_hartree"] = point.energy
        if other.kind == "published":
            line[f"{other.name}_uncertainty_hartree"] = point.error
        else:
            line[f"{other.name}_status"] = point.status
    reference = references.lookup(system, geometry, best) if best else None
    line["reference"] = reference.label if reference else None
    return line | difference_columns(estimate, reference)


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
        elif other.name in SHOWN_QUANTITIES:
            # The shape of a curve is known better than its height: digits as published.
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
    target = f"{quantity_label(best)}, its error includes" if best else "the reference, with"
    notes = error_notes(
        lines,
        ". No percentage of the correlation energy is given for curves: the difference is ours "
        f"minus {target} the reference's uncertainty.",
    )
    for series in others:
        errors = sorted({p.error for p in series.points.values() if p.error})
        if series.name == best and errors:
            text = " to ".join(
                f"{MEH_PER_HARTREE * e:g}" for e in dict.fromkeys([errors[0], errors[-1]])
            )
            notes.append(f"Uncertainty of {series.label}: {text} mEh.")
    for series in (*sampled, *others):
        for geometry, point in series.points.items():
            if point.reason:
                notes.append(f"{geometry}, {series.label}: {point.reason}.")
    return notes + status_notes(lines)
