"""A few determinants that describe broken bonds, from which a sum of determinants starts.

Near dissociation all ways to couple the spins of the fragments lie within a few millihartree: four
hydrogen atoms have six. One broken-symmetry determinant mixes several of them, and the optimiser
needs thousands of iterations to separate them. A small configuration interaction gives the ground
state. Its orbitals are the natural orbitals of the UHF density with fractional occupation (UNO-CAS:
Pulay and Hamilton, J. Chem. Phys. 88, 4926 (1988)). They are localised by a pivoted Cholesky
decomposition (Aquilante et al., J. Chem. Phys. 125, 174101 (2006)), which makes the expansion short
and, unlike iterative localisation, cannot stop at a symmetric saddle point.
"""

from typing import Any, NamedTuple

import numpy as np
import pyscf.fci
import pyscf.lo.cholesky
import pyscf.mcscf
import pyscf.scf
import scipy.linalg

FRACTIONAL = (0.02, 1.98)  # occupations between these are active (Pulay and Hamilton)
LARGEST_SPACE = 12  # active orbitals; more would be too expensive
SMALLEST_WEIGHT = 0.1  # smallest coefficient that is kept, relative to the largest
CONVERGENCE_HARTREE = 1e-14  # the error of the coefficients is of the order of its square root


class Expansion(NamedTuple):
    """psi = sum_t det(phi_up,t) det(phi_down,t), with the coefficients absorbed into the orbitals.

    With as many spin-up as spin-down electrons, every second term is the mirror image of the one
    before it, with the spins exchanged.
    """

    up: np.ndarray  # (n_terms, n_ao, n_up)
    down: np.ndarray  # (n_terms, n_ao, n_down)
    energy: float | None  # of the whole configuration interaction, hartree; None without one


def single_determinant(up: np.ndarray, down: np.ndarray) -> Expansion:
    """Return one determinant of orbitals (n_ao, n_up), (n_ao, n_down), with its mirror image."""
    if up.shape == down.shape:
        return Expansion(np.stack([up, down]), np.stack([down, up]), None)
    return Expansion(up[None], down[None], None)


def leading_determinants(
    mean_field: Any, up: np.ndarray, down: np.ndarray, most_pairs: int = 8
) -> Expansion:
    """Return the largest determinants of a configuration interaction over the broken bonds.

    If no bond is broken, or too many are, it returns the UHF determinant itself: the occupied
    orbitals `up` (n_ao, n_up) and `down` (n_ao, n_down) of PySCF's converged UHF object. At most
    `most_pairs` determinants are kept, not counting mirror images.
    """
    natural, occupations = _natural_orbitals(mean_field)
    core = occupations >= FRACTIONAL[1]
    active = (occupations > FRACTIONAL[0]) & ~core
    n_core, n_active = int(core.sum()), int(active.sum())
    n_up, n_down = up.shape[1] - n_core, down.shape[1] - n_core
    if not 0 < n_active <= LARGEST_SPACE or min(n_up, n_down) < 1 or n_up + n_down == 2 * n_active:
        return single_determinant(up, down)
    localised = pyscf.lo.cholesky.cholesky_mos(natural[:, active])
    orbitals = np.hstack([natural[:, core], localised, natural[:, ~core & ~active]])
    energy, coefficients = _configuration_interaction(
        mean_field.mol, orbitals, n_active, (n_up, n_down)
    )
    if energy > mean_field.e_tot:  # an excited state, or a space that misses part of the bond
        return single_determinant(up, down)
    occupied_up, occupied_down = (_occupied(n_core, n_active, n) for n in (n_up, n_down))
    terms: list[tuple[np.ndarray, np.ndarray]] = []
    for i, j, coefficient in _largest(coefficients, most_pairs):
        scale = abs(coefficient) ** (1.0 / (up.shape[1] + down.shape[1]))
        phi_up = scale * orbitals[:, occupied_up[i]]
        phi_up[:, 0] *= np.sign(coefficient)
        phi_down = scale * orbitals[:, occupied_down[j]]
        terms.append((phi_up, phi_down))
        if n_up == n_down:
            terms.append((phi_down, phi_up))
    terms_up, terms_down = zip(*terms, strict=True)
    return Expansion(np.stack(terms_up), np.stack(terms_down), energy)


def _natural_orbitals(mean_field: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvectors and occupations of the density of both spins, the largest first."""
    density = np.sum(mean_field.make_rdm1(), axis=0)
    overlap = mean_field.get_ovlp()
    occupations, vectors = scipy.linalg.eigh(-(overlap @ density @ overlap), overlap)
    return vectors, -occupations


def _configuration_interaction(
    mol: Any, orbitals: np.ndarray, n_active: int, n_electrons: tuple[int, int]
) -> tuple[float, np.ndarray]:
    """Return energy and coefficients (strings up, down) of the lowest state of this spin."""
    restricted = pyscf.scf.RHF(mol)  # for open shells this is ROHF
    space: Any = pyscf.mcscf.CASCI(restricted, n_active, n_electrons)
    space.verbose, space.canonicalization = 0, False
    space.fcisolver.conv_tol = CONVERGENCE_HARTREE
    spin = abs(n_electrons[0] - n_electrons[1]) / 2
    pyscf.fci.addons.fix_spin_(space.fcisolver, ss=spin * (spin + 1))
    energy, _, coefficients, *_ = space.kernel(orbitals)
    return float(energy), np.asarray(coefficients)


def _occupied(n_core: int, n_active: int, n: int) -> list[list[int]]:
    """Return core and occupied active orbitals of each string of n electrons, in PySCF's order."""
    strings = pyscf.fci.cistring.make_strings(range(n_active), n)
    active = [[n_core + k for k in range(n_active) if int(s) >> k & 1] for s in strings]
    return [[*range(n_core), *orbitals] for orbitals in active]


def _largest(coefficients: np.ndarray, most: int) -> list[tuple[int, int, float]]:
    """Return strings and coefficients of the largest determinants, each mirror pair once.

    A determinant that is its own mirror image gets half of its coefficient, since it occurs twice.
    """
    square = coefficients.shape[0] == coefficients.shape[1]
    # Rounded, so that equal coefficients have the same order on every machine.
    order = np.argsort(-np.abs(coefficients).round(6), axis=None, kind="stable")
    smallest = SMALLEST_WEIGHT * np.abs(coefficients).max()
    determinants: list[tuple[int, int, float]] = []
    for i, j in zip(*np.unravel_index(order, coefficients.shape), strict=True):
        coefficient = float(coefficients[i, j])
        if len(determinants) == most or abs(coefficient) < smallest:
            break
        if not square or i <= j:
            half = square and i == j
            determinants.append((int(i), int(j), coefficient / 2 if half else coefficient))
    return determinants
