"""The host loop of an evaluation: blocks of samples and checkpoints; more samples can be added."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Array, Params
from ferminet.config import EvaluateConfig
from ferminet.errors import InterruptedRunError, NotConvergedError
from ferminet.runtime.checkpoint import Arrays, load_newest_checkpoint, save_checkpoint
from ferminet.runtime.progress import Progress
from ferminet.vmc.devices import any_process, fetch, replicate, shard_walkers
from ferminet.vmc.evaluate import (
    BLOCK,
    Evaluator,
    Samples,
    Trace,
    concatenate,
    equilibrate,
    sample_block,
)
from ferminet.vmc.precision import check_order

CHECKPOINT_BLOCKS = 20  # blocks between checkpoints


class EvaluationResult(NamedTuple):
    """A trace and what it cost."""

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
    """Sample a frozen wavefunction; more iterations than before add samples to the old ones.

    Args:
        evaluator: the programs that sample and measure the wavefunction.
        config: iterations, burn-in and the Metropolis steps between measurements.
        params: frozen parameters.
        electrons: walkers to start from, (n_walkers, n_electrons, 3), bohr.
        step_size: frozen, bohr.
        seed: the evaluation's own seed.
        config_hash: what the checkpoints must carry.
        directory: the evaluation's checkpoints.
        progress: called with the number of finished iterations.
        should_stop: called between blocks; true saves and leaves.

    Raises:
        NotConvergedError: a local energy is not finite.
        InterruptedRunError: `should_stop` returned true.
        ResourceError: the compiled local energies are wrong on this device.
    """
    params, electrons = replicate(params), shard_walkers(electrons)
    key_burn, key_blocks = jax.random.split(jax.random.fold_in(jax.random.key(seed), 2))
    n_blocks, n_steps = -(-config.iterations // BLOCK), config.decorrelation_steps
    began = time.monotonic()
    newest = load_newest_checkpoint(directory, config_hash)
    if newest is None:
        traces, done, wall_before = [], 0, 0.0
        electrons = equilibrate(
            evaluator, key_burn, params, electrons, step_size, config.burn_in, n_steps
        )
    else:
        electrons, traces, done, wall_before = _resumed(*newest, progress, n_blocks)
    began -= wall_before
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
            _save(directory, done, electrons, traces[0], config_hash, time.monotonic() - began)
        if stop:
            raise _interruption(done, n_blocks)
    wall_s = time.monotonic() - began
    return EvaluationResult(concatenate(traces), fetch(electrons), float(step_size), wall_s)


def _resumed(
    arrays: Arrays, header: dict[str, Any], progress: Progress, n_blocks: int
) -> tuple[Array, list[Trace], int, float]:
    """Return a checkpoint's walkers, trace, number of finished blocks and seconds spent."""
    _report_resumption(progress, header["iteration"], n_blocks)
    electrons = shard_walkers(jnp.asarray(arrays.pop("electrons")))
    return electrons, [_trace_from_arrays(arrays)], header["iteration"], header["wall_s"]


def _report_resumption(progress: Progress, done: int, n_blocks: int) -> None:
    progress.say(f"resumed at iteration {done * BLOCK}")
    progress.start = done * BLOCK
    if done > n_blocks:
        progress.say(f"all of them count, though {n_blocks * BLOCK} would have been enough")


def _save(
    directory: Path, done: int, electrons: Array, trace: Trace, config_hash: str, wall_s: float
) -> None:
    arrays = {"electrons": fetch(electrons), **_trace_to_arrays(trace)}
    save_checkpoint(directory, done, arrays, {"config_hash": config_hash, "wall_s": wall_s})


def _require_finite(trace: Trace, block: int) -> Trace:
    """Return the trace of a block, or raise if one of its local energies is not finite."""
    if trace.n_nonfinite.sum():
        raise NotConvergedError(
            f"{trace.n_nonfinite.sum()} local energies are not finite in block {block} "
            "of the evaluation; no energy is reported."
        )
    return trace


def _interruption(done: int, n_blocks: int) -> InterruptedRunError:
    return InterruptedRunError(
        f"Stopped after {done * BLOCK} of {n_blocks * BLOCK} iterations of the evaluation, "
        "saved; run the same command again to continue."
    )


def _trace_to_arrays(trace: Trace) -> Arrays:
    arrays = {f"block_means.{name}": x for name, x in trace.block_means._asdict().items()}
    others = {name: x for name, x in trace._asdict().items() if name != "block_means"}
    return {**arrays, **others}


def _trace_from_arrays(arrays: Arrays) -> Trace:
    means = Samples(**{name: arrays[f"block_means.{name}"] for name in Samples._fields})
    return Trace(
        block_means=means, **{name: arrays[name] for name in Trace._fields if name != "block_means"}
    )
