"""Derivatives of log|psi| by the dense layers of a wavefunction.

The layers are declared by it (`Ansatz.layered`), or found in its program (`search.py`).

One forward and one backward pass give the inputs x of every layer and the derivatives d of log|psi|
with respect to its outputs. The derivative with respect to the weights is x d^T, so gradients,
covariances and the change of log|psi| along a step are matrix products of x and d; inputs that many
rows share enter each product once. No array has a walker's derivatives by all parameters.
Parameters outside dense layers (a few per orbital and nucleus) have one copy per walker.
"""

import math
from collections.abc import Callable
from itertools import count, pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Array, LayerInputs, Nuclei, Params
from ferminet.ansatz.layers import dense_of_groups
from ferminet.errors import InputError
from ferminet.vmc.geometries import map_walkers

# "dense": the weights of each layer, its bias as the last row; "others": the other leaves.
PerLayer = dict[str, list[Array]]


class Layer(NamedTuple):
    """A dense layer: where its parameters are, and which rows share inputs (`LayerInputs`)."""

    weight: int  # position among the leaves of the parameters
    bias: int | None
    weight_shape: tuple[int, ...]
    bias_shape: tuple[int, ...]
    calls: tuple[tuple[int, tuple[int, ...]], ...]  # of `register`: position, shape of the outputs
    outputs: tuple[int, ...]  # shape, of one walker; that of several calls is (rows, d)
    groups: tuple[int, ...]
    shared_offset: int
    input_axes: tuple[int, ...]

    @property
    def block_shape(self) -> tuple[int, int]:
        """The shape of the weights as a matrix, with the bias as its last row."""
        n_inputs = math.prod(self.weight_shape[axis] for axis in self.input_axes)
        return n_inputs + (self.bias is not None), self.outputs[-1]

    def leaves_of(self, block: Array) -> dict[int, Array]:
        """Return a block's weight and bias in the parameters' shapes, by their positions."""
        others = [i for i in range(len(self.weight_shape)) if i not in self.input_axes]
        order = (*self.input_axes, *others)
        weight = block if self.bias is None else block[:-1]
        weight = weight.reshape([self.weight_shape[axis] for axis in order])
        leaves = {self.weight: jnp.transpose(weight, np.argsort(order).tolist())}
        if self.bias is not None:
            leaves[self.bias] = block[-1].reshape(self.bias_shape)
        return leaves


class Derivatives(NamedTuple):
    """The results of one pass over the walkers; every first axis counts walkers."""

    logabs: Array
    inputs: list[LayerInputs]
    outputs: list[Array]  # d log|psi| / d outputs, per layer
    leaves: list[Array]  # d log|psi| / d leaf, for the leaves outside layers


def find_layers(layered: Callable, params: Params, walker: Array, nuclei: Nuclei) -> list[Layer]:
    """Return the layers that a wavefunction registers, in order; it is traced, not run."""
    layers: dict[int, Layer] = {}
    calls = count()

    def trace(params):
        leaves = jax.tree.leaves(params)
        position = {id(leaf): index for index, leaf in enumerate(leaves)}

        def register(outputs, layer, inputs):
            weight, bias = position[id(layer["weight"])], layer.get("bias")
            new = Layer(
                weight,
                None if bias is None else position[id(bias)],
                layer["weight"].shape,
                () if bias is None else bias.shape,
                ((next(calls), outputs.shape),),
                outputs.shape,
                inputs.groups,
                inputs.shared_offset,
                inputs.input_axes,
            )
            layers[weight] = _merged(layers[weight], new) if weight in layers else new
            return outputs

        return layered(params, walker, nuclei, register)

    jax.eval_shape(trace, params)
    return list(layers.values())


def _merged(old: Layer, new: Layer) -> Layer:
    """Return the layer of several calls, with the rows of all."""
    if old.groups or new.groups:
        raise InputError("a layer that shares inputs was registered twice; register it once.")
    n_rows = sum(math.prod(layer.outputs[:-1]) for layer in (old, new))
    return old._replace(calls=old.calls + new.calls, outputs=(n_rows, old.outputs[-1]))


def others_of(layers: list[Layer], n_leaves: int) -> list[int]:
    """Return the positions of the leaves outside layers."""
    inside = {index for layer in layers for index in (layer.weight, layer.bias)}
    return [index for index in range(n_leaves) if index not in inside]


def block_table(params: Params, layers: list[Layer]) -> list[tuple[str, str, int]]:
    """Return the names, kind and number of parameters of each block, in order."""
    leaves = [
        (jax.tree_util.keystr(path), jnp.size(leaf))
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    ]
    table = []
    for layer in layers:
        parts = [leaves[index] for index in (layer.weight, layer.bias) if index is not None]
        kind = "dense, shared inputs" if layer.groups else "dense"
        table.append((", ".join(name for name, _ in parts), kind, sum(size for _, size in parts)))
    others = (leaves[index] for index in others_of(layers, len(leaves)))
    return table + [(name, "diagonal", size) for name, size in others]


def derivatives(
    layered: Callable, layers: list[Layer], params: Params, electrons: Array, nuclei: Nuclei
) -> Derivatives:
    """Return the inputs of all layers and d log|psi| / d outputs."""
    leaves, structure = jax.tree.flatten(params)
    others = others_of(layers, len(leaves))
    n_walkers = electrons.shape[0]
    shapes = [shape for _, shape in sorted(call for layer in layers for call in layer.calls)]

    def of_walker(nuclei: Nuclei, walker: Array, offsets: list[Array], copies: list[Array]):
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

    offsets = [jnp.zeros((n_walkers, *shape), electrons.dtype) for shape in shapes]
    copies = [jnp.broadcast_to(leaves[i], (n_walkers, *leaves[i].shape)) for i in others]

    def of_walkers(*varied: list[Array]) -> tuple[Array, list[tuple[Array, Array | None]]]:
        return map_walkers(of_walker, nuclei, electrons, *varied)

    logabs, pull, inputs = jax.vjp(of_walkers, offsets, copies, has_aux=True)
    slopes, of_leaves = pull(jnp.ones(n_walkers, electrons.dtype))
    parts = [_of_calls(layer, inputs, slopes) for layer in layers]
    return Derivatives(logabs, [own for own, _ in parts], [slope for _, slope in parts], of_leaves)


def _of_calls(
    layer: Layer, inputs: list[tuple[Array, Array | None]], slopes: list[Array]
) -> tuple[LayerInputs, Array]:
    """Return the inputs and slopes of a layer, the rows of all its calls."""
    calls = [index for index, _ in layer.calls]
    if len(calls) == 1:
        (call,) = calls
        return LayerInputs(*inputs[call], layer.groups, layer.shared_offset), slopes[call]
    own = jnp.concatenate([rows_of(inputs[call][0]) for call in calls], axis=1)
    return LayerInputs(own), jnp.concatenate([rows_of(slopes[call]) for call in calls], axis=1)


def gradient_of(parts: Derivatives, layers: list[Layer], weights: Array) -> PerLayer:
    """Return sum_b w_b grad log|psi_b|."""
    dense = []
    for inputs, slopes, layer in zip(parts.inputs, parts.outputs, layers, strict=True):
        weighted = rows_of(slopes * weights.reshape(-1, *(1,) * len(layer.outputs)))
        of_own = jnp.einsum("brx,bry->xy", rows_of(inputs.own), weighted)
        blocks = [of_own]
        if inputs.shared is not None:
            of_shared = jnp.einsum("bgx,bgy->xy", inputs.shared, group_sums(weighted, layer))
            blocks = [of_own[: layer.shared_offset], of_shared, of_own[layer.shared_offset :]]
        if layer.bias is not None:
            blocks.append(jnp.sum(weighted, axis=(0, 1))[None])
        dense.append(jnp.concatenate(blocks))
    return {"dense": dense, "others": [jnp.tensordot(weights, leaf, 1) for leaf in parts.leaves]}


def change_of(parts: Derivatives, layers: list[Layer], step: PerLayer) -> Array:
    """Return the first-order change of log|psi| of each walker in a step, (n_walkers,)."""
    change = jnp.zeros_like(parts.logabs)
    dense = zip(parts.inputs, parts.outputs, layers, step["dense"], strict=True)
    for inputs, slopes, layer, moved in dense:
        weight, bias = (moved, 0.0) if layer.bias is None else (moved[:-1], moved[-1])
        weights = {"weight": weight, "bias": bias}

        def outputs(own: Array, shared: Array | None, weights=weights, inputs=inputs) -> Array:
            return dense_of_groups(weights, inputs._replace(own=own, shared=shared))

        products = slopes * jax.vmap(outputs)(inputs.own, inputs.shared)
        change += jnp.sum(products.reshape(products.shape[0], -1), axis=1)
    for slopes, moved in zip(parts.leaves, step["others"], strict=True):
        change += jnp.tensordot(slopes, moved, moved.ndim)
    return change


def rows_of(array: Array) -> Array:
    """Reshape (n_walkers, ..., d) to (n_walkers, rows, d)."""
    return array.reshape(array.shape[0], math.prod(array.shape[1:-1]), array.shape[-1])


def group_sums(rows: Array, layer: Layer | LayerInputs) -> Array:
    """Return the sums over the rows of each group, (n_walkers, groups, d)."""
    bounds = [sum(layer.groups[:index]) for index in range(len(layer.groups) + 1)]
    return jnp.stack([jnp.sum(rows[:, a:b], axis=1) for a, b in pairwise(bounds)], axis=1)


def as_leaves(parts: PerLayer, layers: list[Layer]) -> list[Array]:
    """Sort layers and other leaves into the order of the parameters' leaves."""
    leaves: dict[int, Any] = {}
    for block, layer in zip(parts["dense"], layers, strict=True):
        leaves |= layer.leaves_of(block)
    n_leaves = len(leaves) + len(parts["others"])
    leaves |= dict(zip(others_of(layers, n_leaves), parts["others"], strict=True))
    return [leaves[index] for index in range(n_leaves)]
