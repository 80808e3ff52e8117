"""The energy of a trained wavefunction: frozen parameters, frozen step size, nothing clipped.

The host loop around `sample_block`, with checkpoints and progress, is `stages.evaluation`;
`benchmark.diagnostics` judges the numbers of `summarise`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.config.blocks import EVALUATION_BLOCK
from ferminet.vmc import observables
from ferminet.vmc.devices import fetch
from ferminet.vmc.hamiltonian import EnergyParts, LocalEnergy
from ferminet.vmc.programs import Problem, Sweep, make_energies, make_sweep
from ferminet.vmc.statistics import (
    autocorrelation_time,
    reblock,
    split_r_hat,
    virial_estimate,
    walker_estimate,
    z_score,
)

BLOCK = EVALUATION_BLOCK  # iterations; walkers' means are stored per block
MEASURE_INTERVAL = 5  # iterations between measurements of the expensive observables
# <S^2> costs one psi for each pair of opposite spin, so few walkers are measured: as many as cost
# this share of the evaluation, if a local energy costs as much as five psi (it costs more).
SPIN_SHARE = 1 / 20
_ENERGY_COST = 5
SERIES_WALKERS = 128  # all samples of these walkers are kept, for autocorrelation times


class Samples(NamedTuple):
    """Means over a block for every walker, (n_walkers,) or (n_blocks, n_walkers).

    The first four are measured in every iteration, the others in every fifth, and the spin of some
    walkers only (NaN elsewhere).
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
    """The stored results of an evaluation; every number of its row follows from them."""

    block_means: Samples  # means over blocks of iterations, (n_blocks, n_walkers)
    energies: np.ndarray  # samples of the first walkers, (n_iterations, SERIES_WALKERS), hartree
    radii: np.ndarray  # squared distances of the same samples, bohr^2
    step_energy: np.ndarray  # mean over walkers of each iteration, (n_iterations,), hartree
    step_variance: np.ndarray  # variance over walkers, (n_iterations,), hartree^2
    acceptance: np.ndarray  # (n_blocks,)
    n_nonfinite: np.ndarray  # local energies that are not finite, (n_blocks,)


class Evaluator(NamedTuple):
    """The programs of an evaluation; several evaluations of one wavefunction share them."""

    sweep: Sweep
    energies: LocalEnergy
    observables: Callable  # (params, electrons, nuclei) -> {name: (n_walkers,)}
    nuclei: Nuclei


def spin_stride(n_walkers: int, n_up: int, n_down: int, n_steps: int) -> int:
    """Return k such that <S^2> of every k-th walker costs at most `SPIN_SHARE` of an evaluation.

    At least two walkers are measured, for the sake of the error.
    """
    budget = SPIN_SHARE * MEASURE_INTERVAL * n_walkers * (n_steps + _ENERGY_COST)
    measured = max(int(budget / (1 + n_up * n_down)), 2)
    return -(-n_walkers // min(measured, n_walkers))


def make_evaluator(
    problem: Problem, exchange_probability: float, n_steps: int, hop_probability: float = 0.0
) -> Evaluator:
    """Make the programs that measure a wavefunction after every `n_steps` Metropolis steps."""
    ansatz, n_up, n_down = problem.ansatz, problem.n_up, problem.n_down

    @jax.jit
    def measure(params, electrons, nuclei):
        def of_walker(walker: Array) -> dict[str, Array]:
            psi = (ansatz, params, walker, nuclei)
            return {
                "sentinel": observables.scaling_sentinel(*psi),
                "spin_on_first_nucleus": observables.spin_on_first_nucleus(walker, nuclei, n_up),
                "effective_determinants": observables.effective_determinants(*psi),
            }

        def spin(walker: Array) -> Array:
            return observables.spin_squared(ansatz, params, walker, nuclei, n_up, stride)

        n_walkers = electrons.shape[0]
        stride = spin_stride(n_walkers, n_up, n_down, n_steps)
        unknown = jnp.full(n_walkers, jnp.nan, electrons.dtype)
        squares = unknown.at[::stride].set(jax.vmap(spin)(electrons[::stride]))
        return {**jax.vmap(of_walker)(electrons), "spin_squared": squares}

    sweep = make_sweep(problem, exchange_probability, hop_probability)
    return Evaluator(sweep, make_energies(problem), measure, problem.nuclei)


_radius_squared = jax.jit(jax.vmap(observables.radius_squared))


def sample_block(
    evaluator: Evaluator,
    key: Array,
    params: Params,
    electrons: Array,
    step_size: Array,
    n_steps: int,
) -> tuple[Array, Trace]:
    """Sample one block of iterations, each after `n_steps` Metropolis steps.

    Results are fetched from the device at the end of the block.
    """
    samples, measurements = [], []
    nuclei = evaluator.nuclei
    for index, iteration_key in enumerate(jax.random.split(key, BLOCK)):
        key_moves, _ = jax.random.split(iteration_key)  # as in stored evaluations
        electrons, moves = evaluator.sweep(key_moves, params, electrons, step_size, nuclei, n_steps)
        parts = evaluator.energies(params, electrons, nuclei)
        samples.append((parts, _radius_squared(electrons), moves.acceptance))
        if (index + 1) % MEASURE_INTERVAL == 0:
            measurements.append(evaluator.observables(params, electrons, nuclei))
    samples, measurements = fetch((samples, measurements))
    stack = lambda *parts: np.stack(parts)  # noqa: E731
    parts, radius, acceptance = jax.tree.map(stack, *samples)
    return electrons, _reduce(parts, radius, acceptance, jax.tree.map(stack, *measurements))


@np.errstate(invalid="ignore")  # values that are not finite are counted; the caller rejects them
def _reduce(
    parts: EnergyParts,
    radius: np.ndarray,
    acceptance: np.ndarray,
    measurements: dict[str, np.ndarray],
) -> Trace:
    """Reduce a block's samples (n_iterations, n_walkers) to its trace, in double precision."""
    total = np.asarray(parts.total)
    mean = partial(np.mean, axis=0, dtype=float)
    energy, kinetic, potential, radii = (mean(values)[None] for values in (*parts, radius))
    means = {name: mean(values)[None] for name, values in measurements.items()}
    return Trace(
        block_means=Samples(energy, kinetic, potential, radii, **means),
        energies=total[:, :SERIES_WALKERS],
        radii=radius[:, :SERIES_WALKERS],
        step_energy=np.mean(total, axis=1, dtype=float),
        step_variance=np.var(total, axis=1, dtype=float),
        acceptance=mean(acceptance)[None],
        n_nonfinite=np.sum(~np.isfinite(total))[None],
    )


def concatenate(traces: list[Trace]) -> Trace:
    """Join consecutive traces into one."""
    return jax.tree.map(lambda *parts: np.concatenate(parts, axis=0), *traces)


def summarise(trace: Trace, decorrelation_steps: int, unpaired_electrons: int) -> dict[str, Any]:
    """Return every number of a row that follows from the trace of an evaluation.

    `decorrelation_steps` are the Metropolis steps between two samples, `unpaired_electrons` is
    N_up - N_down.

    Returns:
        `energy`, `stderr` (hartree), `variance` (hartree^2), `tau` (Metropolis steps),
        `r_hat`, `s2`, `s2_stderr`, `stein_z`, `acceptance` and `details`, a dictionary
        with the diagnostics of the samples.
    """
    means = trace.block_means
    energy = walker_estimate(means.energy)
    measured = np.isfinite(means.spin_squared).all(axis=0)
    spin = walker_estimate(means.spin_squared[:, measured])
    sentinel = walker_estimate(means.sentinel)
    tau = autocorrelation_time(trace.energies)
    tau_radius = autocorrelation_time(trace.radii)
    reblocked = reblock(trace.step_energy)
    medians = np.median(trace.step_variance.reshape(-1, BLOCK), axis=1)  # almost independent
    virial = virial_estimate(means.kinetic, means.potential)
    details: dict[str, Any] = {
        "stderr_reblocked": _number(reblocked.error),
        "variance_error": _number(walker_estimate(medians[None]).error),
        "samples_per_tau": len(trace.step_energy) / max(tau, tau_radius),
        "tau_radius": tau_radius * decorrelation_steps,
        "r_hat_spin": _number(split_r_hat(means.spin_on_first_nucleus)),
        "r_hat_radius": _number(split_r_hat(means.radius_squared)),
        "drift_z": _number(_drift(means.energy)),
        "kinetic": walker_estimate(means.kinetic).mean,
        "potential": walker_estimate(means.potential).mean,
        "virial_ratio": _number(virial.mean),
        "virial_ratio_error": _number(virial.error),
        "effective_determinants": _number(walker_estimate(means.effective_determinants).mean),
        "n_nonfinite": int(trace.n_nonfinite.sum()),
        "s2_target": 0.25 * unpaired_electrons * (unpaired_electrons + 2),
    }
    return {
        "energy": energy.mean,
        "stderr": energy.error,
        "variance": float(np.median(trace.step_variance)),
        "tau": tau * decorrelation_steps,
        "r_hat": _number(split_r_hat(means.energy)),
        "s2": spin.mean,
        "s2_stderr": spin.error,
        "stein_z": z_score(sentinel, 0.0),
        "acceptance": float(np.mean(trace.acceptance)),
        "details": details,
    }


def _drift(block_means: ArrayLike) -> float:
    """Return the difference of the two halves of the samples over its standard error."""
    values = np.asarray(block_means, np.float64)
    half = len(values) // 2
    if half == 0:
        return float("nan")
    differences = values[-half:].mean(axis=0) - values[:half].mean(axis=0)
    error = differences.std(ddof=1) / np.sqrt(differences.size)
    return float(differences.mean() / error) if error > 0.0 else 0.0


def _number(value: float) -> float | None:
    """Return the number, or None if it is not finite."""
    return float(value) if np.isfinite(value) else None
