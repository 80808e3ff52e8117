"""Walkers of one geometry, or of several that share a wavefunction.

Training may serve a whole curve. Its programs then take nuclei with coordinates (n_geometries,
n_nuclei, 3) instead of (n_nuclei, 3), and walker b belongs to geometry b % n_geometries: every
contiguous part of the walkers, such as that of a device, has the same share of each geometry. The
norm of psi differs between geometries, so whatever is centred is centred within each of them.
With nuclei of one geometry these functions do nothing but the usual.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Array, Nuclei


def is_curve(nuclei: Nuclei) -> bool:
    """Return whether the nuclei are those of several geometries."""
    return nuclei.coords.ndim == 3


def first_geometry(nuclei: Nuclei) -> Nuclei:
    """Return the nuclei of the first geometry of a curve, or the only ones."""
    return nuclei._replace(coords=nuclei.coords[0]) if is_curve(nuclei) else nuclei


def by_geometry(values: Array, nuclei: Nuclei) -> Array:
    """Return values (n_walkers, ...) such that the first axis counts the walkers of a geometry.

    The shape is (n_walkers / n_geometries, n_geometries, ...) for a curve and unchanged otherwise.
    """
    if not is_curve(nuclei):
        return values
    return values.reshape(-1, len(nuclei.coords), *values.shape[1:])


def centred(values: Array, nuclei: Nuclei) -> Array:
    """Return values (n_walkers, ...) minus their mean over the walkers of the same geometry."""
    grouped = by_geometry(values, nuclei)
    return (grouped - jnp.mean(grouped, axis=0)).reshape(values.shape)


def nuclei_of_walkers(nuclei: Nuclei, n_walkers: int) -> Nuclei:
    """Return the nuclei of each walker of a curve, coordinates (n_walkers, n_nuclei, 3)."""
    return nuclei._replace(coords=jnp.tile(nuclei.coords, (n_walkers // len(nuclei.coords), 1, 1)))


def map_walkers(function: Callable, nuclei: Nuclei, electrons: Array, *others: Any) -> Any:
    """Return `function(nuclei, walker, *others)` of every walker; others are mapped as well."""
    if not is_curve(nuclei):
        return jax.vmap(lambda *varied: function(nuclei, *varied))(electrons, *others)
    charges, coords = nuclei.charges, nuclei_of_walkers(nuclei, len(electrons)).coords
    of_walker = lambda coords, *varied: function(Nuclei(coords, charges), *varied)  # noqa: E731
    return jax.vmap(of_walker)(coords, electrons, *others)


def map_geometries(function: Callable, nuclei: Nuclei, electrons: Array, *others: Any) -> Any:
    """Return `function(nuclei, walkers, *others)` of every geometry of a curve.

    The others have a first axis for the geometries. The first result has an axis for walkers, in
    the order of `electrons`; the other results have one for geometries.
    """
    charges, grouped = nuclei.charges, by_geometry(electrons, nuclei)

    def of_geometry(coords: Array, walkers: Array, *varied: Any) -> tuple[Array, Any]:
        return function(Nuclei(coords, charges), walkers, *varied)

    axes = (0, 1, *(0 for _ in others))
    walkers, rest = jax.vmap(of_geometry, axes, (1, 0))(nuclei.coords, grouped, *others)
    return walkers.reshape(-1, *walkers.shape[2:]), rest


def nuclei_during_spread(nuclei: Nuclei, fraction: float) -> Nuclei:
    """Return the nuclei when the geometries of a curve have spread by a fraction from 0 to 1.

    They start at the one in the middle of the list.
    """
    start = nuclei.coords[len(nuclei.coords) // 2]
    return nuclei._replace(coords=(1.0 - fraction) * start + fraction * nuclei.coords)


@jax.jit
def follow_nuclei(electrons: Array, old: Nuclei, new: Nuclei) -> Array:
    """Move walkers (n_walkers, n_electrons, 3), bohr, with the nuclei of their geometry.

    Each electron follows the mean displacement of all nuclei, weighted by 1 / distance^4: the
    space warp of Filippi and Umrigar, Phys. Rev. B 61, R16291 (2000), eqs. 8 and 9.
    """

    def of_walker(old: Nuclei, walker: Array, displacements: Array) -> Array:
        squares = jnp.sum((walker[:, None] - old.coords) ** 2, axis=-1)
        squares = jnp.maximum(squares, 1e-12)  # bohr^2
        # Relative to the nearest nucleus, so that no power of a distance overflows.
        weights = (jnp.min(squares, axis=-1, keepdims=True) / squares) ** 2
        return walker + weights @ displacements / jnp.sum(weights, axis=-1, keepdims=True)

    moved = nuclei_of_walkers(old._replace(coords=new.coords - old.coords), len(electrons))
    return map_walkers(of_walker, old, electrons, moved.coords)
