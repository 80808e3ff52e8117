"""What is submitted to a real SLURM: which jobs, with what, and what of those that cannot succeed.

apt-get install --no-install-recommends slurmctld slurmd slurm-client munge slurmdbd mariadb-server
pytest --long tests/slurm
"""

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from ferminet.stages.failures import read_failure
from tests.slurm.submitting import (
    ENERGIES,
    PATIENCE_S,
    STUDY,
    Head,
    assert_same,
    checkpoints,
    needs_slurm,
    queue,
    records,
    wait_for,
    write_profile,
)

pytestmark = needs_slurm


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
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gpu_partition": '"gpuu"'}, "SLURM accepts no job with -p gpuu"),
        ({"gpu_model": '"a900"'}, "--gpus=a900:1"),
        ({"gpu_model": '"a100-sxm4"'}, "Invalid GPU model format: a100-sxm4"),
        ({"minutes": "2"}, "The warning comes 300 s before the end of a job's 2 minutes"),
    ],
)
def test_submission_errors_are_reported_before_anything_is_submitted(
    tmp_path: Path, cluster: None, environment: dict[str, str], changes, words: str
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    write_profile(tmp_path, **changes)
    head = Head(tmp_path, environment)
    assert head.process.wait(timeout=120.0) == 1
    said = head.said.read_text()
    assert words in said and "docs/how-to/slurm.md" in said
    assert "Traceback" not in said and "submitted" not in said and not queue()


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
    assert [text.count("(This failure dates from") for text in said] == [0, 1, 1]
    place = checkpoints(tmp_path)
    assert place is not None
    note = read_failure(place)
    assert note is not None and note.exit_code == 3
    assert all(note.sentence in text for text in said)
