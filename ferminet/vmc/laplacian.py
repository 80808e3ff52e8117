"""Kinetic energy of a wavefunction, -1/2 (nabla^2 psi) / psi.

With f = log|psi|: (nabla^2 psi)/psi = nabla^2 f + |nabla f|^2. The Laplacian is carried forward
through the network together with value and Jacobian (Li et al., Nat. Mach. Intell. 6, 209 (2024),
implemented by folx). A wavefunction that brings its own `kinetic` takes precedence; this module
is the only one to change when a faster general method comes.
"""

from collections.abc import Callable

import folx
import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, Array, Nuclei, Params

KineticEnergy = Callable[[Params, Array, Nuclei], Array]


def kinetic_energy(ansatz: Ansatz) -> KineticEnergy:
    """Return `(params, electrons, nuclei) -> hartree` by the fastest way there is."""
    return ansatz.kinetic or forward_laplacian_kinetic(ansatz)


def forward_laplacian_kinetic(ansatz: Ansatz) -> KineticEnergy:
    """Make the general forward Laplacian, exact for any differentiable functions."""

    def kinetic(params: Params, electrons: Array, nuclei: Nuclei) -> Array:
        def logabs(flat: Array) -> Array:
            return ansatz.apply(params, flat.reshape(electrons.shape), nuclei).logabs

        # No sparse Jacobians: for a four-electron network they save a fifth of the run time but
        # triple the compilation, and where the result is sparse it cannot be read under a trace.
        forward = folx.forward_laplacian(logabs, sparsity_threshold=0)
        result = forward(electrons.reshape(-1))
        gradient = result.jacobian.dense_array
        return -0.5 * (result.laplacian + jnp.sum(gradient**2))

    return kinetic


def hessian_kinetic(ansatz: Ansatz) -> KineticEnergy:
    """Make the trace of the full Hessian: slow, by brute force, for tests."""

    def kinetic(params: Params, electrons: Array, nuclei: Nuclei) -> Array:
        def logabs(flat: Array) -> Array:
            return ansatz.apply(params, flat.reshape(electrons.shape), nuclei).logabs

        flat = electrons.reshape(-1)
        gradient = jax.grad(logabs)(flat)
        return -0.5 * (jnp.trace(jax.hessian(logabs)(flat)) + jnp.sum(gradient**2))

    return kinetic
