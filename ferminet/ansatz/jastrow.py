"""A Jastrow factor for the cusps where two electrons meet.

Kato (1957) requires d log|psi| / dr = 1/2 at coalescence of electrons of opposite spin, and 1/4 for
the same spin. The factor of von Glehn, Spencer and Pfau (ICLR 2023, eq. 6) has these slopes at
any value of its two parameters. The paper's FermiNet has none and must learn the cusps.
"""

import jax.numpy as jnp

from ferminet.ansatz.base import Array

JASTROWS = ("none", "electron_cusp")
SAME_SPIN_SLOPE, OPPOSITE_SPIN_SLOPE = 0.25, 0.5


def init_jastrow(dtype) -> dict[str, Array]:
    """The lengths (bohr) over which the factor of either kind of pair decays."""
    return {"same_spin": jnp.ones((), dtype), "opposite_spin": jnp.ones((), dtype)}


def log_jastrow(params: dict[str, Array], distances: Array, n_up: int) -> Array:
    """Logarithm of the factor, -sum_{i<j} slope_ij length^2 / (length + r_ij), shape ().

    Args:
        params: from ``init_jastrow``.
        distances: between electrons, (n_electrons, n_electrons), bohr.
        n_up: spin-up electrons.
    """
    is_up = jnp.arange(distances.shape[0]) < n_up
    same = is_up[:, None] == is_up
    length = jnp.where(same, params["same_spin"], params["opposite_spin"])
    slope = jnp.where(same, SAME_SPIN_SLOPE, OPPOSITE_SPIN_SLOPE).astype(distances.dtype)
    terms = slope * length**2 / (jnp.abs(length) + distances)
    return -0.5 * (jnp.sum(terms) - jnp.trace(terms))
