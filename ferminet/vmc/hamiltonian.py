"""The molecular Hamiltonian in the Born-Oppenheimer approximation, atomic units.

The kinetic energy is -1/2 (nabla^2 psi) / psi = -1/2 (nabla^2 f + |nabla f|^2) with f = log|psi|.
The value, Jacobian and Laplacian are carried forward through the network (Li et al., Nat. Mach.
Intell. 6, 209 (2024), implemented by folx), unless the wavefunction defines `kinetic`.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import folx
import jax
import jax.extend
import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, Array, Nuclei, Params
from ferminet.vmc.geometries import first_geometry, is_curve, nuclei_of_walkers

KineticEnergy = Callable[[Params, Array, Nuclei], Array]


def kinetic_energy(ansatz: Ansatz) -> KineticEnergy:
    """Return `(params, electrons, nuclei) -> hartree` by the fastest method available."""
    return ansatz.kinetic or forward_laplacian_kinetic(ansatz)


def forward_laplacian_kinetic(ansatz: Ansatz) -> KineticEnergy:
    """Make the kinetic energy by the forward Laplacian, for any differentiable wavefunction."""

    def kinetic(params: Params, electrons: Array, nuclei: Nuclei) -> Array:
        logabs = _logabs_of_flat(ansatz, params, electrons, nuclei)
        # No sparse Jacobians: for a four-electron network they save a fifth of the run time but
        # triple the compilation, and a sparse result cannot be read under a trace.
        forward = folx.forward_laplacian(logabs, sparsity_threshold=0)
        result = forward(electrons.reshape(-1))
        gradient = result.jacobian.dense_array
        return -0.5 * (result.laplacian + jnp.sum(gradient**2))

    return kinetic


def hessian_kinetic(ansatz: Ansatz) -> KineticEnergy:
    """Make the kinetic energy by the full Hessian: slow, for tests."""

    def kinetic(params: Params, electrons: Array, nuclei: Nuclei) -> Array:
        logabs, flat = _logabs_of_flat(ansatz, params, electrons, nuclei), electrons.reshape(-1)
        gradient = jax.grad(logabs)(flat)
        return -0.5 * (jnp.trace(jax.hessian(logabs)(flat)) + jnp.sum(gradient**2))

    return kinetic


def _logabs_of_flat(
    ansatz: Ansatz, params: Params, electrons: Array, nuclei: Nuclei
) -> Callable[[Array], Array]:
    return lambda flat: ansatz.apply(params, flat.reshape(electrons.shape), nuclei).logabs


# The largest array of a chunk of walkers, bytes. On a CPU it should fit in a core's cache;
# larger chunks gain nothing (docs/explanation/performance.md).
CHUNK_BYTES_CPU, LARGEST_CHUNK_CPU = 2**21, 64
# On other devices it may take this share of the memory: a chunk needs three times as much in all,
# and fewer chunks launch fewer kernels.
CHUNK_SHARE_DEVICE, CHUNK_BYTES_UNKNOWN = 1 / 64, 2**30


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
    """Return the Coulomb energy of one walker (n_electrons, 3), bohr, in hartree, shape ()."""
    distances = jnp.linalg.norm(electrons[:, None] - nuclei.coords, axis=-1)
    attraction = -jnp.sum(nuclei.charges / distances)
    repulsion = 0.5 * jnp.sum(_inverse_pair_distances(electrons))
    return attraction + repulsion + nuclear_repulsion(nuclei)


def local_energy(ansatz: Ansatz, kinetic: KineticEnergy | None = None) -> LocalEnergy:
    """Make `(params, electrons, nuclei) -> EnergyParts` of one walker: E_L = (H psi) / psi.

    `kinetic` replaces the default method for the kinetic energy (`kinetic_energy`).
    """
    kinetic = kinetic or kinetic_energy(ansatz)

    def energy(params: Params, electrons: Array, nuclei: Nuclei) -> EnergyParts:
        kinetic_part = kinetic(params, electrons, nuclei)
        potential_part = potential_energy(electrons, nuclei)
        return EnergyParts(kinetic_part + potential_part, kinetic_part, potential_part)

    return energy


def batched_local_energy(energy: LocalEnergy, chunk: int | None = None) -> LocalEnergy:
    """Make the local energy of many walkers from that of one.

    Walkers are evaluated `chunk` at a time, by default as many as the caches allow. This
    bounds the memory, and on a CPU keeps the Jacobians of the forward Laplacian in the cache.
    """

    def energies(params: Params, walkers: Array, nuclei: Nuclei) -> EnergyParts:
        program = jax.make_jaxpr(energy, return_shape=True)
        traced, parts = program(params, walkers[0], first_geometry(nuclei))
        outputs = jax.tree.structure(parts)

        def energy_of(electrons: Array, coords: Array = nuclei.coords) -> EnergyParts:
            leaves = jax.tree.leaves((params, electrons, nuclei._replace(coords=coords)))
            return jax.tree.unflatten(outputs, jax.extend.core.jaxpr_as_fun(traced)(*leaves))

        position = len(jax.tree.leaves(params))  # of the electrons among the arguments
        largest = chunk or _largest_chunk(_largest_array_bytes(traced.jaxpr, [position]))
        size = _even_chunk(walkers.shape[0], largest)
        if not is_curve(nuclei):
            return jax.lax.map(energy_of, walkers, batch_size=size)
        coords = nuclei_of_walkers(nuclei, len(walkers)).coords
        return jax.lax.map(lambda of_one: energy_of(*of_one), (walkers, coords), batch_size=size)

    return energies


def _largest_chunk(bytes_of_one: int) -> int:
    """Return the number of walkers in a chunk, from the largest array's bytes for one walker."""
    if jax.default_backend() == "cpu":
        return max(1, min(CHUNK_BYTES_CPU // bytes_of_one, LARGEST_CHUNK_CPU))
    return max(1, int(CHUNK_SHARE_DEVICE * device_memory()) // bytes_of_one)


def device_memory() -> float:
    """Return the bytes that JAX may use of the device's memory, or a guess if it does not tell."""
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    return limit or CHUNK_BYTES_UNKNOWN / CHUNK_SHARE_DEVICE


def _even_chunk(n_walkers: int, largest: int) -> int:
    """Return the largest divisor of `n_walkers` up to `largest`, or `largest` if far larger."""
    # Without a divisor the last chunk has another size and needs a second program.
    largest = min(largest, n_walkers)
    divisors = [size for size in range(largest, 0, -1) if n_walkers % size == 0]
    return divisors[0] if 2 * divisors[0] >= largest else largest


def _largest_array_bytes(program: jax.extend.core.Jaxpr, inputs: Iterable[int]) -> int:
    """Return the bytes of the largest array that depends on the inputs at these positions.

    Weights do not depend on the electrons and are not copied for each walker.
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
        for variable in equation.outvars:
            array: Any = variable.aval  # random keys have no item size
            largest = max(largest, array.size * getattr(array.dtype, "itemsize", 0))
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            same_inputs = len(inner.invars) == len(equation.invars)
            positions = touched if same_inputs else range(len(inner.invars))
            largest = max(largest, _largest_array_bytes(inner, positions))
    return largest
