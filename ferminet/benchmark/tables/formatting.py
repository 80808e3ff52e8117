"""Tables, and tables as text: numbers with their error in parentheses.

CSV and Parquet hold a table's full-precision numbers with separate columns of errors; Markdown,
LaTeX and the report show the columns that a reader sees. At the end stand the columns and
notes that several tables share.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from ferminet.benchmark.diagnostics import reference_z_score
from ferminet.benchmark.estimates import METHOD_LABELS, Estimate, ansatz_label
from ferminet.benchmark.numbers import difference_meh, format_value, signed
from ferminet.benchmark.records import write_table
from ferminet.benchmark.references import Reference
from ferminet.benchmark.schema import UNIT_OF_COLUMN, group_by
from ferminet.runtime.files import write_bytes

DASH = "–"  # noqa: RUF001 - an en dash marks a missing value
# Digits after the point of numbers without an error.
_DEFAULT_DECIMALS = {"hartree": 6, "mEh": 2, "eV": 4, "%": 2, "": 3}
_LATEX_ESCAPES = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}",
    "Δ": r"$\Delta$", "⟨": r"$\langle$", "⟩": r"$\rangle$", "²": r"$^2$", "½": r"$\frac{1}{2}$",
    "±": r"$\pm$", "°": r"$^\circ$", "−": r"$-$", DASH: "--", "≤": r"$\leq$",  # noqa: RUF001
    "τ": r"$\tau$", "θ": r"$\theta$",
})  # fmt: skip
# Units by the end of a column's name.
_UNITS = {"_hartree": "hartree", "_mEh": "mEh", "_eV": "eV", "_s": "s"}
_UNITS |= {name: UNIT_OF_COLUMN[name] for name in ("variance", "tau")}
_MARKS = {"suspicious": "!", "unfinished": "*"}  # by the status of a line
PARENTHESES = "A number in parentheses is the standard error in the last digit"
_NUMBER = re.compile(r"-?\d+(\.\d+)?(\(\d+\))?")

Line = dict[str, Any]  # the values of one line by column


@dataclass(frozen=True)
class Shown:
    """A column that a reader sees."""

    key: str  # column of the frame
    header: str  # its title, without unit
    unit: str = ""  # hartree, mEh, eV or %; empty for text and pure numbers
    error: str | None = None  # column of the frame with its standard error
    published: bool = False  # whether numbers without error are shown with the published digits
    decimals: int | None = None  # of numbers without unit and error; else four significant digits
    width: str = ""  # in LaTeX of a column of long text, e.g. 6cm, which is wrapped; else one line

    @property
    def title(self) -> str:
        """Title with unit."""
        return f"{self.header} / {self.unit}" if self.unit else self.header


@dataclass(frozen=True)
class Table:
    """A table in full precision and how it is shown.

    All lines have the same columns, with None for no value. A column ending in `_hartree`, `_mEh`,
    `_eV`, `_s` has that unit.
    """

    lines: list[Line]
    columns: tuple[str, ...]
    shown: list[Shown]
    notes: list[str] = field(default_factory=list)  # sentences below the table
    marked: str = ""  # the column whose numbers have a mark by the status of their line
    name: str = ""  # stem of its files
    title: str = ""
    caption: str = ""
    details: str = ""  # more about the columns, which the report folds away
    appendix: "Table | None" = None  # a second table that belongs to this table

    @property
    def frame(self) -> pd.DataFrame:
        """The full-precision values as a frame; a column of numbers without values is float."""
        frame = pd.DataFrame(self.lines, columns=list(self.columns))
        return frame.astype({key: float for key in self.columns if _unit_of(key)})

    def cells(self) -> list[list[str]]:
        """Return the lines as text, with marks."""
        return [
            [
                _cell(line, column)
                + (_MARKS.get(line["status"], "") if column.key == self.marked else "")
                for column in self.shown
            ]
            for line in self.lines
        ]

    def is_numeric(self, column: Shown) -> bool:
        """Return whether a column has a unit or holds a number."""
        values = (line[column.key] for line in self.lines)
        return bool(column.unit) or any(isinstance(value, int | float) for value in values)


def _cell(line: Line, column: Shown) -> str:
    """Return one cell as text: a number with its error, text, or a dash."""
    value = line[column.key]
    if value is None or value == "":
        return DASH
    error = None if column.error is None else line[column.error]
    if isinstance(value, str):
        return value
    if column.published and not error:
        return f"{float(value):.7f}".rstrip("0").rstrip(".")
    if column.unit or column.error is not None:
        return format_value(value, error, _DEFAULT_DECIMALS[column.unit])
    if column.decimals is not None:
        return signed(value, column.decimals)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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


def _to_csv(table: Table) -> str:
    return table.frame.to_csv(index=False, lineterminator="\n")


def write(table: Table, path: str | Path) -> None:
    """Write the table in the format that the ending of `path` names, md, csv, tex or parquet."""
    ending = Path(path).suffix
    if ending == ".parquet":
        write_table(path, table.frame, {key: _unit_of(key) for key in table.columns})
    else:
        text = {".md": to_markdown, ".tex": to_latex, ".csv": _to_csv}[ending](table)
        write_bytes(Path(path), text.encode())


def escape_latex(text: str) -> str:
    """Escape special characters for LaTeX, and write the symbols of tables as mathematics."""
    return text.translate(_LATEX_ESCAPES)


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
    if key.startswith("percent") and not key.endswith("source"):
        return "%"
    return next((unit for end, unit in _UNITS.items() if key.endswith(end)), "")


def distinct_values(lines: Iterable[Line], key: str) -> list:
    """Return the distinct values of a column that are neither null nor empty, as listed."""
    return list(dict.fromkeys(line[key] for line in lines if line[key] not in (None, "")))


def lines_by(lines: Iterable[Line], *keys: str) -> dict[tuple, list[Line]]:
    """Group lines by their values of some columns; groups and lines stay in their order."""
    return group_by(lines, lambda line: tuple(line[key] for key in keys))


def energy_columns(estimate: Estimate) -> Line:
    """Return our energy with its error, seeds and status."""
    return {
        "seeds": " ".join(map(str, estimate.seeds)),
        "n_seeds": len(estimate.seeds),
        "status": estimate.status,
        "energy_hartree": estimate.energy,
        "energy_error_hartree": estimate.error,
    }


def difference_columns(estimate: Estimate, reference: Reference | None) -> Line:
    """Return our energy minus the reference in mEh, with the errors of both, and their ratio z."""
    if reference is None or estimate.energy is None:
        return {"difference_mEh": None, "difference_error_mEh": None, "z": None}
    difference, error = difference_meh(estimate.energy, estimate.error, reference)
    return {
        "difference_mEh": difference,
        "difference_error_mEh": error,
        "z": reference_z_score(estimate.energy, estimate.error or 0.0, reference),
    }


def varying(lines: Sequence[Line], key: str) -> list[Shown]:
    """Return a column if its values differ."""
    return [Shown(key, key)] if len(distinct_values(lines, key)) > 1 else []


def our_label(lines: Iterable[Line]) -> str:
    """Return the title of the column of our energies: the wavefunction if there is just one."""
    ansaetze = distinct_values(lines, "ansatz")
    return ansatz_label(ansaetze[0]) if len(ansaetze) == 1 else "VMC"


def method_columns(lines: Sequence[Line], method: str, units: Sequence[str]) -> list[Shown]:
    """Return the columns of a conventional method, and its basis sets if they differ."""
    label, bases = METHOD_LABELS[method], distinct_values(lines, f"{method}_basis")
    title = f"{label}/{bases[0]}" if len(bases) == 1 else label
    shown = [Shown(f"{method}_{unit}", title, unit, f"{method}_error_{unit}") for unit in units]
    return [*shown, Shown(f"{method}_basis", f"{label} basis")] if len(bases) > 1 else shown


def status_notes(lines: Iterable[Line], which: str = "the energy") -> list[str]:
    """Return the meanings of the marks that occur."""
    meanings = {
        "suspicious": f"! {which} lies more than 4 standard errors below a bound: suspicious.",
        "unfinished": "* training has not finished.",
    }
    statuses = {line["status"] for line in lines}
    return [meaning for status, meaning in meanings.items() if status in statuses]


def error_notes(lines: Iterable[Line], addition: str) -> list[str]:
    """Return notes on the errors and, if there are several seeds, on how they are combined."""
    seeds = max((line["n_seeds"] for line in lines), default=0)
    combined = (
        f"Energies are means over up to {seeds} training seeds; the error is the larger of the "
        "propagated one and the spread between seeds, widened by Student's t."
    )
    return [f"{PARENTHESES}{addition}", *([combined] if seeds > 1 else [])]
