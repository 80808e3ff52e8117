"""Checks of a molecule's geometry, electrons and name; each raises InputError."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ferminet.errors import InputError
from ferminet.systems.elements import COVALENT_RADIUS_ANGSTROM, NUCLEAR_CHARGE, atom_and_charge
from ferminet.units import ANGSTROM_PER_BOHR

LARGEST_COORDINATE = 1000.0  # bohr; float32 resolves 6e-5 bohr there
# Nuclei nearer than this times the sum of their covalent radii are refused. Chosen so that each
# reference geometry passes and each of them with angstrom read as bohr does not.
CLOSEST_RATIO = 0.57
# Beyond this ratio every bond is stretched: legitimate, but also what bohr read as angstrom gives.
STRETCHED_RATIO = 1.45
# Below this ratio a bond is compressed, as that of H2 is with angstrom read as bohr.
COMPRESSED_RATIO = 0.7


class _Pair(NamedTuple):
    first: int
    second: int
    distance: float  # bohr
    ratio: float  # of the distance to the sum of the covalent radii


def count_nuclei(number: int) -> str:
    """Return "1 nucleus", "2 nuclei", ..."""
    return f"{number} {'nucleus' if number == 1 else 'nuclei'}"


def _closest_pair(symbols: Sequence[str], coords: np.ndarray) -> _Pair:
    """Return the pair with the smallest ratio; a lone nucleus has none, and the ratio is 1."""
    if len(symbols) < 2:
        return _Pair(0, 0, np.inf, 1.0)
    radii = np.array([COVALENT_RADIUS_ANGSTROM[symbol] for symbol in symbols]) / ANGSTROM_PER_BOHR
    first, second = np.triu_indices(len(symbols), k=1)
    distances = np.linalg.norm(coords[first] - coords[second], axis=-1)
    ratios = distances / (radii[first] + radii[second])
    best = int(np.argmin(ratios))
    return _Pair(int(first[best]), int(second[best]), float(distances[best]), float(ratios[best]))


def check_distances(symbols: Sequence[str], coords: np.ndarray) -> None:
    """Refuse nuclei that coincide or are too close (coords (n_nuclei, 3) in bohr)."""
    pair = _closest_pair(symbols, coords)
    if pair.ratio >= CLOSEST_RATIO:
        return
    names = (
        f"nuclei {pair.first + 1} ({symbols[pair.first]}) and {pair.second + 1} "
        f"({symbols[pair.second]})"
    )
    if pair.distance < 1e-3:
        raise InputError(f"{names} coincide: {pair.distance:.3g} bohr apart; remove one of them.")
    raise InputError(
        f"{names} are {pair.distance:.3f} bohr ({pair.distance * ANGSTROM_PER_BOHR:.3f} angstrom) "
        f"apart, nearer than {pair.distance / pair.ratio * CLOSEST_RATIO:.3f} bohr (0.57 x the sum "
        "of their covalent radii); are the coordinates in angstrom but read as bohr? If the "
        "geometry is meant, set allow_close: true."
    )


def doubt_unit(symbols: Sequence[str], coords: np.ndarray) -> str:
    """Return which mistake of the unit the distances may come from, "" if none (coords in bohr)."""
    pair = _closest_pair(symbols, coords)
    if COMPRESSED_RATIO <= pair.ratio <= STRETCHED_RATIO:
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
    """Refuse nuclei so far from the origin (bohr) that single precision loses digits."""
    largest = float(np.max(np.abs(coords)))
    if largest > LARGEST_COORDINATE:
        raise InputError(
            f"a coordinate of {largest:.6g} bohr is beyond {LARGEST_COORDINATE:.0f} bohr, where "
            "single precision rounds too much away; move the molecule to the origin."
        )


def check_electrons(symbols: Sequence[str], charge: int, unpaired_electrons: int) -> None:
    """Refuse impossible numbers of electrons or of unpaired electrons.

    An anion must have fewer electrons than twice the nuclear charge plus the number of nuclei:
    others do not exist (E. H. Lieb, Phys. Rev. A 29, 3018 (1984)).
    """
    total = sum(NUCLEAR_CHARGE[symbol] for symbol in symbols)
    electrons = total - charge
    most = 2 * total + len(symbols) - 1
    if electrons <= 0:
        raise InputError(
            f"charge {charge} leaves {electrons} electrons of {total}; the charge must be at most "
            f"{total - 1}."
        )
    if electrons > most:
        raise InputError(
            f"charge {charge} makes {electrons} electrons, but these nuclei bind at most {most}; "
            f"the charge must be at least {total - most}."
        )
    allowed = range(electrons % 2, electrons + 1, 2)
    if unpaired_electrons not in allowed:
        values = [str(number) for number in allowed]
        if len(values) > 6:
            values = [*values[:4], "...", values[-1]]
        raise InputError(
            f"unpaired_electrons {unpaired_electrons} is impossible with {electrons} electrons "
            f"(charge {charge}); allowed are {', '.join(values)}."
        )


def check_name(name: str, symbol: str, charge: int) -> None:
    """Refuse an atom or ion under the name of another one, by which tables would show it."""
    named = atom_and_charge(name)
    if named not in (None, (symbol, charge)):
        right = symbol + ("+" if charge > 0 else "-") * abs(charge)
        raise InputError(
            f"the name {name} is that of {named[0]} with charge {named[1]}, but this is {symbol} "
            f"with charge {charge}; rename it, to {right} or to what is no element's name."
        )


def refuse_spin_keys(content: Mapping[str, Any]) -> None:
    """Refuse `spin` and `multiplicity`, which programs understand differently."""
    for key in ("multiplicity", "spin"):
        value = content.get(key, 1)
        if not isinstance(value, int | float):
            hint = "N_up - N_down"
        elif key == "multiplicity":
            hint = f"{max(value - 1, 0):g} (N_up - N_down = multiplicity - 1)"
        elif isinstance(value, int):
            hint = f"{value} if it is N_up - N_down (as in PySCF), {2 * value} if it is S"
        else:
            hint = f"{2 * value:g} (N_up - N_down = 2 S)"
        if key in content:
            raise InputError(f"{key}: {value} is not accepted; write unpaired_electrons: {hint}.")
