"""Sums of determinants against NumPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz.determinants import (
    determinant_values,
    scaled_determinants,
    sum_of_determinants,
)

RNG_SEED = 5


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(RNG_SEED).normal(size=shape)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7])
def test_slogdet_is_that_of_numpy(size):
    matrices = random(6, size, size)
    ours = scaled_determinants(jnp.asarray(matrices))
    expected_sign, expected = np.linalg.slogdet(matrices)
    np.testing.assert_array_equal(np.sign(ours.value), expected_sign)
    np.testing.assert_allclose(ours.log_magnitude(), expected, rtol=1e-10, atol=1e-12)
    assert len(set(expected_sign)) == 2  # both signs occur


def test_empty_determinant_is_one():
    for shape in ((4, 0, 0), (4, 0, 3)):
        empty = scaled_determinants(jnp.zeros(shape))
        np.testing.assert_array_equal(empty.value, np.ones(4))
        np.testing.assert_array_equal(empty.log_scale, np.zeros(4))


@pytest.mark.parametrize(("n_up", "n_down"), [(1, 0), (3, 0), (1, 1), (2, 1), (3, 3), (5, 2)])
def test_block_determinants_are_summed(n_up, n_down):
    up, down = random(4, n_up, n_up), random(4, n_down, n_down)
    psi = sum_of_determinants(jnp.asarray(up), jnp.asarray(down))
    expected = np.sum(np.linalg.det(up) * (np.linalg.det(down) if n_down else 1.0))
    assert float(psi.sign) == np.sign(expected)
    assert float(psi.logabs) == pytest.approx(np.log(abs(expected)), rel=1e-10)


@pytest.mark.parametrize(("n_up", "n_down"), [(2, 1), (2, 2), (4, 2), (2, 0)])
def test_full_determinants_are_summed(n_up, n_down):
    matrices = random(4, n_up + n_down, n_up + n_down)
    psi = sum_of_determinants(jnp.asarray(matrices[:, :n_up]), jnp.asarray(matrices[:, n_up:]))
    expected = np.sum(np.linalg.det(matrices))
    assert float(psi.sign) == np.sign(expected)
    assert float(psi.logabs) == pytest.approx(np.log(abs(expected)), rel=1e-10)


@pytest.mark.parametrize("size", [1, 3, 6])
@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_scales_beyond_the_range_of_floats_change_only_the_logarithm(size, scale):
    up, down = random(3, size, size), random(3, 2, 2)
    psi = sum_of_determinants(jnp.asarray(up), jnp.asarray(down))
    scaled = sum_of_determinants(jnp.asarray(scale * up), jnp.asarray(scale * down))
    assert float(scaled.sign) == float(psi.sign)
    expected = float(psi.logabs) + (size + 2) * np.log(scale)
    assert float(scaled.logabs) == pytest.approx(expected, rel=1e-12)


def test_determinants_of_very_different_size_do_not_lose_the_large_one():
    up = np.stack([1e-120 * random(3, 3), 1e120 * random(3, 3)])
    psi = sum_of_determinants(jnp.asarray(up), jnp.zeros((2, 0, 0)))
    sign, logabs = np.linalg.slogdet(up[1])
    assert float(psi.sign) == sign
    assert float(psi.logabs) == pytest.approx(logabs, rel=1e-12)


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_a_vanishing_determinant_adds_nothing(size):
    up = random(2, size, size)
    up[0, 0] = 0.0
    psi = sum_of_determinants(jnp.asarray(up), jnp.zeros((2, 0, 0)))
    sign, logabs = np.linalg.slogdet(up[1])
    assert float(psi.sign) == sign
    assert float(psi.logabs) == pytest.approx(logabs, rel=1e-10)


@pytest.mark.parametrize("kind", ["all vanish", "cancel"])
def test_a_wavefunction_that_vanishes_is_zero_and_not_nan(kind):
    up = random(1, 3, 3).repeat(2, axis=0)
    if kind == "cancel":
        up[1, 0] *= -1.0
    else:
        up[:, 0] = 0.0
    psi = sum_of_determinants(jnp.asarray(up), jnp.zeros((2, 0, 0)))
    assert float(psi.logabs) == -np.inf
    assert float(psi.sign) == 0.0


def test_determinant_values_are_the_terms_of_the_sum():
    up, down = jnp.asarray(random(3, 2, 2)), jnp.asarray(random(3, 1, 1))
    ours = determinant_values(up, down)
    terms = np.linalg.det(up) * np.linalg.det(down)
    np.testing.assert_allclose(ours.value * jnp.exp(ours.log_scale), terms, rtol=1e-10)


@pytest.mark.parametrize("size", [2, 4, 5])
@pytest.mark.parametrize("line", ["row", "column"])
def test_the_gradient_is_finite_where_one_determinant_of_several_vanishes(size, line):
    # An electron far out: its orbitals in one determinant are 0 in single precision.
    up = random(2, size, size)
    up[0, *((0,) if line == "row" else (slice(None), 0))] = 0.0

    def logabs(matrices):
        return sum_of_determinants(matrices, jnp.zeros((2, 0, 0))).logabs

    gradient = np.asarray(jax.grad(logabs)(jnp.asarray(up)))
    # d log|D1 + D2| / d D2 = D2^-T at D1 = 0.
    np.testing.assert_allclose(gradient[1], np.linalg.inv(up[1]).T, rtol=1e-9)
    # And of the vanishing one its cofactors, divided by D2.
    step = 1e-3
    moved = up.copy()
    moved[0, 0, 0] += step
    expected = np.linalg.det(moved[0]) / (step * np.linalg.det(up[1]))
    assert gradient[0, 0, 0] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert np.all(np.isfinite(gradient))
