"""The graphs of the project's own studies: which jobs each of them has."""

import re
from pathlib import Path

import pytest

from tests.helpers.stand_in import ROOT, job_counts, snakemake

# What the message of each job of a run says, here of its time limit.
PREDICTED = (
    r"(?:Pretraining|Training|Evaluating) .*: predicted (?:[\d.e+-]+ core-hours or )?[\d.e+-]+ "
    r"A100-hours, projected, unmeasured; allowed (\d+) minutes"
)


@pytest.mark.parametrize(
    ("name", "runs", "trainings", "baselines", "tables"),
    [
        ("smoke", 4, 4, 6, {"atoms", "molecules", "h4"}),
        ("quickstart", 10, 6, 20, {"atoms", "molecules", "h4", "h4_parallelity"}),
        (
            "paper",
            93,
            93,
            283,
            {"atoms", "molecules", "h4", "h10_derived", "n2", "limits", "ionisation"},
        ),
        ("h4-shared", 9, 1, 0, {"h4", "h4_parallelity", "h4_derived"}),
        ("sharing", 18, 10, 0, {"h4", "h4_parallelity", "h4_derived"}),
        ("ionisation", 15, 15, 55, {"atoms", "ionisation", "limits"}),
        ("desktop", 35, 18, 92, {"atoms", "molecules", "h4", "h10", "paper", "runs"}),
        ("limits", 0, 0, 64, {"atoms", "molecules", "limits"}),
        ("curves", 0, 0, 119, {"h4", "h10", "n2"}),
    ],
)
def test_the_studies(
    tmp_path: Path, name: str, runs: int, trainings: int, baselines: int, tables: set[str]
) -> None:
    study = str(ROOT / "workflow" / "config" / f"{name}.yaml")
    text = snakemake(tmp_path, "--dry-run", study=study)
    counts = job_counts(text)
    named = re.findall(PREDICTED, text)
    assert len(named) == 2 * trainings + runs
    # Half an hour at least, but for the stages of runs that are over within one.
    assert all(int(minutes) >= (30 if name == "paper" else 10) for minutes in named)
    rules = ("scf", "pretrain", "train", "evaluate")
    assert [counts.get(rule, 0) for rule in rules] == [trainings] * 3 + [runs]
    assert bool(counts.get("split")) == (trainings < runs)
    assert counts.get("baseline", 0) == baselines
    assert counts["collect"] == counts["report"] == counts["all"] == 1
    assert all(counts[f"table_{table}"] == 1 for table in tables)


def test_names_of_ions_survive(tmp_path: Path) -> None:
    study = str(ROOT / "workflow" / "config" / "ionisation.yaml")
    target = "results/ionisation/scf/Li-/eq/cc-pvdz.safetensors"
    text = snakemake(
        tmp_path, "--dry-run", "--printshellcmds", target, "table_ionisation", study=study
    )
    assert f"--system Li- --geometry eq --out {target}" in text
    for name in ("H-", "He+", "Be+", "C+", "C-"):
        assert re.search(rf"ferminet evaluate .*--system {re.escape(name)} --geometry eq", text)
        assert f"results/ionisation/baselines/{name}/eq/limit-small.parquet" in text
    jobs = job_counts(text)
    assert jobs["table_ionisation"] == 1 and "table_molecules" not in jobs


def test_the_default_is_quickstart() -> None:
    text = snakemake(ROOT, "--dry-run", "--forceall", "--quiet", "rules", study="")
    assert job_counts(text)["train"] == 6
    assert "profiles/default" in text


def test_ablations_share_orbitals_and_have_figures_of_their_own(tmp_path: Path) -> None:
    study = str(ROOT / "workflow" / "config" / "ablations.yaml")
    counts = job_counts(snakemake(tmp_path, "--dry-run", study=study))
    assert counts["scf"] == 1
    assert counts["pretrain"] == counts["train"] == counts["evaluate"] == 11 * 2
    figures = ("determinants", "width", "optimisers", "cost", "training")
    assert all(counts[f"figure_{figure}"] == 1 for figure in figures)


def test_a_table_needs_its_own_systems_only(tmp_path: Path) -> None:
    study = str(ROOT / "workflow" / "config" / "quickstart.yaml")
    jobs = job_counts(snakemake(tmp_path, "--dry-run", "table_atoms", "figure_h4", study=study))
    assert jobs["train"] == 4 + 1 and jobs["split"] == 5
    assert jobs["collect_atoms"] == jobs["collect_h4"] == 1
    assert "collect" not in jobs
    assert not [job for job in jobs if job.startswith("table_") and job != "table_atoms"]


def test_targets(tmp_path: Path) -> None:
    study = str(ROOT / "workflow" / "config" / "smoke.yaml")
    targets = ["table_atoms", "table_h4", "figure_h4", "figure_training"]
    jobs = job_counts(snakemake(tmp_path, "--dry-run", *targets, study=study))
    assert {job for job in jobs if job.startswith(("table_", "figure_"))} == set(targets)
    assert "report" not in jobs


def test_lint() -> None:
    assert "in a good condition" in snakemake(ROOT, "--lint", study="")
