"""Conjugate gradients, compared with dense linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.vmc.conjugate_gradients import conjugate_gradients

N = 12


@pytest.fixture(scope="module")
def system():
    """A symmetric positive matrix of condition number 1e4, and a right side."""
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(N, N)))[0]
    return jnp.asarray(basis * np.geomspace(1.0, 1e4, N) @ basis.T), jnp.asarray(rng.normal(size=N))


def test_as_many_iterations_as_unknowns_solve_the_system(system):
    matrix, right = system
    found, iterations = conjugate_gradients(lambda x: matrix @ x, right, 4 * N, tolerance=1e-12)
    # The error of the solution is at most the condition number times that of the residual.
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-7, atol=1e-9)
    assert N <= int(iterations) <= 4 * N


def test_the_exact_preconditioner_needs_one_iteration(system):
    matrix, right = system
    solve = lambda x: jnp.linalg.solve(matrix, x)  # noqa: E731
    found, iterations = conjugate_gradients(lambda x: matrix @ x, right, N, divide=solve)
    np.testing.assert_allclose(found, solve(right), rtol=1e-9)
    assert int(iterations) == 1


def test_each_iteration_minimises_over_the_space_of_the_preconditioned_residuals(system):
    """By explicit minimisation of x^T A x / 2 - b^T x over span{K^-1 b, K^-1 A K^-1 b}."""
    matrix, right = system
    scale = jnp.diagonal(matrix)
    found, iterations = conjugate_gradients(
        lambda x: matrix @ x, right, 2, divide=lambda x: x / scale
    )
    first = right / scale
    space = jnp.stack([first, matrix @ first / scale], axis=1)
    expected = space @ np.linalg.solve(space.T @ matrix @ space, space.T @ right)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    assert int(iterations) == 2


def test_a_start_is_improved_and_a_solution_kept(system):
    matrix, right = system
    solution = jnp.linalg.solve(matrix, right)
    kept, iterations = conjugate_gradients(lambda x: matrix @ x, right, N, start=solution)
    assert int(iterations) == 0
    np.testing.assert_array_equal(kept, solution)
    start = solution + 1.0
    moved, _ = conjugate_gradients(lambda x: matrix @ x, right, 3, start=start)
    energy = lambda x: float((x - solution) @ matrix @ (x - solution))  # noqa: E731
    assert energy(moved) < energy(start)


def test_pytrees_are_vectors_and_a_right_side_of_zero_gives_zero(system):
    matrix, right = system
    split = lambda x: {"a": x[:5], "b": x[5:].reshape(7, 1)}  # noqa: E731
    joined = lambda tree: jnp.concatenate([tree["a"], tree["b"].ravel()])  # noqa: E731
    product = lambda tree: split(matrix @ joined(tree))  # noqa: E731
    of_tree, _ = jax.jit(lambda b: conjugate_gradients(product, b, 6))(split(right))
    of_vector, _ = conjugate_gradients(lambda x: matrix @ x, right, 6)
    np.testing.assert_allclose(joined(of_tree), of_vector, rtol=1e-9)
    zero, iterations = conjugate_gradients(lambda x: matrix @ x, jnp.zeros(N), 6)
    np.testing.assert_array_equal(zero, 0.0)
    assert int(iterations) == 0
