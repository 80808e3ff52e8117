"""Jastrow factors: one for the cusps of electron pairs, and one that changes no cusp.

Kato (1957) requires d log|psi| / dr = 1/2 at coalescence of electrons of opposite spin, and 1/4 for
the same spin. The factor of von Glehn, Spencer and Pfau (ICLR 2023, eq. 6) has these slopes at
any value of its two parameters. The paper's FermiNet has none and must learn the cusps.

The two- and three-body factor has the form of Boys and Handy (Proc. R. Soc. A 309, 209 (1969)),
given by Schmidt and Moskowitz (J. Chem. Phys. 93, 4172 (1990)): a polynomial in the scaled
distances s = r / (length + r) between two electrons and between electrons and nuclei. Terms linear
in a scaled distance would change a cusp and are left out.
"""

import itertools

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
    f'' = -2 f' / (length + r), and nabla^2 f = f'' + 2 f' / r; zero where i = j. `pairs` holds
    (r_i - r_j, r_ij) of every ordered pair, value (n, n, 4), gradient (n, n, 3, 4).
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


def three_body_exponents(order: int) -> list[tuple[int, int, int]]:
    """Return (k, m, n) of all terms s_iI^k s_jI^m s_ij^n with k + m + n <= `order`.

    k >= m, and no exponent is 1. A term with k > m includes its partner (m, k, n). Terms with
    m = n = 0 involve one electron only and are not three-body terms.
    """
    allowed = [0, *range(2, order + 1)]
    return [
        (k, m, n)
        for k, m, n in itertools.product(allowed[1:], allowed, allowed)
        if m <= k and m + n > 0 and k + m + n <= order
    ]


def init_boys_handy(order: int, n_nuclei: int, dtype) -> Params:
    """Return zero coefficients, which make the factor 1, and lengths of one bohr.

    Axes of length 2 hold pairs of the same spin, then pairs of opposite spin.
    """
    powers, three = max(order - 1, 0), len(three_body_exponents(order))
    return {
        "nucleus_length": jnp.ones(n_nuclei, dtype),
        "pair_length": jnp.ones(2, dtype),
        "nucleus": jnp.zeros((n_nuclei, powers), dtype),
        "pair": jnp.zeros((2, powers), dtype),
        "three_body": jnp.zeros((three, 2, n_nuclei), dtype),
    }


def log_boys_handy(
    params: Params, order: int, to_nuclei: Array, to_electrons: Array, n_up: int
) -> Array:
    """Return the logarithm of the factor, shape ().

    The distances are (n_electrons, n_nuclei) and (n_electrons, n_electrons), in bohr.
    """
    same, apart = same_spin(len(to_electrons), n_up), 1.0 - jnp.eye(len(to_electrons))
    apart = apart.astype(to_electrons.dtype)
    lengths = jnp.abs(jnp.where(same, *params["pair_length"]))
    pairs = _powers(to_electrons / (lengths + to_electrons), order)
    nuclei = _powers(to_nuclei / (jnp.abs(params["nucleus_length"]) + to_nuclei), order)
    total = jnp.zeros((), to_electrons.dtype)
    for power in range(2, order + 1):
        total += jnp.sum(params["nucleus"][:, power - 2] * nuclei[power])
        weights = jnp.where(same, *params["pair"][:, power - 2])
        total += 0.5 * jnp.sum(apart * weights * pairs[power])
    for weights, (k, m, n) in zip(params["three_body"], three_body_exponents(order), strict=True):
        product = nuclei[k][:, None] * nuclei[m] * (apart * pairs[n])[..., None]
        total += jnp.sum(jnp.where(same[..., None], *weights) * product)
    return total


def _powers(scaled: Array, order: int) -> list[Array]:
    """Return [1, s, s^2, ..., s^order]."""
    powers = [jnp.ones_like(scaled)]
    for _ in range(order):
        powers.append(powers[-1] * scaled)
    return powers
