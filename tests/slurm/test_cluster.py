"""The workflow on a real SLURM: whatever ends its jobs, the energies are those of a quiet run.

apt-get install --no-install-recommends slurmctld slurmd slurm-client munge
pytest --long tests/slurm
"""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ferminet.checkpoint import list_checkpoints, load_arrays, read_header
from ferminet.failures import read_failure
from tests.slurm.local_cluster import local_cluster, why_not

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "workflow" / "profiles" / "slurm" / "profile.v9+.yaml"
# Long enough to be disturbed wherever the tests run: twice what a time limit of a minute holds.
TRAINING_S = 100.0
PATIENCE_S = 900.0

STUDY = """\
seeds: [1]
systems: [He]
ansatz:
  ferminet:
    options: {layers: 1, one_electron_width: 4, two_electron_width: 2, determinants: 1}
scf: {basis: sto-3g}
pretrain: {iterations: 0}
sampler: {walkers: 256, decorrelation_steps: 10, burn_in: 10}
optimizer: {name: adam, learning_rate: 0.001}
train: {iterations: 500, checkpoint_interval: 100}
evaluate: {iterations: 100, decorrelation_steps: 5, burn_in: 10}
"""
ENERGIES = "results/study/energies.parquet"


def missing() -> str | None:
    """Why the tests cannot run here."""
    try:
        import snakemake_executor_plugin_slurm  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        return "snakemake-executor-plugin-slurm is not installed"
    return why_not()


pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    # The path of munge's socket has to be short.
    with tempfile.TemporaryDirectory(prefix="slurm", dir="/tmp") as folder:
        with local_cluster(Path(folder)):
            yield
            subprocess.run(["scancel", "--user=root"], check=False)
            wait_for(lambda: not queue(), "the queue to be empty")


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """Two seeds of a short training, computed without a cluster."""
    folder = tmp_path_factory.mktemp("short")
    (folder / "study.yaml").write_text(STUDY.replace("seeds: [1]", "seeds: [1, 2]"))
    compute_here(folder, environment)
    return folder


@pytest.fixture(scope="module")
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


@pytest.mark.slow
def test_a_job_is_submitted(tmp_path: Path, cluster: None, environment: dict[str, str]) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    write_profile(tmp_path)
    target = "results/study/scf/He/eq/sto-3g.safetensors"
    Head(tmp_path, environment, target).finishes()
    assert (tmp_path / target).exists()


@pytest.mark.long
def test_gpu_jobs_ask_for_a_gpu_and_have_it_alone(
    short: Path, tmp_path: Path, cluster: None, environment: dict[str, str]
) -> None:
    shutil.copy(short / "study.yaml", tmp_path)
    write_profile(tmp_path)
    before = {record["JobId"] for record in records() if "JobId" in record}
    Head(tmp_path, environment).finishes()
    assert_same(short, tmp_path)
    ours = [record for record in records() if record.get("JobId", "none") not in before | {"none"}]
    rules = [record["Comment"].split("_")[1] for record in ours]
    assert sorted(rules) == sorted(["scf", *2 * ["pretrain", "train", "evaluate"], "collect"])
    spans = []
    for rule, record in zip(rules, ours, strict=True):
        with_gpu = rule in ("pretrain", "train", "evaluate")
        assert ("gpu:1" in record.get("TresPerJob", "")) == with_gpu, record
        assert record["Partition"] == ("gpu" if with_gpu else "cpu")
        if with_gpu:
            spans.append((record["StartTime"], record["EndTime"]))
    spans.sort()
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end <= start


@pytest.mark.long
def test_all_jobs_are_submitted_at_once(
    tmp_path: Path, cluster: None, environment: dict[str, str]
) -> None:
    """How many run is the scheduler's business, not the limit of one's own machine."""
    (tmp_path / "study.yaml").write_text(STUDY.replace("seeds: [1]", "seeds: [1, 2, 3, 4]"))
    write_profile(tmp_path)
    head = Head(tmp_path, environment)
    waiting = ("pretrain", "train")
    wait_for(lambda: sum(rule in waiting for *_, rule in queue()) == 4, "four jobs at once")
    head.killed()
    subprocess.run(["scancel", "--user=root"], check=True)
    wait_for(lambda: not queue(), "the queue to be empty")


@pytest.mark.long
def test_a_time_limit_that_is_too_short(disturbed, quiet: Path, tmp_path: Path) -> None:
    """Of a minute the start takes a part; the job's own foresight stops it, or the warning."""
    disturbed(minutes="1", warning="1").finishes()
    assert_same(quiet, tmp_path)
    assert attempts(tmp_path) > 1
    said = [file.read_text() for file in tmp_path.glob(".snakemake/slurm_logs/rule_train/*/*.log")]
    assert any("Stopped at iteration" in text for text in said)


@pytest.mark.long
@pytest.mark.parametrize("how", ["--signal=USR1", "--state=RUNNING"])
def test_warned_or_cancelled_by_hand(disturbed, quiet: Path, tmp_path: Path, how: str) -> None:
    head = disturbed()
    number = wait_for_checkpoint(tmp_path)
    subprocess.run(["scancel", how, number], check=True)
    head.finishes()
    assert_same(quiet, tmp_path)
    assert attempts(tmp_path) == 2


@pytest.mark.long
def test_preempted_and_requeued(disturbed, quiet: Path, tmp_path: Path) -> None:
    head = disturbed()
    number = wait_for_checkpoint(tmp_path)
    preempt(number)
    head.finishes()
    assert_same(quiet, tmp_path)
    assert attempts(tmp_path) == 2
    (record,) = (one for one in records() if one.get("JobId") == number)
    assert record["Restarts"] == "1"  # SLURM brought it back, and not Snakemake


@pytest.mark.long
def test_the_evaluation_is_cancelled_by_hand(
    tmp_path: Path, cluster: None, environment: dict[str, str]
) -> None:
    study = STUDY.replace("iterations: 100, ", "iterations: 20000, ")
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "study.yaml").write_text(study)
    compute_here(here, environment)
    write_profile(there)
    head = Head(there, environment)
    number = wait_for_checkpoint(there, "evaluate")
    subprocess.run(["scancel", "--state=RUNNING", number], check=True)
    head.finishes()
    assert_same(here, there)
    said = list(there.glob(".snakemake/slurm_logs/rule_evaluate/*/*.log"))
    assert any("Stopped after" in file.read_text() for file in said)


@pytest.mark.long
def test_the_node_fails(disturbed, quiet: Path, tmp_path: Path) -> None:
    """All processes of the job are gone at once, and SLURM hears that the node is down."""
    head = disturbed()
    number = wait_for_checkpoint(tmp_path)
    for process in processes(number):
        os.kill(process, signal.SIGKILL)
    node = ["scontrol", "update", "nodename=localhost"]
    subprocess.run([*node, "state=down", "reason=test"], check=True)
    wait_for(lambda: (number, "PENDING", "train") in queue(), "the job to be put back")
    subprocess.run([*node, "state=resume"], check=True)
    head.finishes()
    assert_same(quiet, tmp_path)
    assert attempts(tmp_path) == 2


@pytest.mark.long
def test_memory_runs_out(disturbed, quiet: Path, tmp_path: Path) -> None:
    """The first attempt is given less than it needs."""
    head = disturbed(train_mb="300 if attempt == 1 else 4000")
    head.finishes()
    assert_same(quiet, tmp_path)
    said = "".join(
        file.read_text() for file in tmp_path.glob(".snakemake/slurm_logs/rule_train/*/*")
    )
    assert "memory limit" in said, said[-3000:]


@pytest.mark.long
def test_short_runs_share_a_job(
    short: Path, tmp_path: Path, cluster: None, environment: dict[str, str]
) -> None:
    shutil.copy(short / "study.yaml", tmp_path)
    write_profile(tmp_path, pack="2")
    before = {record.get("JobId") for record in records()}
    Head(tmp_path, environment).finishes()
    assert_same(short, tmp_path)
    ours = [record for record in records() if record.get("JobId") not in before]
    assert sorted(
        record["Comment"] for record in ours if "rule_short_runs" in record["Comment"]
    ) == ["rule_short_runs_evaluate_pretrain_train"]
    assert len(ours) == 3  # and Hartree-Fock and the table
    (record,) = (one for one in ours if "short_runs" in one["Comment"])
    assert "gpu:1" in record["TresPerJob"] and record["Partition"] == "gpu"
    assert record["TimeLimit"] == "01:00:00"  # six stages of ten minutes


@pytest.mark.long
def test_a_job_of_short_runs_is_preempted(disturbed, quiet: Path, tmp_path: Path) -> None:
    head = disturbed(pack="2")
    number = wait_for_checkpoint(tmp_path, "short")
    preempt(number, "short")
    head.finishes()
    assert_same(quiet, tmp_path)
    assert attempts(tmp_path) == 2


@pytest.mark.long
def test_one_of_the_runs_that_share_a_job_cannot_be_helped(
    short: Path, tmp_path: Path, cluster: None, environment: dict[str, str]
) -> None:
    """The others end, and are not computed again when it is mended."""
    small = re.search(r"    options: .*\n", STUDY)
    assert small is not None
    bad = f"  bad:\n{small[0]}    build: ferminet.ansatz.ferminet:build\n"
    bad += "    settings: {optimizer: {learning_rate: 1.0e+30}}\n"
    (tmp_path / "study.yaml").write_text(STUDY.replace("scf:", bad + "scf:"))
    write_profile(tmp_path, pack="2")
    head = Head(tmp_path, environment, "--retries=1", ENERGIES)
    assert head.process.wait(timeout=PATIENCE_S) == 1, head.said.read_text()[-4000:]
    (energy,) = tmp_path.glob("results/study/runs/He/eq/*/seed1/energy.parquet")
    before = energy.read_bytes(), energy.stat().st_mtime
    mended = bad.replace("1.0e+30", "0.002")
    (tmp_path / "study.yaml").write_text(STUDY.replace("scf:", mended + "scf:"))
    Head(tmp_path, environment).finishes()
    assert (energy.read_bytes(), energy.stat().st_mtime) == before
    rows = pd.read_parquet(tmp_path / ENERGIES)
    alone = pd.read_parquet(short / ENERGIES)
    assert sorted(rows.ansatz) == ["bad", "ferminet"] and rows.energy.notna().all()
    assert rows.energy[rows.ansatz == "ferminet"].item() == alone.energy[alone.seed == 1].item()


@pytest.mark.long
def test_preempted_with_cancel_and_put_back_by_hand(disturbed, quiet: Path, tmp_path: Path) -> None:
    """The head would wait for ever; docs/slurm.md tells this way out."""
    head = disturbed(gpu_partition='"cancel"')
    number = wait_for_checkpoint(tmp_path)
    preempt(number)
    wait_for(lambda: (number, "PREEMPTED", "train") in queue("--states=all"), "its end")
    subprocess.run(["scontrol", "requeue", number], check=True)
    head.finishes()
    assert_same(quiet, tmp_path)
    assert attempts(tmp_path) == 2


@pytest.mark.long
def test_preempted_after_a_time_of_grace(disturbed, quiet: Path, tmp_path: Path) -> None:
    """It saves when it is told, and Snakemake tries again."""
    head = disturbed(gpu_partition='"grace"')
    number = wait_for_checkpoint(tmp_path)
    preempt(number)
    head.finishes()
    assert_same(quiet, tmp_path)
    assert attempts(tmp_path) == 2


@pytest.mark.long
def test_what_cannot_be_resumed_is_computed_once(
    tmp_path: Path, cluster: None, environment: dict[str, str]
) -> None:
    """Retries end at once; the note survives Snakemake, which deletes what failed jobs made."""
    (tmp_path / "study.yaml").write_text(STUDY.replace("rate: 0.001", "rate: 1.0e+30"))
    write_profile(tmp_path)
    head = Head(tmp_path, environment, "--retries=2", ENERGIES)
    assert head.process.wait(timeout=PATIENCE_S) == 1, head.said.read_text()[-4000:]
    files = tmp_path.glob(".snakemake/slurm_logs/rule_train/*/*.log")
    files = sorted(files, key=lambda file: int(file.stem))
    said = [file.read_text() for file in files]
    assert [text.count("(So it ended on") for text in said] == [0, 1, 1]
    place = checkpoints(tmp_path)
    assert place is not None
    note = read_failure(place)
    assert note is not None and note.exit_code == 3
    assert all(note.sentence in text for text in said)


@pytest.mark.long
def test_the_head_is_killed_and_started_again(disturbed, quiet: Path, tmp_path: Path) -> None:
    head = disturbed()
    first = wait_for_checkpoint(tmp_path)
    head.killed()
    assert (first, "RUNNING", "train") in queue()  # jobs outlive their head
    subprocess.run(snakemake("--unlock"), cwd=tmp_path, check=True)
    disturbed().finishes()
    assert_same(quiet, tmp_path)
