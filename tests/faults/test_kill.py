"""The real thing: processes that are killed, and runs that end as if nothing had happened."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ferminet.runtime.checkpoint import list_checkpoints, load_arrays, load_newest_checkpoint
from tests.faults.killing import ITERATIONS, ROOT, STAGES, TIMEOUT_S, Job, Killed, kill_points
from tests.helpers.tiny_study import tiny_study

SEED = 20201022
FEW = {"train": 5, "evaluate": 2, "collect": 1}
# Eleven times of these are 209. More in one run, and it would not come to its next checkpoint.
MANY = {"train": 13, "evaluate": 3, "collect": 3}
N_RUNS = 11


def run_through_kills(
    folder: Path,
    environment: dict[str, str],
    start: Path,
    whole: Job,
    n_kills: dict[str, int],
    rng: random.Random,
    killed: Killed,
) -> dict[str, bytes]:
    """One run, each stage of which dies as often as asked before it comes to its end."""
    job = Job(folder, environment)
    job.start_from(start)
    for stage in STAGES:
        progress = []
        for event in kill_points(rng, len(whole.events[stage]), n_kills[stage]):
            job.kill(stage, event, killed)
            progress.append(job.progress(stage))
        assert progress == sorted(progress)
        job.finish(stage)
    assert not list(folder.rglob("*.corrupt"))
    return job.results()


@pytest.mark.slow
def test_a_run_killed_eight_times_ends_bit_identical(environment, start, whole, tmp_path):
    events, expected = whole.events, whole.results()
    assert events["train"].count("iteration") == ITERATIONS
    # Three of the averaged parameters and, evaluated more briefly, one of the last.
    assert events["evaluate"].count("rename of checkpoint") == 4
    assert events["collect"] == [
        "write of energies.parquet",
        "fsync of energies.parquet",
        "rename of energies.parquet",
        "fsync of folder",
    ]
    rng, killed = random.Random(SEED), Killed()
    found = run_through_kills(tmp_path / "killed", environment, start, whole, FEW, rng, killed)
    assert found == expected
    assert sum(killed.kinds.values()) == sum(FEW.values())
    assert killed.after_checkpoint >= 4


@pytest.mark.long
def test_two_hundred_kills(environment, start, whole, tmp_path):
    events, expected = whole.events, whole.results()
    rng, killed = random.Random(SEED), Killed()
    print(f"\nseed {SEED}")
    for number in range(N_RUNS):
        folder = tmp_path / f"run{number}"
        found = run_through_kills(folder, environment, start, whole, MANY, rng, killed)
        assert found == expected
        print(f"run {number + 1} of {N_RUNS}: {sum(killed.kinds.values())} kills, same bits")
    # What a whole run does only once or twice is seldom drawn: its turn is now.
    kinds = {f"{stage}: {kind}" for stage in STAGES for kind in events[stage]}
    for name in sorted(kinds - killed.kinds.keys()):
        job = Job(tmp_path / name.replace(" ", "_"), environment)
        job.start_from(start)
        for stage in STAGES:
            fatal, _, kind = name.partition(": ")
            if stage == fatal:
                job.kill(stage, events[stage].index(kind) + 1, killed)
            job.finish(stage)
        assert job.results() == expected
        print(f"{name}: same bits")
    print(killed.histogram())
    print(
        f"{killed.after_checkpoint} of training and evaluation with a checkpoint there, "
        f"{killed.before_checkpoint} before the first"
    )
    assert sum(killed.kinds.values()) >= 200
    assert killed.after_checkpoint >= 4 * killed.before_checkpoint
    assert not kinds - killed.kinds.keys()  # every kind was fatal at least once


HYDROGEN = tiny_study(
    "H",
    """\
sampler: {walkers: 16, decorrelation_steps: 2, burn_in: 2}
optimizer: {name: adam, learning_rate: 0.001}
train: {iterations: 1000000, checkpoint_interval: 5}
""",
)

COMMANDS = """\
import sys
from ferminet.cli.main import main
run = ["--config", "study.yaml", "--system", "H"]
assert main(["scf", *run, "--out", "scf.safetensors"]) == 0
start = ["--scf", "scf.safetensors", "--out", "start.safetensors"]
assert main(["pretrain", *run, *start]) == 0
files = ["--initial", "start.safetensors", "--out", "trained.safetensors"]
places = ["--checkpoint-dir", "checkpoints", "--history", "history.parquet"]
sys.exit(main(["train", *run, *files, *places, *sys.argv[1:]]))
"""


@pytest.mark.slow
def test_a_training_that_is_stopped_saves_and_reports_it(environment, tmp_path):
    (tmp_path / "study.yaml").write_text(HYDROGEN)
    (tmp_path / "molecules").symlink_to(ROOT / "molecules")
    with subprocess.Popen(
        [sys.executable, "-c", COMMANDS],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + TIMEOUT_S
        checkpoints = tmp_path / "checkpoints"
        while not any(iteration for iteration, _ in list_checkpoints(checkpoints)):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, text = process.communicate(timeout=60)
    assert process.returncode == 75, text
    assert "run the same command again to continue" in text
    assert "Traceback" not in text
    iteration, newest = list_checkpoints(checkpoints)[0]
    assert f"Stopped at iteration {iteration} of 1000000" in text
    _, header = load_arrays(newest)
    found = load_newest_checkpoint(checkpoints, header["config_hash"])
    assert found is not None
    assert found[1]["iteration"] == iteration
    assert not (tmp_path / "trained.safetensors").exists()


@pytest.mark.slow
def test_a_training_stops_before_its_time_limit(environment, tmp_path):
    (tmp_path / "study.yaml").write_text(HYDROGEN)
    (tmp_path / "molecules").symlink_to(ROOT / "molecules")
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, "--time-limit-minutes", "0.25"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 75, done.stderr
    iteration, newest = list_checkpoints(tmp_path / "checkpoints")[0]
    sentence = (
        f"may not fit into the time limit of 0.25 minutes. Stopped at iteration {iteration} of"
    )
    assert sentence in done.stderr
    assert load_arrays(newest)[1]["wall_s"] < 15.0
    assert not (tmp_path / "checkpoints" / "failed.json").exists()
