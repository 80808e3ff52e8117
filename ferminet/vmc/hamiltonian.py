"""The molecular Hamiltonian in the Born-Oppenheimer approximation, atomic units."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.extend
import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, Array, Nuclei, Params
from ferminet.vmc.laplacian import KineticEnergy, kinetic_energy

# The largest array of a chunk of walkers, bytes. On a CPU it should stay in the cache of a core,
# and more than some walkers bring nothing (docs/explanation/performance.md).
CHUNK_BYTES_CPU, LARGEST_CHUNK_CPU = 2**21, 64
CHUNK_BYTES_DEVICE = 2**30


class EnergyParts(NamedTuple):
    """A local energy and its parts, all of shape () for one walker, hartree."""

    total: Array
    kinetic: Array
    potential: Array


LocalEnergy = Callable[[Params, Array, Nuclei], EnergyParts]


def _inverse_pair_distances(points: Array) -> Array:
    """Return 1/|r_i - r_j| with a zero diagonal, (n, n) for points (n, 3)."""
    diagonal = jnp.eye(points.shape[0], dtype=points.dtype)
    squares = jnp.sum((points[:, None] - points) ** 2, axis=-1)
    return (1.0 - diagonal) / jnp.sqrt(squares + diagonal)


def nuclear_repulsion(nuclei: Nuclei) -> Array:
    """Return the sum over pairs of nuclei of Z_I Z_J / |R_I - R_J|, hartree, shape ()."""
    products = nuclei.charges[:, None] * nuclei.charges
    return 0.5 * jnp.sum(products * _inverse_pair_distances(nuclei.coords))


def potential_energy(electrons: Array, nuclei: Nuclei) -> Array:
    """Return all Coulomb terms of one walker.

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
    """Make `(params, electrons, nuclei) -> EnergyParts` of one walker: E_L = (H psi) / psi.

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


def batched_local_energy(energy: LocalEnergy, chunk: int | None = None) -> LocalEnergy:
    """Make the local energy of many walkers, in chunks that bound the memory.

    A chunk is what is in flight at a time: on a CPU it keeps the Jacobians of the forward
    Laplacian in the cache, on any device it bounds them by the chunk and not by the walkers.

    Args:
        energy: of one walker.
        chunk: walkers at a time; `None`: as many as `CHUNK_BYTES` allows.
    """

    def energies(params: Params, walkers: Array, nuclei: Nuclei) -> EnergyParts:
        program = jax.make_jaxpr(energy, return_shape=True)
        traced, parts = program(params, walkers[0], nuclei)
        outputs = jax.tree.structure(parts)

        def one(electrons: Array) -> EnergyParts:
            leaves = jax.tree.leaves((params, electrons, nuclei))
            return jax.tree.unflatten(outputs, jax.extend.core.jaxpr_as_fun(traced)(*leaves))

        n_walkers = walkers.shape[0]
        electrons = len(jax.tree.leaves(params))  # the argument after them
        bytes_of_one = largest_array_bytes(traced.jaxpr, [electrons])
        largest = chunk or largest_chunk(bytes_of_one)
        return jax.lax.map(one, walkers, batch_size=even_chunk(n_walkers, largest))

    return energies


def largest_chunk(bytes_of_one: int) -> int:
    """Return how many walkers at a time keep the largest array within its bound."""
    if jax.default_backend() == "cpu":
        return max(1, min(CHUNK_BYTES_CPU // bytes_of_one, LARGEST_CHUNK_CPU))
    return max(1, CHUNK_BYTES_DEVICE // bytes_of_one)


def even_chunk(n_walkers: int, largest: int) -> int:
    """Return the chunk size, at most `largest`, that wastes least in the last chunk.

    A last chunk of another size is a second program to compile; a divisor not below half of the
    largest has none.
    """
    largest = min(largest, n_walkers)
    divisors = [size for size in range(largest, 0, -1) if n_walkers % size == 0]
    return divisors[0] if 2 * divisors[0] >= largest else largest


def largest_array_bytes(program: jax.extend.core.Jaxpr, inputs: Iterable[int]) -> int:
    """Return the bytes of the largest array that depends on some inputs of a program.

    Args:
        program: the program; inner programs count as a part of it.
        inputs: positions of those inputs, here of a walker's electrons: weights are not copied for
            each walker.
    """
    largest = 1
    varying = {program.invars[position] for position in inputs}
    for equation in program.eqns:
        touched = [
            position
            for position, variable in enumerate(equation.invars)
            if not isinstance(variable, jax.extend.core.Literal) and variable in varying
        ]
        if not touched:
            continue
        varying.update(equation.outvars)
        largest = max(largest, *(_bytes(variable.aval) for variable in equation.outvars))
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            every = range(len(inner.invars))
            own = touched if len(inner.invars) == len(equation.invars) else every
            largest = max(largest, largest_array_bytes(inner, own))
    return largest


def _bytes(value: Any) -> int:
    """Return the bytes of an abstract array, 0 for random keys."""
    return math.prod(value.shape) * getattr(value.dtype, "itemsize", 0)
