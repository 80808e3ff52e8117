"""Molecules: what is accepted, and the sentence for everything that is not."""

import json
import re

import numpy as np
import pytest

from ferminet.errors import InputError
from ferminet.systems.files import read_system
from ferminet.systems.molecule import Molecule, doubt_unit
from ferminet.systems.validation import validate
from tests.helpers.system_files import CHAIN, write


def test_a_molecule_is_read_from_its_file(tmp_path):
    system = read_system(write(tmp_path))
    molecule = system.geometries["eq"]
    assert molecule.symbols == ("Li", "H")
    assert molecule.spins == (2, 2) and molecule.n_electrons == 4
    assert molecule.charges.tolist() == [3.0, 1.0] and molecule.charges.dtype == np.float64
    assert molecule.label == "LiH" and molecule.parameter is None
    with pytest.raises(ValueError, match="read-only"):
        molecule.coords[0, 0] = 1.0


@pytest.mark.parametrize(
    ("name", "atom", "charge", "sentence"),
    [
        ("Li+", "Li", 0, "the name Li+ is that of Li with charge 1, but this is Li with charge 0"),
        ("Li", "Li", 1, "rename it to Li+, or to"),
        ("F-", "O", -1, "but this is O with charge -1; rename it to O-"),
        ("Be+", "Be", 2, "rename it to Be++"),
    ],
)
def test_the_name_of_an_atom_states_its_charge(tmp_path, name, atom, charge, sentence):
    unpaired = "0" if (name, charge) in {("Li", 1), ("Be+", 2)} else "1"
    atoms = f"[[{atom}, [0, 0, 0]]]"
    path = write(
        tmp_path, name, name=name, kind="atom", atoms=atoms, charge=charge,
        unpaired_electrons=unpaired,
    )  # fmt: skip
    with pytest.raises(InputError, match=re.escape(sentence)):
        read_system(path)
    # A name that is no element's may be anything's.
    right = "lithium_like"
    path = write(
        tmp_path, right, name=right, kind="atom", atoms=atoms, charge=charge,
        unpaired_electrons=unpaired,
    )  # fmt: skip
    assert read_system(path).geometries["eq"].charge == charge


def test_angstrom_is_converted_once(tmp_path):
    atoms = "[[Li, [0, 0, 0]], [H, [0, 0, 1.0e0]]]"
    molecule = read_system(write(tmp_path, unit="angstrom", atoms=atoms, allow_close="true"))
    assert molecule.geometries["eq"].coords[1, 2] == pytest.approx(1 / 0.529177210903, rel=1e-15)


def test_coordinates_may_have_exponents(tmp_path):
    molecule = read_system(write(tmp_path, atoms="[[Li, [0, 1e-3, 0]], [H, [0, 0, 30e-1]]]"))
    assert molecule.geometries["eq"].coords[0, 1] == 1e-3


@pytest.mark.parametrize("spelling", ["li", "LI", "' Li '", "lI"])
def test_case_and_blanks_of_elements_do_not_matter(tmp_path, spelling):
    path = write(tmp_path, atoms=f"[[{spelling}, [0, 0, 0]], [h, [0, 0, 3.015]]]")
    assert read_system(path).geometries["eq"].symbols == ("Li", "H")


def test_serialisation_keeps_every_digit(tmp_path):
    path = write(tmp_path, atoms="[[Li, [0.1, 0, 0]], [H, [0, 0.3, 1.59546929]]]", unit="angstrom")
    molecule = read_system(path).geometries["eq"]
    again = validate(Molecule, json.loads(molecule.model_dump_json()))
    assert again == molecule and hash(again) == hash(molecule)
    assert np.array_equal(again.coords, molecule.coords)
    moved = molecule.model_dump()
    moved["coords"][1][2] += 1e-9
    assert validate(Molecule, moved) != molecule
    with pytest.raises(InputError, match="unknown key coord; did you mean coords"):
        validate(Molecule, {"coord": []})


def test_the_serialised_form_is_that_of_stored_results(tmp_path):
    assert read_system(write(tmp_path)).geometries["eq"].model_dump() == {
        "name": "LiH", "geometry": "eq", "symbols": ["Li", "H"],
        "coords": [[0.0, 0.0, 0.0], [0.0, 0.0, 3.015]], "charge": 0, "unpaired_electrons": 0,
        "source": "test", "parameter": None, "parameter_name": None, "parameter_unit": None,
        "kind": "molecule", "label": "LiH", "broken_symmetry": False, "allow_close": False,
    }  # fmt: skip


# Each case: changes to the file, and the sentence that refuses it.
REFUSED = {
    "unknown element": (
        {"atoms": "[[Xx3, [0, 0, 0]]]"},
        r"atoms\[0\]\[0\]: unknown element 'Xx3'; did you mean Xe",
    ),
    "misspelt element": ({"atoms": "[[Lii, [0, 0, 0]]]"}, "unknown element 'Lii'; did you mean Li"),
    "atomic number": (
        {"atoms": "[[3, [0, 0, 0]]]"},
        "the element 3 is given by its number; write Li",
    ),
    "number as text": ({"atoms": "[['3', [0, 0, 0]]]"}, "given by its number; write Li"),
    "YAML bool": ({"atoms": "[[No, [0, 0, 0]]]"}, "False is not an element"),
    "ghost": ({"atoms": "[[X, [0, 0, 0]]]"}, "'X' is a ghost or dummy atom"),
    "ghost of an element": ({"atoms": "[[Ghost-H, [0, 0, 0]]]"}, "ghost or dummy"),
    "isotope": ({"atoms": "[[D, [0, 0, 0]]]"}, "'D' is an isotope; .* write H"),
    "unit missing": ({"without": ["unit"]}, "the key unit is missing; add `unit: bohr`"),
    "unit Bohrs": (
        {"unit": "Bohrs"},
        "unit is 'Bohrs'; it must be bohr or angstrom",
    ),
    "unit a.u.": ({"unit": "a.u."}, "unit is 'a.u.'; it must be bohr or angstrom"),
    "unit nm": ({"unit": "nm"}, "unit is 'nm'; it must be bohr or angstrom"),
    "NaN": (
        {"atoms": "[[Li, [0, 0, .nan]]]"},
        r"atoms\[0\]\[1\]\[2\] is nan; it must be a finite number",
    ),
    "infinity": (
        {"atoms": "[[Li, [.inf, 0, 0]]]"},
        r"atoms\[0\]\[1\]\[0\] is inf; it must be a finite number",
    ),
    "decimal comma": (
        {"atoms": "[[Li, [0, '0,5', 0]]]"},
        r"atoms\[0\]\[1\]\[1\] is '0,5'; it must be a number",
    ),
    "far away": ({"atoms": "[[Li, [0, 0, 1.0e300]]]"}, "1e.300 bohr is beyond 1000 bohr"),
    "two coordinates": ({"atoms": "[[Li, [0, 0]]]"}, r"atoms\[0\]\[1\]\[2\] is missing"),
    "no atoms": ({"atoms": "[]"}, r"atoms is \[\]; it must have at least 1 item"),
    "flat atom": (
        {"atoms": "[[Li, 0, 0, 0]]"},
        r"atoms\[0\] is \['Li', 0, 0, 0\]; it must have at most 2 items",
    ),
    "coincident": (
        {"atoms": "[[Li, [0, 0, 0]], [H, [0, 0, 0]]]"},
        r"nuclei 1 \(Li\) and 2 \(H\) coincide: 0 bohr",
    ),
    "nearly coincident": (
        {"atoms": "[[Li, [0, 0, 0]], [H, [0, 0, 1e-8]]]"},
        "coincide: 1e-08 bohr apart",
    ),
    "angstrom as bohr": (
        {"atoms": "[[Li, [0, 0, 0]], [H, [0, 0, 1.595]]]"},
        r"1\.595 bohr \(0\.844 angstrom\) apart, nearer than 1\.713 bohr.*bohr\? .*allow_close",
    ),
    "wrong parity": (
        {"unpaired_electrons": 1},
        "unpaired_electrons 1 is impossible with 4 electrons .*allowed are 0, 2, 4",
    ),
    "too many unpaired": ({"unpaired_electrons": 6}, "unpaired_electrons 6 is impossible"),
    "negative unpaired": ({"unpaired_electrons": -2}, "unpaired_electrons -2 is impossible"),
    "unpaired missing": ({"without": ["unpaired_electrons"]}, "unpaired_electrons is missing"),
    "unpaired bool": (
        {"unpaired_electrons": "true"},
        "unpaired_electrons is True; it must be a whole number",
    ),
    "charge missing": ({"without": ["charge"]}, "charge is missing"),
    "charge text": ({"charge": "+"}, r"charge is '\+'; it must be a whole number"),
    "charge fraction": ({"charge": 0.5}, "charge is 0.5; it must be a whole number"),
    "zero electrons": (
        {"charge": 4},
        "charge 4 leaves 0 electrons of 4; the charge must be at most 3",
    ),
    "charge beyond": ({"charge": 7}, "charge 7 leaves -3 electrons"),
    "too many electrons": ({"charge": -6}, "makes 10 electrons, but these nuclei bind at most 9"),
    "spin": (
        {"spin": 1},
        "spin: 1 is not accepted; write unpaired_electrons: 1 if .*, 2 if it is S",
    ),
    "half spin": ({"spin": 0.5}, "spin: 0.5 is not accepted; write unpaired_electrons: 1 "),
    "multiplicity": (
        {"multiplicity": 3},
        "multiplicity: 3 is not accepted; write unpaired_electrons: 2",
    ),
    "unknown key": (
        {"unpaired_electron": 0},
        "unknown key unpaired_electron; did you mean unpaired_electrons",
    ),
    "name in a path": (
        {"name": "../LiH"},
        "name is '../LiH'; write a letter, then at most 63",
    ),
    "name a number": ({"name": 12}, "name is 12; it must be text"),
    "source missing": ({"without": ["source"]}, "source is missing"),
    "unknown kind": ({"kind": "solid"}, "kind is 'solid'; it must be atom, molecule or curve"),
    "atom of two": ({"kind": "atom"}, "an atom has one nucleus, .* got kind: atom with 2"),
    "curve without block": (
        {"kind": "curve", "without": ["atoms"]},
        "kind: curve needs the block `curve:` alone, got neither atoms nor curve",
    ),
    "atoms in a curve": (
        {"kind": "curve"},
        "kind: curve needs the block `curve:` alone, got atoms",
    ),
    "molecule without atoms": (
        {"without": ["atoms"]},
        "kind: molecule needs the block `atoms:` alone, got neither atoms nor curve",
    ),
    "molecule with a curve": (
        {"without": ["atoms"], "extra": f"curve:{CHAIN}\n"},
        "kind: molecule needs the block `atoms:` alone, got curve",
    ),
    "sexagesimal charge": ({"charge": "1:30"}, "charge is '1:30'; it must be a whole number"),
    "octal charge": ({"charge": "010"}, "charge is '010'; it must be a whole number"),
    "sexagesimal position": (
        {"atoms": "[[Li, [0, 0, 1:30.5]]]"},
        r"atoms\[0\]\[1\]\[2\] is '1:30.5'; it must be a number",
    ),
    "flag no bool": ({"allow_close": 1}, "allow_close is 1; it must be true or false"),
    "key twice": ({"extra": "charge: 1\n"}, r"LiH.yaml:9: .*the key 'charge' is given twice"),
    "python tag": (
        {"extra": "x: !!python/object/apply:os.getcwd []\n"},
        "LiH.yaml:9: the YAML cannot be read: could not determine a constructor",
    ),
    "alias": ({"extra": "label: *a\n"}, r"aliases \(&a, \*a\) are not used here"),
    "anchor": ({"title": "&a text"}, r"anchors and aliases \(&a, \*a\) are not used here"),
    "broken YAML": ({"extra": "x: [1\n"}, "the YAML cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_molecule_file_is_refused(tmp_path, case):
    changes, sentence = REFUSED[case]
    path = write(tmp_path, **changes)
    with pytest.raises(InputError, match=sentence) as error:
        read_system(path)
    text = str(error.value)
    assert text.startswith(str(path)) and "\n" not in text


def test_close_nuclei_can_be_allowed(tmp_path):
    path = write(tmp_path, atoms="[[Li, [0, 0, 0]], [H, [0, 0, 1.0]]]", allow_close="true")
    assert read_system(path).geometries["eq"].allow_close


def test_anion_and_fully_polarised_atom_are_possible(tmp_path):
    anion = write(tmp_path, charge=-1, unpaired_electrons=1)
    assert read_system(anion).geometries["eq"].spins == (3, 2)
    triplet = write(
        tmp_path, kind="atom", atoms="[[He, [0, 0, 0]]]", unpaired_electrons=2, name="He"
    )
    assert read_system(triplet).geometries["eq"].spins == (2, 0)


def test_many_allowed_values_are_shortened(tmp_path):
    path = write(tmp_path, kind="atom", atoms="[[Ne, [0, 0, 0]]]", unpaired_electrons=3)
    path.write_text(path.read_text().replace("Ne, ", "Ar, "))
    with pytest.raises(InputError, match=r"allowed are 0, 2, 4, 6, \.\.\., 18"):
        read_system(path)


def test_a_stretched_molecule_gets_a_remark(tmp_path):
    molecule = read_system(write(tmp_path)).geometries["eq"]
    assert doubt_unit(molecule.symbols, molecule.coords) == ""
    wrong = doubt_unit(molecule.symbols, molecule.coords / 0.529177210903)
    assert wrong.startswith("nearest Li-H 5.6975 bohr (3.0150 angstrom, 1.90 x")
    assert "bohr was read as angstrom" in wrong
    near = doubt_unit(("H", "H"), np.array([[0, 0, 0], [0, 0, 0.74]]))
    assert "angstrom was read as bohr" in near
    assert doubt_unit(("H",), np.zeros((1, 3))) == ""
