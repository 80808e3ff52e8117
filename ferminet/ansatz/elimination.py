"""The elimination of many small matrices: determinants, and their derivatives where they vanish.

Complete pivoting permutes the rows and columns of A such that A = L diag(p) U, where L and U are
triangular with unit diagonal and entries of at most 1. The derivatives of the determinant D follow
from the pivots p and from B = L^-1 G U^-1 for a derivative G of A:

    D           = +- prod_i p_i
    d D         = +- sum_i (prod_{l != i} p_l) B_ii
    d^2 D       = +- sum_{i != j} (prod_{l != i, j} p_l) (B_ii B_jj - B_ij B_ji)  (twice along G)

They stay finite where D vanishes, however many pivots do, whereas A^-1 is infinite and D A^-1 not a
number. (D^-1 d D = tr A^-1 G, and L and U have determinant 1.) The product of thirty pivots of 0.01
underflows in float32, so all of these are in units of the constant prod_i c_i, with c_i = |p_i|
except for pivots near zero. Matrices have the shape (n, n, batch); the elimination is a loop, so
the program is no longer for 15 electrons than for 5. On a GPU one kernel does the whole loop for a
block of matrices (`in_blocks`), which otherwise takes a dozen launches per pivot.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas
from jax.experimental.pallas import triton

from ferminet.ansatz.base import Array

# Smaller pivots count as zero; the largest entry of each row is 1.
SMALLEST_SCALE = 1e-6
# Entries of the matrices that one kernel of a GPU holds, 32 for each of its 128 threads.
BLOCK_ENTRIES = 4096


class Elimination(NamedTuple):
    """A = L diag(pivots) U of a batch of matrices, with rows and columns in the pivots' order."""

    sign: Array  # (batch,), of the permutations
    pivots: Array  # (n, batch), roughly in descending order
    left: Array  # L^-1: (pivot, row of A, batch)
    right: Array  # U^-1: (pivot, column of A, batch), transposed

    def log_scale(self) -> Array:
        """Return log prod_i c_i, (batch,), the unit of determinants and their derivatives."""
        return jnp.sum(jnp.log(_scales(self.pivots)), axis=0)

    def determinant(self) -> Array:
        """Return the determinants, (batch,), in units of exp(log_scale)."""
        return self.sign * jnp.prod(self.pivots / _scales(self.pivots), axis=0)

    def cofactors(self) -> Array:
        """Return dD/dA_rc, (row, column, batch), in units of exp(log_scale)."""
        weights = self.sign * self.products_without_one()
        return jnp.einsum("sd,srd,scd->rcd", weights, self.left, self.right)

    def products_without_one(self) -> Array:
        """Return prod_{l != i} p_l, (n, batch), in units of exp(log_scale)."""
        scales = _scales(self.pivots)
        pivots = self.pivots / scales
        return _products_before(pivots) * _products_after(pivots) / scales

    def products_without_two(self) -> Array:
        """Return prod_{l != i, j} p_l, (n, n, batch), in the same units; zero for i = j."""
        scales = _scales(self.pivots)
        pivots = self.pivots / scales
        before, after = _products_before(pivots), _products_after(pivots)
        rows = []
        for i in range(len(pivots) - 1):
            between = _products_before(pivots[i + 1 :])
            row = before[i] * between * after[i + 1 :]
            rows.append(jnp.concatenate([jnp.zeros_like(pivots[: i + 1]), row]))
        upper = jnp.stack([*rows, jnp.zeros_like(pivots)])
        return (upper + jnp.swapaxes(upper, 0, 1)) / scales / scales[:, None]


def eliminate(matrices: Array) -> Elimination:
    """Factorise matrices (n, n, batch), whose entries should be of order one."""
    return Elimination(*_run(_by_complete_pivoting, matrices))


@jax.custom_jvp
def determinants(matrices: Array) -> tuple[Array, Array]:
    """Return the determinants (batch,) and the logarithms of their units, (batch,).

    Pivots are taken from each column in turn, which is cheaper than `eliminate`. The units are
    constants; derivatives use cofactors.
    """
    value, log_scale = _run(_by_columns, matrices)
    return value, log_scale


@determinants.defjvp
def _derivative_by_cofactors(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    factors = eliminate(primals[0])
    log_scale = jax.lax.stop_gradient(factors.log_scale())
    change = jnp.sum(factors.cofactors() * tangents[0], axis=(0, 1))
    return (factors.determinant(), log_scale), (change, jnp.zeros_like(log_scale))


# (matrices, n, in_kernel) -> arrays whose last axis is the batch. The matrices may be padded to
# more than n rows and columns; `in_kernel` forbids indexing, which a kernel's arrays do not have.
_Loop = Callable[[Array, int, bool], tuple[Array, ...]]


def _run(loop: _Loop, matrices: Array) -> tuple[Array, ...]:
    def directly(matrices: Array) -> tuple[Array, ...]:
        return loop(matrices, len(matrices), False)

    # XLA cannot divide a kernel among devices.
    if jax.default_backend() != "gpu" or len(jax.devices()) > 1:
        return directly(matrices)
    by_kernels = jax.custom_jvp(lambda matrices: in_blocks(loop, matrices))
    # A kernel has no derivatives; few programs need those of an elimination.
    by_kernels.defjvp(lambda primals, tangents: jax.jvp(directly, primals, tangents))
    return by_kernels(matrices)


def in_blocks(loop: _Loop, matrices: Array, interpret: bool = False) -> tuple[Array, ...]:
    """Run an elimination as one kernel for each block of matrices (n, n, batch).

    A kernel's arrays have powers of two as sizes: matrices are padded with zeros, which are never
    pivots. With `interpret` the kernel runs without a GPU.
    """
    n, _, batch = matrices.shape
    size = _power_of_two(n)
    block = min(max(BLOCK_ENTRIES // size**2, 1), _power_of_two(batch))
    padded = jnp.pad(matrices, ((0, size - n), (0, size - n), (0, -batch % block)))
    results = jax.eval_shape(lambda one: loop(one, n, True), padded)

    def kernel(read, *written):
        for reference, result in zip(written, loop(read[...], n, True), strict=True):
            reference[...] = result

    def blocks(shape: tuple[int, ...]) -> pallas.BlockSpec:
        fixed = (0,) * (len(shape) - 1)
        return pallas.BlockSpec((*shape[:-1], block), lambda number: (*fixed, number))

    call = pallas.pallas_call(
        kernel,
        grid=(padded.shape[-1] // block,),
        in_specs=[blocks(padded.shape)],
        out_specs=[blocks(result.shape) for result in results],
        out_shape=list(results),
        compiler_params=triton.CompilerParams(num_warps=4),
        interpret=interpret,
    )
    return tuple(
        result[tuple(slice(n) for _ in result.shape[:-1])][..., :batch] for result in call(padded)
    )


def _power_of_two(size: int) -> int:
    """Return the smallest power of two that is at least the size."""
    return 1 << (size - 1).bit_length()


def _by_complete_pivoting(matrices: Array, n: int, in_kernel: bool) -> tuple[Array, ...]:
    """Return the parts of an `Elimination`."""
    size, _, batch = matrices.shape
    dtype = matrices.dtype
    index = jnp.arange(size)[:, None]
    eye = jnp.where(index[..., None] == index[None], 1.0, jnp.zeros_like(matrices))

    def step(number: Array, state: tuple) -> tuple:
        rest, left, right, free_rows, free_columns, odd, factors = state
        entries = jnp.where(free_rows[:, None] & free_columns[None], jnp.abs(rest), -1.0)
        largest = jnp.argmax(entries.reshape(size * size, batch), axis=0)
        is_row, is_column = index == largest // size, index == largest % size  # (size, batch)
        row = _select(rest, is_row, 0)
        column = _select(rest, is_column, 1)
        pivot = jnp.sum(jnp.where(is_column, row, 0.0), axis=0)
        # With complete pivoting a pivot of 0 means that nothing is left to eliminate.
        safe = jnp.where(pivot == 0.0, 1.0, pivot)
        free_rows, free_columns = free_rows & ~is_row, free_columns & ~is_column
        below = jnp.where(free_rows, column / safe, 0.0)  # L under its diagonal
        right_of = jnp.where(free_columns, row / safe, 0.0)  # U right of its diagonal
        new_left, new_right = _select(left, is_row, 0), _select(right, is_column, 0)
        rest = rest - below[:, None] * row[None]
        left = left - below[:, None] * new_left[None]
        right = right - right_of[:, None] * new_right[None]
        # The sign of a permutation is the parity of its inversions: free lines before this one.
        before = jnp.sum(free_rows & (index < largest // size), axis=0, dtype=jnp.int32)
        before += jnp.sum(free_columns & (index < largest % size), axis=0, dtype=jnp.int32)
        factors = jax.tree.map(
            lambda stack, new: _placed(stack, new, number, in_kernel),
            factors,
            (pivot, new_left, new_right),
        )
        return rest, left, right, free_rows, free_columns, odd + before, factors

    free = jnp.broadcast_to(index < n, (size, batch))
    factors = (jnp.zeros((size, batch), dtype), jnp.zeros_like(eye), jnp.zeros_like(eye))
    state = (matrices, eye, eye, free, free, jnp.zeros(batch, jnp.int32), factors)
    *_, odd, (pivots, left, right) = jax.lax.fori_loop(0, n, step, state)
    return (1 - 2 * (odd % 2)).astype(dtype), pivots, left, right


def _by_columns(matrices: Array, n: int, in_kernel: bool) -> tuple[Array, ...]:
    """Return determinants and the logarithms of their units."""
    size, _, batch = matrices.shape
    index = jnp.arange(size)[:, None]

    def step(number: Array, state: tuple) -> tuple:
        rest, free, odd, product, log_scale = state
        if in_kernel:
            column = _select(rest, index == number, 1)
        else:
            column = jax.lax.dynamic_index_in_dim(rest, number, axis=1, keepdims=False)
        largest = jnp.argmax(jnp.where(free, jnp.abs(column), -1.0), axis=0)
        is_row = index == largest
        row = _select(rest, is_row, 0)
        pivot = jnp.sum(jnp.where(is_row, column, 0.0), axis=0)
        safe = jnp.where(pivot == 0.0, 1.0, pivot)
        free = free & ~is_row
        rest = rest - jnp.where(free, column / safe, 0.0)[:, None] * row[None]
        odd = odd + jnp.sum(free & (index < largest), axis=0, dtype=jnp.int32)
        scale = _scales(pivot)
        return rest, free, odd, product * (pivot / scale), log_scale + jnp.log(scale)

    ones = jnp.ones(batch, matrices.dtype)
    free = jnp.broadcast_to(index < n, (size, batch))
    state = (matrices, free, jnp.zeros(batch, jnp.int32), ones, jnp.zeros_like(ones))
    *_, odd, product, log_scale = jax.lax.fori_loop(0, n, step, state)
    return jnp.where(odd % 2 == 0, product, -product), log_scale


def _placed(stack: Array, new: Array, number: Array, in_kernel: bool) -> Array:
    """Return the stack with `new` at a position of its first axis."""
    if in_kernel:
        index = jnp.arange(len(stack)).reshape(-1, *(1,) * new.ndim)
        return jnp.where(index == number, new[None], stack)
    return jax.lax.dynamic_update_index_in_dim(stack, new, number, 0)


def first_and_second_derivatives(
    factors: Elimination, gradient: Array, laplacian: Array
) -> tuple[Array, Array]:
    """Return dD/dx_k (k, batch) and sum_k d^2 D / dx_k^2 (batch,) of determinants D of A(x).

    Both are in units of exp(factors.log_scale()). The derivatives of A are given in the same order,
    (row, column, k, batch) and (row, column, batch).
    """
    left, right, sign = factors.left, factors.right, factors.sign
    without_one = sign * factors.products_without_one()
    without_two = sign * factors.products_without_two()
    changed = jnp.einsum("srd,rckd->dskc", left, gradient)
    changed = jnp.einsum("dskc,tcd->dskt", changed, right)  # B
    diagonal = jnp.einsum("dsks->dks", changed)
    first = jnp.einsum("sd,dks->kd", without_one, diagonal)
    pairs = jnp.einsum("dks,dkt->dst", diagonal, diagonal)
    pairs = pairs - jnp.einsum("dskt,dtks->dst", changed, changed)
    second = jnp.einsum("std,dst->d", without_two, pairs)
    second = second + jnp.sum(factors.cofactors() * laplacian, axis=(0, 1))
    return first, second


def _scales(pivots: Array) -> Array:
    """Return c_i, a constant of the shape of the pivots."""
    return jax.lax.stop_gradient(jnp.maximum(jnp.abs(pivots), SMALLEST_SCALE))


def _select(matrices: Array, mask: Array, axis: int) -> Array:
    """Return the line of each matrix (n, n, batch) that the mask (n, batch) marks along an axis."""
    return jnp.sum(jnp.where(jnp.expand_dims(mask, 1 - axis), matrices, 0.0), axis=axis)


def _products_before(factors: Array) -> Array:
    """Return the product of all factors before each, (n, batch)."""
    products = [jnp.ones_like(factors[0])]
    for factor in factors[:-1]:
        products.append(products[-1] * factor)
    return jnp.stack(products)


def _products_after(factors: Array) -> Array:
    """Return the product of all factors after each, (n, batch)."""
    return _products_before(factors[::-1])[::-1]
