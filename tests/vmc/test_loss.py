"""The gradient of the energy: its exact value, its window, its zeros."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.vmc.hamiltonian import batched_local_energy, local_energy
from ferminet.vmc.optimizers.base import (
    bounded_weights,
    energy_statistics,
    gradient_of_energy,
    gradient_weights,
)

N_WALKERS = 20_000


def gradient_of(problem, params, electrons, weights):
    return gradient_of_energy(problem.ansatz, params, electrons, problem.nuclei, weights)


@pytest.mark.parametrize(("charge", "zeta"), [(1.0, 0.8), (1.0, 1.3), (3.0, 2.5)])
def test_gradient_of_a_hydrogenic_exponent_is_exact(
    make_hydrogenic, hydrogen_walkers, charge, zeta
):
    # E(zeta) = zeta^2 / 2 - Z zeta, so its derivative is zeta - Z.
    problem = make_hydrogenic(charge, zeta)
    params = {"zeta": jnp.asarray(zeta)}
    electrons = hydrogen_walkers(N_WALKERS, zeta, 8)
    energies = jax.jit(batched_local_energy(local_energy(problem.ansatz), chunk=1000))
    local = energies(params, electrons, problem.nuclei).total
    gradient = float(gradient_of(problem, params, electrons, gradient_weights(local, 0.0))["zeta"])
    # Each walker's own term, for the error: d log psi / d zeta = -r.
    energy = 0.5 * zeta**2 - charge * zeta
    terms = -2.0 * (np.asarray(local) - energy) * np.linalg.norm(electrons[:, 0], axis=-1)
    error = terms.std() / np.sqrt(N_WALKERS)
    assert error < 0.1 * abs(zeta - charge)
    assert abs(gradient - (zeta - charge)) < 3.0 * error


def test_a_constant_local_energy_has_no_gradient(make_tiny, any_params):
    problem = make_tiny([[1.0, 0.0, 0.0, 0.0]], 1, 1)
    params = any_params(problem)
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(16, 2, 3)))
    compiled = jax.jit(lambda weights: gradient_of(problem, params, electrons, weights))
    for clip in (0.0, 5.0):
        gradient = compiled(gradient_weights(jnp.full(16, -2.75), clip))
        for leaf in jax.tree.leaves(gradient):
            np.testing.assert_array_equal(leaf, 0.0)
    # The same walkers do have a gradient when their energies differ.
    weights = gradient_weights(jnp.linspace(-3.0, -2.0, 16), 5.0)
    leaves = jax.tree.leaves(compiled(weights))
    assert max(float(jnp.max(jnp.abs(leaf))) for leaf in leaves) > 1e-3


def test_energies_are_clipped_at_the_median_plus_mean_absolute_deviations():
    energies = np.array([-5.0, -2.0, -1.0, 0.0, 1.0, 2.0, 300.0])
    clip = 1.5
    width = clip * np.mean(np.abs(energies - 0.0))  # median 0
    assert 2.0 < width < 300.0
    clipped = np.clip(energies, -width, width)
    expected = 2.0 * (clipped - clipped.mean()) / 7
    np.testing.assert_allclose(gradient_weights(jnp.asarray(energies), clip), expected, rtol=1e-12)
    # Without clipping the outlier keeps its weight.
    free = 2.0 * (energies - energies.mean()) / 7
    np.testing.assert_allclose(gradient_weights(jnp.asarray(energies), 0.0), free, rtol=1e-12)


@pytest.mark.parametrize("clip", [0.0, 1.0, 5.0])
def test_weights_sum_to_zero(clip):
    energies = np.random.default_rng(1).standard_cauchy(size=501) - 7.5
    assert abs(float(jnp.sum(gradient_weights(jnp.asarray(energies), clip)))) < 1e-12


def test_weights_of_walkers_beyond_the_limit_are_reduced():
    change = np.array([-1.0, -0.5, 0.0, 0.5, 1.0, 0.0, 97.0]) + 3.0  # mean deviation 100/7
    weights = np.array([0.1, -0.3, 0.2, 0.4, -0.5, 0.3, -0.2])
    found = bounded_weights(jnp.asarray(weights), jnp.asarray(change), 2.0)
    expected = weights * np.array([1, 1, 1, 1, 1, 1, 2.0 * 100.0 / 7.0 / 97.0])
    np.testing.assert_allclose(found, expected - expected.mean(), rtol=1e-12)
    # Far from the limit, or where nothing changes, they stay what they are.
    for harmless in (change[:6], np.zeros(6)):
        found = bounded_weights(jnp.asarray(weights[:6]), jnp.asarray(harmless), 20.0)
        np.testing.assert_allclose(found, weights[:6] - weights[:6].mean(), rtol=1e-12)


def test_clipping_does_not_depend_on_the_origin_of_the_energy():
    energies = np.random.default_rng(2).standard_cauchy(size=100)
    weights = gradient_weights(jnp.asarray(energies), 5.0)
    shifted = gradient_weights(jnp.asarray(energies - 100.0), 5.0)
    np.testing.assert_allclose(shifted, weights, atol=1e-12)


def test_reported_energies_are_never_clipped():
    energies = np.full(100, -1.0)
    energies[3] = 1e6
    statistics = energy_statistics(jnp.asarray(energies))
    assert float(statistics.energy) == pytest.approx(energies.mean(), rel=1e-12)
    assert float(statistics.variance) == pytest.approx(energies.var(), rel=1e-12)
    assert int(statistics.n_nonfinite) == 0


def test_non_finite_energies_are_counted():
    energies = jnp.array([-1.0, jnp.nan, jnp.inf, -2.0])
    assert int(energy_statistics(energies).n_nonfinite) == 2


def test_variance_in_single_precision_keeps_its_digits():
    energies = -100.0 + 1e-3 * np.random.default_rng(3).normal(size=2000)
    variance = energy_statistics(jnp.asarray(energies, jnp.float32)).variance
    # float32 resolves 100 to 8e-6: centred first, the variance of 1e-6 is good to a per cent.
    assert float(variance) == pytest.approx(energies.var(), rel=0.01)
