"""The state and one iteration of the optimisation of a wavefunction.

An iteration samples the wavefunction, measures the local energies, and takes a step of the
optimiser. The host loop around it, with checkpoints and history, is `stages.training`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.config import OptimizerConfig, SamplerConfig, TrainConfig
from ferminet.vmc.devices import replicate, shard_walkers
from ferminet.vmc.geometries import follow_nuclei, is_curve, nuclei_during_spread
from ferminet.vmc.optimizers.base import OptimizerState, make_optimizer
from ferminet.vmc.programs import (
    Problem,
    adapted_step_size,
    burn_in,
    gradient_weights_and_statistics,
    make_energies,
    make_sweep,
    make_update,
)

STEP_SIZE_RATE = 0.1  # of the adaptation of log(step size) per iteration


class TrainState(NamedTuple):
    """Everything that the next iteration depends on, apart from its number."""

    params: Params
    average: Params  # average of the parameters over the last part of training
    optimizer: OptimizerState
    electrons: Array  # (n_walkers, n_electrons, 3), bohr
    step_size: Array  # (), bohr; of a curve (n_geometries,)


class IterationInfo(NamedTuple):
    """The report of one iteration; energies in hartree, never clipped.

    The shape is (), or (n_geometries,) for a curve.
    """

    energy: Array
    variance: Array
    n_nonfinite: Array
    acceptance: Array
    exchange_acceptance: Array
    step_size: Array  # bohr, during the iteration


class TrainSettings(NamedTuple):
    """The blocks of the configuration that training reads."""

    sampler: SamplerConfig
    optimizer: OptimizerConfig
    train: TrainConfig
    seed: int


class Trainer:
    """The compiled programs of one training: `init` makes a state and `step` advances it."""

    def __init__(self, problem: Problem, settings: TrainSettings):
        self.problem, self.settings = problem, settings
        self.optimizer = make_optimizer(settings.optimizer, problem.ansatz)
        self.sweep = make_sweep(problem, *settings.sampler.shares())
        self.energies = make_energies(problem)
        self.update = make_update(self.optimizer, settings.train.averaging)
        # One key per purpose and iteration, so that a resumed run draws the same numbers.
        self.keys = jax.random.split(jax.random.key(settings.seed), 4)

    def init(self, params: Params, electrons: Array) -> TrainState:
        """Burn in from walkers (n_walkers, n_electrons, 3), bohr, and adapt the step size."""
        sampler, nuclei = self.settings.sampler, self.nuclei_at(0)
        params, electrons = replicate(params), shard_walkers(electrons)
        step_size = jnp.full(nuclei.coords.shape[:-2], sampler.step_size, electrons.dtype)
        keys = jax.random.split(self.keys[0], sampler.burn_in)
        electrons, step_size = burn_in(
            self.sweep, sampler, keys, params, electrons, step_size, nuclei
        )
        optimizer = self.optimizer.init(self.keys[3], params, electrons, nuclei)
        return TrainState(params, params, replicate(optimizer), electrons, step_size)

    def step(self, state: TrainState, iteration: int) -> tuple[TrainState, IterationInfo]:
        """Do one iteration; its random numbers depend only on the seed and on its number."""
        electrons, nuclei = state.electrons, self.nuclei_at(iteration)
        if self._spreads(iteration):
            electrons = follow_nuclei(electrons, self.nuclei_at(iteration - 1), nuclei)
        key_sample = jax.random.fold_in(self.keys[1], iteration)
        key_update = jax.random.fold_in(self.keys[2], iteration)
        electrons, step_size, weights, info = self.sample(
            key_sample, state.params, electrons, state.step_size, nuclei
        )
        old, number = (state.optimizer, state.params, state.average), jnp.int32(iteration)
        params, average, optimizer = self.update(
            key_update, weights, *old, electrons, nuclei, number
        )
        return TrainState(params, average, optimizer, electrons, step_size), info

    def nuclei_at(self, iteration: int) -> Nuclei:
        """Return the nuclei of an iteration; only the geometries of a curve ever move."""
        nuclei, train = self.problem.nuclei, self.settings.train
        if not is_curve(nuclei):
            return nuclei
        done = (iteration + 1 - train.spread_start) / train.spread_iterations
        return nuclei_during_spread(nuclei, min(max(done, 0.0), 1.0))

    def _spreads(self, iteration: int) -> bool:
        """Return whether the nuclei have moved since the last iteration."""
        since = iteration + 1 - self.settings.train.spread_start
        moves = 0 < since <= self.settings.train.spread_iterations
        return is_curve(self.problem.nuclei) and moves

    def sample(
        self, key: Array, params: Params, electrons: Array, step_size: Array, nuclei: Nuclei
    ) -> tuple[Array, Array, Array, IterationInfo]:
        """Return new walkers, the next step size, the walkers' gradient weights, and the info."""
        sampler = self.settings.sampler
        electrons, moves = self.sweep(
            key, params, electrons, step_size, nuclei, sampler.decorrelation_steps
        )
        energies = self.energies(params, electrons, nuclei).total
        weights, statistics = gradient_weights_and_statistics(
            energies, nuclei, self.settings.train.clip
        )
        info = IterationInfo._make((*statistics, *moves, step_size))
        step_size = adapted_step_size(
            step_size, moves.acceptance, sampler.target_acceptance, STEP_SIZE_RATE
        )
        return electrons, step_size, weights, info

    def template(self, params: Params, electrons: Array) -> TrainState:
        """Return a state of the right shapes, to be filled from a checkpoint."""
        shapes = jax.eval_shape(
            self.optimizer.init, self.keys[3], params, electrons, self.problem.nuclei
        )
        optimizer = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        step_size = jnp.zeros(self.problem.nuclei.coords.shape[:-2], electrons.dtype)
        return TrainState(params, params, optimizer, electrons, step_size)
