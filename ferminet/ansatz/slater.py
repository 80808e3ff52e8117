"""The Slater determinant of SCF orbitals: its variational energy is the Hartree-Fock energy.

It carries the exact check of orbitals, Hamiltonian, sampler and evaluation together, and is the
target of pretraining.
"""

import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, AnsatzSpec
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.chemistry.gto import eval_orbitals
from ferminet.errors import InputError


def build(spec: AnsatzSpec) -> Ansatz:
    """Builds psi = det(phi_up) det(phi_down) of the occupied SCF orbitals; it has no parameters.

    Raises:
        InputError: the specification carries no SCF orbitals.
    """
    scf = spec.scf
    if scf is None:
        raise InputError("The Slater determinant needs SCF orbitals; run the scf stage first.")

    def init(key, nuclei):
        del key, nuclei
        return {}

    def orbitals(params, electrons, nuclei):
        del params
        up, down = eval_orbitals(scf, electrons, nuclei.coords)
        return jnp.expand_dims(up, 0), jnp.expand_dims(down, 0)

    def apply(params, electrons, nuclei):
        return sum_of_determinants(*orbitals(params, electrons, nuclei))

    return Ansatz(init, apply, orbitals)
