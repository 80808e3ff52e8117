"""A Jastrow factor of two and three bodies with the electrons' cusps at any parameters.

The form of Boys and Handy (Proc. R. Soc. A 309, 209 (1969)) as Schmidt and Moskowitz have it
(J. Chem. Phys. 93, 4172 (1990)): a polynomial in the scaled distances s = r / (length + r) of two
electrons and of each from a nucleus. A term linear in a scaled distance would change a cusp, so
that there is none here: the slopes of electron pairs are those of `ansatz.jastrow`, which stands
beside it, those at nuclei are left to the orbitals.
"""

import itertools

import jax.numpy as jnp

from ferminet.ansatz.base import Array, Params

Exponents = tuple[int, int, int]


def three_body_exponents(order: int) -> list[Exponents]:
    """Return (l, m, n) of all terms s_iI^l s_jI^m s_ij^n of an order up to `order`.

    l >= m, and none is 1; terms of one electron alone (m = n = 0) are no three-body terms. Those
    of l > m stand for their sum with (m, l, n).
    """
    allowed = [0, *range(2, order + 1)]
    return [
        (one, other, pair)
        for one, other, pair in itertools.product(allowed[1:], allowed, allowed)
        if other <= one and other + pair > 0 and one + other + pair <= order
    ]


def init_boys_handy(order: int, n_nuclei: int, dtype) -> Params:
    """Return zero coefficients (so that the factor is 1) and lengths of one bohr.

    Entries of two: pairs of the same spin, of opposite spin.
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

    Args:
        params: from `init_boys_handy`.
        order: of the polynomial.
        to_nuclei: distances from nuclei, (n_electrons, n_nuclei), bohr.
        to_electrons: distances between electrons, (n_electrons, n_electrons), bohr.
        n_up: spin-up electrons.
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
    for weights, (one, other, pair) in zip(
        params["three_body"], three_body_exponents(order), strict=True
    ):
        product = nuclei[one][:, None] * nuclei[other] * (apart * pairs[pair])[..., None]
        total += jnp.sum(jnp.where(same[..., None], *weights) * product)
    return total


def same_spin(n_electrons: int, n_up: int) -> Array:
    """Return whether two electrons have the same spin, (n_electrons, n_electrons)."""
    is_up = jnp.arange(n_electrons) < n_up
    return is_up[:, None] == is_up


def _powers(scaled: Array, order: int) -> list[Array]:
    """Return [1, s, s^2, ..., s^order]."""
    found = [jnp.ones_like(scaled)]
    for _ in range(order):
        found.append(found[-1] * scaled)
    return found
