"""Sampling of a frozen wavefunction, for what is measured after the energy."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax

from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.errors import NotConvergedError
from ferminet.vmc.devices import fetch, replicate, shard_walkers
from ferminet.vmc.programs import Sweep


class Sampling(NamedTuple):
    """The settings of the sampling."""

    iterations: int  # samples per walker
    burn_in: int  # sweeps before the first sample
    steps: int  # Metropolis steps of a sweep
    seed: int


# Numbers of the streams of random keys; those of training and evaluation are others.
DENSITY_STREAM, INSPECTION_STREAM = 3, 4


def sample_frozen(
    sweep: Sweep,
    nuclei: Nuclei,
    sampling: Sampling,
    stream: int,
    params: Params,
    electrons: Array,
    step_size: Array,
    report: Callable[[int, str], None],
) -> Iterator[Array]:
    """Yield the walkers (n_walkers, n_electrons, 3) of each iteration, bohr, on the device.

    `step_size` (bohr) is frozen as well. `report` is called with the number of finished iterations
    and a line of text.

    Raises:
        NotConvergedError: no walker moves, because the wavefunction is not finite.
    """
    n_walkers = len(electrons)
    params, electrons = replicate(params), shard_walkers(electrons)
    key = jax.random.fold_in(jax.random.key(sampling.seed), stream)
    for index in range(-sampling.burn_in, sampling.iterations):
        key_sweep = jax.random.fold_in(key, index + sampling.burn_in)
        electrons, moves = sweep(key_sweep, params, electrons, step_size, nuclei, sampling.steps)
        if index == 0 and not float(fetch(moves.acceptance)) > 0.0:
            raise NotConvergedError(
                "no walker moves, so the trained wavefunction is not finite; nothing is written."
            )
        if index >= 0:
            yield electrons
            report(index + 1, f"{index + 1} samples of {n_walkers} walkers")
