"""The energy of a finished wavefunction: frozen parameters, frozen step size, nothing clipped."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.checkpoint import load_newest_checkpoint, save_checkpoint
from ferminet.config import EvaluateConfig, SamplerConfig
from ferminet.errors import InterruptedRunError, NotConvergedError
from ferminet.progress import Progress
from ferminet.vmc import observables
from ferminet.vmc.hamiltonian import EnergyParts, batched_local_energy, local_energy
from ferminet.vmc.programs import Problem, sweep_once

BLOCK = 25  # iterations that one call of the device does; walkers' means are stored per block
MEASURE_INTERVAL = 5  # iterations between measurements of what costs more than it tells
SERIES_WALKERS = 128  # walkers whose every sample is kept, for autocorrelation times
CHECKPOINT_BLOCKS = 20  # blocks between checkpoints


AnyArray = Array | np.ndarray  # on the device while a block runs, on the host afterwards


class Samples(NamedTuple):
    """Means of each quantity over a block for every walker, (n_walkers,) or (n_blocks, n_walkers).

    The first four are measured at every iteration, the others at every fifth.
    """

    energy: AnyArray  # hartree
    kinetic: AnyArray
    potential: AnyArray
    radius_squared: AnyArray  # bohr^2
    sentinel: AnyArray
    spin_squared: AnyArray
    spin_on_first_nucleus: AnyArray
    effective_determinants: AnyArray


class Trace(NamedTuple):
    """What an evaluation stores; every number of its row follows from it.

    ``block_means`` holds each quantity of ``Samples`` as means over blocks of iterations,
    (n_blocks, n_walkers); ``energies`` and ``radii`` the samples of the first walkers,
    (n_iterations, walkers); ``step_energy`` and ``step_variance`` the means over walkers of each
    iteration, (n_iterations,); ``acceptance`` and ``n_nonfinite`` per block.
    """

    block_means: Samples
    energies: AnyArray
    radii: AnyArray
    step_energy: AnyArray
    step_variance: AnyArray
    acceptance: AnyArray
    n_nonfinite: AnyArray


def make_block(problem: Problem, sampler: SamplerConfig) -> Callable:
    """The jitted ``(key, params, electrons, step_size, nuclei) -> (electrons, block's Trace)``."""
    energies_of = batched_local_energy(local_energy(problem.ansatz))
    ansatz, n_up = problem.ansatz, problem.n_up

    def expensive(key: Array, params: Params, electrons: Array, nuclei: Nuclei) -> dict[str, Array]:
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

    @jax.jit
    def block(key, params, electrons, step_size, nuclei):
        def iteration(electrons, one_key):
            walkers, moves = sweep_once(
                problem, sampler, one_key, params, electrons, step_size, nuclei
            )
            parts = energies_of(params, walkers.electrons, nuclei)
            radius = jax.vmap(observables.radius_squared)(walkers.electrons)
            return walkers.electrons, (parts, radius, moves.acceptance)

        def group(electrons, group_key):
            key_moves, key_measure = jax.random.split(group_key)
            keys = jax.random.split(key_moves, MEASURE_INTERVAL)
            electrons, often = jax.lax.scan(iteration, electrons, keys)
            return electrons, (often, expensive(key_measure, params, electrons, nuclei))

        keys = jax.random.split(key, BLOCK // MEASURE_INTERVAL)
        electrons, (often, seldom) = jax.lax.scan(group, electrons, keys)
        # (groups, iterations in a group, ...) -> (iterations, ...)
        parts, radius, acceptance = jax.tree.map(lambda x: x.reshape(BLOCK, *x.shape[2:]), often)
        return electrons, _reduce(parts, radius, acceptance, seldom)

    return block


def _reduce(
    parts: EnergyParts, radius: Array, acceptance: Array, seldom: dict[str, Array]
) -> Trace:
    """A block's trace from its samples (n_iterations, n_walkers)."""
    # Means in float32 lose digits of large energies: they are taken relative to a centre.
    centre = jnp.median(parts.total[0])
    shifted = parts.total - centre
    means = Samples(
        energy=centre + jnp.mean(shifted, axis=0),
        kinetic=jnp.mean(parts.kinetic, axis=0),
        potential=jnp.mean(parts.potential, axis=0),
        radius_squared=jnp.mean(radius, axis=0),
        **{name: jnp.mean(value, axis=0) for name, value in seldom.items()},
    )
    return Trace(
        block_means=jax.tree.map(lambda x: x[None], means),
        energies=parts.total[:, :SERIES_WALKERS],
        radii=radius[:, :SERIES_WALKERS],
        step_energy=centre + jnp.mean(shifted, axis=1),
        step_variance=jnp.var(shifted, axis=1),
        acceptance=jnp.mean(acceptance)[None],
        n_nonfinite=jnp.sum(~jnp.isfinite(parts.total))[None],
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


def equilibrate(
    key: Array,
    problem: Problem,
    sampler: SamplerConfig,
    params,
    electrons,
    step_size,
    n_sweeps: int,
) -> Array:
    """A fresh burn-in at fixed parameters and step size; returns the walkers."""

    @jax.jit
    def move(one_key, params, electrons, step_size, nuclei):
        walkers, _ = sweep_once(problem, sampler, one_key, params, electrons, step_size, nuclei)
        return walkers.electrons

    for one_key in jax.random.split(key, n_sweeps):
        electrons = move(one_key, params, electrons, step_size, problem.nuclei)
    return electrons


def evaluate(
    problem: Problem,
    sampler: SamplerConfig,
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
        problem: wavefunction and system.
        sampler: moves between measurements (with the evaluation's decorrelation steps).
        config: iterations and burn-in.
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
    """
    key_burn, key_blocks = jax.random.split(jax.random.fold_in(jax.random.key(seed), 2))
    n_blocks = -(-config.iterations // BLOCK)
    began, wall_before = time.monotonic(), 0.0
    block = make_block(problem, sampler)
    found = load_newest_checkpoint(directory, config_hash)
    traces: list[Trace] = []
    done = 0
    if found is None:
        electrons = equilibrate(
            key_burn, problem, sampler, params, electrons, step_size, config.burn_in
        )
    else:
        arrays, header = found
        done, wall_before = header["iteration"], header["wall_s"]
        electrons = jnp.asarray(arrays.pop("electrons"))
        traces = [_trace_from_arrays(arrays)]
        progress.say(f"resumed at iteration {done * BLOCK}")
        progress.start = done * BLOCK
    while done < n_blocks:
        key = jax.random.fold_in(key_blocks, done)
        electrons, trace = block(key, params, electrons, step_size, problem.nuclei)
        traces.append(jax.tree.map(np.asarray, trace))
        if traces[-1].n_nonfinite.sum():
            raise NotConvergedError(
                f"{traces[-1].n_nonfinite.sum():.0f} local energies are not finite in block {done} "
                "of the evaluation; no energy is reported."
            )
        done += 1
        energy = np.mean(traces[-1].step_energy)
        progress(done * BLOCK, f"E = {energy:.5f} Eh in the last block")
        stop = should_stop() and done < n_blocks
        if done % CHECKPOINT_BLOCKS == 0 or done == n_blocks or stop:
            traces = [_append(traces)]
            save_checkpoint(
                directory,
                done,
                {"electrons": np.asarray(electrons), **_trace_to_arrays(traces[0])},
                {"config_hash": config_hash, "wall_s": wall_before + time.monotonic() - began},
            )
        if stop:
            raise InterruptedRunError(
                f"Stopped after {done * BLOCK} of {n_blocks * BLOCK} iterations of the evaluation, "
                "saved; run the same command again to continue."
            )
    wall_s = wall_before + time.monotonic() - began
    return EvaluationResult(_append(traces), np.asarray(electrons), float(step_size), wall_s)


def _trace_to_arrays(trace: Trace) -> dict[str, np.ndarray]:
    arrays = {f"block_means.{name}": x for name, x in trace.block_means._asdict().items()}
    others = {name: x for name, x in trace._asdict().items() if name != "block_means"}
    return {**arrays, **others}


def _trace_from_arrays(arrays: dict[str, np.ndarray]) -> Trace:
    means = Samples(**{name: arrays[f"block_means.{name}"] for name in Samples._fields})
    return Trace(
        block_means=means, **{name: arrays[name] for name in Trace._fields if name != "block_means"}
    )
