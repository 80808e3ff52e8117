"""The one-page exact system: a product of hydrogen-like orbitals exp(-zeta r).

With zeta = Z it is the exact ground state of one electron at one nucleus of charge Z, so that the
local energy is -Z^2/2 at every walker: the first test of a sampler and of a Hamiltonian.
"""

import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, AnsatzSpec, LogPsi


def build(spec: AnsatzSpec, *, zeta: float = 1.0) -> Ansatz:
    """Builds psi = prod_i exp(-zeta |r_i - R_0|), its only parameter being zeta (1/bohr)."""
    del spec

    def init(key, nuclei):
        del key
        return {"zeta": jnp.asarray(zeta, nuclei.coords.dtype)}

    def apply(params, electrons, nuclei):
        distances = jnp.linalg.norm(electrons - nuclei.coords[0], axis=-1)  # (n_electrons,)
        return LogPsi(jnp.ones((), electrons.dtype), -params["zeta"] * jnp.sum(distances))

    return Ansatz(init, apply)
