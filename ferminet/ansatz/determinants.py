"""Sums of Slater determinants, stable in sign and logarithm, and where a determinant vanishes.

Complete pivoting permutes the rows and columns of A such that A = L diag(p) U, where L and U are
triangular with unit diagonal and entries of at most 1. The derivatives of the determinant D follow
from the pivots p and from B = L^-1 G U^-1 for a derivative G of A:

    D           = +- prod_i p_i
    d D         = +- sum_i (prod_{l != i} p_l) B_ii
    d^2 D       = +- sum_{i != j} (prod_{l != i, j} p_l) (B_ii B_jj - B_ij B_ji)  (twice along G)

They stay finite where D vanishes, however many pivots do, whereas A^-1 is infinite and D A^-1 not a
number. (D^-1 d D = tr A^-1 G, and L and U have determinant 1.) The product of thirty pivots of 0.01
underflows in float32, so all of these are in units of the constant prod_i c_i, with c_i = |p_i|
except for pivots near zero. Eliminated matrices have the shape (n, n, batch); the elimination is a
loop, so the program is no longer for 15 electrons than for 5.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Array, LogPsi

# Smaller pivots count as zero; the largest entry of each row is 1.
SMALLEST_SCALE = 1e-6


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
    n, _, batch = matrices.shape
    dtype = matrices.dtype
    index = jnp.arange(n)[:, None]
    eye = jnp.broadcast_to(jnp.eye(n, dtype=dtype)[..., None], matrices.shape)

    def step(number: Array, state: tuple) -> tuple:
        rest, left, right, free_rows, free_columns, odd, factors = state
        size = jnp.where(free_rows[:, None] & free_columns[None], jnp.abs(rest), -1.0)
        largest = jnp.argmax(size.reshape(n * n, batch), axis=0)
        is_row, is_column = index == largest // n, index == largest % n  # (n, batch)
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
        before = jnp.sum(free_rows & (index < largest // n), axis=0, dtype=jnp.int32)
        before += jnp.sum(free_columns & (index < largest % n), axis=0, dtype=jnp.int32)
        factors = jax.tree.map(
            lambda stack, new: jax.lax.dynamic_update_index_in_dim(stack, new, number, 0),
            factors,
            (pivot, new_left, new_right),
        )
        return rest, left, right, free_rows, free_columns, odd + before, factors

    free = jnp.ones((n, batch), bool)
    factors = (jnp.zeros((n, batch), dtype), jnp.zeros_like(eye), jnp.zeros_like(eye))
    state = (matrices, eye, eye, free, free, jnp.zeros(batch, jnp.int32), factors)
    *_, odd, (pivots, left, right) = jax.lax.fori_loop(0, n, step, state)
    return Elimination((1 - 2 * (odd % 2)).astype(dtype), pivots, left, right)


@jax.custom_jvp
def determinants(matrices: Array) -> tuple[Array, Array]:
    """Return the determinants (batch,) and the logarithms of their units, (batch,).

    Pivots are taken from each column in turn, which is cheaper than `eliminate`. The units are
    constants; derivatives use cofactors.
    """
    n, _, batch = matrices.shape
    index = jnp.arange(n)[:, None]

    def step(number: Array, state: tuple) -> tuple:
        rest, free, odd, product, log_scale = state
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
    free, even = jnp.ones((n, batch), bool), jnp.zeros(batch, jnp.int32)
    state = (matrices, free, even, ones, jnp.zeros_like(ones))
    *_, odd, product, log_scale = jax.lax.fori_loop(0, n, step, state)
    return jnp.where(odd % 2 == 0, product, -product), log_scale


@determinants.defjvp
def _derivative_by_cofactors(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    factors = eliminate(primals[0])
    log_scale = jax.lax.stop_gradient(factors.log_scale())
    change = jnp.sum(factors.cofactors() * tangents[0], axis=(0, 1))
    return (factors.determinant(), log_scale), (change, jnp.zeros_like(log_scale))


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


# Up to this size the expansion in minors is shorter than a factorisation, compiles in half the time
# and works on all matrices at once, whereas LAPACK is called matrix by matrix.
LARGEST_EXPANDED = 4
# Largest log(scale) relative to the largest term: only a determinant of value 0 can exceed it.
LARGEST_EXPONENT = 60.0


class Scaled(NamedTuple):
    """Numbers value * exp(log_scale) with a constant log_scale, so that even 0 has derivatives.

    Far from all nuclei an orbital is 0 in single precision. Its determinant is then 0, and a
    gradient through the logarithm would be 0/0 although psi, the sum over all determinants, is an
    ordinary number. Both arrays have the same shape.
    """

    value: Array
    log_scale: Array

    def log_magnitude(self) -> Array:
        """Return log|number|, -inf for 0."""
        return jnp.log(jnp.abs(self.value)) + self.log_scale


def scaled_determinants(matrices: Array) -> Scaled:
    """Return the determinants of square matrices (..., n, n); for n = 0 they are 1."""
    size = matrices.shape[-2]
    if size == 0:
        ones = jnp.ones(matrices.shape[:-2], matrices.dtype)
        return Scaled(ones, jnp.zeros_like(ones))
    # The largest entry of each row is scaled to 1 so that products neither overflow nor underflow.
    # The scale cancels from the result, hence from its derivatives: it is treated as a constant.
    matrices = jnp.moveaxis(matrices, (-2, -1), (0, 1))  # an entry is an array over all matrices
    scale = jax.lax.stop_gradient(jnp.max(jnp.abs(matrices), axis=1))
    scale = jnp.where(scale > 0.0, scale, 1.0)
    scaled = matrices / scale[:, None]
    log_scale = jnp.sum(jnp.log(scale), axis=0)
    if size > LARGEST_EXPANDED:
        parts = determinants(scaled.reshape(size, size, -1))
        value, log_unit = (part.reshape(scaled.shape[2:]) for part in parts)
        return Scaled(value, log_scale + log_unit)
    value = expand_determinant([[scaled[i, j] for j in range(size)] for i in range(size)])
    return Scaled(value, log_scale)


def expand_determinant(entries: Sequence[Sequence[Any]]) -> Any:
    """Return the determinant of rows of arrays or jets, n x n with n from 1 to 4, by expansion."""
    size = len(entries)

    def minor(row: int, i: int, j: int) -> Any:
        """Return the minor of rows `row` and `row + 1`, columns i and j."""
        above, below = entries[row], entries[row + 1]
        return above[i] * below[j] - above[j] * below[i]

    if size == 1:
        return entries[0][0]
    if size == 2:
        return minor(0, 0, 1)
    if size == 3:
        first = entries[0]
        return first[0] * minor(1, 1, 2) - first[1] * minor(1, 0, 2) + first[2] * minor(1, 0, 1)
    return (
        minor(0, 0, 1) * minor(2, 2, 3)
        - minor(0, 0, 2) * minor(2, 1, 3)
        + minor(0, 0, 3) * minor(2, 1, 2)
        + minor(0, 1, 2) * minor(2, 0, 3)
        - minor(0, 1, 3) * minor(2, 0, 2)
        + minor(0, 2, 3) * minor(2, 0, 1)
    )


def sum_of_determinants(up: Array, down: Array) -> LogPsi:
    """Return psi = sum_d det(Phi_d); the orbitals' scales absorb the weights.

    The orbitals at the electrons of each spin are (determinants, n_spin, columns). With as many
    columns as electrons of the spin, the determinants factorise into two blocks (Pfau et al. 2020,
    eq. 9); with n_up + n_down columns they are full.
    """
    return sum_of_terms(determinant_values(up, down))


def sum_of_terms(terms: Scaled) -> LogPsi:
    """Return the sum of terms (n_terms,), with the largest scale factored out."""
    scales = jnp.where(terms.value == 0.0, -jnp.inf, terms.log_scale)
    largest = jax.lax.stop_gradient(jnp.max(scales))
    # A wavefunction that vanishes identically must give log 0 = -inf, not nan.
    shift = jnp.where(jnp.isfinite(largest), largest, 0.0)
    total = jnp.sum(terms.value * jnp.exp(jnp.minimum(terms.log_scale - shift, LARGEST_EXPONENT)))
    return LogPsi(jnp.sign(total), jnp.log(jnp.abs(total)) + shift)


def determinant_values(up: Array, down: Array) -> Scaled:
    """Return the determinants (determinants,) that `sum_of_determinants` adds."""
    n_up, n_down = up.shape[1], down.shape[1]
    if n_down and n_up and up.shape[2] == n_up + n_down:
        # Join with the determinants last: FermiNet has them there, and XLA drops both transposes.
        rows = jnp.concatenate([jnp.moveaxis(spin, 0, -1) for spin in (up, down)])
        return scaled_determinants(jnp.moveaxis(rows, -1, 0))
    first, second = scaled_determinants(up), scaled_determinants(down)
    return Scaled(first.value * second.value, first.log_scale + second.log_scale)
