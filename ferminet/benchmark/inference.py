"""Decisions between two groups of energies: seed spread, tests, equivalence, multiplicity.

Energies of one wavefunction and system that differ in their training seed alone are a sample; two
wavefunctions are two samples. Everything here works on a few numbers per system and is checked
against simulations (docs/statistics.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats


@dataclass(frozen=True)
class Sample:
    """The energies of one wavefunction and system over its seeds, summarised.

    Attributes:
        mean: mean energy.
        variance: of one seed's energy, the scatter of training and the error of sampling together.
        dof: degrees of freedom of that variance; infinite if it is known.
        size: number of seeds.
    """

    mean: float
    variance: float
    dof: float
    size: int

    @property
    def squared_error(self) -> float:
        """Of the mean."""
        return self.variance / self.size


@dataclass(frozen=True)
class Difference:
    """The difference of two samples' means: its standard error and degrees of freedom."""

    value: float
    error: float
    dof: float

    def p_above(self, limit: float = 0.0) -> float:
        """Probability of a difference this large or larger if the true one were ``limit``."""
        return float(stats.t.sf(self._z(limit), self.dof))

    def p_below(self, limit: float = 0.0) -> float:
        """Probability of a difference this small or smaller if the true one were ``limit``."""
        return float(stats.t.cdf(self._z(limit), self.dof))

    def p_equivalent(self, margin: float) -> float:
        """P value of |true difference| >= margin: two one-sided tests (Schuirmann 1987)."""
        return max(self.p_above(-margin), self.p_below(margin))

    def half_width(self, confidence: float) -> float:
        """Half of the two-sided confidence interval."""
        return quantile(0.5 + 0.5 * confidence, self.dof) * self.error

    def _z(self, limit: float) -> float:
        distance = self.value - limit
        if self.error == 0.0:
            return math.copysign(math.inf, distance) if distance else 0.0
        return distance / self.error


def quantile(probability: float, dof: float) -> float:
    """Quantile of Student's t distribution; of the normal one for infinite degrees of freedom."""
    return float(stats.t.ppf(probability, dof))


def moderated(variances: Sequence[float], dofs: Sequence[int]) -> tuple[list[float], float]:
    """Variances of several systems that learn from each other (Smyth 2004, eq. 6.1 and 6.2).

    The true variances are taken as scaled inverse chi-squared around a common value; their own
    spread tells with how many degrees of freedom d0 that common value counts. Systems whose
    variances differ widely give d0 near 0 and keep their own.

    Args:
        variances: one per system, all positive.
        dofs: their degrees of freedom, all positive.

    Returns:
        The moderated variances, (d0 s0^2 + d s^2) / (d0 + d), and d0, which never exceeds the
        degrees of freedom that all systems have together.
    """
    values, own = np.asarray(variances, float), np.asarray(dofs, float)
    if values.size < 2:
        return [float(value) for value in values], 0.0
    centred = np.log(values) - special.digamma(own / 2) + np.log(own / 2)
    mean = centred.mean()
    spread = centred.var(ddof=1) - special.polygamma(1, own / 2).mean()
    prior = min(2.0 * _inverse_trigamma(spread) if spread > 0.0 else math.inf, own.sum())
    common = math.exp(mean + special.digamma(prior / 2) - math.log(prior / 2))
    return [float(v) for v in (prior * common + own * values) / (prior + own)], float(prior)


def _inverse_trigamma(value: float) -> float:
    """The argument at which the trigamma function, which falls monotonically, has a value."""
    low, high = 1e-8, 1e8
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if special.polygamma(1, middle) > value else (low, middle)
    return math.sqrt(low * high)


def difference(first: Sample, second: Sample) -> Difference:
    """``first - second`` without assuming equal variances (Welch 1947)."""
    parts = (first.squared_error, second.squared_error)
    total = sum(parts)
    weights = [part**2 / one.dof for part, one in zip(parts, (first, second), strict=True)]
    dof = total**2 / sum(weights) if sum(weights) > 0.0 else math.inf
    return Difference(first.mean - second.mean, math.sqrt(total), dof)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values that control the family-wise error (Holm 1979), in the given order."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def detectable(error: float, dof: float, significance: float, power: float) -> float:
    """The true difference that a one-sided test finds with probability ``power``.

    Args:
        error: standard error of a difference.
        dof: its degrees of freedom.
        significance: of the test.
        power: probability that it finds the difference.
    """
    return (quantile(1.0 - significance, dof) + quantile(power, dof)) * error
