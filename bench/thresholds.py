"""Print the training time after which the energy stays within thresholds, for finished studies.

    python -m bench.thresholds workflow/config/quickstart.yaml [more studies] [--systems Be LiH]

The energy at a time is the mean over the last fifth of the iterations up to then; a threshold is
reached when that mean lies below it from then on. The time is the wall time of training, start and
compilation included, divided evenly among the iterations. It prints seconds, seed by seed,
and writes thresholds.png, error against time.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ferminet.benchmark.figures.style import (
    GREY,
    SERIES_COLOURS,
    render,
    style,
)
from ferminet.benchmark.records import read_rows, read_table
from ferminet.benchmark.references import project_references
from ferminet.config import expand_runs, load_study
from ferminet.config.layout import ENERGY, HISTORY, path_of
from ferminet.errors import FermiNetError
from ferminet.runtime.files import write_bytes
from ferminet.units import CHEMICAL_ACCURACY_MEH

THRESHOLDS_MEH = (5.0, 1.6, 1.0, 0.5)
SHARE = 0.2  # of the iterations so far, that the energy is a mean of
LEAST_ITERATIONS = 50
LEAST_SHOWN_MEH = 0.1


@dataclass(frozen=True)
class Course:
    """How one run approached its reference.

    Attributes:
        study: study and, where there are several, the wavefunction's name.
        system: system, and the geometry if it is not the equilibrium.
        seed: seed of the run.
        seconds: wall time at each iteration, (n,).
        error: mean of the last fifth before it minus the reference in mEh, (n,).
        final: evaluated energy minus the reference and its standard error in mEh.
    """

    study: str
    system: str
    seed: int
    seconds: np.ndarray
    error: np.ndarray
    final: tuple[float, float]


def trailing_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last fifth (at least 50) of the values up to each, (n,)."""
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(np.minimum(stop - LEAST_ITERATIONS, ((1 - SHARE) * stop).astype(int)), 0)
    total = np.concatenate([[0.0], np.cumsum(values - values[-1])])
    return (total[stop] - total[start]) / (stop - start) + values[-1]


def time_to(course: Course, threshold: float) -> float | None:
    """Return the seconds after which the error stays below the threshold (mEh), or None."""
    above = np.flatnonzero(course.error >= threshold)
    first = max(above[-1] + 1 if len(above) else 0, LEAST_ITERATIONS)
    return float(course.seconds[first]) if first < len(course.error) else None


def read_courses(config: Path, systems: list[str]) -> list[Course]:
    """Return the finished runs of a study that have a reference energy."""
    study, references, courses = load_study(config), project_references(), []
    for run in expand_runs(study):
        energy, history = path_of(ENERGY, run), path_of(HISTORY, run)
        best = references.best(run.system, run.geometry)
        if best is None or (systems and run.system not in systems):
            continue
        if not energy.exists():
            print(f"not finished: {study.name}, {run.system} {run.geometry}, seed {run.seed}")
            continue
        (row,) = read_rows(energy)
        values = np.asarray(read_table(history)["energy"], float)
        per_iteration = row.details.train_wall_s / len(values)
        courses.append(
            Course(
                study.name + (f" {run.ansatz_name}" if len(study.ansatz) > 1 else ""),
                run.system if run.geometry == "eq" else f"{run.system} {run.geometry}",
                run.seed,
                per_iteration * np.arange(1, len(values) + 1),
                1e3 * (trailing_mean(values) - best.energy),
                (1e3 * (row.energy - best.energy), 1e3 * row.stderr),
            )
        )
    return courses


def print_table(courses: list[Course]) -> None:
    """Return a line per system and study: seconds to thresholds and evaluated error, by seed."""
    heads = "".join(f"{f'{threshold} mEh':>18}" for threshold in THRESHOLDS_MEH)
    print(f"{'':<36}{heads}   s of training       evaluated / mEh")
    for system in dict.fromkeys(course.system for course in courses):
        for study in dict.fromkeys(c.study for c in courses if c.system == system):
            mine = [c for c in courses if (c.system, c.study) == (system, study)]
            cells = ""
            for threshold in THRESHOLDS_MEH:
                times = [time_to(course, threshold) for course in mine]
                cells += f"{' '.join('-' if t is None else f'{t:.0f}' for t in times):>18}"
            spent = " ".join(f"{course.seconds[-1]:.0f}" for course in mine)
            final = ", ".join(f"{c.final[0]:.2f} ± {c.final[1]:.2f}" for c in mine)
            print(f"{system + ', ' + study:<36}{cells}   {spent:<18}  {final}")


def draw(courses: list[Course], time: str = "training time") -> bytes:
    """Draw error against time: a panel per system, a colour per study, a line per seed."""
    systems = list(dict.fromkeys(course.system for course in courses))
    studies = list(dict.fromkeys(course.study for course in courses))
    columns = min(3, len(systems))
    lines = -(-len(systems) // columns)
    with style():
        figure = Figure(figsize=(3.2 * columns + 1.2, 2.5 * lines + 0.7), layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
        for axes in grid[len(systems) :]:
            axes.set_visible(False)
        for axes, system in zip(grid, systems, strict=False):
            axes.set_title(system, loc="left")
            axes.set_yscale("log")
            axes.axhline(CHEMICAL_ACCURACY_MEH, color=GREY, linewidth=1, linestyle="--")
            for course in (one for one in courses if one.system == system):
                shown = np.maximum(course.error, LEAST_SHOWN_MEH)[LEAST_ITERATIONS:]
                axes.plot(
                    course.seconds[LEAST_ITERATIONS:],
                    shown,
                    color=SERIES_COLOURS[studies.index(course.study) % len(SERIES_COLOURS)],
                    linewidth=1,
                    label=course.study,
                )
        grid[0].set_ylim(LEAST_SHOWN_MEH, 100)
        named = {
            str(text): handle
            for axes in grid
            for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(list(named.values()), list(named), loc="outside upper center", ncols=columns)
        figure.supylabel("error of the last fifth / mEh", fontsize=10)
        figure.supxlabel(f"{time} / s (dashed: 1.6 mEh)", fontsize=10)
    return render(figure, "png")


def main() -> None:
    """Print the table and write the figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.thresholds", description=__doc__)
    parser.add_argument("studies", type=Path, nargs="+", help="studies whose runs are finished")
    parser.add_argument("--systems", nargs="*", default=[], help="these alone")
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    options = parser.parse_args()
    try:
        courses = [one for path in options.studies for one in read_courses(path, options.systems)]
        known = {name for path in options.studies for name in load_study(path).resolved_systems}
        unknown = sorted(set(options.systems) - known)
        if unknown:
            parser.error(f"no study has {', '.join(unknown)}; they have {', '.join(sorted(known))}")
        if not courses:
            parser.error("no finished run with a reference energy was found; run the studies first")
        print_table(courses)
        write_bytes(options.out / "thresholds.png", draw(courses))
    except FermiNetError as error:
        parser.error(str(error))
    print(f"\n{options.out}/thresholds.png")


if __name__ == "__main__":
    main()
