"""The pages of docs/reference that are made from the code.

`python -m tests.helpers.reference_pages --write` brings them up to date.
"""

import sys
from pathlib import Path

from ferminet.benchmark.schema import COLUMNS

ROW_COLUMNS = Path(__file__).parents[2] / "docs" / "reference" / "row-columns.md"
BEGIN = "<!-- made by python -m tests.helpers.reference_pages --write -->\n"
END = "<!-- end -->\n"


def row_columns() -> str:
    """Return the page of row columns with its table up to date."""
    before, _, rest = ROW_COLUMNS.read_text().partition(BEGIN)
    lines = ["| column | type | unit | meaning |", "|---|---|---|---|"]
    for column in COLUMNS:
        kind = column.kind + ("" if column.nullable else ", required")
        meaning = column.description.replace("|", "\\|")
        lines.append(f"| `{column.name}` | {kind} | {column.unit} | {meaning} |")
    return before + BEGIN + "\n".join(lines) + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    ROW_COLUMNS.write_text(row_columns())
