"""Nonlinear least squares by the method of Levenberg and Marquardt, for networks.

Marquardt, J. Soc. Ind. Appl. Math. 11, 431 (1963). With residuals r and their Jacobian J, a step x
solves (J^T J + damping) x = -J^T r, and the damping follows from how well the linear model predicts
the decrease of |r|^2. A few conjugate-gradient iterations that start from most of the last step
solve the system; J enters only through its products (Martens, ICML 2010), so no array has
residuals x parameters.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Array, Params
from ferminet.vmc.conjugate_gradients import conjugate_gradients

CG_ITERATIONS = 10
MOMENTUM = 0.9  # share of the last step from which the conjugate gradients start
# With 1e-3, half of ten nitrogen atoms kept an orbital that an early step had carried too far
# (docs/notebook/2026-11-30-pretraining.md).
FIRST_DAMPING = 1e-2
LEAST_DAMPING, LARGEST_DAMPING = 1e-8, 1e3


class Fit(NamedTuple):
    """A method that minimises the sum of the squares of residuals, as two pure functions."""

    init: Callable[[Params], Any]  # parameters -> state
    # (residuals, params, state) -> (params, state, the sum of squares before the step, ())
    step: Callable[..., tuple[Params, Any, Array]]


class LeastSquaresState(NamedTuple):
    """What a step leaves to the next."""

    step: Params  # the last one; zero if it was rejected
    damping: Array  # ()


def init(params: Params) -> LeastSquaresState:
    """Return the state before the first step."""
    dtype = jax.tree.leaves(params)[0].dtype
    return LeastSquaresState(
        jax.tree.map(jnp.zeros_like, params), jnp.asarray(FIRST_DAMPING, dtype)
    )


def step(
    residuals: Callable[[Params], Array], params: Params, state: LeastSquaresState
) -> tuple[Params, LeastSquaresState, Array]:
    """Do one step; return parameters, state and the sum of squares before it, shape ().

    A step that does not lower the sum of squares is rejected.
    """
    before, forward = jax.linearize(residuals, params)
    backward = jax.linear_transpose(forward, params)

    def product(direction: Params) -> Params:
        (squared,) = backward(forward(direction))
        return jax.tree.map(lambda s, d: s + state.damping * d, squared, direction)

    (gradient,) = backward(-before)
    start = jax.tree.map(lambda s: MOMENTUM * s, state.step)
    change, _ = conjugate_gradients(product, gradient, CG_ITERATIONS, start=start)
    moved = jax.tree.map(jnp.add, params, change)

    squares = lambda values: jnp.sum(values**2)  # noqa: E731
    loss, after, predicted = map(squares, (before, residuals(moved), before + forward(change)))
    accepted = after < loss
    agreement = (loss - after) / (loss - predicted)
    factor = jnp.where(agreement > 0.75, 0.7, jnp.where(agreement < 0.25, 2.0, 1.0))
    keep = lambda new, old: jnp.where(accepted, new, old)  # noqa: E731
    change = jax.tree.map(lambda c: keep(c, jnp.zeros_like(c)), change)
    damping = jnp.clip(keep(factor, 2.0) * state.damping, LEAST_DAMPING, LARGEST_DAMPING)
    return jax.tree.map(keep, moved, params), LeastSquaresState(change, damping), loss


METHOD = Fit(init, step)
