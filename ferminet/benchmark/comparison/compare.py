"""Is a wavefunction better than another, worse, equivalent within a margin, or not yet decided?

Per system the mean energies over the seeds are compared (Welch); the scatter of the new
wavefunction's seeds relative to the baseline's is shared by its systems as far as they agree.
Equivalence within a margin, fixed before anyone looks, is tested by two one-sided tests; a
difference by one-sided tests whose family-wise error over the systems is controlled (Holm).
Energies are in hartree, as everywhere.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ferminet.benchmark.comparison.arms import (
    Arm,
    Place,
    common_places,
    left_out,
    place_label,
    refuse_unsound,
    unequal_settings,
)
from ferminet.benchmark.comparison.inference import (
    Difference,
    Sample,
    detectable,
    difference,
    moderated,
)
from ferminet.benchmark.comparison.throughput import Throughput, compare_throughput
from ferminet.benchmark.comparison.verdicts import (
    Criteria,
    Verdict,
    judge,
    overall_verdict,
    seeds_needed,
    undecided,
)
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows, energies_of, errors_of

_LEAST_VARIANCE = 1e-24  # of energies that agree to the last digit


@dataclass(frozen=True)
class SystemComparison:
    """One system's numbers and its verdict.

    Attributes:
        place: system and geometry.
        new: energies of the new wavefunction, hartree.
        baseline: energies of the one it is compared with, hartree.
        difference: new minus baseline, hartree.
        p_worse: for the new one to be no worse, after Holm.
        p_better: for the new one to be no better, after Holm.
        p_equivalent: for a difference of the margin or more.
        verdict: of this system.
        seeds_needed: how many seeds of the new one would probably decide; None if decided, or if
            no number up to `MOST_SEEDS` would.
        sampling_share: part of the new one's variance that longer evaluation would remove.
        variance_ratio: of the local energies, new over baseline; None if unknown.
        throughput: time per iteration, and of a run, new against baseline.
    """

    place: Place
    new: Sample
    baseline: Sample
    difference: Difference
    p_worse: float
    p_better: float
    p_equivalent: float
    verdict: Verdict
    seeds_needed: int | None
    sampling_share: float
    variance_ratio: float | None
    throughput: Throughput | None


@dataclass(frozen=True)
class Comparison:
    """A verdict and what it is made of."""

    new: Arm
    baseline: Arm
    criteria: Criteria
    systems: list[SystemComparison]
    verdict: Verdict
    prior_dof: float
    notes: list[str] = field(default_factory=list)


def compare(
    new: Arm, baseline: Arm, references: References, criteria: Criteria | None = None
) -> Comparison:
    """Compares two wavefunctions over all systems that both have.

    Args:
        new: the wavefunction in question.
        baseline: what it is compared with.
        references: exact energies, below which no energy can lie.
        criteria: margin and error rates.

    Raises:
        InputError: no system in common, or runs that are not finished.
        NotConvergedError: energies that are not sound.
    """
    criteria = criteria or Criteria()
    places = common_places(new, baseline)
    for arm in (new, baseline):
        refuse_unsound(arm, places, references)
    news, bases, prior = paired_samples(
        [new.rows[place] for place in places], [baseline.rows[place] for place in places]
    )
    verdicts = judge(news, bases, criteria)
    systems = [
        SystemComparison(
            place,
            mine,
            theirs,
            *decision,
            seeds_needed(mine, theirs, criteria, len(places)) if undecided(decision) else None,
            _sampling_share(new.rows[place], mine),
            _variance_ratio(new.rows[place], baseline.rows[place]),
            compare_throughput(new.rows[place], baseline.rows[place]),
        )
        for place, mine, theirs, decision in zip(places, news, bases, verdicts, strict=True)
    ]
    notes = [
        *left_out(new, baseline),
        *unequal_settings(new, baseline, places),
        *_notes_on_seeds(systems),
    ]
    overall = overall_verdict([one.verdict for one in systems])
    return Comparison(new, baseline, criteria, systems, overall, prior, notes)


def paired_samples(
    news: Sequence[Rows], bases: Sequence[Rows]
) -> tuple[list[Sample], list[Sample], float]:
    """The energies of both arms per system.

    The baseline's variances stand for themselves; those of the new wavefunction, of which there are
    fewer seeds, share what they have in common relative to them. A single seed tells nothing about
    the scatter of training: it borrows the other arm's.

    Args:
        news: rows of the new wavefunction per system, one row per seed.
        bases: rows of the baseline, likewise.

    Returns:
        Samples of either arm, and the degrees of freedom that the common ratio counts for.
    """
    second = [_sample(rows) for rows in bases]
    first = [_sample(rows) for rows in news]
    both = [i for i, pair in enumerate(zip(first, second, strict=True)) if None not in pair]
    prior = 0.0
    if both:
        mine, theirs = ([s for i in both if (s := arm[i])] for arm in (first, second))
        values, prior = moderated(
            [one.variance for one in mine],
            [one.dof for one in mine],
            [one.variance for one in theirs],
            [one.dof for one in theirs],
        )
        for index, one, value in zip(both, mine, values, strict=True):
            variance = max(value, _mean_square_error(news[index]))
            first[index] = replace(one, variance=variance, dof=one.dof + prior)
    return _complete(first, news, second), _complete(second, bases, first), prior


def _complete(
    samples: list[Sample | None], groups: Sequence[Rows], others: list[Sample | None]
) -> list[Sample]:
    return [
        mine or _borrowed(rows, other)
        for mine, rows, other in zip(samples, groups, others, strict=True)
    ]


def _sample(rows: Rows) -> Sample | None:
    """One system's seeds, None if there is one only.

    Their scatter contains the error of sampling, so it cannot be smaller.
    """
    if len(rows) < 2:
        return None
    energies = energies_of(rows)
    variance = max(statistics.variance(energies), _mean_square_error(rows), _LEAST_VARIANCE)
    return Sample(statistics.fmean(energies), variance, len(rows) - 1, len(rows))


def _borrowed(rows: Rows, other: Sample | None) -> Sample:
    (energy,), floor = energies_of(rows), _mean_square_error(rows)
    if other is None:
        return Sample(energy, max(floor, _LEAST_VARIANCE), math.inf, 1)
    return Sample(energy, max(floor, other.variance), other.dof, 1)


def _mean_square_error(rows: Rows) -> float:
    return statistics.fmean(error**2 for error in errors_of(rows))


@dataclass(frozen=True)
class Plan:
    """What a number of seeds can tell about one system, in hartree."""

    place: Place
    error: float
    detectable: float
    half_width: float


def plan(baseline: Arm, seeds: int, criteria: Criteria | None = None) -> list[Plan]:
    """What a new wavefunction with as much scatter as the baseline could be told from it.

    Args:
        baseline: rows of the baseline, several seeds.
        seeds: seeds of the new wavefunction.
        criteria: margin and error rates.

    Returns:
        Per system the standard error of the difference, the difference that is found with the
        criteria's power, and the half width of the interval that equivalence needs within the
        margin.
    """
    criteria = criteria or Criteria()
    places = list(baseline.rows)
    samples, _, _ = paired_samples(*[[baseline.rows[place] for place in places]] * 2)
    found = []
    for place, rows, scatter in zip(places, baseline.rows.values(), samples, strict=True):
        theirs = _sample(rows) or scatter
        dof = seeds - 1.0 if seeds > 1 and math.isfinite(theirs.dof) else theirs.dof
        planned = difference(replace(theirs, dof=dof, size=seeds), theirs)
        found.append(
            Plan(
                place,
                planned.error,
                detectable(
                    planned.error, planned.dof, criteria.family_error / len(places), criteria.power
                ),
                planned.half_width(1.0 - 2.0 * criteria.equivalence_error),
            )
        )
    return found


def _sampling_share(rows: Rows, sample: Sample) -> float:
    return min(1.0, _mean_square_error(rows) / sample.variance)


def _variance_ratio(new: Rows, baseline: Rows) -> float | None:
    medians = []
    for rows in (new, baseline):
        values = [row.variance for row in rows if row.variance is not None]
        medians.append(statistics.median(values) if values else 0.0)
    return medians[0] / medians[1] if all(medians) else None


def _notes_on_seeds(systems: Sequence[SystemComparison]) -> list[str]:
    single = [one for one in systems if one.new.size == 1]
    if not single:
        return []
    where = ", ".join(place_label(one.place) for one in single)
    return [
        f"One seed only ({where}): the verdict is on that run, not on the wavefunction; its "
        "scatter is taken to be the baseline's."
    ]
