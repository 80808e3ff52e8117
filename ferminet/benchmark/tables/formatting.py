"""Tables as text: numbers with their error in parentheses, Markdown, LaTeX, CSV, Parquet.

CSV and Parquet hold a table's full-precision numbers with separate columns of errors; Markdown,
LaTeX and the report show the columns that a reader sees.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from ferminet.benchmark.numbers import format_value, signed
from ferminet.benchmark.records import write_table, write_text
from ferminet.benchmark.schema import UNIT_OF_COLUMN
from ferminet.errors import InputError

DASH = "–"  # noqa: RUF001 - an en dash marks a missing value
FORMATS = ("md", "csv", "tex", "parquet")
# Digits after the point of numbers without an error.
_DEFAULT_DECIMALS = {"hartree": 6, "mEh": 2, "eV": 4, "%": 2, "": 3}
_LATEX_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}",
    "Δ": r"$\Delta$", "⟨": r"$\langle$", "⟩": r"$\rangle$", "²": r"$^2$", "½": r"$\frac{1}{2}$",
    "±": r"$\pm$", "°": r"$^\circ$", "−": r"$-$", DASH: "--", "≤": r"$\leq$",  # noqa: RUF001
    "τ": r"$\tau$", "θ": r"$\theta$",
}  # fmt: skip
# Columns that tables take from the rows under their own names.
_UNITS_OF_ROWS = {name: UNIT_OF_COLUMN[name] for name in ("variance", "tau")}
_UNIT_OF_SUFFIX = {"_hartree": "hartree", "_mEh": "mEh", "_eV": "eV", "_s": "s"}
_NUMBER = re.compile(r"-?\d+(\.\d+)?(\(\d+\))?")

Line = dict[str, Any]  # the values of one line by column


@dataclass(frozen=True)
class Shown:
    """A column that a reader sees.

    Attributes:
        key: column of the frame.
        header: its title, without unit.
        unit: hartree, mEh, eV, % or empty; empty also for text.
        error: column of the frame with its standard error, or None.
        published: whether numbers without error are shown with the published digits.
        decimals: digits after the point of numbers without unit and error; four significant
            digits if not given.
        width: width of a column of long text in LaTeX, e.g. 6cm; one line if not given.
    """

    key: str
    header: str
    unit: str = ""
    error: str | None = None
    published: bool = False
    decimals: int | None = None
    width: str = ""

    @property
    def title(self) -> str:
        """Title with unit."""
        return f"{self.header} / {self.unit}" if self.unit else self.header


@dataclass(frozen=True)
class Table:
    """A table in full precision and how it is shown.

    Attributes:
        lines: full-precision values by column, None for no value; all lines have the same columns.
            A column ending in `_hartree`, `_mEh`, `_eV`, `_s` has that unit.
        columns: names of all columns.
        shown: the columns that a reader sees.
        notes: sentences below the table: what is shown, sources, reasons for gaps.
        marks: marks after a cell, by index of the row and column, e.g. "!" for a doubtful row.
        name: stem of its files.
        title: one line.
        caption: what a reader sees in it.
        appendix: a second table that belongs to this table.
    """

    lines: list[Line]
    columns: tuple[str, ...]
    shown: list[Shown]
    notes: list[str] = field(default_factory=list)
    marks: dict[tuple[int, str], str] = field(default_factory=dict)
    name: str = ""
    title: str = ""
    caption: str = ""
    appendix: "Table | None" = None

    @property
    def frame(self) -> pd.DataFrame:
        """The full-precision values as a frame; a column of numbers without values is float."""
        frame = pd.DataFrame(self.lines, columns=list(self.columns))
        return frame.astype({key: float for key in self.columns if _unit_of(key)})

    def cell(self, index: int, column: Shown) -> str:
        """Return one cell as text: a number with its error, text, or a dash."""
        value = self.lines[index][column.key]
        mark = self.marks.get((index, column.key), "")
        if value is None or value == "":
            return DASH + mark
        if isinstance(value, str):
            return value + mark
        error = None if column.error is None else self.lines[index][column.error]
        if column.published and not error:
            return f"{float(value):.7f}".rstrip("0").rstrip(".") + mark
        if not column.unit and column.error is None:
            if column.decimals is not None:
                return signed(value, column.decimals) + mark
            return f"{value:.4g}{mark}" if isinstance(value, float) else f"{value}{mark}"
        return format_value(value, error, _DEFAULT_DECIMALS[column.unit]) + mark

    def cells(self) -> list[list[str]]:
        """Return the rows as text."""
        return [[self.cell(i, column) for column in self.shown] for i in range(len(self.lines))]

    def is_numeric(self, column: Shown) -> bool:
        """Return whether a column has a unit or holds a number."""
        values = (line[column.key] for line in self.lines)
        return bool(column.unit) or any(isinstance(value, int | float) for value in values)


def to_text(table: Table) -> str:
    """Return the table alone as aligned columns, for a terminal."""
    return _aligned(table, "simple").replace(DASH, "-") if table.lines else "No rows."


def to_markdown(table: Table) -> str:
    """Return the table and its notes as Markdown."""
    parts = [f"**{table.title}**", "", _aligned(table, "pipe")]
    parts += [] if table.lines else ["", "No rows."]
    parts += ["", *(f"- {note}" for note in table.notes)]
    if table.appendix is not None:
        parts += ["", to_markdown(table.appendix).rstrip()]
    return "\n".join(parts).rstrip() + "\n"


def _aligned(table: Table, style: str) -> str:
    """Return titles and cells in one of tabulate's styles, numbers aligned to the right."""
    rows = [[column.title for column in table.shown], *table.cells()]
    if style == "pipe":
        rows = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    align = ["right" if table.is_numeric(column) else "left" for column in table.shown]
    return tabulate(rows[1:], rows[0], tablefmt=style, colalign=align, disable_numparse=True)


def to_csv(table: Table) -> str:
    """Return the full-precision numbers as CSV; a missing value is an empty cell."""
    return table.frame.to_csv(index=False, lineterminator="\n")


def to_latex(table: Table) -> str:
    r"""Return a LaTeX table with booktabs rules and siunitx columns, notes below it.

    It needs `\usepackage{array,booktabs,siunitx}` and compiles inside a document as it is.
    """
    columns = list(zip(*table.cells(), strict=True)) or [()] * len(table.shown)
    formats, texts = [], []
    for column, cells in zip(table.shown, columns, strict=True):
        numeric = table.is_numeric(column)
        wide = rf">{{\raggedright\arraybackslash}}p{{{column.width}}}" if column.width else "l"
        formats.append(_column_format(cells) if numeric else wide)
        texts.append(
            [
                cell if numeric and _NUMBER.fullmatch(cell) else f"{{{escape_latex(cell)}}}"
                for cell in cells
            ]
        )
    titles = " & ".join(f"{{{escape_latex(column.title)}}}" for column in table.shown)
    body = [" & ".join(row) + r" \\" for row in zip(*texts, strict=True)]
    parts = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(table.title)}}}",
        rf"\label{{tab:{re.sub('[^a-z0-9]+', '-', table.name.lower())}}}",
        rf"\begin{{tabular}}{{{' '.join(formats)}}}",
        r"\toprule",
        rf"{titles} \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if table.notes:
        notes = r" \\ ".join(escape_latex(note) for note in table.notes)
        parts += [r"\par\medskip", rf"\parbox{{\linewidth}}{{\footnotesize {notes}}}"]
    parts.append(r"\end{table}")
    if table.appendix is not None:
        parts += ["", to_latex(table.appendix).rstrip()]
    return "\n".join(parts) + "\n"


def write(table: Table, path: str | Path) -> None:
    """Write the table in the format that the ending of `path` names, atomically.

    Raises:
        InputError: the ending is none of md, csv, tex and parquet.
    """
    match Path(path).suffix.removeprefix("."):
        case "parquet":
            write_table(path, table.frame, {key: _unit_of(key) for key in table.columns})
        case "md":
            write_text(path, to_markdown(table))
        case "csv":
            write_text(path, to_csv(table))
        case "tex":
            write_text(path, to_latex(table))
        case _:
            raise InputError(f"A table must be written as {', '.join(FORMATS)}, got {path}.")


def escape_latex(text: str) -> str:
    """Escape special characters for LaTeX, and write the symbols of tables as mathematics."""
    return "".join(_LATEX_ESCAPES.get(character, character) for character in text)


def _column_format(cells: Sequence[str]) -> str:
    """Return siunitx's S column that fits the numbers, e.g. S[table-format=-3.5(1)]."""
    numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
    if not numbers:
        return "c"
    whole = max(len(re.sub(r"^-|[.(].*", "", number)) for number in numbers)
    fraction = max(len(m[1]) if (m := re.search(r"\.(\d+)", number)) else 0 for number in numbers)
    error = max(len(m[1]) if (m := re.search(r"\((\d+)\)", number)) else 0 for number in numbers)
    sign = "-" if any(number.startswith("-") for number in numbers) else ""
    point = f".{fraction}" if fraction else ".0" if error else ""
    return f"S[table-format={sign}{whole}{point}{f'({error})' if error else ''}]"


def _unit_of(key: str) -> str:
    if key in _UNITS_OF_ROWS:
        return _UNITS_OF_ROWS[key]
    for suffix, unit in _UNIT_OF_SUFFIX.items():
        if key.endswith(suffix):
            return unit
    return "%" if key.startswith("percent") and not key.endswith("source") else ""
