"""Studies are read strictly, resolved completely, and hashed by what changes a trajectory."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ferminet.benchmark.targets import figure_names, table_names
from ferminet.config import (
    expand_baselines,
    expand_runs,
    load_baseline,
    load_run,
    load_study,
    resolve_run,
    schema,
)
from ferminet.config.layout import basis_slug, energy_files
from ferminet.errors import InputError

STUDIES = Path(__file__).parents[2] / "workflow" / "config"
MINIMAL: dict[str, Any] = {"seeds": [1], "systems": ["LiH"]}

PLUGIN = "def build(spec, *, width=8):\n    raise RuntimeError\n"


@pytest.fixture
def write(tmp_path: Path):
    """Writes a study of the minimal content and what is changed of it."""

    def write(stem: str = "mine", **changes: Any) -> Path:
        path = tmp_path / f"{stem}.yaml"
        path.write_text(yaml.safe_dump({**MINIMAL, **changes}))
        return path

    return write


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler": {"decorelation_steps": 5}}, "sampler.decorelation_steps; did you mean decorr"),
        (
            {"sampler": {"walkers": -4}},
            "sampler.walkers is -4; it must be at least 2",
        ),
        ({"sampler": {"walkers": True}}, "sampler.walkers is True; it must be a whole number"),
        ({"sampler": {"walkers": 16.0}}, "sampler.walkers is 16.0; it must be a whole number"),
        ({"sampler": {"walkers": "16"}}, "sampler.walkers is '16'; it must be a whole number"),
        ({"sampler": {"step_size": float("nan")}}, "sampler.step_size is nan; it must be"),
        ({"sampler": {"target_acceptance": 1.5}}, "it must be less than 1"),
        (
            {"sampler": 3},
            "sampler is 3; it must be a block of keys",
        ),
        ({"samplers": {}}, "unknown key samplers; did you mean sampler"),
        (
            {"optimizer": {"name": "sgd"}},
            "optimizer.name: there is no optimiser 'sgd'; choose one of adam, kfac, spring",
        ),
        (
            {"train": {"iterations": 0}},
            "train.iterations is 0; it must be at least 1",
        ),
        ({"train": {"iterations": 1e5}}, "it must be a whole number; write 100000"),
        (
            {"systems": [False]},
            "systems[0].name is False; it must be text; put it in quotes",
        ),
        ({"ansatz": {}}, "ansatz is empty and there are no baselines"),
        ({"ansatz": {"x": {"build": "ferminet.ansatz.ferminet:bild"}}}, "did you mean build?"),
        (
            {
                "ansatz": {"x": {"build": "ferminet.ansatz.psiformer:build"}},
                "overrides": {"LiH": {"options": {"one_electron_width": 8}}},
            },
            "Options of a single wavefunction belong in ansatz.NAME.overrides",
        ),
        ({"seeds": []}, "seeds is []; it must have at least 1 item"),
        ({"seeds": [1, 1]}, "seeds: 1 is given twice"),
        ({"seeds": [-1]}, "seeds[0] is -1"),
        ({"systems": ["LIH2"]}, "no system 'LIH2'"),
        ({"systems": ["LiH", "LiH"]}, "LiH is given twice"),
        (
            {"systems": [{"name": "H4", "geometries": ["a91.5"]}]},
            "H4 has no geometry 'a91.5'; choose one of a8",
        ),
        ({"systems": [{"name": "H4", "geometrys": ["a90"]}]}, "did you mean geometries"),
        ({"systems": [{"path": "no.xyz", "multiplicity": 3}]}, "unpaired_electrons: 2"),
        ({"systems": [{}]}, "either a name or a path"),
        (
            {"systems": [{"path": "no.xyz", "charge": 0, "unpaired_electrons": 0}]},
            "cannot be read from /",
        ),
        ({"scf": {"basis": "cc-pvxz"}}, "did you mean cc-pv"),
        ({"baselines": [{"method": "ccsd_t"}]}, "baselines[0].basis is missing"),
        (
            {"baselines": [{"method": "mp2", "basis": "cc-pvdz"}]},
            "it must be hf, ccsd_t, nevpt2 or fci",
        ),
        (
            {"baselines": [{"method": "hf", "basis": "cc-pvdz", "systems": ["He"]}]},
            "no system 'He'",
        ),
        (
            {"baselines": [{"method": "hf", "basis": b} for b in ("sto-3g", "STO-3G")]},
            "given twice",
        ),
        ({"overrides": {"He": {}}}, "no system 'He'"),
        ({"ansatz": {"x": {"overrides": {"He": {}}}}}, "ansatz.x.overrides: there is no system"),
        (
            {"ansatz": {"x": {"overrides": {"LiH": {"scf": {}}}}}},
            "the Hartree-Fock orbitals are the same for all",
        ),
        ({"comparison": {"baseline": "../x"}}, "is no name of a folder"),
        ({"comparison": {"margin_hartree": 0}}, "it must be greater than 0"),
        ({"overrides": {"LiH": {"samplr": {}}}}, "overrides.LiH.samplr; did you mean sampler"),
        (
            {"overrides": {"LiH": {"sampler": {"walkers": 1}}}},
            "overrides.LiH.sampler: walkers is 1",
        ),
        ({"overrides": {"LiH": {"options": {"layer": 1}}}}, "did you mean layers"),
        ({"ansatz": {"a b": {}}}, "letters, digits and underscores"),
        ({"ansatz": {"x": {"options": {"determinats": 2}}}}, "did you mean determinants"),
        ({"ansatz": {"x": {"build": "nowhere.at_all:build"}}}, "no Python module 'nowhere.at_all'"),
        ({"ansatz": {"x": {"build": "nothing.py:build"}}}, "does not exist"),
        ({"ansatz": {"x": {"build": "nothing"}}}, "no entry point"),
        ({"name": "other"}, "unknown key name"),
        ({"plots": {"formats": ["gif"]}}, "it must be png or svg"),
    ],
)
def test_wrong_studies_are_reported_in_one_sentence(write, changes, words) -> None:
    path = write(**changes)
    with pytest.raises(InputError) as caught:
        load_study(path)
    message = str(caught.value)
    assert words in message
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 400


HELIUM = """\
name: He
title: helium
kind: atom
unit: bohr
atoms: [[He, [0, 0, 0]]]
charge: 0
unpaired_electrons: 0
source: a test
"""


def test_a_file_with_the_name_of_a_known_system_must_have_its_nuclei(write, tmp_path: Path) -> None:
    """Published energies are found by name."""
    own = tmp_path / "own.yaml"
    study = write(systems=[{"path": str(own)}])
    own.write_text(HELIUM)
    assert list(load_study(study).resolved_systems) == ["He"]
    changes = [
        ("[[He,", "[[Ne,"),
        ("[0, 0, 0]", "[0, 0, 0.001]"),
        ("charge: 0", "charge: -2"),
        ("electrons: 0", "electrons: 2"),
    ]
    for old, new in changes:
        for text in (HELIUM, HELIUM.replace("name: He", "name: HE")):
            own.write_text(text.replace(old, new))
            with pytest.raises(InputError, match="rename it"):
                load_study(study)


def test_a_builder_may_be_imported_into_the_plugin_file(write, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = write(ansatz={"x": {"build": "a.py:build"}})
    Path("b.py").write_text("def build(spec): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    for text in ("from b import build\n", "from b import *\n", "import b\nbuild = b.build\n"):
        Path("a.py").write_text(text)
        load_study(study)
    Path("a.py").write_text("def other(spec): ...\n")
    with pytest.raises(InputError, match="no function 'build'"):
        load_study(study)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seeds: [1]\nseeds: [2]\nsystems: [H]\n", "twice"),
        ("seeds: [1\n", "mine.yaml:2"),
        ("- 1\n", "key: value"),
        ("seeds: !!python/object/apply:os.getcwd []\n", "constructor"),
        ("", "key: value"),
    ],
)
def test_wrong_yaml_is_reported_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_study(path)
    assert words in str(caught.value)


def test_a_number_with_an_exponent_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("seeds: [1]\nsystems: [H]\noptimizer: {learning_rate: 1e-3, damping: 2}\n")
    optimizer = load_study(path).optimizer
    assert (optimizer.learning_rate, optimizer.damping) == (1e-3, 2.0)


@pytest.mark.parametrize("name", ["has space", "a.b", "é"])
def test_the_name_of_a_study_is_part_of_paths(write, name: str) -> None:
    with pytest.raises(InputError, match="letters, digits, underscores and hyphens"):
        load_study(write(name))


def test_a_study_expands_to_geometries_times_seeds(write) -> None:
    systems = ["He", {"name": "H4", "geometries": ["a90", "a85"]}]
    baselines = [
        {"method": "hf", "basis": "cc-pVDZ"},
        {"method": "fci", "basis": "cc-pvdz", "systems": "H4"},
    ]
    study = load_study(write(systems=systems, seeds=[3, 1], baselines=baselines))
    runs = expand_runs(study)
    assert [(r.system, r.geometry, r.seed) for r in runs[:2]] == [("He", "eq", 3), ("He", "eq", 1)]
    assert [r.geometry for r in runs] == ["eq", "eq", "a90", "a90", "a85", "a85"]
    found = [(b.system, b.geometry, b.method, b.basis) for b in expand_baselines(study)]
    assert found == [
        ("He", "eq", "hf", "cc-pvdz"),
        ("H4", "a90", "hf", "cc-pvdz"),
        ("H4", "a85", "hf", "cc-pvdz"),
        ("H4", "a90", "fci", "cc-pvdz"),
        ("H4", "a85", "fci", "cc-pvdz"),
    ]
    assert len(set(energy_files(study))) == 6 + 5
    assert table_names(study) == ["atoms", "h4", "h4_derived", "paper", "runs"]
    assert figure_names(study) == ["correlation", "h4", "errors", "cost", "training"]


def test_overrides_change_one_system_only(write) -> None:
    overrides = {"He": {"sampler": {"walkers": 8}, "options": {"layers": 1}}}
    study = load_study(write(systems=["He", "LiH"], overrides=overrides))
    helium, hydride = expand_runs(study)
    assert (helium.sampler.walkers, hydride.sampler.walkers) == (8, 4096)
    assert (helium.ansatz.options, hydride.ansatz.options) == ({"layers": 1}, {})


UNCHANGED = [
    {"train": {"iterations": 7}},
    {"train": {"checkpoint_interval": 7}},
    {"pretrain": {"tolerance_hartree": 2.0}},
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


def test_overrides_of_one_wavefunction_and_system_win(write) -> None:
    own = {"LiH": {"sampler": {"walkers": 4}, "options": {"layers": 1}}}
    path = write(
        systems=["He", "LiH"],
        ansatz={"mine": {"settings": {"sampler": {"walkers": 6}}, "overrides": own}, "other": {}},
        overrides={"LiH": {"sampler": {"walkers": 8}, "options": {"layers": 2}}},
    )
    found = {(run.system, run.ansatz_name): run for run in expand_runs(load_study(path))}
    walkers = {key: run.sampler.walkers for key, run in found.items()}
    assert walkers["LiH", "mine"] == 4
    assert walkers["He", "mine"] == 6
    assert walkers["LiH", "other"] == 8
    assert found["LiH", "mine"].ansatz.options == {"layers": 1}
    assert found["LiH", "other"].ansatz.options == {"layers": 2}


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


def test_a_resolved_run_can_be_read_back(write, tmp_path) -> None:
    run = lithium_hydride(write())
    path = tmp_path / "run.json"
    path.write_text(run.model_dump_json())
    again = load_run(path)
    assert again == run
    assert again.config_hash() == run.config_hash()
    assert again.molecule == run.molecule
    assert load_run(path, system="LiH", seed=1) == run
    for selector in ({"system": "He"}, {"geometry": "r"}, {"ansatz": "x"}, {"seed": 2}):
        with pytest.raises(InputError, match="leave --"):
            load_run(path, **selector)
    path.write_text(run.model_dump_json().replace('"charge":0', '"charge":4'))
    with pytest.raises(InputError, match="run"):
        load_run(path)
    path.write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        load_run(path)


def test_selectors_name_one_run_or_are_refused(write) -> None:
    path = write(systems=["He", "LiH"], baselines=[{"method": "hf", "basis": "cc-pVDZ"}])
    with pytest.raises(InputError, match="name it with --system"):
        load_run(path)
    assert load_run(path, system="He").geometry == "eq"
    with pytest.raises(InputError, match="no seed '7'"):
        load_run(path, system="He", seed=7)
    choice = {"system": "He", "geometry": "eq", "method": "hf", "reference": "auto"}
    assert load_baseline(path, basis="CC-PVDZ", **choice).basis == "cc-pvdz"
    with pytest.raises(InputError, match="does not ask for"):
        load_baseline(path, basis="cc-pvtz", **choice)


def test_a_study_may_have_baselines_only(write) -> None:
    study = load_study(write(ansatz={}, baselines=[{"method": "hf", "basis": "cc-pvdz"}]))
    assert expand_runs(study) == []
    assert figure_names(study) == ["errors"]


@pytest.mark.parametrize("basis", ["6-31G*", "6-31G**", "6-31+G(d,p)", "cc-pVDZ"])
def test_basis_names_become_paths(basis: str) -> None:
    assert set(basis_slug(basis)) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-_")


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda p: p.stem)
def test_the_studies_of_the_project_are_valid(path: Path, in_root) -> None:
    study = load_study(path)
    assert expand_runs(study) or (not study.ansatz and expand_baselines(study))
    assert study.deviations, "each study departs from the paper somewhere, and says where"


def test_generated_files_match_the_models(root: Path, tmp_path: Path) -> None:
    """If this fails: python -m ferminet.config --write."""
    for name, generate in schema.FILES.items():
        assert (root / "workflow" / "schemas" / name).read_text() == generate()
    example = tmp_path / "example.yaml"
    example.write_text(schema.documented_defaults())
    load_study(example)
