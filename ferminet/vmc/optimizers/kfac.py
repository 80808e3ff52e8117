"""KFAC for wavefunctions that declare their layers (`Ansatz.layered`).

Martens and Grosse, ICML 2015 (arXiv:1503.05671). The Fisher information of |psi|^2 is approximated
layer by layer by a Kronecker product of <x x^T> of the layer's inputs and 4 <d d^T> of the
derivatives d of log|psi| with respect to its outputs (`kfac_layers.py`). A gradient G becomes
A^-1 G B^-1 by two Cholesky factorisations; an inverse is formed only if several iterations use it.
Parameters outside dense layers have one copy per walker, which gives their exact diagonal.

Other wavefunctions use kfac-jax, with the same results (`kfac_jax.py`).
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.vmc.loss import bounded_weights
from ferminet.vmc.optimizers.base import (
    FISHER,
    Optimizer,
    OptimizerSpec,
    apply_limited,
    change_along,
    downhill,
    gradient_of_energy,
)
from ferminet.vmc.optimizers.kfac_layers import (
    Derivatives,
    Layer,
    PerLayer,
    change_of,
    derivatives,
    find_layers,
    gradient_of,
    input_products,
    others_of,
    rows_of,
)
from ferminet.vmc.sampling import batched_logabs

SMALLEST_SIZE = 1e-30  # of a block's mean diagonal; smaller values are rounding errors


class KfacOptions(NamedTuple):
    """The keys of the block `optimizer` that KFAC reads, apart from the learning rate."""

    damping: float
    norm_constraint: float
    influence: float
    covariance_decay: float
    inverse_interval: int


def make(
    spec: OptimizerSpec,
    *,
    damping: float,
    norm_constraint: float,
    influence: float,
    covariance_decay: float,
    inverse_interval: int,
) -> Optimizer:
    """Make KFAC from the layers that the wavefunction declares, or else those kfac-jax finds.

    Args:
        spec: wavefunction and learning rate.
        damping: added to the Fisher matrix.
        norm_constraint: largest squared Fisher norm of a step.
        influence: largest change of a walker's log|psi| in a step, in mean absolute deviations;
            weights of walkers beyond it are reduced. 0 sets no limit.
        covariance_decay: decay of the running averages of the covariances.
        inverse_interval: iterations between two inversions.
    """
    options = KfacOptions(damping, norm_constraint, influence, covariance_decay, inverse_interval)
    if spec.ansatz.layered is None:
        return _make_by_pattern(spec, options)
    init, kfac_direction = make_kfac(options, spec.ansatz.layered)

    def update(key, weights, factors, params, electrons, nuclei, iteration):
        del key
        direction, squared, factors = kfac_direction(
            params, electrons, nuclei, weights, factors, iteration
        )
        rate = spec.learning_rate(iteration)
        step = downhill(params, direction, rate)
        return apply_limited(params, step, rate**2 * squared, norm_constraint), factors

    return Optimizer(lambda key, *arguments: init(*arguments), update)


def _make_by_pattern(spec: OptimizerSpec, options: KfacOptions) -> Optimizer:
    # kfac-jax takes a second to import, and only these wavefunctions need it.
    from ferminet.vmc.optimizers.kfac_jax import kfac_preconditioner

    ansatz = spec.ansatz
    preconditioner = kfac_preconditioner(options, ansatz)

    def init(key, params, electrons, nuclei):
        return preconditioner.init((params, nuclei, electrons), key)

    def update(key, weights, state, params, electrons, nuclei, iteration):
        state = preconditioner.maybe_update(state, (params, nuclei, electrons), key)

        def step_of(weights: Array) -> tuple[Params, Array]:
            gradient = gradient_of_energy(ansatz, params, electrons, nuclei, weights)
            direction = preconditioner.apply(gradient, state)
            step = downhill(params, direction, spec.learning_rate(iteration))
            return step, change_along(
                lambda p: batched_logabs(ansatz, p, nuclei)(electrons), params, step
            )

        step, change = step_of(weights)
        if options.influence:
            step, change = step_of(bounded_weights(weights, change, options.influence))
        moved = apply_limited(params, step, FISHER * jnp.var(change), options.norm_constraint)
        return moved, preconditioner.increment_count(state)

    return Optimizer(init, update)


class Factors(NamedTuple):
    """Normalised running averages of the Fisher information's parts, stored in checkpoints."""

    weight: Array  # (), of all samples so far
    inputs: list[Array]  # <x x^T> per layer, with a 1 for the bias, summed over rows
    outputs: list[Array]  # 4 <d d^T> per layer, summed over rows
    diagonals: list[Array]  # of each other leaf, 4 <d^2>
    inverses: list[tuple[Array, Array]]  # of the damped factors; empty if made in every iteration


def make_kfac(
    options: KfacOptions, layered: Callable
) -> tuple[Callable[..., Factors], Callable[..., tuple[Params, Array, Factors]]]:
    """Make KFAC for a wavefunction given as `Ansatz.layered`.

    Returns:
        `init(params, electrons, nuclei) -> Factors` and `step(params, electrons, nuclei, weights,
        factors, iteration) -> (direction, its squared Fisher norm over the walkers, Factors)`.
    """

    def init(params: Params, electrons: Array, nuclei: Nuclei) -> Factors:
        layers = find_layers(layered, params, electrons[0], nuclei)
        leaves = jax.tree.leaves(params)
        shapes = [(leaves[layer.weight].shape[0] + 1, layer.outputs[-1]) for layer in layers]
        dtype = electrons.dtype
        square = lambda size: jnp.zeros((size, size), dtype)  # noqa: E731
        cached = options.inverse_interval > 1
        return Factors(
            jnp.zeros((), dtype),
            [square(rows) for rows, _ in shapes],
            [square(columns) for _, columns in shapes],
            [jnp.zeros_like(leaves[index]) for index in others_of(layers, len(leaves))],
            [(square(rows), square(columns)) for rows, columns in shapes] if cached else [],
        )

    def step(params, electrons, nuclei, weights, factors, iteration):
        layers = find_layers(layered, params, electrons[0], nuclei)
        parts = derivatives(layered, layers, params, electrons, nuclei)
        factors = _updated(factors, parts, options.covariance_decay)
        factors = _with_inverses(factors, layers, iteration, options)

        def direction_of(weights: Array) -> tuple[PerLayer, Array]:
            gradient = gradient_of(parts, layers, weights)
            direction = _divided(gradient, factors, layers, options.damping)
            return direction, change_of(parts, layers, direction)

        direction, change = direction_of(weights)
        if options.influence:
            direction, change = direction_of(bounded_weights(weights, change, options.influence))
        leaves = _as_leaves(direction, layers)
        direction = jax.tree.unflatten(jax.tree.structure(params), leaves)
        return direction, FISHER * jnp.var(change), factors

    return init, step


def _updated(factors: Factors, parts: Derivatives, decay: float) -> Factors:
    """Update the running averages with this iteration's walkers."""
    n_walkers = parts.outputs[0].shape[0]
    weight = decay * factors.weight + 1.0

    def average(old: list[Array], new: list[Array]) -> list[Array]:
        return [o + (n / n_walkers - o) / weight for o, n in zip(old, new, strict=True)]

    products = [FISHER * jnp.einsum("brx,bry->xy", rows_of(d), rows_of(d)) for d in parts.outputs]
    return Factors(
        weight,
        average(factors.inputs, [input_products(inputs) for inputs in parts.inputs]),
        average(factors.outputs, products),
        average(factors.diagonals, [FISHER * jnp.sum(leaf**2, axis=0) for leaf in parts.leaves]),
        factors.inverses,
    )


def _damped_factors(
    factors: Factors, layers: list[Layer], damping: float
) -> Iterator[tuple[Array, Array]]:
    for inputs, outputs, layer in zip(factors.inputs, factors.outputs, layers, strict=True):
        yield _damped(inputs, outputs, math.prod(layer.outputs[:-1]), damping)


def _damped(inputs: Array, outputs: Array, n_rows: int, damping: float) -> tuple[Array, Array]:
    """Divide the damping between two factors by their mean diagonals (sec. 6.3).

    The block is A x B / rows. With the mean diagonals a and b and c = a b / rows it becomes
    c (A/a + d) x (B/b + d), d^2 = damping / c. (A factor of one element takes no damping.)
    """
    means = [jnp.trace(factor) / len(factor) for factor in (inputs, outputs)]
    size = means[0] * means[1] / n_rows
    # If a layer has no slope at any walker (saturated in single precision), only damping remains.
    dead = size < SMALLEST_SIZE
    means, size = [jnp.where(dead, 1.0, mean) for mean in means], jnp.where(dead, 1.0, size)
    alone = 1 in (len(inputs), len(outputs))
    shift = damping / size if alone else jnp.sqrt(damping / size)
    scaled = [
        factor / mean
        + (0.0 if len(factor) == 1 else shift) * jnp.eye(len(factor), dtype=factor.dtype)
        for factor, mean in zip((inputs, outputs), means, strict=True)
    ]
    return size * scaled[0], scaled[1]


def _with_inverses(
    factors: Factors, layers: list[Layer], iteration: Array, options: KfacOptions
) -> Factors:
    """Recompute stored inverses every `inverse_interval` iterations."""
    if not factors.inverses:
        return factors

    def inverse(matrix: Array) -> Array:
        return cho_solve(cho_factor(matrix), jnp.eye(len(matrix), dtype=matrix.dtype))

    def invert() -> list[tuple[Array, Array]]:
        return jax.tree.map(inverse, list(_damped_factors(factors, layers, options.damping)))

    due = iteration % options.inverse_interval == 0
    return factors._replace(inverses=jax.lax.cond(due, invert, lambda: factors.inverses))


def _divided(gradient: PerLayer, factors: Factors, layers: list[Layer], damping: float) -> PerLayer:
    """Divide the gradient by the damped Fisher information."""
    if factors.inverses:
        pairs = zip(gradient["dense"], factors.inverses, strict=True)
        dense = [left @ block @ right for block, (left, right) in pairs]
    else:
        pairs = zip(gradient["dense"], _damped_factors(factors, layers, damping), strict=True)
        dense = [
            cho_solve(cho_factor(right), cho_solve(cho_factor(left), block).T).T
            for block, (left, right) in pairs
        ]
    diagonals = zip(gradient["others"], factors.diagonals, strict=True)
    return {"dense": dense, "others": [leaf / (d + damping) for leaf, d in diagonals]}


def _as_leaves(parts: PerLayer, layers: list[Layer]) -> list[Array]:
    """Sort layers and other leaves into the order of the parameters' leaves."""
    leaves: dict[int, Any] = {}
    for block, layer in zip(parts["dense"], layers, strict=True):
        leaves |= {layer.weight: block[:-1], layer.bias: block[-1]}
    n_leaves = len(leaves) + len(parts["others"])
    leaves |= dict(zip(others_of(layers, n_leaves), parts["others"], strict=True))
    return [leaves[index] for index in range(n_leaves)]
