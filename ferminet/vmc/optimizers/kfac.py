"""KFAC.

Martens and Grosse, ICML 2015 (arXiv:1503.05671). The Fisher information of |psi|^2 is approximated
layer by layer by a Kronecker product of <x x^T> of the layer's inputs and 4 <d d^T> of the
derivatives d of log|psi| with respect to its outputs (`layered.py`). A gradient G becomes
A^-1 G B^-1 by two Cholesky factorisations; inverses are formed only if they are used repeatedly.
Blocks of equal shape are factorised together.
Parameters outside dense layers have their exact diagonal.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

from ferminet.ansatz.base import Ansatz, Array, LayerInputs, Nuclei, Params
from ferminet.config import OptimizerConfig
from ferminet.vmc.geometries import by_geometry, centred, first_geometry
from ferminet.vmc.optimizers import base
from ferminet.vmc.optimizers.base import FISHER, Optimizer, OptimizerSpec
from ferminet.vmc.optimizers.layered import (
    Derivatives,
    Layer,
    PerLayer,
    as_leaves,
    change_of,
    derivatives,
    find_layers,
    gradient_of,
    group_sums,
    others_of,
    rows_of,
)
from ferminet.vmc.optimizers.search import layered_of

SMALLEST_SIZE = 1e-30  # of a block's mean diagonal; smaller values are rounding errors


Direction = Any  # a pytree with one number per parameter, in the shapes that suit the curvature


class Curvature(NamedTuple):
    """The linear maps of one iteration that a natural gradient needs."""

    gradient: Callable[[Array], Direction]  # weights (n_walkers,) -> sum_b w_b grad log|psi_b|
    change: Callable[[Direction], Array]  # to first order, of each walker's log|psi|, (n_walkers,)
    divide: Callable[[Direction], Direction]  # gradient -> (KFAC's blocks + damping)^-1 gradient
    params_of: Callable[[Direction], Params]  # the same numbers in the parameters' shapes


class Factors(NamedTuple):
    """Normalised running averages of the Fisher information's parts, stored in checkpoints."""

    weight: Array  # (), of all samples so far
    inputs: list[Array]  # <x x^T> per layer, with a 1 for the bias, summed over rows
    outputs: list[Array]  # 4 <d d^T> per layer, summed over rows
    diagonals: list[Array]  # of each other leaf, 4 <d^2>
    inverses: list[tuple[Array, Array]]  # of the damped factors; empty if made in every iteration


def make(spec: OptimizerSpec, config: OptimizerConfig) -> Optimizer:
    """Make KFAC: a step along the gradient divided by the blocks."""
    init, curvature = make_curvature(spec.ansatz, config)

    def update(key, weights, state, params, electrons, nuclei, iteration):
        del key
        maps, state = curvature(state, params, electrons, nuclei, iteration)

        def direction_of(weights: Array) -> tuple[Params, Array]:
            direction = maps.divide(maps.gradient(weights))
            return direction, maps.change(direction)

        direction, change = direction_of(weights)
        if config.influence:
            groups = by_geometry(weights, nuclei), by_geometry(change, nuclei)
            weights = base.bounded_weights(*groups, config.influence).reshape(-1)
            direction, change = direction_of(weights)
        rate = spec.learning_rate(iteration)
        # The variance gives the walkers' exact norm (Martens and Grosse 2015, sec. 6.4). KFAC's
        # estimate is as wrong as its step where the averages saw nothing, far from all walkers.
        estimate = config.step_norm == "estimate"
        squared = weights @ change if estimate else FISHER * jnp.mean(centred(change, nuclei) ** 2)
        step = base.downhill(params, maps.params_of(direction), rate)
        return base.apply_limited(params, step, rate**2 * squared, config.norm_constraint), state

    return Optimizer(lambda key, *arguments: init(*arguments), update)


def make_curvature(
    ansatz: Ansatz, config: OptimizerConfig, repeated: bool = False
) -> tuple[Callable, Callable]:
    """Make the curvature from the layers that a wavefunction declares, or else those found.

    With `repeated` divisions in an iteration, products with inverses replace substitutions.

    Returns:
        `init(params, electrons, nuclei) -> factors` and `curvature(factors, params, electrons,
        nuclei, iteration) -> (Curvature, factors)`.
    """
    layered = layered_of(ansatz)

    def init(params: Params, electrons: Array, nuclei: Nuclei) -> Factors:
        layers = find_layers(layered, params, electrons[0], first_geometry(nuclei))
        leaves = jax.tree.leaves(params)
        shapes = [layer.block_shape for layer in layers]
        dtype = electrons.dtype
        square = lambda size: jnp.zeros((size, size), dtype)  # noqa: E731
        cached = config.inverse_interval > 1
        return Factors(
            jnp.zeros((), dtype),
            [square(rows) for rows, _ in shapes],
            [square(columns) for _, columns in shapes],
            [jnp.zeros_like(leaves[index]) for index in others_of(layers, len(leaves))],
            [(square(rows), square(columns)) for rows, columns in shapes] if cached else [],
        )

    def curvature(factors, params, electrons, nuclei, iteration):
        layers = find_layers(layered, params, electrons[0], first_geometry(nuclei))
        parts = derivatives(layered, layers, params, electrons, nuclei)
        factors = _updated(factors, parts, layers, config.covariance_decay)
        factors = _with_inverses(factors, layers, iteration, config)
        divide = _division(factors, layers, config.damping, repeated)
        maps = Curvature(
            lambda weights: gradient_of(parts, layers, weights),
            lambda direction: change_of(parts, layers, direction),
            divide,
            lambda parts: jax.tree.unflatten(jax.tree.structure(params), as_leaves(parts, layers)),
        )
        return maps, factors

    return init, curvature


def _input_products(inputs: LayerInputs, has_bias: bool) -> Array:
    """Return the sum of x x^T over walkers and rows, x with a 1 for the bias."""
    rows = rows_of(inputs.own)
    if has_bias:
        rows = jnp.concatenate([rows, jnp.ones_like(rows[..., :1])], axis=-1)
    of_own = jnp.einsum("brx,bry->xy", rows, rows)
    if inputs.shared is None:
        return of_own
    shared = inputs.shared
    crossed = jnp.einsum("bgx,bgy->xy", shared, group_sums(rows, inputs))
    sizes = jnp.asarray(inputs.groups, shared.dtype)[:, None]
    of_shared = jnp.einsum("bgx,bgy->xy", sizes * shared, shared)
    first, last = slice(None, inputs.shared_offset), slice(inputs.shared_offset, None)
    return jnp.block(
        [
            [of_own[first, first], crossed[:, first].T, of_own[first, last]],
            [crossed[:, first], of_shared, crossed[:, last]],
            [of_own[last, first], crossed[:, last].T, of_own[last, last]],
        ]
    )


def _updated(factors: Factors, parts: Derivatives, layers: list[Layer], decay: float) -> Factors:
    """Update the running averages with this iteration's walkers."""
    n_walkers = len(parts.logabs)
    weight = decay * factors.weight + 1.0

    def average(old: list[Array], new: list[Array]) -> list[Array]:
        return [o + (n / n_walkers - o) / weight for o, n in zip(old, new, strict=True)]

    outputs = [rows_of(slopes) for slopes in parts.outputs]
    inputs = [
        _input_products(rows, layer.bias is not None)
        for rows, layer in zip(parts.inputs, layers, strict=True)
    ]
    products = [FISHER * jnp.einsum("brx,bry->xy", rows, rows) for rows in outputs]
    return Factors(
        weight,
        average(factors.inputs, inputs),
        average(factors.outputs, products),
        average(factors.diagonals, [FISHER * jnp.sum(leaf**2, axis=0) for leaf in parts.leaves]),
        factors.inverses,
    )


def _equal_blocks(layers: list[Layer]) -> list[list[int]]:
    """Return the positions of the layers with blocks of the same shape, for each shape.

    On a CPU each layer is by itself: copying the blocks together took longer than it saved.
    """
    if jax.default_backend() == "cpu":
        return [[position] for position in range(len(layers))]
    groups: dict[tuple[int, int], list[int]] = {}
    for position, layer in enumerate(layers):
        groups.setdefault(layer.block_shape, []).append(position)
    return list(groups.values())


def _damped(
    factors: Factors, layers: list[Layer], damping: float
) -> Iterator[tuple[list[int], Array, Array]]:
    """Yield the positions and both factors (k, n, n) of each group of k layers of equal blocks.

    The damping is divided by their means (sec. 6.3). The block is A x B / rows. With the mean
    diagonals a and b and c = a b / rows it becomes c (A/a + d) x (B/b + d), d^2 = damping / c. (If
    a factor has one element, the other takes all.)
    """
    for positions in _equal_blocks(layers):
        pair = [_stacked(side, positions) for side in (factors.inputs, factors.outputs)]
        means = [jnp.trace(side, axis1=1, axis2=2) / side.shape[-1] for side in pair]
        rows = [math.prod(layers[position].outputs[:-1]) for position in positions]
        size = means[0] * means[1] / jnp.asarray(rows, means[0].dtype)
        # If a layer has no slope at any walker (saturated in float32), only damping remains.
        dead = ~(size >= SMALLEST_SIZE)  # also if it has no rows
        means, size = [jnp.where(dead, 1.0, mean) for mean in means], jnp.where(dead, 1.0, size)
        one_input, one_output = (side.shape[-1] == 1 for side in pair)
        shift = damping / size if one_input or one_output else jnp.sqrt(damping / size)
        none = jnp.zeros_like(shift)
        shifts = [none if one_input and not one_output else shift, none if one_output else shift]
        inputs, outputs = (
            side / mean[:, None, None]
            + added[:, None, None] * jnp.eye(side.shape[-1], dtype=side.dtype)
            for side, mean, added in zip(pair, means, shifts, strict=True)
        )
        yield positions, size[:, None, None] * inputs, outputs


def _stacked(arrays: list[Array], positions: list[int]) -> Array:
    return jnp.stack([arrays[position] for position in positions])


@jax.vmap
def _inverse(matrix: Array) -> Array:
    return cho_solve(cho_factor(matrix), jnp.eye(len(matrix), dtype=matrix.dtype))


def _with_inverses(
    factors: Factors, layers: list[Layer], iteration: Array, config: OptimizerConfig
) -> Factors:
    """Recompute stored inverses every `inverse_interval` iterations."""
    if not factors.inverses:
        return factors

    def invert() -> list[tuple[Array, Array]]:
        inverses = {}
        for positions, *pair in _damped(factors, layers, config.damping):
            inverses |= dict(zip(positions, zip(*map(_inverse, pair), strict=True), strict=True))
        return [inverses[position] for position in range(len(layers))]

    due = iteration % config.inverse_interval == 0
    return factors._replace(inverses=jax.lax.cond(due, invert, lambda: factors.inverses))


def _division(factors: Factors, layers: list[Layer], damping: float, repeated: bool) -> Callable:
    """Return the map that divides a gradient by the damped Fisher information."""
    groups = []
    if factors.inverses:
        for positions in _equal_blocks(layers):
            pair = (_stacked(list(side), positions) for side in zip(*factors.inverses, strict=True))
            groups.append((positions, *pair))
    else:
        form = _inverse if repeated else jax.vmap(lambda matrix: cho_factor(matrix)[0])
        for positions, *pair in _damped(factors, layers, damping):
            groups.append((positions, *map(form, pair)))
    by_inverses = bool(factors.inverses) or repeated

    def divided(blocks: Array, inputs: Array, outputs: Array) -> Array:
        if by_inverses:
            return inputs @ blocks @ outputs
        solve = jax.vmap(lambda factor, right: cho_solve((factor, False), right))
        transposed = jnp.swapaxes(solve(inputs, blocks), 1, 2)
        return jnp.swapaxes(solve(outputs, transposed), 1, 2)

    def divide(gradient: PerLayer) -> PerLayer:
        dense = list(gradient["dense"])
        for positions, *pair in groups:
            blocks = divided(_stacked(gradient["dense"], positions), *pair)
            for position, block in zip(positions, blocks, strict=True):
                dense[position] = block
        diagonals = zip(gradient["others"], factors.diagonals, strict=True)
        return {"dense": dense, "others": [leaf / (d + damping) for leaf, d in diagonals]}

    return divide
