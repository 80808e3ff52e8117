"""A run is hashed by what changes its trajectory, and each stage reads its own blocks only."""

from pathlib import Path

import pytest

from ferminet.config import (
    load_study,
    resolve_run,
)
from ferminet.errors import InputError
from ferminet.systems.elements import ionisation_pairs

PLUGIN = "def build(spec, *, width=8):\n    raise RuntimeError\n"


UNCHANGED = [
    {"train": {"iterations": 7}},
    {"train": {"checkpoint_interval": 7}},
    {"pretrain": {"tolerance": 2.0}},
    {"evaluate": {"iterations": 7, "seed_offset": 5}},
    {"plots": {"dpi": 99}},
    {"seeds": [1, 2]},
    {"deviations": ["something"]},
    {"baselines": [{"method": "hf", "basis": "cc-pvdz"}]},
    {"systems": ["H", "LiH"]},
]

CHANGED = [
    {"train": {"clip": 6.0}},
    {"pretrain": {"iterations": 7}},
    {"pretrain": {"walkers": 7}},
    {"pretrain": {"method": "adam"}},
    {"sampler": {"walkers": 8}},
    {"sampler": {"step_size": 0.2}},
    {"optimizer": {"damping": 0.1}},
    {"precision": "float64"},
    {"scf": {"basis": "sto-3g"}},
    {"ansatz": {"ferminet": {"options": {"layers": 2}}}},
    {"overrides": {"LiH": {"sampler": {"burn_in": 3}}}},
    {"ansatz": {"ferminet": {"overrides": {"LiH": {"sampler": {"burn_in": 3}}}}}},
]


def lithium_hydride(path: Path):
    return resolve_run(load_study(path), "LiH", "eq", "ferminet", 1)


@pytest.mark.parametrize("changes", UNCHANGED, ids=str)
def test_settings_without_effect_on_training_leave_the_hash(write, changes) -> None:
    before, after = lithium_hydride(write()), lithium_hydride(write("other", **changes))
    assert before.config_hash() == after.config_hash()


@pytest.mark.parametrize("changes", CHANGED, ids=str)
def test_settings_of_the_trajectory_change_the_hash(write, changes) -> None:
    before, after = lithium_hydride(write()), lithium_hydride(write("other", **changes))
    assert before.config_hash() != after.config_hash()


def test_the_rate_of_pretraining_is_hashed_where_it_is_read(write) -> None:
    hashes = {
        lithium_hydride(write(pretrain={"method": "adam"} | rate)).config_hash()
        for rate in ({}, {"learning_rate": 0.01})
    }
    assert len(hashes) == 2
    assert "learning_rate" not in lithium_hydride(write()).model_dump()["pretrain"]


def test_the_hash_has_eight_digits_and_depends_on_the_method_version(write, monkeypatch) -> None:
    run = lithium_hydride(write())
    before = run.config_hash()
    assert len(before) == 8
    assert set(before) <= set("0123456789abcdef")
    monkeypatch.setattr("ferminet.METHOD_VERSION", "another")
    assert run.config_hash() != before


def test_the_hash_ignores_the_last_digit_of_coordinates(write) -> None:
    run = lithium_hydride(write())
    changes = {"coords": run.molecule.coords + 1e-13, "source": "elsewhere"}
    moved = run.model_copy(update={"molecule": run.molecule.model_copy(update=changes)})
    assert moved.molecule != run.molecule
    assert moved.config_hash() == run.config_hash()


def test_the_hash_of_a_plugin_is_that_of_its_content(write, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("a.py", PLUGIN), ("b.py", PLUGIN), ("c.py", PLUGIN + "# other\n")):
        Path(name).write_text(text)
    hashes = [
        lithium_hydride(write(ansatz={"ferminet": {"build": f"{name}:build"}})).config_hash()
        for name in ("a.py", "b.py", "c.py")
    ]
    assert hashes[0] == hashes[1] != hashes[2]
    with pytest.raises(InputError, match="did you mean width"):
        load_study(write(ansatz={"x": {"build": "a.py:build", "options": {"widht": 2}}}))


def test_stages_read_only_their_blocks(write) -> None:
    base = lithium_hydride(write())
    more = lithium_hydride(write("b", evaluate={"iterations": 7}, train={"checkpoint_interval": 7}))
    assert base.stage_params("train") == more.stage_params("train")
    assert base.stage_params("pretrain") == more.stage_params("pretrain")
    assert base.stage_params("evaluate") != more.stage_params("evaluate")
    longer = lithium_hydride(write("c", train={"iterations": 7}))
    assert base.stage_params("train") != longer.stage_params("train")
    assert base.stage_params("evaluate") == longer.stage_params("evaluate")


STUDIES = Path(__file__).parents[2] / "workflow" / "config"


@pytest.mark.parametrize("atom", ["He", "Li", "Be", "B", "C"])
def test_an_atom_of_the_ionisation_study_is_the_run_that_converged_in_desktop(atom) -> None:
    ionisation, desktop = (
        resolve_run(load_study(STUDIES / f"{name}.yaml"), atom, "eq", "ferminet", 1)
        for name in ("ionisation", "desktop")
    )
    assert ionisation.config_hash() == desktop.config_hash()
    assert ionisation.train.iterations == desktop.train.iterations
    assert ionisation.evaluate == desktop.evaluate


def test_an_atom_and_its_ions_have_the_same_settings() -> None:
    """Common errors cancel in the difference only then."""
    study = load_study(STUDIES / "ionisation.yaml")
    ions = ionisation_pairs(study.resolved_systems)
    assert len(ions) == 9
    for ion, atom in ions.items():
        first, second = (resolve_run(study, name, "eq", "ferminet", 1) for name in (ion, atom))
        assert first.settings() == second.settings()
        assert first.evaluate == second.evaluate
