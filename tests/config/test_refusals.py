"""Studies are read strictly: each mistake is reported in one sentence."""

from pathlib import Path

import pytest

from ferminet.config import load_study
from ferminet.errors import InputError

NO_WAVEFUNCTION = {"ansatz": {}, "baselines": [{"method": "hf", "basis": "sto-3g"}]}


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
            "no optimiser 'sgd'; choose one of adam, kfac, natural, spring",
        ),
        (
            {"pretrain": {"learning_rate": 0.01}},
            "pretrain: learning_rate is not read by least_squares, which has no rate; remove it or "
            "set method to adam.",
        ),
        (
            {"pretrain": {"tolerance_hartree": 5.0}},
            "pretrain: tolerance_hartree is no longer a key; remove it",
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
        ({"comparison": {"baseline": "../x"}}, "is not the name of a folder"),
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
        ({"ansatz": {"x": {"build": "nothing"}}}, "not an entry point"),
        ({"name": "other"}, "unknown key name"),
        ({"plots": {"formats": ["gif"]}}, "it must be png or svg"),
        ({"density": {"systems": "Hf"}}, "density.systems: there is no system 'Hf'"),
        ({"density": {"sytems": "H"}}, "did you mean systems"),
        ({"density": {"systems": "H", "bins": 3}}, "density.bins is 3; it must be at least 4"),
        ({"density": {"extent": 0.0}}, "density.extent is 0.0; it must be greater than 0"),
        ({"density": {"systems": "LiH"}, **NO_WAVEFUNCTION}, "density: the study has no wavefunc"),
        ({"inspect": {"systems": "Hf"}}, "inspect.systems: there is no system 'Hf'"),
        ({"inspect": {"iterations": 1}}, "inspect.iterations is 1; it must be at least 2"),
        ({"inspect": {"systems": "LiH"}, **NO_WAVEFUNCTION}, "inspect: the study has no wavefunc"),
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


@pytest.mark.parametrize("name", ["has space", "a.b", "é"])
def test_the_name_of_a_study_is_part_of_paths(write, name: str) -> None:
    with pytest.raises(InputError, match="letters, digits, underscores and hyphens"):
        load_study(write(name))
