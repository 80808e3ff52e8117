"""The figures of training: how runs approach their reference, from their histories."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from ferminet.benchmark.figures import style as look
from ferminet.benchmark.figures.style import GREEN, GREY, SERIES_COLOURS, style
from ferminet.benchmark.numbers import geometry_name
from ferminet.benchmark.schema import group_by
from ferminet.config.ablations import OPTIMISERS, families, flat
from ferminet.units import CHEMICAL_ACCURACY_MEH, MEH_PER_HARTREE

_SMOOTHING = 0.05  # width of the running median, as a fraction of the iterations
_LINE_POINTS = 300  # more points of a smoothed line than this cannot be seen
_LEGEND_LINES = 8  # of one column
_ONE_COLUMN = 3  # up to this many systems stand below each other


@dataclass(frozen=True)
class Training:
    """The history of one training run."""

    label: str  # name of the system, the title of its panels
    seed: int
    history: pd.DataFrame  # columns iteration, energy (hartree), variance (hartree^2)
    reference: float | None  # energy that is subtracted, in hartree
    reference_label: str = "exact"
    geometry: str = "eq"
    ansatz: str = ""
    settings: Mapping[str, Any] | None = None  # `RunConfig.settings` of the run
    device_seconds: float | None = None  # time of the training times the number of devices
    evaluated: tuple[float, float] | None = None  # energy and standard error, in hartree


@style()
def training(runs: Sequence[Training]) -> Figure:
    """Draw energy above its reference and variance of every run, smoothed.

    Runs with the same label share a pair of panels.
    """
    groups = list(group_by(runs, lambda run: run.label).values())
    if not groups:
        return look.empty_figure("no training history")
    pairs = 1 if len(groups) <= _ONE_COLUMN else 2
    lines = math.ceil(len(groups) / pairs)
    figure = Figure(figsize=(10.5, 2.1 * lines + 0.5), layout="constrained")
    grid = figure.subplots(lines, 2 * pairs, squeeze=False).reshape(-1, 2)
    for (left, right), group in zip(grid, groups, strict=False):
        _draw_energy(left, group)
        _draw_variance(right, group)
    for axes in grid[len(groups) :].flat:
        axes.set_axis_off()
    figure.supxlabel("training iteration", fontsize=10)
    return figure


def _draw_energy(axes: Axes, runs: Sequence[Training]) -> None:
    axes.set_title(runs[0].label, loc="left")
    axes.set_ylabel("error / mEh", fontsize=9)
    if all(run.reference is None for run in runs):
        look.annotate_empty(axes, "no reference energy")
        return
    axes.set_title(f"{runs[0].label}, to {runs[0].reference_label}", loc="left")
    for number, (run, line_look) in enumerate(zip(runs, _looks(runs), strict=True)):
        if run.reference is None:
            continue
        axes.plot(*_above(run, run.reference), **line_look)
        if run.evaluated is not None:
            energy, error = (MEH_PER_HARTREE * value for value in run.evaluated)
            above = energy - MEH_PER_HARTREE * run.reference
            beyond = (1.04 + 0.025 * (number % 5)) * len(run.history)  # points do not overlap
            axes.errorbar(beyond, above, error, fmt="o", markersize=3, color=line_look["color"])
    _error_axis(axes)


def _draw_variance(axes: Axes, runs: Sequence[Training]) -> None:
    axes.set_ylabel("variance / Eh²", fontsize=9)
    for run, line_look in zip(runs, _looks(runs), strict=True):
        axes.plot(*_smooth(run.history, "variance"), **line_look)
    axes.set_yscale("log")
    look.plain_log_axis(axes.yaxis)
    if len(runs) > 1:
        names = axes.get_legend_handles_labels()[1]
        columns = math.ceil(len(names) / _LEGEND_LINES)
        axes.legend(loc="upper right", fontsize=7, ncols=columns, handlelength=1.4, borderpad=0)


def _error_axis(axes: Axes) -> None:
    """Make an axis of errors in mEh linear within chemical accuracy and logarithmic beyond."""
    width = CHEMICAL_ACCURACY_MEH
    axes.set_yscale("symlog", linthresh=width)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -1.5 * width), max(high, 1.5 * width))
    decades = [10.0**power for power in range(1, 7)]
    axes.set_yticks([sign * value for sign in (-1, 1) for value in (width, *decades)] + [0.0])
    between = [size * value / 10 for value in decades for size in range(2, 10)]
    axes.set_yticks([sign * v for sign in (-1, 1) for v in between if v > width], minor=True)
    axes.set_ylim(min(low, -1.5 * width), max(high, 1.5 * width))  # ticks widen the range
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))  # noqa: RUF001
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.axhspan(-width, width, color=GREEN, alpha=0.10, linewidth=0)
    axes.axhline(0, color=GREY, linewidth=1, zorder=1)


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
        _error_axis(axes)
    left.set_ylim(top=1.2 * highest)
    right.legend(loc="upper right")


def _above(run: Training, reference: float) -> tuple[np.ndarray, np.ndarray]:
    """Return iterations and the smoothed energies above a reference in mEh, (n,) each."""
    iteration, energy = _smooth(run.history, "energy")
    return iteration, MEH_PER_HARTREE * (energy - reference)


def _smooth(history: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return iterations and the medians of a column up to each, thinned, (n,) each."""
    width = max(1, round(_SMOOTHING * len(history)))
    smooth = history[column].astype(float).rolling(width, min_periods=1).median().to_numpy()
    step = max(1, len(smooth) // _LINE_POINTS)
    return history["iteration"].to_numpy()[::step], smooth[::step].copy()
