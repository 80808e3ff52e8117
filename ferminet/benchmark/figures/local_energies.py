"""The figure of local energies: their distribution, its tails, and where the variance lies."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferminet.benchmark.figures import style as look
from ferminet.benchmark.figures.style import BLUE, GREEN, GREY, PURPLE, VERMILION, style
from ferminet.benchmark.inspections import inspections
from ferminet.benchmark.numbers import geometry_name
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows

MOST_LINES = 8
_SIGMAS = 6  # standard deviations that the linear axis shows on each side
_PAIRS = {
    "nucleus": ("electron and nucleus", BLUE),
    "opposite_spin": ("pair of opposite spin", GREEN),
    "same_spin": ("pair of the same spin", PURPLE),
}
Bins = Mapping[str, pd.DataFrame]  # by quantity


@style()
def local_energies(rows: Rows, references: References) -> Figure:
    """Draw one line of three panels for the first seed of each wavefunction and geometry."""
    del references
    chosen: dict[str, pd.DataFrame] = {}
    for row, table in inspections(rows):
        label = f"{geometry_name(row.system, row.geometry)}, {row.ansatz}"
        chosen.setdefault(label, table)
    if not chosen:
        return look.empty_figure("no inspected wavefunction")
    drawn = dict(list(chosen.items())[:MOST_LINES])
    figure = Figure(figsize=(10.5, 2.7 * len(drawn) + 0.5), layout="constrained")
    grid = figure.subplots(len(drawn), 3, squeeze=False)
    for line, (label, table) in zip(grid, drawn.items(), strict=True):
        bins = {str(name): part for name, part in table.groupby("quantity")}
        sigma = _draw_distribution(line[0], bins)
        line[0].set_title(f"{label}, σ = {sigma:.2g} Eh", loc="left")  # noqa: RUF001
        _draw_tails(line[1], bins, sigma)
        _draw_shares(line[2], bins)
    for column in grid.T[1:]:
        # Helium, for one, has no pair of the same spin.
        axes = max(column, key=lambda axes: len(axes.get_legend_handles_labels()[1]))
        axes.legend(loc="best", fontsize=8, handlelength=1.4)
    left_out = list(chosen)[MOST_LINES:]
    remark = f"Inspected and not drawn: {'; '.join(left_out)}." if left_out else ""
    samples = [table.iloc[0] for table in drawn.values()]
    settings = {f"{row['walkers']:.0f} walkers, {row['iterations']:.0f} samples" for row in samples}
    look.annotate_missing(figure, [], f"{'; '.join(sorted(settings))} of each. {remark}".strip())
    return figure


def _draw_distribution(axes: Axes, bins: Bins) -> float:
    """Draw the density of local energies around the mean; return the standard deviation."""
    table = bins["local_energy"].iloc[1:-1]
    low, high, share = (table[name].to_numpy() for name in ("low", "high", "value"))
    sigma = float(bins["variance of the local energy / hartree²"]["value"].iloc[0]) ** 0.5
    density = np.where(share > 0.0, share / (high - low), np.nan)
    axes.stairs(density, [*low, high[-1]], color=BLUE, linewidth=1.2)
    axes.set_yscale("log")
    axes.set_xlim(-_SIGMAS * sigma, _SIGMAS * sigma)
    axes.set_xlabel("E$_L$ − E / Eh", fontsize=9)  # noqa: RUF001
    axes.set_ylabel("density / Eh$^{-1}$", fontsize=9)
    return sigma


def _draw_tails(axes: Axes, bins: Bins, sigma: float) -> None:
    """Draw the shares of the samples farther from the mean than a distance, on both sides."""
    table = bins["local_energy"]
    low, high, share = (table[name].to_numpy() for name in ("low", "high", "value"))
    sides = (
        ("below the mean", VERMILION, -high[:-1], np.cumsum(share)[:-1]),
        ("above the mean", BLUE, low[1:], np.cumsum(share[::-1])[::-1][1:]),
    )
    for label, colour, distance, beyond in sides:
        shown = (distance > 0.3 * sigma) & (beyond > 0.0)
        axes.plot(distance[shown], beyond[shown], color=colour, label=label)
    ends = np.array([2.0, 40.0])
    axes.plot(
        ends * sigma, 0.1 * (ends / 2.0) ** -3, ":", color=GREY, label="distance$^{-3}$ (nodes)"
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("distance from the mean / Eh", fontsize=9)
    axes.set_ylabel("share of samples beyond", fontsize=9)


def _draw_shares(axes: Axes, bins: Bins) -> None:
    """Draw the shares of variance and samples by distance, per bin of equal ratio."""
    for name, (label, colour) in _PAIRS.items():
        for kind, line in (("variance", "-"), ("samples", ":")):
            table = bins.get(f"{kind}_by_{name}")
            if table is None:
                continue
            edges = table["high"].to_numpy()[:-1]
            # The open bins at both ends are drawn as wide as the others.
            edges = np.concatenate(
                [[edges[0] ** 2 / edges[1]], edges, [edges[-1] ** 2 / edges[-2]]]
            )
            share, error = table["value"].to_numpy(), table["error"].to_numpy()
            axes.stairs(
                share, edges, color=colour, linestyle=line, linewidth=1.2,
                label=label if kind == "variance" else None,
            )  # fmt: skip
            if kind == "variance":
                middle = np.sqrt(edges[:-1] * edges[1:])
                axes.errorbar(middle, share, error, fmt="none", color=colour, capsize=1.5)
    axes.set_xscale("log")
    axes.plot([], [], ":", color=GREY, label="share of the samples")
    axes.set_ylim(0.0, 1.35 * axes.dataLim.ymax)
    axes.set_xlabel("distance of the nearest / bohr", fontsize=9)
    axes.set_ylabel("share of the variance in bin", fontsize=9)
