"""Protocols: the basis sets that a basis-set limit is extrapolated from, by name.

`paper` is the protocol of the published limits, as far as the numbers reveal it: Hartree-Fock by a
three-point exponential over X = 3, 4, 5, correlation by X^-3 over X = 4, 5, augmented core-valence
sets. `small` takes a tenth of the time, suits two cores, and agrees with `paper` within 2 mEh
(docs/explanation/baselines.md). All electrons are correlated.
"""

from dataclasses import dataclass

from ferminet.chemistry.basis_sets import count_functions, has_basis
from ferminet.errors import InputError
from ferminet.methods import PROTOCOLS, ScfReference
from ferminet.systems.elements import SYMBOLS
from ferminet.systems.molecule import Molecule

_LETTERS = {2: "d", 3: "t", 4: "q", 5: "5"}
_COVERED = SYMBOLS[:10]  # H to Ne
_SMALL_ELECTRONS = 14  # the most that `small` correlates in quadruple-zeta
# The most that `paper` correlates: beyond, PySCF would need more than a terabyte of scratch.
_MOST_FUNCTIONS = 700


@dataclass(frozen=True)
class Members:
    """The calculations behind a limit: basis sets by cardinal number."""

    scf_reference: ScfReference  # rhf for closed shells, uhf for open ones
    hartree_fock: dict[int, str]
    correlation: dict[int, str]


def protocol_members(protocol: str, molecule: Molecule) -> Members:
    """Return the members of a molecule's limit.

    Raises:
        InputError: the protocol is unknown, or has no basis sets for an element.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}.")
    hartree_fock, correlation = (_paper if protocol == "paper" else _small)(molecule)
    for symbol in molecule.symbols:
        if symbol not in _COVERED:
            raise InputError(
                f"the protocols of basis-set limits cover H to Ne, got {symbol} ({molecule.name})."
            )
        for basis in (*hartree_fock.values(), *correlation.values()):
            if not has_basis(symbol, basis):
                raise InputError(
                    f"the protocol {protocol} needs {basis}, which has no functions for {symbol} "
                    f"({molecule.name})."
                )
    return Members("uhf" if molecule.unpaired_electrons else "rhf", hartree_fock, correlation)


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
    if _without_core(molecule):
        return _sets("aug-cc-pv", 3, 4, 5), _sets("aug-cc-pv", 3, 4)
    if len(molecule.symbols) == 1:
        core = _has_quintuple(molecule, "aug-cc-pcv")
        # Without unpaired electrons quintuple-zeta takes minutes, not a quarter of an hour. The
        # element decides, not the electrons: an ion uses its atom's sets, so that errors cancel.
        cardinals = (3, 4, 5) if molecule.symbols[0] == "Ne" else (3, 4)
        family = "aug-cc-pcv" if core else "aug-cc-pv"
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
