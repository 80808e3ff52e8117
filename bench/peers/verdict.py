"""Decide whether both codes agree within the scatter of seeds, and draw their curves.

    python -m bench.peers.verdict [--seeds 1 2 3] [--out results/authors-code/curves.png]

It reads what runs.py wrote into bench/peers/results. Each arm is compared with the other code by
Student's two-sample t test for the four numbers of `STATISTICS`; the p values are corrected by
Holm's method, and the arms agree if none is below 0.05.
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from bench.peers.runs import RESULTS
from ferminet.benchmark.comparison.inference import holm
from ferminet.benchmark.figures.style import BLUE, GREEN, SKY, VERMILION, render, style
from ferminet.benchmark.references import load_references
from ferminet.config.study import references_directory
from ferminet.runtime.files import write_bytes

SIGNIFICANCE = 0.05
POINTS = 10  # lines of curves.csv that a point of the figure averages
LEAST_SHOWN = 0.5  # mEh; the logarithmic axis ends here
EARLY, LATE, END = 200, 1000, 2000  # iterations
LABELS = {
    "peer": "google-deepmind/ferminet",
    "ferminet": "this package",
    "relaxed": "this package, step limit 0.02 instead of 0.002",
    "authors": "this package, authors' residual and step limit",
}
COLOURS = {"peer": VERMILION, "ferminet": BLUE, "relaxed": SKY, "authors": GREEN}


class Run(NamedTuple):
    """One training: means over bins of iterations, and the energy of the last parameters."""

    iteration: np.ndarray  # first of each bin, (n_bins,)
    energy: np.ndarray  # (n_bins,), hartree
    log10_variance: np.ndarray  # (n_bins,), of the variance in hartree^2
    last_energy: float  # of the last parameters, hartree


class Comparison(NamedTuple):
    """One number of an arm compared with the other code's."""

    name: str
    difference: float
    low: float  # 95 % interval of the difference
    high: float
    p: float


def _mean(values: np.ndarray, run: Run, start: int, stop: int) -> float:
    return float(np.mean(values[(run.iteration >= start) & (run.iteration < stop)]))


# Chosen before any training was finished. Energies are in mEh.
STATISTICS: dict[str, Callable[[Run], float]] = {
    f"energy, iterations {EARLY} to {LATE}": lambda r: 1e3 * _mean(r.energy, r, EARLY, LATE),
    f"energy, iterations {LATE} to {END}": lambda r: 1e3 * _mean(r.energy, r, LATE, END),
    f"log10 variance, iterations {LATE} to {END}": lambda r: _mean(r.log10_variance, r, LATE, END),
    "energy of the last parameters": lambda r: 1e3 * r.last_energy,
}


def main() -> None:
    """Print the comparisons and verdicts, and write the figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers.verdict", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--seeds", nargs="+", type=int, help="all by default")
    parser.add_argument("--out", type=Path, default=Path("results/authors-code/curves.png"))
    options = parser.parse_args()
    runs = read_runs(options.results, options.seeds)
    for arm in ("authors", "ferminet", "relaxed"):
        comparisons = compare(runs[arm], runs["peer"])
        sizes = f"{len(runs[arm])} and {len(runs['peer'])} seeds"
        print(f"{LABELS[arm]}, {sizes}: {verdict(comparisons)}")
        for one in comparisons:
            interval = f"[{one.low:.3f}, {one.high:.3f}]"
            print(f"  {one.name:<42}{one.difference:>9.3f}  {interval:<20} p = {one.p:.3f}")
    write_bytes(options.out, draw(runs))


def read_runs(folder: Path, seeds: list[int] | None = None) -> dict[str, list[Run]]:
    """Return the runs of each arm with these seeds, or with all."""
    curves, energies = (read_csv(folder / name) for name in ("curves.csv", "energies.csv"))
    runs: dict[str, list[Run]] = {}
    for line in energies:
        if seeds and int(line["seed"]) not in seeds:
            continue
        mine = [one for one in curves if all(one[key] == line[key] for key in ("arm", "seed"))]
        names = ("iteration", "energy", "log10_variance")
        columns = (np.array([float(one[name]) for one in mine]) for name in names)
        runs.setdefault(line["arm"], []).append(Run(*columns, float(line["energy"])))
    return runs


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the lines of a CSV file by column."""
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def compare(runs: list[Run], others: list[Run]) -> list[Comparison]:
    """Return the comparison of every statistic, with p values corrected by Holm's method."""
    found = []
    for name, of in STATISTICS.items():
        test = stats.ttest_ind([of(run) for run in runs], [of(run) for run in others])
        interval = test.confidence_interval(1.0 - SIGNIFICANCE)
        difference = np.mean([of(run) for run in runs]) - np.mean([of(run) for run in others])
        found.append(Comparison(name, float(difference), *map(float, interval), float(test.pvalue)))
    adjusted = holm([one.p for one in found])
    return [one._replace(p=p) for one, p in zip(found, adjusted, strict=True)]


def verdict(comparisons: list[Comparison]) -> str:
    """Return the verdict on one arm."""
    differing = [one.name for one in comparisons if one.p < SIGNIFICANCE]
    return f"differs ({'; '.join(differing)})" if differing else "agrees"


def draw(runs: dict[str, list[Run]]) -> bytes:
    """Draw energy and variance against iterations, a thin line per seed and their mean."""
    reference = load_references(references_directory()).best("LiH", "eq")
    assert reference is not None
    with style():
        figure = Figure(figsize=(9.0, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for arm, label in LABELS.items():
            errors = [1e3 * (run.energy - reference.energy) for run in runs[arm]]
            variances = [run.log10_variance for run in runs[arm]]
            iteration = runs[arm][0].iteration
            draw_curves(left, iteration, errors, COLOURS[arm], LEAST_SHOWN)
            draw_curves(right, iteration, variances, COLOURS[arm])
            right.plot([], [], color=COLOURS[arm], linewidth=2.0, label=label)
        left.set_yscale("log")
        left.set_ylim(bottom=LEAST_SHOWN)
        left.set_ylabel("energy above the exact one / mEh")
        right.set_ylabel("log10 (variance / hartree²)")
        left.set_title("LiH: energy", loc="left")
        right.set_title("LiH: variance", loc="left")
        for axes in (left, right):
            axes.set_xlabel("iteration")
        figure.legend(loc="outside lower center", ncols=2)
    return render(figure, "png")


def draw_curves(
    axes: Axes,
    iteration: np.ndarray,
    seeds: list[np.ndarray],
    colour: str,
    least: float = -np.inf,
) -> None:
    """Draw the curve of each seed and their mean, in bins that are wide enough to be smooth."""
    coarse = [values.reshape(-1, POINTS).mean(axis=1) for values in (iteration, *seeds)]
    centre = coarse[0] + 0.5 * (iteration[1] - iteration[0])
    for values in coarse[1:]:
        axes.plot(centre, np.maximum(values, least), color=colour, linewidth=0.6, alpha=0.6)
    mean = np.mean(coarse[1:], axis=0)
    axes.plot(centre, np.maximum(mean, least), color=colour, linewidth=2.0)


if __name__ == "__main__":
    main()
