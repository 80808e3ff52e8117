"""The three jitted programs of an optimisation.

They are separate so that the first two, which do not contain the optimiser, are found in the
compilation cache by every later process of the same shape.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, Array, Nuclei, Params
from ferminet.config import SamplerConfig
from ferminet.vmc.hamiltonian import batched_local_energy, local_energy
from ferminet.vmc.loss import energy_gradient, energy_statistics, gradient_weights
from ferminet.vmc.optimizers import Optimizer
from ferminet.vmc.sampling import Moves, adapt_step_size, batched_logabs, sweep

BURN_IN_RATE = 1.0  # of the adaptation of log(step size) per sweep
TRAINING_RATE = 0.1


class Problem(NamedTuple):
    """A wavefunction and the system it is for."""

    ansatz: Ansatz
    nuclei: Nuclei
    n_up: int
    n_down: int


class IterationInfo(NamedTuple):
    """What one iteration reports, shape () each; energies in hartree, never clipped."""

    energy: Array
    variance: Array
    n_nonfinite: Array
    acceptance: Array
    exchange_acceptance: Array
    step_size: Array  # bohr, that the iteration was sampled with


def average_weight(iteration: Array, exponent: float) -> Array:
    """Weight of the newest parameters in their polynomial-decay average.

    (k + 1) / (t + k) at t = 1, 2, ... (Shamir and Zhang, ICML 2013): about the mean over the last
    1/(k + 1) of all iterations, however many there will be. Exponent 0 is the plain mean.

    Args:
        iteration: t - 1, counted from zero.
        exponent: k.
    """
    return (exponent + 1.0) / (iteration + 1.0 + exponent)


def sweep_once(problem: Problem, sampler: SamplerConfig, key, params, electrons, step_size, nuclei):
    """One sweep of the walkers as the configuration says; returns walkers and acceptances."""
    return sweep(
        key,
        electrons,
        batched_logabs(problem.ansatz, params, nuclei),
        Moves(nuclei, step_size, problem.n_up, sampler.exchange_probability),
        sampler.decorrelation_steps,
    )


def make_burn_in(problem: Problem, sampler: SamplerConfig) -> Callable:
    """``(key, params, electrons, step_size, nuclei) -> (electrons, step_size, acceptance)``.

    Moves the walkers and brings the step size to its target acceptance.
    """

    @jax.jit
    def burn_in(key, params, electrons, step_size, nuclei):
        walkers, info = sweep_once(problem, sampler, key, params, electrons, step_size, nuclei)
        step_size = adapt_step_size(
            step_size, info.acceptance, sampler.target_acceptance, BURN_IN_RATE
        )
        return walkers.electrons, step_size, info.acceptance

    return burn_in


def make_sample(problem: Problem, sampler: SamplerConfig, clip: float) -> Callable:
    """``(key, params, electrons, step_size, nuclei) -> (electrons, step_size, gradient, info)``."""
    energies_of = batched_local_energy(local_energy(problem.ansatz))

    @jax.jit
    def sample(key, params, electrons, step_size, nuclei):
        walkers, moves = sweep_once(problem, sampler, key, params, electrons, step_size, nuclei)
        energies = energies_of(params, walkers.electrons, nuclei).total
        gradient = energy_gradient(
            lambda p: batched_logabs(problem.ansatz, p, nuclei),
            params,
            walkers.electrons,
            gradient_weights(energies, clip),
        )
        info = IterationInfo(*energy_statistics(energies), *moves, step_size)
        step_size = adapt_step_size(
            step_size, moves.acceptance, sampler.target_acceptance, TRAINING_RATE
        )
        return walkers.electrons, step_size, gradient, info

    return sample


def make_update(optimizer: Optimizer, averaging: float) -> Callable:
    """The optimiser's step and the running average of the parameters.

    ``(key, gradient, optimizer_state, params, average, electrons, nuclei, iteration) ->
    (params, average, optimizer_state)``.
    """

    @jax.jit
    def update(key, gradient, optimizer_state, params, average, electrons, nuclei, iteration):
        params, optimizer_state = optimizer.update(
            key, gradient, optimizer_state, params, electrons, nuclei, iteration
        )
        weight = average_weight(iteration, averaging)
        average = jax.tree.map(lambda a, p: a + (weight * (p - a)).astype(a.dtype), average, params)
        return params, average, optimizer_state

    return update


def zeros_like_output(function: Callable, *args) -> Params:
    """A pytree of zeros shaped like a function's result, without computing it."""
    shapes = jax.eval_shape(function, *args)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
