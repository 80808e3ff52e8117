"""The molecular Hamiltonian in the Born-Oppenheimer approximation, atomic units."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, Array, Nuclei, Params
from ferminet.vmc.laplacian import KineticEnergy, kinetic_energy


class EnergyParts(NamedTuple):
    """A local energy and its parts, all of shape () for one walker, hartree."""

    total: Array
    kinetic: Array
    potential: Array


LocalEnergy = Callable[[Params, Array, Nuclei], EnergyParts]


def _inverse_pair_distances(points: Array) -> Array:
    """1/|r_i - r_j| with a zero diagonal, (n, n) for points (n, 3)."""
    diagonal = jnp.eye(points.shape[0], dtype=points.dtype)
    squares = jnp.sum((points[:, None] - points) ** 2, axis=-1)
    return (1.0 - diagonal) / jnp.sqrt(squares + diagonal)


def nuclear_repulsion(nuclei: Nuclei) -> Array:
    """Sum over pairs of nuclei of Z_I Z_J / |R_I - R_J|, hartree, shape ()."""
    products = nuclei.charges[:, None] * nuclei.charges
    return 0.5 * jnp.sum(products * _inverse_pair_distances(nuclei.coords))


def potential_energy(electrons: Array, nuclei: Nuclei) -> Array:
    """All Coulomb terms of one walker.

    Args:
        electrons: (n_electrons, 3), bohr.
        nuclei: coordinates (n_nuclei, 3) and charges (n_nuclei,).

    Returns:
        Hartree, shape ().
    """
    distances = jnp.linalg.norm(electrons[:, None] - nuclei.coords, axis=-1)
    attraction = -jnp.sum(nuclei.charges / distances)
    repulsion = 0.5 * jnp.sum(_inverse_pair_distances(electrons))
    return attraction + repulsion + nuclear_repulsion(nuclei)


def local_energy(ansatz: Ansatz, kinetic: KineticEnergy | None = None) -> LocalEnergy:
    """``(params, electrons, nuclei) -> EnergyParts`` of one walker: E_L = (H psi) / psi.

    Args:
        ansatz: the wavefunction.
        kinetic: another way to the kinetic energy than the wavefunction's own or the forward
            Laplacian.
    """
    kinetic = kinetic or kinetic_energy(ansatz)

    def energy(params: Params, electrons: Array, nuclei: Nuclei) -> EnergyParts:
        kinetic_part = kinetic(params, electrons, nuclei)
        potential_part = potential_energy(electrons, nuclei)
        return EnergyParts(kinetic_part + potential_part, kinetic_part, potential_part)

    return energy


def batched_local_energy(energy: LocalEnergy, chunk: int = 32) -> LocalEnergy:
    """The local energies of walkers (n_walkers, n_electrons, 3), in chunks that bound the memory.

    A chunk is what is in flight at a time: on a CPU it keeps the Jacobians of the forward
    Laplacian in the cache, on any device it bounds them by the chunk and not by the walkers.
    """

    def energies(params: Params, walkers: Array, nuclei: Nuclei) -> EnergyParts:
        def one(electrons: Array) -> EnergyParts:
            return energy(params, electrons, nuclei)

        return jax.lax.map(one, walkers, batch_size=min(chunk, walkers.shape[0]))

    return energies
