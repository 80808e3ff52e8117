"""What is added by one file and one line is computed by the workflow."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from ferminet.ansatz.base import AnsatzSpec, Nuclei, build_ansatz
from ferminet.benchmark.tables.formatting import DASH
from ferminet.cli.main import main
from ferminet.config import expand_runs, load_study
from tests.helpers.how_to import HOW_TO, code_blocks
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


@pytest.mark.slow
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


def line_of(table: Path, name: str) -> str:
    """Return the line of a Markdown table that begins with a name."""
    (line,) = (line for line in table.read_text().splitlines() if line.startswith(f"| {name} "))
    return line


def test_a_system_is_added_by_one_file_and_its_name(tmp_path: Path, monkeypatch) -> None:
    """As docs/how-to/add-a-system.md shows, from the molecule's file to the table."""
    page = (HOW_TO / "add-a-system.md").read_text()
    molecule = code_blocks("own-molecule.md", "yaml")[0]
    shutil.copytree(ROOT / "molecules", tmp_path / "molecules")
    monkeypatch.chdir(tmp_path)
    Path("molecules/HeH.yaml").write_text(molecule)
    # A curve of another element, from the file that the page names.
    (curve,) = re.findall(r"`molecules/(\w+)_curve\.yaml`", page)
    text = Path(f"molecules/{curve}_curve.yaml").read_text().replace("element: N", "element: H")
    Path("molecules/H2_curve.yaml").write_text(text.replace("name: N2_curve", "name: H2_curve"))
    Path("mine.yaml").write_text(
        "seeds: [1]\nsystems: [HeH, H2_curve]\nansatz: {}\n"
        "baselines: [{method: hf, basis: sto-3g, systems: [HeH]}]\n"
    )
    assert len(load_study("mine.yaml").resolved_systems["H2_curve"].geometries) > 30
    baseline = ["baseline", "--config", "mine.yaml", "--system", "HeH", "--geometry", "eq"]
    assert main([*baseline, "--method", "hf", "--basis", "sto-3g", "--out", "hf.parquet"]) == 0
    tables = ["tables", "--energies", "hf.parquet", "--out-dir", "tables"]
    assert main(tables) == 0
    without = line_of(Path("tables/molecules.md"), "HeH")
    assert "-2.9787" not in without
    (reference,) = code_blocks("add-a-system.md", "csv")
    Path("molecules/reference/mine.csv").write_text(reference)
    assert main(tables) == 0
    found = line_of(Path("tables/molecules.md"), "HeH")
    assert "-2.9787" in found and without.count(DASH) == found.count(DASH) + 1


def test_a_wavefunction_is_added_by_one_file_and_one_line(tmp_path: Path, monkeypatch) -> None:
    """As docs/how-to/add-a-wavefunction.md shows, with the example that it names."""
    (block,) = code_blocks("add-a-wavefunction.md", "yaml")
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "ferminet" / "ansatz" / "hydrogenic.py", "my_net.py")
    Path("mine.yaml").write_text(f"seeds: [1]\nsystems: [H]\n{block}")
    (run,) = expand_runs(load_study("mine.yaml"))
    assert run.ansatz_name == "my_net"
    # The ground state of hydrogen: log psi = -r.
    ansatz = build_ansatz(run.ansatz.build, {}, AnsatzSpec(1, 0, 1))
    nuclei = Nuclei(jnp.zeros((1, 3)), jnp.ones(1))
    psi = ansatz.apply(ansatz.init(jax.random.key(0), nuclei), jnp.array([[0.0, 0.0, 2.0]]), nuclei)
    assert psi.logabs == pytest.approx(-2.0)
