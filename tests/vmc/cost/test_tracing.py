"""The work and memory of traced programs, against numbers that are counted by hand."""

import jax
import jax.numpy as jnp
import pytest

from ferminet.vmc.conjugate_gradients import conjugate_gradients
from ferminet.vmc.cost.predict import Work
from ferminet.vmc.cost.programs import trace

SQUARE = jnp.eye(4, dtype=jnp.float32)


def products(function, *args) -> float:
    return trace(function, *args).work.products


def test_a_matrix_product_has_two_operations_per_term_and_makes_its_elements() -> None:
    work = trace(jnp.matmul, jnp.ones((3, 4)), jnp.ones((4, 5))).work
    assert work == Work(2 * 3 * 4 * 5, 3 * 5)


def test_batches_and_loops_count_in_full() -> None:
    matrices = jnp.ones((7, 3, 4))
    product = 2 * 3 * 4 * 5
    other = jnp.ones((4, 5))
    assert products(jax.vmap(lambda m: m @ other), matrices) == 7 * product
    assert products(lambda x: jax.lax.map(lambda m: m @ other, x), matrices) == 7 * product
    assert products(jax.jit(lambda x: x @ other), matrices[0]) == product


def test_a_loop_without_a_constant_bound_counts_once() -> None:
    def multiply(x):
        return jax.lax.while_loop(lambda m: jnp.sum(m) < 100.0, lambda m: m @ m, x)

    assert products(multiply, SQUARE) == 2 * 4**3
    times = lambda n, x: jax.lax.fori_loop(0, n, lambda _, m: m @ m, x)  # noqa: E731
    assert products(times, jnp.asarray(7), SQUARE) == 2 * 4**3


def test_of_conjugate_gradients_the_largest_number_of_iterations_counts() -> None:
    def solve(matrix, right):
        return conjugate_gradients(lambda x: matrix @ x, right, 5, start=right)[0]

    n = 4
    matrix_product, dot = 2 * n * n, 2 * n
    # Before the loop: the residual of the start, and the squares of both sides.
    start, iteration = matrix_product + 2 * dot, matrix_product + 2 * dot
    assert products(solve, SQUARE, SQUARE[0]) == start + 5 * iteration


def test_the_larger_branch_counts() -> None:
    def either(flag, x):
        return jax.lax.cond(flag, lambda m: m @ m @ m, lambda m: m @ m, x)

    assert products(either, jnp.asarray(True), SQUARE) == 2 * 2 * 4**3


def test_a_factorisation_is_a_third_of_a_cube_and_a_substitution_a_square_per_column() -> None:
    square = jnp.eye(6)
    assert products(jnp.linalg.cholesky, square) == 6**3 // 3
    lower = lambda a, b: jax.scipy.linalg.solve_triangular(a, b, lower=True)  # noqa: E731
    assert products(lower, square, jnp.ones((6, 5))) == 6 * 6 * 5


def test_transcendental_functions_make_values_and_additions_do_not() -> None:
    assert trace(lambda x: jnp.tanh(x + 1.0) * x, SQUARE).work == Work(0.0, 16.0)


def test_tracing_computes_nothing() -> None:
    shape = jax.ShapeDtypeStruct((10**6, 10**6), jnp.float32)  # four terabytes
    assert products(jnp.matmul, shape, shape) == pytest.approx(2e18)


def test_the_peak_is_the_sum_of_the_arrays_alive_at_once() -> None:
    """Three squares in a row: the argument is not counted, and each result dies with the next."""
    chain = lambda x: jnp.tanh(jnp.tanh(jnp.tanh(x)))  # noqa: E731
    assert trace(chain, SQUARE).peak_bytes == 2 * SQUARE.nbytes
    kept = lambda x: (jnp.tanh(x), jnp.exp(x), jnp.sin(x))  # noqa: E731
    assert trace(kept, SQUARE).peak_bytes == 3 * SQUARE.nbytes
    # The backward pass keeps a result of each function.
    backward = jax.grad(lambda x: jnp.sum(chain(x)))
    assert trace(backward, SQUARE).peak_bytes >= 3 * SQUARE.nbytes


def test_the_peak_of_a_loop_is_that_of_one_turn() -> None:
    matrices = jnp.ones((50, 64, 64), jnp.float32)
    looped = trace(lambda x: jax.lax.map(lambda m: jnp.sum(jnp.tanh(m) @ m), x), matrices)
    at_once = trace(jax.vmap(lambda m: jnp.sum(jnp.tanh(m) @ m)), matrices)
    assert looped.work.products == at_once.work.products
    assert looped.peak_bytes < 3 * 64 * 64 * 4 < at_once.peak_bytes
