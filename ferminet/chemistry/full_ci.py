"""Full configuration interaction: exact in its basis set, for a few electrons."""

from typing import Any, NamedTuple

import numpy as np
import pyscf.ao2mo
import pyscf.fci

from ferminet.chemistry.cost import DAVIDSON_SPACE, Task, count_determinants
from ferminet.chemistry.result import BaselineResult, common_details
from ferminet.chemistry.scf import ScfResult

CONVERGENCE_HARTREE = 1e-10
MAX_CYCLES = 300
STATES = (2, 6)  # how many states are computed, and how many if none has the right spin
SPIN_TOLERANCE = 1e-3


class _State(NamedTuple):
    """A full-CI state: energy in hartree, S^2, whether Davidson converged."""

    energy: float
    s2: float
    converged: bool


def full_ci(scf: ScfResult, task: Task) -> BaselineResult:
    """Compute the lowest state with the molecule's spin, exact in its basis.

    Args:
        scf: restricted orbitals; the result does not depend on which.
        task: holds the molecule.

    Returns:
        The result, not_converged if none of the lowest states converged with the right spin.
    """
    molecule = task.molecule
    n_determinants = count_determinants(scf.n_orbitals, molecule.spins)
    spin = molecule.unpaired_electrons / 2
    wanted = spin * (spin + 1)
    states: list[_State] = []
    state = None
    for n_states in STATES:
        states = _fci_states(scf.mean_field, molecule.spins, min(n_states, n_determinants))
        candidates = [found for found in states if abs(found.s2 - wanted) < SPIN_TOLERANCE]
        state = min(candidates, key=lambda found: found.energy, default=None)
        if state is not None and state.converged:
            break
    details = common_details(scf) | {
        "n_determinants": n_determinants,
        "fci_states": [state._asdict() for state in states],
    }
    if state is None or not state.converged:
        details["note"] = f"none of the lowest {len(states)} states converged with S^2 = {wanted}"
        return BaselineResult(None, "not_converged", "fci", None, scf.basis, wanted, details)
    return BaselineResult(state.energy, "complete", "fci", None, scf.basis, state.s2, details)


def _fci_states(mean_field: Any, spins: tuple[int, int], n_states: int) -> list[_State]:
    """Return the lowest states with the given numbers of up and down electrons.

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
    solver.conv_tol = CONVERGENCE_HARTREE
    solver.max_cycle = MAX_CYCLES
    solver.max_space = DAVIDSON_SPACE
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
