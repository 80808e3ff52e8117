"""What is added by one file and one line is computed by the workflow."""

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.stand_in import ROOT, copy_project, job_counts, snakemake

TOYS = {
    "table": """
from ferminet.benchmark.tables.formatting import Shown, Table


def build(rows, references):
    return Table([{"rows": len(rows)}], ("rows",), [Shown("rows", "rows")])
""",
    "figure": """
from matplotlib.figure import Figure


def build(rows, references):
    return Figure()
""",
}


def test_a_table_and_a_figure_are_added_by_one_file_and_one_line(tmp_path: Path) -> None:
    copy_project(tmp_path)
    for kind, source in TOYS.items():
        folder = tmp_path / "ferminet" / "benchmark" / f"{kind}s"
        (folder / "toy.py").write_text(source)
        registry = (folder / "__init__.py").read_text()
        line = 'Entry("toy", "A toy", everything_sampled, f"{_HERE}.toy:build", "Its caption."),'
        head = f"{kind.upper()}S = ("
        assert head in registry
        (folder / "__init__.py").write_text(registry.replace(head, f"{head}\n    {line}"))
    study = tmp_path / "workflow" / "config" / "desktop.yaml"
    names = ["table_toy", "figure_toy"]
    text = snakemake(tmp_path, "--dry-run", *names, study=str(study), root=tmp_path)
    assert {job for job in job_counts(text) if "toy" in job} == set(names)
    energies = ROOT / "results" / "published" / "desktop" / "energies.parquet"
    for command in (
        ["tables", "--only", "table_toy"],
        ["figures", "--only", "figure_toy", "--config", study],
    ):
        subprocess.run(
            [*(sys.executable, "-m", "ferminet"), *map(str, command),
             *("--energies", str(energies), "--out-dir", "made")],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True,
        )  # fmt: skip
    assert "**A toy**" in (tmp_path / "made" / "toy.md").read_text()
    assert (tmp_path / "made" / "toy.png").exists()
