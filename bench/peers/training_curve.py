"""Train with one code and write its curve: CPU seconds, energy and variance of the iterations.

    python training_curve.py JOB.json OUT.csv

`time_to_accuracy.py` writes the job and starts this with the Python of the code's environment. The
codes are unchanged: their own training loops run, and each iteration is read next to them until the
limit or an energy that is not finite. The seconds are CPU time of the whole process: imports,
Hartree-Fock, pretraining, burn-in and compilation included.

google-deepmind/ferminet has the settings of the example in its README: 256 walkers, 100 iterations
of pretraining, defaults otherwise. JaQMC has those that its documentation gives for quick runs: 256
walkers ("Fast debug run" on the page Running Workflows), 100 iterations of pretraining (page
Molecules), defaults otherwise. The codes named small have the network of "Reduce network size for
faster experiments" on the latter page.
"""

import csv
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

COLUMNS = ("iteration", "cpu_s", "energy", "variance")
BINS = 50  # a line averages at most this part of the iterations before it
UNLIMITED = 1_000_000  # iterations; the time ends a run
WALKERS, PRETRAINING = 256, 100  # of the other codes
SMALL = {"hidden_dims_single": [128, 128], "hidden_dims_double": [16, 16]}


class FinishedError(Exception):
    """The limit is reached, or an energy is not finite."""


class Curve:
    """The iterations of a training so far."""

    def __init__(self, limit_s: float):
        self.limit_s = limit_s
        self.rows: list[tuple[float, float, float]] = []

    def note(self, energy: float, variance: float) -> None:
        """Add an iteration that has just ended, in hartree.

        Raises:
            FinishedError: it is the last one.
        """
        seconds = time.process_time()
        self.rows.append((seconds, energy, variance))
        if seconds >= self.limit_s or not math.isfinite(energy):
            raise FinishedError

    def write(self, path: Path) -> None:
        """Write means over bins: the last iteration of a bin, CPU seconds at its end, and means."""
        lines, stop = [], 0
        while stop < len(self.rows):
            rows = self.rows[stop : stop + max(1, stop // BINS)]
            stop += len(rows)
            means = (sum(row[i] for row in rows) / len(rows) for i in (1, 2))
            lines.append((stop, f"{rows[-1][0]:.2f}", *(f"{mean:.6f}" for mean in means)))
        partial = path.with_suffix(".part")
        with open(partial, "w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(lines)
        os.replace(partial, path)


def train_ferminet(job: dict[str, Any], folder: str, curve: Curve) -> None:
    """Train with google-deepmind/ferminet; the seed replaces the code's own fixed one."""
    import jax
    from ferminet.utils import system

    from ferminet import base_config, train

    make_step, make_key = train.make_kfac_training_step, jax.random.PRNGKey

    def make_watched(*args, **more):
        step = make_step(*args, **more)

        def watched(*state):
            result = jax.block_until_ready(step(*state))
            *_, energy, auxiliary, _ = result
            curve.note(float(energy[0]), float(auxiliary.variance[0]))
            return result

        return watched

    train.make_kfac_training_step = make_watched
    jax.random.PRNGKey = lambda _: make_key(job["seed"])  # the code draws one key
    config = base_config.default()
    config.system.electrons = tuple(job["spins"])
    config.system.molecule = [system.Atom(symbol, tuple(at)) for symbol, at in job["atoms"]]
    config.batch_size, config.pretrain.iterations = WALKERS, PRETRAINING
    config.log.save_path = folder
    train.train(config)


def train_jaqmc(job: dict[str, Any], folder: str, curve: Curve) -> None:
    """Train with bytedance/jaqmc."""
    import jaqmc.app.molecule.workflow  # noqa: F401 - registers the command
    from jaqmc.app.cli import cli
    from jaqmc.workflow.stage.vmc import VMCWorkStage

    has_nan = VMCWorkStage._has_nan

    def watched(stage, stats):
        if stage.name == "train":
            curve.note(float(stats["total_energy"]), float(stats["total_energy_var"]))
        return has_nan(stage, stats)

    VMCWorkStage._has_nan = watched
    n_up, n_down = job["spins"]
    atoms = [{"symbol": symbol, "coords": at} for symbol, at in job["atoms"]]
    settings = {
        "system": {"unit": "bohr", "atoms": atoms, "s_z": (n_up - n_down) / 2},
        "workflow": {"batch_size": WALKERS, "seed": job["seed"], "save_path": f"{folder}/run"},
        "wf": SMALL if "small" in job["code"] else {},
        "pretrain": {"run": {"iterations": PRETRAINING}},
        "train": {
            "run": {"iterations": UNLIMITED},
            "optim": {"module": "sr" if "sr" in job["code"] else "kfac"},
        },
    }
    file = Path(folder, "settings.json")  # JSON is YAML too
    file.write_text(json.dumps(settings))
    cli(["molecule", "train", "--yml", str(file)], standalone_mode=False)


def train_here(job: dict[str, Any], folder: str, curve: Curve) -> None:
    """Train with this package, all stages in one process as the other codes do it."""
    from ferminet.runtime.environment import prepare_environment

    prepare_environment()
    import jax

    from ferminet.config.load import load_run
    from ferminet.stages.chemistry import run_scf
    from ferminet.stages.runs import run_pretrain, run_train
    from ferminet.vmc.train import Trainer

    step = Trainer.step

    def watched(self, state, iteration):
        state, info = jax.block_until_ready(step(self, state, iteration))
        curve.note(float(info.energy), float(info.variance))
        return state, info

    Trainer.step = watched
    run = load_run(job["study"], system=job["system"], geometry="eq", any_run=True)
    longer = run.train.model_copy(update={"iterations": UNLIMITED})
    run = run.model_copy(update={"seed": job["seed"], "train": longer})
    files = Path(folder)
    run_scf(run, files / "scf")
    run_pretrain(run, files / "scf", files / "start")
    run_train(run, files / "start", files / "train", files / "trained", files / "history")


def main() -> None:
    """Do the job."""
    job, out = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    trainers = {"here": train_here, "ferminet": train_ferminet, "jaqmc": train_jaqmc}
    curve = Curve(job["limit_s"])
    with tempfile.TemporaryDirectory(prefix="training_curve_") as folder:
        try:
            trainers[job["code"].split("-")[0]](job, folder, curve)
        except FinishedError:
            curve.write(out)


if __name__ == "__main__":
    main()
