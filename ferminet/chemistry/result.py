"""One conventional energy, and Hartree-Fock itself."""

from dataclasses import dataclass, field
from typing import Any

from ferminet.chemistry.cost import Task
from ferminet.chemistry.scf import ScfResult


@dataclass(frozen=True)
class BaselineResult:
    """One conventional energy.

    `details` hold contributions, convergence and sizes, and in `note` why there is no energy.
    `passed` holds the energies of methods computed on the way, None if not converged.
    """

    energy: float | None  # hartree; None unless complete
    status: str  # complete or not_converged
    method: str
    scf_reference: str | None  # None where the result does not depend on it
    basis: str
    s2: float | None  # <S^2> of the reference; for full CI and NEVPT2 of the state itself
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
