"""Counts by the hash of a run: those of the shipped studies, and those that are counted once."""

import json
from pathlib import Path

import jax
import pytest

from ferminet.config import RunConfig, expand_runs, load_study
from ferminet.vmc.cost import predict
from ferminet.vmc.cost.__main__ import shipped_runs
from ferminet.vmc.cost.predict import SHIPPED, find_counts, program_key, read_counts, write_counts
from ferminet.vmc.cost.programs import count_run, placeholder_orbitals

TINY = """\
seeds: [1, 2]
systems: [He]
ansatz: {NAME: {build: BUILD, options: OPTIONS}}
sampler: {walkers: 8}
"""
SMALL = "{layers: 1, one_electron_width: 4, two_electron_width: 2, determinants: 1}"


def runs(folder: Path, build: str, options: str = "{}", more: str = "") -> list[RunConfig]:
    text = TINY.replace("NAME", "mine").replace("BUILD", build).replace("OPTIONS", options)
    (folder / "study.yaml").write_text(text + more)
    return expand_runs(load_study(folder / "study.yaml"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a separate cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_the_counts_of_all_shipped_studies_are_part_of_the_package(root: Path) -> None:
    """Written by `python -m ferminet.vmc.cost`."""
    assert set(read_counts(SHIPPED)) == set(shipped_runs(root / "workflow" / "config"))


@pytest.mark.slow
@pytest.mark.skipif(
    jax.__version_info__ >= (0, 11),
    reason="counted with JAX 0.10; newer versions trace other programs",
)
def test_the_shipped_counts_are_those_of_the_programs(root: Path) -> None:
    """One run of each wavefunction and optimiser; the keys of all are checked above."""
    stored, shipped = read_counts(SHIPPED), shipped_runs(root / "workflow" / "config")
    sample: dict[tuple[str, str], str] = {}
    for key, run in sorted(shipped.items(), key=lambda item: item[1].molecule.n_electrons):
        sample.setdefault((run.ansatz.build, run.optimizer.name), key)
    assert len({build for build, _ in sample}) > 1 and len({name for _, name in sample}) > 1
    for key in sample.values():
        found, expected = count_run(shipped[key]), stored[key]
        for stage, wanted in zip(found[:3], expected[:3], strict=True):
            for work, other in zip(stage, wanted, strict=True):
                assert work == pytest.approx(other, rel=0.01), shipped[key].system
        assert found.peak_bytes == pytest.approx(expected.peak_bytes, rel=0.05)


def test_shipped_counts_need_no_process(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "_count_in_process", lambda missing: pytest.fail("counted"))
    study = load_study(root / "workflow" / "config" / "quickstart.yaml")
    assert None not in find_counts(expand_runs(study))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "options"),
    [
        (
            "ferminet.ansatz.psiformer:build",
            "{layers: 1, heads: 1, head_width: 4, determinants: 1}",
        ),
        ("ferminet.ansatz.slater_jastrow:build", "{}"),
        ("mine.py:build", "{}"),
    ],
    ids=("psiformer", "slater-jastrow", "plug-in"),
)
def test_every_wavefunction_is_counted_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, build: str, options: str
) -> None:
    (folder / "mine.py").write_text("from ferminet.conformance.template import build as build\n")
    first, second = find_counts(runs(folder, build, options))
    assert first is not None and first == second
    assert min(first.train.iteration) > 0 and min(first.evaluate.once) > 0
    assert first == count_run(runs(folder, build, options)[0])
    monkeypatch.setattr(predict, "_count_in_process", lambda missing: pytest.fail("counted"))
    assert find_counts(runs(folder, build, options)) == [first, first]


def test_an_edited_plugin_is_counted_again(folder: Path) -> None:
    plugin = folder / "mine.py"
    plugin.write_text("from ferminet.conformance.template import build as build\n")
    before = program_key(runs(folder, "mine.py:build")[0])
    plugin.write_text("from ferminet.conformance.template import build as build  # edited\n")
    assert program_key(runs(folder, "mine.py:build")[0]) != before


def test_a_wavefunction_that_cannot_be_traced_has_no_counts(folder: Path, capfd) -> None:
    (folder / "mine.py").write_text("def build(spec):\n    raise ValueError('no such layer')\n")
    assert find_counts(runs(folder, "mine.py:build")) == [None, None]
    sentence = capfd.readouterr().err
    assert sentence.count("mine for He is not predicted") == 1
    assert "ValueError: no such layer" in sentence


def test_the_key_covers_what_the_programs_depend_on(folder: Path) -> None:
    def key(more: str) -> str:
        return program_key(runs(folder, "ferminet.ansatz.ferminet:build", SMALL, more)[0])

    same = (
        "train: {iterations: 5}\n",
        "optimizer: {learning_rate: 0.1}\n",
        "evaluate: {iterations: 100}\n",
        "optimizer: {cg_iterations: 3}\n",
    )
    others = (
        "optimizer: {name: adam}\n",
        "optimizer: {influence: 20.0}\n",
        "optimizer: {name: natural}\n",
        "optimizer: {name: natural, cg_iterations: 3}\n",
        "precision: float64\n",
        "evaluate: {burn_in: 5}\n",
        "pretrain: {walkers: 4}\n",
        "pretrain: {iterations: 0}\n",
        "pretrain: {method: adam}\n",
        "scf: {basis: sto-3g}\n",
    )
    keys = [key(more) for more in ("", *same)]
    assert len(set(keys)) == 1
    assert len({*keys, *map(key, others)}) == 1 + len(others)


def test_a_cache_that_cannot_be_used_costs_no_prediction(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "cache").write_text("a file, where a folder is wanted")
    assert None not in find_counts(runs(folder, "ferminet.ansatz.ferminet:build", SMALL))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 3}', '{"a": [1, 2, 3, 4]}'])
def test_a_damaged_file_holds_no_counts(tmp_path: Path, content: str) -> None:
    (tmp_path / "counts.json").write_text(content)
    assert read_counts(tmp_path / "counts.json") == {}


def test_counts_survive_their_file(tmp_path: Path) -> None:
    stored = dict(list(read_counts(SHIPPED).items())[:3])
    write_counts(tmp_path / "counts.json", stored)
    assert read_counts(tmp_path / "counts.json") == stored
    assert len(json.loads((tmp_path / "counts.json").read_text())) == 3


@pytest.mark.parametrize("system", ["LiH", "N2"])
def test_placeholder_orbitals_have_as_many_functions_as_the_basis(root: Path, system: str) -> None:
    from ferminet.chemistry.mol import build_mol, gto_basis
    from ferminet.systems.files import load_systems

    molecule = next(iter(load_systems(root / "molecules")[system].geometries.values()))
    found = placeholder_orbitals(molecule, "cc-pvdz")
    expected = gto_basis(build_mol(molecule, "cc-pvdz"))
    assert found.basis.order.shape == expected.order.shape
    assert found.basis.shells.keys() == expected.shells.keys()
