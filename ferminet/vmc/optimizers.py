"""Optimisers of the variational energy behind one pair of pure functions.

The gradient that they are given is the true one, 2 <(E_L - E) grad log|psi|>, and KFAC's curvature
is the Fisher information of |psi|^2, 4 <grad log|psi| grad log|psi|^T>; docs/physics.md compares
these factors with those of the published codes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ferminet.ansatz.base import Ansatz, Array, Nuclei, Params
from ferminet.config import OptimizerConfig
from ferminet.vmc.sampling import batched_logabs

OptimizerState = Any  # a pytree of arrays


class Optimizer(NamedTuple):
    """An optimiser as two pure functions.

    Attributes:
        init: ``(key, params, electrons, nuclei) -> state``.
        update: ``(key, gradient, state, params, electrons, nuclei, iteration) -> (params, state)``.
    """

    init: Callable[[Array, Params, Array, Nuclei], OptimizerState]
    update: Callable[..., tuple[Params, OptimizerState]]


def learning_rate_schedule(config: OptimizerConfig) -> Callable[[Array], Array]:
    """min(1, (t + 1) / warmup) eta_0 / (1 + t / delay)^decay at iteration t = 0, 1, ...

    It does not depend on the number of iterations asked for: a run can be continued to more
    iterations as if they had been asked for at once.
    """

    def schedule(iteration: Array) -> Array:
        relative = 1.0 + iteration / config.learning_rate_delay
        warmed = jnp.minimum(1.0, (iteration + 1.0) / max(config.learning_rate_warmup, 1))
        return config.learning_rate * warmed * relative**-config.learning_rate_decay

    return schedule


def make_optimizer(config: OptimizerConfig, ansatz: Ansatz) -> Optimizer:
    """The optimiser that the configuration names."""
    schedule = learning_rate_schedule(config)
    if config.name == "adam":
        return _adam(schedule)
    return _kfac(config, ansatz, schedule)


def _adam(schedule) -> Optimizer:
    transform = optax.adam(schedule)

    def init(key, params, electrons, nuclei):
        del key, electrons, nuclei
        return transform.init(params)

    def update(key, gradient, state, params, electrons, nuclei, iteration):
        del key, electrons, nuclei, iteration  # optax counts by itself
        updates, state = transform.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    return Optimizer(init, update)


def _kfac(config: OptimizerConfig, ansatz: Ansatz, schedule) -> Optimizer:
    # kfac-jax takes a second to import, which only training has use for.
    from ferminet.vmc.optimizers_kfac import kfac_preconditioner

    preconditioner = kfac_preconditioner(config, ansatz)

    def init(key, params, electrons, nuclei):
        return preconditioner.init((params, nuclei, electrons), key)

    def update(key, gradient, state, params, electrons, nuclei, iteration):
        state = preconditioner.maybe_update(state, (params, nuclei, electrons), key)
        natural = preconditioner.apply(gradient, state)
        rate = schedule(iteration)
        step = jax.tree.map(lambda p, n: -(rate * n).astype(p.dtype), params, natural)
        squared = fisher_norm(lambda p: batched_logabs(ansatz, p, nuclei)(electrons), params, step)
        scale = jnp.minimum(1.0, jnp.sqrt(config.norm_constraint / jnp.maximum(squared, 1e-30)))
        params = jax.tree.map(lambda p, d: p + (scale * d).astype(p.dtype), params, step)
        return params, preconditioner.increment_count(state)

    return Optimizer(init, update)


def fisher_norm(logabs_of: Callable[[Params], Array], params: Params, step: Params) -> Array:
    """The squared Fisher norm d^T F d of a step d over the walkers at hand, shape ().

    F = 4 cov(grad log|psi|) is the Fisher information of |psi|^2, so this is four times the
    variance of the change of log|psi|. It is exact, as in Martens and Grosse 2015, sec. 6.4: where
    KFAC's running averages are blind, as for an orbital that no walker has been near to and one now
    is, its own estimate of the norm is as wrong as its step.

    Args:
        logabs_of: ``params -> log|psi|`` of all walkers, (n_walkers,).
        params: the parameters.
        step: a change of them.
    """
    _, change = jax.jvp(logabs_of, (params,), (step,))
    return 4.0 * jnp.var(change)
