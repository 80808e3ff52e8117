"""Sums of Slater determinants, stable in sign and logarithm."""

import jax.numpy as jnp

from ferminet.ansatz.base import Array, LogPsi


def signed_slogdet(matrices: Array) -> tuple[Array, Array]:
    """Sign and log|det| of square matrices of shape (..., n, n); n = 0 gives the empty product 1.

    The 1x1 case is written out: a general factorisation of it costs more than the whole network.
    """
    size = matrices.shape[-1]
    if size == 0:
        ones = jnp.ones(matrices.shape[:-2], matrices.dtype)
        return ones, jnp.zeros_like(ones)
    if size == 1:
        value = matrices[..., 0, 0]
        return jnp.sign(value), jnp.log(jnp.abs(value))
    sign, logabs = jnp.linalg.slogdet(matrices)
    return sign, logabs


def sum_of_determinants(up: Array, down: Array) -> LogPsi:
    """Psi = sum_d det(Phi_d), the weights being absorbed by the orbitals' scale.

    Args:
        up: orbitals at the spin-up electrons, (determinants, n_up, columns).
        down: orbitals at the spin-down electrons, (determinants, n_down, columns). With as many
            columns as electrons of the spin the determinants factorise into two blocks (Pfau et
            al. 2020, eq. 9), with n_up + n_down columns they are full.

    Returns:
        Sign and logarithm, computed with the largest |det| factored out so that nothing overflows.
    """
    sign, logabs = determinant_values(up, down)
    largest = jnp.max(logabs)
    # A wavefunction that vanishes identically must give log 0 = -inf, not nan.
    shift = jnp.where(jnp.isfinite(largest), largest, 0.0)
    total = jnp.sum(sign * jnp.exp(logabs - shift))
    return LogPsi(jnp.sign(total), jnp.log(jnp.abs(total)) + shift)


def determinant_values(up: Array, down: Array) -> tuple[Array, Array]:
    """Sign and log|det| of each determinant, both of shape (determinants,)."""
    n_up, n_down = up.shape[1], down.shape[1]
    if n_down and n_up and up.shape[2] == n_up + n_down:
        return signed_slogdet(jnp.concatenate([up, down], axis=1))
    sign_up, logabs_up = signed_slogdet(up)
    sign_down, logabs_down = signed_slogdet(down)
    return sign_up * sign_down, logabs_up + logabs_down
