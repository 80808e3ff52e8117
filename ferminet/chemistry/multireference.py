"""NEVPT2 on CASSCF, for broken bonds, where a single determinant is a poor reference.

Angeli, Cimiraglia, Evangelisti, Leininger, Malrieu, J. Chem. Phys. 114, 10252 (2001), strongly
contracted; all electrons outside the active space are correlated.
"""

from typing import Any

import numpy as np
import pyscf.gto
import pyscf.mcscf
import pyscf.mrpt
from pyscf.data.elements import CONFIGURATION

from ferminet.chemistry.cost import Task
from ferminet.chemistry.scf import BaselineResult, ScfResult
from ferminet.errors import InputError
from ferminet.systems.elements import NUCLEAR_CHARGE

CONVERGENCE_HARTREE = 1e-9
MAX_CYCLES = 150
SPIN_TOLERANCE = 1e-3


def nevpt2(scf: ScfResult, task: Task) -> BaselineResult:
    """Compute CASSCF on restricted orbitals, and second-order perturbation theory on it.

    CASSCF starts from the atoms' valence orbitals and from the orbitals around the Fermi level; the
    lower solution of the right spin is kept. If there is none, the result is not_converged.

    Raises:
        InputError: the basis has too few orbitals.
    """
    electrons, orbitals = task.active_space or (0, 0)
    if (task.molecule.n_electrons - electrons) // 2 + orbitals > scf.n_orbitals:
        raise InputError(
            f"the active space of {orbitals} orbitals does not fit: {scf.basis} has "
            f"{scf.n_orbitals} orbitals for {task.molecule.name}; use a larger basis or a smaller "
            "space."
        )
    doubly = (electrons - task.molecule.unpaired_electrons) // 2
    starts = {"valence": _valence_orbitals(scf), "frontier": scf.mean_field.mo_coeff}
    solvers = {
        name: _casscf(
            scf, start, orbitals, (electrons - doubly, doubly), task.molecule.spin_squared
        )
        for name, start in starts.items()
    }
    s2 = {
        name: float(solver.fcisolver.spin_square(solver.ci, solver.ncas, solver.nelecas)[0])
        for name, solver in solvers.items()
    }
    right = [
        name
        for name, solver in solvers.items()
        if solver.converged and abs(s2[name] - task.molecule.spin_squared) < SPIN_TOLERANCE
    ]
    details: dict[str, Any] = {
        "active_space": [electrons, orbitals],
        "start_energies": {name: float(solver.e_tot) for name, solver in solvers.items()},
    }
    if not right:
        details["note"] = (
            f"CASSCF did not converge to a state with S^2 = {task.molecule.spin_squared:g}"
        )
        return BaselineResult(None, None, details)
    # Rounded, so that the first of two starts with the same solution is always taken.
    best = min(right, key=lambda name: round(solvers[name].e_tot, 7))
    casscf = solvers[best]
    correction = float(pyscf.mrpt.NEVPT(casscf).kernel())
    density = casscf.fcisolver.make_rdm1(casscf.ci, casscf.ncas, casscf.nelecas)
    details |= {
        "start": best,
        "e_casscf": float(casscf.e_tot),
        "e_nevpt2": correction,
        "natural_occupations": sorted(np.linalg.eigvalsh(density).tolist(), reverse=True),
    }
    return BaselineResult(float(casscf.e_tot) + correction, s2[best], details)


def _casscf(
    scf: ScfResult, start: np.ndarray, n_active: int, spins: tuple[int, int], spin_squared: float
) -> Any:
    solver: Any = pyscf.mcscf.CASSCF(scf.mean_field, n_active, spins)
    solver.conv_tol, solver.max_cycle_macro = CONVERGENCE_HARTREE, MAX_CYCLES
    solver.verbose, solver.chkfile = 0, None
    solver.fix_spin_(ss=spin_squared)
    solver.kernel(start)
    return solver


def _valence_orbitals(scf: ScfResult) -> np.ndarray:
    """Return orbitals (n_ao, n_orbitals), ordered so that those at the Fermi level are valence.

    Doubly occupied and empty orbitals are each rotated to the eigenvectors of the projection onto
    the valence functions of a minimal basis; those with the largest eigenvalues are active. This
    follows Sayfutyarova, Sun, Chan, Knizia, J. Chem. Theory Comput. 13, 4063 (2017), but the
    numbers of active orbitals are given instead of a threshold for the eigenvalues.
    """
    coefficients, occupations = scf.mean_field.mo_coeff, scf.mean_field.mo_occ
    projector = _valence_projector(scf.mean_field.mol, coefficients)

    def most_valence_last(occupation: int) -> np.ndarray:
        chosen = occupations == occupation
        values, vectors = np.linalg.eigh(projector[np.ix_(chosen, chosen)])
        return coefficients[:, chosen] @ vectors[:, np.argsort(values)]

    singly, empty = coefficients[:, occupations == 1], most_valence_last(0)[:, ::-1]
    return np.hstack([most_valence_last(2), singly, empty])


def _valence_projector(mol: Any, coefficients: np.ndarray) -> np.ndarray:
    """Return the projector onto the valence shells of a minimal basis, (n, n) in the orbitals."""
    minimal = mol.copy()
    minimal.basis = "minao"
    minimal.build(dump_input=False, parse_arg=False)
    labels = []
    for symbol in dict.fromkeys(mol.elements):
        shell = -(-CONFIGURATION[NUCLEAR_CHARGE[symbol]][0] // 2)  # the outermost s shell
        labels += [f"{symbol} {shell}s"] + [f"{symbol} {shell}p"] * (NUCLEAR_CHARGE[symbol] > 2)
    valence = minimal.search_ao_label(labels)
    overlap = minimal.intor_symmetric("int1e_ovlp")[np.ix_(valence, valence)]
    mixed = pyscf.gto.intor_cross("int1e_ovlp", minimal, mol)[valence] @ coefficients
    return mixed.T @ np.linalg.solve(overlap, mixed)
