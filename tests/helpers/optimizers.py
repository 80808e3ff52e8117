"""Helpers of the optimisers' tests."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from ferminet.config import OptimizerConfig
from ferminet.vmc.optimizers.base import gradient_of_energy, gradient_weights
from ferminet.vmc.optimizers.kfac import make_curvature

try:
    from tests.helpers import kfac_jax
except (ImportError, AttributeError):  # it is missing, or too old for this JAX
    kfac_jax = None
needs_kfac_jax = pytest.mark.skipif(
    kfac_jax is None, reason="kfac-jax does not work with this version of JAX"
)


def config(name: str, **more) -> OptimizerConfig:
    """Return an optimiser's settings."""
    return OptimizerConfig(name=name, **more)


def weights_of(electrons):
    """Return gradient weights of energies that depend smoothly on the walkers."""
    energies = -1.0 + 0.3 * jnp.tanh(jnp.sum(electrons**2, axis=(1, 2)) - 2.0)
    return gradient_weights(energies, 5.0)


def gradient_of(problem, params, electrons):
    """Return the gradient with these weights."""
    return gradient_of_energy(
        problem.ansatz, params, electrons, problem.nuclei, weights_of(electrons)
    )


def preconditioned(problem, start, damping, n_updates=1, **more):
    """Return F^-1 g by our blocks after some updates with the same walkers."""
    params, electrons, _ = start
    settings = config("kfac", damping=damping, covariance_decay=0.99, **more)
    init, curvature = make_curvature(problem.ansatz, settings)

    @jax.jit
    def update(factors, index):
        maps, factors = curvature(factors, params, electrons, problem.nuclei, index)
        return maps.params_of(maps.divide(maps.gradient(weights_of(electrons)))), factors

    factors = init(params, electrons, problem.nuclei)
    for index in range(n_updates):
        direction, factors = update(factors, jnp.asarray(index))
    return direction


def preconditioned_by_kfac_jax(problem, start, damping, n_updates=1, **more):
    """Return F^-1 g by kfac-jax after some updates with the same walkers."""
    params, electrons, gradient = start
    settings = config("kfac", damping=damping, covariance_decay=0.99, **more)
    assert kfac_jax is not None, "mark the test with needs_kfac_jax"
    preconditioner = kfac_jax.kfac_preconditioner(settings, problem.ansatz)
    state = preconditioner.init((params, problem.nuclei, electrons), jax.random.key(0))

    @jax.jit
    def update(key, state):
        state = preconditioner.maybe_update(state, (params, problem.nuclei, electrons), key)
        return preconditioner.increment_count(state)

    for index in range(n_updates):
        state = update(jax.random.key(index + 1), state)
    return preconditioner.apply(gradient, state)


def slopes_of(problem, params, electrons):
    """Return grad log|psi| of each walker, (n_walkers, n_parameters)."""
    flat, unravel = ravel_pytree(params)

    def logabs(vector, walker):
        return problem.ansatz.apply(unravel(vector), walker, problem.nuclei).logabs

    return np.asarray(jax.jit(jax.vmap(jax.grad(logabs), (None, 0)))(flat, electrons))


def fisher_of(slopes, *, centred=True):
    """Return the Fisher information of |psi|^2, 4 cov(O); not centred: 4 <O O^T>."""
    if centred:
        slopes = slopes - np.mean(slopes, axis=0)
    return 4.0 * slopes.T @ slopes / len(slopes)
