"""NEVPT2 on CASSCF: what it must be exactly, and where it holds while coupled cluster does not."""

from pathlib import Path

import pytest

from ferminet.chemistry import multireference
from ferminet.chemistry.baseline import run_baseline
from ferminet.errors import InputError
from ferminet.systems.files import load_systems

SYSTEMS = load_systems(Path(__file__).parents[2] / "molecules")
NITROGEN = SYSTEMS["N2_curve"].geometries


def test_nevpt2_in_the_complete_space_is_full_ci():
    square = SYSTEMS["H4"].geometries["a90"]
    result = run_baseline(square, "nevpt2", "sto-6g", active_space=[4, 4])
    exact = run_baseline(square, "fci", "sto-6g")
    assert result.energy == pytest.approx(exact.energy, abs=1e-8)
    assert result.details["e_nevpt2"] == pytest.approx(0.0, abs=1e-8)
    assert result.scf_reference is None and result.s2 == pytest.approx(0.0, abs=1e-6)


# Measured with PySCF 2.14 outside of this package.
def test_the_nevpt2_energy_of_nitrogen_matches_pyscf():
    molecule = SYSTEMS["N2"].geometries["eq"]  # at 2.068 bohr
    result = run_baseline(molecule, "nevpt2", "cc-pvtz", active_space=[10, 8])
    assert result.energy == pytest.approx(-109.35997, abs=2e-5)
    assert set(result.details["start_energies"]) == {"valence", "frontier"}
    occupations = result.details["natural_occupations"]
    assert len(occupations) == 8 and sum(occupations) == pytest.approx(10)


def test_broken_nitrogen_is_two_atoms():
    far = list(NITROGEN)[-1]
    result = run_baseline(NITROGEN[far], "nevpt2", "cc-pvdz", active_space=[10, 8])
    atom = run_baseline(SYSTEMS["N"].geometries["eq"], "nevpt2", "cc-pvdz", active_space=[5, 4])
    assert atom.s2 == pytest.approx(3.75)
    # Bonded by a millihartree at 6.4 bohr.
    assert result.energy == pytest.approx(2 * atom.energy, abs=3e-3)
    assert result.energy < 2 * atom.energy


def test_a_state_of_the_wrong_spin_has_no_energy(monkeypatch):
    monkeypatch.setattr(multireference, "SPIN_TOLERANCE", -1.0)
    result = run_baseline(SYSTEMS["LiH"].geometries["eq"], "nevpt2", "sto-3g", active_space=[2, 2])
    assert (result.energy, result.status) == (None, "not_converged")
    assert result.details["note"].startswith("CASSCF did not converge to a state with S^2 = 0")


def test_an_active_space_must_fit():
    with pytest.raises(InputError, match="does not fit: sto-3g has 6 orbitals for LiH"):
        run_baseline(SYSTEMS["LiH"].geometries["eq"], "nevpt2", "sto-3g", active_space=[2, 50])
