"""A conventional calculation: its SCF reference and its predicted time, memory and scratch space.

The cost formulas are fitted to runs of PySCF 2.14 on one core (tests/chemistry/measured.csv). They
depend on the number of basis functions n and on the numbers of occupied and virtual orbitals per
spin, o and v. Predictions hold within a factor of 2.2 up to 300 functions; beyond, they follow the
known scaling of the methods.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ferminet.chemistry.basis_sets import count_functions
from ferminet.errors import InputError
from ferminet.methods import METHODS, ScfReference, load_function
from ferminet.systems.molecule import Molecule

_BYTE = 1e-9  # gigabytes
_PROCESS_GB = 0.22  # Python and PySCF
_BLOCKS_GB = 2.0  # PySCF's blocks of integrals, however little memory it is given
# Up to this size jobs ask for memory for all integrals; beyond it they ask for scratch.
MOST_MEMORY_GB = 12.0
DAVIDSON_SPACE = 30  # trial vectors of full CI
_VECTORS = 2 * DAVIDSON_SPACE + 10  # of a full CI: trial vectors, their products, work space
_CYCLES = 13  # iterations of CCSD near equilibrium


class Task(NamedTuple):
    """One conventional calculation."""

    molecule: Molecule
    basis: str
    scf_reference: ScfReference  # auto: the method chooses its own orbitals
    active_space: Sequence[int] | None = None  # electrons and orbitals, if the method needs them
    in_memory: bool = True  # whether all integrals fit into the memory

    @property
    def n_basis(self) -> int:
        """Number of basis functions; an `InputError` if the basis has none for an element."""
        return count_functions(self.molecule.symbols, self.basis)


@dataclass(frozen=True)
class Cost:
    """A prediction for one core."""

    n_basis: int
    seconds: float  # CPU time
    in_memory_gb: float  # memory that holds all integrals
    least_gb: float  # memory needed even with the integrals in files
    files_gb: float = 0.0  # size of those files

    @property
    def memory_gb(self) -> float:
        """The memory that a job asks for."""
        return min(self.in_memory_gb, max(MOST_MEMORY_GB, self.least_gb))

    @property
    def scratch_gb(self) -> float:
        """Size of the temporary files with that much memory."""
        return self.files_gb if self.memory_gb < self.in_memory_gb else 0.0


def predict(method: str, task: Task) -> Cost:
    """Predict the cost of a calculation by one of `METHODS`."""
    return load_function(METHODS[method].cost)(task)


def resolve_scf_reference(
    method: str, scf_reference: ScfReference, molecule: Molecule
) -> ScfReference:
    """Return the reference of a method: rhf, uhf or rohf, or auto if it chooses its own orbitals.

    Hartree-Fock of a molecule with broken symmetry is unrestricted. Coupled cluster is restricted
    for every closed shell: a lower UHF solution makes CCSD(T) worse near equilibrium, and where
    bonds break both are of interest.

    Raises:
        InputError: the reference does not fit the method or the molecule.
    """
    entry, chosen = METHODS[method], scf_reference
    if scf_reference == "auto":
        breaks_symmetry = molecule.broken_symmetry and entry.breaks_symmetry
        chosen = "uhf" if molecule.unpaired_electrons or breaks_symmetry else "rhf"
    elif scf_reference == "rhf" and molecule.unpaired_electrons:
        raise InputError(
            f"rhf needs a closed shell, but {molecule.name} has unpaired electrons "
            f"({molecule.unpaired_electrons}); use uhf."
        )
    if chosen in entry.scf_references:
        return chosen
    if not entry.chooses_orbitals:
        allowed = f"auto, {' or '.join(entry.scf_references)}"
        raise InputError(
            f"{method} must start from {allowed}, got {scf_reference!r}; "
            f"use {entry.scf_references[-1]}."
        )
    if scf_reference != "auto":
        raise InputError(
            f"{method} chooses its own orbitals, got reference {scf_reference!r}; leave it out."
        )
    return "auto"


def count_determinants(n_orbitals: int, spins: tuple[int, int]) -> int:
    """Return the number of determinants of a full CI."""
    return math.comb(n_orbitals, spins[0]) * math.comb(n_orbitals, spins[1])


def hartree_fock_cost(task: Task) -> Cost:
    """Predict the cost of Hartree-Fock."""
    n = task.n_basis
    seconds = 1.0 + (3.5e-8 if task.scf_reference == "rhf" else 3.7e-8) * n**4
    in_memory = _PROCESS_GB + 1.2 * n**4 * _BYTE
    # Integrals that do not fit into the memory are recomputed in each cycle.
    slower = 8.0 if in_memory > MOST_MEMORY_GB else 1.0
    least = min(in_memory, _PROCESS_GB + 0.3 + 8 * 60 * n**2 * _BYTE)
    return Cost(n, slower * seconds, in_memory, least)


def coupled_cluster_cost(task: Task) -> Cost:
    """Predict the cost of CCSD(T)."""
    field = hartree_fock_cost(task)
    if task.molecule.n_electrons == 1:
        return field
    n, o = task.n_basis, task.molecule.n_electrons / 2
    v = max(n - o, 1.0)
    if task.scf_reference != "rhf":
        cycle = (1.0e-8 + 0.27e-8 * o) * v**4 + 3 * (2.3e-12 * o**2 * v**4 + 1.2e-9 * o**3 * v**3)
        triples = 3.0e-8 * o * v**4 + 1.0e-9 * o**3 * v**4
        transformed = 8e-10 * n**5
        in_memory = _PROCESS_GB + 48 * n**4 * _BYTE
        files = (6 * v**4 + 2 * n**2 * v**2 + 32 * o * v**3) * _BYTE
        amplitudes = 8 * 4 * o**2 * v**2 * _BYTE
    else:
        cycle = 5.9e-9 * v**4 + 2.3e-12 * o**2 * v**4 + 1.17e-9 * o**3 * v**3
        triples = 1.3e-10 * o**3 * v**4
        transformed = 2.5e-10 * n**5
        in_memory = _PROCESS_GB + (5.2 * n**4 + 30 * o * v**3) * _BYTE
        # Integrals with four virtual indices, and the half-transformed ones they are made from.
        files = (2 * v**4 + 2 * n**2 * v**2) * _BYTE
        amplitudes = 8 * o**2 * v**2 * _BYTE
    seconds = field.seconds + _CYCLES * cycle + triples + transformed
    slower = 1.5 if in_memory > MOST_MEMORY_GB else 1.0
    least = min(in_memory, _PROCESS_GB + _BLOCKS_GB + 6 * amplitudes)
    return Cost(n, slower * seconds, in_memory, least, files)


def full_ci_cost(task: Task) -> Cost:
    """Predict the cost of full CI."""
    n = task.n_basis
    determinants = count_determinants(n, task.molecule.spins)
    # A product of the Hamiltonian with a vector couples each string to its o v neighbours.
    seconds = 1.0 + 2e-8 * n**4 + 6e-9 * determinants * n**2
    memory = _PROCESS_GB + 8 * _VECTORS * determinants * _BYTE + 3 * n**4 * _BYTE
    return Cost(n, seconds, memory, memory)


def nevpt2_cost(task: Task) -> Cost:
    """Predict the cost of NEVPT2, or of its Hartree-Fock if there is no active space."""
    n, unpaired = task.n_basis, task.molecule.unpaired_electrons
    electrons, orbitals = task.active_space or (0, 0)
    spins = ((electrons + unpaired) // 2, (electrons - unpaired) // 2)
    determinants = count_determinants(orbitals, spins)
    seconds = 4.0 + 2e-7 * n**4 + 2e-5 * determinants * orbitals**2 + 2e-7 * orbitals**8
    memory = _PROCESS_GB + 4 * n**4 * _BYTE + 8 * _VECTORS * determinants * _BYTE
    return Cost(n, seconds, memory, memory)
