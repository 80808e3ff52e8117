"""The project's own molecule files and reference energies."""

import csv
from pathlib import Path

import numpy as np
import pytest
from pyscf.data import radii

from ferminet.chemistry.mol import build_mol
from ferminet.constants import ANGSTROM_PER_BOHR
from ferminet.elements import COVALENT_RADIUS_ANGSTROM, SYMBOLS
from ferminet.errors import InputError
from ferminet.molecule import Molecule, load_systems
from ferminet.molecule_checks import describe_distances

FOLDER = Path(__file__).parents[1] / "molecules"
SYSTEMS = load_systems(FOLDER)
GEOMETRIES = [m for system in SYSTEMS.values() for m in system.geometries.values()]
EQUILIBRIUM = [m for m in GEOMETRIES if m.kind == "molecule"]
FILES = sorted((FOLDER / "reference").glob("*.csv"))


def reference_rows():
    for path in FILES:
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        yield from csv.DictReader(lines)


ENERGIES = {
    (row["system"], row["geometry"], row["quantity"]): float(row["energy_hartree"])
    for row in reference_rows()
}


def test_all_systems_are_there():
    atoms = "H He Li Be B C N O F Ne"
    molecules = "LiH Li2 NH3 CH4 CO N2 ethene methylamine ozone ethanol bicyclobutane"
    assert set(SYSTEMS) == set(f"{atoms} {molecules} N2_curve H10 H4".split())
    assert {name for name, s in SYSTEMS.items() if s.kind == "atom"} == set(atoms.split())
    assert {len(SYSTEMS[n].geometries) for n in ("H4", "H10", "N2_curve")} == {11, 10, 38}


def test_numbers_of_electrons():
    unpaired = {"H": 1, "Li": 1, "B": 1, "C": 2, "N": 3, "O": 2, "F": 1}
    sizes = {"LiH": 4, "Li2": 6, "NH3": 10, "CH4": 10, "CO": 14, "N2": 14, "ethene": 16}
    sizes |= {"methylamine": 18, "ozone": 24, "ethanol": 26, "bicyclobutane": 30}
    for molecule in GEOMETRIES:
        assert molecule.charge == 0
        assert molecule.unpaired_electrons == unpaired.get(molecule.name, 0)
        if molecule.name in sizes:
            assert molecule.n_electrons == sizes[molecule.name]


@pytest.mark.parametrize("molecule", GEOMETRIES, ids=lambda m: f"{m.name}-{m.geometry}")
def test_nuclear_repulsion_is_that_of_pyscf(molecule):
    mol = build_mol(molecule, "sto-3g")
    assert molecule.nuclear_repulsion == pytest.approx(mol.energy_nuc(), abs=1e-10)
    assert molecule.spins == mol.nelec


@pytest.mark.parametrize("molecule", EQUILIBRIUM, ids=lambda m: m.name)
def test_wrong_unit_is_noticed(molecule):
    content = molecule.to_dict()
    as_bohr = content | {"coords": (molecule.coords * ANGSTROM_PER_BOHR).tolist()}
    with pytest.raises(InputError, match="read as bohr"):
        Molecule.from_dict(as_bohr)
    as_angstrom = molecule.coords / ANGSTROM_PER_BOHR
    assert "read as angstrom" in describe_distances(molecule.symbols, as_angstrom)
    assert "stretched" not in describe_distances(molecule.symbols, molecule.coords)


def test_congruent_rectangles():
    angles = SYSTEMS["H4"].geometries

    def distances(label):
        coords = angles[label].coords
        return np.sort(np.linalg.norm(coords[:, None] - coords[None], axis=-1).ravel())

    for small, large in (("a85", "a95"), ("a88", "a92")):
        assert np.allclose(distances(small), distances(large), atol=1e-13)
    sides = distances("a85")[4:12]
    half = np.radians(85 / 2)
    expected = 2 * 1.738 / ANGSTROM_PER_BOHR * np.array([np.sin(half), np.cos(half)])
    assert sides == pytest.approx(np.repeat(expected, 4), abs=1e-12)


def test_bond_lengths():
    lengths = {"LiH": 3.015, "Li2": 5.051, "CO": 2.17328, "N2": 2.068}
    for name, length in lengths.items():
        first, second = SYSTEMS[name].geometries["eq"].coords
        assert np.linalg.norm(first - second) == pytest.approx(length, abs=1e-13)


def test_radii_agree_with_an_independent_table():
    known = radii.COVALENT[1 : len(SYMBOLS) + 1] * 0.52917721092
    # There carbon is sp2 and the 3d metals are of high spin.
    differing = {"C", "Mn", "Fe", "Co"}
    for symbol, radius in zip(SYMBOLS, known, strict=True):
        if symbol not in differing:
            assert COVALENT_RADIUS_ANGSTROM[symbol] == pytest.approx(radius, abs=1e-6), symbol


def test_reference_rows_belong_to_our_geometries():
    assert [path.stem for path in FILES] == ["atoms", "h10", "h4", "molecules", "n2_curve"]
    rows = list(reference_rows())
    assert len(ENERGIES) == len(rows), "an energy is given twice"
    for row in rows:
        assert row["geometry"] in SYSTEMS[row["system"]].geometries, row
        assert row["source"] and row["confidence"]
        assert "recalled" not in " ".join(row.values())
        assert float(row["energy_hartree"]) < 0
        if row["uncertainty_hartree"]:
            assert 0 <= float(row["uncertainty_hartree"]) < 5e-3


def test_reference_uncertainties():
    own = {
        (r["system"], r["geometry"]): float(r["uncertainty_hartree"])
        for r in reference_rows()
        if r["quantity"] in ("exact", "fci_cbs", "mrci_q_f12_cbs")
    }
    assert all(own[name, "eq"] < 1e-6 for name in ("H", "He", "Li", "LiH"))
    assert all(own[name, "eq"] == 1e-4 for name in ("Be", "B", "C", "N", "O", "F", "Ne", "N2"))
    assert own["H4", "a90"] == 2e-4
    assert own["H10", "r1.0000"] == pytest.approx(3.09e-3)


def test_reference_energies_are_ordered():
    """Hartree-Fock lies above the exact energy, and the published FermiNet between them."""
    for (system, geometry, quantity), energy in ENERGIES.items():
        exact = ENERGIES.get((system, geometry, "exact"))
        if exact is None:
            continue
        if quantity == "hf_cbs" and system != "H":
            assert energy > exact + 0.03
        if quantity in ("ferminet_paper", "vmc_literature", "dmc_literature"):
            assert exact - 1e-4 < energy < exact + 0.02


def test_shape_of_the_h4_references():
    def curvature(quantity):
        a85, a90, a95 = (ENERGIES["H4", label, quantity] for label in ("a85", "a90", "a95"))
        return a90 - (a85 + a95) / 2

    assert curvature("fci_cbs") == pytest.approx(2.05e-3, abs=2e-5)
    assert curvature("ccsd_t_cbs") == pytest.approx(-5.7e-3, abs=1e-4)
