"""The host loop of training: iterations, history and checkpoints; resumable at every checkpoint."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Array, Params
from ferminet.errors import CorruptError, InputError, InterruptedRunError, NotConvergedError
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
    history_path,
    read_history,
    truncate_history,
)
from ferminet.vmc.devices import (
    any_process,
    arrays_to_tree,
    check_order,
    fetch,
    replicate,
    shard_walkers,
    tree_to_arrays,
    wait_for_processes,
)
from ferminet.vmc.programs import Problem
from ferminet.vmc.train import IterationInfo, Trainer, TrainSettings, TrainState

FETCH_INTERVAL = 20  # iterations between two reads of the device's results


class RunIdentity(NamedTuple):
    """What a checkpoint must carry to belong to a run."""

    config_hash: str
    trajectory: dict[str, Any]  # the settings that the hash is made of
    curve: tuple[str, ...] = ()  # labels of the geometries that it serves, if there are several

    def histories(self, directory: Path) -> list[Path]:
        """Return the file of the history, or the files of those of a curve's geometries."""
        return [history_path(directory, geometry) for geometry in self.curve or ("",)]


class TrainResult(NamedTuple):
    """The last state, the history of each geometry and what the run cost."""

    state: TrainState
    histories: list[dict[str, np.ndarray]]
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

    Otherwise it starts from `params` and the walkers `electrons`, (n_walkers, n_electrons, 3),
    bohr. If `should_stop` returns true between blocks, it saves and stops.

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

    if start.attempts == 1:  # there is a finite state to return to, whatever happens next
        _save(directory, iteration, state, identity, start, time.monotonic() - began)
    # A block is read while the next one runs, so that the device does not wait for the host.
    pending: list[tuple[int, list[IterationInfo]]] = []
    while iteration < total:
        first = iteration
        iteration = min(first + FETCH_INTERVAL, (first // interval + 1) * interval, total)
        pending.append((first, []))
        for number in range(first, iteration):
            state, info = trainer.step(state, number)
            pending[-1][1].append(info)
        stop = any_process(should_stop())
        due = iteration % interval == 0 or iteration == total or stop
        while len(pending) > (0 if due else 1):
            _record(*pending.pop(0), identity, directory, settings.sampler.walkers, progress)
        if due:
            _require_finite_parameters(state.params, iteration, directory)
            _save(directory, iteration, state, identity, start, time.monotonic() - began)
        if stop and iteration < total:
            raise InterruptedRunError(
                f"Stopped at iteration {iteration} of {total}, saved in {directory}; run the same "
                "command again to continue."
            )
    wait_for_processes("history")
    histories = [read_history(path, total) for path in identity.histories(directory)]
    wall_s = time.monotonic() - began
    return TrainResult(state, histories, start.attempts, wall_s, start.trained_by)


class _StartingPoint(NamedTuple):
    """The point from which a call of `train` starts."""

    state: TrainState
    iteration: int
    attempts: int  # including this one
    wall_s: float  # of earlier attempts
    trained_by: list[dict[str, Any]]


def _save(
    directory: Path,
    iteration: int,
    state: TrainState,
    identity: RunIdentity,
    start: _StartingPoint,
    wall_s: float,
) -> None:
    header = {
        "config_hash": identity.config_hash,
        "settings": identity.trajectory,
        "attempts": start.attempts,
        "wall_s": wall_s,
        TRAINED_BY: start.trained_by,
    }
    save_checkpoint(directory, iteration, tree_to_arrays(state, "state"), header)


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
        # The first checkpoint is written before the first line of the history.
        for path in identity.histories(directory):
            if n_iterations := len(read_history(path)["iteration"]):
                raise CorruptError(
                    f"{directory} holds a history of {n_iterations} iterations but no checkpoint; "
                    "put the checkpoints back, or remove the directory to start afresh."
                )
            truncate_history(path, 0)
        state = trainer.init(params, electrons)
        check_order(trainer.energies, state.params, state.electrons, trainer.nuclei_at(0))
        progress.log(f"step size {float(jnp.mean(state.step_size)):.3f} bohr after burn-in")
        return _StartingPoint(state, 0, 1, 0.0, extend_history([], 0, now))
    arrays, header = newest
    for problem in header["set_aside"]:
        progress.log(f"an older checkpoint is used: {problem}")
    iteration = header["iteration"]
    if iteration > total:
        raise InputError(
            f"{directory} already holds {iteration} iterations of this run, more than the {total} "
            f"asked for; ask for at least {iteration} (train.iterations), use another seed, or "
            "remove the directory to train again. Studies share the runs that they have in common."
        )
    for path in identity.histories(directory):
        truncate_history(path, iteration)
    state = arrays_to_tree(arrays, trainer.template(params, electrons), "state")
    state = replicate(state)._replace(electrons=shard_walkers(state.electrons))
    trained_by, changed = training_segments(header), ""
    if iteration < total:  # a finished run computes nothing more
        nuclei = trainer.nuclei_at(iteration - 1)
        check_order(trainer.energies, state.params, state.electrons, nuclei)
        changed = settings_difference({name: trained_by[-1].get(name) for name in now}, now)
        trained_by = extend_history(trained_by, iteration, now)
    progress.log(f"resumed at iteration {iteration}{changed}")
    progress.start = iteration
    return _StartingPoint(state, iteration, header["attempts"] + 1, header["wall_s"], trained_by)


def _record(
    first: int,
    infos: list[IterationInfo],
    identity: RunIdentity,
    directory: Path,
    n_walkers: int,
    progress: Progress,
) -> None:
    """Check a block that begins with iteration `first`, append it to the history and report it.

    Raises:
        NotConvergedError: an energy is not finite; nothing of the block enters the history.
    """
    fetched = [np.stack(info).reshape(len(info), -1) for info in fetch(infos)]
    blocks = {
        path: [(first + i, *map(float, values[:, index])) for i, values in enumerate(fetched)]
        for index, path in enumerate(identity.histories(directory))
    }
    for geometry, rows in zip(identity.curve or ("",), blocks.values(), strict=True):
        _require_finite(rows, f" of {geometry}" if geometry else "", directory)
    for path, rows in blocks.items():
        append_history(path, rows)
    # The mean over the geometries, each of which has an equal share of the walkers.
    _, energy, variance, _, acceptance, *_ = np.mean(list(blocks.values()), axis=(0, 1))
    error = np.sqrt(variance / (n_walkers * len(infos)))
    progress(
        first + len(infos),
        f"E = {energy:.5f} ± {error:.5f} Eh, variance {variance:.4f}, acceptance {acceptance:.2f}",
    )


def _require_finite(rows: list[tuple[float, ...]], which: str, directory: Path) -> None:
    """Raise NotConvergedError if a value of a geometry's iterations is not finite."""
    for row in rows:
        if row[3] or not np.all(np.isfinite(row)):
            raise NotConvergedError(
                f"Iteration {row[0]:.0f}{which}: {row[3]:.0f} local energies are not finite (mean "
                f"energy {row[1]:.6g} Eh, acceptance {row[4]:.2f}, step size {row[6]:.3g} bohr); "
                f"the last finite checkpoint is kept in {directory}. Lower the learning rate or "
                "raise the damping."
            )


def _require_finite_parameters(params: Params, iteration: int, directory: Path) -> None:
    """Raise NotConvergedError if a parameter is not finite, before it reaches a checkpoint."""
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
