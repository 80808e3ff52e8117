"""Gaussian basis sets by name: which exist, for which elements, with how many functions.

The data come from the Basis Set Exchange, not from PySCF, so that costs are known before a job
starts. Its import takes a third of a second, so it is postponed until it is needed.
"""

import re
from functools import cache
from typing import NamedTuple

from ferminet.errors import InputError
from ferminet.systems.elements import NUCLEAR_CHARGE
from ferminet.systems.suggestions import nearest


@cache
def _metadata() -> dict[str, dict]:
    import basis_set_exchange

    return basis_set_exchange.get_metadata()


def _entry(basis: str) -> dict | None:
    """Return the exchange's entry for a basis set; its key there is e.g. 6-31g_st_ for 6-31g*."""
    import basis_set_exchange.misc

    return _metadata().get(basis_set_exchange.misc.transform_basis_name(basis))


def check_basis(basis: str, where: str) -> None:
    """Refuse an unknown basis set of a study, at the key `where`, before any job starts.

    Raises:
        InputError: the Basis Set Exchange has no basis set of that name.
    """
    if _entry(basis) is None:
        hint = nearest(basis, _metadata())
        if not hint.startswith("did"):  # a list of all 700 names would be too long
            hint = "write it as its web page does, e.g. aug-cc-pvtz."
        raise InputError(
            f"{where} is {basis!r}, which the Basis Set Exchange does not have; {hint}"
        )


def basis_of(symbol: str, basis: str) -> str:
    """Return the basis set of one element in a molecule.

    Hydrogen and helium have no core to correlate: instead of a core-valence set (cc-pCVXZ,
    cc-pwCVXZ) they get the valence set of the same quality (cc-pVXZ), as in the paper.

    >>> basis_of("H", "aug-cc-pcvtz"), basis_of("C", "aug-cc-pcvtz")
    ('aug-cc-pvtz', 'aug-cc-pcvtz')
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
    """Count the spherical basis functions of a molecule with these elements.

    Raises:
        InputError: the basis has no functions for one of the elements.
    """
    shells = (shell for symbol in symbols for shell in shells_of(symbol, basis))
    return sum((2 * shell.momentum + 1) * shell.contractions for shell in shells)


class Shell(NamedTuple):
    """A shell: its angular momentum and numbers of primitive and contracted functions."""

    momentum: int
    primitives: int
    contractions: int


@cache
def shells_of(symbol: str, basis: str) -> tuple[Shell, ...]:
    """Return the shells of an element.

    Raises:
        InputError: the basis has no functions for the element.
    """
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
