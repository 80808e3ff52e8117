"""The figure of a comparison: differences with their intervals, and times, per system."""

from matplotlib.figure import Figure

from ferminet.benchmark.comparison.arms import place_label
from ferminet.benchmark.comparison.compare import Comparison
from ferminet.benchmark.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    annotate_missing,
    style,
)
from ferminet.units import MEH_PER_HARTREE

_CONFIDENCE = 0.95
COLOURS = {"worse": VERMILION, "undecided": ORANGE, "better": BLUE, "equivalent": GREEN}


def comparison_figure(comparison: Comparison) -> Figure:
    """Draws the differences with their 95 % intervals and the margin; beside them the times."""
    systems, margin = comparison.systems, MEH_PER_HARTREE * comparison.criteria.margin
    places = range(len(systems))
    with style():
        figure = Figure(figsize=(8.6, 1.9 + 0.42 * len(systems)), layout="constrained")
        energies, times = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
        energies.axvspan(-margin, margin, color=GREEN, alpha=0.12, linewidth=0)
        energies.axvline(0, color=GREY, linewidth=1)
        for place, one in zip(places, systems, strict=True):
            energies.errorbar(
                MEH_PER_HARTREE * one.difference.value,
                place,
                xerr=MEH_PER_HARTREE * one.difference.half_width(_CONFIDENCE),
                fmt="o",
                color=COLOURS[one.verdict],
            )
            if one.throughput is not None:
                times.plot(one.throughput.ratio, place, "o", color=GREY)
        energies.set_yticks(
            list(places), [f"{place_label(one.place)}: {one.verdict}" for one in systems]
        )
        energies.set_ylim(len(systems) - 0.5, -0.5)
        energies.set_xlabel("new − baseline / mEh (95 % interval)")  # noqa: RUF001
        energies.set_title(
            f"{comparison.new.label} against {comparison.baseline.label}: {comparison.verdict}",
            loc="left",
        )
        energies.annotate(
            f"±{margin:g} mEh", (-margin, 1.0), xycoords=("data", "axes fraction"), fontsize=8,
            color=GREEN, ha="left", va="top", xytext=(2, -2), textcoords="offset points",
        )  # fmt: skip
        times.axvline(1, color=GREY, linewidth=1)
        times.set_xlabel("time per iteration,\nnew / baseline")
        ratios = [one.throughput.ratio for one in systems if one.throughput is not None]
        times.set_xlim(0, 1.15 * max([1.0, *ratios]))
        unknown = [place_label(one.place) for one in systems if one.throughput is None]
        gaps = [f"time of {name} (other device, or not recorded)" for name in unknown]
        seeds = f"{systems[0].new.size} seeds against {systems[0].baseline.size}"
        remark = f"Shaded: the margin. Means over {seeds}; bars hold the scatter of training."
        annotate_missing(figure, gaps, remark)
    return figure
