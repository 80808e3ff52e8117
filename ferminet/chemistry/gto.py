"""Gaussian-type orbitals in JAX, in the order and normalisation of PySCF's spherical functions.

The angular momenta are the keys of a dictionary, hence part of the tree's structure and static
under `jit`; everything else is an array. Orbitals can thus be passed to compiled functions, and the
geometries of a curve (same elements, same basis) share one compiled program.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

ArrayLike = Array | np.ndarray[Any, Any]

MAX_ANGULAR_MOMENTUM = 4


class Shells(NamedTuple):
    """All shells of one angular momentum l, padded with zeros to a common size."""

    exponents: ArrayLike  # (n_shells, n_primitives), bohr^-2
    coefficients: ArrayLike  # (n_shells, n_primitives, n_contractions), normalisation included
    centres: ArrayLike  # (n_shells,), index of the nucleus of each shell


class GtoBasis(NamedTuple):
    """A basis set on the nuclei of a molecule.

    `order` is the index of each atomic orbital in the concatenation, over ascending l, of the
    flattened (n_shells, n_contractions, 2 l + 1) values; it skips the padding.
    """

    shells: dict[int, Shells]  # by angular momentum
    order: ArrayLike  # (n_ao,), indices into the concatenated values


class ScfOrbitals(NamedTuple):
    """Occupied molecular orbitals, and a short sum of determinants that starts a wavefunction.

    The coefficients of the sum are absorbed into its orbitals (see `chemistry.expansion`).
    """

    basis: GtoBasis
    coefficients_up: ArrayLike  # of the Hartree-Fock determinant, (n_ao, n_up)
    coefficients_down: ArrayLike  # (n_ao, n_down)
    terms_up: ArrayLike  # of every determinant of the sum, (n_terms, n_ao, n_up)
    terms_down: ArrayLike  # (n_terms, n_ao, n_down)


def eval_gto(basis: GtoBasis, positions: Array, nuclei_coords: ArrayLike) -> Array:
    """Evaluate the atomic orbitals (..., n_ao), ordered and normalised as PySCF's `GTOval_sph`.

    They are polynomials times Gaussians of r^2, hence smooth everywhere, even at the nuclei. The
    positions are (..., 3), bohr, and the result has their dtype; the nuclei are (n_nuclei, 3).
    """
    dtype = positions.dtype
    vectors = positions[..., None, :] - jnp.asarray(nuclei_coords, dtype)
    squares = jnp.sum(vectors**2, axis=-1)
    blocks = []
    for momentum in sorted(basis.shells):
        exponents, coefficients, centres = basis.shells[momentum]
        gaussians = jnp.exp(-jnp.asarray(exponents, dtype) * squares[..., centres, None])
        radial = jnp.einsum("...sp,spc->...sc", gaussians, jnp.asarray(coefficients, dtype))
        angular = solid_harmonics(momentum, vectors)[..., centres, None, :]
        block = radial[..., None] * angular
        blocks.append(block.reshape(*block.shape[:-3], -1))
    return jnp.concatenate(blocks, axis=-1)[..., basis.order]


def eval_terms(
    orbitals: ScfOrbitals, electrons: Array, nuclei_coords: ArrayLike
) -> tuple[Array, Array]:
    """Evaluate the orbitals of every determinant of the sum at the electrons of their spin.

    Electrons are (n_up + n_down, 3) in bohr, spin up first; nuclei are (n_nuclei, 3).

    Returns:
        (n_terms, n_up, n_up) and (n_terms, n_down, n_down): rows are electrons.
    """
    values = eval_gto(orbitals.basis, electrons, nuclei_coords)
    return by_spin(values, orbitals.terms_up, orbitals.terms_down)


def by_spin(values: Array, up: ArrayLike, down: ArrayLike) -> tuple[Array, Array]:
    """Return the orbitals of each spin from atomic orbitals (n_electrons, n_ao)."""
    n_up, dtype = up.shape[-1], values.dtype
    return values[:n_up] @ jnp.asarray(up, dtype), values[n_up:] @ jnp.asarray(down, dtype)


def solid_harmonics(momentum: int, vectors: Array) -> Array:
    """Evaluate r^l Y_lm with real, normalised spherical harmonics, l from 0 to 4.

    Formulas: Helgaker, Jorgensen, Olsen, Molecular Electronic-Structure Theory, table 6.3, here
    with the normalisation of Y_lm.

    Returns:
        (..., 2 l + 1) for vectors (..., 3): m from -l to l, except l = 1: x, y, z.
    """
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    rr = x**2 + y**2 + z**2 if momentum > 1 else z
    terms = _HARMONICS[momentum](x, y, z, rr)
    factors = np.sqrt(np.array([square for square, _ in terms]) / np.pi)
    values = jnp.stack([value for _, value in terms], axis=-1)
    return values * jnp.asarray(factors, vectors.dtype)


# Each term is (square of its factor times pi, polynomial), m ascending.
_HARMONICS = {
    0: lambda x, y, z, rr: [(1 / 4, jnp.ones_like(x))],
    1: lambda x, y, z, rr: [(3 / 4, x), (3 / 4, y), (3 / 4, z)],
    2: lambda x, y, z, rr: [
        (15 / 4, x * y),
        (15 / 4, y * z),
        (5 / 16, 3 * z**2 - rr),
        (15 / 4, x * z),
        (15 / 16, x**2 - y**2),
    ],
    3: lambda x, y, z, rr: [
        (35 / 32, y * (3 * x**2 - y**2)),
        (105 / 4, x * y * z),
        (21 / 32, y * (5 * z**2 - rr)),
        (7 / 16, z * (5 * z**2 - 3 * rr)),
        (21 / 32, x * (5 * z**2 - rr)),
        (105 / 16, z * (x**2 - y**2)),
        (35 / 32, x * (x**2 - 3 * y**2)),
    ],
    4: lambda x, y, z, rr: [
        (315 / 16, x * y * (x**2 - y**2)),
        (315 / 32, z * y * (3 * x**2 - y**2)),
        (45 / 16, x * y * (7 * z**2 - rr)),
        (45 / 32, z * y * (7 * z**2 - 3 * rr)),
        (9 / 256, 35 * z**4 - 30 * z**2 * rr + 3 * rr**2),
        (45 / 32, z * x * (7 * z**2 - 3 * rr)),
        (45 / 64, (x**2 - y**2) * (7 * z**2 - rr)),
        (315 / 32, z * x * (x**2 - 3 * y**2)),
        (315 / 256, x**2 * (x**2 - 3 * y**2) - y**2 * (3 * x**2 - y**2)),
    ],
}
_COEFFICIENTS = ScfOrbitals._fields[1:]


def to_arrays(orbitals: ScfOrbitals) -> dict[str, np.ndarray]:
    """Return the orbitals as named arrays, for storage; `from_arrays` is the inverse."""
    arrays = {"order": np.asarray(orbitals.basis.order)}
    for field in _COEFFICIENTS:
        arrays[field] = np.asarray(getattr(orbitals, field))
    for momentum, shells in orbitals.basis.shells.items():
        for field, value in shells._asdict().items():
            arrays[f"shells.{momentum}.{field}"] = np.asarray(value)
    return arrays


def from_arrays(arrays: Mapping[str, np.ndarray]) -> ScfOrbitals:
    """Return the orbitals from named arrays; raise a `KeyError` if an array is missing."""
    momenta = sorted({int(name.split(".")[1]) for name in arrays if name.startswith("shells.")})
    shells = {
        momentum: Shells(*(arrays[f"shells.{momentum}.{field}"] for field in Shells._fields))
        for momentum in momenta
    }
    return ScfOrbitals(GtoBasis(shells, arrays["order"]), *(arrays[f] for f in _COEFFICIENTS))
