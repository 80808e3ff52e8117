"""The figure of one-electron densities: ours, Hartree-Fock's, and their difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from ferminet.benchmark.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    annotate_empty,
    annotate_missing,
    style,
)
from ferminet.vmc.density.bins import Frame

MOST_PANELS = 6
_SEEN, _SEEN_MAP = 0.999, 0.99  # share of the electrons that the axes show
_COLOURED = 97  # per cent of a map's clear differences that the colours tell apart
_LEAST = 1e-7  # of the largest value: where the logarithmic axis ends
_MILLI = 1e3
_PROFILE = {
    "atom": ("r / bohr", r"$4\pi r^2\,n(r)$"),
    "linear": ("z / bohr", r"$\iint n\,dx\,dy$"),
    "plane": ("x / bohr", r"$\iint n\,dy\,dz$"),
}
_MAP = {"linear": ("ρ / bohr", "bohr$^3$"), "plane": ("y / bohr", "bohr$^2$")}  # noqa: RUF001
_VALUES = ("up", "down", "total")

Lines = dict[str, np.ndarray]  # columns of one quantity's lines, (n,) each


@dataclass(frozen=True)
class Density:
    """The density of one run.

    Attributes:
        label: system and geometry, the title of its panel; runs with the same are averaged.
        system: of a curve only some geometries may be drawn, of every system one at least.
        seed: training seed.
        symbols: (n_nuclei,) elements.
        frame: what the coordinates of the table are.
        table: what ``ferminet density`` wrote.
    """

    label: str
    system: str
    seed: int
    symbols: tuple[str, ...]
    frame: Frame
    table: pd.DataFrame


def density(runs: Sequence[Density], missing: Sequence[str] = ()) -> Figure:
    """Draw up to six densities above each other with their differences to Hartree-Fock.

    Of each: the profile, its difference to Hartree-Fock with a band of one standard error, and for
    atoms the spherical average on a logarithmic axis, for all others the map of the difference.

    Args:
        runs: densities.
        missing: labels of runs without a density, which are named below the figure.
    """
    panels = {run.label: [one for one in runs if one.label == run.label] for run in runs}
    chosen = _chosen(panels)
    columns = 2 if len(chosen) in (2, 4) else min(3, max(1, len(chosen)))
    lines = max(1, -(-len(chosen) // columns))
    with style():
        figure = Figure(figsize=(3.3 * columns + 0.6, 6.6 * lines + 0.9), layout="constrained")
        if not chosen:
            annotate_empty(figure.subplots(), "no density")
            annotate_missing(figure, [f"{label} (not computed)" for label in missing])
            return figure
        parts = np.ravel(figure.subfigures(lines, columns, squeeze=False))
        for part, label in zip(parts, chosen, strict=False):
            _draw(part, panels[label])
        left_out = [label for label in panels if label not in chosen]
        remark = " ".join(_remarks([panels[label] for label in chosen]))
        if left_out:
            remark += f" Computed and not drawn: {', '.join(left_out)}."
        annotate_missing(figure, [f"{label} (not computed)" for label in missing], remark)
    return figure


def _chosen(panels: dict[str, list[Density]]) -> list[str]:
    """Return the labels to draw, in order: one geometry of every system before further ones.

    Of a curve those in the middle come first.
    """
    by_system: dict[str, list[str]] = {}
    for label, (run, *_) in panels.items():
        by_system.setdefault(run.system, []).append(label)
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
    profile = _averaged(runs, "radial_distribution" if atom else "profile")
    top, middle, bottom = part.subplots(3, 1, height_ratios=[1.2, 1.0, 1.3 if not atom else 1.0])
    where, what = _PROFILE[kind]
    ends = profile["first_low"], profile["first_high"]
    low, high = _shown(*ends, _electrons(profile), _SEEN, atom)
    for axes in (top, middle):
        axes.set_xlim(low, high)
        axes.set_xlabel(where, fontsize=9)
    _draw_profile(top, profile)
    top.set_ylabel(f"{what}\nelectrons/bohr", fontsize=9)
    top.set_title(runs[0].label, loc="left", fontweight="bold")
    _draw_difference(middle, profile)
    middle.set_ylabel("minus HF\n10$^{-3}$ electrons/bohr", fontsize=9)
    if atom:
        _draw_logarithm(bottom, _averaged(runs, "spherical_average"), high)
        bottom.set_xlabel(where, fontsize=9)
        bottom.set_ylabel("$n(r)$\nelectrons/bohr$^3$", fontsize=9)
    else:
        for axes in (top, middle):
            _mark_nuclei(axes, runs[0], named=axes is middle)
        _draw_map(part, bottom, runs)
    top.legend(loc="upper right", fontsize=8, handlelength=1.4)


def _averaged(runs: Sequence[Density], quantity: str) -> Lines:
    """Return the lines of a quantity, averaged over the runs, with the error of that mean."""
    tables = [run.table[run.table["quantity"] == quantity] for run in runs]
    bins = ("first_low", "first_high", "second_low", "second_high", "measure", "hf_up", "hf_down")
    mean = {name: np.asarray(tables[0][name], float) for name in bins}
    for name in _VALUES:
        mean[name] = np.mean([np.asarray(table[name]) for table in tables], axis=0)
        errors = np.array([np.asarray(table[f"{name}_error"]) for table in tables])
        mean[f"{name}_error"] = np.sqrt(np.sum(errors**2, axis=0)) / len(tables)
    mean["hf"] = mean["hf_up"] + mean["hf_down"]
    return mean


def _electrons(lines: Lines) -> np.ndarray:
    return lines["hf"] * lines["measure"]


def _shown(
    starts: np.ndarray, ends: np.ndarray, electrons: np.ndarray, seen: float, from_start: bool
) -> tuple[float, float]:
    """Return the range of bins that holds a share of the electrons."""
    order = np.argsort(starts, kind="stable")
    share = np.cumsum(electrons[order]) / electrons.sum()
    first = 0 if from_start else int(np.searchsorted(share, (1 - seen) / 2))
    last = int(np.searchsorted(share, seen if from_start else (1 + seen) / 2))
    last = min(last, len(share) - 1)
    return float(starts[order][first]), float(ends[order][last])


def _middles(lines: Lines) -> np.ndarray:
    return (lines["first_low"] + lines["first_high"]) / 2


def _draw_profile(axes: Axes, lines: Lines) -> None:
    x = _middles(lines)
    polarised = not np.allclose(lines["hf_up"], lines["hf_down"], atol=1e-3 * lines["hf"].max())
    if polarised:
        for name, colour in (("up", GREEN), ("down", PURPLE)):
            axes.plot(x, lines[name], color=colour, linewidth=1, label=f"spin {name}")
            axes.plot(x, lines[f"hf_{name}"], color=colour, linewidth=0.8, linestyle=":")
    axes.plot(x, lines["total"], color=BLUE, label="this work")
    axes.plot(x, lines["hf"], color=ORANGE, linewidth=1, linestyle="--", label="HF")
    _band(axes, x, lines["total"], lines["total_error"])
    axes.set_ylim(0.0, 1.25 * max(lines["total"].max(), lines["hf"].max()))


def _band(axes: Axes, x: np.ndarray, values: np.ndarray, errors: np.ndarray) -> None:
    low, high = values - errors, values + errors
    axes.fill_between(x, low, high, color=BLUE, alpha=0.3, linewidth=0)


def _draw_difference(axes: Axes, lines: Lines) -> None:
    x = _middles(lines)
    difference, error = _MILLI * (lines["total"] - lines["hf"]), _MILLI * lines["total_error"]
    axes.axhline(0.0, color=ORANGE, linewidth=1, linestyle="--")
    axes.plot(x, difference, color=BLUE, linewidth=0.9)
    _band(axes, x, difference, error)


def _draw_logarithm(axes: Axes, lines: Lines, high: float) -> None:
    x = _middles(lines)
    axes.plot(x, np.where(lines["total"] > 0, lines["total"], np.nan), color=BLUE)
    axes.plot(x, lines["hf"], color=ORANGE, linewidth=1, linestyle="--")
    top = float(lines["hf"].max())
    floor = _LEAST * top
    low = np.maximum(lines["total"] - lines["total_error"], floor)
    above = np.maximum(lines["total"] + lines["total_error"], floor)
    axes.fill_between(x, low, above, color=BLUE, alpha=0.3, linewidth=0)
    axes.set_yscale("log")
    seen = lines["hf"][x <= high]
    axes.set_xlim(0.0, high)
    axes.set_ylim(max(floor, 0.5 * float(seen.min())), 3.0 * top)


def _mark_nuclei(axes: Axes, run: Density, *, named: bool) -> None:
    """Draw lines at the nuclei; nuclei at the same position are labelled once."""
    places = np.round(run.frame.nuclei[:, 0], 6)
    for place in np.unique(places):
        axes.axvline(place, color=GREY, linewidth=0.7, linestyle=":", zorder=0)
        if named:
            symbols = [s for s, p in zip(run.symbols, places, strict=True) if p == place]
            text = ", ".join(f"{symbols.count(s)} {s}" if symbols.count(s) > 1 else s
                             for s in dict.fromkeys(symbols))  # fmt: skip
            axes.annotate(
                text, (place, 1.0), xycoords=("data", "axes fraction"), fontsize=8, color=GREY,
                ha="center", va="bottom", xytext=(0, 1), textcoords="offset points",
            )  # fmt: skip


def _draw_map(part: SubFigure, axes: Axes, runs: Sequence[Density]) -> None:
    """Draw the difference to Hartree-Fock, grey where it is below two standard errors."""
    kind: Literal["atom", "linear", "plane"] = runs[0].frame.kind
    lines = _averaged(runs, "map")
    first = np.unique(np.concatenate([lines["first_low"], lines["first_high"]]))
    second = np.unique(np.concatenate([lines["second_low"], lines["second_high"]]))
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
    if kind == "linear":  # the lower half is the mirror image
        axes.pcolormesh(first, -second, shown.T, **colours)
    places = runs[0].frame.nuclei
    axes.plot(places[:, 0], places[:, 1], "o", color=BLACK, markersize=3)
    electrons, linear = _electrons(lines), kind == "linear"
    axes.set_xlim(*_shown(lines["first_low"], lines["first_high"], electrons, _SEEN_MAP, False))
    ends = lines["second_low"], lines["second_high"]
    low, high = _shown(*ends, electrons, _SEEN_MAP, linear)
    axes.set_ylim(-high if linear else low, high)
    axes.set_aspect("equal", adjustable="box")
    axes.set_xlabel(_PROFILE[kind][0], fontsize=9)
    axes.set_ylabel(_MAP[kind][0], fontsize=9)
    bar = part.colorbar(mesh, ax=axes, location="bottom", aspect=30, extend="both")
    bar.set_label(f"minus HF / 10$^{{-3}}$ electrons/{_MAP[kind][1]}", fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _remarks(panels: Sequence[Sequence[Density]]) -> list[str]:
    """Return remarks on the samples, the Hartree-Fock method, and electrons beyond the bins."""
    tables = [run.table for runs in panels for run in runs]
    walkers, iterations = (
        sorted({int(table[name].iloc[0]) for table in tables}) for name in ("walkers", "iterations")
    )
    seeds = sorted({run.seed for runs in panels for run in runs})
    references = {
        f"{table['hf_reference'].iloc[0].upper()}/{table['hf_basis'].iloc[0]}": None
        for table in tables
    }
    outside = [f"{runs[0].label} {_outside(runs)}" for runs in panels]
    trained = f"seeds {_joined(seeds)} (averaged)" if len(seeds) > 1 else f"seed {seeds[0]}"
    return [
        f"Walkers: {_joined(walkers)}; samples of each: {_joined(iterations)}; {trained}. "
        f"HF: {', '.join(references)}.",
        f"Electrons beyond the bins: {', '.join(outside)}.",
    ]


def _outside(runs: Sequence[Density]) -> str:
    name = "radial_distribution" if runs[0].frame.kind == "atom" else "profile"
    line = _averaged(runs, f"{name}_outside")
    total, error = line["total"][0], line["total_error"][0]
    return f"{total:.1g} ± {error:.1g}" if total > 0.0 else "none met"


def _joined(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
