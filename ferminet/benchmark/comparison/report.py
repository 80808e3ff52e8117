"""A comparison as people and machines read it: Markdown for a pull request, JSON, a plan."""

import math
import statistics
from typing import Any

from ferminet.benchmark.comparison.arms import Arm, place_label
from ferminet.benchmark.comparison.compare import Comparison, Plan, SystemComparison
from ferminet.benchmark.comparison.inference import Sample
from ferminet.benchmark.comparison.throughput import TARGET_ERROR
from ferminet.benchmark.comparison.verdicts import MOST_SEEDS, Criteria
from ferminet.benchmark.estimates import correlation_recovered, hartree_fock_limit
from ferminet.benchmark.numbers import count, format_value
from ferminet.benchmark.references import Reference, References
from ferminet.benchmark.schema import Rows, energies_of
from ferminet.benchmark.tables.formatting import Shown, Table, to_markdown
from ferminet.units import MEH_PER_HARTREE

_CONFIDENCE = 0.95
_LEAST_PROBABILITY = 1e-4
_SEVERAL = 1.1  # a longer spread of times than this makes a ratio of them doubtful


def headline(comparison: Comparison) -> str:
    """The verdict in one sentence."""
    new, baseline = comparison.new.label, comparison.baseline.label
    margin = f"{MEH_PER_HARTREE * comparison.criteria.margin:g} mEh"
    n = len(comparison.systems)
    where = _where(comparison, comparison.verdict)
    sentences = {
        "worse": f"{new} is worse than {baseline}: {where}.",
        "undecided": f"{new} against {baseline} is not decided: {where}.",
        "better": f"{new} is better than {baseline}: {where}, and nowhere worse.",
        "equivalent": f"{new} and {baseline} are equivalent within {margin} on "
        f"{count(n, 'system')}.",
    }
    return sentences[comparison.verdict]


def _where(comparison: Comparison, verdict: str) -> str:
    chosen = [one for one in comparison.systems if one.verdict == verdict]
    return ", ".join(
        f"{place_label(one.place)} by {_signed_mEh(one)} mEh"
        if verdict in ("worse", "better")
        else f"{place_label(one.place)} {_signed_mEh(one)} mEh"
        for one in chosen
    )


def _signed_mEh(one: SystemComparison) -> str:
    text = format_value(
        MEH_PER_HARTREE * one.difference.value, MEH_PER_HARTREE * one.difference.error, 2
    )
    return text if text.startswith("-") else f"+{text}"


def markdown(comparison: Comparison, references: References) -> str:
    """The verdict, a table of systems, and what a reader must know of both; for a pull request."""
    parts = [f"## Verdict: {comparison.verdict}", "", headline(comparison), ""]
    parts += [to_markdown(comparison_table(comparison, references))]
    return "\n".join(parts)


def comparison_table(comparison: Comparison, references: References) -> Table:
    """One line per system."""
    columns = (
        "system", "verdict", "difference_mEh", "difference_error_mEh", "percent_difference", "t",
        "dof", "p_worse", "p_better", "p_equivalent", "seeds", "variance_ratio", "time_ratio",
        "hours", "needed",
    )  # fmt: skip
    lines = [_line(one, comparison, references) for one in comparison.systems]
    shown = [
        Shown("system", "System"),
        Shown("difference_mEh", "New − baseline", "mEh", "difference_error_mEh"),  # noqa: RUF001
        Shown("percent_difference", "of correlation", "%"),
        Shown("t", "t", decimals=1),
        Shown("dof", "dof", decimals=1),
        Shown("p_worse", "p (no worse)"),
        Shown("p_better", "p (no better)"),
        Shown("p_equivalent", "p (beyond margin)"),
        Shown("seeds", "Seeds"),
        Shown("variance_ratio", "Variance of local energies, ratio", decimals=2),
        Shown("time_ratio", "s/iteration, ratio", decimals=2),
        Shown("verdict", "Verdict"),
        Shown("needed", "To decide"),
    ]
    title = f"{comparison.new.label} against {comparison.baseline.label}"
    return Table(lines, columns, shown, _notes(comparison), name="comparison", title=title)


def _line(one: SystemComparison, comparison: Comparison, references: References) -> dict[str, Any]:
    speed = one.throughput
    return {
        "system": place_label(one.place),
        "verdict": one.verdict,
        "difference_mEh": MEH_PER_HARTREE * one.difference.value,
        "difference_error_mEh": MEH_PER_HARTREE * one.difference.error,
        "percent_difference": _percent(one, comparison.baseline, references),
        "t": one.difference.value / one.difference.error if one.difference.error else None,
        "dof": one.difference.dof if math.isfinite(one.difference.dof) else None,
        "p_worse": _probability(one.p_worse),
        "p_better": _probability(one.p_better),
        "p_equivalent": _probability(one.p_equivalent),
        "seeds": f"{one.new.size} / {one.baseline.size}",
        "variance_ratio": one.variance_ratio,
        "time_ratio": None if speed is None else speed.ratio,
        "hours": None if speed is None else f"{speed.hours[0]:.3g} / {speed.hours[1]:.3g}",
        "needed": _to_decide(one),
    }


def _probability(value: float) -> str:
    return f"{value:.4f}" if value >= _LEAST_PROBABILITY else f"< {_LEAST_PROBABILITY:g}"


def _percent(one: SystemComparison, baseline: Arm, references: References) -> float | None:
    """The difference as part of the correlation energy, negative where less is recovered."""
    rows = baseline.rows[one.place]
    hartree_fock = hartree_fock_limit([], references, *one.place)
    best = references.best(*one.place)
    if not isinstance(hartree_fock, Reference):
        return None
    percents = [
        correlation_recovered(sample.mean, None, rows[0].n_electrons, hartree_fock, best).percent
        for sample in (one.new, one.baseline)
    ]
    first, second = percents
    return None if first is None or second is None else first - second


def _to_decide(one: SystemComparison) -> str:
    if one.verdict != "undecided":
        return ""
    if one.seeds_needed is None:
        text = f"more than {MOST_SEEDS} seeds, or more of the baseline's"
    else:
        text = f"{count(one.seeds_needed - one.new.size, 'more seed')}"
    if one.sampling_share > 0.5:
        text += f"; or longer evaluation, {100 * one.sampling_share:.0f} % of the variance"
    return text


def _notes(comparison: Comparison) -> list[str]:
    criteria, systems = comparison.criteria, comparison.systems
    default = Criteria().margin
    usual = (
        ""
        if criteria.margin == default
        else f" (where nothing is said {MEH_PER_HARTREE * default:g})"
    )
    notes = [
        f"Margin {MEH_PER_HARTREE * criteria.margin:g} mEh{usual}, fixed beforehand. Equivalent: "
        f"two one-sided tests at {100 * criteria.equivalence_error:g} % per system. Worse, better: "
        f"one-sided Welch tests, Holm over {count(len(systems), 'system')}, family-wise "
        f"{100 * criteria.family_error:g} %. Shown within the margin counts before worse and "
        "better.",
        "Errors are of the means over seeds, scatter of training included. The new wavefunction's "
        "scatter relative to the baseline's is shared by the systems as far as they agree, "
        f"counting for {comparison.prior_dof:.1f} degrees of freedom "
        "(docs/explanation/statistics.md).",
        *_speed_notes(systems),
    ]
    return notes + comparison.notes


def _speed_notes(systems: list[SystemComparison]) -> list[str]:
    known = [(one, one.throughput) for one in systems if one.throughput is not None]
    if not known:
        return ["Times are not compared: the devices differ, or the rows do not tell them."]
    hours = "; ".join(
        f"{place_label(one.place)} {speed.hours[0]:.3g} / {speed.hours[1]:.3g}"
        for one, speed in known
    )
    device = known[0][1].device
    notes = [
        "Device-hours of training and of evaluation to a standard error of "
        f"{MEH_PER_HARTREE * TARGET_ERROR:g} mEh (new / baseline, {device}): {hours}."
    ]
    worst = max(speed.spread for _, speed in known)
    if worst > _SEVERAL:
        notes.append(
            f"Times scatter by up to a factor {worst:.2f} between seeds of one arm; ratios nearer "
            "to one than that say nothing."
        )
    if device == "cpu":
        notes.append(
            "Times of a CPU compare only if both arms ran on the same machine, undisturbed."
        )
    return notes


def as_json(comparison: Comparison, references: References) -> dict[str, Any]:
    """The same for machines; energies in hartree."""
    criteria = comparison.criteria
    return {
        "verdict": comparison.verdict,
        "headline": headline(comparison),
        "new": comparison.new.label,
        "baseline": comparison.baseline.label,
        "margin_hartree": criteria.margin,
        "family_error": criteria.family_error,
        "equivalence_error": criteria.equivalence_error,
        "systems": [
            {
                "system": one.place[0],
                "geometry": one.place[1],
                "verdict": one.verdict,
                "difference_hartree": one.difference.value,
                "error_hartree": one.difference.error,
                "interval_hartree": _interval(one),
                "interval_probability": _CONFIDENCE,
                "dof": one.difference.dof,
                "p_worse": one.p_worse,
                "p_better": one.p_better,
                "p_equivalent": one.p_equivalent,
                "percent_of_correlation": _percent(one, comparison.baseline, references),
                "new": _sample(one.new, comparison.new.rows[one.place]),
                "baseline": _sample(one.baseline, comparison.baseline.rows[one.place]),
                "variance_ratio": one.variance_ratio,
                "seeds_needed": one.seeds_needed,
                "sampling_share_of_variance": one.sampling_share,
                "throughput": None if one.throughput is None else vars(one.throughput),
            }
            for one in comparison.systems
        ],
        "notes": _notes(comparison),
    }


def _interval(one: SystemComparison) -> tuple[float, float]:
    half = one.difference.half_width(_CONFIDENCE)
    return one.difference.value - half, one.difference.value + half


def _sample(sample: Sample, rows: Rows) -> dict[str, float | None]:
    """The spread is that of the test, shared by systems; the deviation is of these seeds alone."""
    deviation = statistics.stdev(energies_of(rows)) if len(rows) > 1 else None
    return {
        "energy_hartree": sample.mean,
        "error_hartree": math.sqrt(sample.squared_error),
        "seed_spread_hartree": math.sqrt(sample.variance),
        "seed_deviation_hartree": deviation,
        "dof": sample.dof,
        "seeds": sample.size,
    }


def plan_table(plans: list[Plan], baseline: Arm, seeds: int, criteria: Criteria) -> Table:
    """What a number of seeds of a new wavefunction can tell from a baseline."""
    columns = ("system", "error_mEh", "detectable_mEh", "half_width_mEh", "margin")
    lines = [
        {
            "system": place_label(one.place),
            "error_mEh": MEH_PER_HARTREE * one.error,
            "detectable_mEh": MEH_PER_HARTREE * one.detectable,
            "half_width_mEh": MEH_PER_HARTREE * one.half_width,
            "margin": "yes" if one.half_width < criteria.margin else "no",
        }
        for one in plans
    ]
    shown = [
        Shown("system", "System"),
        Shown("error_mEh", "Error of the difference", "mEh"),
        Shown("detectable_mEh", "Found", "mEh"),
        Shown("half_width_mEh", "Equivalent if within the margin by", "mEh"),
        Shown("margin", "Equivalence possible"),
    ]
    notes = [
        f"Found: the true difference that is called worse with {100 * criteria.power:g} % "
        f"probability, family-wise error {100 * criteria.family_error:g} %. "
        f"Margin {MEH_PER_HARTREE * criteria.margin:g} mEh. The new wavefunction's seeds are "
        "taken to scatter as the baseline's."
    ]
    single = [place for place, rows in baseline.rows.items() if len(rows) < 2]
    if single:
        notes.append(
            f"One seed of the baseline ({', '.join(map(place_label, single))}): the scatter of "
            "training is not known there and left out, so that true limits are wider."
        )
    title = f"What {count(seeds, 'seed')} can tell from {baseline.label}"
    return Table(lines, columns, shown, notes, name="plan", title=title)
