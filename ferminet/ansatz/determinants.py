"""Sums of Slater determinants, stable in sign and logarithm, and where a determinant vanishes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Array, LogPsi
from ferminet.ansatz.elimination import determinants

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
