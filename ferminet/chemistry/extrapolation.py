"""Extrapolation of energies to the basis-set limit; all energies are in hartree.

X is the cardinal number of a correlation-consistent basis set: 2 for double-zeta, 5 for quintuple.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

# The best exponents for CCSD(T) from pairs of small basis sets scatter between 3.0 and 3.6. With
# only two sets, the uncertainty is the change of the limit from exponent 3 to 3.3. Judged by larger
# sets, it behaves like a standard deviation (docs/explanation/baselines.md).
_EXPONENT, _UNCERTAIN_EXPONENT = 3.0, 3.3


class Limit(NamedTuple):
    """A limit in hartree, its uncertainty from the same data, and its formula as text."""

    energy: float
    uncertainty: float
    formula: str


def three_point_exponential(small: float, middle: float, large: float) -> float:
    """Return the limit of E(X) = a + b exp(-c X) through E(X - 2), E(X - 1) and E(X).

    Feller, J. Chem. Phys. 96, 6104 (1992). The limit is NaN if the increments do not shrink;
    increments of less than 1e-9 hartree count as converged.
    """
    first, second = middle - small, large - middle
    if abs(second) < 1e-9:
        return large
    if first == 0.0 or not 0.0 < second / first < 1.0:
        return math.nan
    return large + second**2 / (first - second)


def karton_martin(x: int, smaller: float, larger: float) -> float:
    """Return the limit of E(X) = E + A (X + 1) exp(-9 sqrt X) through X - 1 and X.

    Karton, Martin, Theor. Chem. Acc. 115, 330 (2006); it is meant for X = 5 and above.
    """
    return _two_point(x, smaller, larger, lambda n: (n + 1) * math.exp(-9.0 * math.sqrt(n)))


def two_point_exponential(x: int, smaller: float, larger: float) -> float:
    """Return the limit of E(X) = E + A exp(-1.63 X) through X - 1 and X.

    Halkier, Helgaker, Jorgensen, Klopper, Olsen, Chem. Phys. Lett. 302, 437 (1999).
    """
    return _two_point(x, smaller, larger, lambda n: math.exp(-1.63 * n))


def inverse_power(x: int, smaller: float, larger: float, exponent: float = _EXPONENT) -> float:
    """Return the limit of a correlation energy E(X) = E + A / X^3 through X - 1 and X.

    Helgaker, Klopper, Koch, Noga, J. Chem. Phys. 106, 9639 (1997).
    """
    return _two_point(x, smaller, larger, lambda n: float(n) ** -exponent)


def _two_point(x: int, smaller: float, larger: float, error: Callable[[int], float]) -> float:
    """Return E of E(X) = E + A error(X)."""
    return larger + (larger - smaller) * error(x) / (error(x - 1) - error(x))


def hartree_fock_limit(energies: Mapping[int, float]) -> Limit:
    """Return the paper's limit of Hartree-Fock energies, given by successive cardinal numbers.

    It is the three-point exponential, or the two-point one where there are only two energies. The
    uncertainty is the distance to the formula of Karton and Martin.
    """
    x = max(energies)
    value, formula = math.nan, f"a + b exp(-c X), X = {x - 2}, {x - 1}, {x}"
    if len(energies) > 2:
        value = three_point_exponential(energies[x - 2], energies[x - 1], energies[x])
    if math.isnan(value):
        value = two_point_exponential(x, energies[x - 1], energies[x])
        formula = f"E + A exp(-1.63 X), X = {x - 1}, {x}"
    return Limit(value, abs(value - karton_martin(x, energies[x - 1], energies[x])), formula)


def best_hartree_fock_limit(energies: Mapping[int, float]) -> Limit:
    """Return a limit that does not overshoot: from X = 5 on, that of Karton and Martin.

    For neon it is 0.2 mEh above the numerical limit, the three-point exponential 0.8 mEh below; for
    helium it is 0.04 mEh above, the exponential 0.01 mEh. For X = 4 and below it would be up to
    2.7 mEh too high, so the two-point exponential is used. The uncertainty is the largest distance
    to the other formulas.
    """
    x = max(energies)
    martin = karton_martin(x, energies[x - 1], energies[x])
    exponential = two_point_exponential(x, energies[x - 1], energies[x])
    distance = abs(martin - exponential)
    if x < 5:
        return Limit(exponential, distance, f"E + A exp(-1.63 X), X = {x - 1}, {x}")
    distance = max(distance, abs(martin - hartree_fock_limit(energies).energy))
    return Limit(martin, distance, f"E + A (X + 1) exp(-9 sqrt(X)), X = {x - 1}, {x}")


def correlation_limit(energies: Mapping[int, float]) -> Limit:
    """Return the limit of correlation energies by X^-3 from the two largest cardinal numbers.

    The uncertainty is the distance to the limit from the previous pair, if there is one, otherwise
    to the limit with the exponent 3.3.
    """
    x = max(energies)
    value = inverse_power(x, energies[x - 1], energies[x])
    other = inverse_power(x, energies[x - 1], energies[x], _UNCERTAIN_EXPONENT)
    if x - 2 in energies:
        other = inverse_power(x - 1, energies[x - 2], energies[x - 1])
    return Limit(value, abs(value - other), f"E + A / X^3, X = {x - 1}, {x}")
