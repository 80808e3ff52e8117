"""The registry of conventional methods: its entries hold, and one more is one file and one line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

from ferminet.benchmark.figures.style import PALETTE
from ferminet.methods import ENERGY_LABELS, METHODS, SCF_REFERENCES, load_function
from tests.helpers.how_to import code_blocks

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", METHODS)
def test_every_entry_names_functions_and_a_look_that_exist(name):
    entry = METHODS[name]
    assert callable(load_function(entry.solver)) and callable(load_function(entry.cost))
    for look in filter(None, (entry.look, entry.uhf_look)):
        assert look.colour in PALETTE
    assert set(entry.scf_references) < set(SCF_REFERENCES)


def test_labels_differ():
    assert len(set(ENERGY_LABELS.values())) == len(ENERGY_LABELS)


@pytest.mark.slow
def test_a_new_method_is_one_file_and_one_line(tmp_path):
    """As docs/how-to/add-a-method.md shows: its row reaches a table, in a copy of the package."""
    solver, entry = code_blocks("add-a-method.md", "python")
    shutil.copytree(ROOT / "ferminet", tmp_path / "ferminet")
    shutil.copytree(ROOT / "molecules", tmp_path / "molecules")
    (tmp_path / "ferminet" / "chemistry" / "half_mp2.py").write_text(solver)
    registry = tmp_path / "ferminet" / "methods.py"
    source = registry.read_text()
    start = "METHODS: dict[str, ConventionalMethod] = {\n"
    assert source.count(start) == 1
    registry.write_text(source.replace(start, start + entry))
    (tmp_path / "study.yaml").write_text(
        "seeds: [1]\nansatz: {}\nsystems: [He]\n"
        "baselines: [{method: half_mp2, basis: cc-pvdz}, {method: ccsd_t, basis: cc-pvdz}]\n"
    )

    def ferminet(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ferminet", *arguments],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    for method in ("half_mp2", "ccsd_t"):
        ferminet(
            "baseline", "--config", "study.yaml", "--system", "He", "--geometry", "eq",
            "--method", method, "--basis", "cc-pvdz", "--out", f"{method}.parquet",
        )  # fmt: skip
    ferminet("collect", "half_mp2.parquet", "ccsd_t.parquet", "--out", "energies.parquet")
    ferminet("tables", "--energies", "energies.parquet", "--out-dir", "tables")
    energies = pandas.read_parquet(tmp_path / "energies.parquet").set_index("method")["energy"]
    expected = (energies["hf"] + energies["mp2"]) / 2
    assert energies["half_mp2"] == pytest.approx(expected, abs=1e-9)
    table = pandas.read_csv(tmp_path / "tables" / "atoms.csv")
    assert table["half_mp2_hartree"][0] == energies["half_mp2"]
    text = (tmp_path / "tables" / "atoms.md").read_text()
    assert "half-MP2/cc-pVDZ" in text and f"{abs(expected):.6f}" in text
