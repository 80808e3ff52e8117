"""KFAC for wavefunctions that declare their layers (`Ansatz.layered`).

Martens and Grosse, ICML 2015 (arXiv:1503.05671). The Fisher information of |psi|^2 is approximated
layer by layer by a Kronecker product of <x x^T> of the layer's inputs and 4 <d d^T> of the
derivatives d of log|psi| by its outputs; the derivative by the weights is x d^T. One forward pass
and one backward pass to the outputs give all x and d, and these give everything else by matrix
products: both factors, the gradient of the energy, and the change of log|psi| that a step makes.
Inputs that many rows share enter each product once. A gradient G becomes A^-1 G B^-1 by two
Cholesky factorisations and substitutions; an inverse is formed only if several iterations use it.
Parameters outside of dense layers have one copy per walker, and so their exact diagonal.

For other wavefunctions kfac-jax does the same, with the same results (`kfac_jax.py`).
"""

import math
from collections.abc import Callable
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
    change_of,
    derivatives,
    find_layers,
    gradient_of,
    input_products,
    others_of,
    rows_of,
)
from ferminet.vmc.sampling import batched_logabs

SMALLEST_SIZE = 1e-30  # of a block's mean diagonal; smaller ones are rounding


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
    """Make KFAC: by the layers that the wavefunction declares, else by those that kfac-jax finds.

    Args:
        spec: wavefunction and learning rate.
        damping: added to the Fisher matrix.
        norm_constraint: largest squared Fisher norm of a step.
        influence: largest change of a walker's log|psi| in a step, in mean absolute deviations; the
            share of walkers beyond it in the gradient is cut. 0 cuts none.
        covariance_decay: decay of the running averages of the covariances.
        inverse_interval: iterations between two inversions.
    """
    options = KfacOptions(damping, norm_constraint, influence, covariance_decay, inverse_interval)
    if spec.ansatz.layered is None:
        return _make_by_pattern(spec, options)
    kfac = make_kfac(options, spec.ansatz.layered)

    def init(key, params, electrons, nuclei):
        del key
        return kfac.init(params, electrons, nuclei)

    def update(key, weights, factors, params, electrons, nuclei, iteration):
        del key
        direction, squared, factors = kfac.step(
            params, electrons, nuclei, weights, factors, iteration
        )
        rate = spec.learning_rate(iteration)
        step = downhill(params, direction, rate)
        return apply_limited(params, step, rate**2 * squared, norm_constraint), factors

    return Optimizer(init, update)


def _make_by_pattern(spec: OptimizerSpec, options: KfacOptions) -> Optimizer:
    # kfac-jax takes a second to import, and only such wavefunctions need it.
    from ferminet.vmc.optimizers.kfac_jax import kfac_preconditioner

    ansatz, limit = spec.ansatz, options.influence
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
        if limit:
            step, change = step_of(bounded_weights(weights, change, limit))
        moved = apply_limited(params, step, FISHER * jnp.var(change), options.norm_constraint)
        return moved, preconditioner.increment_count(state)

    return Optimizer(init, update)


class Factors(NamedTuple):
    """Running averages of the Fisher information's parts, normalised; what a checkpoint holds."""

    weight: Array  # (), of all samples so far
    inputs: list[Array]  # <x x^T> per layer, with a 1 for the bias, summed over rows
    outputs: list[Array]  # 4 <d d^T> per layer, summed over rows
    diagonals: list[Array]  # of each other leaf, 4 <d^2>
    inverses: list[tuple[Array, Array]]  # of the damped factors; empty if made in every iteration


class Kfac(NamedTuple):
    """KFAC of one wavefunction.

    Attributes:
        init: `(params, electrons, nuclei) -> Factors`.
        step: `(params, electrons, nuclei, weights, factors, iteration) -> (direction, its squared
            Fisher norm over the walkers, Factors)`, with the walkers' weights (n_walkers,) in the
            gradient.
    """

    init: Callable[..., Factors]
    step: Callable[..., tuple[Params, Array, Factors]]


def make_kfac(options: KfacOptions, layered: Callable) -> Kfac:
    """Make KFAC for a wavefunction given as `Ansatz.layered`."""

    def init(params: Params, electrons: Array, nuclei: Nuclei) -> Factors:
        layers = find_layers(layered, params, electrons[0], nuclei)
        leaves = jax.tree.leaves(params)
        others = others_of(layers, len(leaves))
        shapes = [(leaves[layer.weight].shape[0] + 1, layer.outputs[-1]) for layer in layers]
        dtype = electrons.dtype
        square = lambda size: jnp.zeros((size, size), dtype)  # noqa: E731
        cached = options.inverse_interval > 1
        return Factors(
            jnp.zeros((), dtype),
            [square(rows) for rows, _ in shapes],
            [square(columns) for _, columns in shapes],
            [jnp.zeros_like(leaves[index]) for index in others],
            [(square(rows), square(columns)) for rows, columns in shapes] if cached else [],
        )

    def step(params, electrons, nuclei, weights, factors, iteration):
        layers = find_layers(layered, params, electrons[0], nuclei)
        found = derivatives(layered, layers, params, electrons, nuclei)
        factors = _updated(factors, found, options)
        factors = _with_inverses(factors, layers, iteration, options)

        def direction_of(weights: Array) -> tuple[dict[str, list[Array]], Array]:
            gradient = gradient_of(found, layers, weights)
            direction = _divided(gradient, factors, layers, options.damping)
            return direction, change_of(found, layers, direction)

        direction, change = direction_of(weights)
        if options.influence:
            direction, change = direction_of(bounded_weights(weights, change, options.influence))
        structure = jax.tree.structure(params)
        return (
            jax.tree.unflatten(structure, _as_leaves(direction, layers)),
            FISHER * jnp.var(change),
            factors,
        )

    return Kfac(init, step)


def _updated(factors: Factors, found: Derivatives, options: KfacOptions) -> Factors:
    """Update the running averages with this iteration's walkers."""
    n_walkers = found.outputs[0].shape[0]
    weight = options.covariance_decay * factors.weight + 1.0

    def average(old: list[Array], new: list[Array]) -> list[Array]:
        return [o + (n / n_walkers - o) / weight for o, n in zip(old, new, strict=True)]

    products = [FISHER * jnp.einsum("brx,bry->xy", rows_of(d), rows_of(d)) for d in found.outputs]
    return Factors(
        weight,
        average(factors.inputs, [input_products(inputs) for inputs in found.inputs]),
        average(factors.outputs, products),
        average(factors.diagonals, [FISHER * jnp.sum(leaf**2, axis=0) for leaf in found.leaves]),
        factors.inverses,
    )


def _damped(inputs: Array, outputs: Array, n_rows: int, damping: float) -> tuple[Array, Array]:
    """Divide the damping between two factors by their mean diagonals (sec. 6.3).

    The block is A x B / rows. With the mean diagonals a and b and c = a b / rows it becomes
    c (A/a + d) x (B/b + d), d^2 = damping / c. (A factor of one element takes no damping.)
    """
    means = [jnp.trace(factor) / len(factor) for factor in (inputs, outputs)]
    size = means[0] * means[1] / n_rows
    # A layer that has no slope at any walker (saturated in single precision) has only its damping.
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


def _identity(like: Array) -> Array:
    return jnp.eye(len(like), dtype=like.dtype)


def _n_rows(layer: Layer) -> int:
    return math.prod(layer.outputs[:-1])


def _with_inverses(
    factors: Factors, layers: list[Layer], iteration: Array, options: KfacOptions
) -> Factors:
    """Invert anew in every `inverse_interval`-th iteration, if inverses are kept."""
    if not factors.inverses:
        return factors

    def inverse(matrix: Array) -> Array:
        return cho_solve(cho_factor(matrix), _identity(matrix))

    def invert() -> list[tuple[Array, Array]]:
        pairs = zip(factors.inputs, factors.outputs, layers, strict=True)
        damped = [_damped(a, b, _n_rows(layer), options.damping) for a, b, layer in pairs]
        return jax.tree.map(inverse, damped)

    due = iteration % options.inverse_interval == 0
    return factors._replace(inverses=jax.lax.cond(due, invert, lambda: factors.inverses))


def _divided(
    gradient: dict[str, list[Array]], factors: Factors, layers: list[Layer], damping: float
) -> dict[str, list[Array]]:
    """Divide the gradient by the damped Fisher information."""
    dense = []
    for index, (one, layer) in enumerate(zip(gradient["dense"], layers, strict=True)):
        if factors.inverses:
            left, right = factors.inverses[index]
            dense.append(left @ one @ right)
            continue
        left, right = _damped(
            factors.inputs[index], factors.outputs[index], _n_rows(layer), damping
        )
        dense.append(cho_solve(cho_factor(right), cho_solve(cho_factor(left), one).T).T)
    pairs = zip(gradient["others"], factors.diagonals, strict=True)
    return {"dense": dense, "others": [one / (diagonal + damping) for one, diagonal in pairs]}


def _as_leaves(parts: dict[str, list[Array]], layers: list[Layer]) -> list[Any]:
    """Sort layers and other leaves into the order of the parameters' leaves."""
    n_leaves = 2 * len(layers) + len(parts["others"])
    leaves: list[Any] = [None] * n_leaves
    for one, layer in zip(parts["dense"], layers, strict=True):
        leaves[layer.weight], leaves[layer.bias] = one[:-1], one[-1]
    for index, one in zip(others_of(layers, n_leaves), parts["others"], strict=True):
        leaves[index] = one
    return leaves
