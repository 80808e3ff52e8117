"""Decide whether a wavefunction is better, worse, equivalent within a margin, or undecided.

For each system the mean energies over the seeds are compared (Welch); the scatter of the new
wavefunction's seeds relative to the control's is shared by its systems as far as they agree.
Equivalence within a margin, fixed beforehand, is tested by two one-sided tests; a difference by
one-sided tests whose family-wise error over the systems is controlled (Holm). Energies are in
hartree.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from ferminet.benchmark.comparison import arms
from ferminet.benchmark.comparison.arms import Arm, GeometryKey
from ferminet.benchmark.comparison.inference import (
    DEFAULT_CRITERIA,
    Criteria,
    Difference,
    Sample,
    Verdict,
    detectable,
    difference,
    judge,
    moderated,
    overall_verdict,
    seeds_needed,
)
from ferminet.benchmark.comparison.settings import SettingDifference, differing_settings, tuned_note
from ferminet.benchmark.comparison.throughput import Throughput, compare_throughput, equal_time
from ferminet.benchmark.numbers import geometry_name
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows, energies_of, errors_of
from ferminet.errors import InputError

_LEAST_VARIANCE = 1e-24  # of energies that agree to the last digit


class SystemComparison(NamedTuple):
    """The numbers of one system and its verdict; energies in hartree."""

    geometry_key: GeometryKey
    new: Sample
    control: Sample
    # From `Decision`.
    difference: Difference
    p_worse: float
    p_better: float
    p_equivalent: float
    verdict: Verdict
    # Seeds of the new one that would probably decide; None if decided, or above `MOST_SEEDS`.
    seeds_needed: int | None
    sampling_share: float  # part of the new one's variance that longer evaluation would remove
    variance_ratio: float | None  # of the local energies, new over control; None if unknown
    throughput: Throughput | None  # None if times cannot be compared

    @property
    def label(self) -> str:
        """System and geometry as tables show them."""
        return geometry_name(*self.geometry_key, "/")


class Comparison(NamedTuple):
    """A verdict and what it is based on."""

    new: Arm
    control: Arm
    criteria: Criteria
    systems: list[SystemComparison]
    settings: list[SettingDifference]
    verdict: Verdict
    prior_dof: float
    notes: list[str]


def compare(
    new: Arm,
    control: Arm,
    references: References,
    criteria: Criteria = DEFAULT_CRITERIA,
    *,
    equal_device_time: bool = False,
) -> Comparison:
    """Compare two wavefunctions over all systems that both have; the verdict is on the new one.

    `equal_device_time` leaves out systems whose trainings took unequal device time. The literature
    values serve to recognise unsound energies.

    Raises:
        InputError: no system in common, none of equal device time, or runs that are not finished.
        NotConvergedError: energies that are not sound.
    """
    keys = [key for key in control.rows if key in new.rows]
    if not keys:
        raise InputError(
            f"{new.source} and {control.source} have no system in common: the first has "
            f"{arms.labels(new.rows)}, the second {arms.labels(control.rows)}."
        )
    notes = arms.left_out(new, control)
    if equal_device_time:
        keys, unequal = equal_time(new, control, keys)
        notes += unequal
    for arm in (new, control):
        arms.refuse_unsound(arm, keys, references)
    rows = [(new.rows[key], control.rows[key]) for key in keys]
    news, controls, prior = paired_samples([a for a, _ in rows], [b for _, b in rows])
    systems = []
    for index, decision in enumerate(judge(news, controls, criteria)):
        pair = news[index], controls[index]
        undecided = decision.verdict == "undecided"
        systems.append(
            SystemComparison(
                keys[index],
                *pair,
                *decision,
                seeds_needed(*pair, criteria, len(keys)) if undecided else None,
                min(1.0, _mean_square_error(rows[index][0]) / pair[0].variance),
                _variance_ratio(*rows[index]),
                compare_throughput(*rows[index]),
            )
        )
    if single := [system.label for system in systems if system.new.size == 1]:
        notes.append(
            f"One seed only ({', '.join(single)}): the verdict is on that run, not on the "
            "wavefunction; its scatter is taken to be the control's."
        )
    settings, unrecorded = differing_settings(new, control, keys)
    notes += [*unrecorded, *tuned_note(control)]
    verdict = overall_verdict([system.verdict for system in systems])
    return Comparison(new, control, criteria, systems, settings, verdict, prior, notes)


def paired_samples(
    news: Sequence[Rows], controls: Sequence[Rows]
) -> tuple[list[Sample], list[Sample], float]:
    """Return the energies of both arms per system, given one row per seed.

    The control's variances are used as they are. Those of the new wavefunction, which has fewer
    seeds, share what they have in common relative to the control's. A single seed carries no
    information about the scatter of training: it borrows that of the other arm.

    The third value is the number of degrees of freedom that the common ratio counts for.
    """
    first, second = ([_sample(rows) for rows in arm] for arm in (news, controls))
    both = [i for i in range(len(first)) if first[i].dof and second[i].dof]
    values, prior = moderated(
        [first[i].variance for i in both],
        [first[i].dof for i in both],
        [second[i].variance for i in both],
        [second[i].dof for i in both],
    )
    for i, value in zip(both, values, strict=True):
        variance = max(value, _mean_square_error(news[i]))
        first[i] = first[i]._replace(variance=variance, dof=first[i].dof + prior)
    pairs = list(zip(first, second, strict=True))
    return [_scattered(a, b) for a, b in pairs], [_scattered(b, a) for a, b in pairs], prior


def _sample(rows: Rows) -> Sample:
    """Return the seeds of one system; a single seed has no degrees of freedom.

    The scatter of the seeds contains the error of sampling, so it cannot be smaller.
    """
    energies = energies_of(rows)
    scatter = statistics.variance(energies) if len(rows) > 1 else 0.0
    variance = max(scatter, _mean_square_error(rows), _LEAST_VARIANCE)
    return Sample(statistics.fmean(energies), variance, len(rows) - 1, len(rows))


def _scattered(sample: Sample, other: Sample) -> Sample:
    """Return a sample; a single seed with the scatter of the other arm, if that is known."""
    if sample.dof:
        return sample
    if not other.dof:
        return sample._replace(dof=math.inf)
    return sample._replace(variance=max(sample.variance, other.variance), dof=other.dof)


def _mean_square_error(rows: Rows) -> float:
    return statistics.fmean(error**2 for error in errors_of(rows))


def _variance_ratio(new: Rows, control: Rows) -> float | None:
    medians = [
        statistics.median([row.variance for row in rows if row.variance is not None] or [0.0])
        for rows in (new, control)
    ]
    return medians[0] / medians[1] if all(medians) else None


class Plan(NamedTuple):
    """What a number of seeds can resolve in one system, in hartree."""

    geometry_key: GeometryKey
    error: float  # standard error of the difference
    detectable: float  # the difference that is detected with the power of the criteria
    half_width: float  # of the interval that must lie within the margin for equivalence


def plan(control: Arm, seeds: int, criteria: Criteria = DEFAULT_CRITERIA) -> list[Plan]:
    """Return what seeds of a new wavefunction with the scatter of the control could resolve."""
    significance = criteria.family_error / len(control.rows)
    plans = []
    for key, rows in control.rows.items():
        sample = _sample(rows)
        sample = _scattered(sample, sample)
        dof = seeds - 1.0 if seeds > 1 and math.isfinite(sample.dof) else sample.dof
        planned = difference(sample._replace(dof=dof, size=seeds), sample)
        least = detectable(planned.error, planned.dof, significance, criteria.power)
        half_width = planned.half_width(1.0 - 2.0 * criteria.equivalence_error)
        plans.append(Plan(key, planned.error, least, half_width))
    return plans
