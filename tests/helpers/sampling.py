"""Walkers' means of quantities over Metropolis sweeps."""

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.vmc import sampling
from ferminet.vmc.statistics import walker_estimate

N_WALKERS = 2048
N_SWEEPS = 60
MAX_Z = 4.0  # fails by chance in 6 of 100,000 cases


def moments(problem, params, electrons, quantities, step_size, exchange=0.0, steps=2, hop=0.0):
    """z-scores' raw material: walkers' means over sweeps of each quantity of ``quantities``.

    Compiled anew at each call, so that what a test has replaced is used.
    """
    moves = sampling.Moves(problem.nuclei, jnp.asarray(step_size), problem.n_up, exchange, hop)
    logabs = sampling.batched_logabs(problem.ansatz, params, problem.nuclei)

    @jax.jit
    def run(key, electrons):
        def one(electrons, one_key):
            walkers, info = sampling.sweep(one_key, electrons, logabs, moves, steps)
            return walkers.electrons, (jax.vmap(quantities)(walkers.electrons), info)

        return jax.lax.scan(one, electrons, jax.random.split(key, N_SWEEPS))

    final, (values, info) = run(jax.random.key(11), electrons)
    return final, {name: walker_estimate(np.asarray(v)) for name, v in values.items()}, info
