"""PySCF's molecules and basis sets, and their orbitals as arrays for JAX."""

import re
import warnings
from typing import Any

import numpy as np
import pyscf.gto
import pyscf.lib
from pyscf.lib.exceptions import BasisNotFoundError

from ferminet.chemistry.basis_sets import basis_of
from ferminet.chemistry.gto import MAX_ANGULAR_MOMENTUM, GtoBasis, Shells
from ferminet.errors import InputError
from ferminet.systems.molecule import Molecule


def build_mol(molecule: Molecule, basis: str) -> pyscf.gto.Mole:
    """Return PySCF's molecule: bohr, no point-group symmetry, silent.

    Symmetry is off on purpose: for a square of hydrogens PySCF's symmetry labels pin full CI to an
    excited state, which it reports as converged. For hydrogen and helium see `basis_of`.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w+*()\-]{0,40}", basis):  # a path would be read
        raise InputError(f"a basis must be a name such as cc-pvdz, got {basis!r}.")
    mol = pyscf.gto.Mole()
    mol.atom = list(zip(molecule.symbols, molecule.coords.tolist(), strict=True))
    mol.unit = "Bohr"
    mol.basis = {symbol: _load_basis(symbol, basis) for symbol in set(molecule.symbols)}
    mol.charge = molecule.charge
    mol.spin = molecule.unpaired_electrons
    mol.symmetry = False
    mol.verbose = 0
    mol.max_memory = pyscf.lib.param.MAX_MEMORY
    mol.build(dump_input=False, parse_arg=False)
    if mol.nao < max(molecule.spins):
        raise InputError(
            f"the basis {basis!r} has {mol.nao} functions for {max(molecule.spins)} electrons of "
            "one spin; use a larger one."
        )
    return mol


def _load_basis(symbol: str, basis: str) -> Any:
    basis = basis_of(symbol, basis)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pyscf.gto.basis.load(basis, symbol)
    except (BasisNotFoundError, KeyError, ValueError, OSError) as error:
        raise InputError(f"PySCF has no basis {basis!r} for {symbol}; use another one.") from error


def gto_basis(mol: pyscf.gto.Mole) -> GtoBasis:
    """Return the atomic orbitals of a PySCF molecule for `eval_gto`; none may be beyond g."""
    momenta = [int(mol.bas_angular(i)) for i in range(mol.nbas)]
    if max(momenta) > MAX_ANGULAR_MOMENTUM:
        raise InputError(
            f"orbitals can be evaluated up to l = {MAX_ANGULAR_MOMENTUM}, this basis has l = "
            f"{max(momenta)}; use a smaller basis."
        )
    shells: dict[int, Shells] = {}
    order = np.zeros(mol.nao, dtype=np.int32)
    offset = 0
    first = mol.ao_loc_nr()
    for momentum in sorted(set(momenta)):
        members = [i for i in range(mol.nbas) if momenta[i] == momentum]
        n_prim = max(int(mol.bas_nprim(i)) for i in members)
        n_ctr = max(int(mol.bas_nctr(i)) for i in members)
        exponents = np.zeros((len(members), n_prim))
        coefficients = np.zeros((len(members), n_prim, n_ctr))
        size = 2 * momentum + 1
        for row, i in enumerate(members):
            table = mol._libcint_ctr_coeff(i)  # with the radial normalisation
            exponents[row, : table.shape[0]] = mol.bas_exp(i)
            coefficients[row, : table.shape[0], : table.shape[1]] = table
            span = table.shape[1] * size
            order[first[i] : first[i] + span] = offset + row * n_ctr * size + np.arange(span)
        centres = np.array([mol.bas_atom(i) for i in members], dtype=np.int32)
        shells[momentum] = Shells(exponents, coefficients, centres)
        offset += len(members) * n_ctr * size
    return GtoBasis(shells, order)
