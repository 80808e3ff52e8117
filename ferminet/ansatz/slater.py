"""The Slater determinant of SCF orbitals: its variational energy is the Hartree-Fock energy.

It serves as an exact check of orbitals, Hamiltonian, sampler and evaluation together, and as the
target of pretraining.
"""

from ferminet.ansatz.base import Ansatz, AnsatzSpec
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.chemistry.gto import ScfOrbitals, eval_terms
from ferminet.errors import InputError


def scf_orbitals(spec: AnsatzSpec) -> ScfOrbitals:
    """Return the SCF orbitals of a specification, or raise InputError if it has none."""
    if spec.scf is None:
        raise InputError("This wavefunction needs SCF orbitals; run the scf stage first.")
    return spec.scf


def build(spec: AnsatzSpec) -> Ansatz:
    """Build psi = det(phi_up) det(phi_down) of the occupied SCF orbitals; it has no parameters."""
    scf = scf_orbitals(spec)
    up, down = scf.coefficients_up[None], scf.coefficients_down[None]
    return build_terms(spec._replace(scf=scf._replace(terms_up=up, terms_down=down)))


def build_terms(spec: AnsatzSpec) -> Ansatz:
    """Build the sum of determinants that comes with the SCF orbitals; it has no parameters."""
    scf = scf_orbitals(spec)

    def orbitals(params, electrons, nuclei):
        del params
        return eval_terms(scf, electrons, nuclei.coords)

    def apply(params, electrons, nuclei):
        return sum_of_determinants(*orbitals(params, electrons, nuclei))

    return Ansatz(lambda key, nuclei: {}, apply, orbitals)
