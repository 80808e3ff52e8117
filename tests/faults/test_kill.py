"""The real thing: processes that are killed, and runs that end as if nothing had happened."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ferminet.checkpoint import list_checkpoints, load_arrays, load_newest_checkpoint

DRIVER = Path(__file__).with_name("driver.py")
ROOT = Path(__file__).parents[2]
N_KILLS = 5
SEED = 20201022
TIMEOUT_S = 300


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """One thread, and compiled programs shared by all processes."""
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "OMP_NUM_THREADS": "1",
        "NPROC": "1",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def drive(environment, directory, out, event=None) -> subprocess.CompletedProcess:
    command = [sys.executable, str(DRIVER), str(directory), str(out)]
    if event is not None:
        command.append(str(event))
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def kill_points(n_events: int, n_before_first_checkpoint: int) -> list[int]:
    """After how many events each process dies; together less than a whole run has.

    The points are drawn over all events, one in each fifth of them, so that only the first can
    come before the first checkpoint; each process counts from its own start.
    """
    rng = random.Random(SEED)
    edges = [round(n_events * part / N_KILLS) for part in range(N_KILLS + 1)]
    points = [rng.randint(low + 1, high) for low, high in itertools.pairwise(edges)]
    assert sum(point > n_before_first_checkpoint for point in points) >= N_KILLS - 1
    return [after - before for before, after in itertools.pairwise([0, *points])]


@pytest.mark.slow
def test_a_training_killed_five_times_ends_bit_identical(environment, tmp_path):
    whole = drive(environment, tmp_path / "whole", tmp_path / "whole.npz")
    assert whole.returncode == 0, whole.stderr
    n_events = int(whole.stdout.split()[-1])
    assert n_events > 60  # 30 iterations, and the writes of 6 checkpoints and of their histories

    iterations = []
    for event in kill_points(n_events, n_before_first_checkpoint=16):
        killed = drive(environment, tmp_path / "killed", tmp_path / "killed.npz", event)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not (tmp_path / "killed.npz").exists()
        found = list_checkpoints(tmp_path / "killed")
        iterations.append(found[0][0] if found else 0)
    assert iterations == sorted(iterations)  # no kill loses what was saved
    assert iterations[-1] > 5  # and they came while something was there to be lost
    last = drive(environment, tmp_path / "killed", tmp_path / "killed.npz")
    assert last.returncode == 0, last.stderr

    with np.load(tmp_path / "whole.npz") as ours, np.load(tmp_path / "killed.npz") as theirs:
        assert ours.files == theirs.files
        assert any("optimizer" in name for name in ours.files)
        for name in ours.files:
            assert ours[name].dtype == theirs[name].dtype
            assert ours[name].tobytes() == theirs[name].tobytes(), name
        np.testing.assert_array_equal(theirs["history.iteration"], np.arange(30))
    assert all(not path.name.endswith(".corrupt") for path in (tmp_path / "killed").iterdir())


STUDY = """\
seeds: [1]
systems: [H]
ansatz:
  ferminet:
    options: {layers: 1, one_electron_width: 4, two_electron_width: 2, determinants: 1}
scf: {basis: sto-3g}
pretrain: {iterations: 0}
sampler: {walkers: 16, decorrelation_steps: 2, burn_in: 2}
optimizer: {name: adam, learning_rate: 0.001}
train: {iterations: 1000000, checkpoint_interval: 5}
"""

COMMANDS = """\
import sys
from ferminet.cli import main
run = ["--config", "study.yaml", "--system", "H"]
assert main(["scf", *run, "--out", "scf.safetensors"]) == 0
start = ["--scf", "scf.safetensors", "--out", "start.safetensors"]
assert main(["pretrain", *run, *start]) == 0
files = ["--initial", "start.safetensors", "--out", "trained.safetensors"]
places = ["--checkpoint-dir", "checkpoints", "--history", "history.parquet"]
sys.exit(main(["train", *run, *files, *places, *sys.argv[1:]]))
"""


@pytest.mark.slow
def test_a_training_that_is_asked_to_stop_saves_and_says_so(environment, tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)
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
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "molecules").symlink_to(ROOT / "molecules")
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, "--time-limit-minutes", "0.5"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 75, done.stderr
    iteration, newest = list_checkpoints(tmp_path / "checkpoints")[0]
    sentence = f"may not fit the time limit of 0.5 minutes. Stopped at iteration {iteration} of"
    assert sentence in done.stderr
    assert load_arrays(newest)[1]["wall_s"] < 30.0
    assert not (tmp_path / "checkpoints" / "failed.json").exists()
