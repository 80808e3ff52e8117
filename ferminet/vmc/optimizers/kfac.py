"""KFAC for wavefunctions that declare their layers (`Ansatz.layered`).

Martens and Grosse, ICML 2015 (arXiv:1503.05671). The Fisher information of |psi|^2 is approximated
layer by layer by a Kronecker product of <x x^T> of the layer's inputs and 4 <d d^T> of the
derivatives d of log|psi| with respect to its outputs. One forward and one backward pass give x and
d of every layer. The derivative with respect to the weights is x d^T, so gradients, covariances and
the change of log|psi| along a step are matrix products of x and d; inputs that many rows share
enter each product once. A gradient G becomes A^-1 G B^-1 by two Cholesky factorisations; an inverse
is formed only if several iterations use it. Parameters outside dense layers have one copy per
walker, which gives their exact diagonal.

Other wavefunctions use kfac-jax, with the same results (`kfac_jax.py`).
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

from ferminet.ansatz.base import Array, LayerInputs, Nuclei, Params
from ferminet.ansatz.layers import dense_of_groups
from ferminet.config import OptimizerConfig
from ferminet.vmc.optimizers import base
from ferminet.vmc.optimizers.base import FISHER, Optimizer, OptimizerSpec

SMALLEST_SIZE = 1e-30  # of a block's mean diagonal; smaller values are rounding errors

# "dense": the weights of each layer, its bias as the last row; "others": the other leaves.
PerLayer = dict[str, list[Array]]


class Layer(NamedTuple):
    """A dense layer: where its parameters are, and which rows share inputs (`LayerInputs`)."""

    weight: int  # position among the leaves of the parameters
    bias: int
    outputs: tuple[int, ...]  # shape, of one walker
    groups: tuple[int, ...]
    shared_offset: int


class Derivatives(NamedTuple):
    """The results of one pass over the walkers; every first axis counts walkers."""

    inputs: list[LayerInputs]
    outputs: list[Array]  # d log|psi| / d outputs, per layer
    leaves: list[Array]  # d log|psi| / d leaf, for the leaves outside layers


class Factors(NamedTuple):
    """Normalised running averages of the Fisher information's parts, stored in checkpoints."""

    weight: Array  # (), of all samples so far
    inputs: list[Array]  # <x x^T> per layer, with a 1 for the bias, summed over rows
    outputs: list[Array]  # 4 <d d^T> per layer, summed over rows
    diagonals: list[Array]  # of each other leaf, 4 <d^2>
    inverses: list[tuple[Array, Array]]  # of the damped factors; empty if made in every iteration


def make(spec: OptimizerSpec, config: OptimizerConfig) -> Optimizer:
    """Make KFAC from the layers that the wavefunction declares, or else those kfac-jax finds."""
    if spec.ansatz.layered is None:
        # kfac-jax takes a second to import, and only these wavefunctions need it.
        from ferminet.vmc.optimizers.kfac_jax import make as make_by_pattern

        return make_by_pattern(spec, config)
    init, kfac_direction = make_kfac(config, spec.ansatz.layered)

    def update(key, weights, factors, params, electrons, nuclei, iteration):
        del key
        given = (params, electrons, nuclei, weights, factors, iteration)
        direction, squared, factors = kfac_direction(*given)
        rate = spec.learning_rate(iteration)
        step = base.downhill(params, direction, rate)
        return base.apply_limited(params, step, rate**2 * squared, config.norm_constraint), factors

    return Optimizer(lambda key, *arguments: init(*arguments), update)


def make_kfac(
    config: OptimizerConfig, layered: Callable
) -> tuple[Callable[..., Factors], Callable[..., tuple[Params, Array, Factors]]]:
    """Make KFAC for a wavefunction given as `Ansatz.layered`.

    Returns:
        `init(params, electrons, nuclei) -> Factors` and `step(params, electrons, nuclei, weights,
        factors, iteration) -> (direction, its squared Fisher norm, Factors)`. The norm is that over
        the walkers, or KFAC's estimate d^T g = d^T (F + damping) d of it.
    """

    def init(params: Params, electrons: Array, nuclei: Nuclei) -> Factors:
        layers = find_layers(layered, params, electrons[0], nuclei)
        leaves = jax.tree.leaves(params)
        shapes = [(leaves[layer.weight].shape[0] + 1, layer.outputs[-1]) for layer in layers]
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

    def step(params, electrons, nuclei, weights, factors, iteration):
        layers = find_layers(layered, params, electrons[0], nuclei)
        parts = derivatives(layered, layers, params, electrons, nuclei)
        factors = _updated(factors, parts, config.covariance_decay)
        factors = _with_inverses(factors, layers, iteration, config)

        def direction_of(weights: Array) -> tuple[PerLayer, Array]:
            gradient = gradient_of(parts, layers, weights)
            direction = _divided(gradient, factors, layers, config.damping)
            return direction, _change_of(parts, direction)

        direction, change = direction_of(weights)
        if config.influence:
            weights = base.bounded_weights(weights, change, config.influence)
            direction, change = direction_of(weights)
        leaves = _as_leaves(direction, layers)
        direction = jax.tree.unflatten(jax.tree.structure(params), leaves)
        if config.step_norm == "estimate":
            return direction, weights @ change, factors
        return direction, FISHER * jnp.var(change), factors

    return init, step


def find_layers(layered: Callable, params: Params, walker: Array, nuclei: Nuclei) -> list[Layer]:
    """Return the layers that a wavefunction registers, in order; it is traced, not run."""
    layers: list[Layer] = []

    def trace(params):
        position = {id(leaf): index for index, leaf in enumerate(jax.tree.leaves(params))}

        def register(outputs, layer, inputs):
            weight, bias = (position[id(layer[name])] for name in ("weight", "bias"))
            layers.append(Layer(weight, bias, outputs.shape, inputs.groups, inputs.shared_offset))
            return outputs

        return layered(params, walker, nuclei, register)

    jax.eval_shape(trace, params)
    return layers


def others_of(layers: list[Layer], n_leaves: int) -> list[int]:
    """Return the positions of the leaves outside layers."""
    inside = {index for layer in layers for index in (layer.weight, layer.bias)}
    return [index for index in range(n_leaves) if index not in inside]


def block_table(params: Params, layers: list[Layer]) -> list[tuple[str, str, int]]:
    """Return the names, kind and number of parameters of each block, in order."""
    leaves = [
        (jax.tree_util.keystr(path), leaf.size)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    ]
    table = []
    for layer in layers:
        (weight, weight_size), (bias, bias_size) = leaves[layer.weight], leaves[layer.bias]
        kind = "dense, shared inputs" if layer.groups else "dense"
        table.append((f"{weight}, {bias}", kind, weight_size + bias_size))
    others = (leaves[index] for index in others_of(layers, len(leaves)))
    return table + [(name, "diagonal", size) for name, size in others]


def derivatives(
    layered: Callable, layers: list[Layer], params: Params, electrons: Array, nuclei: Nuclei
) -> Derivatives:
    """Return the inputs of all layers and d log|psi| / d outputs."""
    leaves, structure = jax.tree.flatten(params)
    others = others_of(layers, len(leaves))
    n_walkers = electrons.shape[0]

    def of_walker(walker: Array, offsets: list[Array], copies: list[Array]):
        merged = list(leaves)
        for index, copy in zip(others, copies, strict=True):
            merged[index] = copy
        remaining = iter(offsets)
        inputs: list[tuple[Array, Array | None]] = []

        def register(outputs, layer, layer_inputs):
            del layer
            inputs.append((layer_inputs.own, layer_inputs.shared))
            return outputs + next(remaining)

        psi = layered(jax.tree.unflatten(structure, merged), walker, nuclei, register)
        return psi.logabs, inputs

    offsets = [jnp.zeros((n_walkers, *layer.outputs), electrons.dtype) for layer in layers]
    copies = [jnp.broadcast_to(leaves[i], (n_walkers, *leaves[i].shape)) for i in others]
    _, pull, inputs = jax.vjp(
        lambda *varied: jax.vmap(of_walker)(electrons, *varied), offsets, copies, has_aux=True
    )
    grouped = [
        LayerInputs(*pair, layer.groups, layer.shared_offset)
        for pair, layer in zip(inputs, layers, strict=True)
    ]
    return Derivatives(grouped, *pull(jnp.ones(n_walkers, electrons.dtype)))


def gradient_of(parts: Derivatives, layers: list[Layer], weights: Array) -> PerLayer:
    """Return sum_b w_b grad log|psi_b|."""
    dense = []
    for inputs, slopes, layer in zip(parts.inputs, parts.outputs, layers, strict=True):
        weighted = _rows_of(slopes * weights.reshape(-1, *(1,) * len(layer.outputs)))
        of_own = jnp.einsum("brx,bry->xy", _rows_of(inputs.own), weighted)
        blocks = [of_own]
        if inputs.shared is not None:
            of_shared = jnp.einsum("bgx,bgy->xy", inputs.shared, _group_sums(weighted, layer))
            blocks = [of_own[: layer.shared_offset], of_shared, of_own[layer.shared_offset :]]
        dense.append(jnp.concatenate([*blocks, jnp.sum(weighted, axis=(0, 1))[None]]))
    return {"dense": dense, "others": [jnp.tensordot(weights, leaf, 1) for leaf in parts.leaves]}


def _change_of(parts: Derivatives, step: PerLayer) -> Array:
    """Return the first-order change of log|psi| of each walker in a step, (n_walkers,)."""
    change = jnp.zeros(parts.outputs[0].shape[0], parts.outputs[0].dtype)
    for inputs, slopes, moved in zip(parts.inputs, parts.outputs, step["dense"], strict=True):
        weights = {"weight": moved[:-1], "bias": moved[-1]}

        def outputs(own: Array, shared: Array | None, weights=weights, inputs=inputs) -> Array:
            return dense_of_groups(weights, inputs._replace(own=own, shared=shared))

        products = slopes * jax.vmap(outputs)(inputs.own, inputs.shared)
        change += jnp.sum(products.reshape(products.shape[0], -1), axis=1)
    for slopes, moved in zip(parts.leaves, step["others"], strict=True):
        change += jnp.tensordot(slopes, moved, moved.ndim)
    return change


def _input_products(inputs: LayerInputs) -> Array:
    """Return the sum of x x^T over walkers and rows, x with a 1 for the bias."""
    own = _rows_of(inputs.own)
    rows = jnp.concatenate([own, jnp.ones_like(own[..., :1])], axis=-1)
    of_own = jnp.einsum("brx,bry->xy", rows, rows)
    if inputs.shared is None:
        return of_own
    shared = inputs.shared
    crossed = jnp.einsum("bgx,bgy->xy", shared, _group_sums(rows, inputs))
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


def _rows_of(array: Array) -> Array:
    """Reshape (n_walkers, ..., d) to (n_walkers, rows, d)."""
    return array.reshape(array.shape[0], -1, array.shape[-1])


def _group_sums(rows: Array, layer: Layer | LayerInputs) -> Array:
    """Return the sums over the rows of each group, (n_walkers, groups, d)."""
    bounds = [sum(layer.groups[:index]) for index in range(len(layer.groups) + 1)]
    return jnp.stack([jnp.sum(rows[:, a:b], axis=1) for a, b in pairwise(bounds)], axis=1)


def _updated(factors: Factors, parts: Derivatives, decay: float) -> Factors:
    """Update the running averages with this iteration's walkers."""
    n_walkers = parts.outputs[0].shape[0]
    weight = decay * factors.weight + 1.0

    def average(old: list[Array], new: list[Array]) -> list[Array]:
        return [o + (n / n_walkers - o) / weight for o, n in zip(old, new, strict=True)]

    outputs = [_rows_of(slopes) for slopes in parts.outputs]
    products = [FISHER * jnp.einsum("brx,bry->xy", rows, rows) for rows in outputs]
    return Factors(
        weight,
        average(factors.inputs, [_input_products(inputs) for inputs in parts.inputs]),
        average(factors.outputs, products),
        average(factors.diagonals, [FISHER * jnp.sum(leaf**2, axis=0) for leaf in parts.leaves]),
        factors.inverses,
    )


def _damped(factors: Factors, layers: list[Layer], damping: float) -> Iterator[tuple[Array, Array]]:
    """Yield both factors of each layer, with the damping divided by their means (sec. 6.3).

    The block is A x B / rows. With the mean diagonals a and b and c = a b / rows it becomes
    c (A/a + d) x (B/b + d), d^2 = damping / c. (A factor of one element takes no damping.)
    """
    for *pair, layer in zip(factors.inputs, factors.outputs, layers, strict=True):
        means = [jnp.trace(factor) / len(factor) for factor in pair]
        size = means[0] * means[1] / math.prod(layer.outputs[:-1])
        # If a layer has no slope at any walker (saturated in float32), only damping remains.
        dead = size < SMALLEST_SIZE
        means, size = [jnp.where(dead, 1.0, mean) for mean in means], jnp.where(dead, 1.0, size)
        alone = 1 in map(len, pair)
        shift = damping / size if alone else jnp.sqrt(damping / size)
        inputs, outputs = (
            factor / mean
            + (0.0 if len(factor) == 1 else shift) * jnp.eye(len(factor), dtype=factor.dtype)
            for factor, mean in zip(pair, means, strict=True)
        )
        yield size * inputs, outputs


def _with_inverses(
    factors: Factors, layers: list[Layer], iteration: Array, config: OptimizerConfig
) -> Factors:
    """Recompute stored inverses every `inverse_interval` iterations."""
    if not factors.inverses:
        return factors

    def inverse(matrix: Array) -> Array:
        return cho_solve(cho_factor(matrix), jnp.eye(len(matrix), dtype=matrix.dtype))

    def invert() -> list[tuple[Array, Array]]:
        return jax.tree.map(inverse, list(_damped(factors, layers, config.damping)))

    due = iteration % config.inverse_interval == 0
    return factors._replace(inverses=jax.lax.cond(due, invert, lambda: factors.inverses))


def _divided(gradient: PerLayer, factors: Factors, layers: list[Layer], damping: float) -> PerLayer:
    """Divide the gradient by the damped Fisher information."""
    if factors.inverses:
        pairs = zip(gradient["dense"], factors.inverses, strict=True)
        dense = [left @ block @ right for block, (left, right) in pairs]
    else:
        pairs = zip(gradient["dense"], _damped(factors, layers, damping), strict=True)
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
