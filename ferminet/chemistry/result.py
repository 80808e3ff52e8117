"""One conventional energy and what must be known of it."""

from dataclasses import dataclass, field
from typing import Any

from ferminet.chemistry.scf import ScfResult


@dataclass(frozen=True)
class BaselineResult:
    """One conventional energy.

    Attributes:
        energy: total energy in hartree; None unless complete.
        status: complete or not_converged.
        method: hf, ccsd_t, fci or nevpt2.
        reference: rhf, uhf or rohf; None where the result does not depend on it.
        basis: name of the basis set.
        s2: expectation value of S^2 of the reference, for full CI and NEVPT2 of the state itself;
            None where there is no state.
        details: contributions, convergence, sizes; `note` says why there is no energy.
        on_the_way: energies of other methods that the calculation passed, None if not converged.
    """

    energy: float | None
    status: str
    method: str
    reference: str | None
    basis: str
    s2: float | None
    details: dict[str, Any]
    on_the_way: dict[str, float | None] = field(default_factory=dict)


def common_details(scf: ScfResult) -> dict[str, Any]:
    """What every method that starts from Hartree-Fock tells of it."""
    return {"e_hf": scf.energy, "stable": scf.stable, "nmo": scf.n_orbitals} | scf.details


def hartree_fock(scf: ScfResult) -> BaselineResult:
    """Hartree-Fock itself."""
    return BaselineResult(
        scf.energy, "complete", "hf", scf.reference, scf.basis, scf.s2, common_details(scf)
    )
