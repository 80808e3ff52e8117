"""Files of systems: YAML and xyz, their names, and what cannot be read."""

import re

import numpy as np
import pytest

from ferminet.errors import InputError
from ferminet.systems.files import find_system, load_systems, read_system
from tests.helpers.system_files import write


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read .*check the path"):
        read_system(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(InputError, match="not a text file in UTF-8"):
        read_system(tmp_path / "binary.yaml")
    (tmp_path / "huge.yaml").write_text("a" * 1_000_001)
    with pytest.raises(InputError, match="1000001 bytes, input files have at most 1000000"):
        read_system(tmp_path / "huge.yaml")
    (tmp_path / "deep.yaml").write_text("a: " + "[" * 100_000)
    with pytest.raises(InputError, match="the YAML cannot be read"):
        read_system(tmp_path / "deep.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(InputError, match="expected lines of the form"):
        read_system(tmp_path / "list.yaml")
    with pytest.raises(InputError, match=r"a system is a .yaml or .xyz file, got '.json'"):
        read_system(tmp_path / "LiH.json")


WATER = "3\nwater\nO 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -4.692e-1\n"


def test_an_xyz_file_needs_charge_and_unpaired_electrons(tmp_path):
    path = tmp_path / "water.xyz"
    path.write_text(WATER + "\n")
    system = read_system(path, charge=0, unpaired_electrons=0)
    molecule = system.geometries["eq"]
    assert (system.name, molecule.spins) == ("water", (5, 5))
    distance = np.linalg.norm(molecule.coords[0] - molecule.coords[1]) * 0.529177210903
    assert distance == pytest.approx(np.hypot(0.7572, 0.5865), abs=1e-12)
    with pytest.raises(InputError, match="read as bohr"):
        read_system(path, charge=0, unpaired_electrons=0, unit="bohr")
    with pytest.raises(InputError, match="charge is missing"):
        read_system(path, unpaired_electrons=0)
    with pytest.raises(InputError, match="unpaired_electrons is missing"):
        read_system(path, charge=0)


BAD_XYZ = {
    "empty": ("", ":1: an xyz file starts with the number of nuclei, got ''"),
    "no number": ("water\n" + WATER, ":1: an xyz file starts with the number of nuclei"),
    "too few lines": (WATER.replace("3", "4", 1), ":1: the number of nuclei is 4, but 3 lines"),
    "two geometries": (WATER + WATER, ":1: the number of nuclei is 3, but 8 lines"),
    "no nuclei": ("0\n\n", ":1: .*at least one nucleus"),
    "three words": (WATER.replace(" 0.1173", ""), ":3: a line is `element x y z`"),
    "text for a number": (WATER.replace("0.7572", "0,7572", 1), ":4: word 3 is a finite number"),
    "fullwidth digit": (WATER.replace("0.1173", "0.117\uff13"), ":3: word 4 is a finite number"),
    "NaN": (WATER.replace("0.1173", "nan"), ":3: word 4 is a finite number"),
    "overflow": (
        WATER.replace("0.1173", "1e999"),
        r"atoms\[0\]\[1\]\[2\] is inf; it must be a finite number",
    ),
    "unknown element": (WATER.replace("O", "Ow"), ":3: unknown element 'Ow'; did you mean"),
}


@pytest.mark.parametrize("case", BAD_XYZ)
def test_bad_xyz_is_refused(tmp_path, case):
    text, sentence = BAD_XYZ[case]
    path = tmp_path / "water.xyz"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(str(path)) + ".*" + sentence):
        read_system(path, charge=0, unpaired_electrons=0)


def test_the_charge_of_a_yaml_file_cannot_be_given_again(tmp_path):
    with pytest.raises(InputError, match="a YAML file states charge itself; change the file"):
        read_system(write(tmp_path), charge=1)


def test_a_name_that_yaml_reads_as_false_needs_quotes(tmp_path):
    with pytest.raises(InputError, match=r"name is False.*put it in quotes"):
        read_system(write(tmp_path, "NO", name=False))


def test_systems_are_named_after_their_files(tmp_path):
    write(tmp_path)
    assert list(load_systems(tmp_path)) == ["LiH"]
    assert find_system("LiH", tmp_path) == read_system(tmp_path / "LiH.yaml")
    with pytest.raises(InputError, match=r"no system 'LiF' in .*; did you mean LiH"):
        find_system("LiF", tmp_path)
    write(tmp_path, "other", name="another")
    with pytest.raises(InputError, match="named 'other' and its system 'another'"):
        load_systems(tmp_path)
    with pytest.raises(InputError, match=r"no .yaml file of a system here"):
        load_systems(tmp_path / "absent")


def test_names_that_differ_by_case_are_refused(tmp_path):
    write(tmp_path)
    write(tmp_path, "lih", name="lih")
    with pytest.raises(InputError, match="differs from LiH by case alone"):
        load_systems(tmp_path)
