"""The figure of energies against the variance of the local energy, and their extrapolation."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferminet.benchmark.estimates import ansatz_label
from ferminet.benchmark.figures import style as look
from ferminet.benchmark.figures.style import BLACK, GREY, style
from ferminet.benchmark.figures.training import Training
from ferminet.benchmark.numbers import format_value, geometry_name
from ferminet.benchmark.references import References
from ferminet.benchmark.registry import LEAST_POINTS
from ferminet.benchmark.schema import Rows, energies_of, grouped, vmc_rows
from ferminet.benchmark.zero_variance import (
    Points,
    ZeroVariance,
    extrapolate,
    joined,
    points_of_rows,
    points_of_training,
)
from ferminet.units import MEH_PER_HARTREE

_COLUMNS = 3


@style()
def zero_variance(rows: Rows, references: References, runs: Sequence[Training]) -> Figure:
    """Draw energies against variances, over training and over runs, and the ends of their lines.

    A curve's geometry has a panel only if it has enough runs for an extrapolation.
    """
    groups = grouped(vmc_rows(rows), "system", "geometry")
    panels = []
    for key, group in groups.items():
        histories = [run for run in runs if (run.label, run.geometry) == key]
        evaluated = points_of_rows(group)
        count = len(evaluated.energy)
        best = references.best(*key)
        if count >= LEAST_POINTS or (key[1] == "eq" and (count or (histories and best))):
            panels.append((key, best, group, histories))
    if not panels:
        return look.empty_figure("no evaluations of one geometry, and no training history")
    legend = max(len({row.ansatz for row in group}) for _, _, group, _ in panels)
    n_columns = min(_COLUMNS, len(panels))
    n_lines = math.ceil(len(panels) / n_columns)
    size = (0.6 + 4.2 * n_columns, 0.5 + (3.2 + 0.16 * legend) * n_lines)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(n_lines, n_columns, squeeze=False).ravel()
    for axes, (key, best, group, histories) in zip(grid, panels, strict=False):
        zero = best.energy if best else min(energies_of(group))
        label = best.label if best else "the lowest energy"
        axes.set_title(f"{geometry_name(*key)}, to {label}", loc="left")
        _draw_panel(axes, group, histories, zero)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.supxlabel("variance of the local energy / Eh²", fontsize=10)
    figure.supylabel("E − reference / mEh", fontsize=10)  # noqa: RUF001
    return figure


def _draw_panel(axes: Axes, rows: Rows, runs: Sequence[Training], zero: float) -> None:
    evaluated = points_of_rows(rows)
    axes.axhline(0.0, color=GREY, linewidth=1, zorder=1)
    axes.axvline(0.0, color=GREY, linewidth=1, zorder=1)
    names = dict.fromkeys([*(row.ansatz or "" for row in rows), *(run.ansatz for run in runs)])
    for number, name in enumerate(names):
        colour, marker, _ = look.series_look(number)
        trained = [points_of_training(run.history) for run in runs if run.ansatz == name]
        label = ansatz_label(name)
        if trained:
            points = joined(trained)
            found = extrapolate(points)
            axes.plot(points.variance, _above(points, zero), ".", color=colour, alpha=0.4)
            _draw_end(axes, points, found, zero, color=colour, marker=marker, linestyle=":")
            label += f", training: {_text(found, zero)}"
        points = points_of_rows(row for row in rows if row.ansatz == name)
        axes.errorbar(
            points.variance,
            _above(points, zero),
            xerr=points.variance_error,
            yerr=MEH_PER_HARTREE * points.energy_error,
            fmt=marker,
            color=colour,
            label=label,
        )
    found = extrapolate(evaluated)
    _draw_end(axes, evaluated, found, zero, color=BLACK, marker="*", linestyle="--")
    axes.plot([], [], "*--", color=BLACK, label=f"all runs: {_text(found, zero)}")
    axes.locator_params(axis="x", nbins=5)
    axes.legend(
        title="at zero variance, not variational / mEh", title_fontsize=7, alignment="left",
        fontsize=7, loc="upper left", bbox_to_anchor=(0.0, -0.1),
    )  # fmt: skip


def _draw_end(
    axes: Axes, points: Points, found: ZeroVariance, zero: float, **line_look: Any
) -> None:
    """Draw the line to zero variance, and the extrapolated energy with its bar."""
    if found.energy is None or found.error is None or found.slope is None:
        return
    end = MEH_PER_HARTREE * (found.energy - zero)
    x = np.array([0.0, points.variance.max()])
    y = end + MEH_PER_HARTREE * found.slope * x
    axes.plot(x, y, color=line_look["color"], linestyle=line_look["linestyle"], linewidth=1)
    bar = {"color": line_look["color"], "markerfacecolor": "white", "zorder": 3}
    axes.errorbar([0.0], [end], yerr=MEH_PER_HARTREE * found.error, fmt=line_look["marker"], **bar)


def _above(points: Points, zero: float) -> np.ndarray:
    return MEH_PER_HARTREE * (points.energy - zero)


def _text(found: ZeroVariance, zero: float) -> str:
    """Return the extrapolated energy in mEh with chi-squared, or a dash and the reason."""
    if found.energy is None or found.error is None:
        return f"– ({found.reason})"  # noqa: RUF001
    value = MEH_PER_HARTREE * (found.energy - zero)
    text = format_value(value, MEH_PER_HARTREE * found.error).replace("-", "\N{MINUS SIGN}")
    return f"{text}, χ²/n {found.chi_squared:.1f}"
