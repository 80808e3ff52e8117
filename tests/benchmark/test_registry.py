"""The registries of tables and figures: complete, light, and applied by one rule."""

import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from ferminet.benchmark import targets
from ferminet.benchmark.figures import FIGURES
from ferminet.benchmark.registry import Contents, find_target
from ferminet.benchmark.registry import targets as applying
from ferminet.benchmark.tables import TABLES
from ferminet.benchmark.tables.build import contents_of, table_names
from ferminet.config import load_study

ROOT = Path(__file__).parents[2]
ARGUMENTS = {
    "energies": ["rows", "references"],
    "histories": ["runs"],
    "densities": ["runs", "missing"],
    "inspections": ["rows", "references"],
    "both": ["rows", "references", "runs"],
}


@pytest.mark.parametrize("entry", [*TABLES, *FIGURES], ids=lambda entry: entry.builder)
def test_every_builder_exists_and_takes_the_arguments_of_its_entry(entry) -> None:
    module, _, function = entry.builder.partition(":")
    expected = (["system"] if "{curve}" in entry.name else []) + ARGUMENTS[entry.reads]
    assert list(inspect.signature(getattr(import_module(module), function)).parameters) == expected


@pytest.mark.parametrize("entry", [*TABLES, *FIGURES], ids=lambda entry: entry.builder)
def test_every_caption_is_sentences_that_restructured_text_shows_as_they_are(entry) -> None:
    assert entry.title and entry.caption.endswith(".")
    assert not set("`*|{}\\") & set(entry.caption + entry.details)
    assert entry.details == "" or entry.details.endswith(".")
    for text in (entry.caption, entry.details):
        assert "  " not in text and ".." not in text
    assert len(re.findall(r"\w[.)](?= [A-Z]|$)", entry.caption)) <= 2


def test_the_part_that_the_workflow_reads_is_light() -> None:
    code = "import sys, ferminet.benchmark.targets; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"jax", "pyscf", "pandas", "matplotlib", "kfac_jax", "pyarrow", "scipy"}
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize("name", ["quickstart", "paper", "limits", "curves", "ablations"])
def test_every_name_is_unique_and_found_again(name: str) -> None:
    study = load_study(ROOT / "workflow" / "config" / f"{name}.yaml")
    contents = targets.contents_of(study)
    for entries in (TABLES, FIGURES):
        found = applying(entries, contents)
        assert len({target.name for target in found}) == len(found)
        assert all(find_target(target.name, entries, contents) == target for target in found)
    assert set(targets.captions(study)) == {
        *(f"table_{table}" for table in targets.table_names(study)),
        *(f"figure_{figure}" for figure in targets.figure_names(study)),
    }


def test_a_study_and_its_rows_have_the_same_tables(rows, make_vmc, tmp_path: Path) -> None:
    curve = {"parameter_name": "bond length", "parameter_unit": "bohr"}
    chain = [make_vmc("H10", -5.0, 1e-3, geometry=f"r{r}", parameter=r, **curve) for r in (1, 2)]
    ion = make_vmc("Li+", -7.28, 1e-4)
    (tmp_path / "demo.yaml").write_text(
        "seeds: [1, 2, 3]\nsystems: [H, He, Li, Be, LiH, H4, H10, Li+]\nsampler: {walkers: 8}\n"
    )
    study = load_study(tmp_path / "demo.yaml")
    assert table_names([*rows, *chain, ion]) == targets.table_names(study)
    assert "ionisation" in targets.table_names(study)
    assert {"h4_derived", "h10_derived"} < set(targets.table_names(study))
    assert contents_of([]).kinds == {}
    assert applying(TABLES, Contents({})) == []


def test_a_part_is_named_after_the_first_that_needs_its_systems_alone() -> None:
    study = load_study(ROOT / "workflow" / "config" / "quickstart.yaml")
    parts = targets.parts(study)
    assert list(parts) == ["atoms", "molecules", "h4", "correlation"]
    tables = {table.name: table for table in targets.tables(study)}
    figures = {figure.name: figure for figure in targets.figures(study)}
    assert targets.rows_file(study, tables["h4_derived"]).endswith("parts/h4.parquet")
    assert targets.rows_file(study, figures["errors"]).endswith("parts/correlation.parquet")
    assert targets.rows_file(study, tables["runs"]).endswith("quickstart/energies.parquet")
    assert set(targets.energy_files(study, "h4")) < set(targets.energy_files(study))
