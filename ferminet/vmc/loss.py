"""The gradient of the variational energy.

grad E = 2 <(E_L - E) grad log|psi|> (Foulkes et al., Rev. Mod. Phys. 73, 33 (2001), sec. VIII).
Only here are local energies ever clipped: a few walkers near nodes and coalescence points would
otherwise dominate the noise of the gradient. Energies that are reported are never clipped.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Array, Params
from ferminet.vmc.sampling import LogProbability


class EnergyStatistics(NamedTuple):
    """One iteration's unclipped energies, reduced over walkers; shape () each, atomic units."""

    energy: Array
    variance: Array
    n_nonfinite: Array  # walkers whose local energy is not finite


def energy_statistics(energies: Array) -> EnergyStatistics:
    """Return the mean, variance and count of non-finite values of local energies, hartree.

    The variance is centred on the median first, which keeps its digits in float32.
    """
    centre = jnp.median(energies)
    shifted = energies - centre
    mean = jnp.mean(shifted)
    return EnergyStatistics(
        centre + mean, jnp.mean((shifted - mean) ** 2), jnp.sum(~jnp.isfinite(energies))
    )


def clip_energies(energies: Array, clip: float) -> Array:
    """Clip energies to `clip` mean absolute deviations from their median, (n_walkers,)."""
    centre = jnp.median(energies)
    width = clip * jnp.mean(jnp.abs(energies - centre))
    return jnp.clip(energies, centre - width, centre + width)


def gradient_weights(energies: Array, clip: float) -> Array:
    """Return weights w such that sum_b w_b grad log|psi_b| is the gradient of the energy.

    Args:
        energies: local energies, (n_walkers,), hartree.
        clip: half-width of the clipping window around the median, in mean absolute deviations
            from the median; 0 switches clipping off.

    Returns:
        (n_walkers,): 2 (E_clipped - mean E_clipped) / n_walkers. Centring on the mean of the
        clipped values makes the weights sum to zero, so that a constant local energy and a change
        of normalisation give no gradient.
    """
    if clip:
        energies = clip_energies(energies, clip)
    return 2.0 * (energies - jnp.mean(energies)) / energies.shape[0]


def bounded_weights(weights: Array, change: Array, limit: float) -> Array:
    """Return gradient weights that bound the change of every walker in a step.

    Near a node the derivatives of log|psi| grow without bound. KFAC's blocks each make the step
    that one block alone would need there, so that a single walker can lead a step, and make it too
    large by orders of magnitude (docs/explanation/physics.md). Its weight is multiplied by
    what brings its own change to the limit, as if it stood alone.

    Args:
        weights: of `gradient_weights`, (n_walkers,).
        change: of log|psi| of each walker by the step that these weights lead to, (n_walkers,).
        limit: largest deviation of a change from their median, in mean absolute deviations.

    Returns:
        (n_walkers,): weights that sum to zero as well.
    """
    deviation = jnp.abs(change - jnp.median(change))
    width = limit * jnp.mean(deviation)
    weights = weights * jnp.where(deviation > width, width / deviation, 1.0)
    return weights - jnp.mean(weights)


def energy_gradient(logabs_of, params: Params, electrons: Array, weights: Array) -> Params:
    """Return sum_b w_b grad log|psi_b| by one reverse pass over all walkers.

    Args:
        logabs_of: `params -> LogProbability`.
        params: the parameters.
        electrons: (n_walkers, n_electrons, 3).
        weights: (n_walkers,).
    """

    def weighted(parameters: Params) -> Array:
        logabs: LogProbability = logabs_of(parameters)
        return jnp.sum(weights * logabs(electrons))

    return jax.grad(weighted)(params)
