"""The figure of the cost against the number of electrons."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ferminet.benchmark.figures.style import SERIES_COLOURS, render, style

PARTS = ("iteration", "local energy", "sampling", "gradient and optimiser")
FITTED_FROM = 4  # electrons: below, what does not depend on them dominates


def exponent(electrons: list[int], seconds: list[float]) -> float:
    """Return the power of the number of electrons with which seconds grow, from a log-log fit."""
    pairs = [(n, s) for n, s in zip(electrons, seconds, strict=True) if n >= FITTED_FROM]
    x, y = np.log(np.array(pairs)).T
    return float(np.polyfit(x, y, 1)[0])


def draw_scaling(found: list[dict[str, Any]]) -> bytes:
    """Draw milliseconds per walker against electrons, both axes logarithmic, with the powers."""
    found = sorted(found, key=lambda one: one["n_electrons"])
    electrons = [one["n_electrons"] for one in found]
    with style():
        figure = Figure(figsize=(7.2, 4.6), layout="constrained")
        axes = figure.subplots()
        for part, colour, marker in zip(PARTS, SERIES_COLOURS, "osv^", strict=False):
            seconds = [
                next(row["median_s"] for row in one["parts"] if row["part"] == part)
                / one["walkers"]
                for one in found
            ]
            label = f"{part}, power {exponent(electrons, seconds):.1f}"
            axes.loglog(
                electrons, 1e3 * np.array(seconds), marker=marker, color=colour, label=label
            )
        axes.set_xticks(electrons, [one["system"] for one in found], rotation=40, ha="right")
        axes.set_xticks([], minor=True)
        axes.set_xlabel("number of electrons (logarithmic)")
        axes.set_ylabel("ms per walker")
        axes.set_title(
            f"{found[0]['device']}, {found[0]['walkers']} walkers, {found[0]['metropolis_steps']} "
            f"Metropolis steps; powers from {FITTED_FROM} electrons on",
            loc="left",
        )
        axes.legend(loc="upper left")
    return render(figure, "png")
