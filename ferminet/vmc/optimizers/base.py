"""The gradient of the energy, the interface of the optimisers, helpers for their steps, and Adam.

An optimiser receives the true gradient, 2 <(E_L - E) grad log|psi|> (Foulkes et al., Rev. Mod.
Phys. 73, 33 (2001), sec. VIII). Local energies are clipped only here: a few walkers near nodes and
coalescence points would otherwise dominate its noise. Reported energies are never clipped. KFAC's
curvature is the Fisher information of |psi|^2, 4 <grad log|psi| grad log|psi|^T>;
docs/explanation/physics.md compares these factors with those of the published codes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from ferminet.ansatz.base import Ansatz, Array, Nuclei, Params, call_builder
from ferminet.config import OptimizerConfig
from ferminet.config.optimizers import OPTIMIZERS
from ferminet.config.plugins import load_object, plugin_call
from ferminet.vmc.sampling import batched_logabs


class EnergyStatistics(NamedTuple):
    """Unclipped energies of one iteration, reduced over walkers (the first axis); atomic units.

    The shape is (), or (n_geometries,) for a curve.
    """

    energy: Array
    variance: Array
    n_nonfinite: Array  # walkers whose local energy is not finite


def energy_statistics(energies: Array) -> EnergyStatistics:
    """Return the mean, variance and count of non-finite values of local energies, hartree.

    The energies are (n_walkers,), or grouped by geometry (`geometries.by_geometry`). The variance
    is centred on the median first, which keeps its digits in float32.
    """
    centre = jnp.median(energies, axis=0)
    shifted = energies - centre
    mean = jnp.mean(shifted, axis=0)
    return EnergyStatistics(
        centre + mean,
        jnp.mean((shifted - mean) ** 2, axis=0),
        jnp.sum(~jnp.isfinite(energies), axis=0),
    )


def clip_energies(energies: Array, clip: float) -> Array:
    """Clip energies (n_walkers, ...) to `clip` mean absolute deviations from their median."""
    centre = jnp.median(energies, axis=0)
    width = clip * jnp.mean(jnp.abs(energies - centre), axis=0)
    return jnp.clip(energies, centre - width, centre + width)


def gradient_weights(energies: Array, clip: float) -> Array:
    """Return weights w such that sum_b w_b grad log|psi_b| is the gradient of the energy.

    The weights, 2 (E_clipped - mean E_clipped) / n_walkers, sum to zero, so a constant local energy
    gives no gradient. For energies that are grouped by geometry (`geometries.by_geometry`) this is
    true for each geometry, and the sum is the gradient of the mean energy of all geometries.
    `clip` is the half-width of the clipping window in mean absolute deviations; 0: no clipping.
    """
    if clip:
        energies = clip_energies(energies, clip)
    return 2.0 * (energies - jnp.mean(energies, axis=0)) / energies.size


def bounded_weights(weights: Array, change: Array, limit: float) -> Array:
    """Return gradient weights that bound the change of every walker in a step.

    Near a node the derivatives of log|psi| grow without bound. Each block of KFAC takes the step
    that would suffice if it acted alone, so a single walker can dominate a step and make it
    too large by orders of magnitude (docs/explanation/physics.md). Its weight is reduced by the
    factor that would bring its change to the limit if it were the only walker.

    `change` (n_walkers,) is that of log|psi| in the step that the weights give; its deviation from
    the median is limited to `limit` mean absolute deviations. The new weights also sum to zero.
    Weights and change may both be grouped by geometry.
    """
    deviation = jnp.abs(change - jnp.median(change, axis=0))
    width = limit * jnp.mean(deviation, axis=0)
    weights = weights * jnp.where(deviation > width, width / deviation, 1.0)
    return weights - jnp.mean(weights, axis=0)


FISHER = 4.0  # factor of |psi|^2, whose logarithm is 2 log|psi|

OptimizerState = Any  # a pytree of arrays


class Optimizer(NamedTuple):
    """An optimiser as two pure functions.

    Attributes:
        init: `(key, params, electrons, nuclei) -> state`.
        update: `(key, weights, state, params, electrons, nuclei, iteration) -> (params, state)`,
            with the walkers' weights (n_walkers,) in the gradient, see `gradient_weights`.
            Structure, shapes and types of `params` and `state` stay the same.
    """

    init: Callable[[Array, Params, Array, Nuclei], OptimizerState]
    update: Callable[..., tuple[Params, OptimizerState]]


class OptimizerSpec(NamedTuple):
    """The first argument of every function that makes an optimiser."""

    ansatz: Ansatz
    learning_rate: Callable[[Array], Array]  # iteration -> learning rate


def make_optimizer(config: OptimizerConfig, ansatz: Ansatz) -> Optimizer:
    """Make the optimiser that a configuration names.

    An optimiser of the package is called as `make(spec, config)`, a plug-in as
    `make(spec, **config.options)`.

    Raises:
        InputError: a plug-in is not an optimiser, rejects its options or raises an error.
    """
    spec = OptimizerSpec(ansatz, learning_rate_schedule(config))
    if config.name in OPTIMIZERS:
        return load_object(OPTIMIZERS[config.name].make)(spec, config)
    optimizer = call_builder(config.name, "make(spec, **options)", Optimizer, spec, config.options)
    return Optimizer(
        _guard(config.name, "init", optimizer.init), _guard(config.name, "update", optimizer.update)
    )


def _guard(name: str, action: str, function: Callable) -> Callable:
    def call(*arguments):
        with plugin_call(name, action):
            return function(*arguments)

    return call


def learning_rate_schedule(config: OptimizerConfig) -> Callable[[Array], Array]:
    """Return min(1, (t + 1) / warmup) eta_0 / (1 + t / delay)^decay as a function of t = 0, 1, ...

    It does not depend on the number of iterations, so a run can be extended at any time.
    """

    def schedule(iteration: Array) -> Array:
        relative = 1.0 + iteration / config.learning_rate_delay
        warmed = jnp.minimum(1.0, (iteration + 1.0) / max(config.learning_rate_warmup, 1))
        return config.learning_rate * warmed * relative**-config.learning_rate_decay

    return schedule


def gradient_of_energy(
    ansatz: Ansatz, params: Params, electrons: Array, nuclei: Nuclei, weights: Array
) -> Params:
    """Return sum_b w_b grad log|psi_b| over the parameters, the gradient of the energy.

    The walkers are (n_walkers, n_electrons, 3), bohr, their weights are from `gradient_weights`.
    """
    return jax.grad(lambda p: jnp.sum(weights * batched_logabs(ansatz, p, nuclei)(electrons)))(
        params
    )


def downhill(params: Params, direction: Params, rate: Array) -> Params:
    """Return the step `-rate * direction` in the parameters' types."""
    return jax.tree.map(lambda p, d: -(rate * d).astype(p.dtype), params, direction)


def apply_limited(params: Params, step: Params, squared: Array, norm_constraint: float) -> Params:
    """Apply a step of squared Fisher norm `squared`, shortened to at most `norm_constraint`."""
    scale = jnp.minimum(1.0, jnp.sqrt(norm_constraint / jnp.maximum(squared, 1e-30)))
    return jax.tree.map(lambda p, d: p + (scale * d).astype(p.dtype), params, step)


def make_adam(spec: OptimizerSpec, config: OptimizerConfig) -> Optimizer:
    """Make Adam (Kingma and Ba, ICLR 2015, arXiv:1412.6980) with optax's default moments."""
    del config
    transform = optax.adam(cast(optax.Schedule, spec.learning_rate))

    def update(key, weights, state, params, electrons, nuclei, iteration):
        del key, iteration  # optax counts by itself
        gradient = gradient_of_energy(spec.ansatz, params, electrons, nuclei, weights)
        updates, state = transform.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    return Optimizer(lambda key, params, *_: transform.init(params), update)
