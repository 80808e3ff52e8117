"""Elimination of many small matrices against NumPy's, and where it could fail: singular ones."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz.elimination import (
    _by_columns,
    _by_complete_pivoting,
    determinants,
    eliminate,
    first_and_second_derivatives,
    in_blocks,
)
from tests.helpers.compilation import AS_USERS

SIZES = [1, 2, 5, 8, 15]
N_COORDINATES = 3


def random(size: int, batch: int = 6, seed: int = 1) -> np.ndarray:
    """Matrices, the last axis counting them."""
    return np.random.default_rng(seed).normal(size=(size, size, batch))


def singular(size: int, rank: int) -> np.ndarray:
    """Matrices of a given rank."""
    rng = np.random.default_rng(size + rank)
    return np.einsum("rkd,ckd->rcd", *rng.normal(size=(2, size, rank, 4)))


def unit(factors):
    """What determinants and their derivatives are multiples of, (batch,)."""
    return np.exp(np.asarray(factors.log_scale()))


def matrix(matrices: np.ndarray, index: int) -> np.ndarray:
    return np.asarray(matrices)[..., index]


@pytest.mark.parametrize("size", SIZES)
def test_determinants_are_those_of_numpy(size):
    matrices = random(size)
    expected = np.linalg.det(np.moveaxis(matrices, -1, 0))
    values, log_scale = jax.jit(determinants)(matrices)
    np.testing.assert_allclose(values * np.exp(log_scale), expected, rtol=1e-10)
    factors = jax.jit(eliminate)(jnp.asarray(matrices))
    np.testing.assert_allclose(factors.determinant() * unit(factors), expected, rtol=1e-10)
    assert size == 1 or len(set(np.sign(expected))) == 2  # both signs occur


@pytest.mark.parametrize("size", SIZES)
def test_the_factors_are_triangular_and_multiply_to_the_matrix(size):
    matrices = random(size)
    factors = eliminate(jnp.asarray(matrices))
    for index in range(matrices.shape[-1]):
        left, right = matrix(factors.left, index), matrix(factors.right, index)
        product = left @ matrix(matrices, index) @ right.T
        pivots = np.asarray(factors.pivots)[:, index]
        np.testing.assert_allclose(product, np.diag(pivots), atol=1e-11)
        # Rows and columns permuted, the factors have determinant 1.
        assert abs(np.linalg.det(left)) == pytest.approx(1.0)
        assert abs(np.linalg.det(right)) == pytest.approx(1.0)


@pytest.mark.parametrize("size", SIZES)
def test_cofactors_are_the_inverse_times_the_determinant(size):
    matrices = random(size)
    factors = eliminate(jnp.asarray(matrices))
    cofactors = factors.cofactors() * unit(factors)
    for index in range(matrices.shape[-1]):
        one = matrix(matrices, index)
        expected = np.linalg.det(one) * np.linalg.inv(one).T
        np.testing.assert_allclose(matrix(cofactors, index), expected, rtol=1e-8, atol=1e-10)


def line(size: int, matrices: np.ndarray):
    """Matrices along a line through ``matrices``: A + sum_k x_k G_k, and the G."""
    shape = (size, size, N_COORDINATES, matrices.shape[-1])
    return np.random.default_rng(9).normal(size=shape)


def by_minors(one: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, float]:
    """Derivatives of det(A + sum_k x_k G_k) at x = 0 from its exact expansion in x.

    The determinant is a polynomial of degree n in each x_k, and its values at the 2 n + 1 nearest
    whole numbers give its coefficients.
    """
    size = len(one)
    points = np.arange(-size, size + 1) / size
    first, second = np.zeros(N_COORDINATES), 0.0
    for k in range(N_COORDINATES):
        values = [np.linalg.det(one + x * slopes[:, :, k]) for x in points]
        coefficients = np.polynomial.polynomial.polyfit(points, values, 2 * size)
        first[k] = coefficients[1]
        second += 2.0 * coefficients[2]
    return first, second


@pytest.mark.parametrize("missing", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [3, 5, 6])
def test_derivatives_are_exact_for_matrices_of_every_rank(size, missing):
    matrices = singular(size, size - missing)
    slopes = line(size, matrices)
    curvature = random(size, matrices.shape[-1], seed=4)
    factors = eliminate(jnp.asarray(matrices))
    found = jax.jit(first_and_second_derivatives)(
        factors, jnp.asarray(slopes), jnp.asarray(curvature)
    )
    first, second = (part * unit(factors) for part in found)
    scale = max(1.0, np.max(np.abs(matrices))) ** (size - 2)
    for index in range(matrices.shape[-1]):
        one = matrix(matrices, index)
        expected_first, expected_second = by_minors(one, slopes[..., index])
        # The term that is linear in the Laplacian is the first derivative along it.
        along = np.repeat(curvature[:, :, None, index], N_COORDINATES, axis=2)
        expected_second += by_minors(one, along)[0][0]
        np.testing.assert_allclose(first[:, index], expected_first, rtol=1e-7, atol=1e-8 * scale)
        np.testing.assert_allclose(second[index], expected_second, rtol=1e-7, atol=1e-8 * scale)


def test_second_derivatives_lose_no_digits_near_a_node():
    # det = x (a d - b c) + ...: with a pivot of 1e-9, squares of 1/pivot would leave no digit.
    rng = np.random.default_rng(3)
    size = 6
    matrices = rng.normal(size=(size, size, 1))
    matrices[0] = matrices[1] + 1e-9 * rng.normal(size=(size, 1))
    slopes = line(size, matrices)
    factors = eliminate(jnp.asarray(matrices))
    _, second = first_and_second_derivatives(factors, jnp.asarray(slopes), jnp.zeros_like(matrices))
    second = second * unit(factors)
    expected = by_minors(matrices[..., 0], slopes[..., 0])[1]
    assert float(second[0]) == pytest.approx(expected, rel=1e-6)


def test_single_precision_is_as_good_as_lapacks():
    size, batch = 14, 512
    matrices = random(size, batch)
    expected = np.linalg.slogdet(np.moveaxis(matrices, -1, 0))[1]
    single = jnp.asarray(matrices, jnp.float32)
    values, log_scale = determinants(single)
    ours = np.log(np.abs(values)) + log_scale
    factors = eliminate(single)
    pivoted = np.log(np.abs(factors.determinant())) + factors.log_scale()
    # NumPy's would be in double precision whatever it is given.
    lapacks = np.asarray(jnp.linalg.slogdet(jnp.moveaxis(single, -1, 0))[1])
    for values in (ours, pivoted):
        for quantile in (0.5, 0.9, 0.99):
            error = np.quantile(np.abs(values - expected), quantile)
            assert error < 2.0 * np.quantile(np.abs(lapacks - expected), quantile)


def test_small_pivots_of_large_matrices_are_numbers_of_single_precision():
    # Thirty rows that are nearly parallel, as those of a fresh network are: det is about 1e-56.
    size, batch = 30, 8
    rng = np.random.default_rng(5)
    matrices = 1.0 + 0.01 * rng.normal(size=(size, size, batch))
    single = jnp.asarray(matrices, jnp.float32)
    sign, expected = np.linalg.slogdet(np.moveaxis(np.asarray(single, np.float64), -1, 0))
    assert np.all(expected < np.log(np.finfo(np.float32).tiny))
    slopes = jnp.asarray(rng.normal(size=(size, size, 2, batch)), jnp.float32)

    @partial(jax.jit, compiler_options=AS_USERS)
    def compiled(single, slopes):
        factors = eliminate(single)
        ratios = factors.cofactors() / factors.determinant()
        derivatives = first_and_second_derivatives(factors, slopes, single)
        return determinants(single), ratios, derivatives

    (values, log_scale), ratios, derivatives = compiled(single, slopes)
    np.testing.assert_array_equal(np.sign(values), sign)
    np.testing.assert_allclose(np.log(np.abs(values)) + log_scale, expected, atol=0.05)
    cofactors = np.asarray(ratios, np.float64)
    inverse = np.linalg.inv(np.moveaxis(np.asarray(single, np.float64), -1, 0))
    errors = np.abs(np.moveaxis(cofactors, -1, 0) - np.swapaxes(inverse, 1, 2))
    assert np.max(errors) < 0.02 * np.max(np.abs(inverse))
    for part in derivatives:
        assert np.all(np.isfinite(part))


@pytest.mark.parametrize("loop", [_by_columns, _by_complete_pivoting])
@pytest.mark.parametrize(("size", "batch"), [(5, 3), (8, 16), (14, 21), (17, 6)])
def test_the_kernel_of_a_gpu_computes_what_the_loop_does(loop, size, batch):
    # Triton's arithmetic is not run here: its interpreter computes the same operations with JAX.
    matrices = jnp.asarray(random(size, batch))
    by_kernel = in_blocks(loop, matrices, interpret=True)
    for one, other in zip(by_kernel, loop(matrices, size, False), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
