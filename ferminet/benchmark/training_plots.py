"""The figure of training: how the energy approaches its reference, from the histories."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferminet.benchmark.figures import (
    CHEMICAL_ACCURACY_MEH,
    GREY,
    SERIES_COLOURS,
    say_empty,
    style,
)

_MILLI = 1e3
_SMOOTHING = 0.05  # width of the running mean, as a fraction of the iterations
_LINE_POINTS = 300  # more points of a smoothed line than this are not seen
_LEAST_MEH = 0.05  # where the logarithmic axis ends: below is noise of sampling


@dataclass(frozen=True)
class Training:
    """The history of one training run.

    Attributes:
        label: system and geometry, the title of its panel.
        seed: training seed.
        history: columns `iteration` and `energy` (hartree).
        reference: energy that is subtracted, in hartree, or None.
        reference_label: what that energy is.
    """

    label: str
    seed: int
    history: pd.DataFrame
    reference: float | None
    reference_label: str = "exact"


def training(runs: Sequence[Training]) -> Figure:
    """Draws how far the smoothed training energy lies above its reference, one panel per system.

    Args:
        runs: histories; runs with the same label share a panel, one line per seed.
    """
    labels = list(dict.fromkeys(run.label for run in runs))
    seeds = sorted({run.seed for run in runs})
    columns = min(3, max(1, len(labels)))
    lines = max(1, -(-len(labels) // columns))
    with style():
        figure = Figure(figsize=(2.7 * columns + 1.4, 2.2 * lines + 0.6), layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False, sharey=bool(labels)).ravel()
        for axes in grid[max(len(labels), 1) :]:
            axes.set_visible(False)
        if not labels:
            say_empty(grid[0], "no training history")
            return figure
        for axes, label in zip(grid, labels, strict=False):
            _draw_training(axes, [run for run in runs if run.label == label], seeds)
        handles = {
            str(text): handle
            for axes in grid
            for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        if handles:
            figure.legend(list(handles.values()), list(handles), loc="outside right upper")
            bottom, top = grid[0].get_ylim()
            grid[0].set_ylim(max(bottom, _LEAST_MEH), top)
        figure.supylabel("smoothed energy − reference / mEh", fontsize=10)  # noqa: RUF001
        figure.supxlabel("training iteration", fontsize=10)
    return figure


def _draw_training(axes: Axes, runs: Sequence[Training], seeds: Sequence[int]) -> None:
    if runs[0].reference is None:
        axes.set_title(runs[0].label, loc="left")
        axes.text(0.5, 0.5, "no reference energy", transform=axes.transAxes, ha="center")
        return
    axes.set_title(f"{runs[0].label}, to {runs[0].reference_label}", loc="left")
    axes.set_yscale("log")
    axes.axhline(CHEMICAL_ACCURACY_MEH, color=GREY, linewidth=1, linestyle="--", label="1.6 mEh")
    for run in runs:
        energy = np.asarray(run.history["energy"], float)
        width = max(1, round(_SMOOTHING * len(energy)))
        smooth = _running_mean(energy, width)
        above = _MILLI * (smooth - (run.reference or 0.0))
        # Below the reference there is no logarithm: noise leaves a gap there.
        above[above <= 0] = np.nan
        step = max(1, len(above) // _LINE_POINTS)
        iteration = np.asarray(run.history["iteration"])
        colour = SERIES_COLOURS[seeds.index(run.seed) % len(SERIES_COLOURS)]
        axes.plot(iteration[::step], above[::step], color=colour, label=f"seed {run.seed}")


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Returns the mean over the last `width` values at each place, (n,); fewer at the start."""
    total = np.concatenate([[0.0], np.cumsum(values - values[-1:])])
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(stop - width, 0)
    return (total[stop] - total[start]) / (stop - start) + values[-1:]
