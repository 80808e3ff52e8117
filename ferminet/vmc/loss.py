"""The gradient of the variational energy.

grad E = 2 <(E_L - E) grad log|psi|> (Foulkes et al., Rev. Mod. Phys. 73, 33 (2001), sec. VIII).
Local energies are clipped only here: a few walkers near nodes and coalescence points would
otherwise dominate the noise of the gradient. Reported energies are never clipped.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ferminet.ansatz.base import Array


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

    The weights, 2 (E_clipped - mean E_clipped) / n_walkers, sum to zero, so that a constant local
    energy and a change of normalisation give no gradient.

    Args:
        energies: local energies, (n_walkers,), hartree.
        clip: half-width of the clipping window, in mean absolute deviations; 0: no clipping.
    """
    if clip:
        energies = clip_energies(energies, clip)
    return 2.0 * (energies - jnp.mean(energies)) / energies.shape[0]


def bounded_weights(weights: Array, change: Array, limit: float) -> Array:
    """Return gradient weights that bound the change of every walker in a step.

    Near a node the derivatives of log|psi| grow without bound. Each block of KFAC takes the step
    that would suffice if it acted alone, so a single walker can dominate a step and make it
    too large by orders of magnitude (docs/explanation/physics.md). Its weight is reduced by the
    factor that would bring its change to the limit if it were the only walker.

    Args:
        weights: from `gradient_weights`, (n_walkers,).
        change: change of each walker's log|psi| in the step that these weights give, (n_walkers,).
        limit: largest deviation of a change from the median change, in mean absolute deviations.

    Returns:
        Weights that also sum to zero, (n_walkers,).
    """
    deviation = jnp.abs(change - jnp.median(change))
    width = limit * jnp.mean(deviation)
    weights = weights * jnp.where(deviation > width, width / deviation, 1.0)
    return weights - jnp.mean(weights)
