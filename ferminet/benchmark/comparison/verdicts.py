"""From samples to verdicts, for each system and overall, and the seeds that would decide."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from ferminet.benchmark.comparison.inference import Difference, Sample, difference, holm, quantile

Verdict = Literal["worse", "undecided", "better", "equivalent"]
MOST_SEEDS = 64


class Criteria(NamedTuple):
    """The choices that are fixed before any energy is seen.

    Attributes:
        margin: differences smaller than this do not matter, in hartree.
        family_error: chance that equal wavefunctions are called worse (or better) in any system.
        equivalence_error: chance that a difference of the margin is called equivalent, per system.
        power: chance of detecting a difference, for plans.
    """

    margin: float = 5e-4
    family_error: float = 0.01
    equivalence_error: float = 0.05
    power: float = 0.9


class Decision(NamedTuple):
    """The numbers that decide about one system, and the verdict.

    Attributes:
        difference: new minus control, hartree.
        p_worse: p value of the new one being no worse, after Holm's correction.
        p_better: p value of the new one being no better, after Holm's correction.
        p_equivalent: p value of a difference of the margin or more.
        verdict: of this system.
    """

    difference: Difference
    p_worse: float
    p_better: float
    p_equivalent: float
    verdict: Verdict


def judge(news: Sequence[Sample], controls: Sequence[Sample], criteria: Criteria) -> list[Decision]:
    """Return the decision for each system.

    A difference shown to lie within the margin is equivalent, even if it differs significantly from
    zero; any other may be worse or better.
    """
    differences = [difference(new, control) for new, control in zip(news, controls, strict=True)]
    worse = holm([delta.p_above() for delta in differences])
    better = holm([delta.p_below() for delta in differences])
    decisions = []
    for delta, p_worse, p_better in zip(differences, worse, better, strict=True):
        p_equivalent = delta.p_equivalent(criteria.margin)
        verdict: Verdict = "undecided"
        if p_equivalent <= criteria.equivalence_error:
            verdict = "equivalent"
        elif p_worse <= criteria.family_error:
            verdict = "worse"
        elif p_better <= criteria.family_error:
            verdict = "better"
        decisions.append(Decision(delta, p_worse, p_better, p_equivalent, verdict))
    return decisions


def overall_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the first of worse, undecided and better that any system has, else equivalent."""
    order: tuple[Verdict, ...] = ("worse", "undecided", "better")
    for verdict in order:
        if verdict in verdicts:
            return verdict
    return "equivalent"


def seeds_needed(
    new: Sample, control: Sample, criteria: Criteria, n_systems: int, most: int = MOST_SEEDS
) -> int | None:
    """Return how many seeds of the new wavefunction would decide if the difference stayed the same.

    The first step of Holm's procedure is assumed, the strictest. None if no number up to `most`.
    """
    distance = abs(new.mean - control.mean)
    for size in range(new.size + 1, most + 1):
        dof = new.dof + size - new.size if math.isfinite(new.dof) else size - 1.0
        planned = difference(new._replace(dof=dof, size=size), control)
        equivalent = quantile(1.0 - criteria.equivalence_error, planned.dof) * planned.error
        different = quantile(1.0 - criteria.family_error / n_systems, planned.dof) * planned.error
        if criteria.margin - distance > equivalent or distance > different:
            return size
    return None
