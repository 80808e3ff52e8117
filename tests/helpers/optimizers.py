"""What the tests of the optimisers share."""

import jax
import jax.numpy as jnp

from ferminet.config import OptimizerConfig
from ferminet.vmc.loss import energy_gradient, gradient_weights
from ferminet.vmc.optimizers.kfac_jax import kfac_preconditioner
from ferminet.vmc.sampling import batched_logabs


def config(name: str, **more) -> OptimizerConfig:
    """Settings without the checks, so that a learning rate of 0 is possible."""
    return OptimizerConfig.model_construct(
        **{**OptimizerConfig().model_dump(), "name": name} | more
    )


def weights_of(electrons):
    """Weights as training makes them, of energies that depend on the walkers smoothly."""
    energies = -1.0 + 0.3 * jnp.tanh(jnp.sum(electrons**2, axis=(1, 2)) - 2.0)
    return gradient_weights(energies, 5.0)


def gradient_of(problem, params, electrons):
    """The gradient that belongs to them."""
    return energy_gradient(
        lambda p: batched_logabs(problem.ansatz, p, problem.nuclei),
        params,
        electrons,
        weights_of(electrons),
    )


def preconditioned(problem, start, damping, n_updates=1, **more):
    """F^-1 g as KFAC has it after some updates at the same place, flat."""
    params, electrons, gradient = start
    settings = config("kfac", damping=damping, covariance_decay=0.99, **more)
    preconditioner = kfac_preconditioner(settings, problem.ansatz)
    state = preconditioner.init((params, problem.nuclei, electrons), jax.random.key(0))

    @jax.jit
    def update(key, state):
        state = preconditioner.maybe_update(state, (params, problem.nuclei, electrons), key)
        return preconditioner.increment_count(state)

    for index in range(n_updates):
        state = update(jax.random.key(index + 1), state)
    return preconditioner.apply(gradient, state)
