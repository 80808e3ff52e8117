"""Build the tables that rows fill, by name."""

from dataclasses import replace

from ferminet.benchmark.curves import curve_parameters, curve_rows, curve_systems
from ferminet.benchmark.inspections import inspection_file
from ferminet.benchmark.references import References
from ferminet.benchmark.registry import Contents, find_target, targets
from ferminet.benchmark.schema import IMPORTED, Rows, computed_rows, grouped, vmc_rows
from ferminet.benchmark.tables import TABLES
from ferminet.benchmark.tables.formatting import Table
from ferminet.benchmark.tables.limits import is_limit
from ferminet.benchmark.tables.systems import kind_of
from ferminet.errors import InputError
from ferminet.systems.molecule import has_well


def contents_of(rows: Rows) -> Contents:
    """Return what rows hold, as the registries need it."""
    imported = [row.system for row in rows if row.method == IMPORTED]
    rows = computed_rows(rows)
    sampled = vmc_rows(rows)
    units = {s: curve_rows(s, rows)[0].parameter_unit for s in curve_systems(rows)}
    return Contents(
        kinds={row.system: kind_of(row) for row in rows},
        wells=[s for s, unit in units.items() if has_well(unit, len(curve_parameters(s, rows)))],
        inspected=list(dict.fromkeys(row.system for row in rows if inspection_file(row))),
        runs=max(map(len, grouped(sampled, "study", "system", "geometry").values()), default=0),
        imported=list(dict.fromkeys(imported)),
        limits=any(is_limit(row) for row in rows),
    )


def table_names(rows: Rows) -> list[str]:
    """Return the names of the tables that these rows fill, e.g. atoms, molecules, h4, runs."""
    return [target.name for target in targets(TABLES, contents_of(rows))]


def build_table(name: str, rows: Rows, references: References) -> Table:
    """Build a table by name, with the quantities derived from a curve as its appendix.

    A table that the rows do not fill has no lines. Only the table `imported` gets imported rows.

    Raises:
        InputError: there is no such table.
    """
    contents = contents_of(rows)
    target = find_target(name, TABLES, contents)
    if target is None:
        raise InputError(f"No table {name!r}; these rows give {', '.join(table_names(rows))}.")
    derived = {t.name for t in targets(TABLES, contents)} & {f"{name}_derived"}
    return replace(
        target.build(rows if name == IMPORTED else computed_rows(rows), references),
        name=name,
        title=target.title,
        caption=target.entry.caption,
        details=target.entry.details,
        appendix=build_table(derived.pop(), rows, references) if derived else None,
    )
