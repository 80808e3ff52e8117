"""The energy of a finished wavefunction: frozen parameters, frozen step size, nothing clipped."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.config import EvaluateConfig
from ferminet.errors import InterruptedRunError, NotConvergedError
from ferminet.runtime.checkpoint import Arrays, load_newest_checkpoint, save_checkpoint
from ferminet.runtime.progress import Progress
from ferminet.vmc import observables
from ferminet.vmc.devices import any_of_processes, copy_everywhere, divide_walkers, fetch
from ferminet.vmc.hamiltonian import EnergyParts
from ferminet.vmc.precision import check_order
from ferminet.vmc.programs import Energies, Problem, Sweep, make_energies, make_sweep

BLOCK = 25  # iterations between looks at the device's results; walkers' means are stored per block
MEASURE_INTERVAL = 5  # iterations between measurements of what costs more than it tells
SERIES_WALKERS = 128  # walkers whose every sample is kept, for autocorrelation times
CHECKPOINT_BLOCKS = 20  # blocks between checkpoints


class Samples(NamedTuple):
    """Means of each quantity over a block for every walker, (n_walkers,) or (n_blocks, n_walkers).

    The first four are measured at every iteration, the others at every fifth.
    """

    energy: np.ndarray  # hartree
    kinetic: np.ndarray
    potential: np.ndarray
    radius_squared: np.ndarray  # bohr^2
    sentinel: np.ndarray
    spin_squared: np.ndarray
    spin_on_first_nucleus: np.ndarray
    effective_determinants: np.ndarray


class Trace(NamedTuple):
    """What an evaluation stores; every number of its row follows from it.

    ``block_means`` holds each quantity of ``Samples`` as means over blocks of iterations,
    (n_blocks, n_walkers); ``energies`` and ``radii`` the samples of the first walkers,
    (n_iterations, walkers); ``step_energy`` and ``step_variance`` the means over walkers of each
    iteration, (n_iterations,); ``acceptance`` and ``n_nonfinite`` per block.
    """

    block_means: Samples
    energies: np.ndarray
    radii: np.ndarray
    step_energy: np.ndarray
    step_variance: np.ndarray
    acceptance: np.ndarray
    n_nonfinite: np.ndarray


class Evaluator(NamedTuple):
    """The programs of an evaluation; several evaluations of one wavefunction share them."""

    sweep: Sweep
    energies: Energies
    observables: Callable  # (key, params, electrons, nuclei) -> {name: (n_walkers,)}
    nuclei: Nuclei


def make_evaluator(problem: Problem, exchange_probability: float) -> Evaluator:
    """The programs that measure a wavefunction."""
    return Evaluator(
        make_sweep(problem, exchange_probability),
        make_energies(problem),
        _make_observables(problem),
        problem.nuclei,
    )


def _make_observables(problem: Problem) -> Callable:
    ansatz, n_up = problem.ansatz, problem.n_up

    @jax.jit
    def measure(key, params, electrons, nuclei):
        def one(walker_key: Array, walker: Array) -> dict[str, Array]:
            return {
                "sentinel": observables.scaling_sentinel(ansatz, params, walker, nuclei),
                "spin_squared": observables.spin_squared(
                    walker_key, ansatz, params, walker, nuclei, n_up
                ),
                "spin_on_first_nucleus": observables.spin_on_first_nucleus(walker, nuclei, n_up),
                "effective_determinants": observables.effective_determinants(
                    ansatz, params, walker, nuclei
                ),
            }

        return jax.vmap(one)(jax.random.split(key, electrons.shape[0]), electrons)

    return measure


_radius_squared = jax.jit(jax.vmap(observables.radius_squared))


def _sample_block(
    evaluator: Evaluator, key: Array, params, electrons: Array, step_size: Array, n_steps: int
) -> tuple[Array, Trace]:
    """One block of iterations; the device's results are fetched at its end."""
    often, seldom = [], []
    nuclei = evaluator.nuclei
    for index, one_key in enumerate(jax.random.split(key, BLOCK)):
        key_moves, key_measure = jax.random.split(one_key)
        electrons, moves = evaluator.sweep(key_moves, params, electrons, step_size, nuclei, n_steps)
        parts = evaluator.energies(params, electrons, nuclei)
        often.append((parts, _radius_squared(electrons), moves.acceptance))
        if (index + 1) % MEASURE_INTERVAL == 0:
            seldom.append(evaluator.observables(key_measure, params, electrons, nuclei))
    often, seldom = fetch((often, seldom))
    stack = lambda *samples: np.stack(samples)  # noqa: E731
    parts, radius, acceptance = jax.tree.map(stack, *often)
    return electrons, _reduce(parts, radius, acceptance, jax.tree.map(stack, *seldom))


@np.errstate(invalid="ignore")  # what is not finite is counted, and refused by the caller
def _reduce(
    parts: EnergyParts, radius: np.ndarray, acceptance: np.ndarray, seldom: dict[str, np.ndarray]
) -> Trace:
    """A block's trace from its samples (n_iterations, n_walkers); sums are of double precision."""

    def mean(samples: np.ndarray) -> np.ndarray:
        return np.mean(samples, axis=0, dtype=float)

    total = np.asarray(parts.total)
    means = Samples(
        mean(total),
        mean(np.asarray(parts.kinetic)),
        mean(np.asarray(parts.potential)),
        mean(radius),
        **{name: mean(value) for name, value in seldom.items()},
    )
    return Trace(
        block_means=Samples(*(x[None] for x in means)),
        energies=total[:, :SERIES_WALKERS],
        radii=radius[:, :SERIES_WALKERS],
        step_energy=np.mean(total, axis=1, dtype=float),
        step_variance=np.var(total, axis=1, dtype=float),
        acceptance=mean(acceptance)[None],
        n_nonfinite=np.sum(~np.isfinite(total))[None],
    )


def _append(traces: list[Trace]) -> Trace:
    """One trace of several in a row."""
    return jax.tree.map(lambda *parts: np.concatenate(parts, axis=0), *traces)


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
    """Samples a frozen wavefunction; more iterations than before add samples to the old ones.

    Args:
        evaluator: what samples and measures the wavefunction.
        config: iterations, burn-in and the Metropolis steps between measurements.
        params: frozen parameters.
        electrons: walkers to start from, (n_walkers, n_electrons, 3), bohr.
        step_size: frozen, bohr.
        seed: the evaluation's own seed.
        config_hash: what the checkpoints must carry.
        directory: the evaluation's checkpoints.
        progress: called with the number of finished iterations.
        should_stop: asked between blocks; true saves and leaves.

    Raises:
        NotConvergedError: a local energy is not finite.
        InterruptedRunError: ``should_stop`` said so.
        ResourceError: the compiled local energies are wrong on this device.
    """
    params, electrons = copy_everywhere(params), divide_walkers(electrons)
    key_burn, key_blocks = jax.random.split(jax.random.fold_in(jax.random.key(seed), 2))
    n_blocks = -(-config.iterations // BLOCK)
    began = time.monotonic()
    found = load_newest_checkpoint(directory, config_hash)
    if found is None:
        traces, done, wall_before = [], 0, 0.0
        electrons = _burn_in(evaluator, key_burn, params, electrons, step_size, config)
    else:
        electrons, traces, done, wall_before = _resumed(*found)
        progress.say(f"resumed at iteration {done * BLOCK}")
        progress.start = done * BLOCK
        if done > n_blocks:
            progress.say(f"all of them count, though {n_blocks * BLOCK} would have been enough")
    if done < n_blocks:
        check_order(evaluator.energies, params, electrons, evaluator.nuclei)
    while done < n_blocks:
        key = jax.random.fold_in(key_blocks, done)
        electrons, trace = _sample_block(
            evaluator, key, params, electrons, step_size, config.decorrelation_steps
        )
        traces.append(trace)
        if traces[-1].n_nonfinite.sum():
            raise NotConvergedError(
                f"{traces[-1].n_nonfinite.sum()} local energies are not finite in block {done} "
                "of the evaluation; no energy is reported."
            )
        done += 1
        energy = np.mean(traces[-1].step_energy)
        progress(done * BLOCK, f"E = {energy:.5f} Eh in the last block")
        stop = any_of_processes(should_stop()) and done < n_blocks
        if done % CHECKPOINT_BLOCKS == 0 or done == n_blocks or stop:
            traces = [_append(traces)]
            save_checkpoint(
                directory,
                done,
                {"electrons": fetch(electrons), **_trace_to_arrays(traces[0])},
                {"config_hash": config_hash, "wall_s": wall_before + time.monotonic() - began},
            )
        if stop:
            raise InterruptedRunError(
                f"Stopped after {done * BLOCK} of {n_blocks * BLOCK} iterations of the evaluation, "
                "saved; run the same command again to continue."
            )
    wall_s = wall_before + time.monotonic() - began
    return EvaluationResult(_append(traces), fetch(electrons), float(step_size), wall_s)


def _resumed(arrays: Arrays, header: dict[str, Any]) -> tuple[Array, list[Trace], int, float]:
    """Of a checkpoint: walkers (n_walkers, n_electrons, 3), trace, blocks done, seconds spent."""
    electrons = divide_walkers(jnp.asarray(arrays.pop("electrons")))
    return electrons, [_trace_from_arrays(arrays)], header["iteration"], header["wall_s"]


def _burn_in(
    evaluator: Evaluator,
    key: Array,
    params: Params,
    electrons: Array,
    step_size: Array,
    config: EvaluateConfig,
) -> Array:
    """The walkers, (n_walkers, n_electrons, 3), after measurements that are not made."""
    for one in jax.random.split(key, config.burn_in):
        electrons, _ = evaluator.sweep(
            one, params, electrons, step_size, evaluator.nuclei, config.decorrelation_steps
        )
    return electrons


def _trace_to_arrays(trace: Trace) -> dict[str, np.ndarray]:
    arrays = {f"block_means.{name}": x for name, x in trace.block_means._asdict().items()}
    others = {name: x for name, x in trace._asdict().items() if name != "block_means"}
    return {**arrays, **others}


def _trace_from_arrays(arrays: dict[str, np.ndarray]) -> Trace:
    means = Samples(**{name: arrays[f"block_means.{name}"] for name in Samples._fields})
    return Trace(
        block_means=means, **{name: arrays[name] for name in Trace._fields if name != "block_means"}
    )
