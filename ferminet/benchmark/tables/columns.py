"""Columns, marks and notes that several tables share."""

from collections.abc import Iterable, Sequence

from ferminet.benchmark.diagnostics import z_score
from ferminet.benchmark.estimates import METHOD_LABELS, Estimate, ansatz_label
from ferminet.benchmark.numbers import difference_meh
from ferminet.benchmark.references import Reference
from ferminet.benchmark.tables.formatting import Line, Shown

_MARKS = {"suspicious": "!", "unfinished": "*"}
_PARENTHESES = "A number in parentheses is the standard error in the last digit"


def distinct_values(lines: Iterable[Line], key: str) -> list:
    """Return the distinct values of a column that are neither null nor empty, as listed."""
    return list(dict.fromkeys(line[key] for line in lines if line[key] not in (None, "")))


def lines_by(lines: Iterable[Line], *keys: str) -> dict[tuple, list[Line]]:
    """Group lines by their values of some columns; groups and lines stay in their order."""
    groups: dict[tuple, list[Line]] = {}
    for line in lines:
        groups.setdefault(tuple(line[key] for key in keys), []).append(line)
    return groups


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
        "z": z_score(estimate.energy, estimate.error or 0.0, reference),
    }


def varying(lines: Sequence[Line], key: str) -> list[Shown]:
    """Return a column if its values differ."""
    return [Shown(key, key)] if len(distinct_values(lines, key)) > 1 else []


def our_label(ansaetze: Sequence[str]) -> str:
    """Return the title of the column of our energies: the wavefunction if there is just one."""
    return ansatz_label(ansaetze[0]) if len(ansaetze) == 1 else "VMC"


def method_columns(lines: Sequence[Line], method: str, units: Sequence[str]) -> list[Shown]:
    """Return the columns of a conventional method, and its basis sets if they differ."""
    label, bases = METHOD_LABELS[method], distinct_values(lines, f"{method}_basis")
    title = f"{label}/{bases[0]}" if len(bases) == 1 else label
    shown = [Shown(f"{method}_{unit}", title, unit, f"{method}_error_{unit}") for unit in units]
    return [*shown, Shown(f"{method}_basis", f"{label} basis")] if len(bases) > 1 else shown


def status_marks(lines: Iterable[Line], key: str = "energy_hartree") -> dict[tuple[int, str], str]:
    """Return the marks after our energies: ! suspicious, * unfinished."""
    return {
        (index, key): _MARKS[line["status"]]
        for index, line in enumerate(lines)
        if line["status"] in _MARKS
    }


def status_notes(lines: Iterable[Line], which: str = "the energy") -> list[str]:
    """Return the meanings of those `status_marks` that occur."""
    meanings = {
        "suspicious": f"! {which} lies more than 4 standard errors below an exact one: suspicious.",
        "unfinished": "* training has not finished.",
    }
    statuses = {line["status"] for line in lines}
    return [meaning for status, meaning in meanings.items() if status in statuses]


def error_notes(lines: Iterable[Line], addition: str) -> list[str]:
    """Return notes on the errors and, if there are several seeds, on how they are combined."""
    seeds = max((line["n_seeds"] for line in lines), default=0)
    combined = (
        f"Energies are means over up to {seeds} training seeds; the error is the larger of the "
        "propagated one and the spread between seeds."
    )
    return [f"{_PARENTHESES}{addition}", *([combined] if seeds > 1 else [])]
