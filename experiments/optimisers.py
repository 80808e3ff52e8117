"""Draw how the variance and the energy of B, C and N fall with time, for two optimisers.

    python -m experiments.optimisers FILE.png

The released trainings of the suites `desktop` (SPRING, version 0.2, a network for each atom) and
`natural` (the natural gradient, one recipe) are compared. The wall time of a training on one core
is spread evenly over its iterations. Points are the evaluated averages of the parameters; SPRING's
histories of B and C were not released.
"""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ferminet.benchmark.figures.style import BLUE, GREY, ORANGE, render, style
from ferminet.benchmark.records import read_rows
from ferminet.benchmark.references import project_references
from ferminet.runtime.files import write_bytes
from ferminet.units import MEH_PER_HARTREE

SUITES = [Path("results/published", name) for name in ("desktop", "natural")]
SYSTEMS = ("B", "C", "N")
SERIES = {"spring": ("SPRING", ORANGE), "natural": ("natural gradient", BLUE)}


def main() -> int:
    """Write the figure."""
    parser = argparse.ArgumentParser(prog="python -m experiments.optimisers", description=__doc__)
    parser.add_argument("file", type=Path, help="figure to write (.png)")
    write_bytes(parser.parse_args().file, render(trainings(), "png"))
    return 0


@style()
def trainings() -> Figure:
    """Return the figure: a column for each atom, variance above energy."""
    references = project_references()
    histories = pd.concat([pd.read_parquet(suite / "histories.parquet") for suite in SUITES])
    figure = Figure(figsize=(9.0, 5.0), layout="constrained")
    axes = figure.subplots(2, len(SYSTEMS), sharex="col", sharey="row")
    for row in read_rows([suite / "energies.parquet" for suite in SUITES]):
        configuration = row.details.configuration or {}
        optimizer = configuration.get("optimizer", {}).get("name")
        # Other processes shared the cores of later seeds, so their wall times say little.
        if row.system not in SYSTEMS or optimizer not in SERIES or row.seed != 1:
            continue
        exact = references.best(row.system, row.geometry)
        assert exact is not None
        label, colour = SERIES[optimizer]
        keys = {"system": row.system, "config_hash": row.config_hash, "seed": 1}
        of_run = (histories[list(keys)] == list(keys.values())).all(axis=1)
        history = histories[of_run].sort_values("iteration")
        whole = row.details.train_wall_s / 3600.0
        hours = history.iteration / history.iteration.max() * whole
        error = MEH_PER_HARTREE * (history.energy - exact.energy)
        column = axes[:, SYSTEMS.index(row.system)]
        column[0].plot(hours, history.variance, color=colour, label=label)
        # Means over ten blocks: a block's mean is noisier than the error at the end.
        column[1].plot(hours, error.rolling(10, center=True).mean(), color=colour)
        column[0].plot(whole, row.variance, "o", color=colour)
        difference = MEH_PER_HARTREE * (row.energy - exact.energy)
        bar = MEH_PER_HARTREE * row.stderr
        column[1].errorbar(whole, difference, bar, fmt="o", color=colour)
    for name, column in zip(SYSTEMS, axes.T, strict=True):
        column[0].set(title=name, yscale="log")
        column[1].axhline(0.0, color=GREY, linewidth=0.8)
        column[1].set(xlabel="core-hours of training", ylim=(-5.0, 40.0))
    axes[0, 0].set_ylabel("variance / hartree²")
    axes[1, 0].set_ylabel("energy above exact / mEh")
    axes[0, -1].legend()
    return figure


if __name__ == "__main__":
    raise SystemExit(main())
