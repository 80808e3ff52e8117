"""NEVPT2 on CASSCF, for broken bonds, where a single determinant is a poor reference.

Angeli, Cimiraglia, Evangelisti, Leininger, Malrieu, J. Chem. Phys. 114, 10252 (2001), strongly
contracted; all electrons outside the active space are correlated.
"""

from typing import Any, NamedTuple

import numpy as np
import pyscf.gto
import pyscf.mcscf
import pyscf.mrpt
from pyscf.data.elements import CONFIGURATION

from ferminet.chemistry.cost import Task
from ferminet.chemistry.result import BaselineResult, common_details
from ferminet.chemistry.scf import ScfResult
from ferminet.errors import InputError
from ferminet.systems.elements import NUCLEAR_CHARGE

CONVERGENCE_HARTREE = 1e-9
MAX_CYCLES = 150
SPIN_TOLERANCE = 1e-3


class _Solution(NamedTuple):
    """CASSCF from one start."""

    start: str
    solver: Any
    s2: float


def nevpt2(scf: ScfResult, task: Task) -> BaselineResult:
    """Compute CASSCF and second-order perturbation theory on it.

    CASSCF starts from the atoms' valence orbitals and from the orbitals around the Fermi level; the
    lower solution of the right spin is kept.

    Args:
        scf: restricted orbitals.
        task: holds the molecule and the active space.

    Returns:
        The result, not_converged without a solution of the right spin.

    Raises:
        InputError: the basis has too few orbitals.
    """
    molecule = task.molecule
    electrons, orbitals = task.active_space or (0, 0)
    spin = molecule.unpaired_electrons / 2
    wanted = spin * (spin + 1)
    unpaired, space = molecule.unpaired_electrons, (electrons, orbitals)
    if (molecule.n_electrons - electrons) // 2 + orbitals > scf.n_orbitals:
        raise InputError(
            f"the active space of {orbitals} orbitals is larger than what {scf.basis} has for "
            f"{molecule.name}, {scf.n_orbitals} orbitals; use a larger basis or a smaller space."
        )
    starts = {
        "valence": _valence_orbitals(scf, space, unpaired),
        "frontier": scf.mean_field.mo_coeff,
    }
    solutions = [_casscf(scf, name, start, space, unpaired) for name, start in starts.items()]
    right = [
        solution
        for solution in solutions
        if solution.solver.converged and abs(solution.s2 - wanted) < SPIN_TOLERANCE
    ]
    details = common_details(scf) | {
        "active_space": [electrons, orbitals],
        "start_energies": {found.start: float(found.solver.e_tot) for found in solutions},
    }
    if not right:
        details["note"] = f"CASSCF did not converge to a state with S^2 = {wanted:g}"
        return BaselineResult(None, "not_converged", "nevpt2", None, scf.basis, None, details)
    # Rounded, so that the first of two starts with the same solution is always taken.
    best = min(right, key=lambda found: round(found.solver.e_tot, 7))
    correction = float(pyscf.mrpt.NEVPT(best.solver).kernel())
    details |= {
        "start": best.start,
        "e_casscf": float(best.solver.e_tot),
        "e_nevpt2": correction,
        "natural_occupations": _natural_occupations(best.solver),
    }
    energy = float(best.solver.e_tot) + correction
    return BaselineResult(energy, "complete", "nevpt2", None, scf.basis, best.s2, details)


def _casscf(
    scf: ScfResult, name: str, start: np.ndarray, active_space: tuple[int, int], unpaired: int
) -> _Solution:
    electrons, orbitals = active_space
    split = ((electrons + unpaired) // 2, (electrons - unpaired) // 2)
    solver: Any = pyscf.mcscf.CASSCF(scf.mean_field, orbitals, split)
    solver.conv_tol, solver.max_cycle_macro = CONVERGENCE_HARTREE, MAX_CYCLES
    solver.verbose, solver.chkfile = 0, None
    solver.fix_spin_(ss=unpaired / 2 * (unpaired / 2 + 1))
    solver.kernel(start)
    s2 = float(solver.fcisolver.spin_square(solver.ci, orbitals, split)[0])
    return _Solution(name, solver, s2)


def _valence_orbitals(scf: ScfResult, active_space: tuple[int, int], unpaired: int) -> np.ndarray:
    """Return orbitals whose active ones resemble the atoms' valence shells most.

    Doubly occupied and empty orbitals are each rotated to the eigenvectors of the projection onto
    the valence functions of a minimal basis, and the largest eigenvalues are active. After
    Sayfutyarova, Sun, Chan, Knizia, J. Chem. Theory Comput. 13, 4063 (2017), with the numbers of
    orbitals given and not their eigenvalues.

    Returns:
        (n_ao, n_orbitals): core, active, virtual.
    """
    electrons, _ = active_space
    coefficients, occupations = scf.mean_field.mo_coeff, scf.mean_field.mo_occ
    projector = _valence_projector(scf.mean_field.mol, coefficients)
    n_active = (electrons - unpaired) // 2  # of the doubly occupied ones
    doubly, singly, empty = (coefficients[:, occupations == number] for number in (2, 1, 0))

    def sorted_by_valence(number: int, block: np.ndarray) -> np.ndarray:
        chosen = occupations == number
        values, vectors = np.linalg.eigh(projector[np.ix_(chosen, chosen)])
        return block @ vectors[:, np.argsort(values)]  # the most like valence last

    core_first = sorted_by_valence(2, doubly)
    active_first = sorted_by_valence(0, empty)[:, ::-1]
    n_core = core_first.shape[1] - n_active
    active = [core_first[:, n_core:], singly, active_first]
    return np.hstack([core_first[:, :n_core], *active])


def _valence_projector(mol: Any, coefficients: np.ndarray) -> np.ndarray:
    """Return the projector onto the valence shells of a minimal basis, in orbitals, (n, n)."""
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


def _natural_occupations(solver: Any) -> list[float]:
    density = solver.fcisolver.make_rdm1(solver.ci, solver.ncas, solver.nelecas)
    return sorted(np.linalg.eigvalsh(density).tolist(), reverse=True)
