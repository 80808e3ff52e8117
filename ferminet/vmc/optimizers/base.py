"""Optimisers of the variational energy behind one pair of pure functions.

The gradient that they are given is the true one, 2 <(E_L - E) grad log|psi|>, and KFAC's curvature
is the Fisher information of |psi|^2, 4 <grad log|psi| grad log|psi|^T>; docs/explanation/physics.md
compares these factors with those of the published codes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import cho_factor, cho_solve

from ferminet.ansatz.base import Ansatz, Array, Nuclei, Params
from ferminet.config import OptimizerConfig
from ferminet.vmc.loss import bounded_weights, energy_gradient
from ferminet.vmc.optimizers.kfac import FISHER, make_kfac
from ferminet.vmc.sampling import batched_logabs

OptimizerState = Any  # a pytree of arrays


class Optimizer(NamedTuple):
    """An optimiser as two pure functions.

    Attributes:
        init: ``(key, params, electrons, nuclei) -> state``.
        update: ``(key, weights, state, params, electrons, nuclei, iteration) -> (params, state)``,
            with the walkers' weights (n_walkers,) in the gradient, see ``loss.gradient_weights``.
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
    kinds = {"adam": _adam, "kfac": _kfac, "spring": _spring}
    return kinds[config.name](config, ansatz, learning_rate_schedule(config))


def _gradient(ansatz: Ansatz, params: Params, electrons: Array, nuclei: Nuclei, weights: Array):
    return energy_gradient(lambda p: batched_logabs(ansatz, p, nuclei), params, electrons, weights)


def _adam(config: OptimizerConfig, ansatz: Ansatz, schedule) -> Optimizer:
    del config
    transform = optax.adam(schedule)

    def init(key, params, electrons, nuclei):
        del key, electrons, nuclei
        return transform.init(params)

    def update(key, weights, state, params, electrons, nuclei, iteration):
        del key, iteration  # optax counts by itself
        gradient = _gradient(ansatz, params, electrons, nuclei, weights)
        updates, state = transform.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    return Optimizer(init, update)


def _kfac(config: OptimizerConfig, ansatz: Ansatz, schedule) -> Optimizer:
    if ansatz.layered is None:
        return _kfac_by_pattern(config, ansatz, schedule)
    kfac = make_kfac(config, ansatz.layered)

    def init(key, params, electrons, nuclei):
        del key
        return kfac.init(params, electrons, nuclei)

    def update(key, weights, factors, params, electrons, nuclei, iteration):
        del key
        direction, squared, factors = kfac.step(
            params, electrons, nuclei, weights, factors, iteration
        )
        rate = schedule(iteration)
        step = _downhill(params, direction, rate)
        return _limited(params, step, rate**2 * squared, config), factors

    return Optimizer(init, update)


def _kfac_by_pattern(config: OptimizerConfig, ansatz: Ansatz, schedule) -> Optimizer:
    # kfac-jax takes a second to import, which only such wavefunctions have use for.
    from ferminet.vmc.optimizers.kfac_jax import kfac_preconditioner

    preconditioner = kfac_preconditioner(config, ansatz)

    def init(key, params, electrons, nuclei):
        return preconditioner.init((params, nuclei, electrons), key)

    def update(key, weights, state, params, electrons, nuclei, iteration):
        state = preconditioner.maybe_update(state, (params, nuclei, electrons), key)

        def step_of(weights: Array) -> tuple[Params, Array]:
            gradient = _gradient(ansatz, params, electrons, nuclei, weights)
            step = _downhill(params, preconditioner.apply(gradient, state), schedule(iteration))
            return step, change_along(
                lambda p: batched_logabs(ansatz, p, nuclei)(electrons), params, step
            )

        step, change = step_of(weights)
        if config.influence:
            step, change = step_of(bounded_weights(weights, change, config.influence))
        moved = _limited(params, step, FISHER * jnp.var(change), config)
        return moved, preconditioner.increment_count(state)

    return Optimizer(init, update)


def _spring(config: OptimizerConfig, ansatz: Ansatz, schedule) -> Optimizer:
    """SPRING: the natural gradient over the walkers at hand, with the memory of past steps.

    Goldshlager, Abrahamsen and Lin, J. Comput. Phys. 516, 113351 (2024), arXiv:2401.10190, eq. 31.
    With O the walkers' derivatives of log|psi|, centred, times 2 / sqrt(n), so that O^T O is the
    Fisher information, and e such that O^T e is the gradient, the new direction is the minimum of
    |O d - e|^2 + damping |d - momentum d_previous|^2. It takes a linear system of the walkers'
    number and not of the parameters'.
    """

    def init(key, params, electrons, nuclei):
        del key, electrons, nuclei
        return jnp.zeros_like(ravel_pytree(params)[0])

    def update(key, weights, previous, params, electrons, nuclei, iteration):
        del key
        n_walkers = len(weights)
        flat, unravel = ravel_pytree(params)

        def derivatives(walker: Array) -> Array:
            one = jax.grad(lambda p: ansatz.apply(unravel(p), walker, nuclei).logabs)
            return one(flat)

        rows = jax.vmap(derivatives)(electrons)
        rows = 2.0 * (rows - jnp.mean(rows, axis=0)) / n_walkers**0.5
        decayed = config.momentum * previous
        rest = 0.5 * n_walkers**0.5 * weights - rows @ decayed
        gram = rows @ rows.T + config.damping * jnp.eye(n_walkers, dtype=rows.dtype)
        direction = decayed + cho_solve(cho_factor(gram), rest) @ rows
        step = -schedule(iteration) * direction
        squared = jnp.sum((rows @ step) ** 2)
        return _limited(params, unravel(step), squared, config), direction

    return Optimizer(init, update)


def _downhill(params: Params, direction: Params, rate: Array) -> Params:
    return jax.tree.map(lambda p, d: -(rate * d).astype(p.dtype), params, direction)


def _limited(params: Params, step: Params, squared: Array, config: OptimizerConfig) -> Params:
    """The parameters after a step, shortened to the largest Fisher norm allowed."""
    scale = jnp.minimum(1.0, jnp.sqrt(config.norm_constraint / jnp.maximum(squared, 1e-30)))
    return jax.tree.map(lambda p, d: p + (scale * d).astype(p.dtype), params, step)


def change_along(logabs_of: Callable[[Params], Array], params: Params, step: Params) -> Array:
    """The change of log|psi| of each walker to first order in a step, (n_walkers,).

    F = 4 cov(grad log|psi|) is the Fisher information of |psi|^2, so four times its variance is the
    squared Fisher norm d^T F d of the step d over the walkers at hand. It is exact, as in Martens
    and Grosse 2015, sec. 6.4: where KFAC's running averages are blind, as for an orbital that no
    walker has been near to and one now is, its own estimate of the norm is as wrong as its step.

    Args:
        logabs_of: ``params -> log|psi|`` of all walkers, (n_walkers,).
        params: the parameters.
        step: a change of them.
    """
    return jax.jvp(logabs_of, (params,), (step,))[1]
