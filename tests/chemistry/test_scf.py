"""Hartree-Fock: known energies, stability, broken symmetry, refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pyscf.gto
import pytest

from ferminet.chemistry import scf
from ferminet.chemistry.mol import build_mol
from ferminet.errors import InputError, NotConvergedError
from ferminet.systems.files import load_systems
from tests.helpers.molecules import atom

SYSTEMS = load_systems(Path(__file__).parents[2] / "molecules")


def geometry(system, label="eq"):
    return SYSTEMS[system].geometries[label]


# Measured with PySCF 2.14 outside of this package.
@pytest.mark.parametrize(
    ("system", "basis", "reference", "energy"),
    [
        ("Be", "cc-pvtz", "rhf", -14.57287346824639),
        ("NH3", "cc-pvtz", "rhf", -56.217494340747436),
        ("ozone", "cc-pvdz", "rhf", -224.25436835509305),
        ("ethene", "cc-pvdz", "rhf", -78.03990284996661),
        ("B", "aug-cc-pcvtz", "uhf", -24.532192460625915),
    ],
)
def test_hartree_fock_energies_match_pyscf(system, basis, reference, energy):
    result = scf.run_scf(geometry(system), basis)
    assert result.energy == pytest.approx(energy, abs=1e-7)
    assert result.scf_reference == reference and result.stable


def test_rohf_keeps_the_exact_spin():
    result = scf.run_scf(geometry("N"), "cc-pvdz", "rohf")
    assert result.s2 == 3.75
    assert result.orbitals.coefficients_up.shape[1] == 5
    assert result.orbitals.coefficients_down.shape[1] == 2
    assert result.energy > scf.run_scf(geometry("N"), "cc-pvdz", "uhf").energy


def test_uhf_breaks_the_symmetry_of_the_square():
    square = geometry("H4", "a90")
    unrestricted = scf.run_scf(square, "cc-pvdz")
    restricted = scf.run_scf(square, "cc-pvdz", "rhf")
    assert unrestricted.scf_reference == "uhf" and unrestricted.stable
    assert restricted.details["stable_external"] is False
    full_ci = -2.008363557893
    assert restricted.energy - full_ci == pytest.approx(0.283, abs=5e-4)
    assert unrestricted.energy - full_ci == pytest.approx(0.008, abs=1e-4)
    assert unrestricted.details["start"] == "alternating_spins"
    assert 1.8 < unrestricted.s2 < 2.0


@pytest.mark.parametrize(
    ("system", "label", "basis", "energy"),
    [
        ("H10", "r1.8000", "sto-6g", -5.277448702005124),
        ("H10", "r2.4000", "sto-6g", -5.065709270322046),
        ("H10", "r3.6000", "sto-6g", -4.760346686163229),
        ("H10", "r1.4000", "sto-6g", -5.098619510898782),
    ],
)
def test_uhf_energies_of_a_curve_match_pyscf(system, label, basis, energy):
    result = scf.run_scf(geometry(system, label), basis)
    assert result.energy == pytest.approx(energy, abs=1e-7) and result.stable


def test_alternating_start_does_not_depend_on_the_order_of_nuclei():
    assert scf.alternating_signs(np.array([[0, 0, z] for z in range(5)], float)) == [
        1,
        -1,
        1,
        -1,
        1,
    ]
    shuffled = np.array([[0, 0, z] for z in (2, 0, 3, 1)], float)
    assert scf.alternating_signs(shuffled) == [1, 1, -1, -1]
    assert scf.alternating_signs(geometry("H4", "a85").coords) == [1, -1, 1, -1]


def test_alternating_start_has_the_spins_of_the_atoms():
    molecule = geometry("N2_curve", "r4.2707")
    mol = build_mol(molecule, "sto-3g")
    up, down = scf.alternating_density(mol)
    overlap = mol.intor("int1e_ovlp")
    half = mol.nao // 2
    spin = np.einsum("ij,ji->i", up - down, overlap)
    assert spin[:half].sum() == pytest.approx(3, abs=1e-3)
    assert spin[half:].sum() == pytest.approx(-3, abs=1e-3)


def test_orbital_signs_are_fixed():
    up = scf.run_scf(geometry("LiH"), "sto-3g").orbitals.coefficients_up
    assert (up[np.argmax(np.abs(up), axis=0), range(2)] > 0).all()


def test_one_electron_and_a_basis_without_virtual_orbitals_are_solved():
    assert scf.run_scf(geometry("H"), "cc-pvdz").energy == pytest.approx(-0.499278403, abs=1e-8)
    assert scf.run_scf(geometry("He"), "sto-3g").stable


def test_second_order_steps_rescue_convergence():
    mean_field = scf._MEAN_FIELDS["rhf"](build_mol(geometry("LiH"), "cc-pvdz"))
    mean_field.max_cycle = 2
    mean_field.kernel()
    assert not mean_field.converged
    rescued, how = scf.rescue(mean_field)
    assert how == "newton" and rescued.converged
    expected = scf.run_scf(geometry("LiH"), "cc-pvdz").energy
    assert rescued.e_tot == pytest.approx(expected, abs=1e-8)


def test_level_shift_rescues_convergence(monkeypatch):
    mean_field = scf._MEAN_FIELDS["rhf"](build_mol(geometry("LiH"), "cc-pvdz"))
    mean_field.max_cycle = 10
    mean_field.kernel(dm0=np.zeros((19, 19)))
    mean_field.converged = False
    monkeypatch.setattr(scf, "MAX_CYCLES", 0)  # no second-order step
    rescued, how = scf.rescue(mean_field)
    assert how == "level_shift" and rescued.converged


def test_no_convergence_is_refused(monkeypatch):
    monkeypatch.setattr(scf, "MAX_CYCLES", 1)
    with pytest.raises(NotConvergedError, match="RHF of ozone/eq in sto-3g did not converge"):
        scf.run_scf(geometry("ozone"), "sto-3g")


@pytest.mark.parametrize(
    ("basis", "sentence"),
    [
        ("cc-pvdzz", "PySCF has no basis 'cc-pvdzz' for Li; use another one"),
        ("cc-pcv5z", "PySCF has no basis 'cc-pcv5z' for Li; use another one"),
        ("../basis", "a basis must be a name such as cc-pvdz, got '../basis'"),
        ("", "a basis must be a name"),
    ],
)
def test_an_unknown_basis_is_refused(basis, sentence):
    with pytest.raises(InputError, match=sentence):
        scf.run_scf(geometry("Li"), basis)


def test_reference_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="rhf needs a closed shell, but Li has unpaired"):
        scf.run_scf(geometry("Li"), "sto-3g", "rhf")


def test_too_small_basis_is_refused():
    triplet = atom("He", 2)
    with pytest.raises(InputError, match="has 1 functions for 2 electrons of one spin"):
        scf.run_scf(triplet, "sto-3g")


def test_stability_sees_that_equal_spin_orbitals_are_no_minimum():
    """At 1.8 bohr PySCF's own test calls the restricted solution of H10 stable among UHF ones."""
    restricted = scf.run_scf(geometry("H10", "r1.8000"), "sto-6g", "rhf")
    assert restricted.stable and restricted.details["stable_external"] is False
    orbitals, stable = scf.internal_stability(restricted.mean_field.to_uhf())
    assert not stable and np.abs(orbitals[0] - orbitals[1]).max() > 0.1


@pytest.mark.parametrize(
    ("core_valence", "valence"),
    [("aug-cc-pcvtz", "aug-cc-pvtz"), ("cc-pCVDZ", "cc-pvdz"), ("cc-pvdz", "cc-pvdz")],
)
def test_hydrogen_and_helium_have_no_core_functions(core_valence, valence):
    molecule = geometry("LiH")
    table: Any = build_mol(molecule, core_valence).basis
    assert table["H"] == pyscf.gto.basis.load(valence, "H")
    assert table["Li"] == pyscf.gto.basis.load(core_valence, "Li")


def test_a_solution_that_stays_unstable_is_reported(monkeypatch, caplog):
    monkeypatch.setattr(scf, "internal_stability", lambda field: (field.mo_coeff, False))
    result = scf.run_scf(geometry("LiH"), "sto-3g")
    assert not result.stable and result.details["rotations"] == scf.MAX_STABILITY_ROTATIONS
    assert "RHF of LiH/eq in sto-3g is still unstable after 5 rotations" in caplog.text
