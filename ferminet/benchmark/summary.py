"""The short table of results that ends a run on the terminal and opens the report."""

from ferminet.benchmark import diagnostics
from ferminet.benchmark.curves import curve_systems
from ferminet.benchmark.estimates import METHOD_LABELS, basis_label
from ferminet.benchmark.numbers import count
from ferminet.benchmark.publishing.rows import without_released
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows
from ferminet.benchmark.tables.curves import curve_table
from ferminet.benchmark.tables.formatting import (
    PARENTHESES,
    Shown,
    Table,
    distinct_values,
    our_label,
    to_text,
    varying,
)
from ferminet.benchmark.tables.systems import all_system_lines, system_lines

_COLUMNS = (
    "study", "system", "geometry", "energy_hartree", "energy_error_hartree", "reference",
    "difference_mEh", "difference_error_mEh", "percent", "percent_error", "status", "ansatz",
)  # fmt: skip


def summary_table(rows: Rows, references: References) -> Table:
    """Build the short table: system, geometry, our energy, difference and percentage."""
    all_lines = [*all_system_lines(rows, references), *system_lines("ion", rows, references)[0]]
    for system in curve_systems(rows):
        all_lines += curve_table(system, rows, references).lines
    lines = [{key: line.get(key) for key in _COLUMNS} for line in all_lines]
    shown = [
        *varying(lines, "study"),
        Shown("system", "system"),
        Shown("geometry", "geometry"),
        *varying(lines, "ansatz"),
        Shown("energy_hartree", our_label(lines), "hartree", "energy_error_hartree"),
        Shown("difference_mEh", "difference", "mEh", "difference_error_mEh"),
        Shown("reference", "to"),
        Shown("percent", "correlation", "%", "percent_error"),
    ]
    if set(distinct_values(lines, "status")) - {"complete"}:
        shown.append(Shown("status", "status"))
    notes = [f"{PARENTHESES}."]
    if any(line["percent"] is None for line in lines):
        notes.append(
            "The correlation percentage is left out for one electron, for curves and without a "
            "reference."
        )
    return Table(lines, _COLUMNS, shown, notes, name="summary", title="Results")


def summary_text(rows: Rows, references: References) -> str:
    """Return the short table and the doubtful and missing results, for a terminal.

    Released rows appear in the table only.
    """
    table = to_text(summary_table(rows, references))
    rows = without_released(rows)
    doubtful = [f"! {name}: {flags}" for name, flags in flagged_rows(rows, references)]
    missing = [f"- no energy: {gap}" for gap in gaps(rows)]
    return "\n".join([table, "", outcome(rows, references), *doubtful, *missing]) + "\n"


def outcome(rows: Rows, references: References) -> str:
    """Return the numbers of all, missing and flagged results as one sentence."""
    sampled = [row for row in rows if row.method == "vmc"]
    if rows and not sampled:
        total = count(len(rows), "conventional energy", "conventional energies")
        return f"{total}: {len(gaps(rows)) or 'none'} without a value."
    missing, flagged = len(gaps(sampled)), len(flagged_rows(rows, references))
    return (
        f"{count(len(sampled), 'run')}: {missing or 'none'} without an energy, "
        f"{flagged or 'none'} flagged."
    )


def flagged_rows(rows: Rows, references: References) -> list[tuple[str, str]]:
    """Return name and flags of each doubtful run."""
    return [
        (f"{row.system} {row.geometry}, {row.ansatz}, seed {row.seed}", "; ".join(flags))
        for row in rows
        if (flags := diagnostics.flags(row, references))
    ]


def gaps(rows: Rows) -> list[str]:
    """Return the calculations without an energy, each with the reason."""
    reasons = []
    for row in rows:
        if row.energy is None:
            name = f"{METHOD_LABELS[row.method]}/{basis_label(row.basis or '')}"
            if row.method == "vmc":
                name = f"{row.ansatz}, seed {row.seed}"
            reason = row.details.note or row.status.replace("_", " ")
            reasons.append(f"{row.system} {row.geometry}, {name}: {reason}")
    return reasons
