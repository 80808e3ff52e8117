"""Basis-set limits: models that are solved exactly, and numbers that were published or measured."""

import math

import pytest

from ferminet.chemistry.extrapolation import (
    best_hartree_fock_limit,
    correlation_limit,
    hartree_fock_limit,
    inverse_power,
    karton_martin,
    three_point_exponential,
    two_point_exponential,
)

# Neon in aug-cc-pCVXZ, X = 3, 4, 5: RHF and CCSD(T) of PySCF 2.14, hartree.
NEON_HF = {3: -128.533390, 4: -128.543853, 5: -128.546786}
NEON_CORRELATION = {
    3: -128.878302 - NEON_HF[3],
    4: -128.916033 - NEON_HF[4],
    5: -128.928397 - NEON_HF[5],
}
NEON_NUMERICAL_HF = -128.547098


def test_each_formula_returns_the_limit_of_its_own_model():
    def at(error):
        return [-1.5 + 0.7 * error(x) for x in (3, 4, 5)]

    exponential = at(lambda x: math.exp(-1.2 * x))
    assert three_point_exponential(*exponential) == pytest.approx(-1.5, abs=1e-12)
    assert two_point_exponential(5, *at(lambda x: math.exp(-1.63 * x))[1:]) == pytest.approx(-1.5)
    martin = at(lambda x: (x + 1) * math.exp(-9 * math.sqrt(x)))
    assert karton_martin(5, *martin[1:]) == pytest.approx(-1.5, abs=1e-12)
    for exponent in (3.0, 3.3):
        energies = at(lambda x, power=exponent: x**-power)
        assert inverse_power(5, *energies[1:], exponent) == pytest.approx(-1.5, abs=1e-12)


def test_the_paper_protocol_gives_the_published_limit_of_neon():
    hartree_fock = hartree_fock_limit(NEON_HF)
    correlation = correlation_limit(NEON_CORRELATION)
    assert hartree_fock.energy == pytest.approx(-128.5479, abs=5e-5)
    assert hartree_fock.energy + correlation.energy == pytest.approx(-128.9394, abs=1e-4)
    assert hartree_fock.formula.startswith("a + b exp")
    assert correlation.formula.endswith("X = 4, 5")


def test_neons_best_limit_is_nearer_to_numerical_hartree_fock_and_covers_it():
    paper, best = hartree_fock_limit(NEON_HF), best_hartree_fock_limit(NEON_HF)
    assert paper.energy < NEON_NUMERICAL_HF - 7e-4
    assert abs(best.energy - NEON_NUMERICAL_HF) < min(3e-4, best.uncertainty)
    assert best.uncertainty == pytest.approx(best.energy - paper.energy)  # the farther formula
    assert abs(paper.energy - NEON_NUMERICAL_HF) < 2 * paper.uncertainty


def test_two_basis_sets_have_a_two_point_limit():
    two = {3: NEON_HF[3], 4: NEON_HF[4]}
    limit = hartree_fock_limit(two)
    assert limit.energy == two_point_exponential(4, *two.values())
    assert limit == best_hartree_fock_limit(two)
    assert limit.uncertainty == pytest.approx(abs(limit.energy - karton_martin(4, *two.values())))


def test_uncertainty_of_a_correlation_limit_comes_from_its_own_data():
    three = correlation_limit(NEON_CORRELATION)
    previous = inverse_power(4, NEON_CORRELATION[3], NEON_CORRELATION[4])
    assert three.uncertainty == pytest.approx(abs(three.energy - previous))
    two = correlation_limit({3: NEON_CORRELATION[3], 4: NEON_CORRELATION[4]})
    # It covers what quintuple-zeta then gives.
    assert abs(two.energy - three.energy) < two.uncertainty < 5e-3


@pytest.mark.parametrize(
    "energies",
    [
        pytest.param((-1.0, -1.1, -1.3), id="growing"),
        pytest.param((-1.0, -1.1, -1.05), id="turning"),
        pytest.param((-1.0, -1.0, -1.1), id="late"),
    ],
)
def test_increments_that_do_not_shrink_have_no_exponential_limit(energies):
    assert math.isnan(three_point_exponential(*energies))
    limit = hartree_fock_limit(dict(zip((3, 4, 5), energies, strict=True)))
    assert math.isfinite(limit.energy) and limit.formula.startswith("E + A exp")


def test_converged_energies_are_their_own_limit():
    limit = hartree_fock_limit({3: -0.499995, 4: -0.5, 5: -0.5})
    assert limit.energy == -0.5
