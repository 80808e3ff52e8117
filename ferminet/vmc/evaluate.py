"""The energy of a finished wavefunction: frozen parameters, frozen step size, nothing clipped.

The host loop around `sample_block`, with checkpoints and progress, is `stages.evaluation`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.config.blocks import EVALUATION_BLOCK
from ferminet.vmc import observables
from ferminet.vmc.devices import fetch
from ferminet.vmc.hamiltonian import EnergyParts
from ferminet.vmc.programs import Energies, Problem, Sweep, make_energies, make_sweep

BLOCK = EVALUATION_BLOCK  # walkers' means are stored per block
MEASURE_INTERVAL = 5  # iterations between measurements of the expensive observables
SERIES_WALKERS = 128  # walkers whose every sample is kept, for autocorrelation times


class Samples(NamedTuple):
    """Means over a block for every walker, (n_walkers,) or (n_blocks, n_walkers).

    The first four are measured in every iteration, the others in every fifth.
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
    energies: Energies
    observables: Callable  # (key, params, electrons, nuclei) -> {name: (n_walkers,)}
    nuclei: Nuclei


def make_evaluator(problem: Problem, exchange_probability: float) -> Evaluator:
    """Make the programs that measure a wavefunction."""
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


def equilibrate(
    evaluator: Evaluator,
    key: Array,
    params: Params,
    electrons: Array,
    step_size: Array,
    n_sweeps: int,
    n_steps: int,
) -> Array:
    """Return the walkers, (n_walkers, n_electrons, 3), after sweeps without measurements."""
    for one_key in jax.random.split(key, n_sweeps):
        electrons, _ = evaluator.sweep(
            one_key, params, electrons, step_size, evaluator.nuclei, n_steps
        )
    return electrons


def sample_block(
    evaluator: Evaluator,
    key: Array,
    params: Params,
    electrons: Array,
    step_size: Array,
    n_steps: int,
) -> tuple[Array, Trace]:
    """Sample one block of iterations, `n_steps` Metropolis steps between two of them.

    The device's results are fetched at the end of the block.
    """
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


@np.errstate(invalid="ignore")  # values that are not finite are counted; the caller refuses them
def _reduce(
    parts: EnergyParts, radius: np.ndarray, acceptance: np.ndarray, seldom: dict[str, np.ndarray]
) -> Trace:
    """Reduce a block's samples (n_iterations, n_walkers) to its trace, in double precision."""

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


def concatenate(traces: list[Trace]) -> Trace:
    """Join consecutive traces into one."""
    return jax.tree.map(lambda *parts: np.concatenate(parts, axis=0), *traces)
