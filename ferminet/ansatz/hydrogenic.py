"""A product of hydrogen-like orbitals exp(-zeta r), the simplest wavefunction.

With zeta = Z it is the exact ground state of one electron at one nucleus of charge Z, whose local
energy is -Z^2/2 at every walker: the first test of a sampler and of a Hamiltonian.
"""

from typing import Any

import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, AnsatzSpec, LogPsi
from ferminet.ansatz.options import HydrogenicOptions


def build(spec: AnsatzSpec, **options: Any) -> Ansatz:
    """Build psi = prod_i exp(-zeta |r_i - R_0|), whose only parameter is zeta (1/bohr)."""
    zeta = HydrogenicOptions.read(options, spec.n_up, spec.n_down).zeta

    def init(key, nuclei):
        del key
        return {"zeta": jnp.asarray(zeta, nuclei.coords.dtype)}

    def apply(params, electrons, nuclei):
        distances = jnp.linalg.norm(electrons - nuclei.coords[0], axis=-1)  # (n_electrons,)
        return LogPsi(jnp.ones((), electrons.dtype), -params["zeta"] * jnp.sum(distances))

    return Ansatz(init, apply)
