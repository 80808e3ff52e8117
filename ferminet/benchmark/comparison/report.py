"""A comparison for people and machines: Markdown for a pull request, JSON, figure, and a plan."""

import math
import statistics
from typing import Any

from matplotlib.figure import Figure

from ferminet.benchmark.comparison.arms import Arm
from ferminet.benchmark.comparison.compare import Comparison, Plan, SystemComparison
from ferminet.benchmark.comparison.inference import DEFAULT_CRITERIA, MOST_SEEDS, Criteria, Sample
from ferminet.benchmark.comparison.settings import settings_table
from ferminet.benchmark.comparison.throughput import TARGET_ERROR
from ferminet.benchmark.estimates import correlation_recovered, hartree_fock_limit
from ferminet.benchmark.figures import style as look
from ferminet.benchmark.numbers import count, format_value, geometry_name
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows, energies_of
from ferminet.benchmark.tables.formatting import Shown, Table, to_markdown
from ferminet.units import MEH_PER_HARTREE

_CONFIDENCE, _LEAST_PROBABILITY = 0.95, 1e-4
_COLOURS = {
    "worse": look.VERMILION,
    "undecided": look.ORANGE,
    "better": look.BLUE,
    "equivalent": look.GREEN,
}
_LARGE_SPREAD = 1.1  # times that scatter by a larger factor make their ratio doubtful


def headline(comparison: Comparison) -> str:
    """Return the verdict in one sentence."""
    new, control = comparison.new.label, comparison.control.label
    verdict = comparison.verdict
    by = "by " if verdict in ("worse", "better") else ""
    where = ", ".join(
        f"{system.label} {by}{_signed_difference(system)} mEh"
        for system in comparison.systems
        if system.verdict == verdict
    )
    margin = f"{MEH_PER_HARTREE * comparison.criteria.margin:g} mEh"
    n_systems = count(len(comparison.systems), "system")
    return {
        "worse": f"{new} is worse than {control}: {where}.",
        "undecided": f"{new} against {control} is not decided: {where}.",
        "better": f"{new} is better than {control}: {where}, and nowhere worse.",
        "equivalent": f"{new} and {control} are equivalent within {margin} on {n_systems}.",
    }[verdict]


def _signed_difference(system: SystemComparison) -> str:
    value, error = system.difference.value, system.difference.error
    text = format_value(MEH_PER_HARTREE * value, MEH_PER_HARTREE * error, 2)
    return text if text.startswith("-") else f"+{text}"


def markdown(comparison: Comparison, references: References) -> str:
    """Return the verdict, a table of systems and the notes, for a pull request."""
    table = to_markdown(_table(comparison, references))
    return f"## Verdict: {comparison.verdict}\n\n{headline(comparison)}\n\n{table}"


def _table(comparison: Comparison, references: References) -> Table:
    lines = [_line(system, comparison.control, references) for system in comparison.systems]
    shown = [
        Shown("system", "System"),
        Shown("difference_mEh", "New − control", "mEh", "difference_error_mEh"),  # noqa: RUF001
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
    title = f"{comparison.new.label} against {comparison.control.label}"
    return Table(
        lines,
        tuple(lines[0]),
        shown,
        _notes(comparison),
        name="comparison",
        title=title,
        appendix=settings_table(comparison.settings, len(comparison.systems)),
    )


def _line(system: SystemComparison, control: Arm, references: References) -> dict[str, Any]:
    value, error, dof = system.difference
    speed = system.throughput
    return {
        "system": system.label,
        "verdict": system.verdict,
        "difference_mEh": MEH_PER_HARTREE * value,
        "difference_error_mEh": MEH_PER_HARTREE * error,
        "percent_difference": _percent(system, control, references),
        "t": value / error if error else None,
        "dof": dof if math.isfinite(dof) else None,
        "p_worse": _probability(system.p_worse),
        "p_better": _probability(system.p_better),
        "p_equivalent": _probability(system.p_equivalent),
        "seeds": f"{system.new.size} / {system.control.size}",
        "variance_ratio": system.variance_ratio,
        "time_ratio": speed and speed.ratio,
        "needed": _to_decide(system),
    }


def _probability(value: float) -> str:
    return f"{value:.4f}" if value >= _LEAST_PROBABILITY else f"< {_LEAST_PROBABILITY:g}"


def _percent(system: SystemComparison, control: Arm, references: References) -> float | None:
    """Return the difference in percent of the correlation energy, negative if less is recovered."""
    key = system.geometry_key
    hartree_fock = hartree_fock_limit([], references, *key)
    n_electrons, best = control.rows[key][0].n_electrons, references.best(*key)
    new, old = (
        correlation_recovered(sample.mean, None, n_electrons, hartree_fock, best).percent
        for sample in (system.new, system.control)
    )
    return None if new is None or old is None else new - old


def _to_decide(system: SystemComparison) -> str:
    if system.verdict != "undecided":
        return ""
    if system.seeds_needed is None:
        text = f"more than {MOST_SEEDS} seeds, or more seeds of the control"
    else:
        text = count(system.seeds_needed - system.new.size, "more seed")
    if system.sampling_share > 0.5:
        text += f"; or longer evaluation, {100 * system.sampling_share:.0f} % of the variance"
    return text


def _notes(comparison: Comparison) -> list[str]:
    criteria, systems = comparison.criteria, comparison.systems
    margin, default = MEH_PER_HARTREE * criteria.margin, MEH_PER_HARTREE * DEFAULT_CRITERIA.margin
    usual = "" if margin == default else f" (default {default:g})"
    return [
        f"Margin {margin:g} mEh{usual}, fixed beforehand. Equivalent: two one-sided tests at "
        f"{100 * criteria.equivalence_error:g} % per system. Worse, better: one-sided Welch tests, "
        f"Holm over {count(len(systems), 'system')}, family-wise "
        f"{100 * criteria.family_error:g} %. Shown within the margin counts before worse and "
        "better.",
        "Errors are those of the means over seeds and include the scatter of training. The new "
        "wavefunction's scatter relative to the control's is shared by the systems as far as they "
        f"agree, counting for {comparison.prior_dof:.1f} degrees of freedom "
        "(docs/explanation/statistics.md).",
        *_speed_notes(systems),
        *comparison.notes,
        _settings_note(comparison),
    ]


def _n_settings(comparison: Comparison) -> int:
    return len({each.key for each in comparison.settings})


def _settings_note(comparison: Comparison) -> str:
    if not comparison.settings:
        return "No recorded setting differs."
    keys = count(_n_settings(comparison), "setting")
    return (
        f"The two sides differ in {keys}, listed in a table of their own; an energy is evidence "
        "about a wavefunction only if everything else is equal."
    )


def _speed_notes(systems: list[SystemComparison]) -> list[str]:
    speeds = {system.label: system.throughput for system in systems if system.throughput}
    if not speeds:
        return ["Times are not compared: the devices differ, or the rows do not record them."]
    device = next(iter(speeds.values())).device
    hours = "; ".join(
        "{} {:.3g} / {:.3g}".format(label, *speed.hours) for label, speed in speeds.items()
    )
    notes = [
        "Device-hours of training and of evaluation to a standard error of "
        f"{MEH_PER_HARTREE * TARGET_ERROR:g} mEh (new / control, {device}): {hours}."
    ]
    largest = max(speed.spread for speed in speeds.values())
    if largest > _LARGE_SPREAD:
        notes.append(
            f"Times scatter by up to a factor {largest:.2f} between seeds of one arm; ratios "
            "closer to one than that are not significant."
        )
    if device == "cpu":
        notes.append(
            "Times on a CPU can be compared only if both arms ran alone on the same machine."
        )
    return notes


def as_json(comparison: Comparison, references: References) -> dict[str, Any]:
    """Return the comparison for machines; energies in hartree."""
    criteria = comparison.criteria
    return {
        "verdict": comparison.verdict,
        "headline": headline(comparison),
        "new": comparison.new.label,
        "baseline": comparison.control.label,
        "margin_hartree": criteria.margin,
        "family_error": criteria.family_error,
        "equivalence_error": criteria.equivalence_error,
        "systems": [_system_json(each, comparison, references) for each in comparison.systems],
        "settings": [
            {"key": each.key, "new": each.new, "baseline": each.control, "systems": each.geometries}
            for each in comparison.settings
        ],
        "notes": _notes(comparison),
    }


def _system_json(
    system: SystemComparison, comparison: Comparison, references: References
) -> dict[str, Any]:
    key, (value, error, dof) = system.geometry_key, system.difference
    half_width = system.difference.half_width(_CONFIDENCE)
    same = ("verdict", "p_worse", "p_better", "p_equivalent", "variance_ratio", "seeds_needed")
    return {name: getattr(system, name) for name in same} | {
        "system": key[0],
        "geometry": key[1],
        "difference_hartree": value,
        "error_hartree": error,
        "interval_hartree": (value - half_width, value + half_width),
        "interval_probability": _CONFIDENCE,
        "dof": dof,
        "percent_of_correlation": _percent(system, comparison.control, references),
        "new": _sample_json(system.new, comparison.new.rows[key]),
        "baseline": _sample_json(system.control, comparison.control.rows[key]),
        "sampling_share_of_variance": system.sampling_share,
        "throughput": system.throughput and system.throughput._asdict(),
    }


def _sample_json(sample: Sample, rows: Rows) -> dict[str, float | None]:
    """Return a sample: the spread is that of the test, the deviation that of these seeds alone."""
    return {
        "energy_hartree": sample.mean,
        "error_hartree": math.sqrt(sample.squared_error),
        "seed_spread_hartree": math.sqrt(sample.variance),
        "seed_deviation_hartree": statistics.stdev(energies_of(rows)) if len(rows) > 1 else None,
        "dof": sample.dof,
        "seeds": sample.size,
    }


def plan_table(plans: list[Plan], control: Arm, seeds: int, criteria: Criteria) -> Table:
    """Return a table of the differences that seeds of a new wavefunction could resolve."""
    lines = [
        {
            "system": geometry_name(*plan.geometry_key, "/"),
            "error_mEh": MEH_PER_HARTREE * plan.error,
            "detectable_mEh": MEH_PER_HARTREE * plan.detectable,
            "half_width_mEh": MEH_PER_HARTREE * plan.half_width,
            "margin": "yes" if plan.half_width < criteria.margin else "no",
        }
        for plan in plans
    ]
    shown = [
        Shown("system", "System"),
        Shown("error_mEh", "Error of the difference", "mEh"),
        Shown("detectable_mEh", "Detectable", "mEh"),
        Shown("half_width_mEh", "Equivalent if within the margin by", "mEh"),
        Shown("margin", "Equivalence possible"),
    ]
    notes = [
        "Detectable: the true difference that is called worse with "
        f"{100 * criteria.power:g} % probability, family-wise error "
        f"{100 * criteria.family_error:g} %. Margin {MEH_PER_HARTREE * criteria.margin:g} mEh. The "
        "new wavefunction's seeds are assumed to scatter like the control's."
    ]
    single = [geometry_name(*key, "/") for key, rows in control.rows.items() if len(rows) < 2]
    if single:
        notes.append(
            f"One seed of the control ({', '.join(single)}): the scatter of training is unknown "
            "there and left out, so the true values are larger."
        )
    title = f"What {count(seeds, 'seed')} can resolve against {control.label}"
    return Table(lines, tuple(lines[0]), shown, notes, name="plan", title=title)


def comparison_figure(comparison: Comparison) -> Figure:
    """Draw the differences with their 95 % intervals and the margin, and the times next to them."""
    systems, margin = comparison.systems, MEH_PER_HARTREE * comparison.criteria.margin
    with look.style():
        figure = Figure(figsize=(8.6, 1.9 + 0.42 * len(systems)), layout="constrained")
        energies, times = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
        energies.axvspan(-margin, margin, color=look.GREEN, alpha=0.12, linewidth=0)
        energies.axvline(0, color=look.GREY, linewidth=1)
        for height, system in enumerate(systems):
            energies.errorbar(
                MEH_PER_HARTREE * system.difference.value,
                height,
                xerr=MEH_PER_HARTREE * system.difference.half_width(_CONFIDENCE),
                fmt="o",
                color=_COLOURS[system.verdict],
            )
            if system.throughput is not None:
                times.plot(system.throughput.ratio, height, "o", color=look.GREY)
        labels = [f"{system.label}: {system.verdict}" for system in systems]
        energies.set_yticks(range(len(systems)), labels)
        energies.set_ylim(len(systems) - 0.5, -0.5)
        energies.set_xlabel("new − control / mEh (95 % interval)")  # noqa: RUF001
        energies.set_title(
            f"{comparison.new.label} against {comparison.control.label}: {comparison.verdict}",
            loc="left",
        )
        energies.annotate(
            f"±{margin:g} mEh", (-margin, 1.0), xycoords=("data", "axes fraction"), fontsize=8,
            color=look.GREEN, ha="left", va="top", xytext=(2, -2), textcoords="offset points",
        )  # fmt: skip
        times.axvline(1, color=look.GREY, linewidth=1)
        times.set_xlabel("time per iteration,\nnew / control")
        ratios = [system.throughput.ratio for system in systems if system.throughput is not None]
        times.set_xlim(0, 1.15 * max([1.0, *ratios]))
        unknown = [system.label for system in systems if system.throughput is None]
        gaps = [f"time of {name} (other device, or not recorded)" for name in unknown]
        seeds = f"{systems[0].new.size} seeds against {systems[0].control.size}"
        remark = f"Shaded: the margin. Means over {seeds}; bars include the scatter of training."
        if comparison.settings:
            remark += f" Settings that differ: {_n_settings(comparison)}."
        look.annotate_missing(figure, gaps, remark)
    return figure
