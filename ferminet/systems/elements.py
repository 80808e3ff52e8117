"""The chemical elements that can be computed: symbols, nuclear charges, covalent radii."""

import re
from collections.abc import Iterable

from ferminet.errors import InputError
from ferminet.systems.validation import nearest

# Covalent radii in angstrom, H to Xe in order of nuclear charge. Source: B. Cordero et al., Dalton
# Trans. 2008, 2832; carbon as sp3, low spin for Mn, Fe and Co.
_RADII = """
H 0.31 He 0.28
Li 1.28 Be 0.96 B 0.84 C 0.76 N 0.71 O 0.66 F 0.57 Ne 0.58
Na 1.66 Mg 1.41 Al 1.21 Si 1.11 P 1.07 S 1.05 Cl 1.02 Ar 1.06
K 2.03 Ca 1.76 Sc 1.70 Ti 1.60 V 1.53 Cr 1.39 Mn 1.39 Fe 1.32 Co 1.26 Ni 1.24 Cu 1.32 Zn 1.22
Ga 1.22 Ge 1.20 As 1.19 Se 1.20 Br 1.20 Kr 1.16
Rb 2.20 Sr 1.95 Y 1.90 Zr 1.75 Nb 1.64 Mo 1.54 Tc 1.47 Ru 1.46 Rh 1.42 Pd 1.39 Ag 1.45 Cd 1.44
In 1.42 Sn 1.39 Sb 1.39 Te 1.38 I 1.39 Xe 1.40
""".split()

SYMBOLS: tuple[str, ...] = tuple(_RADII[0::2])
COVALENT_RADIUS_ANGSTROM: dict[str, float] = dict(
    zip(SYMBOLS, map(float, _RADII[1::2]), strict=True)
)
NUCLEAR_CHARGE: dict[str, int] = {symbol: charge for charge, symbol in enumerate(SYMBOLS, start=1)}

_ISOTOPES = {"D": "H", "T": "H"}
_GHOSTS = ("X", "Xx", "Bq", "Gh", "Ghost", "Du", "Q")


def normalise_symbol(text: object) -> str:
    """Return the symbol of an element in its usual spelling, a key of `NUCLEAR_CHARGE`.

    Case and surrounding blanks do not matter: `li` and `LI` are `Li`. InputError reports anything
    but an element from H to Xe: atomic numbers, isotopes and ghost atoms too.
    """
    if isinstance(text, bool) or not isinstance(text, int | str):
        raise InputError(
            f"{text!r} is not an element; write its symbol, in quotes if YAML reads it otherwise."
        )
    text = str(text).strip()
    symbol = text.capitalize()
    if symbol in NUCLEAR_CHARGE:
        return symbol
    if re.fullmatch(r"-?\d{1,9}", symbol):
        in_range = 1 <= int(symbol) <= len(SYMBOLS)
        remedy = SYMBOLS[int(symbol) - 1] if in_range else "its symbol"
        problem = f"the element {symbol} is given by its number; write {remedy} instead."
    elif symbol in _ISOTOPES:
        problem = f"{text!r} is an isotope; nuclei do not move here, so write {_ISOTOPES[symbol]}."
    elif symbol.split("-")[0] in _GHOSTS:
        problem = f"{text!r} is a ghost or dummy atom, which a total energy cannot have; remove it."
    else:
        hint = nearest(symbol, SYMBOLS, otherwise="elements are H to Xe.", cutoff=0.4)
        problem = f"unknown element {text!r}; {hint}"
    raise InputError(problem)


def atom_and_charge(name: str) -> tuple[str, int] | None:
    """Return element and charge from a name such as Li, Be++ or F-; None if it is not an atom's."""
    match = re.fullmatch(r"([A-Z][a-z]?)(\+*|-*)", name)
    if match is None or match[1] not in NUCLEAR_CHARGE:
        return None
    return match[1], len(match[2]) * (-1 if "-" in match[2] else 1)


def is_ion(name: str) -> bool:
    """Whether a name is that of an atom's ion."""
    return (atom_and_charge(name) or ("", 0))[1] != 0


def is_s_state(n_electrons: int) -> bool:
    """Whether the ground state of an atom or ion has L = 0, up to 18 electrons.

    By Hund's rules this holds if every subshell is empty, half full or full.
    """
    return n_electrons in (1, 2, 3, 4, 7, 10, 11, 12, 15, 18)


def ionisation_pairs(names: Iterable[str]) -> dict[str, str]:
    """Return for each ion its neighbour, the species of one charge less: Be+ for Be++, F for F-.

    The energies of the two give an ionisation potential or an electron affinity.
    """
    return {name: name[:-1] for name in names if is_ion(name)}


def has_ionisation(names: Iterable[str]) -> bool:
    """Whether there is an ion together with its neighbour of `ionisation_pairs`."""
    species = set(names)
    return not species.isdisjoint(ionisation_pairs(species).values())
