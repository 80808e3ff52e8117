"""Measure the CPU seconds per iteration of each stage, to which predicted costs are fitted.

    taskset -c 1 python -m bench.cost --out results/bench/measured_runs.csv [--only LiH]

One process on one core measures CPU time and the rate of a matrix product, because other work on
the processor slows a core down. The numbers are medians of several iterations after the first;
docs/explanation/performance.md has the fit.
"""

import argparse
import csv
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from ferminet.runtime.environment import prepare_environment
from ferminet.runtime.files import write_bytes

QUICK: dict[str, Any] = {
    "layers": 3, "one_electron_width": 32, "two_electron_width": 8, "determinants": 4,
    "full_determinant": True, "envelope": "isotropic", "jastrow": "electron_cusp",
    "rescale_inputs": True,
}  # fmt: skip
PAPER: dict[str, Any] = {}
FULL: dict[str, Any] = {"full_determinant": True, "envelope": "isotropic"}
H4: dict[str, Any] = {
    **QUICK, "one_electron_width": 64, "spin_symmetric": True, "determinants": 7,
}  # fmt: skip
SMALL: dict[str, Any] = {**QUICK, "one_electron_width": 64, "determinants": 8}
# System, options, walkers, Metropolis steps of training, whether pretraining is measured too.
RUNS: list[tuple[str, dict[str, Any], int, int, bool]] = [
    ("N2", PAPER, 64, 10, False),
    ("Be", {**QUICK, "layers": 2, "one_electron_width": 16}, 2048, 10, True),
    ("bicyclobutane", PAPER, 8, 10, False),
    ("Li", SMALL, 512, 5, False),
    ("LiH", FULL, 256, 10, True),
    ("CH4", PAPER, 32, 10, False),
    ("LiH", QUICK, 512, 5, True),
    ("Ne", {**SMALL, "layers": 4}, 64, 10, False),
    ("H4", H4, 512, 3, False),
    ("N2", FULL, 64, 10, False),
    ("He", QUICK, 512, 5, False),
    ("ozone", PAPER, 8, 10, False),
]
COLUMNS = (
    *("system", "options", "walkers", "metropolis_steps", "stage", "cpu_s"),
    *("matrix_product_gflop_per_s", "source"),
)
MATRIX = 1024
REPEATS = 5
PRETRAIN_ITERATIONS = 60


def main() -> None:
    """Measure each run in a separate process and write the table after each."""
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the table (.csv)")
    parser.add_argument("--only", nargs="+", help="these systems alone")
    parser.add_argument("--run", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run is not None:
        print(json.dumps(measure(*RUNS[options.run])))
        return
    rows: list[dict[str, Any]] = []
    for index, run in enumerate(RUNS):
        if options.only and run[0] not in options.only:
            continue
        command = [sys.executable, "-m", "bench.cost", "--out", str(options.out), "--run"]
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        done = subprocess.run(
            [*command, str(index)], stdout=subprocess.PIPE, env=environment, text=True
        )
        if done.returncode:
            sys.exit(f"bench: measuring {run[0]} ended with {done.returncode}.")
        rows += json.loads(done.stdout.splitlines()[-1])
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_bytes(options.out, text.getvalue().encode())
        print(*(f"{row['system']} {row['stage']} {row['cpu_s']}" for row in rows[-3:]), sep="; ")


def measure(
    system: str, options: dict[str, Any], walkers: int, steps: int, pretraining: bool
) -> list[dict[str, Any]]:
    """Return the rows of one run: training, evaluation, and pretraining if requested."""
    prepare_environment()
    import jax

    from bench.measure import make_trainer
    from ferminet.vmc.evaluate import MEASURE_INTERVAL, make_evaluator

    jax.config.update("jax_default_matmul_precision", "highest")
    trainer, state, _ = make_trainer(system, walkers, options, steps)
    place = (state.params, state.electrons, trainer.problem.nuclei)
    rates = [_matrix_product_rate()]
    found = {"train": _median(lambda: trainer.step(state, 1))}
    rates.append(_matrix_product_rate())
    evaluator = make_evaluator(trainer.problem, 0.1, steps)
    key = jax.random.key(3)
    moving = (key, state.params, state.electrons, state.step_size, evaluator.nuclei, steps)
    found["evaluate"] = (
        _median(lambda: evaluator.sweep(*moving))
        + _median(lambda: evaluator.energies(*place))
        + _median(lambda: evaluator.observables(*place)) / MEASURE_INTERVAL
    )
    rates.append(_matrix_product_rate())
    if pretraining:
        found["pretrain"] = _pretraining(system, options, walkers)
    rate = statistics.median(rates)
    return [
        {
            "system": system, "options": json.dumps(options, sort_keys=True), "walkers": walkers,
            "metropolis_steps": steps, "stage": stage, "cpu_s": f"{seconds:.4g}",
            "matrix_product_gflop_per_s": f"{rate:.0f}", "source": "python -m bench.cost",
        }
        for stage, seconds in found.items()
    ]  # fmt: skip


def _median(function: Callable[[], Any]) -> float:
    """Return the CPU seconds of a call, without the first."""
    import jax

    times = []
    for _ in range(REPEATS + 1):
        began = time.process_time()
        jax.block_until_ready(function())
        times.append(time.process_time() - began)
    return statistics.median(times[1:])


def _matrix_product_rate() -> float:
    """Return the rate of the core for the largest part of the work, 10^9 operations a second.

    Other work on the processor slows a core by up to two, and all that it does alike.
    """
    import jax
    import jax.numpy as jnp

    matrix = jnp.ones((MATRIX, MATRIX), jnp.float32)
    product = jax.jit(jnp.matmul)
    return 2 * MATRIX**3 / _median(lambda: product(matrix, matrix)) / 1e9


def _pretraining(system: str, options: dict[str, Any], walkers: int) -> float:
    """Return the CPU seconds of an iteration of pretraining, from the times of its progress."""
    from ferminet.chemistry.gto import from_arrays
    from ferminet.config import resolve_run
    from ferminet.config.load import load_study
    from ferminet.runtime.checkpoint import load_arrays
    from ferminet.runtime.progress import Progress
    from ferminet.stages.chemistry import run_scf
    from ferminet.stages.pretraining import pretrain
    from ferminet.vmc.programs import build_problem

    class Clock(Progress):
        """Record the CPU time of each call."""

        def __call__(self, done: int, text: str) -> None:
            del text
            times.append((done, time.process_time()))

    times: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        content = {
            "seeds": [1], "systems": [system], "ansatz": {"ferminet": {"options": options}},
            "sampler": {"walkers": walkers, "burn_in": 2}, "scf": {"basis": "sto-3g"},
            "pretrain": {"iterations": PRETRAIN_ITERATIONS, "tolerance": 1.0e6},
        }  # fmt: skip
        path = Path(folder, "cost.yaml")
        path.write_text(json.dumps(content))
        study = load_study(path)
        geometry = next(iter(study.resolved_systems[system].geometries))
        run = resolve_run(study, system, geometry, "ferminet", 1)
        run_scf(run, Path(folder, "scf.safetensors"))
        arrays, header = load_arrays(Path(folder, "scf.safetensors"))
    orbitals = from_arrays(arrays)
    problem = build_problem(run, orbitals)
    clock = Clock("cost", PRETRAIN_ITERATIONS)
    pretrain(problem, orbitals, header["energy"], run.pretrain, run.sampler, 1, clock)
    rates = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(times)]
    return statistics.median(rates)


if __name__ == "__main__":
    main()
