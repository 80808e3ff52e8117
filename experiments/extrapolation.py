"""Measure how often energies extrapolated to zero variance agree with exact energies.

    python -m experiments.extrapolation [--subsets 1000] [--image SUITE FILE]

The rows and training histories of `results/published` are extrapolated as the figure
`zero_variance` does it: over the runs of each suite, over random subsets of all runs of a system,
and over the training of each run. For each kind the script prints how often the bar holds the
exact energy, which should be 68 %, and the factor on the bars that would make it so.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ferminet.benchmark.figures.style import render
from ferminet.benchmark.figures.training import Training
from ferminet.benchmark.figures.zero_variance import zero_variance
from ferminet.benchmark.records import read_rows
from ferminet.benchmark.references import References, project_references
from ferminet.benchmark.registry import LEAST_POINTS
from ferminet.benchmark.schema import Rows, grouped
from ferminet.benchmark.zero_variance import (
    Points,
    extrapolate,
    points_of_rows,
    points_of_training,
)
from ferminet.runtime.files import write_bytes
from ferminet.units import MEH_PER_HARTREE

PUBLISHED = Path("results/published")
SUITES = ("ablations", "architectures", "desktop", "regression")
SYSTEMS = ("He", "Li", "Be", "B", "C", "N", "LiH")  # with an exact energy
SIZES = (4, 8)  # runs of a subset
EXPECTED = 0.6827


class Verdict(NamedTuple):
    """Extrapolations of one kind, compared with the exact energy."""

    system: str
    tried: int
    bars: np.ndarray  # mEh, of those that were not refused
    differences: np.ndarray  # extrapolated minus exact, mEh
    lowest: np.ndarray  # energy of the point of the lowest variance minus exact, mEh

    def line(self) -> str:
        """Return the line of a Markdown table."""
        if not len(self.bars):
            return f"| {self.system} | {self.tried} | 0 | – | – | – | – | – | – |"  # noqa: RUF001
        scores = np.abs(self.differences / self.bars)
        return (
            f"| {self.system} | {self.tried} | {len(scores)} | {np.median(self.bars):.2f} | "
            f"{self.differences.mean():+.2f} | {np.abs(self.differences).mean():.2f} | "
            f"{np.abs(self.lowest).mean():.2f} | {100 * np.mean(scores < 1):.0f} % | "
            f"{np.quantile(scores, EXPECTED):.2f} |"
        )


HEADER = (
    "| system | extrapolations | accepted | median bar | mean difference to exact | mean error | "
    "mean error of the point of lowest variance | "
    "bar holds the exact energy | factor on the bar |\n|---|---|---|---|---|---|---|---|---|"
)


def judge(system: str, cases: Iterable[Points], references: References) -> Verdict:
    """Compare extrapolations for one system with its exact energy."""
    cases = list(cases)
    exact = references.lookup(system, "eq", "exact")
    if exact is None:
        raise ValueError(f"{system} has no exact energy.")
    accepted = []
    for points in cases:
        found = extrapolate(points)
        if found.energy is not None and found.error is not None:
            lowest = points.energy[np.argmin(points.variance)]
            accepted.append((found.error, found.energy - exact.energy, lowest - exact.energy))
    columns = MEH_PER_HARTREE * np.asarray(accepted).reshape(-1, 3).T
    return Verdict(system, len(cases), *columns)


def pooled(verdicts: Iterable[Verdict]) -> Verdict:
    """Join the extrapolations for all systems."""
    verdicts = list(verdicts)
    columns = (np.concatenate(column) for column in zip(*(v[2:] for v in verdicts), strict=True))
    return Verdict("all", sum(v.tried for v in verdicts), *columns)


def over_subsets(rows: Rows, size: int, number: int, seed: int = 1) -> list[Points]:
    """Return the points of random subsets of rows."""
    rng = np.random.default_rng(seed)
    if len(rows) < size:
        return []
    chosen = (rng.choice(len(rows), size, replace=False) for _ in range(number))
    return [points_of_rows(rows[i] for i in indices) for indices in chosen]


def trainings(suite: str) -> list[Training]:
    """Return the released histories of a suite."""
    histories = pd.read_parquet(PUBLISHED / suite / "histories.parquet")
    keys = ["system", "geometry", "ansatz", "seed"]
    found = []
    for _, history in histories.groupby(keys, sort=False):
        system, geometry, ansatz, seed = history.iloc[0][keys]
        found.append(Training(system, int(seed), history, None, geometry=geometry, ansatz=ansatz))
    return found


def report(title: str, verdicts: list[Verdict]) -> None:
    """Print one table."""
    lines = [verdict.line() for verdict in (*verdicts, pooled(verdicts))]
    print(f"\n{title}\n\n{HEADER}\n" + "\n".join(lines), flush=True)


def measure(rows: dict[str, Rows], subsets: int) -> None:
    """Print all tables."""
    references = project_references()
    print("| suite | system | runs | extrapolated − exact / mEh | χ²/n |\n|---|---|---|---|---|")  # noqa: RUF001
    every = [row for suite in rows.values() for row in suite]
    runs = [run for suite in SUITES for run in trainings(suite)]
    by_suite = grouped((row for row in every if row.system in SYSTEMS), "study", "system")
    for (suite, system), group in by_suite.items():
        if len(group) >= LEAST_POINTS:
            points = points_of_rows(group)
            found, verdict = extrapolate(points), judge(system, [points], references)
            pairs = zip(verdict.differences, verdict.bars, strict=True)
            shown = "".join(f"{d:+.2f} ± {bar:.2f}" for d, bar in pairs) or found.reason
            quality = "" if found.chi_squared is None else f"{found.chi_squared:.1f}"
            print(f"| {suite} | {system} | {len(group)} | {shown} | {quality} |")
    by_system = {name: [row for row in every if row.system == name] for name in SYSTEMS}
    for size in SIZES:
        found = {s: over_subsets(group, size, subsets) for s, group in by_system.items()}
        report(
            f"{size} runs of all suites, at random",
            [judge(*pair, references) for pair in found.items()],
        )
    found = {
        system: [points_of_training(r.history) for r in runs if r.label == system]
        for system in SYSTEMS
    }
    report("training of single runs", [judge(*pair, references) for pair in found.items()])


def main() -> int:
    """Print the coverage, or draw the figure of one suite."""
    parser = argparse.ArgumentParser(prog="python -m experiments.extrapolation")
    parser.add_argument("--subsets", type=int, default=1000)
    parser.add_argument("--image", nargs=2, metavar=("SUITE", "FILE"), help="draw instead")
    options = parser.parse_args()
    rows = {
        suite: [
            row
            for row in read_rows(PUBLISHED / suite / "energies.parquet")
            if row.method == "vmc" and row.status != "unfinished"
        ]
        for suite in SUITES
    }
    if options.image:
        suite, file = options.image
        figure = zero_variance(rows[suite], project_references(), trainings(suite))
        write_bytes(Path(file), render(figure, "png"))
    else:
        measure(rows, options.subsets)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
