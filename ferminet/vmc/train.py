"""The optimisation of a wavefunction: sample, measure, step; resumable at every checkpoint."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.config import OptimizerConfig, SamplerConfig, TrainConfig
from ferminet.errors import InputError, InterruptedRunError, NotConvergedError
from ferminet.runtime.checkpoint import load_newest_checkpoint, save_checkpoint, settings_difference
from ferminet.runtime.progress import Progress
from ferminet.runtime.provenance import TRAINED_BY, circumstances, go_on, stretches
from ferminet.vmc.devices import any_of_processes, copy_everywhere, divide_walkers, fetch
from ferminet.vmc.history import append_history, cut_history, refuse_lost_checkpoints, whole_history
from ferminet.vmc.optimizers.base import OptimizerState, make_optimizer
from ferminet.vmc.precision import check_order
from ferminet.vmc.programs import (
    IterationInfo,
    Problem,
    burn_in,
    make_energies,
    make_sweep,
    make_update,
    next_step_size,
    weigh,
    zeros_like_output,
)
from ferminet.vmc.trees import arrays_to_tree, tree_to_arrays

FETCH_INTERVAL = 20  # iterations between looks at the device's results


class TrainState(NamedTuple):
    """All that the next iteration depends on, besides its number; what a checkpoint holds."""

    params: Params
    average: Params  # average of the parameters over the last part of training
    optimizer: OptimizerState
    electrons: Array  # (n_walkers, n_electrons, 3), bohr
    step_size: Array  # (), bohr


class TrainSettings(NamedTuple):
    """The blocks of the configuration that training reads."""

    sampler: SamplerConfig
    optimizer: OptimizerConfig
    train: TrainConfig
    seed: int
    config_hash: str
    trajectory: dict[str, Any]  # what the hash was made of


class TrainResult(NamedTuple):
    """The last state, the history of all iterations and what the run cost."""

    state: TrainState
    history: dict[str, np.ndarray]
    attempts: int
    wall_s: float
    trained_by: list[dict[str, Any]]  # see ``provenance.stretches``


class Trainer:
    """The programs of one run, and the passage between its state and its checkpoints."""

    def __init__(self, problem: Problem, settings: TrainSettings):
        self.problem, self.settings = problem, settings
        self.optimizer = make_optimizer(settings.optimizer, problem.ansatz)
        self.sweep = make_sweep(problem, settings.sampler.exchange_probability)
        self.energies = make_energies(problem)
        self.update = make_update(self.optimizer, settings.train.averaging)
        # One key per purpose and iteration, so that a resumed run draws the same numbers.
        self.keys = jax.random.split(jax.random.key(settings.seed), 4)

    def start(self, params: Params, electrons: Array) -> TrainState:
        """Burns in, with the step size brought to its target before the first update."""
        sampler, nuclei = self.settings.sampler, self.problem.nuclei
        params, electrons = copy_everywhere(params), divide_walkers(electrons)
        step_size = jnp.asarray(sampler.step_size, electrons.dtype)
        keys = jax.random.split(self.keys[0], sampler.burn_in)
        electrons, step_size, _ = burn_in(
            self.sweep, sampler, keys, params, electrons, step_size, nuclei
        )
        optimizer = self.optimizer.init(self.keys[3], params, electrons, nuclei)
        return TrainState(params, params, copy_everywhere(optimizer), electrons, step_size)

    def sample(
        self, key: Array, params: Params, electrons: Array, step_size: Array, nuclei: Nuclei
    ) -> tuple[Array, Array, Array, IterationInfo]:
        """New walkers, the next step size, and the walkers' weights in the gradient."""
        sampler = self.settings.sampler
        electrons, moves = self.sweep(
            key, params, electrons, step_size, nuclei, sampler.decorrelation_steps
        )
        energies = self.energies(params, electrons, nuclei).total
        weights, statistics = weigh(energies, self.settings.train.clip)
        info = IterationInfo(
            statistics.energy,
            statistics.variance,
            statistics.n_nonfinite,
            moves.acceptance,
            moves.exchange_acceptance,
            step_size,
        )
        return electrons, next_step_size(sampler, step_size, moves.acceptance), weights, info

    def step(self, state: TrainState, iteration: int) -> tuple[TrainState, IterationInfo]:
        """One iteration."""
        nuclei = self.problem.nuclei
        key_sample = jax.random.fold_in(self.keys[1], iteration)
        key_update = jax.random.fold_in(self.keys[2], iteration)
        electrons, step_size, weights, info = self.sample(
            key_sample, state.params, state.electrons, state.step_size, nuclei
        )
        params, average, optimizer = self.update(
            key_update,
            weights,
            state.optimizer,
            state.params,
            state.average,
            electrons,
            nuclei,
            jnp.asarray(iteration, jnp.int32),
        )
        return TrainState(params, average, optimizer, electrons, step_size), info

    def template(self, params: Params, electrons: Array) -> TrainState:
        """A state of the right shapes, to be filled from a checkpoint."""
        nuclei = self.problem.nuclei
        optimizer = zeros_like_output(self.optimizer.init, self.keys[3], params, electrons, nuclei)
        return TrainState(params, params, optimizer, electrons, jnp.zeros((), electrons.dtype))


def train(
    problem: Problem,
    settings: TrainSettings,
    params: Params,
    electrons: Array,
    directory: Path,
    progress: Progress,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Optimises a wavefunction, resuming from the newest checkpoint if there is one.

    Args:
        problem: wavefunction and system.
        settings: the blocks of the configuration that training reads.
        params: where to start.
        electrons: walkers to start with, (n_walkers, n_electrons, 3), bohr.
        directory: checkpoints and history.
        progress: called with the number of finished iterations and a line of text.
        should_stop: asked between blocks of iterations; true saves and leaves.

    Raises:
        NotConvergedError: an energy is not finite; the last finite checkpoint is kept.
        InterruptedRunError: ``should_stop`` said so.
        InputError: the directory holds another configuration's run.
        CorruptError: no checkpoint can be read, or the history does not fit.
        ResourceError: the compiled local energies are wrong on this device.
    """
    trainer = Trainer(problem, settings)
    total = settings.train.iterations
    began = time.monotonic()
    begin = _begin(trainer, params, electrons, directory, progress)
    state, iteration, attempts = begin.state, begin.iteration, begin.attempts
    if iteration < total:
        check_order(trainer.energies, state.params, state.electrons, problem.nuclei)

    def wall_s() -> float:
        return begin.wall_s + time.monotonic() - began

    def save() -> None:
        header = {
            "config_hash": settings.config_hash,
            "settings": settings.trajectory,
            "attempts": attempts,
            "wall_s": wall_s(),
            TRAINED_BY: begin.trained_by,
        }
        save_checkpoint(directory, iteration, tree_to_arrays(state, "state"), header)

    if not begin.resumed:
        save()  # whatever happens to the first iterations, there is a finite state to return to
    blocks = _Blocks(directory, settings.sampler.walkers, progress)
    while iteration < total:
        interval = settings.train.checkpoint_interval
        until = min(iteration + FETCH_INTERVAL, (iteration // interval + 1) * interval, total)
        infos = []
        first = iteration
        for index in range(first, until):
            state, info = trainer.step(state, index)
            infos.append(info)
        iteration = until
        blocks.add(first, infos)
        stop = any_of_processes(should_stop())
        if iteration % interval == 0 or iteration == total or stop:
            blocks.record(leave=0)
            _refuse_nonfinite_parameters(state.params, iteration, directory)
            save()
        else:
            blocks.record(leave=1)
        if stop and iteration < total:
            raise InterruptedRunError(
                f"Stopped at iteration {iteration} of {total}, saved in {directory}; run the same "
                "command again to continue."
            )
    history = whole_history(directory, total)
    return TrainResult(state, history, attempts, wall_s(), begin.trained_by)


class _Blocks:
    """Blocks of iterations on their way from the device to the history.

    A block is read while the next one runs, so that the device does not wait for the host.
    """

    def __init__(self, directory: Path, walkers: int, progress: Progress) -> None:
        self.directory, self.walkers, self.progress = directory, walkers, progress
        self.waiting: list[tuple[int, list[IterationInfo]]] = []

    def add(self, first: int, infos: list[IterationInfo]) -> None:
        """Takes a block that begins with iteration ``first`` and may still be running."""
        self.waiting.append((first, infos))

    def record(self, leave: int) -> None:
        """Reads, checks and writes all blocks but the newest ``leave``."""
        while len(self.waiting) > leave:
            first, infos = self.waiting.pop(0)
            rows = [(first + i, *map(float, info)) for i, info in enumerate(fetch(infos))]
            _refuse_nonfinite(rows, self.directory)
            append_history(self.directory, rows)
            self.progress(first + len(rows), _summary(rows, self.walkers))


class _Begin(NamedTuple):
    """Where a call of ``train`` begins."""

    state: TrainState
    iteration: int
    attempts: int
    wall_s: float  # of the attempts before
    resumed: bool
    trained_by: list[dict[str, Any]]


def _begin(
    trainer: Trainer, params: Params, electrons: Array, directory: Path, progress: Progress
) -> _Begin:
    """Resumes from the newest checkpoint, its history cut to fit, or burns in."""
    total = trainer.settings.train.iterations
    now = circumstances(jax.devices()[0].device_kind, len(jax.devices()))
    found = load_newest_checkpoint(
        directory, trainer.settings.config_hash, trainer.settings.trajectory
    )
    if found is None:
        refuse_lost_checkpoints(directory)
        cut_history(directory, 0)
        state = trainer.start(params, electrons)
        progress.say(f"step size {float(state.step_size):.3f} bohr after burn-in")
        return _Begin(state, 0, 1, 0.0, False, go_on([], 0, now))
    arrays, header = found
    for problem in header["set_aside"]:
        progress.say(f"an older checkpoint is used: {problem}")
    iteration = header["iteration"]
    if iteration > total:
        raise InputError(
            f"{directory} already holds {iteration} iterations of this run, more than the {total} "
            f"asked for; ask for at least {iteration} (train.iterations), take another seed, or "
            "remove the directory to train anew. Studies share the runs that they have in common."
        )
    cut_history(directory, iteration)
    state = arrays_to_tree(arrays, trainer.template(params, electrons), "state")
    state = copy_everywhere(state)._replace(electrons=divide_walkers(state.electrons))
    trained_by, changed = stretches(header), ""
    if iteration < total:  # else nothing more is computed, whoever asks for it
        changed = settings_difference({name: trained_by[-1].get(name) for name in now}, now)
        trained_by = go_on(trained_by, iteration, now)
    progress.say(f"resumed at iteration {iteration}{changed}")
    progress.start = iteration
    return _Begin(state, iteration, header["attempts"] + 1, header["wall_s"], True, trained_by)


def _summary(rows: list[tuple[float, ...]], n_walkers: int) -> str:
    """Energy and spread over the last block of iterations, for the progress line."""
    columns = np.array(rows)
    energy, variance = columns[:, 1].mean(), columns[:, 2].mean()
    error = np.sqrt(variance / (n_walkers * len(rows)))
    return (
        f"E = {energy:.5f} ± {error:.5f} Eh, variance {variance:.4f}, "
        f"acceptance {columns[:, 4].mean():.2f}"
    )


def _refuse_nonfinite(rows: list[tuple[float, ...]], directory: Path) -> None:
    """Ends the run at the first energy that is not finite, before it can reach a checkpoint."""
    for row in rows:
        if row[3] or not np.all(np.isfinite(row)):
            raise NotConvergedError(
                f"Iteration {row[0]:.0f}: {row[3]:.0f} local energies are not finite (mean energy "
                f"{row[1]:.6g} Eh, acceptance {row[4]:.2f}, step size {row[6]:.3g} bohr); the last "
                f"finite checkpoint is kept in {directory}. Lower the learning rate or raise the "
                "damping."
            )


def _refuse_nonfinite_parameters(params: Params, iteration: int, directory: Path) -> None:
    """Keeps parameters that are not finite out of the checkpoints."""
    bad = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]
        if not bool(jnp.all(jnp.isfinite(leaf)))
    ]
    if bad:
        raise NotConvergedError(
            f"After iteration {iteration - 1} the parameters {', '.join(bad[:3])} are not "
            f"finite; the last finite checkpoint is kept in {directory}. Lower the learning rate "
            "or raise the damping."
        )
