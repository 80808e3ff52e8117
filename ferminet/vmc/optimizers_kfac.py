"""KFAC for wavefunctions that tell their layers (``Ansatz.layered``).

Martens and Grosse, ICML 2015 (arXiv:1503.05671). The Fisher information of |psi|^2 is approximated
layer by layer by a Kronecker product of <x x^T> of the layer's inputs and 4 <d d^T> of the
derivatives d of log|psi| by its outputs; the derivative by the weights is x d^T. One forward pass
and one backward pass to the outputs give all x and d, and these give everything else by matrix
products: both factors, the gradient of the energy, and the change of log|psi| that a step makes.
Inputs that many rows share enter each product once. A gradient G becomes A^-1 G B^-1 by two
Cholesky factorisations and substitutions, no inverse being formed unless it is to be used again.
Parameters outside of dense layers have one copy per walker, and so their exact diagonal.

For other wavefunctions kfac-jax does the same, whose results these are (``optimizers_kfac_jax``).
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

from ferminet.ansatz.base import Array, LayerInputs, Nuclei, Params
from ferminet.ansatz.layers import dense_of_groups
from ferminet.config import OptimizerConfig

FISHER = 4.0  # of |psi|^2, whose logarithm is 2 log|psi|


class Layer(NamedTuple):
    """A dense layer of a wavefunction: where its parameters are, and what its rows share."""

    weight: int  # position among the leaves of the parameters
    bias: int
    outputs: tuple[int, ...]  # shape, of one walker
    groups: tuple[int, ...]
    before: int


class Factors(NamedTuple):
    """Running averages of the Fisher information's parts, normalised; what a checkpoint holds."""

    weight: Array  # (), of all samples so far
    inputs: list[Array]  # <x x^T> per layer, with a 1 for the bias, summed over rows
    outputs: list[Array]  # 4 <d d^T> per layer, summed over rows
    diagonals: list[Array]  # of each other leaf, 4 <d^2>
    inverses: list[tuple[Array, Array]]  # of the damped factors; empty if made in every iteration


class Derivatives(NamedTuple):
    """What one pass over the walkers gives; the first axis of everything counts walkers."""

    inputs: list[LayerInputs]
    outputs: list[Array]  # d log|psi| / d outputs, per layer
    leaves: list[Array]  # d log|psi| / d leaf, of the leaves outside of layers


class Kfac(NamedTuple):
    """KFAC of one wavefunction.

    Attributes:
        init: ``(params, electrons, nuclei) -> Factors``.
        step: ``(params, electrons, nuclei, weights, factors, iteration) -> (direction, squared
            Fisher norm of a multiple of it, Factors)``.
    """

    init: Callable[..., Factors]
    step: Callable[..., tuple[Params, Array, Factors]]


def make_kfac(config: OptimizerConfig, layered: Callable) -> Kfac:
    """KFAC of a wavefunction that is given as ``Ansatz.layered``."""

    def init(params: Params, electrons: Array, nuclei: Nuclei) -> Factors:
        layers = find_layers(layered, params, electrons[0], nuclei)
        leaves = jax.tree.leaves(params)
        others = _others(layers, len(leaves))
        shapes = [(leaves[layer.weight].shape[0] + 1, layer.outputs[-1]) for layer in layers]
        dtype = electrons.dtype
        square = lambda size: jnp.zeros((size, size), dtype)  # noqa: E731
        cached = config.inverse_interval > 1
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
        factors = _updated(factors, found, config)
        factors = _with_inverses(factors, layers, iteration, config)
        gradient = gradient_of(found, layers, weights)
        direction = _divided(gradient, factors, layers, config.damping)
        change = change_of(found, layers, direction)
        structure = jax.tree.structure(params)
        return (
            jax.tree.unflatten(structure, _as_leaves(direction, layers)),
            FISHER * jnp.var(change),
            factors,
        )

    return Kfac(init, step)


def find_layers(layered: Callable, params: Params, walker: Array, nuclei: Nuclei) -> list[Layer]:
    """The layers that a wavefunction registers, in its order; it is traced and not run."""
    found: list[Layer] = []

    def trace(params):
        position = {id(leaf): index for index, leaf in enumerate(jax.tree.leaves(params))}

        def register(outputs, layer, inputs):
            weight, bias = (position[id(layer[name])] for name in ("weight", "bias"))
            found.append(Layer(weight, bias, outputs.shape, inputs.groups, inputs.before))
            return outputs

        return layered(params, walker, nuclei, register)

    jax.eval_shape(trace, params)
    return found


def block_table(params: Params, layers: list[Layer]) -> list[tuple[str, str, int]]:
    """Which parameters have which kind of block: names, kind and number, in order."""
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    leaves = jax.tree.leaves(params)
    table = []
    for layer in layers:
        kind = "dense, shared inputs" if layer.groups else "dense"
        size = leaves[layer.weight].size + leaves[layer.bias].size
        table.append((f"{paths[layer.weight]}, {paths[layer.bias]}", kind, size))
    for index in _others(layers, len(leaves)):
        table.append((paths[index], "diagonal", leaves[index].size))
    return table


def derivatives(
    layered: Callable, layers: list[Layer], params: Params, electrons: Array, nuclei: Nuclei
) -> Derivatives:
    """Inputs of all layers and the derivatives of log|psi| by their outputs."""
    leaves, structure = jax.tree.flatten(params)
    others = _others(layers, len(leaves))
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
    of_outputs, of_leaves = pull(jnp.ones(n_walkers, electrons.dtype))
    named = [
        LayerInputs(own, shared, layer.groups, layer.before)
        for (own, shared), layer in zip(inputs, layers, strict=True)
    ]
    return Derivatives(named, of_outputs, of_leaves)


def gradient_of(found: Derivatives, layers: list[Layer], weights: Array) -> dict[str, list[Array]]:
    """sum_b w_b grad log|psi_b|: per layer with the bias as its last row, and per other leaf."""
    dense = []
    for inputs, slopes, layer in zip(found.inputs, found.outputs, layers, strict=True):
        weighted = _rows(slopes * weights.reshape(-1, *(1,) * len(layer.outputs)))
        of_own = jnp.einsum("brx,bry->xy", _rows(inputs.own), weighted)
        parts = [of_own]
        if inputs.shared is not None:
            of_shared = jnp.einsum("bgx,bgy->xy", inputs.shared, _group_sums(weighted, layer))
            parts = [of_own[: layer.before], of_shared, of_own[layer.before :]]
        dense.append(jnp.concatenate([*parts, jnp.sum(weighted, axis=(0, 1))[None]]))
    return {"dense": dense, "others": [jnp.tensordot(weights, leaf, 1) for leaf in found.leaves]}


def change_of(found: Derivatives, layers: list[Layer], step: dict[str, list[Array]]) -> Array:
    """The change of log|psi| of each walker, (n_walkers,), to first order in a step."""
    change = jnp.zeros(found.outputs[0].shape[0], found.outputs[0].dtype)
    parts = zip(found.inputs, found.outputs, layers, step["dense"], strict=True)
    for inputs, slopes, layer, moved in parts:
        weights = {"weight": moved[:-1], "bias": moved[-1]}

        def outputs(own: Array, shared: Array | None, weights=weights, layer=layer) -> Array:
            return dense_of_groups(weights, LayerInputs(own, shared, layer.groups, layer.before))

        products = slopes * jax.vmap(outputs)(inputs.own, inputs.shared)
        change += jnp.sum(products.reshape(products.shape[0], -1), axis=1)
    for slopes, moved in zip(found.leaves, step["others"], strict=True):
        change += jnp.tensordot(slopes, moved, moved.ndim)
    return change


def input_products(inputs: LayerInputs) -> Array:
    """The sum over walkers and rows of x x^T, x being a row's inputs and a 1 for the bias."""
    own = _rows(inputs.own)
    rows = jnp.concatenate([own, jnp.ones_like(own[..., :1])], axis=-1)
    of_own = jnp.einsum("brx,bry->xy", rows, rows)
    if inputs.shared is None:
        return of_own
    shared = inputs.shared
    sums = _group_sums(rows, inputs)
    crossed = jnp.einsum("bgx,bgy->xy", shared, sums)
    sizes = jnp.asarray(inputs.groups, shared.dtype)[:, None]
    of_shared = jnp.einsum("bgx,bgy->xy", sizes * shared, shared)
    first, last = slice(None, inputs.before), slice(inputs.before, None)
    return jnp.block(
        [
            [of_own[first, first], crossed[:, first].T, of_own[first, last]],
            [crossed[:, first], of_shared, crossed[:, last]],
            [of_own[last, first], crossed[:, last].T, of_own[last, last]],
        ]
    )


def _rows(array: Array) -> Array:
    """(n_walkers, ..., d) -> (n_walkers, rows, d)."""
    return array.reshape(array.shape[0], -1, array.shape[-1])


def _group_sums(rows: Array, layer: Layer | LayerInputs) -> Array:
    """Sums over the rows of each group, (n_walkers, groups, d)."""
    bounds = [sum(layer.groups[:index]) for index in range(len(layer.groups) + 1)]
    return jnp.stack([jnp.sum(rows[:, a:b], axis=1) for a, b in pairwise(bounds)], axis=1)


def _others(layers: list[Layer], n_leaves: int) -> list[int]:
    """Positions of the leaves outside of layers."""
    inside = {index for layer in layers for index in (layer.weight, layer.bias)}
    return [index for index in range(n_leaves) if index not in inside]


def _updated(factors: Factors, found: Derivatives, config: OptimizerConfig) -> Factors:
    """The running averages with this iteration's walkers."""
    n_walkers = found.outputs[0].shape[0]
    weight = config.covariance_decay * factors.weight + 1.0

    def average(old: list[Array], new: list[Array]) -> list[Array]:
        return [o + (n / n_walkers - o) / weight for o, n in zip(old, new, strict=True)]

    products = [FISHER * jnp.einsum("brx,bry->xy", _rows(d), _rows(d)) for d in found.outputs]
    return Factors(
        weight,
        average(factors.inputs, [input_products(inputs) for inputs in found.inputs]),
        average(factors.outputs, products),
        average(factors.diagonals, [FISHER * jnp.sum(leaf**2, axis=0) for leaf in found.leaves]),
        factors.inverses,
    )


def _damped(inputs: Array, outputs: Array, n_rows: int, damping: float) -> tuple[Array, Array]:
    """Factors with the damping divided between them by their mean diagonals (sec. 6.3).

    The block is A x B / rows. With the mean diagonals a and b and c = a b / rows it becomes
    c (A/a + d) x (B/b + d), d^2 = damping / c. (A factor of one element takes no damping.)
    """
    means = [jnp.trace(factor) / len(factor) for factor in (inputs, outputs)]
    size = means[0] * means[1] / n_rows
    alone = 1 in (len(inputs), len(outputs))
    shift = damping / size if alone else jnp.sqrt(damping / size)
    scaled = [
        factor / mean
        + (0.0 if len(factor) == 1 else shift) * jnp.eye(len(factor), dtype=factor.dtype)
        for factor, mean in zip((inputs, outputs), means, strict=True)
    ]
    return size * scaled[0], scaled[1]


def _n_rows(layer: Layer) -> int:
    return math.prod(layer.outputs[:-1])


def _with_inverses(
    factors: Factors, layers: list[Layer], iteration: Array, config: OptimizerConfig
) -> Factors:
    """New inverses in every ``inverse_interval``-th iteration, if they are kept at all."""
    if not factors.inverses:
        return factors

    def inverse(matrix: Array) -> Array:
        return cho_solve(cho_factor(matrix), jnp.eye(len(matrix), dtype=matrix.dtype))

    def invert() -> list[tuple[Array, Array]]:
        pairs = zip(factors.inputs, factors.outputs, layers, strict=True)
        damped = [_damped(a, b, _n_rows(layer), config.damping) for a, b, layer in pairs]
        return jax.tree.map(inverse, damped)

    due = iteration % config.inverse_interval == 0
    return factors._replace(inverses=jax.lax.cond(due, invert, lambda: factors.inverses))


def _divided(
    gradient: dict[str, list[Array]], factors: Factors, layers: list[Layer], damping: float
) -> dict[str, list[Array]]:
    """The gradient divided by the damped Fisher information."""
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
    """Per layer and other leaf -> in the order of the parameters' leaves."""
    n_leaves = 2 * len(layers) + len(parts["others"])
    leaves: list[Any] = [None] * n_leaves
    for one, layer in zip(parts["dense"], layers, strict=True):
        leaves[layer.weight], leaves[layer.bias] = one[:-1], one[-1]
    for index, one in zip(_others(layers, n_leaves), parts["others"], strict=True):
        leaves[index] = one
    return leaves
