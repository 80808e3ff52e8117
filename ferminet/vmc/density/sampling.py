"""The one-electron density of a frozen wavefunction: electrons counted in bins, with their errors.

A histogram has no bias other than the width of its bins, and its integral is exactly the number of
electrons. Errors come from the spread between walkers, which are independent chains.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike

from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.errors import NotConvergedError
from ferminet.vmc.density.bins import Bins, bin_indices, coordinates
from ferminet.vmc.devices import fetch, replicate, shard_walkers
from ferminet.vmc.programs import Sweep

GROUPS = 256  # more walkers than this share groups, to save memory


class Counts(NamedTuple):
    """Electrons counted in bins, by statistically independent groups of walkers."""

    met: np.ndarray  # (n_groups, 2, n_bins), spin up first
    samples: np.ndarray  # (n_groups,), samples of walkers


class Sampling(NamedTuple):
    """The settings of the sampling."""

    iterations: int  # samples per walker
    burn_in: int  # sweeps before the first sample
    steps: int  # Metropolis steps of a sweep
    seed: int


def sample_density(
    sweep: Sweep,
    nuclei: Nuclei,
    n_up: int,
    bins: Bins,
    sampling: Sampling,
    params: Params,
    electrons: Array,
    step_size: Array,
    report: Callable[[int, str], None],
) -> Counts:
    """Count the electrons of a frozen wavefunction.

    Args:
        sweep: program that moves the walkers.
        nuclei: the nuclei.
        n_up: number of spin-up electrons.
        bins: bins in which electrons are counted.
        sampling: length, burn-in and seed.
        params: frozen parameters.
        electrons: initial walkers, (n_walkers, n_electrons, 3), bohr.
        step_size: frozen step size, bohr.
        report: called with the number of finished iterations and a line of text.

    Raises:
        NotConvergedError: no walker moves, because the wavefunction is not finite.
    """
    n_walkers = len(electrons)
    groups = np.arange(n_walkers) * min(n_walkers, GROUPS) // n_walkers
    met = np.zeros((groups[-1] + 1, 2, bins.n_bins), np.int64)
    spin = (np.arange(electrons.shape[1]) >= n_up).astype(int)
    params, electrons = replicate(params), shard_walkers(electrons)
    # The evaluation has the same seed, so this key must differ from its keys.
    key = jax.random.fold_in(jax.random.key(sampling.seed), 3)
    for index in range(-sampling.burn_in, sampling.iterations):
        key_sweep = jax.random.fold_in(key, index + sampling.burn_in)
        electrons, moves = sweep(key_sweep, params, electrons, step_size, nuclei, sampling.steps)
        if index >= 0:
            positions = coordinates(bins.frame, fetch(electrons))
            for bin_index in bin_indices(bins, *positions):
                np.add.at(met, (groups[:, None], spin[None, :], bin_index), 1)
            report(index + 1, f"{index + 1} samples of {n_walkers} walkers")
        if index == 0 and not float(fetch(moves.acceptance)) > 0.0:
            raise NotConvergedError(
                "no walker moves, so the trained wavefunction is not finite; no density is written."
            )
    return Counts(met, sampling.iterations * np.bincount(groups))


class Means(NamedTuple):
    """Electrons per bin and their standard errors, (n_bins,)."""

    mean: np.ndarray
    error: np.ndarray  # NaN where no electron was counted


def electrons_in_bins(counts: Counts, weights: ArrayLike) -> Means:
    """Return mean numbers of electrons per bin, with the standard error of the groups' means.

    For unequal groups this is the error of a ratio (Cochran, Sampling Techniques, 1977, sec. 9A.1):
    the variance of the groups' counts around their expected shares. `weights` are those of spin up
    and spin down: (1, 1) for all electrons, (1, -1) for the spin density.
    """
    met = np.einsum("gsb,s->gb", counts.met, np.asarray(weights, np.float64))
    total, n_groups = counts.samples.sum(), len(counts.samples)
    mean = met.sum(axis=0) / total
    beyond = met - counts.samples[:, None] * mean
    if n_groups < 2:
        return Means(mean, np.full_like(mean, np.nan))
    error = np.sqrt(n_groups / (n_groups - 1) * np.sum(beyond**2, axis=0)) / total
    chosen = np.asarray(weights) != 0
    unknown = (counts.met[:, chosen].sum(axis=(0, 1)) == 0) & (counts.met[:, chosen].sum() > 0)
    return Means(mean, np.where(unknown, np.nan, error))
