"""The Hamiltonian against exact eigenfunctions, PySCF's numbers and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz.base import Ansatz, LogPsi
from ferminet.chemistry.mol import build_mol
from ferminet.systems.files import load_systems
from ferminet.vmc.hamiltonian import (
    batched_local_energy,
    forward_laplacian_kinetic,
    local_energy,
    nuclear_repulsion,
    potential_energy,
)

N_WALKERS = 64


def walkers(n_electrons: int, seed: int = 0, scale: float = 1.0):
    """Positions without relation to any wavefunction, (n_walkers, n_electrons, 3) in bohr."""
    shape = (N_WALKERS, n_electrons, 3)
    return jnp.asarray(np.random.default_rng(seed).normal(scale=scale, size=shape))


@pytest.mark.parametrize(
    ("name", "geometry"),
    [("H", "eq"), ("LiH", "eq"), ("CH4", "eq"), ("ethene", "eq"), ("H4", "a90"), ("ozone", "eq")],
)
def test_nuclear_repulsion_agrees_with_pyscf(root, make_nuclei, name, geometry):
    molecule = load_systems(root / "molecules")[name].geometries[geometry]
    rows = np.column_stack([molecule.charges, molecule.coords]).tolist()
    ours = float(nuclear_repulsion(make_nuclei(rows)))
    assert ours == pytest.approx(build_mol(molecule, "sto-3g").energy_nuc(), abs=1e-10)


@pytest.mark.parametrize("charge", [1.0, 2.0, 3.0, 4.0])
def test_local_energy_of_a_hydrogen_like_eigenstate_is_constant(make_hydrogenic, charge):
    problem = make_hydrogenic(charge, charge)
    params = problem.ansatz.init(jax.random.key(0), problem.nuclei)
    energies = jax.jit(batched_local_energy(local_energy(problem.ansatz)))
    parts = energies(params, walkers(1), problem.nuclei)
    np.testing.assert_allclose(parts.total, -0.5 * charge**2, atol=1e-10)
    np.testing.assert_allclose(parts.kinetic + parts.potential, parts.total, atol=1e-12)
    # The parts are not constant: the claim is about their sum.
    assert np.std(parts.kinetic) > 0.1


def test_local_energy_varies_with_a_wrong_exponent(make_hydrogenic):
    problem = make_hydrogenic(1.0, 1.2)
    params = problem.ansatz.init(jax.random.key(0), problem.nuclei)
    energies = jax.jit(jax.vmap(local_energy(problem.ansatz), (None, 0, None)))
    assert np.std(energies(params, walkers(1), problem.nuclei).total) > 0.01


def test_hookes_atom_has_energy_2_at_every_walker(make_nuclei):
    # Taut, Phys. Rev. A 48, 3561 (1993): two electrons in a harmonic trap of k = 1/4.
    def apply(params, electrons, nuclei):
        del params, nuclei
        distance = jnp.linalg.norm(electrons[0] - electrons[1])
        logabs = jnp.log1p(0.5 * distance) - 0.25 * jnp.sum(electrons**2)
        return LogPsi(jnp.ones(()), logabs)

    kinetic = forward_laplacian_kinetic(Ansatz(lambda key, nuclei: {}, apply))
    # A nucleus without charge leaves the repulsion of the electrons alone.
    nothing = make_nuclei([[0.0, 0.0, 0.0, 0.0]])

    def energy(electrons):
        trap = 0.125 * jnp.sum(electrons**2)
        return kinetic({}, electrons, nothing) + potential_energy(electrons, nothing) + trap

    np.testing.assert_allclose(jax.jit(jax.vmap(energy))(walkers(2, scale=2.0)), 2.0, atol=1e-6)


@pytest.mark.parametrize("arrangement", ["one at each", "Heitler-London"])
def test_two_hydrogens_far_apart_have_twice_the_energy_of_one(make_nuclei, arrangement):
    nuclei = make_nuclei([[1.0, 0.0, 0.0, -10.0], [1.0, 0.0, 0.0, 10.0]])

    def apply(params, electrons, nuclei):
        del params
        distances = jnp.linalg.norm(electrons[:, None] - nuclei.coords, axis=-1)
        direct = -distances[0, 0] - distances[1, 1]
        exchanged = -distances[0, 1] - distances[1, 0]
        both = jnp.logaddexp(direct, exchanged)
        return LogPsi(jnp.ones(()), direct if arrangement == "one at each" else both)

    # One electron near each nucleus: at 20 bohr two neutral atoms attract by 1e-7 hartree, but
    # single walkers see the dipoles of the moment, of order r^2 / R^3; the mean over directions of
    # each electron about its nucleus removes them.
    offsets = np.asarray(walkers(2, seed=1, scale=0.7))
    signs = np.array([[a, b] for a in (1, -1) for b in (1, -1)])[:, None, :, None]
    axes = [np.roll(offsets, shift, axis=-1) for shift in range(3)]
    offsets = np.concatenate([signs * axis for axis in axes]).reshape(-1, 2, 3)
    electrons = jnp.asarray(offsets) + nuclei.coords
    one = local_energy(Ansatz(lambda key, nuclei: {}, apply))
    energy = jax.jit(jax.vmap(one, (None, 0, None)))
    energies = np.asarray(energy({}, electrons, nuclei).total)
    assert energies.mean() == pytest.approx(-1.0, abs=2e-5)
    assert np.abs(energies + 1.0).max() < 0.01


def test_local_energy_agrees_with_finite_differences(make_tiny, any_params):
    problem = make_tiny([[2.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 2.0]], 1, 1)
    params = any_params(problem)
    electrons = np.asarray(walkers(2, seed=2)[0])
    step = 2e-3

    # psi relative to its value here: (nabla^2 psi) / psi needs no logarithm.
    @jax.jit
    @jax.vmap
    def ratio(moved):
        here = problem.ansatz.apply(params, jnp.asarray(electrons), problem.nuclei)
        there = problem.ansatz.apply(params, moved, problem.nuclei)
        return here.sign * there.sign * jnp.exp(there.logabs - here.logabs)

    moved = []
    for electron in range(2):
        for axis in range(3):
            for steps in (-2, -1, 1, 2):
                shifted = electrons.copy()
                shifted[electron, axis] += steps * step
                moved.append(shifted)
    values = np.asarray(ratio(jnp.asarray(np.array(moved)))).reshape(6, 4)
    # Fourth-order second derivative: error about step^4 times the sixth derivative, < 1e-6 here.
    second = (values @ np.array([-1.0, 16.0, 16.0, -1.0]) - 30.0) / (12.0 * step**2)
    charges, coords = np.asarray(problem.nuclei.charges), np.asarray(problem.nuclei.coords)
    potential = 2.0 * 1.0 / 2.0
    for i in range(2):
        potential -= np.sum(charges / np.linalg.norm(electrons[i] - coords, axis=1))
        potential += sum(1.0 / np.linalg.norm(electrons[i] - electrons[j]) for j in range(i))
    expected = -0.5 * second.sum() + potential
    energy = jax.jit(local_energy(problem.ansatz))
    ours = energy(params, jnp.asarray(electrons), problem.nuclei)
    assert float(ours.total) == pytest.approx(expected, abs=1e-5)
    assert float(ours.potential) == pytest.approx(potential, abs=1e-10)


def test_chunks_do_not_change_the_energies(make_hydrogenic):
    problem = make_hydrogenic(1.0, 1.3)
    params = problem.ansatz.init(jax.random.key(0), problem.nuclei)
    energy = local_energy(problem.ansatz)
    at_once, in_chunks = (
        jax.jit(function)(params, walkers(1), problem.nuclei)
        # 64 walkers in chunks of 24: the last one is not full.
        for function in (jax.vmap(energy, (None, 0, None)), batched_local_energy(energy, chunk=24))
    )
    np.testing.assert_allclose(in_chunks.total, at_once.total, rtol=1e-12)
