"""From samples to verdicts: per system and over all of them, and what would decide."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ferminet.benchmark.comparison.inference import Difference, Sample, difference, holm, quantile

Verdict = Literal["worse", "undecided", "better", "equivalent"]
MOST_SEEDS = 64


@dataclass(frozen=True)
class Criteria:
    """What is fixed before anyone looks at an energy.

    Attributes:
        margin: differences smaller than this do not matter, in hartree.
        family_error: chance that equal wavefunctions are called worse (or better) in any system.
        equivalence_error: chance that a difference of the margin is called equivalent, per system.
        power: chance of finding a difference, for plans.
    """

    margin: float = 5e-4
    family_error: float = 0.01
    equivalence_error: float = 0.05
    power: float = 0.9


Decision = tuple[Difference, float, float, float, Verdict]


def undecided(decision: Decision) -> bool:
    """Whether a system's numbers decide nothing."""
    return decision[-1] == "undecided"


def judge(news: Sequence[Sample], bases: Sequence[Sample], criteria: Criteria) -> list[Decision]:
    """Per system: the difference, p values for worse, better and equivalent, and the verdict.

    What is shown to lie within the margin is equivalent, however significantly it differs from
    zero; what is not may be worse or better.
    """
    found = [difference(mine, theirs) for mine, theirs in zip(news, bases, strict=True)]
    worse = holm([one.p_above() for one in found])
    better = holm([one.p_below() for one in found])
    decisions: list[Decision] = []
    for one, p_worse, p_better in zip(found, worse, better, strict=True):
        p_equivalent = one.p_equivalent(criteria.margin)
        verdict: Verdict = "undecided"
        if p_equivalent <= criteria.equivalence_error:
            verdict = "equivalent"
        elif p_worse <= criteria.family_error:
            verdict = "worse"
        elif p_better <= criteria.family_error:
            verdict = "better"
        decisions.append((one, p_worse, p_better, p_equivalent, verdict))
    return decisions


def overall_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """Worse if any system is; else undecided if any is; else better if one is; else equivalent."""
    order: tuple[Verdict, ...] = ("worse", "undecided", "better")
    found: Verdict = "equivalent"
    for verdict in reversed(order):
        found = verdict if verdict in verdicts else found
    return found


def seeds_needed(
    new: Sample, baseline: Sample, criteria: Criteria, n_systems: int, most: int = MOST_SEEDS
) -> int | None:
    """Seeds of the new wavefunction that would decide if the difference stayed what it is.

    The first step of Holm's procedure is assumed, the strictest. None if no number up to ``most``.
    """
    value = new.mean - baseline.mean
    for size in range(new.size + 1, most + 1):
        dof = new.dof + size - new.size if math.isfinite(new.dof) else size - 1.0
        planned = difference(Sample(new.mean, new.variance, dof, size), baseline)
        inside = criteria.margin - abs(value)
        within = quantile(1.0 - criteria.equivalence_error, planned.dof) * planned.error
        apart = quantile(1.0 - criteria.family_error / n_systems, planned.dof) * planned.error
        if inside > within or abs(value) > apart:
            return size
    return None
