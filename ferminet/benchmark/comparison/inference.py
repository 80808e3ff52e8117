"""Decisions between two groups of energies: seed spread, tests, equivalence, multiplicity.

Energies of one wavefunction and system that differ only in their training seed are a sample; two
wavefunctions are two samples. The functions work on a few numbers per system and are checked
against simulations (docs/explanation/statistics.md).
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import optimize, special, stats

from ferminet.vmc.statistics import Estimate, z_score

Verdict = Literal["worse", "undecided", "better", "equivalent"]
MOST_SEEDS = 64


class Sample(NamedTuple):
    """Summary of the energies of one wavefunction and system over its seeds."""

    mean: float
    variance: float  # of one seed's energy, from training and sampling together
    dof: float  # degrees of freedom of that variance; infinite if it is exact
    size: int  # number of seeds

    @property
    def squared_error(self) -> float:
        """Squared standard error of the mean."""
        return self.variance / self.size


class Difference(NamedTuple):
    """The difference of the means of two samples, its standard error and degrees of freedom."""

    value: float
    error: float
    dof: float

    def p_above(self, true: float = 0.0) -> float:
        """Return the probability of a difference this large or larger, given the true one."""
        return float(stats.t.sf(self._t(true), self.dof))

    def p_below(self, true: float = 0.0) -> float:
        """Return the probability of a difference this small or smaller, given the true one."""
        return float(stats.t.cdf(self._t(true), self.dof))

    def p_equivalent(self, margin: float) -> float:
        """Return the p value of |true difference| >= margin: two one-sided tests (Schuirmann)."""
        return max(self.p_above(-margin), self.p_below(margin))

    def half_width(self, confidence: float) -> float:
        """Return half the width of the two-sided confidence interval."""
        return quantile(0.5 + 0.5 * confidence, self.dof) * self.error

    def _t(self, true: float) -> float:
        return z_score(Estimate(self.value, self.error), true)


def quantile(probability: float, dof: float) -> float:
    """Return a quantile of Student's t distribution; it is normal for infinite `dof`."""
    return float(stats.t.ppf(probability, dof))


def moderated(
    variances: Sequence[float],
    dofs: Sequence[float],
    scales: Sequence[float],
    scale_dofs: Sequence[float],
) -> tuple[list[float], float]:
    """Moderate the variances of several systems towards a common ratio (Smyth 2004, sec. 6).

    Systems scatter by very different amounts, but a wavefunction that scatters twice as much as
    another in one of them tends to do so in others. The ratios to the other's variances are
    modelled as scaled inverse chi-squared around a common value. Their spread beyond what so few
    degrees of freedom explain determines the degrees of freedom (d0) that the common value counts
    for.

    Args:
        variances: of one wavefunction, one per system, all positive.
        dofs: their degrees of freedom, all positive.
        scales: variances of the other wavefunction in the same systems.
        scale_dofs: their degrees of freedom.

    Returns:
        The moderated variances, (d0 ratio scale + d s^2) / (d0 + d), and d0, which is at most half
        of what the scales have, because they are no better known than that. With fewer than two
        systems, the given variances and 0.
    """
    values, dof = np.asarray(variances, float), np.asarray(dofs, float)
    scale, scale_dof = np.asarray(scales, float), np.asarray(scale_dofs, float)
    if values.size < 2:
        return values.tolist(), 0.0
    logs = np.log(values / scale) - _mean_log(dof) + _mean_log(scale_dof)
    expected = (special.polygamma(1, dof / 2) + special.polygamma(1, scale_dof / 2)).mean()
    spread = float(logs.var(ddof=1) - expected)
    # The spread is trigamma(d0 / 2), which falls monotonically.
    half = 0.25 * float(scale_dof.mean())
    if spread > special.polygamma(1, half):
        bracket = (1e-8, half)
        half = optimize.root_scalar(
            lambda x: special.polygamma(1, x) - spread, bracket=bracket, xtol=1e-15
        ).root
    prior = 2.0 * half
    common = math.exp(float(logs.mean())) * scale
    return ((prior * common + dof * values) / (prior + dof)).tolist(), prior


def _mean_log(dof: np.ndarray) -> np.ndarray:
    """Return the mean of the logarithm of chi-squared over its degrees of freedom."""
    return special.digamma(dof / 2) - np.log(dof / 2)


def difference(first: Sample, second: Sample) -> Difference:
    """Return `first - second` without assuming equal variances (Welch 1947)."""
    total = first.squared_error + second.squared_error
    weight = first.squared_error**2 / first.dof + second.squared_error**2 / second.dof
    dof = total**2 / weight if weight > 0.0 else math.inf
    return Difference(first.mean - second.mean, math.sqrt(total), dof)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values, in the given order, that control the family-wise error (Holm 1979)."""
    values = np.asarray(p_values, float)
    order = np.argsort(values, kind="stable")
    scaled = np.minimum(1.0, np.arange(len(values), 0, -1) * values[order])
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(scaled)
    return adjusted.tolist()


def detectable(error: float, dof: float, significance: float, power: float) -> float:
    """Return the true difference that a one-sided test detects with probability `power`.

    `error` and `dof` are the standard error and degrees of freedom of a measured difference.
    """
    return (quantile(1.0 - significance, dof) + quantile(power, dof)) * error


class Criteria(NamedTuple):
    """The choices that are fixed before any energy is seen."""

    margin: float = 5e-4  # differences smaller than this do not matter, hartree
    family_error: float = 0.01  # chance that equals are called worse (or better) in any system
    # Chance that a difference of the margin is called equivalent, per system.
    equivalence_error: float = 0.05
    power: float = 0.9  # chance of detecting a difference, for plans


DEFAULT_CRITERIA = Criteria()


class Decision(NamedTuple):
    """The numbers that decide about one system, and the verdict."""

    difference: Difference  # new minus control, hartree
    p_worse: float  # p value of the new one being no worse, after Holm's correction
    p_better: float  # p value of the new one being no better, after Holm's correction
    p_equivalent: float  # p value of a difference of the margin or more
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
