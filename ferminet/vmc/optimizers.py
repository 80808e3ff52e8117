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
        rate = rate * norm_scale(natural, gradient, rate, config.norm_constraint)
        params = jax.tree.map(lambda p, n: p - (rate * n).astype(p.dtype), params, natural)
        return params, preconditioner.increment_count(state)

    return Optimizer(init, update)


def norm_scale(natural: Params, gradient: Params, rate: Array, constraint: float) -> Array:
    """Factor <= 1 that keeps the step's squared Fisher norm within the constraint.

    With the step d = rate F^-1 g, d^T F d = rate^2 g^T F^-1 g (Ba, Grosse, Martens 2017, sec. 5).
    """
    products = jax.tree.map(lambda n, g: jnp.sum(n * g), natural, gradient)
    squared = rate**2 * sum(jax.tree.leaves(products))
    return jnp.minimum(1.0, jnp.sqrt(constraint / jnp.maximum(squared, 1e-30)))
