"""What the profiles say, filled in and not; that it works is tested in tests/slurm."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
import yte

from tests.helpers.stand_in import snakemake

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "profiles"  # where Snakemake finds them
GPU_RULES = {"pretrain", "train", "evaluate", "density", "inspect"}
RULES = [path.read_text() for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))]


def profile(name: str, **filled_in: str) -> dict[str, Any]:
    text = (PROFILES / name / "profile.v9+.yaml").read_text()
    for line, value in filled_in.items():
        text, count = re.subn(rf"(?m)^  - {line} = \S+", f"  - {line} = {value}", text)
        assert count == 1, line
    content = yte.process_yaml(io.StringIO(text), require_use_yte=True)
    assert isinstance(content, dict)
    return content


def test_the_cluster_as_it_comes() -> None:
    slurm = profile("slurm")
    assert slurm["executor"] == "slurm"
    assert slurm["retries"] >= 10 and slurm["slurm-requeue"] is True
    assert not [key for key in slurm if "array" in key]
    assert set(slurm["default-resources"]) == {"mem_mb", "runtime"}
    signal = {"slurm_extra": "'--signal=USR1@300'"}
    assert slurm["set-resources"] == {
        "baseline": signal,
        **{rule: {"gpu": 1, **signal} for rule in GPU_RULES},
    }
    # Runs that share a job take turns on its GPU; the whole cluster has as many as it has.
    assert slurm["group-components"] == "short_runs=4"
    assert slurm["resources"] == {"gpu": 1} and slurm["set-resource-scopes"] == {"gpu": "local"}


def test_the_cluster_filled_in() -> None:
    slurm = profile(
        "slurm",
        account='"chemistry"',
        partition='"short"',
        gpu_partition='"gpus"',
        gpu_model='"a100"',
        warning="600",
        minutes="240",
        gpus="4",
        pack="0",
        status_command='"squeue"',
    )
    assert "group-components" not in slurm and slurm["resources"] == {"gpu": 4}
    assert slurm["default-resources"]["slurm_account"] == "'chemistry'"
    assert slurm["default-resources"]["slurm_partition"] == "'short'"
    assert slurm["slurm-status-command"] == "squeue"
    resources = slurm["set-resources"]
    assert {rule for rule, one in resources.items() if "gpu_model" in one} == GPU_RULES
    assert {rule for rule, one in resources.items() if "slurm_partition" in one} == GPU_RULES
    assert resources["evaluate"] == resources["train"]
    assert resources["train"] == {
        "gpu": 4,
        "slurm_extra": "'--signal=USR1@600'",
        "runtime": 240,
        "slurm_partition": "'gpus'",
        "gpu_model": "'a100'",
        "nodes": 1,
    }
    assert resources["baseline"] == {"slurm_extra": "'--signal=USR1@600'"}


def test_what_both_profiles_say() -> None:
    slurm, default = profile("slurm"), profile("default")
    assert {key: slurm[key] for key in default} == default


def test_retries_are_in_the_profile_of_the_cluster_alone() -> None:
    """A rule's would multiply, and on one's own machine nothing that fails is mended by itself."""
    assert "retries" not in profile("default")
    assert not any(re.search(r"(?m)^\s+retries:", text) for text in RULES)


def test_the_jobs_that_need_a_gpu() -> None:
    rules = re.findall(r"(?ms)^rule (\w+):(.*?)(?=^rule |\Z)", "\n".join(RULES))
    assert {name for name, text in rules if re.search(r"(?m)^\s+gpu=1,$", text)} == GPU_RULES


@pytest.mark.parametrize(("mode", "limited"), [("default", 0), ("remote", 2)])
def test_only_jobs_of_a_scheduler_have_a_limit(tmp_path: Path, mode: str, limited: int) -> None:
    (tmp_path / "study.yaml").write_text("seeds: [1]\nsystems: [He]\n")
    target = "results/study/energies.parquet"
    text = snakemake(tmp_path, "--dry-run", "--printshellcmds", "--mode", mode, target)
    commands = re.findall(r"ferminet (?:pretrain|train|evaluate) .*", text)
    assert len(commands) == 3
    assert sum(" --time-limit-minutes 1440" in command for command in commands) == limited


def test_what_is_killed_for_its_memory_is_given_more() -> None:
    """No rule asks for the same memory in each attempt."""
    asked = [found for text in RULES for found in re.findall(r" mem_mb=(.*)", text)]
    assert len(asked) > 10
    functions = ("more_memory(", "run_memory(", "baseline_memory,")
    assert [one for one in asked if not one.startswith(functions)] == []
    definitions = "".join(text for text in RULES if "def more_memory(" in text)
    assert definitions.count("raised(attempt) *") >= len(functions)
