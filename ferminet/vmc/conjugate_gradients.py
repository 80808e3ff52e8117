"""Preconditioned conjugate gradients for pytrees (Hestenes and Stiefel 1952).

`jax.scipy.sparse.linalg.cg` measures the residual without the preconditioner and does not count its
iterations. For the natural gradient of H4 it also returned NaN in about half of all compilations
for a CPU (docs/notebook/2026-11-30-natural-gradient.md).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from ferminet.ansatz.base import Array

Vector = Any  # a pytree of arrays
LinearMap = Callable[[Vector], Vector]


class _Search(NamedTuple):
    solution: Array  # (n,), as the others
    residual: Array
    along: Array  # the search direction
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
    # One long vector takes fewer and larger operations than the leaves one by one.
    flat, unravel = ravel_pytree(right)
    of_flat = lambda linear: lambda vector: ravel_pytree(linear(unravel(vector)))[0]  # noqa: E731
    product, divide = of_flat(product), of_flat(divide)
    smallest = tolerance**2 * jnp.vdot(flat, divide(flat))
    solution = jnp.zeros_like(flat) if start is None else ravel_pytree(start)[0]
    residual = flat if start is None else flat - product(solution)
    divided = divide(residual)
    first = _Search(solution, residual, divided, jnp.vdot(residual, divided), jnp.int32(0))

    def unfinished(search: _Search) -> Array:
        return (search.iterations < bound) & (search.size > smallest)

    def advance(search: _Search) -> _Search:
        image = product(search.along)
        length = search.size / jnp.vdot(search.along, image)
        residual = search.residual - length * image
        divided = divide(residual)
        size = jnp.vdot(residual, divided)
        return _Search(
            search.solution + length * search.along,
            residual,
            divided + size / search.size * search.along,
            size,
            search.iterations + 1,
        )

    if jax.default_backend() == "cpu":
        search = jax.lax.while_loop(unfinished, advance, first)
    else:
        # The host would wait for `unfinished` in every iteration; here a finished search stays.
        def continued(_: Array, search: _Search) -> _Search:
            further = unfinished(search)
            return jax.tree.map(partial(jnp.where, further), advance(search), search)

        search = jax.lax.fori_loop(0, bound, continued, first)
    return unravel(search.solution), search.iterations
