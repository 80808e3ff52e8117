"""Determinants of broken bonds against full CI and against what is known of four spins."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pyscf.fci
import pyscf.scf
import pytest

from ferminet.ansatz import slater
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.chemistry import expansion as module
from ferminet.chemistry.expansion import leading_determinants
from ferminet.chemistry.gto import eval_gto
from ferminet.chemistry.scf import run_scf
from ferminet.systems.files import load_systems, system_from_mapping


@pytest.fixture(scope="module")
def h4():
    systems = load_systems(Path(__file__).parents[2] / "molecules")
    return {name: systems["H4"].geometries[name] for name in ("a85", "a90")}


def expand(scf, **more):
    orbitals = scf.orbitals
    return leading_determinants(
        scf.mean_field, orbitals.coefficients_up, orbitals.coefficients_down, **more
    )


def test_all_orbitals_active_is_full_ci(h4):
    scf = run_scf(h4["a85"], "sto-3g")
    restricted = pyscf.scf.RHF(scf.mean_field.mol).run(verbose=0)
    exact = pyscf.fci.FCI(restricted).kernel()[0]
    assert expand(scf).energy == pytest.approx(exact, abs=1e-7)
    assert scf.expansion_energy == pytest.approx(exact, abs=1e-7)


def weights(expansion, scf):
    """Norm of each term: the product of its orbitals' norms."""
    overlap = scf.mean_field.get_ovlp()
    norms = [
        np.sqrt(np.einsum("tai,ab,tbi->ti", terms, overlap, terms)).prod(axis=1)
        for terms in (expansion.up, expansion.down)
    ]
    return norms[0] * norms[1]


def test_the_square_of_hydrogen_couples_its_spins_two_to_one_to_one(h4):
    # Four spins on a ring: the ground state has the alternating arrangement with weight 2 and the
    # two arrangements in halves with weight 1 (Heisenberg model); each has a mirror image.
    scf = run_scf(h4["a90"], "cc-pvdz")
    found = weights(expand(scf), scf)
    assert found[1] == pytest.approx(found[0], rel=1e-6)
    np.testing.assert_allclose(found[2:6] / found[0], 0.5, atol=0.02)
    assert found[6] / found[0] < 0.25  # two electrons on one atom
    assert expand(scf).energy < scf.energy - 5e-3
    assert len(expand(scf, most_pairs=3).up) == 6


def test_second_terms_are_mirror_images(h4):
    expansion = expand(run_scf(h4["a85"], "sto-3g"))
    np.testing.assert_array_equal(expansion.up[1::2], expansion.down[::2])
    np.testing.assert_array_equal(expansion.down[1::2], expansion.up[::2])


def test_the_whole_sum_is_the_configuration_interactions_wavefunction(h4, monkeypatch):
    # Evaluated from coefficients and determinants by hand, up to one factor for all walkers.
    monkeypatch.setattr("ferminet.chemistry.expansion.SMALLEST_WEIGHT", 0.0)
    seen = {}
    original = module._configuration_interaction

    def spy(mol, orbitals, n_active, n_electrons):
        energy, coefficients = original(mol, orbitals, n_active, n_electrons)
        seen.update(orbitals=orbitals, coefficients=coefficients)
        return energy, coefficients

    monkeypatch.setattr(module, "_configuration_interaction", spy)
    molecule = h4["a85"]
    scf = run_scf(molecule, "sto-3g")
    terms = expand(scf, most_pairs=36)
    orbitals = scf.orbitals._replace(terms_up=terms.up, terms_down=terms.down)
    nuclei = Nuclei(jnp.asarray(molecule.coords), jnp.asarray(molecule.charges))
    ansatz = slater.build_terms(AnsatzSpec(2, 2, 4, orbitals))
    ratios = []
    for walker in jnp.asarray(np.random.default_rng(0).normal(size=(4, 4, 3))):
        psi = ansatz.apply({}, walker, nuclei)
        values = np.asarray(eval_gto(orbitals.basis, walker, nuclei.coords)) @ seen["orbitals"]
        pairs = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]  # strings in PySCF's order
        dets = [
            [np.linalg.det(values[spin][:, pair]) for pair in pairs]
            for spin in (slice(0, 2), slice(2, 4))
        ]
        by_hand = np.array(dets[0]) @ seen["coefficients"] @ np.array(dets[1])
        ratios.append(by_hand / float(psi.sign * jnp.exp(psi.logabs)))
    # The eigenvector is converged to about 1e-5.
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)


def test_without_broken_bonds_the_expansion_is_the_determinant():
    atom = {
        "name": "test",
        "title": "test",
        "kind": "atom",
        "unit": "bohr",
        "charge": 0,
        "source": "a test",
    }
    lithium = {**atom, "atoms": [["Li", [0, 0, 0]]], "unpaired_electrons": 1}
    scf = run_scf(system_from_mapping(lithium).geometries["eq"], "sto-3g")
    assert scf.orbitals.terms_up.shape[0] == 1
    np.testing.assert_array_equal(scf.orbitals.terms_up[0], scf.orbitals.coefficients_up)
    helium = {**atom, "atoms": [["He", [0, 0, 0]]], "unpaired_electrons": 0}
    scf = run_scf(system_from_mapping(helium).geometries["eq"], "sto-3g")
    assert scf.orbitals.terms_up.shape[0] == 2
    assert scf.expansion_energy is None
