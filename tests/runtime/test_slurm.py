"""What SLURM would never take is told before anything is submitted; what may pass is not.

tests/slurm has the real one.
"""

import asyncio
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from ferminet.runtime.slurm import (
    LOST_S,
    in_the_queue,
    longest_of_each_kind,
    refusal,
    submission,
    told_apart,
)

COMMAND = "-A us -p 'two words' -t 90 --mem 4000 --gpus=a100:2"


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a program in the place of SLURM's that keeps its arguments, says something and ends."""

    def make(said: str, code: int) -> Path:
        file = tmp_path / "sbatch"
        kept = tmp_path / "arguments"
        file.write_text(f"#!/bin/sh\necho $* > {kept}\necho '{said}' >&2\nexit {code}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return kept

    monkeypatch.setenv("PATH", str(tmp_path))
    return make


def test_the_question(sbatch) -> None:
    kept = sbatch("sbatch: Job 1 to start at 2026-01-31T12:00:00", 0)
    assert refusal(COMMAND) is None
    assert kept.read_text().split() == [
        "--test-only", "-A", "us", "-p", "two", "words", "-t", "90", "--mem", "4000",
        "--gpus=a100:2", "--wrap=true",
    ]  # fmt: skip


class Resources(dict):
    """As Snakemake gives them to the plug-in."""

    __getattr__ = dict.__getitem__


def test_the_question_is_what_the_plug_in_submits() -> None:
    job = SimpleNamespace(
        resources=Resources(
            slurm_account="us,them", slurm_partition="gpu", runtime=90, mem_mb=4000, gpu=2,
            gpu_model="a100", nodes=1, constraint="ib", threads=1, slurm_extra="--signal=USR1@300",
        ),
        threads=1,
        is_group=lambda: False,
    )  # fmt: skip
    settings = SimpleNamespace(requeue=True, no_requeue=False, qos="long", reservation=None)
    pytest.importorskip("snakemake_executor_plugin_slurm")
    asked = submission(job, settings)
    assert asked.startswith("-A us -p gpu -t 90 -C ib --mem 4000 --nodes=1 --requeue --qos=long")
    assert "--gpus=a100:2" in asked
    assert "--signal=USR1@300" in asked
    assert "question" not in asked and "--parsable" not in asked


def test_of_one_kind_the_longest_is_asked_for() -> None:
    commands = ["-p a -t 30 --mem 1", "-p a -t 90 --mem 1", "-p a -t 60 --mem 2", "-p b"]
    found = longest_of_each_kind(commands)
    assert found == ["-p a -t 90 --mem 1", "-p a -t 60 --mem 2", "-p b"]


def test_states_are_one_word() -> None:
    async def query(command, logger):
        return {"1": "CANCELLED by 1000", "2": "RUNNING", "3": ""}, 0.5

    async def nothing(command, logger):
        return None, None

    states = asyncio.run(told_apart(query)("", None))
    assert states == ({"1": "CANCELLED", "2": "RUNNING", "3": ""}, 0.5)
    assert asyncio.run(told_apart(nothing)("", None)) == (None, None)


def test_what_stays_preempted_was_dropped() -> None:
    now, state, jobs = 100.0, "PREEMPTED", ["1"]

    async def query(command, logger):
        return dict.fromkeys(jobs, state), 0.5

    asked = told_apart(query, lambda: now)

    def answer() -> str:
        found, _ = asyncio.run(asked("", None))
        assert found is not None
        return found["1"]

    assert answer() == "PREEMPTED"
    now += LOST_S
    assert answer() == "PREEMPTED"
    now += 1.0
    assert answer() == "CANCELLED"
    # ``squeue`` has forgotten it.
    jobs = []
    assert answer() == "CANCELLED"
    # Put back meanwhile, and preempted once more: it is waited for anew.
    jobs = ["1"]
    state = "PENDING"
    assert answer() == "PENDING"
    state = "PREEMPTED"
    assert answer() == "PREEMPTED"


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("sbatch: error: invalid partition specified: gpu", True),
        (
            "allocation failure: Requested time limit is invalid (missing or exceeds some limit)",
            True,
        ),
        ("allocation failure: Requested node configuration is not available", True),
        ("allocation failure: Memory specification can not be satisfied", True),
        ("allocation failure: Required node not available (down, drained or reserved)", False),
        ("sbatch: error: Unable to contact slurm controller (connect failure)", False),
    ],
)
def test_what_may_pass_is_no_refusal(sbatch, said: str, refused: bool) -> None:
    sbatch(said, 1)
    reason = refusal(COMMAND)
    assert (reason is not None) == refused
    if reason is not None:
        assert reason.startswith(f"SLURM takes no job with {COMMAND}: ")
        assert reason.endswith(said.removeprefix("sbatch: error: "))


def test_without_slurm_nothing_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal(COMMAND) is None


@pytest.mark.parametrize(
    ("code", "out", "err", "there"),
    [
        (0, "RUNNING\n", "", True),
        (0, "", "", False),
        (1, "", "slurm_load_jobs error: Invalid job id specified", False),
        (1, "", "Unable to contact slurm controller", True),
    ],
)
def test_the_queue(tmp_path: Path, monkeypatch, code, out, err, there) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\nprintf '{out}'\necho '{err}' >&2\nexit {code}\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert in_the_queue("5") is there
