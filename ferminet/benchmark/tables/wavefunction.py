"""The table of what inspections measured: local energies, cusps, isotropy."""

from ferminet.benchmark.inspections import inspections
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows
from ferminet.benchmark.tables.formatting import PARENTHESES, Line, Shown, Table, varying

_RUN = ("study", "system", "geometry", "ansatz", "config_hash", "seed")
_NUMBERS = ("value", "error", "exact", "low", "high")
COLUMNS = (*_RUN, "quantity", *_NUMBERS)


def wavefunction_table(rows: Rows, references: References) -> Table:
    """Build the table, one line per run and number."""
    del references
    lines: list[Line] = []
    for row, table in inspections(rows):
        run = {name: getattr(row, name) for name in _RUN}
        bins = table["quantity"].str.match("local_energy|samples_by|variance_by")
        for measured in table.loc[~bins].to_dict("records"):
            numbers = {name: measured[name] for name in _NUMBERS}
            known = {name: None if value != value else value for name, value in numbers.items()}
            lines.append({**run, "quantity": measured["quantity"], **known})
    shown = [
        *varying(lines, "study"),
        Shown("system", "system"),
        *(column for name in ("geometry", "ansatz", "seed") for column in varying(lines, name)),
        Shown("quantity", "quantity"),
        Shown("value", "value", error="error"),
        Shown("exact", "exact"),
        Shown("low", "25 %", decimals=3),
        Shown("high", "75 %", decimals=3),
    ]
    notes = [
        f"{PARENTHESES}. Slopes are medians over walkers, with the middle half of the walkers.",
        "Skewness and kurtosis are those of the samples; they grow with their number where the "
        "local energy diverges.",
    ]
    return Table(lines, COLUMNS, shown, notes)
