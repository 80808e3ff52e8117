"""The pages of docs that are made from the code and from the literature values.

`python -m tests.helpers.reference_pages --write` brings them up to date.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from ferminet.benchmark.references import load_references
from ferminet.benchmark.schema import COLUMNS

ROOT = Path(__file__).parents[2]
ROW_COLUMNS = ROOT / "docs" / "reference" / "row-columns.md"
N2_POTENTIALS = ROOT / "docs" / "results" / "n2-potentials.md"
BEGIN = "<!-- made by python -m tests.helpers.reference_pages --write -->\n"
END = "<!-- end -->\n"
MINUS = "\N{MINUS SIGN}"


def row_columns() -> str:
    """Return the page of row columns with its table up to date."""
    lines = ["| column | type | unit | meaning |", "|---|---|---|---|"]
    for column in COLUMNS:
        kind = column.kind + ("" if column.nullable else ", required")
        meaning = column.description.replace("|", "\\|")
        lines.append(f"| `{column.name}` | {kind} | {column.unit} | {meaning} |")
    return _with_tables(ROW_COLUMNS, lines)


def n2_potentials() -> str:
    """Return the page of the two potentials of N2 with its tables up to date."""
    references = load_references(ROOT / "molecules" / "reference")
    ours = {
        name: {e.geometry: 1e3 * e.energy for e in references.of_system("N2_curve", name)}
        for name in ("ferminet_paper", "mlr4_6_8", "mlr3_9")
    }
    paper, old, new = ours.values()
    errors = [(float(x[1:]), paper[x] - old[x], paper[x] - new[x], new[x] - old[x]) for x in paper]
    ranges = {
        "all 38 distances": (0.0, 9.0),
        "1.8 to 3 bohr": (1.8, 3.0),
        "3 to 5.5 bohr": (3.0, 5.5),
    }
    lines = [
        "| FermiNet (paper), error in mEh | MLR4(6,8): mean | largest | MLR3(9): mean | largest |",
        "|---|---|---|---|---|",
    ]
    for name, (low, high) in ranges.items():
        inside = [each for each in errors if low <= each[0] <= high]
        cells = [f"{f(each[i] for each in inside):.2f}" for i in (1, 2) for f in (_mean, max)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "| distance / bohr | error against MLR4(6,8) / mEh | against MLR3(9) / mEh "
        f"| MLR3(9) {MINUS} MLR4(6,8) / mEh |",
        "|---|---|---|---|",
    ]
    for distance, *values in errors:
        cells = (f"{round(v, 2) + 0.0:.2f}".replace("-", MINUS) for v in values)
        lines.append(f"| {distance:.4f} | {' | '.join(cells)} |")
    return _with_tables(N2_POTENTIALS, lines)


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def _with_tables(page: Path, lines: list[str]) -> str:
    """Return a page with these lines between its two marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    return before + BEGIN + "\n".join(lines) + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    ROW_COLUMNS.write_text(row_columns())
    N2_POTENTIALS.write_text(n2_potentials())
