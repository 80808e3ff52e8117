"""Gaussian basis sets by name, and the protocols of basis-set limits that choose them.

The data come from the Basis Set Exchange, not from PySCF, so that costs are known before a job
starts. Its import takes a third of a second, so it is postponed until it is needed.

`paper` is the protocol of the published limits, as far as the numbers reveal it: Hartree-Fock by a
three-point exponential over X = 3, 4, 5, correlation by X^-3 over X = 4, 5, augmented core-valence
sets. `small` takes a tenth of the time, suits two cores, and agrees with `paper` within 2 mEh
(docs/explanation/baselines.md). All electrons are correlated.
"""

import re
from functools import cache
from typing import NamedTuple

from ferminet.errors import InputError
from ferminet.methods import Protocol, ScfReference
from ferminet.systems.elements import NUCLEAR_CHARGE, SYMBOLS
from ferminet.systems.molecule import Molecule
from ferminet.systems.validation import nearest

_LETTERS = {2: "d", 3: "t", 4: "q", 5: "5"}
_COVERED = SYMBOLS[:10]  # H to Ne
_SMALL_ELECTRONS = 14  # the most that `small` correlates in quadruple-zeta
# The most that `paper` correlates: beyond, PySCF would need more than a terabyte of scratch.
_MOST_FUNCTIONS = 700


@cache
def _metadata() -> dict[str, dict]:
    import basis_set_exchange

    return basis_set_exchange.get_metadata()


def _entry(basis: str) -> dict | None:
    """Return the exchange's entry for a basis set; its key there is e.g. 6-31g_st_ for 6-31g*."""
    import basis_set_exchange.misc

    return _metadata().get(basis_set_exchange.misc.transform_basis_name(basis))


def check_basis(basis: str, where: str) -> None:
    """Refuse an unknown basis set of a study, at the key `where`, before any job starts."""
    if _entry(basis) is None:
        form = "write it as its web page does, e.g. aug-cc-pvtz."
        hint = nearest(basis, _metadata(), otherwise=form)
        raise InputError(
            f"{where} is {basis!r}, which the Basis Set Exchange does not have; {hint}"
        )


def basis_of(symbol: str, basis: str) -> str:
    """Return the basis set of one element in a molecule.

    Hydrogen and helium have no core to correlate: instead of a core-valence set (cc-pCVXZ,
    cc-pwCVXZ) they get the valence set of the same quality (cc-pVXZ), as in the paper.
    """
    if symbol not in ("H", "He"):
        return basis
    return re.sub(r"(?i)^((?:aug-)?cc-p)w?cv(?=[dtq56]z$)", r"\1v", basis)


def has_basis(symbol: str, basis: str) -> bool:
    """Return whether a basis set has functions for an element."""
    entry = _entry(basis_of(symbol, basis))
    if entry is None:
        return False
    return str(NUCLEAR_CHARGE[symbol]) in entry["versions"][entry["latest_version"]]["elements"]


def count_functions(symbols: tuple[str, ...], basis: str) -> int:
    """Count the spherical basis functions of a molecule with these elements."""
    shells = (shell for symbol in symbols for shell in shells_of(symbol, basis))
    return sum((2 * shell.momentum + 1) * shell.contractions for shell in shells)


class Shell(NamedTuple):
    """A shell: its angular momentum and numbers of primitive and contracted functions."""

    momentum: int
    primitives: int
    contractions: int


@cache
def shells_of(symbol: str, basis: str) -> tuple[Shell, ...]:
    """Return the shells of an element, or raise an InputError if the basis has none."""
    import basis_set_exchange

    basis = basis_of(symbol, basis).lower()
    if not has_basis(symbol, basis):
        raise InputError(f"the basis {basis} has no functions for {symbol}; use another one.")
    charge = NUCLEAR_CHARGE[symbol]
    element = basis_set_exchange.get_basis(basis, elements=[charge])["elements"][str(charge)]
    shells = []
    for shell in element["electron_shells"]:
        momenta, primitives = shell["angular_momentum"], len(shell["exponents"])
        # Shells that share their exponents have one contraction each.
        contractions = len(shell["coefficients"]) if len(momenta) == 1 else 1
        shells += [Shell(momentum, primitives, contractions) for momentum in momenta]
    return tuple(shells)


class Members(NamedTuple):
    """The calculations behind a limit: basis sets by cardinal number."""

    scf_reference: ScfReference  # rhf for closed shells, uhf for open ones
    hartree_fock: dict[int, str]
    correlation: dict[int, str]


def protocol_members(protocol: Protocol, molecule: Molecule) -> Members:
    """Return the members of a molecule's limit; InputError if an element has no basis sets."""
    for symbol in molecule.symbols:
        if symbol not in _COVERED:
            raise InputError(
                f"the protocols of basis-set limits cover H to Ne, got {symbol} ({molecule.name})."
            )
    members = _paper(molecule) if protocol == "paper" else _small(molecule)
    return Members("uhf" if molecule.unpaired_electrons else "rhf", *members)


def _paper(molecule: Molecule) -> tuple[dict[int, str], dict[int, str]]:
    """Return the basis sets of Hartree-Fock and of correlation."""
    family = "aug-cc-pv" if _without_core(molecule) else "aug-cc-pcv"
    if not _has_quintuple(molecule, family):
        # No core-valence set of quintuple quality exists for Li and Be; Hartree-Fock needs none.
        return _sets("aug-cc-pv", 3, 4, 5), _sets(family, 3, 4)
    largest = _sets(family, 3, 4, 5)
    fits = count_functions(molecule.symbols, largest[5]) <= _MOST_FUNCTIONS
    return largest, largest if fits else _sets(family, 3, 4)


def _small(molecule: Molecule) -> tuple[dict[int, str], dict[int, str]]:
    """Return the basis sets of Hartree-Fock and of correlation."""
    if _without_core(molecule):
        return _sets("aug-cc-pv", 3, 4, 5), _sets("aug-cc-pv", 3, 4)
    if len(molecule.symbols) == 1:
        family = "aug-cc-pcv" if _has_quintuple(molecule, "aug-cc-pcv") else "aug-cc-pv"
        # Without unpaired electrons quintuple-zeta takes minutes, not a quarter of an hour. The
        # element decides, not the electrons: an ion uses its atom's sets, so that errors cancel.
        cardinals = (3, 4, 5) if molecule.symbols[0] == "Ne" else (3, 4)
        return _sets(family, 3, 4, 5), _sets("aug-cc-pcv", *cardinals)
    if molecule.n_electrons > _SMALL_ELECTRONS:
        return _sets("cc-pv", 2, 3, 4), _sets("cc-pcv", 2, 3)
    diffuse = molecule.n_electrons <= 4  # for LiH, whose bond is partly ionic
    return _sets("cc-pv", 3, 4, 5), _sets("aug-cc-pcv" if diffuse else "cc-pcv", 3, 4)


def _sets(family: str, *cardinals: int) -> dict[int, str]:
    return {x: f"{family}{_LETTERS[x]}z" for x in cardinals}


def _without_core(molecule: Molecule) -> bool:
    return set(molecule.symbols) <= {"H", "He"}


def _has_quintuple(molecule: Molecule, family: str) -> bool:
    return all(has_basis(symbol, f"{family}5z") for symbol in molecule.symbols)
