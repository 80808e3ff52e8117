"""Sampling of a frozen wavefunction, for what is measured after the energy."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax

from ferminet.ansatz.base import Array, Params
from ferminet.errors import NotConvergedError
from ferminet.vmc.devices import fetch, replicate, shard_walkers
from ferminet.vmc.programs import Problem, Sweep

# Numbers of the streams of random keys; those of training and evaluation are others.
DENSITY_STREAM, INSPECTION_STREAM = 3, 4


class Frozen(NamedTuple):
    """A wavefunction whose parameters and step size are fixed, and how it is sampled."""

    problem: Problem
    sweep: Sweep
    params: Params
    electrons: Array  # walkers to start from, (n_walkers, n_electrons, 3), bohr
    step_size: Array  # (), bohr
    iterations: int  # samples per walker
    burn_in: int  # sweeps before the first sample
    steps: int  # Metropolis steps of a sweep
    seed: int


def sample_frozen(
    frozen: Frozen, stream: int, report: Callable[[int, str], None]
) -> Iterator[Array]:
    """Yield the walkers (n_walkers, n_electrons, 3) of each iteration, bohr, on the device.

    `report` is called with the number of finished iterations and a line of text.

    Raises:
        NotConvergedError: no walker moves, because the wavefunction is not finite.
    """
    n_walkers, nuclei = len(frozen.electrons), frozen.problem.nuclei
    params, electrons = replicate(frozen.params), shard_walkers(frozen.electrons)
    key = jax.random.fold_in(jax.random.key(frozen.seed), stream)
    for index in range(-frozen.burn_in, frozen.iterations):
        key_sweep = jax.random.fold_in(key, index + frozen.burn_in)
        electrons, moves = frozen.sweep(
            key_sweep, params, electrons, frozen.step_size, nuclei, frozen.steps
        )
        if index == 0 and not float(fetch(moves.acceptance)) > 0.0:
            raise NotConvergedError(
                "no walker moves, so the trained wavefunction is not finite; nothing is written."
            )
        if index >= 0:
            yield electrons
            report(index + 1, f"{index + 1} samples of {n_walkers} walkers")
