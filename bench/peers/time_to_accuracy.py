"""Measure the CPU seconds to an accuracy with this package and with other codes.

    python -m bench.peers.time_to_accuracy --ferminet PYTHON --jaqmc PYTHON
        [--codes ...] [--systems LiH Be] [--seeds 1 2 3] [--limit-s 600]
    python -m bench.peers.time_to_accuracy --report [--figure FILE.png]

PYTHON is the Python of a code's environment (README.md). Every code has the settings that its
authors give for small runs (training_curve.py), this package those of quickstart.yaml, but all
train until the limit. A run is one process on one core that compiles everything afresh. Nothing
else should run on that core, since a shared cache costs CPU time too. The seconds are CPU time
since the process started; start is the part before the end of the first iteration: imports,
Hartree-Fock, pretraining, burn-in and nearly all compilation.

As in bench/thresholds.py the energy at a time is the mean over the last fifth of the iterations (at
least 50), and a threshold is reached when it stays below from then on. It is an energy of training,
without evaluation: it lags behind the parameters, and where the walkers of successive iterations
are strongly correlated it is biased, possibly below the exact energy.

Curves are kept in bench/peers/results/time-to-accuracy, whatever their limit; what is there is not
measured again. To measure it again, remove its file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.thresholds import THRESHOLDS_MEH, Course, draw, time_to, trailing_mean
from ferminet.benchmark.references import project_references
from ferminet.config.load import load_run
from ferminet.errors import FermiNetError, InputError, ResourceError
from ferminet.runtime.files import write_bytes

HERE = Path(__file__).parent
SCRIPT, RESULTS = HERE / "training_curve.py", HERE / "results" / "time-to-accuracy"
STUDY = HERE.parents[1] / "workflow" / "config" / "quickstart.yaml"
LOGS = Path("results/bench")
THRESHOLDS = THRESHOLDS_MEH[:3]
CODES = {
    "here": "this package, natural",
    "ferminet": "google-deepmind/ferminet, KFAC",
    "jaqmc-kfac": "JaQMC, KFAC",
    "jaqmc-sr": "JaQMC, SR",
    "jaqmc-kfac-small": "JaQMC, KFAC, small network",
    "jaqmc-sr-small": "JaQMC, SR, small network",
}


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers.time_to_accuracy")
    parser.add_argument("--ferminet", type=Path, help="Python with google-deepmind/ferminet")
    parser.add_argument("--jaqmc", type=Path, help="Python with JaQMC")
    parser.add_argument("--codes", nargs="+", choices=CODES, default=list(CODES), metavar="CODE")
    parser.add_argument("--systems", nargs="+", default=["LiH", "Be"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--limit-s", type=float, default=600.0, help="CPU seconds of a run")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--figure", type=Path, help="draw error against CPU seconds")
    options = parser.parse_args()
    try:
        exact = {system: exact_energy(system) for system in options.systems}
        if not options.report:
            measure(options)
        courses = [
            read_course(path, code, system, seed, exact[system])
            for system in options.systems
            for code in options.codes
            for seed in options.seeds
            if (path := curve_path(options.results, code, system, seed)).exists()
        ]
        if not courses:
            raise InputError(f"{options.results} has no such curve; leave --report out.")
        print_table(courses)
        if options.figure:
            write_bytes(options.figure, draw(courses, "CPU time"))
    except FermiNetError as error:
        parser.exit(error.exit_code, f"{parser.prog}: {error}\n")


def exact_energy(system: str) -> float:
    """Return the exact energy of a system of the study, hartree.

    Raises:
        InputError: the study has no such system, or its exact energy is unknown.
    """
    load_run(STUDY, system=system, geometry="eq", any_run=True)
    reference = project_references().best(system, "eq")
    if reference is None:
        raise InputError(f"{system} has no reference energy; choose another system.")
    return reference.energy


def curve_path(folder: Path, code: str, system: str, seed: int) -> Path:
    """Return the file of a run's curve."""
    return folder / f"{code}-{system}-{seed}.csv"


def measure(options: argparse.Namespace) -> None:
    """Run what has no curve yet, one process after the other on the chosen core.

    Raises:
        InputError: a Python, the core or the limit is wrong.
        ResourceError: a code ended without a curve.
    """
    given = {"here": Path(sys.executable), "ferminet": options.ferminet, "jaqmc": options.jaqmc}
    names = {code: code.split("-")[0] for code in options.codes}
    for code, name in names.items():
        if given[name] is None:
            raise InputError(f"{code} needs the Python of its environment; set --{name}.")
        if not (given[name].is_file() and os.access(given[name], os.X_OK)):
            raise InputError(f"--{name}: {given[name]} is no Python; give the path of one.")
    if options.limit_s <= 0:
        raise InputError(f"--limit-s must be positive, got {options.limit_s}.")
    try:
        os.sched_setaffinity(0, {options.core})
    except OSError:
        raise InputError(f"This process may not use core {options.core}; set --core.") from None
    options.results.mkdir(parents=True, exist_ok=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    for system in options.systems:
        for seed in options.seeds:
            for code, name in names.items():
                path = curve_path(options.results, code, system, seed)
                if not path.exists():
                    print(f"{system}, seed {seed}, {CODES[code]}", flush=True)
                    run_code(given[name], job_of(code, system, seed, options.limit_s), path)


def job_of(code: str, system: str, seed: int, limit_s: float) -> dict[str, Any]:
    """Return what training_curve.py needs to know; coordinates in bohr."""
    molecule = load_run(STUDY, system=system, geometry="eq", any_run=True).molecule
    return {
        "code": code,
        "study": str(STUDY),
        "system": system,
        "atoms": list(zip(molecule.symbols, molecule.coords.tolist(), strict=True)),
        "spins": molecule.spins,
        "seed": seed,
        "limit_s": limit_s,
    }


def run_code(python: Path, job: dict[str, Any], out: Path) -> None:
    """Run one training, with its messages in a file.

    Raises:
        ResourceError: it ended without a curve.
    """
    code, environment = job["code"], os.environ | {"OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    # This package sets its own flags, and would keep compiled programs for the next run. The other
    # codes must not find this package, since one of them has the same name.
    for name in ("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR"):
        environment.pop(name, None)
    if code != "here":
        environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        environment.pop("PYTHONPATH", None)
    log = (LOGS / out.name).with_suffix(".log")
    with tempfile.TemporaryDirectory() as folder, open(log, "w") as stream:
        if code == "here":
            environment["JAX_COMPILATION_CACHE_DIR"] = folder
        file = Path(folder, "job.json")
        file.write_text(json.dumps(job))
        words = [python.absolute(), SCRIPT, file, out.absolute()]
        subprocess.run(words, env=environment, stdout=stream, stderr=subprocess.STDOUT)
    if not out.exists():
        raise ResourceError(f"{CODES[code]} ended without a curve; its messages are in {log}.")


def read_course(path: Path, code: str, system: str, seed: int, exact: float) -> Course:
    """Return how a run approached the exact energy; a bin has its mean in all its iterations."""
    iteration, seconds, energy, _ = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2).T
    every = np.arange(1, int(iteration[-1]) + 1)
    values = np.repeat(energy, np.diff(iteration, prepend=0).astype(int))
    finite = np.isfinite(values)
    error = 1e3 * (trailing_mean(np.where(finite, values, exact)) - exact)
    error[~finite] = np.inf
    cpu_s = np.interp(every, iteration, seconds)
    return Course(CODES[code], system, seed, cpu_s, error, (float(error[-1]), np.nan))


def print_table(courses: list[Course]) -> None:
    """Print a line per system and code: seconds and the last error, seed by seed."""
    heads = "".join(f"{f'{threshold} mEh':>21}" for threshold in THRESHOLDS)
    print(f"{'CPU seconds':<38}{'start':>12}{heads}{'s per iteration':>18}   last error / mEh")
    for system, code in dict.fromkeys((course.system, course.study) for course in courses):
        mine = [course for course in courses if (course.system, course.study) == (system, code)]
        cells = f"{' '.join(f'{course.seconds[0]:.0f}' for course in mine):>12}"
        for threshold in THRESHOLDS:
            cells += f"{' '.join(time_cell(course, threshold) for course in mine):>21}"
        paces = (np.ptp(course.seconds) / max(len(course.seconds) - 1, 1) for course in mine)
        cells += f"{' '.join(f'{pace:.2f}' for pace in paces):>18}"
        last = ", ".join(f"{course.final[0]:.2f}" for course in mine)
        seeds = " ".join(str(course.seed) for course in mine)
        print(f"{system + ', ' + code:<38}{cells}   {last} (seeds {seeds})")


def time_cell(course: Course, threshold: float) -> str:
    """Return the seconds to a threshold, or how long the run went on without reaching it."""
    seconds = time_to(course, threshold)
    if seconds is not None:
        return f"{seconds:.0f}"
    last = f"{course.seconds[-1]:.0f}"
    return f">{last}" if np.isfinite(course.error[-1]) else f"failed at {last}"


if __name__ == "__main__":
    main()
