"""Kinetic energy of a wavefunction, -1/2 (nabla^2 psi) / psi.

With f = log|psi|: (nabla^2 psi)/psi = nabla^2 f + |nabla f|^2. The value, Jacobian and Laplacian
are carried forward through the network (Li et al., Nat. Mach. Intell. 6, 209 (2024), implemented by
folx), unless the wavefunction defines `kinetic`.
"""

from collections.abc import Callable

import folx
import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, Array, Nuclei, Params

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
