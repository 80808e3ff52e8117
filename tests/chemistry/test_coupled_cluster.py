"""CCSD(T) and full CI: known energies, limits, and what is not a number."""

import functools
from pathlib import Path

import pytest

from ferminet.chemistry import coupled_cluster, full_ci
from ferminet.chemistry.baseline import run_baseline
from ferminet.errors import InputError, NotConvergedError
from ferminet.systems.files import load_systems
from tests.helpers.molecules import atom

SYSTEMS = load_systems(Path(__file__).parents[2] / "molecules")


def geometry(system, label="eq"):
    return SYSTEMS[system].geometries[label]


@functools.cache
def exact_h4(label, basis):
    return run_baseline(geometry("H4", label), "fci", basis)


# Measured with PySCF 2.14 outside of this package; the last column is T1 where it was recorded.
@pytest.mark.parametrize(
    ("system", "basis", "energy", "triples", "t1"),
    [
        ("Be", "cc-pvtz", -14.62379014474687, -0.00023121997963677042, 0.014054990682433856),
        ("ethene", "cc-pvdz", -78.35967949583973, -0.009907656637787527, 0.00864954901548635),
        ("He", "aug-cc-pvtz", -2.9005979235384394, 0.0, 0.0016976057517495934),
        ("Li", "aug-cc-pcvtz", -7.4742644160215255, -2.2315115811348774e-05, None),
    ],
)
def test_coupled_cluster_energies_match_pyscf(system, basis, energy, triples, t1):
    result = run_baseline(geometry(system), "ccsd_t", basis)
    assert result.status == "complete"
    assert result.energy == pytest.approx(energy, abs=2e-7)
    assert result.details["e_t"] == pytest.approx(triples, abs=1e-7)
    assert result.passed["ccsd"] + result.details["e_t"] == pytest.approx(result.energy)
    assert result.passed["ccsd"] < result.passed["mp2"] < result.details["e_hf"]
    if t1 is not None:
        assert result.details["t1"] == pytest.approx(t1, rel=1e-4)


def test_linear_dependence_is_reported():
    """H10 at 1 bohr with diffuse functions: PySCF drops what the others nearly are sums of."""
    result = run_baseline(geometry("H10", "r1.0000"), "hf", "aug-cc-pvdz")
    assert result.details["n_basis"] == 90
    assert result.details["nmo"] == 80


def test_coupled_cluster_gets_a_plain_mean_field_after_second_order_steps(monkeypatch):
    """Stretched H10 is reached by rotations and Newton steps; a plain object is handed on."""
    handed = []
    real = coupled_cluster.pyscf.cc.CCSD

    def spy(mean_field):
        handed.append(type(mean_field).__name__)
        return real(mean_field)

    monkeypatch.setattr(coupled_cluster.pyscf.cc, "CCSD", spy)
    result = run_baseline(geometry("H4", "a90"), "ccsd_t", "sto-6g", "uhf")
    assert handed == ["UHF"] and result.status == "complete"


def test_unrestricted_equals_restricted_for_a_closed_shell():
    restricted = run_baseline(geometry("LiH"), "ccsd_t", "6-31g")
    unrestricted = run_baseline(geometry("LiH"), "ccsd_t", "6-31g", "uhf")
    assert (restricted.scf_reference, unrestricted.scf_reference) == ("rhf", "uhf")
    assert restricted.energy == pytest.approx(unrestricted.energy, abs=1e-7)
    assert restricted.details["t1"] == pytest.approx(unrestricted.details["t1"], abs=1e-6)


def test_hartree_fock_itself_is_a_baseline():
    result = run_baseline(geometry("H4", "a90"), "hf", "sto-3g")
    assert (result.scf_reference, result.status) == ("uhf", "complete")
    assert result.details["wall_s"] > 0


def test_one_electron_has_no_correlation():
    result = run_baseline(geometry("H"), "ccsd_t", "cc-pvdz")
    assert result.energy == run_baseline(geometry("H"), "hf", "cc-pvdz").energy
    assert result.details["note"] == "one electron: no correlation energy"
    assert run_baseline(geometry("H"), "fci", "cc-pvdz").energy == pytest.approx(result.energy)


def test_a_basis_without_virtual_orbitals_has_no_correlation():
    result = run_baseline(geometry("He"), "ccsd_t", "sto-3g")
    assert result.details["note"] == "no virtual orbital: no correlation energy"
    assert run_baseline(geometry("He"), "fci", "sto-3g").energy == pytest.approx(result.energy)


@pytest.mark.parametrize(("symbol", "unpaired"), [("He", 2), ("Li", 3), ("He", 0)])
def test_coupled_cluster_is_exact_for_two_electrons_and_nearly_for_three(symbol, unpaired):
    molecule = atom(symbol, unpaired)
    cluster = run_baseline(molecule, "ccsd_t", "cc-pvdz")
    exact = run_baseline(molecule, "fci", "cc-pvdz")
    assert cluster.energy == pytest.approx(exact.energy, abs=1e-7)
    assert exact.s2 == pytest.approx(unpaired / 2 * (unpaired / 2 + 1), abs=1e-8)


@pytest.mark.parametrize(
    ("label", "energy"), [("r1.8000", -5.4243853762061836), ("r3.6000", -4.818700808566136)]
)
def test_full_ci_energies_match_pyscf(label, energy):
    result = run_baseline(geometry("H10", label), "fci", "sto-6g")
    assert result.energy == pytest.approx(energy, abs=1e-7)
    assert result.s2 == pytest.approx(0, abs=1e-6) and result.scf_reference is None


def test_full_ci_of_the_square_is_the_singlet():
    result = exact_h4("a90", "cc-pvdz")
    assert result.energy == pytest.approx(-2.008363557893, abs=1e-8)
    assert result.s2 == pytest.approx(0, abs=1e-6)


def test_full_ci_is_smooth_and_symmetric_across_the_square():
    energies = {a: exact_h4(f"a{a}", "6-31g").energy for a in (85, 88, 89, 90, 91, 92, 95)}
    for angle in (85, 88, 89):
        assert energies[angle] == pytest.approx(energies[180 - angle], abs=1e-9)
    # A parabola through 89 to 91 predicts 88 and 92; a cusp would not.
    curvature = energies[89] - 2 * energies[90] + energies[91]
    assert energies[88] == pytest.approx(energies[90] + 2 * curvature, abs=2e-5)
    assert curvature < 0


def test_coupled_cluster_has_a_cusp_at_the_square():
    label_energies = {
        a: run_baseline(geometry("H4", f"a{a}"), "ccsd_t", "6-31g").energy for a in (89, 90, 91)
    }
    slope = label_energies[90] - label_energies[89]
    assert slope == pytest.approx(label_energies[90] - label_energies[91], abs=1e-7)
    assert slope < -1e-3
    assert label_energies[90] < exact_h4("a90", "6-31g").energy - 5e-3


def test_spin_that_is_not_among_the_states_is_not_reported(monkeypatch):
    monkeypatch.setattr(full_ci, "SPIN_TOLERANCE", -1.0)
    result = run_baseline(geometry("LiH"), "fci", "sto-3g")
    assert result.status == "not_converged" and result.energy is None
    assert result.details["note"].startswith("none of the lowest 6 states")


def test_unconverged_coupled_cluster_is_no_number(monkeypatch):
    monkeypatch.setattr(coupled_cluster, "CC_MAX_CYCLES", 2)
    result = run_baseline(geometry("LiH"), "ccsd_t", "6-31g")
    assert (result.energy, result.status) == (None, "not_converged")
    assert result.details["ccsd_attempts"] == 2 and "e_t" not in result.details
    assert result.passed["ccsd"] is None
    assert result.passed["mp2"] < result.details["e_hf"]
    assert result.details["note"] == "CCSD did not converge in 2 x 2 cycles"


def test_hartree_fock_that_does_not_converge_is_no_number_and_no_end(monkeypatch):
    def fails(*arguments):
        raise NotConvergedError("RHF of LiH did not converge.")

    monkeypatch.setattr("ferminet.chemistry.baseline.run_scf", fails)
    result = run_baseline(geometry("LiH"), "ccsd_t", "6-31g")
    assert (result.energy, result.status, result.scf_reference) == (None, "not_converged", "rhf")
    assert result.details["note"] == "RHF of LiH did not converge."


def test_a_reference_that_does_not_fit_the_method_is_refused():
    with pytest.raises(InputError, match="ccsd_t must start from auto, rhf or uhf, got 'rohf'"):
        run_baseline(geometry("Li"), "ccsd_t", "sto-3g", "rohf")
    with pytest.raises(InputError, match="rhf needs a closed shell"):
        run_baseline(geometry("Li"), "ccsd_t", "sto-3g", "rhf")
