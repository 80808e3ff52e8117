"""The Slater determinant of SCF orbitals: its variational energy is the Hartree-Fock energy.

It carries the exact check of orbitals, Hamiltonian, sampler and evaluation together, and is the
target of pretraining.
"""

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, AnsatzSpec, Array, Nuclei, Params
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.chemistry.gto import ScfOrbitals, eval_gto, eval_orbitals, eval_terms
from ferminet.errors import InputError


def build_terms(spec: AnsatzSpec) -> Ansatz:
    """Build the sum of determinants that comes with the SCF orbitals; it has no parameters.

    Raises:
        InputError: the specification carries no SCF orbitals.
    """
    scf = orbitals_of(spec)

    def orbitals(params, electrons, nuclei):
        del params
        return eval_terms(scf, electrons, nuclei.coords)

    def apply(params, electrons, nuclei):
        return sum_of_determinants(*orbitals(params, electrons, nuclei))

    return Ansatz(_no_parameters, apply, orbitals)


def orbitals_of(spec: AnsatzSpec) -> ScfOrbitals:
    """Return the SCF orbitals of a specification.

    Raises:
        InputError: it carries none.
    """
    if spec.scf is None:
        raise InputError("This wavefunction needs SCF orbitals; run the scf stage first.")
    return spec.scf


def _no_parameters(key: Array, nuclei: Nuclei) -> Params:
    del key, nuclei
    return {}


def build(spec: AnsatzSpec) -> Ansatz:
    """Build psi = det(phi_up) det(phi_down) of the occupied SCF orbitals; it has no parameters.

    Raises:
        InputError: the specification carries no SCF orbitals.
    """
    scf = orbitals_of(spec)

    def orbitals(params, electrons, nuclei):
        del params
        up, down = eval_orbitals(scf, electrons, nuclei.coords)
        return jnp.expand_dims(up, 0), jnp.expand_dims(down, 0)

    def apply(params, electrons, nuclei):
        return sum_of_determinants(*orbitals(params, electrons, nuclei))

    def kinetic(params, electrons, nuclei):
        """Return -1/2 sum of tr(Phi^-1 nabla^2 Phi) over both spins.

        Each row of a matrix of orbitals depends on one electron alone, and a determinant is linear
        in each of its rows: (nabla_i^2 D) / D = sum_j (Phi^-1)_ji nabla^2 phi_j(r_i).
        """
        del params

        def values(one: Array) -> tuple[Array, ...]:
            """Return all occupied orbitals of both spins at one place."""
            atomic = eval_gto(scf.basis, one, nuclei.coords)
            return tuple(
                atomic @ jnp.asarray(coefficients, atomic.dtype)
                for coefficients in (scf.coefficients_up, scf.coefficients_down)
            )

        def laplacian(one: Array) -> tuple[Array, ...]:
            def second(direction: Array) -> tuple[Array, ...]:
                def first(place: Array) -> tuple[Array, ...]:
                    return jax.jvp(values, (place,), (direction,))[1]

                return jax.jvp(first, (one,), (direction,))[1]

            along = jax.vmap(second)(jnp.eye(3, dtype=one.dtype))
            return jax.tree.map(lambda x: jnp.sum(x, axis=0), along)

        laplacians = jax.vmap(laplacian)(electrons)
        spins = (slice(0, spec.n_up), slice(spec.n_up, spec.n_up + spec.n_down))
        total = jnp.zeros((), electrons.dtype)
        for matrix, of_all, here in zip(
            eval_orbitals(scf, electrons, nuclei.coords), laplacians, spins, strict=True
        ):
            if matrix.shape[0]:
                total += jnp.trace(jnp.linalg.solve(matrix, of_all[here]))
        return -0.5 * total

    return Ansatz(_no_parameters, apply, orbitals, kinetic)
