"""Tables of what follows from a curve: H4's curvature, the depth of a well."""

from ferminet.benchmark.curves import (
    H4_CONGRUENT,
    Derived,
    Series,
    best_quantity,
    curvature,
    curve_parameters,
    curve_series,
    difference,
)
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows
from ferminet.benchmark.tables.formatting import Line, Shown, Table
from ferminet.units import MEH_PER_HARTREE

_MINUS = "\N{MINUS SIGN}"
_INDEPENDENT = "Errors of published points are propagated as if they were independent."


def curvature_table(system: str, rows: Rows, references: References) -> Table:
    """Build the table of H4's curvature at the square, one line per series.

    It has the curvature and the differences between congruent rectangles in mEh. Errors are
    propagated; a series without uncertainties has no errors.
    """
    titles = {"curvature": f"E(90°) {_MINUS} ½[E(85°) + E(95°)]"}
    for first, second in H4_CONGRUENT:
        titles[f"spread_{first}_{second}"] = f"E({first[1:]}°) {_MINUS} E({second[1:]}°)"
    lines = []
    for series in curve_series(system, rows, references):
        spreads = [difference(series.points, *pair) for pair in H4_CONGRUENT]
        lines.append(_line(series, list(titles), [curvature(series.points), *spreads]))
    note = (
        "Curvature at the square, positive where the energy has a smooth maximum: the barrier. The "
        "differences are between congruent rectangles, trained independently: they should vanish. "
        f"{_INDEPENDENT}"
    )
    return _table(lines, titles, note)


def well_table(system: str, rows: Rows, references: References) -> Table:
    """Build the table of the well depth in mEh, one line per series that has both its ends."""
    bottom, top = well_geometries(system, rows, references)
    all_lines = [
        _line(series, ["depth"], [difference(series.points, top, bottom)])
        for series in curve_series(system, rows, references)
    ]
    lines = [line for line in all_lines if line["depth_mEh"] is not None]
    note = (
        f"Depth of the well between {bottom}, where the best reference (else the first of our "
        f"series) is lowest among the geometries computed, and {top}, the longest distance. "
        f"{_INDEPENDENT}"
    )
    return _table(lines or all_lines, {"depth": f"E({top[1:]}) {_MINUS} E({bottom[1:]})"}, note)


def well_geometries(system: str, rows: Rows, references: References) -> tuple[str, str]:
    """Return the labels of the lowest geometry, by the best reference, and of the longest.

    The reference chooses the lowest geometry because our own noisy energies would make wells too
    deep.
    """
    parameters = curve_parameters(system, rows)
    series = curve_series(system, rows, references)
    best = best_quantity(system, rows, references)
    lowest_by = next((each for each in series if each.name == best), series[0])
    energies = {
        label: point.energy
        for label, point in lowest_by.points.items()
        if label in parameters and point.energy is not None
    }
    top = max(parameters, key=parameters.__getitem__)
    bottom = min(energies, key=energies.__getitem__) if energies else next(iter(parameters))
    return bottom, top


def _line(series: Series, names: list[str], values: list[Derived | None]) -> Line:
    line: Line = {"series": series.label, "kind": series.kind}
    with_error = any(point.error for point in series.points.values())
    for name, value in zip(names, values, strict=True):
        line[f"{name}_mEh"] = MEH_PER_HARTREE * value[0] if value else None
        line[f"{name}_error_mEh"] = MEH_PER_HARTREE * value[1] if value and with_error else None
    return line


def _table(lines: list[Line], titles: dict[str, str], note: str) -> Table:
    values = [
        Shown(f"{name}_mEh", title, "mEh", f"{name}_error_mEh") for name, title in titles.items()
    ]
    return Table(lines, tuple(lines[0]), [Shown("series", "method"), *values], [note])
