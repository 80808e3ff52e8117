"""The host loop of training: iterations, history and checkpoints; resumable at every checkpoint."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Array, Params
from ferminet.errors import InputError, InterruptedRunError, NotConvergedError
from ferminet.runtime.checkpoint import load_newest_checkpoint, save_checkpoint, settings_difference
from ferminet.runtime.progress import Progress
from ferminet.runtime.provenance import (
    TRAINED_BY,
    execution_environment,
    extend_history,
    training_segments,
)
from ferminet.stages.history import (
    append_history,
    read_whole_history,
    require_no_orphan_history,
    truncate_history,
)
from ferminet.vmc.devices import any_process, fetch, replicate, shard_walkers
from ferminet.vmc.precision import check_order
from ferminet.vmc.programs import Problem
from ferminet.vmc.train import IterationInfo, Trainer, TrainSettings, TrainState
from ferminet.vmc.trees import arrays_to_tree, tree_to_arrays

FETCH_INTERVAL = 20  # iterations between looks at the device's results


class RunIdentity(NamedTuple):
    """What a checkpoint must carry to belong to a run."""

    config_hash: str
    trajectory: dict[str, Any]  # the settings that the hash is made of


class TrainResult(NamedTuple):
    """The last state, the history of all iterations and what the run cost."""

    state: TrainState
    history: dict[str, np.ndarray]
    attempts: int
    wall_s: float
    trained_by: list[dict[str, Any]]  # see `provenance.training_segments`


def train(
    problem: Problem,
    settings: TrainSettings,
    identity: RunIdentity,
    params: Params,
    electrons: Array,
    directory: Path,
    progress: Progress,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Optimise a wavefunction, resuming from the newest checkpoint if there is one.

    Args:
        problem: wavefunction and system.
        settings: the blocks of the configuration that training reads.
        identity: what the checkpoints must carry.
        params: parameters to start from.
        electrons: walkers to start from, (n_walkers, n_electrons, 3), bohr.
        directory: checkpoints and history.
        progress: called with the number of finished iterations and a line of text.
        should_stop: called between blocks of iterations; true saves and leaves.

    Raises:
        NotConvergedError: an energy is not finite; the last finite checkpoint is kept.
        InterruptedRunError: `should_stop` returned true.
        InputError: the directory holds another configuration's run.
        CorruptError: no checkpoint can be read, or the history does not fit.
        ResourceError: the compiled local energies are wrong on this device.
    """
    trainer = Trainer(problem, settings)
    total, interval = settings.train.iterations, settings.train.checkpoint_interval
    began = time.monotonic()
    start = _start_or_resume(trainer, identity, params, electrons, directory, progress)
    state, iteration = start.state, start.iteration
    began -= start.wall_s

    def save() -> None:
        header = start.header(identity, time.monotonic() - began)
        save_checkpoint(directory, iteration, tree_to_arrays(state, "state"), header)

    if not start.resumed:
        save()  # whatever happens to the first iterations, there is a finite state to return to
    pending = _PendingBlocks(directory, settings.sampler.walkers, progress)
    while iteration < total:
        first = iteration
        iteration = min(first + FETCH_INTERVAL, (first // interval + 1) * interval, total)
        state, infos = _run_block(trainer, state, range(first, iteration))
        pending.add(first, infos)
        stop = any_process(should_stop())
        due = iteration % interval == 0 or iteration == total or stop
        pending.record(leave=0 if due else 1)
        if due:
            _require_finite_parameters(state.params, iteration, directory)
            save()
        if stop and iteration < total:
            raise _interruption(iteration, total, directory)
    history, wall_s = read_whole_history(directory, total), time.monotonic() - began
    return TrainResult(state, history, start.attempts, wall_s, start.trained_by)


def _run_block(
    trainer: Trainer, state: TrainState, iterations: range
) -> tuple[TrainState, list[IterationInfo]]:
    """Do some iterations without waiting for the device."""
    infos = []
    for iteration in iterations:
        state, info = trainer.step(state, iteration)
        infos.append(info)
    return state, infos


class _PendingBlocks:
    """Blocks of iterations on their way from the device to the history.

    A block is read while the next one runs, so that the device does not wait for the host.
    """

    def __init__(self, directory: Path, walkers: int, progress: Progress) -> None:
        self.directory, self.walkers, self.progress = directory, walkers, progress
        self.waiting: list[tuple[int, list[IterationInfo]]] = []

    def add(self, first: int, infos: list[IterationInfo]) -> None:
        """Take a block that begins with iteration `first` and may still be running."""
        self.waiting.append((first, infos))

    def record(self, leave: int) -> None:
        """Read, check and write all blocks but the newest `leave`."""
        while len(self.waiting) > leave:
            first, infos = self.waiting.pop(0)
            rows = [(first + i, *map(float, info)) for i, info in enumerate(fetch(infos))]
            _require_finite_energies(rows, self.directory)
            append_history(self.directory, rows)
            self.progress(first + len(rows), _summary(rows, self.walkers))


class _StartingPoint(NamedTuple):
    """Where a call of `train` begins."""

    state: TrainState
    iteration: int
    attempts: int
    wall_s: float  # of the attempts before
    resumed: bool
    trained_by: list[dict[str, Any]]

    def header(self, identity: RunIdentity, wall_s: float) -> dict[str, Any]:
        """Return what a checkpoint holds apart from the state."""
        return {
            "config_hash": identity.config_hash,
            "settings": identity.trajectory,
            "attempts": self.attempts,
            "wall_s": wall_s,
            TRAINED_BY: self.trained_by,
        }


def _start_or_resume(
    trainer: Trainer,
    identity: RunIdentity,
    params: Params,
    electrons: Array,
    directory: Path,
    progress: Progress,
) -> _StartingPoint:
    """Resume from the newest checkpoint, with the history truncated to fit, or burn in."""
    total = trainer.settings.train.iterations
    now = execution_environment(jax.devices()[0].device_kind, len(jax.devices()))
    newest = load_newest_checkpoint(directory, identity.config_hash, identity.trajectory)
    if newest is None:
        require_no_orphan_history(directory)
        truncate_history(directory, 0)
        state = trainer.init(params, electrons)
        check_order(trainer.energies, state.params, state.electrons, trainer.problem.nuclei)
        progress.say(f"step size {float(state.step_size):.3f} bohr after burn-in")
        return _StartingPoint(state, 0, 1, 0.0, False, extend_history([], 0, now))
    arrays, header = newest
    for problem in header["set_aside"]:
        progress.say(f"an older checkpoint is used: {problem}")
    iteration = header["iteration"]
    if iteration > total:
        raise InputError(
            f"{directory} already holds {iteration} iterations of this run, more than the {total} "
            f"asked for; ask for at least {iteration} (train.iterations), take another seed, or "
            "remove the directory to train anew. Studies share the runs that they have in common."
        )
    truncate_history(directory, iteration)
    state = arrays_to_tree(arrays, trainer.template(params, electrons), "state")
    state = replicate(state)._replace(electrons=shard_walkers(state.electrons))
    trained_by, changed = training_segments(header), ""
    if iteration < total:  # a finished run computes nothing more, wherever it is read
        check_order(trainer.energies, state.params, state.electrons, trainer.problem.nuclei)
        changed = settings_difference({name: trained_by[-1].get(name) for name in now}, now)
        trained_by = extend_history(trained_by, iteration, now)
    progress.say(f"resumed at iteration {iteration}{changed}")
    progress.start = iteration
    return _StartingPoint(
        state, iteration, header["attempts"] + 1, header["wall_s"], True, trained_by
    )


def _summary(rows: list[tuple[float, ...]], n_walkers: int) -> str:
    """Return energy and spread over the last block of iterations, for the progress line."""
    columns = np.array(rows)
    energy, variance = columns[:, 1].mean(), columns[:, 2].mean()
    error = np.sqrt(variance / (n_walkers * len(rows)))
    return (
        f"E = {energy:.5f} ± {error:.5f} Eh, variance {variance:.4f}, "
        f"acceptance {columns[:, 4].mean():.2f}"
    )


def _interruption(iteration: int, total: int, directory: Path) -> InterruptedRunError:
    return InterruptedRunError(
        f"Stopped at iteration {iteration} of {total}, saved in {directory}; run the same "
        "command again to continue."
    )


def _require_finite_energies(rows: list[tuple[float, ...]], directory: Path) -> None:
    """End the run at the first energy that is not finite, before it can reach a checkpoint."""
    for row in rows:
        if row[3] or not np.all(np.isfinite(row)):
            raise NotConvergedError(
                f"Iteration {row[0]:.0f}: {row[3]:.0f} local energies are not finite (mean energy "
                f"{row[1]:.6g} Eh, acceptance {row[4]:.2f}, step size {row[6]:.3g} bohr); the last "
                f"finite checkpoint is kept in {directory}. Lower the learning rate or raise the "
                "damping."
            )


def _require_finite_parameters(params: Params, iteration: int, directory: Path) -> None:
    """Keep parameters that are not finite out of the checkpoints."""
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
