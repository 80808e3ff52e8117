"""Hartree-Fock by PySCF, converged and followed downhill to a stable solution."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyscf.lib
import pyscf.scf
import pyscf.scf.hf

from ferminet.chemistry.expansion import leading_determinants, single_determinant
from ferminet.chemistry.gto import ScfOrbitals
from ferminet.chemistry.guess import alternating_density
from ferminet.chemistry.mol import build_mol, gto_basis
from ferminet.chemistry.scf_reference import choose_scf_reference
from ferminet.errors import NotConvergedError
from ferminet.systems.molecule import Molecule

CONVERGENCE_HARTREE = 1e-10
MAX_CYCLES = 200
MAX_STABILITY_ROTATIONS = 5
STABILITY_THRESHOLD = 1e-5  # lowest eigenvalue of the orbital Hessian, hartree
pyscf.scf.hf.MUTE_CHKFILE = True  # checkpoint files would never be read
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
    stable: bool  # whether no rotation within the reference lowers the energy
    n_orbitals: int  # molecular; fewer than atomic ones if the basis is linearly dependent
    details: dict[str, Any]
    mean_field: Any = field(repr=False, compare=False)  # PySCF's object; not to be stored

    @cached_property
    def _occupied(self) -> tuple[ScfOrbitals, float | None]:
        return _occupied_orbitals(self.mean_field, self.scf_reference)

    @property
    def orbitals(self) -> ScfOrbitals:
        """The occupied orbitals; raises an `InputError` if the basis has functions beyond g."""
        return self._occupied[0]

    @property
    def expansion_energy(self) -> float | None:
        """Energy of the configuration interaction behind the orbitals' sum of determinants."""
        return self._occupied[1]


class _Solution(NamedTuple):
    mean_field: Any
    stable: bool
    rotations: int
    rescue: str


def run_scf(molecule: Molecule, basis: str, scf_reference: str = "auto") -> ScfResult:
    """Solve the Hartree-Fock equations.

    `auto` is RHF for closed shells and UHF for open ones; with `molecule.broken_symmetry` it is
    UHF. UHF of a molecule with broken symmetry starts from alternating spins and from PySCF's
    guess, and the lower solution is returned. Each is followed downhill until it is stable, in at
    most `MAX_STABILITY_ROTATIONS` rotations.

    Args:
        molecule: a molecule at one geometry.
        basis: name of a basis set of PySCF or of the Basis Set Exchange.
        scf_reference: auto, rhf, uhf or rohf.

    Raises:
        InputError: the basis or reference is unknown or does not fit the molecule.
        NotConvergedError: no start converged.
    """
    scf_reference = choose_scf_reference(molecule, scf_reference, molecule.broken_symmetry)
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
    return ScfResult(
        energy=float(mean_field.e_tot),
        scf_reference=scf_reference,
        basis=basis,
        s2=_spin_square(mean_field, scf_reference),
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


def _spin_square(mean_field: Any, scf_reference: str) -> float:
    if scf_reference != "uhf":
        spin = mean_field.mol.spin / 2
        return spin * (spin + 1)
    return float(mean_field.spin_square()[0])


def _occupied_orbitals(mean_field: Any, scf_reference: str) -> tuple[ScfOrbitals, float | None]:
    """Return orbitals whose largest coefficients are positive, and the expansion's energy."""
    occupations = np.asarray(mean_field.mo_occ)
    coefficients = np.asarray(mean_field.mo_coeff)
    if scf_reference == "uhf":
        up, down = (_fix_phases(coefficients[s][:, occupations[s] > 0]) for s in (0, 1))
        expansion = leading_determinants(mean_field, up, down)
    else:
        up, down = (_fix_phases(coefficients[:, occupations > least]) for least in (0, 1))
        expansion = single_determinant(up, down)
    orbitals = ScfOrbitals(gto_basis(mean_field.mol), up, down, expansion.up, expansion.down)
    return orbitals, expansion.energy


def _fix_phases(orbitals: np.ndarray) -> np.ndarray:
    if orbitals.size == 0:
        return orbitals
    rows = np.argmax(np.abs(orbitals), axis=0)
    return orbitals * np.sign(orbitals[rows, np.arange(orbitals.shape[1])])
