"""The inspection stage, its file, table and figure, from a study with an exact wavefunction."""

from pathlib import Path

import jax
import numpy as np
import pytest
import yaml

from ferminet.benchmark.figures.style import render
from ferminet.benchmark.inspections import inspections
from ferminet.benchmark.records import read_table, write_table
from ferminet.benchmark.schema import row as make_row
from ferminet.benchmark.tables.build import build_table, table_names
from ferminet.benchmark.targets import figure_names
from ferminet.benchmark.targets import table_names as planned_tables
from ferminet.cli.main import main
from ferminet.config import expand_runs, layout, load_run, load_study
from ferminet.errors import CorruptError
from ferminet.runtime.checkpoint import save_arrays
from ferminet.stages import results
from ferminet.stages.columns import vmc_columns
from ferminet.vmc.devices import tree_to_arrays

STUDY = {
    "seeds": [1],
    "systems": ["H", "He"],
    "ansatz": {"exact": {"build": "ferminet.ansatz.hydrogenic:build"}},
    "scf": {"basis": "sto-3g"},
    "evaluate": {"burn_in": 2, "decorrelation_steps": 4},
    "inspect": {"systems": "H", "iterations": 30},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study, and hydrogen's wavefunction with a wrong decay as if it had been trained."""
    folder = tmp_path_factory.mktemp("inspection")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    run = load_run(folder / "study.yaml", system="H")
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(64, 1, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    electrons = rng.gamma(3.0, 0.5, size=(64, 1, 1)) * direction
    arrays = tree_to_arrays({"zeta": np.full((), 1.2, np.float32)}, "average") | {
        "electrons": electrons.astype(np.float32),
        "step_size": np.array(0.5, np.float32),
    }
    header = {"stage": "train", "config_hash": run.config_hash(), "run": run.model_dump()}
    save_arrays(folder / "trained.safetensors", arrays, header)
    save_arrays(folder / "other.safetensors", arrays, {**header, "config_hash": "00000000"})
    return folder


@pytest.fixture(autouse=True)
def _double_precision():
    """The stage sets the precision of the process."""
    yield
    jax.config.update("jax_enable_x64", True)


def inspect(folder: Path, out: Path, trained: str = "trained") -> int:
    return main(
        [
            "inspect", "--config", str(folder / "study.yaml"), "--system", "H",
            "--trained", str(folder / f"{trained}.safetensors"), "--out", str(out),
        ]
    )  # fmt: skip


def test_inspecting_writes_the_same_file_twice_and_refuses_another_run(folder, capsys) -> None:
    out = folder / "inspection.parquet"
    assert inspect(folder, out) == 0
    first = out.read_bytes()
    assert inspect(folder, out) == 0
    assert out.read_bytes() == first
    table = read_table(out)
    assert set(table["walkers"]) == {64} and set(table["iterations"]) == {30}
    values = table.set_index("quantity")["value"]
    assert values["mean local energy / hartree"] == pytest.approx(-0.48, abs=0.03)
    assert values["slope at H, spin up"] == pytest.approx(-1.2, abs=0.01)
    assert {"quadrupole 3z² - r² / bohr²", "quadrupole: chi-squared (5)"} < set(values.index)
    assert inspect(folder, folder / "no" / "file.parquet", "other") == 2
    assert "belongs to the configuration 00000000" in capsys.readouterr().err
    assert not (folder / "no").exists()


def test_table_and_figure_show_the_inspections_next_to_the_runs(folder, monkeypatch) -> None:
    study = load_study(folder / "study.yaml")
    monkeypatch.chdir(folder)
    (path, run), *others = layout.inspection_files(study).items()
    assert not others and run.system == "H"
    row = make_row(
        **vmc_columns(run, "cpu"), energy=-0.48, stderr=1e-3, status="complete", details={}
    )
    references = results.project_references()
    empty = results.draw_figure("local_energies", study, [row], references)
    assert [t.get_text() for t in empty.axes[0].texts] == ["no inspected wavefunction"]
    assert "wavefunction" not in table_names([row])
    assert inspect(folder, path) == 0
    other = row.model_copy(update={"seed": 2})
    assert [found.seed for found, _ in inspections([row, other])] == [1]

    whole = path.read_bytes()
    write_table(path, read_table(path).drop(columns="high"))
    with pytest.raises(CorruptError, match=f"{path} does not have the column 'high'"):
        build_table("wavefunction", [row], references)
    path.write_bytes(whole)

    table = build_table("wavefunction", [row], references)
    lines = {line["quantity"]: line for line in table.lines}
    assert lines["slope at H, spin up"]["exact"] == -1.0
    assert lines["skewness"]["error"] is None and lines["skewness"]["value"] > 0.0
    assert not any(name.startswith(("variance_by", "local_energy")) for name in lines)
    assert "wavefunction" in table_names([row])

    figure = results.draw_figure("local_energies", study, [row], references)
    assert len(figure.axes) == 3
    assert figure.axes[0].get_title(loc="left").startswith("H, exact, σ = ")  # noqa: RUF001
    assert "64 walkers, 30 samples" in figure.get_supxlabel()
    labels = figure.axes[2].get_legend_handles_labels()[1]
    assert labels == ["electron and nucleus", "share of the samples"]  # there are no pairs
    assert render(figure, "png", 50)[:4] == b"\x89PNG"


def test_a_study_inspects_only_what_it_names_and_repeats_nothing_else(folder) -> None:
    study = load_study(folder / "study.yaml")
    plain = study.model_copy(update={"inspect": type(study.inspect)()})
    for names, chosen in ((figure_names, "local_energies"), (planned_tables, "wavefunction")):
        assert chosen in names(study) and chosen not in names(plain)
    assert layout.inspection_files(plain) == {}
    for with_it, without in zip(expand_runs(study), expand_runs(plain), strict=True):
        assert with_it.config_hash() == without.config_hash()
        for stage in ("scf", "pretrain", "train", "evaluate", "density"):
            assert with_it.stage_params(stage) == without.stage_params(stage)
        assert with_it.stage_params("inspect") != without.stage_params("inspect")
