"""Rows whose judgement changes with the literature values."""

from typing import NamedTuple

from ferminet.benchmark.diagnostics import suspicious
from ferminet.benchmark.numbers import difference_meh
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import EnergyRow, Rows, vmc_rows
from ferminet.units import CHEMICAL_ACCURACY_MEH


class JudgementChange(NamedTuple):
    """Two judgements of the row with this label."""

    row: str
    before: str
    after: str


def judgement(row: EnergyRow, references: References) -> str:
    """Return whether an energy lies below the bound, and whether chemical accuracy is met."""
    bound, best = references.bound(*row.geometry_key), references.best(*row.geometry_key)
    judged = "suspicious" if suspicious(row, bound) else "plausible"
    phrases = [judged if bound else "no bound"]
    if best is not None and row.energy is not None:
        difference, _ = difference_meh(row.energy, row.stderr, best)
        within = "within" if abs(difference) <= CHEMICAL_ACCURACY_MEH else "beyond"
        phrases.append(f"{within} {CHEMICAL_ACCURACY_MEH} mEh of {best.label}, {best.kind}")
    return "; ".join(phrases)


def judgement_changes(rows: Rows, old: References, new: References) -> list[JudgementChange]:
    """Return the sampled rows about which old and new literature values disagree."""
    sampled = [row for row in vmc_rows(rows) if row.energy is not None]
    both = [JudgementChange(r.label, judgement(r, old), judgement(r, new)) for r in sampled]
    return [each for each in both if each.before != each.after]
