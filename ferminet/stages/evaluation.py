"""The host loop of an evaluation: blocks of samples and checkpoints, extensible later."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Array, Params
from ferminet.config import EvaluateConfig
from ferminet.errors import InterruptedRunError, NotConvergedError
from ferminet.runtime.checkpoint import Arrays, load_newest_checkpoint, save_checkpoint
from ferminet.runtime.progress import Progress
from ferminet.vmc.devices import any_process, check_order, fetch, replicate, shard_walkers
from ferminet.vmc.evaluate import (
    BLOCK,
    Evaluator,
    Samples,
    Trace,
    concatenate,
    sample_block,
)

CHECKPOINT_BLOCKS = 20  # blocks between checkpoints


class EvaluationResult(NamedTuple):
    """The result of an evaluation, and its time."""

    trace: Trace
    electrons: np.ndarray  # (n_walkers, n_electrons, 3), bohr
    step_size: float  # bohr, frozen
    wall_s: float


def evaluate(
    evaluator: Evaluator,
    config: EvaluateConfig,
    params: Params,
    electrons: Array,
    step_size: Array,
    seed: int,
    config_hash: str,
    directory: Path,
    progress: Progress,
    should_stop: Callable[[], bool] = lambda: False,
) -> EvaluationResult:
    """Sample a frozen wavefunction; raising the iterations adds samples to the earlier ones.

    It starts from the walkers `electrons`, (n_walkers, n_electrons, 3), bohr. Checkpoints must
    carry `config_hash`. If `should_stop` returns true between blocks, it saves and stops.

    Raises:
        NotConvergedError: a local energy is not finite.
        InterruptedRunError: `should_stop` returned true.
        ResourceError: the compiled local energies are wrong on this device.
    """
    params, electrons = replicate(params), shard_walkers(electrons)
    key_burn, key_blocks = jax.random.split(jax.random.fold_in(jax.random.key(seed), 2))
    n_blocks, n_steps = -(-config.iterations // BLOCK), config.decorrelation_steps
    began, newest = time.monotonic(), load_newest_checkpoint(directory, config_hash)
    if newest is None:
        traces, done = [], 0
        for key in jax.random.split(key_burn, config.burn_in):
            electrons, _ = evaluator.sweep(
                key, params, electrons, step_size, evaluator.nuclei, n_steps
            )
    else:
        arrays, header = newest
        electrons, traces, done = _resume(arrays, header["iteration"], n_blocks, progress)
        began -= header["wall_s"]
    if done < n_blocks:
        check_order(evaluator.energies, params, electrons, evaluator.nuclei)
    while done < n_blocks:
        key = jax.random.fold_in(key_blocks, done)
        electrons, trace = sample_block(evaluator, key, params, electrons, step_size, n_steps)
        traces.append(_require_finite(trace, done))
        done += 1
        progress(done * BLOCK, f"E = {np.mean(trace.step_energy):.5f} Eh in the last block")
        stop = any_process(should_stop()) and done < n_blocks
        if done % CHECKPOINT_BLOCKS == 0 or done == n_blocks or stop:
            traces = [concatenate(traces)]
            arrays = {"electrons": fetch(electrons), **_trace_to_arrays(traces[0])}
            header = {"config_hash": config_hash, "wall_s": time.monotonic() - began}
            save_checkpoint(directory, done, arrays, header)
        if stop:
            raise InterruptedRunError(
                f"Stopped after {done * BLOCK} of {n_blocks * BLOCK} iterations of the evaluation, "
                "which are saved; run the same command again to continue."
            )
    trace, wall_s = concatenate(traces), time.monotonic() - began
    return EvaluationResult(trace, fetch(electrons), float(step_size), wall_s)


def _require_finite(trace: Trace, block: int) -> Trace:
    if n_nonfinite := trace.n_nonfinite.sum():
        raise NotConvergedError(
            f"{n_nonfinite} local energies are not finite in block {block} of the evaluation; "
            "no energy is reported."
        )
    return trace


def _resume(
    arrays: Arrays, done: int, n_blocks: int, progress: Progress
) -> tuple[Array, list[Trace], int]:
    """Return walkers, trace and number of blocks of a checkpoint."""
    electrons = shard_walkers(jnp.asarray(arrays.pop("electrons")))
    progress.log(f"resumed at iteration {done * BLOCK}")
    progress.start = done * BLOCK
    if done > n_blocks:
        progress.log(f"all iterations count, though {n_blocks * BLOCK} would have been enough")
    return electrons, [_trace_from_arrays(arrays)], done


def _trace_to_arrays(trace: Trace) -> Arrays:
    arrays = trace._asdict()
    means = arrays.pop("block_means")._asdict()
    return {f"block_means.{name}": array for name, array in means.items()} | arrays


def _trace_from_arrays(arrays: Arrays) -> Trace:
    means = Samples(**{name: arrays[f"block_means.{name}"] for name in Samples._fields})
    return Trace(means, *(arrays[name] for name in Trace._fields[1:]))
