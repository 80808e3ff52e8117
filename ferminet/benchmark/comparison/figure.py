"""The figure of a comparison: differences with their intervals, and times, per system."""

from matplotlib.figure import Figure

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
_COLOURS = {"worse": VERMILION, "undecided": ORANGE, "better": BLUE, "equivalent": GREEN}


def comparison_figure(comparison: Comparison) -> Figure:
    """Draw the differences with their 95 % intervals and the margin, and the times next to them."""
    systems, margin = comparison.systems, MEH_PER_HARTREE * comparison.criteria.margin
    with style():
        figure = Figure(figsize=(8.6, 1.9 + 0.42 * len(systems)), layout="constrained")
        energies, times = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
        energies.axvspan(-margin, margin, color=GREEN, alpha=0.12, linewidth=0)
        energies.axvline(0, color=GREY, linewidth=1)
        for height, system in enumerate(systems):
            energies.errorbar(
                MEH_PER_HARTREE * system.difference.value,
                height,
                xerr=MEH_PER_HARTREE * system.difference.half_width(_CONFIDENCE),
                fmt="o",
                color=_COLOURS[system.verdict],
            )
            if system.throughput is not None:
                times.plot(system.throughput.ratio, height, "o", color=GREY)
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
            color=GREEN, ha="left", va="top", xytext=(2, -2), textcoords="offset points",
        )  # fmt: skip
        times.axvline(1, color=GREY, linewidth=1)
        times.set_xlabel("time per iteration,\nnew / control")
        ratios = [system.throughput.ratio for system in systems if system.throughput is not None]
        times.set_xlim(0, 1.15 * max([1.0, *ratios]))
        unknown = [system.label for system in systems if system.throughput is None]
        gaps = [f"time of {name} (other device, or not recorded)" for name in unknown]
        seeds = f"{systems[0].new.size} seeds against {systems[0].control.size}"
        remark = f"Shaded: the margin. Means over {seeds}; bars include the scatter of training."
        annotate_missing(figure, gaps, remark)
    return figure
