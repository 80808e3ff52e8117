"""The tables of curves: differences to the best reference, H4's curvature, depths of wells."""

from collections.abc import Mapping

import numpy as np

from ferminet.benchmark.curves import (
    H4_ENDS,
    PAPER,
    Series,
    Terms,
    best_quantity,
    combination,
    curve_parameters,
    curve_series,
    parameter_title,
)
from ferminet.benchmark.estimates import Estimate
from ferminet.benchmark.references import (
    BEST_QUANTITIES,
    References,
    quantity_label,
    reference_notes,
)
from ferminet.benchmark.schema import Rows
from ferminet.benchmark.tables.formatting import (
    Line,
    Shown,
    Table,
    difference_columns,
    energy_columns,
    error_notes,
    status_notes,
)
from ferminet.units import MEH_PER_HARTREE

# Published series that a reader sees in the table; its lines hold all of them.
_SHOWN_QUANTITIES = (*BEST_QUANTITIES, "mlr3_9", "uccsd_t_cbs", PAPER)
_MISSING = Estimate(None, None, "missing")
_MINUS = "\N{MINUS SIGN}"
_INDEPENDENT = "Errors of published points are propagated as if they were independent."


def curve_table(system: str, rows: Rows, references: References) -> Table:
    """Build the table of a curve: one line per geometry and sampled series."""
    all_series = curve_series(system, rows, references)
    sampled = [series for series in all_series if series.kind == "vmc"]
    others = [series for series in all_series if series.kind != "vmc"]
    best = best_quantity(system, rows, references)
    lines: list[Line] = []
    compared_with = []
    for geometry, parameter in curve_parameters(system, rows).items():
        reference = references.lookup(system, geometry, best) if best else None
        compared_with.append(reference)
        compared: Line = {}
        for series in others:
            point = series.points.get(geometry, _MISSING)
            compared[f"{series.name}_hartree"] = point.energy
            if series.kind == "published":
                compared[f"{series.name}_uncertainty_hartree"] = point.error
            else:
                compared[f"{series.name}_status"] = point.status
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
    notes = [*_notes(lines, [*sampled, *others], best), *reference_notes(compared_with)]
    notes += status_notes(lines)
    return Table(lines, tuple(lines[0]), shown, notes, "energy_hartree")


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
        key = f"{other.name}_hartree"
        if other.kind == "baseline":
            shown.append(Shown(key, other.label, "hartree"))
        elif other.name in _SHOWN_QUANTITIES:
            # The shape of a curve is known better than its height, so the digits are as published.
            error = f"{other.name}_uncertainty_hartree" if other.name == PAPER else None
            shown.append(Shown(key, other.label, "hartree", error, published=True))
    if best is not None:
        title = f"difference to {quantity_label(best)}"
        shown.append(Shown("difference_mEh", title, "mEh", "difference_error_mEh"))
    return shown


def _notes(lines: list[Line], all_series: list[Series], best: str | None) -> list[str]:
    target = f"{quantity_label(best)}, and its error includes" if best else "the reference, with"
    notes = error_notes(
        lines,
        ". No percentage of the correlation energy is given for curves: the difference is ours "
        f"minus {target} the reference's uncertainty.",
    )
    return notes + [
        f"{geometry}, {series.label}: {point.reason}."
        for series in all_series
        for geometry, point in series.points.items()
        if point.reason
    ]


def curvature_table(system: str, rows: Rows, references: References) -> Table:
    """Build the table of H4's curvature at the square, one line per series.

    It has the curvature and the differences between congruent rectangles in mEh. Errors are
    propagated; a series without uncertainties has no errors.
    """
    titles = {"curvature": f"E(90°) {_MINUS} ½[E(85°) + E(95°)]"}
    quantities = {"curvature": [*((-0.5, end) for end in H4_ENDS), (1.0, "a90")]}
    for first, second in (H4_ENDS, ("a88", "a92")):
        titles[f"spread_{first}_{second}"] = f"E({first[1:]}°) {_MINUS} E({second[1:]}°)"
        quantities[f"spread_{first}_{second}"] = [(1.0, first), (-1.0, second)]
    all_series = curve_series(system, rows, references)
    lines = [_derived_line(series, quantities) for series in all_series]
    note = (
        "Curvature at the square, positive where the energy has a smooth maximum: the barrier. The "
        "differences are between congruent rectangles, trained independently: they should vanish. "
        f"{_INDEPENDENT}"
    )
    return _derived_table(lines, titles, note)


def well_table(system: str, rows: Rows, references: References) -> Table:
    """Build the table of the well depth in mEh, one line per series that has both its ends.

    The best reference chooses the lowest geometry because our own noisy energies would make wells
    too deep.
    """
    parameters = curve_parameters(system, rows)
    all_series = curve_series(system, rows, references)
    best = best_quantity(system, rows, references)
    lowest_by = next((series for series in all_series if series.name == best), all_series[0])
    energies = {
        label: point.energy
        for label, point in lowest_by.points.items()
        if label in parameters and point.energy is not None
    }
    top = max(parameters, key=parameters.__getitem__)
    bottom = min(energies, key=energies.__getitem__) if energies else next(iter(parameters))
    depth = {"depth": [(1.0, top), (-1.0, bottom)]}
    all_lines = [_derived_line(series, depth) for series in all_series]
    lines = [line for line in all_lines if line["depth_mEh"] is not None]
    note = (
        f"Depth of the well between {bottom}, where the best reference (else the first of our "
        f"series) is lowest among the geometries computed, and {top}, the longest distance. "
        f"{_INDEPENDENT}"
    )
    titles = {"depth": f"E({top[1:]}) {_MINUS} E({bottom[1:]})"}
    return _derived_table(lines or all_lines, titles, note)


def parallelity_table(system: str, rows: Rows, references: References) -> Table:
    """Build the table of the errors of whole curves against the best reference, mEh.

    With errors e_i and their mean m: m, max e - min e, and the mean of |e_i - m|, for each method
    with an energy at two of the reference's geometries or more. Errors are to first order.
    """
    best = best_quantity(system, rows, references) or ""
    labels = curve_parameters(system, rows)
    known = {label: references.lookup(system, label, best) for label in labels}
    exact = {label: reference.energy for label, reference in known.items() if reference}
    titles = {
        "mean": "mean error", "nonparallelity": "non-parallelity", "deviation": "mean deviation",
    }  # fmt: skip
    values = [f"{name}{end}" for name in titles for end in ("_mEh", "_error_mEh")]
    empty: Line = dict.fromkeys(("series", "kind", "points", *values))
    lines = []
    for series in curve_series(system, rows, references):
        pairs = [
            (point.energy - exact[label], point.error or 0.0)
            for label, point in series.points.items()
            if label in exact and point.energy is not None and series.name != best
        ]
        if len(pairs) < 2:
            continue
        errors, sigma = MEH_PER_HARTREE * np.array(pairs).T
        line = empty | {"series": series.label, "kind": series.kind, "points": len(pairs)}
        for name, weights in _parallelity_weights(errors).items():
            line[f"{name}_mEh"] = float(weights @ errors)
            spread = float(np.sqrt(np.sum((weights * sigma) ** 2)))
            line[f"{name}_error_mEh"] = spread if sigma.any() else None
        lines.append(line)
    note = f"Errors against {quantity_label(best)}." if best else "There is no reference."
    note += " On average, noise makes the non-parallelity larger."
    table = _derived_table(lines or [empty], titles, note)
    table.shown.insert(1, Shown("points", "points"))
    return table


def _parallelity_weights(errors: np.ndarray) -> dict[str, np.ndarray]:
    """Return weights of the errors: for the mean, the non-parallelity and the mean deviation."""
    n, indices = len(errors), np.arange(len(errors))
    signs = np.sign(errors - errors.mean())
    return {
        "mean": np.full(n, 1.0 / n),
        "nonparallelity": 1.0 * (indices == errors.argmax()) - (indices == errors.argmin()),
        "deviation": (signs - signs.mean()) / n,
    }


def _derived_line(series: Series, quantities: Mapping[str, Terms]) -> Line:
    line: Line = {"series": series.label, "kind": series.kind}
    with_error = any(point.error for point in series.points.values())
    for name, terms in quantities.items():
        value = combination(series.points, terms)
        line[f"{name}_mEh"] = MEH_PER_HARTREE * value[0] if value else None
        line[f"{name}_error_mEh"] = MEH_PER_HARTREE * value[1] if value and with_error else None
    return line


def _derived_table(lines: list[Line], titles: dict[str, str], note: str) -> Table:
    values = [
        Shown(f"{name}_mEh", title, "mEh", f"{name}_error_mEh") for name, title in titles.items()
    ]
    return Table(lines, tuple(lines[0]), [Shown("series", "method"), *values], [note])
