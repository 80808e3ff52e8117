"""A wavefunction's own settings: their order, what is refused, and the figures they fill."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ferminet.benchmark.targets import figure_names
from ferminet.config import expand_runs, load_study, resolve_run
from ferminet.config.ablations import DETERMINANTS, LAYERS, OPTIMISERS, WIDTH, families
from ferminet.config.plugins import option_defaults
from ferminet.errors import InputError

STUDIES = Path(__file__).parents[2] / "workflow" / "config"
ALWAYS = ["correlation", "errors", "cost", "zero_variance", "training"]  # figures of any study
MINIMAL: dict[str, Any] = {"seeds": [1], "systems": ["LiH", "Be"]}


@pytest.fixture
def write(tmp_path: Path):
    """Writes a study of the minimal content and what is changed of it."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({**MINIMAL, **changes}))
        return path

    return write


def test_a_wavefunctions_settings_win_over_the_systems_and_those_over_the_studys(write) -> None:
    study = load_study(
        write(
            ansatz={
                "plain": {"options": {"determinants": 2, "layers": 2}},
                "own": {
                    "options": {"determinants": 2, "layers": 2},
                    "settings": {
                        "options": {"determinants": 5},
                        "optimizer": {"name": "adam"},
                        "train": {"iterations": 7},
                    },
                },
            },
            train={"iterations": 11, "clip": 3.0},
            optimizer={"learning_rate": 0.2},
            overrides={
                "Be": {
                    "options": {"determinants": 3, "layers": 3},
                    "train": {"iterations": 9},
                    "optimizer": {"damping": 1e-4},
                }
            },
        )
    )
    runs = {(run.system, run.ansatz_name): run for run in expand_runs(study)}

    def options(system: str, ansatz: str) -> tuple[int, int]:
        found = runs[system, ansatz].ansatz.options
        return found["determinants"], found["layers"]

    assert options("LiH", "plain") == (2, 2)
    assert options("Be", "plain") == (3, 3)
    assert options("LiH", "own") == (5, 2)
    assert options("Be", "own") == (5, 3)
    lengths = [runs[s, a].train.iterations for a in ("plain", "own") for s in ("LiH", "Be")]
    assert lengths == [11, 9, 7, 7]
    own = runs["Be", "own"]
    assert (own.optimizer.name, own.optimizer.learning_rate, own.optimizer.damping) == (
        "adam",
        0.2,
        1e-4,
    )
    assert own.train.clip == 3.0
    assert runs["Be", "plain"].optimizer.name == "kfac"


def test_settings_are_merged_before_they_are_hashed(write) -> None:
    """Where a setting stands changes neither the hash nor what a job is repeated for."""
    here = {"ansatz": {"x": {}}, "sampler": {"walkers": 64}}
    there = {"ansatz": {"x": {"settings": {"sampler": {"walkers": 64}}}}}
    first, second = (
        resolve_run(load_study(write(**study)), "LiH", "eq", "x", 1) for study in (here, there)
    )
    assert first.config_hash() == second.config_hash()
    assert first.stage_params("train") == second.stage_params("train")
    assert "settings" not in first.stage_params("train")


@pytest.mark.parametrize(
    ("study", "hashes"),
    [
        ("quickstart", {"H": "20248f72", "Li": "02372236", "LiH": "12c8100a"}),
        ("paper", {"N2": "a718a633", "Ne": "ab490769"}),
    ],
)
def test_runs_that_exist_keep_their_hashes(study: str, hashes: dict[str, str]) -> None:
    """Another hash would throw away results that others have computed."""
    content = load_study(STUDIES / f"{study}.yaml")
    found = {
        system: resolve_run(content, system, "eq", "ferminet", 1).config_hash() for system in hashes
    }
    assert found == hashes


def test_the_papers_network_is_trained_once_for_both_studies() -> None:
    shared = [
        resolve_run(load_study(STUDIES / f"{study}.yaml"), "N2", "eq", ansatz, 1)
        for study, ansatz in (("paper", "ferminet"), ("paper-ablations", "paper"))
    ]
    assert shared[0].config_hash() == shared[1].config_hash()
    assert shared[0].train.iterations == shared[1].train.iterations


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimiser": {}}, "unknown key ansatz.x.settings.optimiser; did you mean optimizer?"),
        ({"train": {"iteration": 5}}, "ansatz.x.settings.train: unknown key iteration; did you"),
        ({"sampler": {"walkers": 1}}, "ansatz.x.settings.sampler: walkers is 1; it must be at"),
        ({"scf": {"basis": "sto-3g"}}, "ansatz.x.settings.scf: the Hartree-Fock orbitals are the"),
        ({"options": {"determinant": 1}}, "options.determinant; did you mean determinants?"),
    ],
)
def test_wrong_settings_are_reported_in_one_sentence(
    write, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_study(write(ansatz={"x": {"settings": settings}}))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_wavefunctions_that_are_the_same_run_are_refused(write) -> None:
    longer = {"settings": {"train": {"iterations": 900}}}
    with pytest.raises(InputError, match="long and short are the same run of LiH"):
        expand_runs(load_study(write(ansatz={"short": {}, "long": longer})))


def test_defaults_of_options_are_read_if_they_are_plain_values(tmp_path: Path) -> None:
    found = option_defaults("ferminet.ansatz.ferminet:build")
    assert (found["determinants"], found["layers"], found["envelope"]) == (16, 4, "anisotropic")
    plugin = tmp_path / "mine.py"
    plugin.write_text("def build(spec, a, b=-2, *, c='x', d=len, e): ...\n")
    assert option_defaults(f"{plugin}:build") == {"b": -2, "c": "x"}


def settings(**options: Any) -> dict[str, Any]:
    return {
        "options": {"determinants": 4, "layers": 2, "one_electron_width": 16} | options,
        "optimizer": {"name": "kfac", "damping": 1e-3},
        "train": {"iterations": 10},
    }


def test_a_family_differs_in_one_thing() -> None:
    adam = settings() | {"optimizer": {"name": "adam"}, "train": {"iterations": 40}}
    longer = settings(determinants=8) | {"train": {"iterations": 20}}
    runs = [
        ("base", settings()),
        ("det", settings(determinants=1)),
        ("deep", settings(layers=3)),
        ("both", settings(determinants=2, layers=4)),
        ("wide", settings(one_electron_width=32, two_electron_width=8)),
        ("adam", adam),
        ("longer", longer),
    ]

    def names(variation) -> list[list[str]]:
        return [[name for name, _ in family] for family in families(runs, variation)]

    assert names(DETERMINANTS) == [["base", "det"]]
    assert names(LAYERS) == [["base", "deep"]]
    assert names(WIDTH) == [["base", "wide"]]
    assert names(OPTIMISERS) == [["base", "adam"]]  # more iterations go with it
    assert families([("other", {"options": {}})], LAYERS) == []


@pytest.mark.parametrize(
    ("own", "figures"),
    [
        ({"options": {"determinants": 2}}, {"determinants"}),
        ({"options": {"determinants": 2, "layers": 2}}, set()),
        ({"options": {"layers": 2}}, {"width"}),
        ({"options": {"one_electron_width": 64}}, {"width"}),
        ({"options": {"determinants": 16}, "optimizer": {"damping": 0.1}}, set()),
        ({"optimizer": {"name": "adam"}, "train": {"iterations": 5}}, {"optimisers"}),
    ],
)
def test_a_figure_is_there_if_the_study_can_fill_it(write, own, figures: set[str]) -> None:
    study = load_study(write(ansatz={"base": {}, "other": {"settings": own}}))
    assert set(figure_names(study)) == {*ALWAYS, *figures}


def test_a_study_of_one_wavefunction_or_none_has_no_ablation(write) -> None:
    assert figure_names(load_study(write())) == ALWAYS
    baselines = [{"method": "hf", "basis": "cc-pvdz"}]
    assert figure_names(load_study(write(ansatz={}, baselines=baselines))) == ["errors"]
