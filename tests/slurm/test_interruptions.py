"""Whatever ends the jobs on a real SLURM, the energies are those of a quiet run.

apt-get install --no-install-recommends slurmctld slurmd slurm-client munge slurmdbd mariadb-server
pytest --long tests/slurm
"""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.slurm.submitting import (
    STUDY,
    Head,
    assert_same,
    attempts,
    compute_here,
    needs_accounting,
    needs_slurm,
    preempt,
    processes,
    queue,
    records,
    snakemake,
    wait_for,
    wait_for_checkpoint,
    write_profile,
)

pytestmark = needs_slurm


@pytest.mark.long
def test_a_time_limit_that_is_too_short(disturbed, quiet: Path, tmp_path: Path) -> None:
    """Of a minute the start takes a part; the job's own foresight stops it, or the warning."""
    disturbed(minutes="1", warning="1").finishes()
    assert_same(quiet, tmp_path)
    assert attempts(tmp_path) > 1
    said = [file.read_text() for file in tmp_path.glob(".snakemake/slurm_logs/rule_train/*/*.log")]
    assert any("Stopped at iteration" in text for text in said)


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("--signal=USR1", "squeue"),
        ("--state=RUNNING", "squeue"),
        pytest.param("--state=RUNNING", "sacct", marks=needs_accounting),  # CANCELLED by 0
    ],
)
def test_warned_or_cancelled_by_hand(
    disturbed, quiet: Path, tmp_path: Path, how: str, status: str
) -> None:
    head = disturbed(status_command=f'"{status}"')
    number = wait_for_checkpoint(tmp_path)
    subprocess.run(["scancel", how, number], check=True)
    head.finishes()
    assert_same(quiet, tmp_path)
    assert attempts(tmp_path) == 2


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "rule", "restarts"),
    [
        ({}, "train", 1),  # requeued
        pytest.param({"status_command": '"sacct"'}, "train", 1, marks=needs_accounting),
        ({"pack": "2"}, "short", 1),  # the same in a job of several runs
        ({"gpu_partition": '"grace"'}, "train", 0),  # it saves after the warning, and is retried
    ],
)
def test_preempted(
    disturbed, quiet: Path, tmp_path: Path, changes, rule: str, restarts: int
) -> None:
    head = disturbed(**changes)
    number = wait_for_checkpoint(tmp_path, rule)
    preempt(number, rule)
    head.finishes()
    assert_same(quiet, tmp_path)
    assert attempts(tmp_path) == 2
    (record,) = (one for one in records() if one.get("JobId") == number)
    assert record["Restarts"] == str(restarts)  # whether SLURM brought it back, or Snakemake


@pytest.mark.long
@pytest.mark.parametrize("by_hand", [True, False])
def test_preempted_with_cancel(disturbed, quiet: Path, tmp_path: Path, by_hand: bool) -> None:
    """SLURM drops the job, which is put back by hand, or given up for another after minutes."""
    head = disturbed(gpu_partition='"cancel"')
    number = wait_for_checkpoint(tmp_path)
    preempt(number)
    wait_for(lambda: (number, "PREEMPTED", "train") in queue("--states=all"), "its end")
    if by_hand:
        subprocess.run(["scontrol", "requeue", number], check=True)
    head.finishes()
    assert_same(quiet, tmp_path)
    assert attempts(tmp_path) == 2


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
    # Which is refused where the node has come back by itself meanwhile.
    subprocess.run([*node, "state=resume"], check=False)
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
def test_the_head_is_killed_and_started_again(disturbed, quiet: Path, tmp_path: Path) -> None:
    head = disturbed()
    first = wait_for_checkpoint(tmp_path)
    head.killed()
    assert (first, "RUNNING", "train") in queue()  # jobs outlive their head
    subprocess.run(snakemake("--unlock"), cwd=tmp_path, check=True)
    disturbed().finishes()
    assert_same(quiet, tmp_path)
