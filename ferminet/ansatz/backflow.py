"""Backflow: evaluate orbitals at coordinates displaced by the other particles.

x_i = r_i + xi_i, where xi_i is a sum of displacements from electrons and nuclei times functions of
distances. The two-body functions are by Feynman and Cohen; Kwon, Ceperley and Martin applied them
to electrons (Phys. Rev. B 48, 12037 (1993)); Lopez Rios, Ma, Drummond, Towler and Needs extended
them to nuclei and three bodies (Phys. Rev. E 74, 066701 (2006), eq. 8 to 12). xi_i rotates with the
molecule and is the same function for all electrons of a spin: psi stays antisymmetric.

The functions are polynomials in t = 1 / (1 + (r / length)^2). They are even in r, so they leave all
cusps unchanged, and they decay at large r. At a nucleus the displacement vanishes as r^2, which
keeps the cusps of the orbitals there (ibid., eq. 14).
"""

import itertools

import jax.numpy as jnp

from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.ansatz.layers import (
    electron_electron_features,
    electron_nucleus_features,
    same_spin,
)

# Powers of t_ij, t_iI and t_jI in the three-body functions.
_THREE_BODY = [(k, m, n) for k, m, n in itertools.product((1, 2), (0, 1), (0, 1)) if m + n > 0]


def init_backflow(order: int, nuclei: Nuclei) -> Params:
    """Return zero coefficients, which displace nothing, and initial lengths (bohr).

    Axes of length 2 hold pairs of the same spin, then pairs of opposite spin.
    """
    dtype, n_nuclei = nuclei.coords.dtype, len(nuclei.charges)
    three = (len(_THREE_BODY), 2, n_nuclei)
    return {
        "nucleus_length": jnp.ones(n_nuclei, dtype),
        "pair_length": jnp.ones(2, dtype),
        "cutoff_length": 1.0 / nuclei.charges,
        "nucleus": jnp.zeros((order, n_nuclei), dtype),
        "pair": jnp.zeros((order, 2), dtype),
        "along_pair": jnp.zeros(three, dtype),
        "along_nucleus": jnp.zeros(three, dtype),
    }


def displaced(params: Params, electrons: Array, nuclei: Nuclei, n_up: int) -> Array:
    """Return the coordinates at which orbitals are evaluated, (n_electrons, 3), bohr."""
    from_nuclei, to_nuclei = electron_nucleus_features(electrons, nuclei)
    pairs = electron_electron_features(electrons)
    n_electrons = len(electrons)
    same = same_spin(n_electrons, n_up)
    apart = 1.0 - jnp.eye(n_electrons, dtype=electrons.dtype)
    of_pairs = _decaying(pairs[..., 3], jnp.where(same, *params["pair_length"]))
    of_nuclei = _decaying(to_nuclei, params["nucleus_length"])
    along_pair = jnp.zeros_like(of_pairs)  # eta and Phi, (n_electrons, n_electrons)
    along_nucleus = jnp.zeros_like(of_nuclei)  # mu and Theta, (n_electrons, n_nuclei)
    for power, (of_pair, of_nucleus) in enumerate(
        zip(params["pair"], params["nucleus"], strict=True), start=1
    ):
        along_pair += jnp.where(same, *of_pair) * of_pairs**power
        along_nucleus += of_nucleus * of_nuclei**power
    for (k, m, n), phi, theta in zip(
        _THREE_BODY, params["along_pair"], params["along_nucleus"], strict=True
    ):
        product = (apart * of_pairs**k)[..., None] * (of_nuclei[:, None] ** m * of_nuclei**n)
        along_pair += jnp.sum(jnp.where(same[..., None], *phi) * product, axis=-1)
        along_nucleus += jnp.sum(jnp.where(same[..., None], *theta) * product, axis=1)
    displacement = jnp.sum((apart * along_pair)[..., None] * pairs[..., :3], axis=1)
    displacement += jnp.sum(along_nucleus[..., None] * from_nuclei, axis=1)
    return electrons + _cutoff(params, to_nuclei)[:, None] * displacement


def _decaying(distances: Array, lengths: Array) -> Array:
    """Return t of distances (bohr), which falls from 1 to 0."""
    return 1.0 / (1.0 + (distances / lengths) ** 2)


def _cutoff(params: Params, to_nuclei: Array) -> Array:
    """Return a factor that is 0 at each nucleus and 1 beyond all cut-offs, (n_electrons,)."""
    x = jnp.minimum(to_nuclei / jnp.abs(params["cutoff_length"]), 1.0)
    return jnp.prod(x**2 * (6.0 - 8.0 * x + 3.0 * x**2), axis=-1)
