"""What the bench counts and fits, against numbers that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.measure import column_loop_kinetic
from bench.scaling import FITTED_FROM, exponent
from ferminet.ansatz import ferminet
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.vmc.hamiltonian import hessian_kinetic


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
