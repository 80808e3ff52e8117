"""One conventional energy, and Hartree-Fock itself."""

from dataclasses import dataclass, field
from typing import Any

from ferminet.chemistry.cost import Task
from ferminet.chemistry.scf import ScfResult


@dataclass(frozen=True)
class BaselineResult:
    """One conventional energy.

    Attributes:
        energy: total energy in hartree; None unless complete.
        status: complete or not_converged.
        method: a name of `METHODS`.
        scf_reference: rhf, uhf or rohf; None where the result does not depend on it.
        basis: name of the basis set.
        s2: <S^2> of the reference, for full CI and NEVPT2 of the state itself; None without one.
        details: contributions, convergence, sizes; `note` is the reason if there is no energy.
        passed: energies of other methods that the calculation passed, None if not converged.
    """

    energy: float | None
    status: str
    method: str
    scf_reference: str | None
    basis: str
    s2: float | None
    details: dict[str, Any]
    passed: dict[str, float | None] = field(default_factory=dict)


def common_details(scf: ScfResult) -> dict[str, Any]:
    """Return the details of Hartree-Fock that every method built on it reports."""
    return {"e_hf": scf.energy, "stable": scf.stable, "nmo": scf.n_orbitals} | scf.details


def hartree_fock(scf: ScfResult, _: Task) -> BaselineResult:
    """Return the Hartree-Fock energy itself as a baseline."""
    return BaselineResult(
        scf.energy, "complete", "hf", scf.scf_reference, scf.basis, scf.s2, common_details(scf)
    )
