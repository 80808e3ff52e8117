"""Decisions between two groups of energies: seed spread, tests, equivalence, multiplicity.

Energies of one wavefunction and system that differ in their training seed alone are a sample; two
wavefunctions are two samples. Everything here works on a few numbers per system and is checked
against simulations (docs/explanation/statistics.md).
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


def moderated(
    variances: Sequence[float],
    dofs: Sequence[float],
    scales: Sequence[float],
    scale_dofs: Sequence[float],
) -> tuple[list[float], float]:
    """Variances of several systems that learn from each other (after Smyth 2004, sec. 6).

    Systems scatter by very different amounts, but a wavefunction that scatters twice as much as
    another in one of them will do so in others. The ratios to the other's variances are taken as
    scaled inverse chi-squared around a common value; how much they spread, beyond what so few
    degrees of freedom explain, tells for how many (d0) that common value counts.

    Args:
        variances: of one wavefunction, one per system, all positive.
        dofs: their degrees of freedom, all positive.
        scales: variances of the other wavefunction in the same systems.
        scale_dofs: their degrees of freedom.

    Returns:
        The moderated variances, (d0 ratio scale + d s^2) / (d0 + d), and d0, which is at most half
        of what the scales have, because they are no better known than that. With fewer than two
        systems the variances as they are, and 0.
    """
    values, own = np.asarray(variances, float), np.asarray(dofs, float)
    other, known = np.asarray(scales, float), np.asarray(scale_dofs, float)
    if values.size < 2:
        return [float(value) for value in values], 0.0
    logs = np.log(values / other) - _mean_log(own) + _mean_log(known)
    expected = (special.polygamma(1, own / 2) + special.polygamma(1, known / 2)).mean()
    spread = float(logs.var(ddof=1) - expected)
    prior = 2.0 * _inverse_trigamma(spread) if spread > 0.0 else math.inf
    prior = min(prior, 0.5 * float(known.mean()))
    common = math.exp(float(logs.mean())) * other
    return [float(v) for v in (prior * common + own * values) / (prior + own)], prior


def _mean_log(dof: np.ndarray) -> np.ndarray:
    """Mean of the logarithm of chi-squared over its degrees of freedom."""
    return special.digamma(dof / 2) - np.log(dof / 2)


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
