"""CCSD(T), with Hartree-Fock, MP2 and CCSD on the way; all electrons are correlated."""

import math
from typing import Any

import numpy as np
import pyscf.cc
import pyscf.scf

from ferminet.chemistry.cost import Task
from ferminet.chemistry.scf import BaselineResult, ScfResult, copy_orbitals

CC_CONVERGENCE_HARTREE = 1e-8
CC_CONVERGENCE_AMPLITUDES = 1e-6
CC_MAX_CYCLES = 100


def ccsd_t(scf: ScfResult, task: Task) -> BaselineResult:
    """Compute CCSD(T), and with it Hartree-Fock, MP2 and CCSD.

    One electron has no correlation energy, and two have no triples. With `task.in_memory` all
    integrals are kept in memory; PySCF's rule would ask for twice the memory that it then uses. If
    CCSD does not converge, no triples are computed and the result has no energy.
    """
    n_electrons = task.molecule.n_electrons
    passed: dict[str, float | None] = {"hf": scf.energy, "mp2": scf.energy, "ccsd": scf.energy}
    if n_electrons == 1 or min(scf.mean_field.mol.nelec) == scf.n_orbitals:
        why = "one electron" if n_electrons == 1 else "no virtual orbital"
        note = {"note": f"{why}: no correlation energy"}
        return BaselineResult(scf.energy, scf.s2, note, passed)
    solver, integrals, attempts = _converge_ccsd(_fresh_mean_field(scf, task), task.in_memory)
    details: dict[str, Any] = {
        "ccsd_converged": bool(solver.converged),
        "ccsd_attempts": attempts,
        "ccsd_cycles": int(solver.cycles),
    }
    passed["mp2"] = scf.energy + float(solver.emp2)
    if not solver.converged:
        details["note"] = f"CCSD did not converge in {attempts} x {CC_MAX_CYCLES} cycles"
        return BaselineResult(None, scf.s2, details, passed | {"ccsd": None})
    triples = float(solver.ccsd_t(eris=integrals)) if n_electrons > 2 else 0.0
    passed["ccsd"] = float(solver.e_tot)
    # Restricted amplitudes (n_occ, n_virt) count for both spins.
    blocks = solver.t1 if isinstance(solver.t1, tuple) else (solver.t1, solver.t1)
    norm_squared = sum(float(np.sum(np.abs(block) ** 2)) for block in blocks)
    # Per spin orbital; for restricted orbitals this is T1 of Lee and Taylor.
    details |= {"e_t": triples, "t1": math.sqrt(norm_squared / (2 * n_electrons))}
    return BaselineResult(float(solver.e_tot) + triples, scf.s2, details, passed)


def _fresh_mean_field(scf: ScfResult, task: Task) -> Any:
    """Return a plain PySCF object with the orbitals of `scf`.

    Coupled cluster inspects its argument: an object that went through second-order steps or
    density fitting would change the method silently.
    """
    source = scf.mean_field
    kind = pyscf.scf.RHF if scf.scf_reference == "rhf" else pyscf.scf.UHF
    plain = copy_orbitals(kind(source.mol), source)
    # Where there is room for the integrals over basis functions, they are not computed twice.
    plain._eri = source._eri if task.in_memory else None
    source._eri = None
    plain.conv_tol = source.conv_tol
    return plain


def _converge_ccsd(mean_field: Any, in_memory: bool) -> tuple[Any, Any, int]:
    """Return the CCSD object, its integrals and the number of attempts (at most two)."""
    solver = pyscf.cc.CCSD(mean_field)
    solver.conv_tol = CC_CONVERGENCE_HARTREE
    solver.conv_tol_normt = CC_CONVERGENCE_AMPLITUDES
    solver.max_cycle = CC_MAX_CYCLES
    solver.incore_complete = in_memory
    integrals = solver.ao2mo()
    solver.kernel(eris=integrals)
    if solver.converged:
        return solver, integrals, 1
    solver.iterative_damping, solver.diis_space = 0.7, 12
    solver.kernel(eris=integrals)
    return solver, integrals, 2
