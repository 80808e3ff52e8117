"""The natural gradient over the walkers, with memory, by preconditioned conjugate gradients.

Let O_b = grad log|psi_b| be the derivatives at walker b of N, <O> their mean, F the Fisher
information of |psi|^2 over these walkers, g the gradient of the energy, lambda the damping, mu the
momentum, and d' the direction of the last iteration. The direction d solves

    (F + lambda) d = g + lambda mu d',   F = (4 / N) sum_b (O_b - <O>) (O_b - <O>)^T.

It minimises |F^1/2 d - F^-1/2 g|^2 + lambda |d - mu d'|^2: where the walkers fix d, they do, and
elsewhere d stays near the last one. This is SPRING's step (Goldshlager, Abrahamsen and Lin,
J. Comput. Phys. 516, 113351 (2024), eq. 31), but SPRING factorises the Gram matrix of all walkers:
its cost grows with walkers^2 x parameters. Here the correction x = d - mu d' solves

    (F + lambda) x = g - F mu d'

by conjugate gradients (Hestenes and Stiefel 1952) that KFAC's blocks K precondition. A product
F v needs no matrix and no walker's derivatives: c_b = O_b^T v is the change of log|psi_b| along v,
and F v = sum_b (4 / N) (c_b - <c>) O_b is a gradient with these weights. Time and memory are linear
in walkers and in parameters. The blocks are inverted once per iteration.

- Fixed point: with F and g constant, d = d' = (F + lambda (1 - mu))^-1 g. Memory therefore
  multiplies the damping by 1 - mu. It averages the noise of g over about 1 / (1 - mu) iterations
  in directions with a Fisher information below lambda; above, d follows the present walkers.
- One conjugate-gradient iteration takes the step of KFAC, K^-1 (g - F mu d'), with an exact line
  search along it. Many give the step of SPRING. They stop when the residual r, in the norm
  (r^T K^-1 r)^1/2, has fallen to `TOLERANCE` of its start, or at `cg_iterations`.

The length of the step is that of a trust region. KFAC and SPRING multiply d by a learning rate, and
the noise that a step leaves behind grows with the variance of the local energy; so each system
needs its own rate. Here the step is -t d with t = min(eta, (norm / d^T F d)^1/2) times the
schedule: it changes log|psi| by the same amount for every system until the rate eta is reached.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Array
from ferminet.config import OptimizerConfig
from ferminet.vmc.conjugate_gradients import conjugate_gradients
from ferminet.vmc.geometries import by_geometry, centred
from ferminet.vmc.optimizers import base
from ferminet.vmc.optimizers.base import FISHER, Optimizer, OptimizerSpec, OptimizerState
from ferminet.vmc.optimizers.kfac import Direction, make_curvature

TOLERANCE = 0.1  # of the conjugate gradients' residual, relative to its start


class NaturalState(NamedTuple):
    """What an iteration leaves to the next."""

    blocks: OptimizerState  # of KFAC
    direction: Direction  # the last one, before it was scaled to a step


def make(spec: OptimizerSpec, config: OptimizerConfig) -> Optimizer:
    """Make the optimiser; `influence` bounds walkers by their change in KFAC's step."""
    init_blocks, curvature = make_curvature(spec.ansatz, config, repeated=True)

    def init(key, params, electrons, nuclei):
        del key
        blocks = init_blocks(params, electrons, nuclei)

        def direction() -> Direction:
            maps, _ = curvature(blocks, params, electrons, nuclei, jnp.int32(0))
            return maps.gradient(jnp.zeros(len(electrons), electrons.dtype))

        zeros = lambda leaf: jnp.zeros(leaf.shape, leaf.dtype)  # noqa: E731
        return NaturalState(blocks, jax.tree.map(zeros, jax.eval_shape(direction)))

    def update(key, weights, state, params, electrons, nuclei, iteration):
        del key
        maps, blocks = curvature(state.blocks, params, electrons, nuclei, iteration)
        if config.influence:
            change = maps.change(maps.divide(maps.gradient(weights)))
            groups = by_geometry(weights, nuclei), by_geometry(change, nuclei)
            weights = base.bounded_weights(*groups, config.influence).reshape(-1)

        def fisher_weights(change: Array) -> Array:
            return FISHER / len(weights) * centred(change, nuclei)

        def damped_fisher(direction: Direction) -> Direction:
            product = maps.gradient(fisher_weights(maps.change(direction)))
            return jax.tree.map(lambda f, d: f + config.damping * d, product, direction)

        remembered = jax.tree.map(lambda d: config.momentum * d, state.direction)
        rest = maps.gradient(weights - fisher_weights(maps.change(remembered)))
        bounds = {"bound": config.cg_iterations, "tolerance": TOLERANCE}
        correction, _ = conjugate_gradients(damped_fisher, rest, divide=maps.divide, **bounds)
        direction = jax.tree.map(jnp.add, remembered, correction)

        squared = FISHER * jnp.mean(centred(maps.change(direction), nuclei) ** 2)
        longest = jnp.sqrt(config.norm_constraint / jnp.maximum(squared, 1e-30))
        schedule = spec.learning_rate(iteration) / config.learning_rate
        rate = schedule * jnp.minimum(config.learning_rate, longest)
        step = base.downhill(params, maps.params_of(direction), rate)
        return jax.tree.map(jnp.add, params, step), NaturalState(blocks, direction)

    return Optimizer(init, update)
