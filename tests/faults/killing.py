"""A run of one wavefunction, from training to the table of energies, killed at drawn events."""

import itertools
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ferminet.benchmark.records import read_rows
from ferminet.config import expand_runs, layout, load_study
from ferminet.runtime.checkpoint import list_checkpoints, load_arrays
from tests.helpers.compilation import quick_environment
from tests.helpers.tiny_study import tiny_study

DRIVER = Path(__file__).with_name("driver.py")
ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300
STAGES = ("train", "evaluate", "collect")

STUDY = tiny_study(
    "He",
    """\
sampler: {walkers: 32, decorrelation_steps: 4, burn_in: 4}
optimizer: {name: kfac, learning_rate: 0.05}
train: {iterations: 60, checkpoint_interval: 3}
evaluate: {iterations: 1500, decorrelation_steps: 2, burn_in: 4}
""",
)
ITERATIONS = 60

# When, how long and from which file of the trained parameters: another in each run of the same.
NOT_COMPARED = ("wall_s", "created_utc", "details")
DETAILS_NOT_COMPARED = ("attempts", "train_wall_s", "trained_sha256", "command")


@dataclass
class Killed:
    """What the kills were, over all runs.

    Attributes:
        kinds: how often a process died at which event, e.g. ``train: write of checkpoint``.
        after_checkpoint: how many of the kills of training and evaluation came when a checkpoint
            was there.
        before_checkpoint: how many came before.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    after_checkpoint: int = 0
    before_checkpoint: int = 0

    def histogram(self) -> str:
        """One line per kind, most frequent first."""
        return "\n".join(f"{n:5}  {kind}" for kind, n in self.kinds.most_common())


class Job:
    """The three commands of one run in a folder of its own.

    Attributes:
        folder: where all of it happens.
        environment: of its processes.
        files: paths by what they are, seen from the folder; those of `train` and `evaluate` are
            their checkpoints' folders.
        events: of each stage's last process that came to its end.
    """

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.environment = folder, environment
        folder.mkdir()
        (folder / "molecules").symlink_to(ROOT / "molecules")
        (folder / "faults.yaml").write_text(STUDY)
        self.record = folder / "record"
        self.events: dict[str, list[str]] = {}
        self.run = ["--config", "faults.yaml", "--system", "He", "--geometry", "eq", "--seed", "1"]
        (run,) = expand_runs(load_study(folder / "faults.yaml"))
        self.files = {
            name: template.format(**layout.wildcards(run))
            for name, template in (
                ("start", layout.PRETRAINED),
                ("trained", layout.TRAINED),
                ("history", layout.HISTORY),
                ("energy", layout.ENERGY),
                ("train", layout.CHECKPOINTS),
                ("evaluate", layout.EVALUATION_CHECKPOINTS),
            )
        } | {"collect": "results/faults/energies.parquet"}

    def start_from(self, start: Path) -> None:
        """Copies the file that training starts from."""
        place = self.folder / self.files["start"]
        place.parent.mkdir(parents=True)
        shutil.copy(start, place)

    def arguments(self, stage: str) -> list[str]:
        files = self.files
        if stage == "collect":
            return ["collect", "--config", "faults.yaml", "--out", files["collect"]]
        if stage == "train":
            own = ["--initial", files["start"], "--out", files["trained"]]
            own += ["--history", files["history"]]
        else:
            own = ["--trained", files["trained"], "--out", files["energy"]]
        return [stage, *self.run, *own, "--checkpoint-dir", files[stage]]

    def execute(self, stage: str, event: int = 0) -> subprocess.CompletedProcess[str]:
        """One process; `record` lists afterwards what happened in it."""
        self.record.write_text("")
        return self.python(str(DRIVER), "record", str(event), *self.arguments(stage))

    def python(
        self, *arguments: str, prepare: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs Python in the folder; `prepare` is called in the new process before."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            preexec_fn=prepare,
        )

    def finish(self, stage: str) -> None:
        """Runs a stage to its end, and keeps its events."""
        done = self.execute(stage)
        assert done.returncode == 0, done.stderr
        (line,) = [one for one in self.record.read_text().splitlines() if one.startswith("events ")]
        self.events[stage] = line.removeprefix("events ").split(",")

    def kill(self, stage: str, event: int, killed: Killed) -> None:
        """Lets a stage die at an event, and looks at what it left.

        No file is half written, and no checkpoint that was in place is gone but by a newer one.
        """
        before = self.progress(stage)
        done = self.execute(stage, event)
        assert done.returncode == -signal.SIGKILL, f"{stage}, event {event}: {done.stderr}"
        said = self.record.read_text().splitlines()
        killed.kinds[f"{stage}: {said[-1].removeprefix('killed ')}"] += 1
        for saved in [Path(one.removeprefix("saved ")) for one in said if "saved " in one]:
            newest = list_checkpoints(self.folder / saved.parent)[0][1]
            assert newest.name >= saved.name  # nothing that was saved is lost
        there = self.progress(stage)
        assert there >= before
        if stage != "collect":
            killed.after_checkpoint += there > 0
            killed.before_checkpoint += there == 0
        self.look()

    def progress(self, stage: str) -> int:
        """Iteration of the newest checkpoint; of an evaluation, of its two sets of parameters."""
        if stage == "collect":
            return 0
        folder = self.folder / self.files[stage]
        folders = [folder] if stage == "train" else folder.glob("*")
        return sum(max((n for n, _ in list_checkpoints(one)), default=0) for one in folders)

    def look(self) -> None:
        """Reads every file that is visible: each must be whole."""
        for path in self.folder.rglob("*.safetensors"):
            load_arrays(path)
        for path in self.folder.rglob("*.parquet"):
            pd.read_parquet(path)

    def results(self) -> dict[str, bytes]:
        """The bits of all results but for times and what follows from them."""
        arrays, _ = load_arrays(self.folder / self.files["trained"])
        found = {f"trained {name}": array.tobytes() for name, array in arrays.items()}
        history = pd.read_parquet(self.folder / self.files["history"])
        np.testing.assert_array_equal(history["iteration"], np.arange(ITERATIONS))
        for name in history:
            found[f"history {name}"] = history[name].to_numpy().tobytes()
        for file in ("energy", "collect"):
            for number, one in enumerate(read_rows(self.folder / self.files[file])):
                kept = {k: v for k, v in one.stored().items() if k not in NOT_COMPARED}
                kept |= {
                    k: v
                    for k, v in one.details.model_dump(exclude_unset=True).items()
                    if k not in DETAILS_NOT_COMPARED
                }
                found |= {f"{file} {number} {k}": repr(v).encode() for k, v in kept.items()}
        return found


def kill_points(rng: random.Random, n_events: int, n_kills: int) -> Iterator[int]:
    """After how many events each process dies; together less than a whole run has.

    One is drawn in each of `n_kills` equal parts of the run, so that the kills come all over it;
    each process counts from its own start.
    """
    edges = [round(n_events * part / n_kills) for part in range(n_kills + 1)]
    points = [rng.randint(low + 1, high) for low, high in itertools.pairwise(edges)]
    yield from (after - before for before, after in itertools.pairwise([0, *points]))


def make_environment(compiled: Path) -> dict[str, str]:
    """One thread, and quickly compiled programs that all processes share."""
    return quick_environment(
        PYTHONPATH=str(ROOT),
        JAX_PLATFORMS="cpu",
        OMP_NUM_THREADS="1",
        NPROC="1",
        JAX_COMPILATION_CACHE_DIR=str(compiled),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    )


def make_start(folder: Path, environment: dict[str, str]) -> Path:
    """Walkers and parameters that every run starts from."""
    job = Job(folder, environment)
    for command in (
        ["scf", *job.run[:-2], "--out", "scf.safetensors"],
        ["pretrain", *job.run, "--scf", "scf.safetensors", "--out", "start.safetensors"],
    ):
        done = job.python("-m", "ferminet", *command)
        assert done.returncode == 0, done.stderr
    return folder / "start.safetensors"
