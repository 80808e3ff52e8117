"""Conventional energies to compare with: Hartree-Fock, CCSD(T) and full CI, all-electron."""

import math
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyscf.ao2mo
import pyscf.cc
import pyscf.fci
import pyscf.scf

from ferminet.chemistry.scf import ScfResult, choose_reference, run_scf
from ferminet.errors import InputError, ResourceError
from ferminet.molecule import Molecule

METHODS = ("hf", "ccsd_t", "fci")

CC_CONVERGENCE_HARTREE = 1e-8
CC_CONVERGENCE_AMPLITUDES = 1e-6
CC_MAX_CYCLES = 100

FCI_CONVERGENCE_HARTREE = 1e-10
FCI_MEMORY_BYTES = 4e9
FCI_STATES = (2, 6)  # how many states are computed, and how many if none has the right spin
SPIN_TOLERANCE = 1e-3
_DAVIDSON_SPACE = 30
_FCI_VECTORS = 2 * _DAVIDSON_SPACE + 10  # trial vectors, their products, work space


@dataclass(frozen=True)
class BaselineResult:
    """One conventional energy.

    Attributes:
        energy: total energy in hartree; None unless complete.
        status: complete or not_converged.
        method: hf, ccsd_t or fci.
        reference: rhf, uhf or rohf; None for full CI, which does not depend on it.
        basis: name of the basis set.
        s2: expectation value of S^2 of the reference, for full CI of the state itself.
        details: contributions, convergence, sizes and `wall_s`.
    """

    energy: float | None
    status: str
    method: str
    reference: str | None
    basis: str
    s2: float
    details: dict[str, Any]


def run_baseline(
    molecule: Molecule, method: str, basis: str, reference: str = "auto"
) -> BaselineResult:
    """Computes a conventional energy with all electrons correlated.

    `auto` is, for hf, that of `run_scf`; for ccsd_t RHF for closed shells (also where symmetry
    breaks: ask for uhf to have it) and UHF for open ones; full CI does not depend on it.

    Args:
        molecule: what to solve.
        method: hf, ccsd_t or fci.
        basis: name of a basis set.
        reference: auto, rhf, uhf or rohf (rohf not for ccsd_t, whose triples need canonical
            orbitals).

    Returns:
        The result. Coupled cluster or full CI that does not converge is reported as not_converged
        with no energy, and triples are then not computed.

    Raises:
        InputError: unknown method, basis or reference, or a reference that does not fit.
        NotConvergedError: Hartree-Fock does not converge.
        ResourceError: full CI would not fit into memory.
    """
    started = time.perf_counter()
    if method not in METHODS:
        raise InputError(f"method is one of {', '.join(METHODS)}, got {method!r}.")
    if method == "hf":
        result = _hartree_fock(run_scf(molecule, basis, reference))
    elif method == "ccsd_t":
        if reference == "rohf":
            raise InputError("ccsd_t starts from auto, rhf or uhf, got 'rohf'; use uhf.")
        chosen = choose_reference(molecule, reference, broken_symmetry=False)
        result = _ccsd_t(run_scf(molecule, basis, chosen), molecule.n_electrons)
    else:
        choose_reference(molecule, reference, broken_symmetry=False)
        result = _fci(run_scf(molecule, basis, "rohf"), molecule)
    result.details["wall_s"] = time.perf_counter() - started
    return result


def _common_details(scf: ScfResult) -> dict[str, Any]:
    return {"e_hf": scf.energy, "stable": scf.stable, "nmo": scf.n_orbitals} | scf.details


def _hartree_fock(scf: ScfResult) -> BaselineResult:
    return BaselineResult(
        scf.energy, "complete", "hf", scf.reference, scf.basis, scf.s2, _common_details(scf)
    )


def _ccsd_t(scf: ScfResult, n_electrons: int) -> BaselineResult:
    details = _common_details(scf)
    n_up = scf.orbitals.coefficients_up.shape[1]
    n_down = scf.orbitals.coefficients_down.shape[1]

    def result(energy: float | None, status: str) -> BaselineResult:
        return BaselineResult(energy, status, "ccsd_t", scf.reference, scf.basis, scf.s2, details)

    if n_electrons == 1 or min(n_up, n_down) == scf.n_orbitals:
        why = "one electron" if n_electrons == 1 else "no virtual orbital"
        details |= {"e_ccsd": scf.energy, "e_t": 0.0, "note": f"{why}: no correlation energy"}
        return result(scf.energy, "complete")
    solver, integrals, attempts = _converge_ccsd(_fresh_mean_field(scf))
    details |= {
        "ccsd_converged": bool(solver.converged),
        "ccsd_attempts": attempts,
        "ccsd_cycles": int(solver.cycles),
    }
    if not solver.converged:
        return result(None, "not_converged")
    # Two electrons have no triple excitation.
    triples = float(solver.ccsd_t(eris=integrals)) if n_electrons > 2 else 0.0
    details |= {
        "e_mp2": scf.energy + float(solver.emp2),
        "e_ccsd": float(solver.e_tot),
        "e_t": triples,
        "t1": _t1_diagnostic(solver.t1, n_electrons),
    }
    return result(float(solver.e_tot) + triples, "complete")


def _fresh_mean_field(scf: ScfResult) -> Any:
    """Returns a plain PySCF object with the orbitals of `scf`.

    Coupled cluster inspects the object that it is given; one that went through second-order steps
    or density fitting would change the method silently.
    """
    source = scf.mean_field
    fresh = (pyscf.scf.RHF if scf.reference == "rhf" else pyscf.scf.UHF)(source.mol)
    for name in ("mo_coeff", "mo_occ", "mo_energy", "e_tot", "converged"):
        setattr(fresh, name, getattr(source, name))
    fresh.conv_tol = source.conv_tol
    return fresh


def _converge_ccsd(mean_field: Any) -> tuple[Any, Any, int]:
    """Returns the CCSD object, its integrals and the number of attempts (at most two)."""
    solver = pyscf.cc.CCSD(mean_field)
    solver.conv_tol = CC_CONVERGENCE_HARTREE
    solver.conv_tol_normt = CC_CONVERGENCE_AMPLITUDES
    solver.max_cycle = CC_MAX_CYCLES
    integrals = solver.ao2mo()
    solver.kernel(eris=integrals)
    if solver.converged:
        return solver, integrals, 1
    solver.iterative_damping, solver.diis_space = 0.7, 12
    solver.kernel(eris=integrals)
    return solver, integrals, 2


def _t1_diagnostic(t1: Any, n_electrons: int) -> float:
    """Returns the norm of the single amplitudes per spin orbital (restricted: T1 of Lee, Taylor).

    Restricted amplitudes (n_occ, n_virt) count for both spins.
    """
    blocks = t1 if isinstance(t1, tuple) else (t1, t1)
    norm_squared = sum(float(np.sum(np.abs(block) ** 2)) for block in blocks)
    return math.sqrt(norm_squared / (2 * n_electrons))


class _State(NamedTuple):
    """A full-CI state: energy in hartree, S^2, whether Davidson converged."""

    energy: float
    s2: float
    converged: bool


def _fci(scf: ScfResult, molecule: Molecule) -> BaselineResult:
    n_determinants = check_fci_size(scf.n_orbitals, molecule.spins)
    spin = molecule.unpaired_electrons / 2
    wanted = spin * (spin + 1)
    states: list[_State] = []
    state = None
    for n_states in FCI_STATES:
        states = _fci_states(scf.mean_field, molecule.spins, min(n_states, n_determinants))
        candidates = [found for found in states if abs(found.s2 - wanted) < SPIN_TOLERANCE]
        state = min(candidates, key=lambda found: found.energy, default=None)
        if state is not None and state.converged:
            break
    details = _common_details(scf) | {
        "n_determinants": n_determinants,
        "fci_states": [state._asdict() for state in states],
    }
    if state is None or not state.converged:
        details["note"] = f"none of the lowest {len(states)} states converged with S^2 = {wanted}"
        return BaselineResult(None, "not_converged", "fci", None, scf.basis, wanted, details)
    return BaselineResult(state.energy, "complete", "fci", None, scf.basis, state.s2, details)


def _fci_states(mean_field: Any, spins: tuple[int, int], n_states: int) -> list[_State]:
    """Returns the lowest states with the given numbers of up and down electrons.

    More than one, because the lowest may have a larger spin than asked for, and because a single
    Davidson vector can stay in the symmetry that it starts in and converge to an excited state (for
    the square of hydrogens to the triplet). Equal spins use the solver for even S.
    """
    orbitals = mean_field.mo_coeff
    n_orbitals = orbitals.shape[1]
    one_body = orbitals.T @ mean_field.get_hcore() @ orbitals
    two_body = pyscf.ao2mo.full(mean_field.mol, orbitals)
    same = spins[0] == spins[1]
    solver = (pyscf.fci.direct_spin0 if same else pyscf.fci.direct_spin1).FCI()
    solver.verbose = 0
    solver.conv_tol = FCI_CONVERGENCE_HARTREE
    solver.max_cycle = 300
    solver.max_space = _DAVIDSON_SPACE
    solver.nroots = n_states
    energies, vectors = solver.kernel(
        one_body, two_body, n_orbitals, spins, ecore=mean_field.energy_nuc()
    )
    if n_states == 1:
        energies, vectors = [energies], [vectors]
    converged = np.broadcast_to(solver.converged, len(energies))
    return [
        _State(
            float(energy),
            float(pyscf.fci.spin_op.spin_square(vector, n_orbitals, spins)[0]),
            bool(done),
        )
        for energy, vector, done in zip(energies, vectors, converged, strict=True)
    ]


def check_fci_size(n_orbitals: int, spins: tuple[int, int]) -> int:
    """Predicts the size of a full CI.

    Args:
        n_orbitals: molecular orbitals.
        spins: numbers of up and down electrons.

    Returns:
        The number of determinants.

    Raises:
        ResourceError: its vectors would need more than 4 GB.
    """
    n_determinants = math.comb(n_orbitals, spins[0]) * math.comb(n_orbitals, spins[1])
    needed = 8 * _FCI_VECTORS * n_determinants
    if needed > FCI_MEMORY_BYTES:
        raise ResourceError(
            f"full CI of {sum(spins)} electrons in {n_orbitals} orbitals has {n_determinants:.3g} "
            f"determinants and needs about {needed / 1e9:.3g} GB, more than "
            f"{FCI_MEMORY_BYTES / 1e9:.0f} GB; use a smaller basis or ccsd_t."
        )
    return n_determinants
