"""Adam (Kingma and Ba, ICLR 2015, arXiv:1412.6980), from optax."""

from typing import cast

import optax

from ferminet.vmc.optimizers.base import Optimizer, OptimizerSpec, gradient_of_energy


def make(spec: OptimizerSpec) -> Optimizer:
    """Make Adam with optax's default moments."""
    transform = optax.adam(cast(optax.Schedule, spec.learning_rate))

    def update(key, weights, state, params, electrons, nuclei, iteration):
        del key, iteration  # optax counts by itself
        gradient = gradient_of_energy(spec.ansatz, params, electrons, nuclei, weights)
        updates, state = transform.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    return Optimizer(lambda key, params, *_: transform.init(params), update)
