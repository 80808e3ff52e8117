"""SPRING: the natural gradient over the current walkers, with a memory of past steps.

Goldshlager, Abrahamsen and Lin, J. Comput. Phys. 516, 113351 (2024), arXiv:2401.10190, eq. 31.
O holds the walkers' centred derivatives of log|psi| times 2 / sqrt(n), so that O^T O is the Fisher
information, and O^T e is the gradient. The new direction d minimises
|O d - e|^2 + damping |d - momentum d_previous|^2. The size of the linear system is the number of
walkers, not of parameters.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import cho_factor, cho_solve

from ferminet.ansatz.base import Array, Nuclei
from ferminet.config import OptimizerConfig
from ferminet.vmc.geometries import centred, map_walkers
from ferminet.vmc.optimizers.base import Optimizer, OptimizerSpec, apply_limited


def make(spec: OptimizerSpec, config: OptimizerConfig) -> Optimizer:
    """Make SPRING; its state is the last direction, flat."""

    def update(key, weights, previous, params, electrons, nuclei, iteration):
        del key
        n_walkers = len(weights)
        flat, unravel = ravel_pytree(params)

        def derivatives(nuclei: Nuclei, walker: Array) -> Array:
            gradient = jax.grad(lambda p: spec.ansatz.apply(unravel(p), walker, nuclei).logabs)
            return gradient(flat)

        rows = map_walkers(derivatives, nuclei, electrons)
        rows = 2.0 * centred(rows, nuclei) / n_walkers**0.5
        decayed = config.momentum * previous
        rest = 0.5 * n_walkers**0.5 * weights - rows @ decayed
        direction = decayed + _direction(rows, config.damping, rest)
        step = -spec.learning_rate(iteration) * direction
        squared = jnp.sum((rows @ step) ** 2)
        return apply_limited(params, unravel(step), squared, config.norm_constraint), direction

    return Optimizer(lambda key, params, *_: jnp.zeros_like(ravel_pytree(params)[0]), update)


def _direction(rows: Array, damping: float, right: Array) -> Array:
    """Return rows^T (rows rows^T + damping)^-1 right, (n_params,), computed in float64.

    In float32 the rounding of the Gram matrix exceeds the damping if a walker is close to a node,
    and the matrix may not be positive.
    """
    with jax.enable_x64(True):
        double = partial(jnp.matmul, preferred_element_type=jnp.float64)
        gram = double(rows, rows.T) + damping * jnp.eye(len(rows), dtype=jnp.float64)
        solution = cho_solve(cho_factor(gram), right.astype(jnp.float64))
        return double(solution, rows).astype(rows.dtype)
