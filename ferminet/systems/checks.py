"""Checks of a molecule's geometry, electrons and name."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ferminet.errors import InputError
from ferminet.systems.elements import COVALENT_RADIUS_ANGSTROM, NUCLEAR_CHARGE, atom_and_charge
from ferminet.units import ANGSTROM_PER_BOHR

# Nuclei nearer than this times the sum of their covalent radii are refused. Chosen so that each
# reference geometry passes and each of them with angstrom read as bohr does not.
LARGEST_COORDINATE = 1000.0  # bohr; float32 resolves 6e-5 bohr there
CLOSEST_RATIO = 0.57
# Beyond this ratio every bond is stretched: legitimate, but also what bohr read as angstrom gives.
STRETCHED_RATIO = 1.45
# Below this ratio a bond is compressed, as that of H2 is with angstrom read as bohr.
COMPRESSED_RATIO = 0.7


class ClosestPair(NamedTuple):
    """The two nuclei that are nearest to each other, in units of their covalent radii.

    Attributes:
        first, second: indices, from 0.
        distance: in bohr.
        ratio: distance over the sum of the covalent radii.
    """

    first: int
    second: int
    distance: float
    ratio: float


def count_nuclei(number: int) -> str:
    """Return "1 nucleus", "2 nuclei", ..."""
    return f"{number} {'nucleus' if number == 1 else 'nuclei'}"


def closest_pair(symbols: Sequence[str], coords: np.ndarray) -> ClosestPair | None:
    """Find the pair with the smallest ratio of distance (bohr) to covalent radii.

    Args:
        symbols: (n_nuclei,).
        coords: (n_nuclei, 3) in bohr.

    Returns:
        The pair, or None for a single nucleus.
    """
    if len(symbols) < 2:
        return None
    radii = np.array([COVALENT_RADIUS_ANGSTROM[symbol] for symbol in symbols]) / ANGSTROM_PER_BOHR
    first, second = np.triu_indices(len(symbols), k=1)
    distances = np.linalg.norm(coords[first] - coords[second], axis=-1)
    ratios = distances / (radii[first] + radii[second])
    best = int(np.argmin(ratios))
    return ClosestPair(
        int(first[best]), int(second[best]), float(distances[best]), float(ratios[best])
    )


def check_distances(symbols: Sequence[str], coords: np.ndarray) -> None:
    """Refuse nuclei that coincide or are too close (coords (n_nuclei, 3) in bohr).

    Raises:
        InputError: a pair is nearer than 0.57 times the sum of its covalent radii.
    """
    pair = closest_pair(symbols, coords)
    if pair is None or pair.ratio >= CLOSEST_RATIO:
        return
    limit = pair.distance / pair.ratio * CLOSEST_RATIO if pair.ratio else 0.0
    names = (
        f"nuclei {pair.first + 1} ({symbols[pair.first]}) and {pair.second + 1} "
        f"({symbols[pair.second]})"
    )
    if pair.distance < 1e-3:
        raise InputError(f"{names} coincide: {pair.distance:.3g} bohr apart; remove one of them.")
    raise InputError(
        f"{names} are {pair.distance:.3f} bohr ({pair.distance * ANGSTROM_PER_BOHR:.3f} angstrom) "
        f"apart, nearer than {limit:.3f} bohr (0.57 x the sum of their covalent radii); are the "
        "coordinates in angstrom but read as bohr? If the geometry is meant, set allow_close: true."
    )


def doubt_unit(symbols: Sequence[str], coords: np.ndarray) -> str:
    """Return which mistake of the unit the distances may come from, "" if none (coords in bohr)."""
    pair = closest_pair(symbols, coords)
    if pair is None or COMPRESSED_RATIO <= pair.ratio <= STRETCHED_RATIO:
        return ""
    doubt = (
        "every bond is stretched: if that is not meant, bohr was read as angstrom"
        if pair.ratio > STRETCHED_RATIO
        else "a bond is compressed: if that is not meant, angstrom was read as bohr"
    )
    return (
        f"nearest {symbols[pair.first]}-{symbols[pair.second]} {pair.distance:.4f} bohr "
        f"({pair.distance * ANGSTROM_PER_BOHR:.4f} angstrom, {pair.ratio:.2f} x covalent radii); "
        f"{doubt}"
    )


def check_extent(coords: np.ndarray) -> None:
    """Refuse nuclei far from the origin (coords (n_nuclei, 3) in bohr).

    Raises:
        InputError: a coordinate is so large that single precision would round too much away.
    """
    largest = float(np.max(np.abs(coords)))
    if largest > LARGEST_COORDINATE:
        raise InputError(
            f"a coordinate of {largest:.6g} bohr is beyond {LARGEST_COORDINATE:.0f} bohr, where "
            "single precision rounds too much away; move the molecule to the origin."
        )


def check_electrons(symbols: Sequence[str], charge: int, unpaired_electrons: int) -> None:
    """Refuse a number of electrons or of unpaired electrons that cannot be.

    An anion must have fewer electrons than twice the nuclear charge plus the number of nuclei:
    others do not exist (E. H. Lieb, Phys. Rev. A 29, 3018 (1984)).

    Raises:
        InputError: there is no electron, there are more than any molecule binds, or
            `unpaired_electrons` has the wrong parity, is negative or exceeds the electrons.
    """
    total = sum(NUCLEAR_CHARGE[symbol] for symbol in symbols)
    electrons = total - charge
    if electrons <= 0:
        raise InputError(
            f"charge {charge} leaves {electrons} electrons of {total}; the charge must be at most "
            f"{total - 1}."
        )
    most = 2 * total + len(symbols) - 1
    if electrons > most:
        raise InputError(
            f"charge {charge} makes {electrons} electrons, but these nuclei bind at most {most}; "
            f"the charge must be at least {total - most}."
        )
    allowed = range(electrons % 2, electrons + 1, 2)
    if unpaired_electrons not in allowed:
        shown = [str(number) for number in allowed]
        if len(shown) > 6:
            shown = [*shown[:4], "...", shown[-1]]
        raise InputError(
            f"unpaired_electrons {unpaired_electrons} is impossible with {electrons} electrons "
            f"(charge {charge}); allowed are {', '.join(shown)}."
        )


def check_name(name: str, symbol: str, charge: int) -> None:
    """Refuse an atom or ion under the name of another one, which tables would believe.

    Raises:
        InputError: the name is that of an atom or ion, of another element or charge.
    """
    named = atom_and_charge(name)
    if named is None or named == (symbol, charge):
        return
    right = symbol + ("+" if charge > 0 else "-") * abs(charge)
    raise InputError(
        f"the name {name} is that of {named[0]} with charge {named[1]}, but this is {symbol} with "
        f"charge {charge}; rename it, to {right} or to what is no element's name."
    )


def refuse_spin_keys(content: Mapping[str, Any]) -> None:
    """Refuse `spin` and `multiplicity`, which programs understand differently.

    Raises:
        InputError: one of them is there; the sentence has the value of `unpaired_electrons`.
    """
    if "multiplicity" in content:
        value = content["multiplicity"]
        known = isinstance(value, int) and value >= 1
        meant = str(value - 1) if known else "multiplicity - 1"
        raise InputError(
            f"multiplicity: {value} is not accepted; write unpaired_electrons: {meant} "
            "(N_up - N_down = multiplicity - 1)."
        )
    if "spin" in content:
        value = content["spin"]
        twice = f"{2 * value:g}" if isinstance(value, int | float) else "2 S"
        if isinstance(value, int):
            meant = f"{value} if it is N_up - N_down (as in PySCF), {twice} if it is S"
        else:
            meant = f"{twice} (N_up - N_down = 2 S)"
        raise InputError(f"spin: {value} is not accepted; write unpaired_electrons: {meant}.")
