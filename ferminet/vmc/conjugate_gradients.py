"""Preconditioned conjugate gradients for pytrees (Hestenes and Stiefel 1952).

`jax.scipy.sparse.linalg.cg` measures the residual without the preconditioner and does not count its
iterations. For the natural gradient of H4 it also returned NaN in about half of all compilations
for a CPU (docs/notebook/2026-11-30-natural-gradient.md).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Array

Vector = Any  # a pytree of arrays
LinearMap = Callable[[Vector], Vector]


class _Search(NamedTuple):
    solution: Vector
    residual: Vector
    along: Vector  # the search direction
    size: Array  # (), of the residual: residual^T divide(residual)
    iterations: Array  # ()


def conjugate_gradients(
    product: LinearMap,
    right: Vector,
    bound: int,
    *,
    divide: LinearMap = lambda vector: vector,
    start: Vector | None = None,
    tolerance: float = 1e-5,
) -> tuple[Vector, Array]:
    """Solve product(x) = right.

    Both maps are linear, symmetric and positive; `divide` is the preconditioner, and `start` the
    first x (zero if `None`). Returns x and the number of iterations, shape (): at most `bound`,
    or as many as reduce the norm of the residual r, (r^T divide(r))^1/2, to `tolerance` times that
    of the right side.
    """
    smallest = tolerance**2 * _inner(right, divide(right))
    solution = jax.tree.map(jnp.zeros_like, right) if start is None else start
    residual = right if start is None else _add(right, product(start), -1.0)
    divided = divide(residual)
    first = _Search(solution, residual, divided, _inner(residual, divided), jnp.int32(0))

    def unfinished(search: _Search) -> Array:
        return (search.iterations < bound) & (search.size > smallest)

    def advance(search: _Search) -> _Search:
        image = product(search.along)
        length = search.size / _inner(search.along, image)
        residual = _add(search.residual, image, -length)
        divided = divide(residual)
        size = _inner(residual, divided)
        return _Search(
            _add(search.solution, search.along, length),
            residual,
            _add(divided, search.along, size / search.size),
            size,
            search.iterations + 1,
        )

    search = jax.lax.while_loop(unfinished, advance, first)
    return search.solution, search.iterations


def _add(first: Vector, second: Vector, factor: Array | float) -> Vector:
    return jax.tree.map(lambda a, b: a + factor * b, first, second)


def _inner(first: Vector, second: Vector) -> Array:
    return jax.tree.reduce(jnp.add, jax.tree.map(jnp.vdot, first, second))
