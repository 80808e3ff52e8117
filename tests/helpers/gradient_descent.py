"""Plain gradient descent, as somebody would write it for a study: an optimiser in one file."""

import jax

from ferminet.vmc.optimizers.base import Optimizer, OptimizerSpec, gradient_of_energy


def make(spec: OptimizerSpec, *, factor: float = 1.0) -> Optimizer:
    """Make gradient descent.

    Args:
        spec: wavefunction and learning rate.
        factor: of the learning rate.
    """

    def init(key, params, electrons, nuclei):
        del key, params, electrons, nuclei
        return ()

    def update(key, weights, state, params, electrons, nuclei, iteration):
        del key
        gradient = gradient_of_energy(spec.ansatz, params, electrons, nuclei, weights)
        rate = factor * spec.learning_rate(iteration)
        return jax.tree.map(lambda p, g: p - (rate * g).astype(p.dtype), params, gradient), state

    return Optimizer(init, update)
