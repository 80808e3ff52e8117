"""What the bench counts and fits, against numbers that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.flops import count_flops
from bench.measure import column_loop_kinetic
from bench.scaling import FITTED_FROM, exponent
from ferminet.ansatz import ferminet
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.vmc.laplacian import hessian_kinetic


def test_a_matrix_product_has_two_operations_per_term():
    assert count_flops(jnp.matmul, jnp.ones((3, 4)), jnp.ones((4, 5))) == 2 * 3 * 4 * 5


def test_batches_and_loops_count_in_full():
    matrices = jnp.ones((7, 3, 4))
    product = 2 * 3 * 4 * 5
    other = jnp.ones((4, 5))
    assert count_flops(jax.vmap(lambda m: m @ other), matrices) == 7 * product
    assert count_flops(lambda x: jax.lax.map(lambda m: m @ other, x), matrices) == 7 * product
    assert count_flops(jax.jit(lambda x: x @ other), matrices[0]) == product


def test_the_larger_branch_counts():
    square = jnp.ones((4, 4))

    def either(flag, x):
        return jax.lax.cond(flag, lambda m: m @ m @ m, lambda m: m @ m, x)

    assert count_flops(either, jnp.asarray(True), square) == 2 * 2 * 4**3


def test_a_factorisation_is_a_third_of_a_cube_and_a_substitution_a_square_per_column():
    square = jnp.eye(6)
    assert count_flops(jnp.linalg.cholesky, square) == 6**3 // 3
    lower = lambda a, b: jax.scipy.linalg.solve_triangular(a, b, lower=True)  # noqa: E731
    assert count_flops(lower, square, jnp.ones((6, 5))) == 6 * 6 * 5


def test_the_fitted_power_is_that_of_the_larger_systems():
    electrons = [1, 2, FITTED_FROM, 10, 30]
    seconds = [5.0, 5.0, *(1e-3 * n**2.7 for n in electrons[2:])]
    assert exponent(electrons, seconds) == pytest.approx(2.7, abs=1e-12)


def test_the_loop_over_columns_is_the_hessians_trace():
    jax.config.update("jax_enable_x64", True)
    nuclei = Nuclei(jnp.asarray([[0.0, 0.0, 0.0]]), jnp.asarray([3.0]))
    ansatz = ferminet.build(
        AnsatzSpec(2, 1, 1), layers=2, one_electron_width=8, two_electron_width=4, determinants=2
    )
    params = ansatz.init(jax.random.key(0), nuclei)
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)))
    loop, hessian = (
        float(jax.jit(kinetic(ansatz))(params, electrons, nuclei))
        for kinetic in (column_loop_kinetic, hessian_kinetic)
    )
    assert loop == pytest.approx(hessian, rel=1e-10)
