"""The stage, its file, its figure and the sentences about wrong input."""

import os
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
import yaml

from ferminet.benchmark.figures.density import Density, density
from ferminet.benchmark.figures.style import render
from ferminet.benchmark.records import read_table
from ferminet.benchmark.report import PAPER_FIGURES, not_covered
from ferminet.benchmark.targets import figure_names
from ferminet.cli.main import main
from ferminet.config import expand_runs, layout, load_run, load_study
from ferminet.runtime.checkpoint import save_arrays
from ferminet.stages import density as stages_density
from ferminet.stages import results
from ferminet.stages.chemistry import run_scf
from ferminet.stages.density import density_table
from ferminet.vmc.density.bins import frame_of, make_bins
from ferminet.vmc.density.electrons import Counts
from ferminet.vmc.devices import tree_to_arrays

STUDY = {
    "seeds": [1],
    "systems": ["H", "He"],
    "ansatz": {"exact": {"build": "ferminet.ansatz.hydrogenic:build"}},
    "scf": {"basis": "sto-3g"},
    "evaluate": {"burn_in": 2, "decorrelation_steps": 4},
    "density": {"systems": "H", "iterations": 40, "bins": 16, "extent": 6.0},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study, hydrogen's orbitals, and its exact wavefunction as if it had been trained."""
    folder = tmp_path_factory.mktemp("density")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    run = load_run(folder / "study.yaml", system="H")
    run_scf(run, folder / "scf.safetensors")
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(128, 1, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    electrons = rng.gamma(3.0, 0.5, size=(128, 1, 1)) * direction
    arrays = tree_to_arrays({"zeta": np.ones((), np.float32)}, "average") | {
        "electrons": electrons.astype(np.float32),
        "step_size": np.array(0.5, np.float32),
    }
    header = {"stage": "train", "config_hash": run.config_hash(), "run": run.model_dump()}
    save_arrays(folder / "trained.safetensors", arrays, header)
    save_arrays(folder / "early.safetensors", arrays, {**header, "stage": "pretrain"})
    save_arrays(folder / "other.safetensors", arrays, {**header, "config_hash": "00000000"})
    return folder


@pytest.fixture(autouse=True)
def _double_precision():
    """The stage sets the precision of the process."""
    yield
    jax.config.update("jax_enable_x64", True)


def command(folder: Path, *, trained="trained", scf="scf", out="density.parquet", more=()) -> int:
    return main(
        [
            "density", "--config", str(folder / "study.yaml"), "--system", "H", *more,
            "--trained", str(folder / f"{trained}.safetensors"),
            "--scf", str(folder / f"{scf}.safetensors"), "--out", str(folder / out),
        ]
    )  # fmt: skip


def test_the_file_of_hydrogen(folder: Path) -> None:
    assert command(folder) == 0
    table = read_table(folder / "density.parquet")
    assert table.attrs["units"]["first_low"] == "bohr"
    assert set(table["quantity"]) == {
        "radial_distribution", "radial_distribution_outside",
        "spherical_average", "spherical_average_outside",
    }  # fmt: skip
    for name, unit in (
        ("radial_distribution", "electrons/bohr"),
        ("spherical_average", "electrons/bohr^3"),
    ):
        lines = table[table["quantity"] == name]
        outside = table[table["quantity"] == f"{name}_outside"]
        assert set(lines["unit"]) == {unit}
        assert set(outside["unit"]) == {"electrons"}
        for column in ("total", "up", "hf_up"):
            electrons = (lines[column] * lines["measure"]).sum() + outside[column].iloc[0]
            assert electrons == pytest.approx(1.0, abs=1e-5)
        assert (lines["down"] == 0.0).all() and (lines["hf_down"] == 0.0).all()
        np.testing.assert_array_equal(lines["spin"], lines["total"])
    assert set(table["hf_basis"]) == {"sto-3g"} and set(table["iterations"]) == {40}
    first = (folder / "density.parquet").read_bytes()
    assert command(folder) == 0
    assert (folder / "density.parquet").read_bytes() == first


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"trained": "early"}, "the result of `ferminet train`"),
        ({"trained": "other"}, "belongs to the configuration 00000000"),
        ({"trained": "none"}, "does not exist"),
        ({"scf": "trained"}, "does not hold the orbitals of H eq in sto-3g"),
        ({"more": ["--geometry", "a90"]}, "the study has no geometry 'a90'"),
        ({"more": ["--expect-hash", "00000000"]}, "now describes another run"),
    ],
)
def test_wrong_input_is_one_sentence(folder: Path, capsys, given, words) -> None:
    assert command(folder, out="new/density.parquet", **given) == 2
    text = capsys.readouterr().err
    assert words in text and "Traceback" not in text and text.count("\n") == 1
    assert not (folder / "new").exists()


def test_nothing_is_half_written(folder: Path, monkeypatch, capsys) -> None:
    """A full disk leaves the old file."""
    (folder / "full").mkdir(exist_ok=True)
    old = folder / "full" / "density.parquet"
    old.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert command(folder, out="full/density.parquet") == 4
    assert "No space left on device" in capsys.readouterr().err
    assert old.read_bytes() == b"old"
    assert [path.name for path in old.parent.iterdir()] == ["density.parquet"]


def test_a_study_with_a_density_block_has_density_targets(folder: Path) -> None:
    study = load_study(folder / "study.yaml")
    files = layout.density_files(study)
    assert [run.system for run in files.values()] == ["H"]
    assert "density" in figure_names(study)
    plain = study.model_copy(update={"density": type(study.density)()})
    assert layout.density_files(plain) == {}
    assert "density" not in figure_names(plain)
    for with_it, without in zip(expand_runs(study), expand_runs(plain), strict=True):
        assert with_it.config_hash() == without.config_hash()
        for stage in ("scf", "pretrain", "train", "evaluate"):
            assert with_it.stage_params(stage) == without.stage_params(stage)
        assert with_it.stage_params("density") != without.stage_params("density")
    longer = study.evaluate.model_copy(update={"iterations": 77})
    run = expand_runs(study)[0]
    others = expand_runs(study.model_copy(update={"evaluate": longer}))[0]
    assert others.stage_params("density") == run.stage_params("density")
    more = study.density.model_copy(update={"systems": ["all"]})
    others = expand_runs(study.model_copy(update={"density": more}))[0]
    assert others.stage_params("density") == run.stage_params("density")


COORDS = {
    "atom": [[0.0, 0.0, 0.0]],
    "linear": [[0.0, 0.0, 0.0], [0.0, 0.0, 2.0]],
    "plane": [[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]],
}


def made(kind: str, label: str, seed: int = 1, shift: float = 0.0) -> Density:
    """A density of two electrons around the origin, by random numbers; Hartree-Fock's is wider."""
    rng = np.random.default_rng(seed)
    coords = np.array(COORDS[kind])
    frame = frame_of(coords, np.ones(len(coords)))
    bins = make_bins(frame, 20, 4.0)
    shares = rng.dirichlet(np.ones(bins.n_bins), size=2) + shift
    met = rng.poisson(500 * shares, size=(16, 2, bins.n_bins))
    table = pd.DataFrame(density_table(bins, Counts(met, np.full(16, 100)), shares))
    table["walkers"], table["iterations"], table["extent"] = 16, 100, 4.0
    table["hf_reference"], table["hf_basis"] = "rhf", "sto-3g"
    symbols = ("H",) * len(coords)
    return Density(label, label.split()[0], seed, symbols, frame, table)


def test_the_figure_has_three_axes_per_system_and_names_the_rest() -> None:
    kinds = [("atom", "He"), ("linear", "H2"), ("plane", "H4 a85"), ("plane", "H4 a90"),
             ("plane", "H4 a95"), ("atom", "Be"), ("atom", "C"), ("atom", "N")]  # fmt: skip
    runs = [made(kind, label) for kind, label in kinds]
    figure = density(runs, ["O"])
    text = figure.get_supxlabel().replace("\n", " ")
    # Every system once, a curve at its middle, and no other geometry.
    assert "not drawn: H4 a85, H4 a95." in text
    assert "O (not computed)" in text and "RHF/sto-3g" in text
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [t for t in titles if t] == ["He", "H2", "H4 a90", "Be", "C", "N"]
    assert "no density" in [t.get_text() for t in density([]).axes[0].texts]


def test_seeds_are_averaged() -> None:
    runs = [made("linear", "H2", seed) for seed in (1, 2)]
    figure = density(runs)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    profiles = [run.table[run.table["quantity"] == "profile"]["total"] for run in runs]
    drawn = np.asarray(lines["this work"].get_ydata())
    np.testing.assert_allclose(drawn, np.mean(profiles, axis=0))
    assert "seeds 1, 2 (averaged)" in figure.get_supxlabel().replace("\n", " ")
    assert figure.axes[0].get_ylabel().endswith("electrons/bohr")
    assert render(figure, "png", 50)[:4] == b"\x89PNG"


def test_the_figure_of_a_study_reads_its_files(folder: Path, monkeypatch) -> None:
    study = load_study(folder / "study.yaml")
    monkeypatch.chdir(folder)
    empty = results.draw_figure("density", study, [], results.project_references())
    assert "H (not computed)" in empty.get_supxlabel()
    (path,) = layout.density_files(study)
    path.parent.mkdir(parents=True, exist_ok=True)
    run = load_run(folder / "study.yaml", system="H")
    stages_density.run_density(
        run, folder / "trained.safetensors", folder / "scf.safetensors", path
    )
    figure = results.draw_figure("density", study, [], results.project_references())
    assert figure.axes[0].get_title(loc="left") == "H"


def test_the_report_covers_densities_once_they_are_drawn() -> None:
    references = results.project_references()
    part = "one-electron densities"
    assert PAPER_FIGURES["density"] == part
    assert part in not_covered([], references, ["errors"])
    assert part not in not_covered([], references, ["errors", "density"])
