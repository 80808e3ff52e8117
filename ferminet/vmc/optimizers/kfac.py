"""KFAC for wavefunctions that declare their layers (`Ansatz.layered`).

Martens and Grosse, ICML 2015 (arXiv:1503.05671). The Fisher information of |psi|^2 is approximated
layer by layer by a Kronecker product of <x x^T> of the layer's inputs and 4 <d d^T> of the
derivatives d of log|psi| with respect to its outputs (`layered.py`). A gradient G becomes
A^-1 G B^-1 by two Cholesky factorisations; an inverse is formed only if several iterations use it.
Parameters outside dense layers have their exact diagonal.

Other wavefunctions use kfac-jax, with the same results (`kfac_jax.py`).
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

from ferminet.ansatz.base import Array, LayerInputs, Nuclei, Params
from ferminet.config import OptimizerConfig
from ferminet.vmc.geometries import by_geometry, centred, first_geometry
from ferminet.vmc.optimizers import base
from ferminet.vmc.optimizers.base import FISHER, Curvature, Optimizer, OptimizerSpec
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

SMALLEST_SIZE = 1e-30  # of a block's mean diagonal; smaller values are rounding errors


class Factors(NamedTuple):
    """Normalised running averages of the Fisher information's parts, stored in checkpoints."""

    weight: Array  # (), of all samples so far
    inputs: list[Array]  # <x x^T> per layer, with a 1 for the bias, summed over rows
    outputs: list[Array]  # 4 <d d^T> per layer, summed over rows
    diagonals: list[Array]  # of each other leaf, 4 <d^2>
    inverses: list[tuple[Array, Array]]  # of the damped factors; empty if made in every iteration


def make(spec: OptimizerSpec, config: OptimizerConfig) -> Optimizer:
    """Make KFAC: a step along the gradient divided by the blocks."""
    init, curvature = base.make_curvature(spec, config)

    def update(key, weights, state, params, electrons, nuclei, iteration):
        maps, state = curvature(key, state, params, electrons, nuclei, iteration)

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

    return Optimizer(init, update)


def make_layered_curvature(layered: Callable, config: OptimizerConfig) -> tuple[Callable, Callable]:
    """Make `init` and `curvature` (`base.make_curvature`) of a wavefunction's declared layers."""

    def init(key: Array, params: Params, electrons: Array, nuclei: Nuclei) -> Factors:
        del key
        layers = find_layers(layered, params, electrons[0], first_geometry(nuclei))
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

    def curvature(key, factors, params, electrons, nuclei, iteration):
        del key
        layers = find_layers(layered, params, electrons[0], first_geometry(nuclei))
        parts = derivatives(layered, layers, params, electrons, nuclei)
        factors = _updated(factors, parts, config.covariance_decay)
        factors = _with_inverses(factors, layers, iteration, config)
        divide = _division(factors, layers, config.damping)
        maps = Curvature(
            lambda weights: gradient_of(parts, layers, weights),
            lambda direction: change_of(parts, direction),
            divide,
            lambda parts: jax.tree.unflatten(jax.tree.structure(params), as_leaves(parts, layers)),
        )
        return maps, factors

    return init, curvature


def _input_products(inputs: LayerInputs) -> Array:
    """Return the sum of x x^T over walkers and rows, x with a 1 for the bias."""
    own = rows_of(inputs.own)
    rows = jnp.concatenate([own, jnp.ones_like(own[..., :1])], axis=-1)
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


def _updated(factors: Factors, parts: Derivatives, decay: float) -> Factors:
    """Update the running averages with this iteration's walkers."""
    n_walkers = parts.outputs[0].shape[0]
    weight = decay * factors.weight + 1.0

    def average(old: list[Array], new: list[Array]) -> list[Array]:
        return [o + (n / n_walkers - o) / weight for o, n in zip(old, new, strict=True)]

    outputs = [rows_of(slopes) for slopes in parts.outputs]
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


def _division(factors: Factors, layers: list[Layer], damping: float) -> Callable:
    """Return the map that divides a gradient by the damped Fisher information."""
    if factors.inverses:
        solvers = [lambda g, i=i, o=o: i @ g @ o for i, o in factors.inverses]
    else:
        solvers = []
        for pair in _damped(factors, layers, damping):
            left, right = (cho_factor(factor) for factor in pair)
            solvers.append(lambda g, i=left, o=right: cho_solve(o, cho_solve(i, g).T).T)

    def divide(gradient: PerLayer) -> PerLayer:
        dense = [solve(block) for solve, block in zip(solvers, gradient["dense"], strict=True)]
        diagonals = zip(gradient["others"], factors.diagonals, strict=True)
        return {"dense": dense, "others": [leaf / (d + damping) for leaf, d in diagonals]}

    return divide
