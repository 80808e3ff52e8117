"""Differences between energies, and numbers and names as text."""

import math

from ferminet.benchmark.references import Reference
from ferminet.units import MEH_PER_HARTREE

_MOST_DECIMALS = 8


def difference_meh(energy: float, error: float | None, reference: Reference) -> tuple[float, float]:
    """Return an energy minus a reference and the standard error from both, in mEh.

    The energy and its error are in hartree; an error of None counts as zero.
    """
    both = math.hypot(error or 0.0, reference.uncertainty or 0.0)
    return MEH_PER_HARTREE * (energy - reference.energy), MEH_PER_HARTREE * both


def geometry_name(system: str, geometry: str, separator: str = " ") -> str:
    """Return the name of a system, with its geometry unless it is the equilibrium.

    >>> geometry_name("LiH", "eq"), geometry_name("H4", "a90")
    ('LiH', 'H4 a90')
    """
    return system if geometry == "eq" else f"{system}{separator}{geometry}"


def count(number: int, word: str, plural: str = "") -> str:
    """Return a number with its word in the singular or plural.

    >>> count(1, "run"), count(2, "run"), count(2, "energy", "energies")
    ('1 run', '2 runs', '2 energies')
    """
    return f"{number} {word if number == 1 else plural or word + 's'}"


def format_value(value: float, error: float | None = None, decimals: int = 6) -> str:
    """Write a number with its standard error in units of the last digit: -8.07051(4).

    The error has one significant digit; if it is None or zero, the number has `decimals` digits
    after the point. The minus sign is that of ASCII.
    """
    if error is None or not 0.0 < error < math.inf:
        return signed(value, decimals)
    places = -math.floor(math.log10(error))
    if round(error * 10.0**places) == 10:  # 0.0096 is shown as 0.01
        places -= 1
    if places <= 0:
        return f"{signed(value, 0)}({error:.0f})"
    places = min(places, _MOST_DECIMALS)
    # An error below the last digit counts as one unit of it, so it is never understated.
    return f"{signed(value, places)}({max(round(error * 10.0**places), 1)})"


def signed(value: float, places: int) -> str:
    """Write a number; zero has no minus sign."""
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0.0 else text
