"""What SLURM would never take is told before anything is submitted; what may pass is not.

tests/slurm has the real one.
"""

import stat
from pathlib import Path

import pytest

from ferminet.slurm import Request, refusal

REQUEST = Request(
    partition="gpu", account="us", gpus=2, gpu_model="a100", memory_mb=4000, minutes=90
)


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
    assert refusal(REQUEST) is None
    assert kept.read_text().split() == [
        "--test-only", "--partition=gpu", "--account=us", "--gpus=a100:2", "--mem=4000",
        "--time=90", "--wrap=true",
    ]  # fmt: skip
    assert refusal(Request()) is None
    assert kept.read_text().split() == ["--test-only", "--wrap=true"]


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("sbatch: error: invalid partition specified: gpu", True),
        (
            "allocation failure: Requested time limit is invalid (missing or exceeds some limit)",
            True,
        ),
        ("allocation failure: Requested node configuration is not available", True),
        ("allocation failure: Required node not available (down, drained or reserved)", False),
        ("sbatch: error: Unable to contact slurm controller (connect failure)", False),
    ],
)
def test_what_may_pass_is_no_refusal(sbatch, said: str, refused: bool) -> None:
    sbatch(said, 1)
    reason = refusal(REQUEST)
    assert (reason is not None) == refused
    if reason is not None:
        assert reason.startswith("SLURM takes no job with --partition=gpu --account=us")
        assert reason.endswith(said.removeprefix("sbatch: error: "))


def test_without_slurm_nothing_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal(REQUEST) is None
