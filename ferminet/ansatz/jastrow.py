"""A Jastrow factor for the cusps where two electrons meet.

Kato (1957) requires d log|psi| / dr = 1/2 at coalescence of electrons of opposite spin, and 1/4 for
the same spin. The factor of von Glehn, Spencer and Pfau (ICLR 2023, eq. 6) has these slopes at
any value of its two parameters. The paper's FermiNet has none and must learn the cusps.
"""

import jax.numpy as jnp

from ferminet.ansatz.base import Array, LogPsi, Params
from ferminet.ansatz.jets import Jet
from ferminet.ansatz.layers import electron_electron_features, same_spin

SAME_SPIN_SLOPE, OPPOSITE_SPIN_SLOPE = 0.25, 0.5


def init_jastrow(dtype) -> dict[str, Array]:
    """Return the lengths (bohr) over which the factor of each kind of pair decays."""
    return {"same_spin": jnp.ones((), dtype), "opposite_spin": jnp.ones((), dtype)}


def multiply_by_jastrow(psi: LogPsi, params: Params, electrons: Array, n_up: int) -> LogPsi:
    """Return psi times the factor if the parameters include one, else psi."""
    if "jastrow" not in params:
        return psi
    distances = electron_electron_features(electrons)[..., 3]
    return psi._replace(logabs=psi.logabs + log_jastrow(params["jastrow"], distances, n_up))


def log_jastrow(params: dict[str, Array], distances: Array, n_up: int) -> Array:
    """Return the logarithm of the factor, -sum_{i<j} slope_ij length^2 / (length + r_ij), shape ().

    The distances between electrons are (n_electrons, n_electrons), in bohr.
    """
    length, slope = _lengths_and_slopes(params, distances, n_up)
    terms = slope * length**2 / (length + distances)
    return -0.5 * (jnp.sum(terms) - jnp.trace(terms))


def jastrow_jet(params: dict[str, Array], pairs: Jet, n_up: int) -> Jet:
    """Return the terms of the factor's logarithm as functions of r_i - r_j.

    f = -slope length^2 / (length + r), f' = slope length^2 / (length + r)^2,
    f'' = -2 f' / (length + r), and nabla^2 f = f'' + 2 f' / r; zero where i = j.

    Args:
        params: from `init_jastrow`.
        pairs: (r_i - r_j, r_ij) of every ordered pair, value (n, n, 4), gradient (n, n, 3, 4).
        n_up: spin-up electrons.
    """
    distances = pairs.value[..., 3]
    length, slope = _lengths_and_slopes(params, distances, n_up)
    apart = 1.0 - jnp.eye(distances.shape[0], dtype=distances.dtype)
    total = length + distances
    first = apart * slope * (length / total) ** 2
    return Jet(
        (-apart * slope * length**2 / total)[..., None],
        (first[..., None] * pairs.gradient[..., 3])[..., None],
        (first * (pairs.laplacian[..., 3] - 2.0 / total))[..., None],
    )


def _lengths_and_slopes(
    params: dict[str, Array], distances: Array, n_up: int
) -> tuple[Array, Array]:
    """Return length (bohr) and slope at coalescence of pairs, (n_electrons, n_electrons)."""
    same = same_spin(distances.shape[0], n_up)
    length = jnp.abs(jnp.where(same, params["same_spin"], params["opposite_spin"]))
    slope = jnp.where(same, SAME_SPIN_SLOPE, OPPOSITE_SPIN_SLOPE).astype(distances.dtype)
    return length, slope
