"""A two- and three-body Jastrow factor that leaves all cusps unchanged.

It has the form of Boys and Handy (Proc. R. Soc. A 309, 209 (1969)), given by Schmidt and Moskowitz
(J. Chem. Phys. 93, 4172 (1990)): a polynomial in the scaled distances s = r / (length + r) between
two electrons and between electrons and nuclei. Terms linear in a scaled distance would change a
cusp and are left out: `ansatz.jastrow` provides the cusps of electron pairs, the orbitals those at
nuclei.
"""

import itertools

import jax.numpy as jnp

from ferminet.ansatz.base import Array, Params
from ferminet.ansatz.layers import same_spin


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
