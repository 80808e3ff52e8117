"""What follows from a curve, with propagated errors: H4's curvature, the depth of a well."""

from typing import Any

from ferminet.benchmark.curves import (
    H4,
    H4_CONGRUENT,
    Series,
    best_quantity,
    curvature,
    curve_parameters,
    curve_rows,
    curve_series,
    difference,
)
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows
from ferminet.benchmark.tables.formatting import Shown, Table
from ferminet.systems.curves import curve_name, has_well

_MILLI = 1e3
_MINUS = "\N{MINUS SIGN}"


def is_derived(system: str, rows: Rows) -> bool:
    """Whether something is derived from a curve of this system."""
    mine = curve_rows(system, rows)
    unit = mine[0]["parameter_unit"] if mine else None
    return system == H4 or has_well(unit, len(curve_parameters(system, rows)))


def derived_table(system: str, rows: Rows, references: References) -> Table:
    """Builds the table of what follows from a curve, one line per series.

    Args:
        system: name of the curve.
        rows: rows of results.
        references: published energies.

    Returns:
        For H4 the curvature at the square and the differences between congruent rectangles, for a
        curve over a distance the depth of its well; in mEh, with propagated errors. A series
        without uncertainties has none here.
    """
    series = curve_series(system, rows, references)
    if system == H4:
        return _curvature_table(system, series)
    return _well_table(system, series, rows, references)


def _curvature_table(system: str, series: list[Series]) -> Table:
    names = ["curvature", *(f"spread_{first}_{second}" for first, second in H4_CONGRUENT)]
    lines = []
    for one in series:
        found = [curvature(one.points)]
        found += [difference(one.points, *pair) for pair in H4_CONGRUENT]
        lines.append(_line(one, names, found))
    titles = [
        f"E(90°) {_MINUS} ½[E(85°) + E(95°)]",
        *(f"E({first[1:]}°) {_MINUS} E({second[1:]}°)" for first, second in H4_CONGRUENT),
    ]
    note = (
        "Curvature at the square, positive where the energy has a smooth maximum: the barrier. The "
        "differences are between congruent rectangles, trained independently: they should vanish. "
        "Errors of published points are propagated as if they were independent."
    )
    return _table(system, lines, names, titles, note)


def _well_table(system: str, series: list[Series], rows: Rows, references: References) -> Table:
    bottom, top = well_geometries(system, rows, references)
    found = [_line(one, ["depth"], [difference(one.points, top, bottom)]) for one in series]
    lines = [line for line in found if line["depth_mEh"] is not None]
    title = f"E({top[1:]}) {_MINUS} E({bottom[1:]})"
    note = (
        f"Depth of the well between {bottom}, where the best reference (else the first of our "
        f"series) is lowest among the geometries computed, and {top}, the longest distance. Errors "
        "of published points are propagated as if they were independent."
    )
    return _table(system, lines or found, ["depth"], [title], note)


def well_geometries(system: str, rows: Rows, references: References) -> tuple[str, str]:
    """Returns the labels of the lowest geometry, by the best reference, and of the longest.

    The lowest is not chosen by our own noisy energies where a reference is known, which would
    make wells too deep.
    """
    parameters = curve_parameters(system, rows)
    series = curve_series(system, rows, references)
    best = best_quantity(system, rows, references)
    judge = next((one for one in series if one.name == best), series[0])
    energies = {
        label: point.energy
        for label, point in judge.points.items()
        if label in parameters and point.energy is not None
    }
    top = max(parameters, key=parameters.__getitem__)
    bottom = min(energies, key=energies.__getitem__) if energies else next(iter(parameters))
    return bottom, top


def _line(
    series: Series, names: list[str], values: list[tuple[float, float] | None]
) -> dict[str, Any]:
    line: dict[str, Any] = {"series": series.label, "kind": series.kind}
    with_error = any(point.error for point in series.points.values())
    for name, value in zip(names, values, strict=True):
        line[f"{name}_mEh"] = _MILLI * value[0] if value else None
        line[f"{name}_error_mEh"] = _MILLI * value[1] if value and with_error else None
    return line


def _table(
    system: str, lines: list[dict[str, Any]], names: list[str], titles: list[str], note: str
) -> Table:
    shown = [
        Shown("series", "method"),
        *(
            Shown(f"{name}_mEh", title, "mEh", f"{name}_error_mEh")
            for name, title in zip(names, titles, strict=True)
        ),
    ]
    title = f"{system}: derived quantities"
    return Table(f"{curve_name(system)}_derived", title, lines, tuple(lines[0]), shown, [note])
