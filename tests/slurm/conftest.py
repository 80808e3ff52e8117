"""One cluster and two undisturbed runs for all tests."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ferminet.runtime.checkpoint import list_checkpoints, read_header
from tests.slurm.local_cluster import local_cluster, why_not
from tests.slurm.submitting import (
    ROOT,
    STUDY,
    TRAINING_S,
    Head,
    checkpoints,
    compute_here,
    queue,
    wait_for,
    write_profile,
)


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    reason = why_not()  # since the tests were collected another one may have been started
    if reason is not None:
        pytest.skip(reason)
    # The path of munge's socket has to be short.
    with tempfile.TemporaryDirectory(prefix="slurm", dir="/tmp") as folder:
        with local_cluster(Path(folder)):
            yield
            subprocess.run(["scancel", "--user=root"], check=False)
            wait_for(lambda: not queue(), "the queue to be empty")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of all processes: this very package, compiled programs in common, a CPU."""
    kept = {k: v for k, v in os.environ.items() if k not in ("NPROC", "OMP_NUM_THREADS")}
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return kept | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
    }


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """Two seeds of a short training, computed without a cluster."""
    folder = tmp_path_factory.mktemp("short")
    (folder / "study.yaml").write_text(STUDY.replace("seeds: [1]", "seeds: [1, 2]"))
    compute_here(folder, environment)
    return folder


@pytest.fixture(scope="session")
def quiet(
    short: Path, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Path:
    """A training that lasts a while on this machine, computed without a cluster or disturbance."""
    place = checkpoints(short)
    assert place is not None
    # Between the last two checkpoints, without the start.
    saved = [(number, read_header(path)) for number, path in list_checkpoints(place)]
    (after, later), (before, earlier) = saved
    assert later is not None and earlier is not None
    iterations = round(TRAINING_S * (after - before) / (later["wall_s"] - earlier["wall_s"]))
    folder = tmp_path_factory.mktemp("quiet")
    study = STUDY.replace("iterations: 500", f"iterations: {iterations}")
    (folder / "study.yaml").write_text(study)
    compute_here(folder, environment)
    return folder


@pytest.fixture
def disturbed(
    quiet: Path, tmp_path: Path, cluster: None, environment: dict[str, str]
) -> Iterator[Callable[..., Head]]:
    """Starts the quiet run's study on the cluster, and compares in the end."""
    shutil.copy(quiet / "study.yaml", tmp_path)
    heads: list[Head] = []

    def start(**changes: str) -> Head:
        write_profile(tmp_path, **changes)
        heads.append(Head(tmp_path, environment))
        return heads[-1]

    yield start
    for head in heads:
        if head.process.poll() is None:
            head.killed()
