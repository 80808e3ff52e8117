"""Submitting studies to a real SLURM, disturbing their jobs, and looking at what became of them."""

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ferminet.runtime.checkpoint import list_checkpoints, load_arrays, read_header
from tests.helpers.tiny_study import tiny_study
from tests.slurm.local_cluster import why_no_accounting, why_not

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "workflow" / "profiles" / "slurm" / "profile.v9+.yaml"
# Long enough to be disturbed wherever the tests run: twice what a time limit of a minute holds.
TRAINING_S = 100.0
PATIENCE_S = 900.0

STUDY = tiny_study(
    "He",
    """\
sampler: {walkers: 256, decorrelation_steps: 10, burn_in: 10}
optimizer: {name: adam, learning_rate: 0.001}
train: {iterations: 500, checkpoint_interval: 100}
evaluate: {iterations: 100, decorrelation_steps: 5, burn_in: 10}
""",
)
ENERGIES = "results/study/energies.parquet"


def missing() -> str | None:
    """Why the tests cannot run here."""
    try:
        import snakemake_executor_plugin_slurm  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        return "snakemake-executor-plugin-slurm is not installed"
    return why_not()


needs_slurm = pytest.mark.skipif(missing() is not None, reason=str(missing()))
needs_accounting = pytest.mark.skipif(
    why_no_accounting() is not None, reason=str(why_no_accounting())
)


def snakemake(*arguments: str) -> list[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    return [*command, "--configfile", "study.yaml", *arguments]


def compute_here(folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        snakemake("--cores", "1", ENERGIES),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def trained(folder: Path) -> Path:
    return next(folder.glob("results/study/runs/He/eq/*/seed1")) / "trained.safetensors"


def checkpoints(folder: Path) -> Path | None:
    return next(folder.glob("results/checkpoints/*/seed1"), None)


def write_profile(folder: Path, train_mb: str = "", **changes: str) -> None:
    """The project's profile, its first lines filled in for the local cluster."""
    text = PROFILE.read_text()
    if train_mb:
        gpus = "      gpu: ?gpus\n"
        memory = f'      ?if rule == "train":\n        mem_mb: {train_mb!r}\n'
        assert gpus in text
        text = text.replace(gpus, gpus + memory)
    usual = {"status_command": '"squeue"', "gpu_partition": '"gpu"', "pack": "0"}
    for name, value in (usual | changes).items():
        text, count = re.subn(rf"(?m)^  - {name} = \S+", f"  - {name} = {value}", text)
        assert count == 1, name
    (folder / "profile").mkdir(exist_ok=True)
    (folder / "profile" / PROFILE.name).write_text(text)


class Head:
    """A Snakemake that submits jobs."""

    def __init__(self, folder: Path, environment: dict[str, str], *arguments: str):
        self.said = folder / "said.txt"
        options = ("--workflow-profile", "profile", "--latency-wait", "10")
        # Impatient, for tests.
        options += ("--slurm-init-seconds-before-status-checks", "3")
        self.process = subprocess.Popen(
            snakemake(*options, *(arguments or [ENERGIES])),
            cwd=folder,
            env=environment,
            stdout=self.said.open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def finishes(self) -> None:
        """Waits for the end of everything."""
        assert self.process.wait(timeout=PATIENCE_S) == 0, self.said.read_text()[-4000:]

    def killed(self) -> None:
        """Ends it as a machine that is switched off does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def assert_same(quiet: Path, folder: Path) -> None:
    """Parameters, walkers and energies, to the last bit."""
    (ours, _), (theirs, _) = load_arrays(trained(quiet)), load_arrays(trained(folder))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].tobytes() == theirs[name].tobytes(), name
    rows = [pd.read_parquet(place / ENERGIES) for place in (quiet, folder)]
    assert rows[0].energy.notna().all()
    for column in ("seed", "energy", "stderr", "variance", "acceptance"):
        np.testing.assert_array_equal(rows[0][column], rows[1][column])


def attempts(folder: Path) -> int:
    header = read_header(trained(folder))
    assert header is not None
    return header["attempts"]


def queue(*options: str) -> list[tuple[str, str, str]]:
    """(number, state, rule) of all jobs that wait or run."""
    command = ["squeue", "-h", "-o", "%i|%T|%k", *options]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    jobs = [line.split("|") for line in text.splitlines()]
    return [(number, state, comment.split("_")[1]) for number, state, comment in jobs]


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.5)


def wait_for_checkpoint(folder: Path, rule: str = "train") -> str:
    """The number of the job that trains or evaluates, when it has saved something."""

    def is_under_way() -> bool:
        place = checkpoints(folder)
        if place is None:
            return False
        places = place.glob("evaluation/*-*") if rule == "evaluate" else [place]
        return any(number for one in places for number, _ in list_checkpoints(one))

    wait_for(is_under_way, "a checkpoint")
    return next(number for number, _, found in queue() if found == rule)


def preempt(number: str, rule: str = "train") -> None:
    """Submits a job that takes the GPU of another one."""
    urgent = ["sbatch", "--partition=urgent", "--gpus=1", "--time=1", "--output=/dev/null"]
    subprocess.run([*urgent, "--comment=a_b", "--wrap=sleep 5"], check=True)
    wait_for(lambda: (number, "RUNNING", rule) not in queue(), "the preemption")


def processes(number: str) -> list[int]:
    """All processes of a job, that of SLURM which started them included."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (place / "environ").read_bytes().split(b"\0")
            named = f"[{number}." in (place / "cmdline").read_text()
            if named or f"SLURM_JOB_ID={number}".encode() in words:
                found.append(int(place.name))
    return found


def records() -> list[dict[str, str]]:
    """What SLURM still knows of all jobs."""
    command = ["scontrol", "--oneliner", "show", "job"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines()]
