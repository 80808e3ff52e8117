"""Studies are resolved completely, and every run can be selected and read back."""

from pathlib import Path

import pytest

from ferminet.benchmark.targets import figure_names, table_names
from ferminet.config import __main__ as schema
from ferminet.config import (
    expand_baselines,
    expand_runs,
    load_baseline,
    load_run,
    load_study,
)
from ferminet.config.layout import basis_slug, energy_files
from ferminet.errors import InputError

STUDIES = Path(__file__).parents[2] / "workflow" / "config"


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


def test_shares_of_moves_leave_displacements(write) -> None:
    study = write(sampler={"exchange_probability": 0.5, "hop_probability": 0.5})
    with pytest.raises(InputError, match="hop_probability must add up to less than 1"):
        load_study(study)


def test_a_sampler_without_hops_has_the_hash_that_it_had(write) -> None:
    (plain,), (none,), (some,) = (
        expand_runs(load_study(write(systems=["H"], sampler=sampler)))
        for sampler in ({}, {"hop_probability": 0.0}, {"hop_probability": 0.2})
    )
    assert "hop_probability" not in plain.trajectory()["sampler"]
    assert plain.config_hash() == none.config_hash() != some.config_hash()


def test_a_number_with_an_exponent_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("seeds: [1]\nsystems: [H]\noptimizer: {learning_rate: 1e-3, damping: 2}\n")
    optimizer = load_study(path).optimizer
    assert (optimizer.learning_rate, optimizer.damping) == (1e-3, 2.0)


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
    assert table_names(study) == ["atoms", "h4", "h4_derived", "h4_parallelity", "paper", "runs"]
    assert figure_names(study) == [
        "correlation",
        "h4",
        "errors",
        "cost",
        "zero_variance",
        "training",
    ]


def test_overrides_change_one_system_only(write) -> None:
    overrides = {"He": {"sampler": {"walkers": 8}, "options": {"layers": 1}}}
    study = load_study(write(systems=["He", "LiH"], overrides=overrides))
    helium, hydride = expand_runs(study)
    assert (helium.sampler.walkers, hydride.sampler.walkers) == (8, 4096)
    assert (helium.ansatz.options, hydride.ansatz.options) == ({"layers": 1}, {})


def test_an_override_of_the_optimisers_name_takes_that_optimisers_defaults(write) -> None:
    other = {"H": {"optimizer": {"name": "kfac"}}}
    path = write(systems=["H", "LiH"], optimizer={"name": "natural"}, overrides=other)
    hydrogen, hydride = (run.optimizer for run in expand_runs(load_study(path)))
    assert (hydrogen.learning_rate, hydride.learning_rate) == (0.05, 1.0)
    (run,) = expand_runs(load_study(write(optimizer={"name": "natural", "norm_constraint": 0.5})))
    assert (run.optimizer.norm_constraint, run.optimizer.momentum) == (0.5, 0.95)


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


def test_a_resolved_run_can_be_read_back(write, tmp_path) -> None:
    (run,) = expand_runs(load_study(write()))
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


def test_released_configurations_of_all_versions_can_be_read(root: Path) -> None:
    paths = sorted((root / "results" / "published").glob("*/configurations/*.json"))
    methods = {load_run(path).pretrain.method for path in paths}
    assert len(paths) > 50
    assert "adam" in methods


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


def test_generated_files_match_the_models(root: Path, tmp_path: Path) -> None:
    """If this fails: python -m ferminet.config --write."""
    for name, generate in schema.FILES.items():
        assert (root / "workflow" / "schemas" / name).read_text() == generate()
    example = tmp_path / "example.yaml"
    example.write_text(schema.documented_defaults())
    load_study(example)
