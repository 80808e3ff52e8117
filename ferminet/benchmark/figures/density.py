"""The figure of one-electron densities: ours, Hartree-Fock's, and their difference."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from ferminet.benchmark.figures import style as look
from ferminet.benchmark.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, style
from ferminet.benchmark.schema import group_by
from ferminet.vmc.density.bins import Frame

MOST_PANELS = 6
_SHARE, _MAP_SHARE = 0.999, 0.99  # share of the electrons that the axes show
_COLOURED = 97  # per cent of a map's clear differences that the colours distinguish
_LEAST = 1e-7  # where the logarithmic axis ends, as a fraction of the largest value
_MILLI = 1e3
_PROFILE = {
    "atom": ("r / bohr", r"$4\pi r^2\,n(r)$"),
    "linear": ("z / bohr", r"$\iint n\,dx\,dy$"),
    "plane": ("x / bohr", r"$\iint n\,dy\,dz$"),
}
_MAP = {"linear": ("ρ / bohr", "bohr$^3$"), "plane": ("y / bohr", "bohr$^2$")}  # noqa: RUF001

Lines = dict[str, np.ndarray]  # columns of one quantity's lines, (n,) each


@dataclass(frozen=True)
class Density:
    """The density of one run."""

    label: str  # system and geometry; runs with the same label are averaged
    system: str
    seed: int
    symbols: tuple[str, ...]  # (n_nuclei,) elements
    frame: Frame  # the meaning of the coordinates in the table
    table: pd.DataFrame  # what `ferminet density` wrote


@style()
def density(runs: Sequence[Density], missing: Sequence[str] = ()) -> Figure:
    """Draw up to six densities with their differences to Hartree-Fock.

    Each has three axes: the profile, its difference to Hartree-Fock with a band of one standard
    error, and for atoms the spherical average on a logarithmic axis, for all others the map of the
    difference. The labels in `missing`, of runs without a density, are written below the figure.
    """
    panels = group_by(runs, lambda run: run.label)
    chosen = _chosen(panels)
    gaps = [f"{label} (not computed)" for label in missing]
    if not chosen:
        return look.empty_figure("no density", gaps)
    columns = 2 if len(chosen) in (2, 4) else min(3, len(chosen))
    lines = math.ceil(len(chosen) / columns)
    figure = Figure(figsize=(3.3 * columns + 0.6, 6.6 * lines + 0.9), layout="constrained")
    parts = np.ravel(figure.subfigures(lines, columns, squeeze=False))
    for part, label in zip(parts, chosen, strict=False):
        _draw(part, panels[label])
    remark = _remark([panels[label] for label in chosen])
    if left_out := [label for label in panels if label not in chosen]:
        remark += f" Computed and not drawn: {', '.join(left_out)}."
    look.annotate_missing(figure, gaps, remark)
    return figure


def _chosen(panels: dict[str, list[Density]]) -> list[str]:
    """Return the labels to draw, in order: one geometry of every system before further ones.

    The geometries in the middle of a curve come first.
    """
    by_system = group_by(panels, lambda label: panels[label][0].system)
    ranked = []
    for number, labels in enumerate(by_system.values()):
        middle = (len(labels) - 1) / 2
        order = sorted(labels, key=lambda label: abs(labels.index(label) - middle))
        ranked += [(rank, number, label) for rank, label in enumerate(order)]
    drawn = {label for _, _, label in sorted(ranked)[:MOST_PANELS]}
    return [label for label in panels if label in drawn]


def _draw(part: SubFigure, runs: Sequence[Density]) -> None:
    """Draw one system: three axes above each other."""
    kind = runs[0].frame.kind
    atom = kind == "atom"
    profile = _averaged(runs, _profile_name(runs))
    top, middle, bottom = part.subplots(3, 1, height_ratios=[1.2, 1.0, 1.0 if atom else 1.3])
    x_label, y_label = _PROFILE[kind]
    low, high = _range(profile, "first", _SHARE, from_start=atom)
    for axes in (top, middle):
        axes.set_xlim(low, high)
        axes.set_xlabel(x_label, fontsize=9)
    _draw_profile(top, profile)
    top.set_ylabel(f"{y_label}\nelectrons/bohr", fontsize=9)
    top.set_title(runs[0].label, loc="left", fontweight="bold")
    _draw_difference(middle, profile)
    middle.set_ylabel("minus HF\n10$^{-3}$ electrons/bohr", fontsize=9)
    if atom:
        _draw_logarithm(bottom, _averaged(runs, "spherical_average"), high)
        bottom.set_xlabel(x_label, fontsize=9)
        bottom.set_ylabel("$n(r)$\nelectrons/bohr$^3$", fontsize=9)
    else:
        for axes in (top, middle):
            _mark_nuclei(axes, runs[0], named=axes is middle)
        _draw_map(part, bottom, runs)
    top.legend(loc="upper right", fontsize=8, handlelength=1.4)


def _averaged(runs: Sequence[Density], quantity: str) -> Lines:
    """Return the lines of a quantity, averaged over the runs, with the error of that mean.

    `x` is the middle of each bin, `hf` the total density of Hartree-Fock.
    """
    tables = [run.table[run.table["quantity"] == quantity] for run in runs]
    bins = ("first_low", "first_high", "second_low", "second_high", "measure", "hf_up", "hf_down")
    mean = {name: np.asarray(tables[0][name], float) for name in bins}
    for name in ("up", "down", "total"):
        mean[name] = np.mean([np.asarray(table[name]) for table in tables], axis=0)
        errors = np.array([np.asarray(table[f"{name}_error"]) for table in tables])
        mean[f"{name}_error"] = np.sqrt(np.sum(errors**2, axis=0)) / len(tables)
    mean["hf"] = mean["hf_up"] + mean["hf_down"]
    mean["x"] = (mean["first_low"] + mean["first_high"]) / 2
    return mean


def _range(lines: Lines, axis: str, share: float, *, from_start: bool) -> tuple[float, float]:
    """Return the range of bins along an axis that holds a share of the electrons."""
    starts, ends = lines[f"{axis}_low"], lines[f"{axis}_high"]
    electrons = lines["hf"] * lines["measure"]
    order = np.argsort(starts, kind="stable")
    sums = np.cumsum(electrons[order]) / electrons.sum()
    shares = (0.0, share) if from_start else ((1 - share) / 2, (1 + share) / 2)
    first, last = np.minimum(np.searchsorted(sums, shares), len(sums) - 1)
    return float(starts[order][first]), float(ends[order][last])


def _draw_profile(axes: Axes, lines: Lines) -> None:
    polarised = not np.allclose(lines["hf_up"], lines["hf_down"], atol=1e-3 * lines["hf"].max())
    if polarised:
        for name, colour in (("up", GREEN), ("down", PURPLE)):
            axes.plot(lines["x"], lines[name], color=colour, linewidth=1, label=f"spin {name}")
            axes.plot(lines["x"], lines[f"hf_{name}"], color=colour, linewidth=0.8, linestyle=":")
    axes.plot(lines["x"], lines["total"], color=BLUE, label="this work")
    axes.plot(lines["x"], lines["hf"], color=ORANGE, linewidth=1, linestyle="--", label="HF")
    _draw_band(axes, lines["x"], lines["total"], lines["total_error"])
    axes.set_ylim(0.0, 1.25 * max(lines["total"].max(), lines["hf"].max()))


def _draw_difference(axes: Axes, lines: Lines) -> None:
    difference = _MILLI * (lines["total"] - lines["hf"])
    axes.axhline(0.0, color=ORANGE, linewidth=1, linestyle="--")
    axes.plot(lines["x"], difference, color=BLUE, linewidth=0.9)
    _draw_band(axes, lines["x"], difference, _MILLI * lines["total_error"])


def _draw_logarithm(axes: Axes, lines: Lines, end: float) -> None:
    x, total, top = lines["x"], lines["total"], float(lines["hf"].max())
    axes.plot(x, np.where(total > 0, total, np.nan), color=BLUE)
    axes.plot(x, lines["hf"], color=ORANGE, linewidth=1, linestyle="--")
    _draw_band(axes, x, total, lines["total_error"], _LEAST * top)
    axes.set_yscale("log")
    axes.set_xlim(0.0, end)
    axes.set_ylim(max(_LEAST * top, 0.5 * float(lines["hf"][x <= end].min())), 3.0 * top)


def _draw_band(
    axes: Axes, x: np.ndarray, value: np.ndarray, error: np.ndarray, floor: float = -np.inf
) -> None:
    low, high = np.maximum(value - error, floor), np.maximum(value + error, floor)
    axes.fill_between(x, low, high, color=BLUE, alpha=0.3, linewidth=0)


def _mark_nuclei(axes: Axes, run: Density, *, named: bool) -> None:
    """Draw lines at the nuclei; nuclei at the same position are labelled once."""
    positions = np.round(run.frame.nuclei[:, 0], 6)
    for position in np.unique(positions):
        axes.axvline(position, color=GREY, linewidth=0.7, linestyle=":", zorder=0)
        if named:
            symbols = [s for s, p in zip(run.symbols, positions, strict=True) if p == position]
            text = ", ".join(f"{symbols.count(s)} {s}" if symbols.count(s) > 1 else s
                             for s in dict.fromkeys(symbols))  # fmt: skip
            axes.annotate(
                text, (position, 1.0), xycoords=("data", "axes fraction"), fontsize=8, color=GREY,
                ha="center", va="bottom", xytext=(0, 1), textcoords="offset points",
            )  # fmt: skip


def _draw_map(part: SubFigure, axes: Axes, runs: Sequence[Density]) -> None:
    """Draw the difference to Hartree-Fock, grey where it is below two standard errors."""
    kind = runs[0].frame.kind
    linear = kind == "linear"
    lines = _averaged(runs, "map")
    first, second = (
        np.unique([lines[f"{axis}_low"], lines[f"{axis}_high"]]) for axis in ("first", "second")
    )
    shape = (len(first) - 1, len(second) - 1)
    difference = _MILLI * (lines["total"] - lines["hf"]).reshape(shape)
    error = _MILLI * lines["total_error"].reshape(shape)
    clear = np.abs(difference) > 2.0 * np.nan_to_num(error, nan=np.inf)
    scale = float(np.percentile(np.abs(difference[clear]), _COLOURED)) if clear.any() else 1.0
    shown = np.ma.array(difference, mask=~clear)
    colours = {"cmap": "RdBu_r", "vmin": -scale, "vmax": scale, "rasterized": True}
    axes.set_facecolor("#EEEEEE")
    axes.grid(False)
    mesh = axes.pcolormesh(first, second, shown.T, **colours)
    if linear:  # the lower half is the mirror image
        axes.pcolormesh(first, -second, shown.T, **colours)
    nuclei = runs[0].frame.nuclei
    axes.plot(nuclei[:, 0], nuclei[:, 1], "o", color=look.BLACK, markersize=3)
    axes.set_xlim(*_range(lines, "first", _MAP_SHARE, from_start=False))
    low, high = _range(lines, "second", _MAP_SHARE, from_start=linear)
    axes.set_ylim(-high if linear else low, high)
    axes.set_aspect("equal", adjustable="box")
    axes.set_xlabel(_PROFILE[kind][0], fontsize=9)
    axes.set_ylabel(_MAP[kind][0], fontsize=9)
    bar = part.colorbar(mesh, ax=axes, location="bottom", aspect=30, extend="both")
    bar.set_label(f"minus HF / 10$^{{-3}}$ electrons/{_MAP[kind][1]}", fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _remark(panels: Sequence[Sequence[Density]]) -> str:
    """Return remarks on the samples, the Hartree-Fock method, and electrons beyond the bins."""
    runs = [run for panel in panels for run in panel]
    firsts = [run.table.iloc[0] for run in runs]
    walkers, iterations = (
        _joined(int(row[n]) for row in firsts) for n in ("walkers", "iterations")
    )
    methods = dict.fromkeys(f"{row['hf_reference'].upper()}/{row['hf_basis']}" for row in firsts)
    seeds = {run.seed for run in runs}
    trained = f"seeds {_joined(seeds)} (averaged)" if len(seeds) > 1 else f"seed {_joined(seeds)}"
    outside = []
    for panel in panels:
        line = _averaged(panel, f"{_profile_name(panel)}_outside")
        total, error = line["total"][0], line["total_error"][0]
        text = f"{total:.1g} ± {error:.1g}" if total > 0.0 else "none met"
        outside.append(f"{panel[0].label} {text}")
    return (
        f"Walkers: {walkers}; samples of each: {iterations}; {trained}. HF: {', '.join(methods)}. "
        f"Electrons beyond the bins: {', '.join(outside)}."
    )


def _profile_name(runs: Sequence[Density]) -> str:
    return "radial_distribution" if runs[0].frame.kind == "atom" else "profile"


def _joined(values: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(set(values))))
