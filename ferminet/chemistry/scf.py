"""Hartree-Fock by PySCF, converged and followed downhill to a stable solution."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyscf.gto
import pyscf.lib
import pyscf.scf
import pyscf.scf.hf
from pyscf.data.elements import CONFIGURATION

from ferminet.chemistry.cost import Task, resolve_scf_reference
from ferminet.chemistry.expansion import leading_determinants, single_determinant
from ferminet.chemistry.gto import ScfOrbitals
from ferminet.chemistry.mol import build_mol, gto_basis
from ferminet.errors import NotConvergedError
from ferminet.methods import ScfReference
from ferminet.systems.elements import NUCLEAR_CHARGE
from ferminet.systems.molecule import Molecule

CONVERGENCE_HARTREE = 1e-10
MAX_CYCLES = 200
MAX_STABILITY_ROTATIONS = 5
STABILITY_THRESHOLD = 1e-5  # lowest eigenvalue of the orbital Hessian, hartree
pyscf.scf.hf.MUTE_CHKFILE = True  # checkpoint files would never be read
logger = logging.getLogger(__name__)
_MEAN_FIELDS = {"rhf": pyscf.scf.RHF, "uhf": pyscf.scf.UHF, "rohf": pyscf.scf.ROHF}


@dataclass(frozen=True)
class ScfResult:
    """A converged self-consistent field.

    `details` record how it was reached: start, energies of all starts, rotations, rescue,
    `stable_external` (RHF against UHF, None for others) and the number of basis functions.
    """

    energy: float  # hartree
    scf_reference: str  # rhf, uhf or rohf
    basis: str
    s2: float  # expectation value of S^2
    stable: bool  # whether no rotation within the reference lowers the energy; else see the log
    n_orbitals: int  # molecular; fewer than atomic ones if the basis is linearly dependent
    details: dict[str, Any]
    mean_field: Any = field(repr=False, compare=False)  # PySCF's object; not to be stored

    @cached_property
    def _occupied(self) -> tuple[ScfOrbitals, float | None]:
        """Orbitals whose largest coefficients are positive, and the expansion's energy."""
        occupations = np.asarray(self.mean_field.mo_occ)
        coefficients = np.asarray(self.mean_field.mo_coeff)
        if self.scf_reference == "uhf":
            up, down = (_fix_phases(coefficients[s][:, occupations[s] > 0]) for s in (0, 1))
            expansion = leading_determinants(self.mean_field, up, down)
        else:
            up, down = (_fix_phases(coefficients[:, occupations > least]) for least in (0, 1))
            expansion = single_determinant(up, down)
        basis = gto_basis(self.mean_field.mol)
        return ScfOrbitals(basis, up, down, expansion.up, expansion.down), expansion.energy

    @property
    def orbitals(self) -> ScfOrbitals:
        """The occupied orbitals; raises an `InputError` if the basis has functions beyond g."""
        return self._occupied[0]

    @property
    def expansion_energy(self) -> float | None:
        """Energy of the configuration interaction behind the orbitals' sum of determinants."""
        return self._occupied[1]


class BaselineResult(NamedTuple):
    """One conventional energy, and those computed on the way."""

    energy: float | None  # hartree; None if a step did not converge
    s2: float | None  # <S^2> of the reference; for full CI and NEVPT2 of the state itself
    details: dict[str, Any]  # contributions, sizes; in `note` why there is no energy
    passed: Mapping[str, float | None] = {}  # energies by method, None if not converged
    scf_reference: str | None = None  # set by `run_baseline`; None if the result is independent

    @property
    def status(self) -> str:
        """Complete or not_converged."""
        return "not_converged" if self.energy is None else "complete"


def hartree_fock(scf: ScfResult, _: Task) -> BaselineResult:
    """Return the Hartree-Fock energy itself as a baseline."""
    return BaselineResult(scf.energy, scf.s2, {})


class _Solution(NamedTuple):
    mean_field: Any
    stable: bool
    rotations: int
    rescue: str


def run_scf(molecule: Molecule, basis: str, scf_reference: ScfReference = "auto") -> ScfResult:
    """Solve the Hartree-Fock equations.

    `auto` is RHF for closed shells and UHF for open ones; with `molecule.broken_symmetry` it is
    UHF. UHF of a molecule with broken symmetry starts from alternating spins and from PySCF's
    guess, and the lower solution is returned. Each is followed downhill until it is stable, in at
    most `MAX_STABILITY_ROTATIONS` rotations; a warning reports one that is not stable then.

    Raises:
        InputError: the basis or reference does not fit the molecule.
        NotConvergedError: no start converged.
    """
    scf_reference = resolve_scf_reference("hf", scf_reference, molecule)
    mol = build_mol(molecule, basis)
    starts: dict[str, np.ndarray | None] = {"default": None}
    if scf_reference == "uhf" and molecule.broken_symmetry:
        starts = {"alternating_spins": alternating_density(mol), **starts}
    attempts = {
        name: _solve(_MEAN_FIELDS[scf_reference](mol), density) for name, density in starts.items()
    }
    solutions = {name: solution for name, solution in attempts.items() if solution is not None}
    if not solutions:
        raise NotConvergedError(
            f"{scf_reference.upper()} of {molecule.name}/{molecule.geometry} in {basis} did not "
            "converge, even with second-order steps, level shift and damping; check geometry, "
            "charge and unpaired_electrons or use another basis."
        )
    # Rounded, so that the first of two starts with the same solution is always taken.
    best = min(solutions, key=lambda name: round(solutions[name].mean_field.e_tot, 7))
    chosen = solutions[best]
    mean_field = chosen.mean_field
    if not chosen.stable:
        logger.warning(
            "%s of %s/%s in %s is still unstable after %d rotations downhill: a lower solution "
            "exists; compare with another reference or basis.",
            *(scf_reference.upper(), molecule.name, molecule.geometry, basis, chosen.rotations),
        )
    return ScfResult(
        energy=float(mean_field.e_tot),
        scf_reference=scf_reference,
        basis=basis,
        s2=float(mean_field.spin_square()[0]) if scf_reference == "uhf" else molecule.spin_squared,
        stable=chosen.stable,
        n_orbitals=int(np.shape(mean_field.mo_coeff)[-1]),
        details={
            "start": best,
            "start_energies": {n: float(s.mean_field.e_tot) for n, s in solutions.items()},
            "rotations": chosen.rotations,
            "rescue": chosen.rescue,
            "stable_external": (
                internal_stability(mean_field.to_uhf())[1] if scf_reference == "rhf" else None
            ),
            "n_basis": int(mol.nao),
        },
        mean_field=mean_field,
    )


def _solve(mean_field: Any, density: np.ndarray | None) -> _Solution | None:
    """Converge one start and follow it downhill; return None if it does not converge."""
    mean_field.conv_tol = CONVERGENCE_HARTREE
    mean_field.conv_tol_grad = 1e-6
    mean_field.max_cycle = MAX_CYCLES
    mean_field.chkfile = None
    mean_field.kernel(dm0=density)
    how = "none"
    if not mean_field.converged:
        mean_field, how = rescue(mean_field)
    if not mean_field.converged:
        return None
    rotations = 0
    orbitals, stable = internal_stability(mean_field)
    while not stable and rotations < MAX_STABILITY_ROTATIONS:
        follower = mean_field.newton()
        follower.kernel(orbitals, mean_field.mo_occ)
        if not follower.converged:
            return None
        mean_field = copy_orbitals(mean_field.copy(), follower)
        rotations += 1
        orbitals, stable = internal_stability(mean_field)
    return _Solution(mean_field, stable, rotations, how)


def rescue(mean_field: Any) -> tuple[Any, str]:
    """Try second-order steps, then level shift and damping followed by plain iterations."""
    newton = mean_field.newton()
    newton.max_cycle = MAX_CYCLES
    newton.kernel(mean_field.mo_coeff, mean_field.mo_occ)
    if newton.converged:
        return copy_orbitals(mean_field.copy(), newton), "newton"
    shifted = mean_field.copy()
    shifted.level_shift, shifted.damp = 0.3, 0.5
    shifted.kernel()
    mean_field.kernel(dm0=shifted.make_rdm1())
    return mean_field, "level_shift"


def copy_orbitals(mean_field: Any, source: Any) -> Any:
    """Copy the orbitals and the energy of `source` to a PySCF object, and return that object."""
    for name in ("mo_coeff", "mo_occ", "mo_energy", "e_tot", "converged"):
        setattr(mean_field, name, getattr(source, name))
    return mean_field


def internal_stability(mean_field: Any) -> tuple[Any, bool]:
    """Look for a rotation of the orbitals within the reference that lowers the energy.

    PySCF's own test starts its search from the gradient, which keeps every symmetry of the
    solution, including equal orbitals of both spins, and so misses rotations that break it. This
    search starts from a random vector without symmetry, drawn with a fixed seed.

    Returns:
        The orbitals, rotated downhill if they are unstable, and whether they are stable.
    """
    follower = mean_field.newton()
    orbitals, occupations = mean_field.mo_coeff, mean_field.mo_occ
    _, hessian, diagonal = follower.gen_g_hop(orbitals, occupations, mean_field.get_fock())
    if diagonal.size == 0:
        return orbitals, True  # no virtual orbital to rotate into
    diagonal = 2 * diagonal

    def precondition(residual: np.ndarray, value: float, _: np.ndarray) -> np.ndarray:
        shifted = diagonal - value
        return residual / np.where(np.abs(shifted) < 1e-8, 1e-8, shifted)

    start = np.random.default_rng(0).normal(size=diagonal.size) / np.maximum(diagonal, 0.1)
    settings = {"tol": 1e-6, "max_cycle": 100, "nroots": 1, "verbose": 0}
    _, values, vectors = pyscf.lib.davidson1(
        lambda trials: [2 * hessian(trial) for trial in trials], [start], precondition, **settings
    )
    if values[0] >= -STABILITY_THRESHOLD:
        return orbitals, True
    rotation = follower.update_rotate_matrix(vectors[0], occupations, mo_coeff=orbitals)
    return follower.rotate_mo(orbitals, rotation), False


def _fix_phases(orbitals: np.ndarray) -> np.ndarray:
    if orbitals.size == 0:
        return orbitals
    rows = np.argmax(np.abs(orbitals), axis=0)
    return orbitals * np.sign(orbitals[rows, np.arange(orbitals.shape[1])])


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
