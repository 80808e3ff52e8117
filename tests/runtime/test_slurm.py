"""What SLURM would never accept is reported before submission; what may pass is not.

The tests in tests/slurm use a real SLURM.
"""

import asyncio
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from ferminet.runtime.slurm import (
    LOST_S,
    is_queued,
    longest_of_each_kind,
    normalise_job_states,
    submission,
    submission_error,
)

COMMAND = "-A us -p 'two words' -t 90 --mem 4000 --gpus=a100:2"


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Replace `sbatch` by a program that keeps its arguments, prints an error and exits."""

    def make(answer_text: str, code: int) -> Path:
        file = tmp_path / "sbatch"
        kept = tmp_path / "arguments"
        file.write_text(f"#!/bin/sh\necho $* > {kept}\necho '{answer_text}' >&2\nexit {code}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return kept

    monkeypatch.setenv("PATH", str(tmp_path))
    return make


def test_sbatch_only_tests_the_submission(sbatch) -> None:
    kept = sbatch("sbatch: Job 1 to start at 2026-01-31T12:00:00", 0)
    assert submission_error(COMMAND) is None
    assert kept.read_text().split() == [
        "--test-only", "-A", "us", "-p", "two", "words", "-t", "90", "--mem", "4000",
        "--gpus=a100:2", "--wrap=true",
    ]  # fmt: skip


class Resources(dict):
    """Resources as Snakemake gives them to the plug-in."""

    __getattr__ = dict.__getitem__


def test_the_options_are_those_that_the_plug_in_submits() -> None:
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


def test_only_the_longest_of_each_kind_is_kept() -> None:
    commands = ["-p a -t 30 --mem 1", "-p a -t 90 --mem 1", "-p a -t 60 --mem 2", "-p b"]
    found = longest_of_each_kind(commands)
    assert found == ["-p a -t 90 --mem 1", "-p a -t 60 --mem 2", "-p b"]


def test_states_are_one_word() -> None:
    async def query(command, logger):
        return {"1": "CANCELLED by 1000", "2": "RUNNING", "3": ""}, 0.5

    async def nothing(command, logger):
        return None, None

    states = asyncio.run(normalise_job_states(query)("", None))
    assert states == ({"1": "CANCELLED", "2": "RUNNING", "3": ""}, 0.5)
    assert asyncio.run(normalise_job_states(nothing)("", None)) == (None, None)


def test_a_job_that_stays_preempted_was_cancelled() -> None:
    now, state, jobs = 100.0, "PREEMPTED", ["1"]

    async def query(command, logger):
        return dict.fromkeys(jobs, state), 0.5

    asked = normalise_job_states(query, lambda: now)

    def answer() -> str:
        found, _ = asyncio.run(asked("", None))
        assert found is not None
        return found["1"]

    assert answer() == "PREEMPTED"
    now += LOST_S
    assert answer() == "PREEMPTED"
    now += 1.0
    assert answer() == "CANCELLED"
    # `squeue` has forgotten it.
    jobs = []
    assert answer() == "CANCELLED"
    # Requeued meanwhile and preempted once more: it is waited for again.
    jobs = ["1"]
    state = "PENDING"
    assert answer() == "PENDING"
    state = "PREEMPTED"
    assert answer() == "PREEMPTED"


@pytest.mark.parametrize(
    ("answer_text", "refused"),
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
def test_errors_that_may_pass_are_not_reported(sbatch, answer_text: str, refused: bool) -> None:
    sbatch(answer_text, 1)
    reason = submission_error(COMMAND)
    assert (reason is not None) == refused
    if reason is not None:
        assert reason.startswith(f"SLURM accepts no job with {COMMAND}: ")
        assert reason.endswith(answer_text.removeprefix("sbatch: error: "))


def test_without_slurm_there_is_no_submission_error(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert submission_error(COMMAND) is None


@pytest.mark.parametrize(
    ("code", "out", "err", "there"),
    [
        (0, "RUNNING\n", "", True),
        (0, "", "", False),
        (1, "", "slurm_load_jobs error: Invalid job id specified", False),
        (1, "", "Unable to contact slurm controller", True),
    ],
)
def test_a_job_counts_as_queued_unless_slurm_denies_it(
    tmp_path: Path, monkeypatch, code, out, err, there
) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\nprintf '{out}'\necho '{err}' >&2\nexit {code}\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert is_queued("5") is there
