"""Full configuration interaction: exact in its basis set, for a few electrons."""

from typing import Any, NamedTuple

import numpy as np
import pyscf.ao2mo
import pyscf.fci

from ferminet.chemistry.cost import DAVIDSON_SPACE, Task, count_determinants
from ferminet.chemistry.scf import BaselineResult, ScfResult

CONVERGENCE_HARTREE = 1e-10
MAX_CYCLES = 300
STATES = (2, 6)  # number of states, and their number if none has the right spin
SPIN_TOLERANCE = 1e-3


class _State(NamedTuple):
    energy: float  # hartree
    s2: float
    converged: bool  # whether Davidson's iterations converged


def full_ci(scf: ScfResult, task: Task) -> BaselineResult:
    """Compute the lowest state with the molecule's spin, from any restricted orbitals.

    The result is not_converged if none of the lowest states converged with the right spin.
    """
    spins = task.molecule.spins
    n_determinants = count_determinants(scf.n_orbitals, spins)
    target_s2 = task.molecule.spin_squared
    states: list[_State] = []
    state = None
    for n_states in STATES:
        states = _fci_states(scf.mean_field, spins, min(n_states, n_determinants))
        right = [each for each in states if abs(each.s2 - target_s2) < SPIN_TOLERANCE]
        state = min(right, key=lambda each: each.energy, default=None)
        if state is not None and state.converged:
            break
    details: dict[str, Any] = {
        "n_determinants": n_determinants,
        "fci_states": [each._asdict() for each in states],
    }
    if state is not None and state.converged:
        return BaselineResult(state.energy, state.s2, details)
    details["note"] = f"none of the lowest {len(states)} states converged with S^2 = {target_s2}"
    return BaselineResult(None, target_s2, details)


def _fci_states(mean_field: Any, spins: tuple[int, int], n_states: int) -> list[_State]:
    """Return the lowest states with the given numbers of up and down electrons.

    One state is not enough: the lowest may have a larger spin than requested, and a single Davidson
    vector can keep the symmetry of its start and converge to an excited state (to the triplet for
    the square of hydrogens). Equal spins use the solver for even S.
    """
    orbitals = mean_field.mo_coeff
    n_orbitals = orbitals.shape[1]
    one_body = orbitals.T @ mean_field.get_hcore() @ orbitals
    two_body = pyscf.ao2mo.full(mean_field.mol, orbitals)
    module = pyscf.fci.direct_spin0 if spins[0] == spins[1] else pyscf.fci.direct_spin1
    solver: Any = module.FCI()
    solver.verbose = 0
    solver.conv_tol, solver.max_cycle = CONVERGENCE_HARTREE, MAX_CYCLES
    solver.max_space, solver.nroots = DAVIDSON_SPACE, n_states
    repulsion = mean_field.energy_nuc()
    energies, vectors = solver.kernel(one_body, two_body, n_orbitals, spins, ecore=repulsion)
    if n_states == 1:
        energies, vectors = [energies], [vectors]
    s2 = [pyscf.fci.spin_op.spin_square(vector, n_orbitals, spins)[0] for vector in vectors]
    converged = np.broadcast_to(solver.converged, len(energies))
    return [
        _State(float(energy), float(square), bool(done))
        for energy, square, done in zip(energies, s2, converged, strict=True)
    ]
