"""A start for the self-consistent field with alternating spins on neighbouring atoms."""

from typing import Any

import numpy as np
import pyscf.gto
import pyscf.scf
from pyscf.data.elements import CONFIGURATION

from ferminet.systems.elements import NUCLEAR_CHARGE


def alternating_density(mol: pyscf.gto.Mole) -> np.ndarray:
    """Return density matrices (2, n_ao, n_ao) in which the spins of neighbouring atoms alternate.

    Free atoms are superposed, each with its unpaired electrons up or down: the opposite of the
    nearest atom that already has a spin (Prim's minimum spanning tree).
    """
    density = np.zeros((2, mol.nao, mol.nao))
    table: Any = mol.basis
    atoms = {symbol: _atomic_density(symbol, functions) for symbol, functions in table.items()}
    signs = alternating_signs(mol.atom_coords())
    for index, (_, _, start, stop) in enumerate(mol.aoslice_by_atom()):
        atom = atoms[mol.atom_pure_symbol(index)]
        density[:, start:stop, start:stop] = atom[:: signs[index]]
    return density


def alternating_signs(coords: np.ndarray) -> list[int]:
    """Return +1 or -1 per atom, opposite for neighbours; coords are (n_nuclei, 3)."""
    distances = np.linalg.norm(coords[:, None] - coords[None], axis=-1)
    signs = {0: 1}
    while len(signs) < len(coords):
        pairs = ((i, j) for i in signs for j in range(len(coords)) if j not in signs)
        neighbour, new = min(pairs, key=lambda pair: (round(distances[pair], 6), pair))
        signs[new] = -signs[neighbour]
    return [signs[index] for index in range(len(coords))]


def _atomic_density(symbol: str, functions: Any) -> np.ndarray:
    """Return the UHF density matrices of a free atom in its ground-state configuration."""
    unpaired = 0
    for momentum, electrons in enumerate(CONFIGURATION[NUCLEAR_CHARGE[symbol]]):
        capacity = 2 * (2 * momentum + 1)
        unpaired += min(electrons % capacity, capacity - electrons % capacity)
    atom = pyscf.gto.Mole()
    atom.atom, atom.basis, atom.spin, atom.verbose = [(symbol, (0, 0, 0))], functions, unpaired, 0
    atom.build(dump_input=False, parse_arg=False)
    mean_field = pyscf.scf.UHF(atom)
    mean_field.chkfile = None
    mean_field.kernel()
    return np.asarray(mean_field.make_rdm1())
