"""Decisions between two groups of energies: seed spread, tests, equivalence, multiplicity.

Energies of one wavefunction and system that differ only in their training seed are a sample; two
wavefunctions are two samples. The functions work on a few numbers per system and are checked
against simulations (docs/explanation/statistics.md).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats


class Sample(NamedTuple):
    """Summary of the energies of one wavefunction and system over its seeds.

    Attributes:
        mean: mean energy.
        variance: of one seed's energy, from the scatter of training and from sampling together.
        dof: degrees of freedom of that variance; infinite if it is exact.
        size: number of seeds.
    """

    mean: float
    variance: float
    dof: float
    size: int

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
        distance = self.value - true
        if self.error == 0.0:
            return math.copysign(math.inf, distance) if distance else 0.0
        return distance / self.error


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

    Args:
        error: standard error of a difference.
        dof: its degrees of freedom.
        significance: of the test.
        power: probability of detection.
    """
    return (quantile(1.0 - significance, dof) + quantile(power, dof)) * error
