r"""Error rates of the verdicts of `ferminet compare`, by simulation and by resampling real seeds.

    python -m experiments.gate [--bank results/published/regression] [--trials N] [--resamples N]
    python -m experiments.gate --bank results/published/regression \
        --defects experiments/studies/defects

Synthetic comparisons draw the seeds' energies around a common truth, with the scatter that the bank
of real seeds has per system (or typical ones without a bank): A against A must hardly ever be
called worse, and usually equivalent; with one mEh added to one system it must be called worse.
Scatter is also drawn heavy-tailed, and twice as large for the new wavefunction as for the
control. The bank itself is resampled: some seeds of it against others. Rates have
Clopper-Pearson's 95 % bounds; those of resampling hold for the bank's seeds and no others. The
script prints a table; --out-dir writes gate.csv and gate.png.
"""

import argparse
import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from ferminet.benchmark.comparison.compare import paired_samples
from ferminet.benchmark.comparison.files import read_arm
from ferminet.benchmark.comparison.inference import Criteria, Verdict, judge, overall_verdict
from ferminet.benchmark.figures.style import BLUE, GREEN, GREY, ORANGE, VERMILION, render, style
from ferminet.benchmark.numbers import geometry_name
from ferminet.benchmark.schema import Rows
from ferminet.errors import FermiNetError, InputError
from ferminet.runtime.files import write_bytes

# Scatter between seeds and error of sampling (hartree) where there is no bank.
TYPICAL = {"He": (4e-5, 4e-5), "Li": (1e-4, 7e-5), "Be": (2e-4, 1.5e-4), "LiH": (1.6e-4, 1e-4),
           "H4/a90": (2e-4, 1.2e-4)}  # fmt: skip
DEFECT = 1e-3  # hartree
NEW_SEEDS, BASELINE_SEEDS = 4, 8
VERDICTS: tuple[Verdict, ...] = ("worse", "undecided", "better", "equivalent")
COLOURS = dict(zip(VERDICTS, (VERMILION, ORANGE, BLUE, GREEN), strict=True))

Draw = Callable[[np.random.Generator, int], np.ndarray]  # (generator, size) -> variance 1, mean 0


@dataclass(frozen=True)
class Rates:
    """The number of times that each verdict was given in one kind of trial."""

    name: str
    counts: dict[Verdict, int]

    @property
    def trials(self) -> int:
        """The number of trials."""
        return sum(self.counts.values())

    def rate(self, verdict: Verdict) -> tuple[float, float, float]:
        """Return a verdict's rate and Clopper-Pearson's one-sided lower and upper 95 % bounds."""
        hits, n = self.counts[verdict], self.trials
        low = float(stats.beta.ppf(0.05, hits, n - hits + 1)) if hits else 0.0
        high = float(stats.beta.ppf(0.95, hits + 1, n - hits)) if hits < n else 1.0
        return hits / n, low, high


def normal(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw normal scatter of seeds."""
    return rng.normal(size=size)


def heavy_tailed(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw from Student's t with five degrees of freedom, scaled to variance 1."""
    return rng.standard_t(5.0, size=size) / np.sqrt(5.0 / 3.0)


def as_rows(energies: Sequence[float] | np.ndarray, stderr: float) -> Rows:
    """Return all that `paired_samples` reads of rows."""
    return [SimpleNamespace(energy=float(energy), stderr=stderr) for energy in energies]


def verdict_of(news: list[Rows], bases: list[Rows], criteria: Criteria) -> Verdict:
    """Return the verdict that `ferminet compare` gives on these energies."""
    first, second, _ = paired_samples(news, bases)
    return overall_verdict([one.verdict for one in judge(first, second, criteria)])


def synthetic(
    name: str,
    scatter: dict[str, tuple[float, float]],
    trials: int,
    *,
    seeds: tuple[int, int] = (NEW_SEEDS, BASELINE_SEEDS),
    draw: Draw = normal,
    ratio: float = 1.0,
    defect: float = 0.0,
    key: int = 1,
) -> Rates:
    """Return verdicts on drawn energies.

    Args:
        name: of this kind of trial.
        scatter: standard deviation between seeds (sampling included) and of sampling per system,
            hartree.
        trials: how many comparisons.
        seeds: of the new wavefunction and of the baseline.
        draw: distribution of the scatter.
        ratio: scatter of the new wavefunction over the baseline's.
        defect: added to the new energies of one system, which is another one in each trial.
        key: of the random numbers.
    """
    rng, criteria = np.random.default_rng(key), Criteria()
    counts = dict.fromkeys(VERDICTS, 0)
    for trial in range(trials):
        news, bases = [], []
        for index, (spread, stderr) in enumerate(scatter.values()):
            shift = defect if index == trial % len(scatter) else 0.0
            news.append(as_rows(shift + ratio * spread * draw(rng, seeds[0]), stderr))
            bases.append(as_rows(spread * draw(rng, seeds[1]), stderr))
        counts[verdict_of(news, bases, criteria)] += 1
    return Rates(name, counts)


def resampled(
    name: str,
    bank: dict[str, Rows],
    trials: int,
    *,
    seeds: tuple[int, int] = (NEW_SEEDS, BASELINE_SEEDS),
    defect: float = 0.0,
    key: int = 2,
) -> Rates:
    """Return verdicts on some of the bank's seeds against others, drawn without replacement."""
    rng, criteria = np.random.default_rng(key), Criteria()
    counts = dict.fromkeys(VERDICTS, 0)
    for trial in range(trials):
        news, bases = [], []
        for index, rows in enumerate(bank.values()):
            chosen = [rows[i] for i in rng.permutation(len(rows))[: sum(seeds)]]
            shift = defect if index == trial % len(bank) else 0.0
            moved = [
                SimpleNamespace(energy=row.energy + shift, stderr=row.stderr)
                for row in chosen[: seeds[0]]
            ]
            news.append(moved)
            bases.append(chosen[seeds[0] :])
        counts[verdict_of(news, bases, criteria)] += 1
    return Rates(name, counts)


def against_bank(
    name: str, defect: dict[str, Rows], bank: dict[str, Rows], trials: int, key: int = 3
) -> Rates:
    """Return verdicts on the whole suite, in which some systems have a real defect.

    Of these, four of the defect's seeds stand against all of the bank's; of the others four of the
    bank's seeds against the rest, as if the new wavefunction were the baseline's equal there.
    """
    rng, criteria = np.random.default_rng(key), Criteria()
    counts = dict.fromkeys(VERDICTS, 0)
    if not any(place in bank for place in defect):
        raise InputError(f"{name}: no system of it is one of the bank's.")
    for _ in range(trials):
        news, bases = [], []
        for place, rows in bank.items():
            own = defect.get(place)
            order = rng.permutation(len(own or rows))
            news.append([(own or rows)[i] for i in order[:NEW_SEEDS]])
            bases.append(rows if own else [rows[i] for i in order[NEW_SEEDS:]])
        counts[verdict_of(news, bases, criteria)] += 1
    return Rates(name, counts)


def cost_of_defect(defect: dict[str, Rows], bank: dict[str, Rows]) -> str:
    """Return as text by how much a defect raises each energy (mEh)."""

    def mean(rows: Rows) -> tuple[float, float]:
        energies = np.array([row.energy for row in rows])
        return float(energies.mean()), float(energies.std(ddof=1) / np.sqrt(len(energies)))

    costs = []
    for place in [place for place in defect if place in bank]:
        (new, new_error), (old, old_error) = mean(defect[place]), mean(bank[place])
        error = 1e3 * np.hypot(new_error, old_error)
        costs.append(f"{place} {1e3 * (new - old):+.2f} ± {error:.2f} mEh")
    return ", ".join(costs)


def scatter_of(bank: dict[str, Rows]) -> dict[str, tuple[float, float]]:
    """Return the standard deviation between seeds and of sampling per system (hartree)."""
    return {
        name: (
            float(np.std([row.energy for row in rows], ddof=1)),
            float(np.sqrt(np.mean([row.stderr**2 for row in rows]))),
        )
        for name, rows in bank.items()
    }


def certify(bank: dict[str, Rows], trials: int, resamples: int) -> list[Rates]:
    """Return all kinds of trials; those of the bank only if it has enough seeds."""
    scatter = scatter_of(bank) or TYPICAL
    fewest = min((len(rows) for rows in bank.values()), default=0)
    seeds = (NEW_SEEDS, max(fewest, BASELINE_SEEDS))  # what a user of the suite compares
    found = [
        synthetic("A against A", scatter, trials, seeds=seeds),
        synthetic("A against A, heavy tails", scatter, trials, seeds=seeds, draw=heavy_tailed),
        synthetic(
            "A against A, new scatters twice as much", scatter, trials, seeds=seeds, ratio=2.0
        ),
        synthetic(
            "A against A, new scatters half as much", scatter, trials, seeds=seeds, ratio=0.5
        ),
        synthetic("A against A + 1 mEh in one system", scatter, trials, seeds=seeds, defect=DEFECT),
    ]
    if fewest >= 4:
        new = min(NEW_SEEDS, fewest // 3)
        seeds = (new, min(BASELINE_SEEDS, fewest - new))
        label = f"bank: {seeds[0]} of {fewest} seeds against {seeds[1]} others"
        found.append(resampled(label, bank, resamples, seeds=seeds))
        found.append(resampled(f"{label}, + 1 mEh", bank, resamples, seeds=seeds, defect=DEFECT))
    return found


def table(found: list[Rates]) -> str:
    """Return rates in percent with their one-sided 95 % bounds, as CSV."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["trials of", "number", *(f"{v} / %" for v in VERDICTS)])
    for one in found:
        cells = [
            "{:.2f} ({:.2f} to {:.2f})".format(*(100 * x for x in one.rate(verdict)))
            for verdict in VERDICTS
        ]
        writer.writerow([one.name, one.trials, *cells])
    return sink.getvalue()


def draw_rates(found: list[Rates]) -> Figure:
    """Draw one bar per kind of trial, divided by verdict."""
    with style():
        figure = Figure(figsize=(8.6, 1.2 + 0.5 * len(found)), layout="constrained")
        axes = figure.subplots()
        for place, one in enumerate(found):
            left = 0.0
            for verdict in VERDICTS:
                width = 100 * one.rate(verdict)[0]
                axes.barh(place, width, left=left, color=COLOURS[verdict], height=0.6)
                if width >= 4.0:
                    axes.annotate(
                        f"{width:.1f}", (left + width / 2, place), ha="center", va="center",
                        color="white", fontsize=9,
                    )  # fmt: skip
                left += width
        axes.set_yticks(range(len(found)), [f"{one.name} ({one.trials:,})" for one in found])
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.set_xlabel("verdicts / %")
        axes.grid(visible=False)
        handles = [axes.barh(-9, 0, color=COLOURS[v], label=v) for v in VERDICTS]
        axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
        axes.tick_params(axis="y", length=0, colors=GREY)
        return figure


def read_defects(folder: Path) -> dict[str, dict[str, Rows]]:
    """Read the seeds of each defect per system that `python -m experiments.defects` wrote.

    Raises:
        InputError: there is none, or a file has other columns.
    """
    found: dict[str, dict[str, Rows]] = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                try:
                    (row,) = as_rows([float(line["energy"])], float(line["stderr"]))
                    place = geometry_name(line["system"], line["geometry"], "/")
                    found.setdefault(line["defect"], {}).setdefault(place, []).append(row)
                except (KeyError, TypeError, ValueError):
                    raise InputError(
                        f"{path}: not a table of `python -m experiments.defects`: {line}."
                    ) from None
    if not found:
        raise InputError(f"{folder}: no table of `python -m experiments.defects` lies there.")
    return found


def _judge_defects(folder: Path, bank: dict[str, Rows], trials: int) -> int:
    found = []
    for name, defect in read_defects(folder).items():
        print(f"{name}: {cost_of_defect(defect, bank)}")
        found.append(against_bank(name, defect, bank, trials))
    print(table(found))
    return 0


def main() -> int:
    """Print the rates, and write them if requested."""
    parser = argparse.ArgumentParser(prog="python -m experiments.gate", description=__doc__)
    parser.add_argument("--bank", type=Path, help="folder of results with many seeds")
    parser.add_argument("--ansatz", help="its wavefunction, if it has several")
    parser.add_argument(
        "--defects",
        type=Path,
        help="folder of tables of `python -m experiments.defects`",
    )
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--out-dir", type=Path)
    options = parser.parse_args()
    bank: dict[str, Rows] = {}
    try:
        if options.bank is not None:
            arm = read_arm(options.bank, options.ansatz)
            bank = {geometry_name(*place, "/"): rows for place, rows in arm.rows.items()}
        if options.defects is not None:
            return _judge_defects(options.defects, bank, options.resamples)
    except FermiNetError as error:
        print(error)
        return error.exit_code
    for name, (spread, stderr) in (scatter_of(bank) or TYPICAL).items():
        print(f"{name}: seeds scatter by {1e3 * spread:.3f} mEh, sampling {1e3 * stderr:.3f} mEh")
    found = certify(bank, options.trials, options.resamples)
    text = table(found)
    print(text)
    if options.out_dir is not None:
        write_bytes(options.out_dir / "gate.csv", text.encode())
        write_bytes(options.out_dir / "gate.png", render(draw_rates(found), "png"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
