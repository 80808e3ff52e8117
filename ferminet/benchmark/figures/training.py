"""The figures of training: how runs approach their reference, from their histories."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, SymmetricalLogLocator

from ferminet.benchmark.figures import style as look
from ferminet.benchmark.figures.style import GREY, SERIES_COLOURS, style
from ferminet.benchmark.numbers import geometry_name
from ferminet.benchmark.schema import group_by
from ferminet.config.ablations import OPTIMISERS, families, flat
from ferminet.units import CHEMICAL_ACCURACY_MEH, MEH_PER_HARTREE

_SMOOTHING = 0.05  # width of the running mean, as a fraction of the iterations
_LINE_POINTS = 300  # more points of a smoothed line than this cannot be seen
_LEAST_MEH = 0.05  # where the logarithmic axis ends: below it is sampling noise
_LEGEND_LINES = 24  # of one column
_COLUMNS = (("variance", "variance / Eh²"), ("acceptance", "acceptance"))


@dataclass(frozen=True)
class Training:
    """The history of one training run."""

    label: str  # name of the system, the title of its panels
    seed: int
    history: pd.DataFrame  # columns iteration, energy (hartree), variance (hartree^2), acceptance
    reference: float | None  # energy that is subtracted, in hartree
    reference_label: str = "exact"
    geometry: str = "eq"
    ansatz: str = ""
    settings: Mapping[str, Any] | None = None  # `RunConfig.settings` of the run
    device_seconds: float | None = None  # time of the training times the number of devices


@style()
def training(runs: Sequence[Training]) -> Figure:
    """Draw energy above its reference, variance and acceptance of every run, smoothed.

    Runs with the same label share a line of three panels.
    """
    groups = group_by(runs, lambda run: run.label).values()
    if not groups:
        return look.empty_figure("no training history")
    heights = [max(1.7, 0.3 + 0.14 * min(len(group), _LEGEND_LINES)) for group in groups]
    figure = Figure(figsize=(10.5, sum(heights) + 0.7), layout="constrained")
    grid = figure.subplots(
        len(groups), 3, squeeze=False, sharex="row", gridspec_kw={"height_ratios": heights}
    )
    shown: list[str] = []
    for line, group in zip(grid, groups, strict=True):
        _draw_energy(line[0], group)
        for axes, (column, label) in zip(line[1:], _COLUMNS, strict=True):
            _draw_column(axes, group, column)
            axes.set_ylabel(label, fontsize=9)
        handles, names = line[2].get_legend_handles_labels()
        if names != shown:
            shown = names
            line[2].legend(
                handles, names, loc="upper left", bbox_to_anchor=(1.02, 1.04), fontsize=7,
                ncols=math.ceil(len(names) / _LEGEND_LINES), handlelength=1.6,
            )  # fmt: skip
    figure.supxlabel("training iteration", fontsize=10)
    return figure


def _draw_energy(axes: Axes, runs: Sequence[Training]) -> None:
    axes.set_ylabel("E − reference / mEh", fontsize=9)  # noqa: RUF001
    if all(run.reference is None for run in runs):
        axes.set_title(runs[0].label, loc="left")
        axes.text(0.5, 0.5, "no reference energy", transform=axes.transAxes, ha="center")
        return
    axes.set_title(f"{runs[0].label}, to {runs[0].reference_label}", loc="left")
    axes.set_yscale("log")
    axes.axhline(CHEMICAL_ACCURACY_MEH, color=GREY, linewidth=1, linestyle="--", zorder=1)
    for run, line_look in zip(runs, _looks(runs), strict=True):
        if run.reference is None:
            continue
        iteration, above = _above(run, run.reference)
        # Below the reference there is no logarithm: noise leaves a gap there.
        above[above <= 0] = np.nan
        axes.plot(iteration, above, **line_look)
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, _LEAST_MEH), top)
    look.plain_log_axis(axes.yaxis)


def _draw_column(axes: Axes, runs: Sequence[Training], column: str) -> None:
    for run, line_look in zip(runs, _looks(runs), strict=True):
        axes.plot(*_smooth(run.history, column), **line_look)
    if column == "acceptance":
        axes.set_ylim(0, 1)
    else:
        axes.set_yscale("log")
        look.plain_log_axis(axes.yaxis)


def _looks(runs: Sequence[Training]) -> list[dict[str, Any]]:
    """Return how each run of a panel is drawn; seeds share a look if runs differ in more."""
    kinds = list(dict.fromkeys((run.geometry, run.ansatz) for run in runs))
    geometries, ansaetze = ({kind[index] for kind in kinds} for index in (0, 1))
    looks, named = [], set()
    for run in runs:
        parts = [run.geometry] if len(geometries) > 1 else []
        parts += [run.ansatz] if len(ansaetze) > 1 else []
        name = ", ".join(parts) or f"seed {run.seed}"
        number = kinds.index((run.geometry, run.ansatz)) if parts else len(looks)
        colour, _, line = look.series_look(number)
        label = f"_{name}" if name in named else name
        named.add(name)
        looks.append({"color": colour, "linestyle": line, "linewidth": 1.1, "label": label})
    return looks


@style()
def optimisers(runs: Sequence[Training]) -> Figure:
    """Draw training energies of different optimisers against iterations and device time.

    Runs of the same geometry and network share a line of two panels, if their optimisers differ.
    """
    with_settings = [(run, run.settings) for run in runs if run.settings]
    by_geometry = group_by(with_settings, lambda pair: (pair[0].label, pair[0].geometry))
    groups = [
        [run for run, _ in family]
        for pairs in by_geometry.values()
        for family in families(pairs, OPTIMISERS)
    ]
    if not groups:
        return look.empty_figure("no histories of one network with different optimisers")
    drawn = [run for group in groups for run in group]
    gaps = [f"{run.label} (no reference)" for run in drawn if not run.reference]
    gaps += [
        f"{run.label}, {run.ansatz}, seed {run.seed} (no time)"
        for run in drawn
        if run.device_seconds is None
    ]
    figure = Figure(figsize=(9.0, 3.2 * len(groups) + 0.4), layout="constrained")
    grid = figure.subplots(len(groups), 2, squeeze=False, sharey="row")
    for (left, right), group in zip(grid, groups, strict=True):
        _draw_optimisers(left, right, group)
    look.annotate_missing(figure, gaps)
    return figure


def _draw_optimisers(left: Axes, right: Axes, runs: Sequence[Training]) -> None:
    name = geometry_name(runs[0].label, runs[0].geometry)
    left.set_title(f"{name}, to {runs[0].reference_label}", loc="left")
    left.set_ylabel("smoothed energy − reference / mEh", fontsize=9)  # noqa: RUF001
    left.set_xlabel("training iteration")
    seconds = [run.device_seconds for run in runs if run.device_seconds is not None]
    unit, size = ("hours", 3600) if max(seconds, default=0) > 2 * 3600 else ("minutes", 60)
    right.set_xlabel(f"device-{unit} of training")
    named: dict[str, str] = {}
    highest = 10.0
    for run in runs:
        if run.reference is None:
            continue
        optimiser = flat(run.settings or {})["optimizer.name"]
        label = optimiser if run.ansatz == optimiser else f"{optimiser} ({run.ansatz})"
        colour = named.setdefault(label, SERIES_COLOURS[len(named) % len(SERIES_COLOURS)])
        iteration, above = _above(run, run.reference)
        # The first iterations, whose mean is one sample, would set the scale.
        highest = max(highest, float(np.max(above[1:], initial=highest)))
        again = label in left.get_legend_handles_labels()[1]
        line_look = {"color": colour, "linewidth": 1.2, "label": "_" if again else label}
        left.plot(iteration, above, **line_look)
        if run.device_seconds is not None:
            # Histories have no clock; all iterations of a run do the same work.
            share = (iteration + 1) / len(run.history)
            right.plot(share * run.device_seconds / size, above, **line_look)
    for axes in (left, right):
        axes.set_yscale("symlog", linthresh=1.0)
        ticks = SymmetricalLogLocator(base=10, linthresh=1.0, subs=[1.0, 2.0, 5.0])
        axes.yaxis.set_major_locator(ticks)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.axhline(CHEMICAL_ACCURACY_MEH, color=GREY, linewidth=1, linestyle="--", zorder=1)
        axes.axhline(0, color=GREY, linewidth=1, zorder=1)
    left.set_ylim(top=1.2 * highest)
    right.legend(loc="upper right")


def _above(run: Training, reference: float) -> tuple[np.ndarray, np.ndarray]:
    """Return iterations and the smoothed energies above a reference in mEh, (n,) each."""
    iteration, energy = _smooth(run.history, "energy")
    return iteration, MEH_PER_HARTREE * (energy - reference)


def _smooth(history: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return iterations and the means of a column up to each, thinned, (n,) each."""
    width = max(1, round(_SMOOTHING * len(history)))
    smooth = history[column].astype(float).rolling(width, min_periods=1).mean().to_numpy()
    step = max(1, len(smooth) // _LINE_POINTS)
    return history["iteration"].to_numpy()[::step], smooth[::step].copy()
