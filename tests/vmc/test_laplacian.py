"""The forward Laplacian against its brute-force twin, the trace of the full Hessian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.vmc.hamiltonian import forward_laplacian_kinetic, hessian_kinetic, kinetic_energy

LIH = [[3.0, 0.1, 0.0, 0.0], [1.0, 0.0, 0.2, 3.0]]
ATOM = [[3.0, 0.0, 0.0, 0.0]]

# Nuclei, n_up, n_down, options: one electron, empty spin, open and closed shells, several nuclei;
# determinants that are expanded and one (5x5) that is factorised.
CASES = {
    "one electron": (ATOM, 1, 0, {}),
    "one spin": (ATOM, 2, 0, {"full_determinant": True, "envelope": "isotropic"}),
    "open shell, full": (ATOM, 3, 2, {"full_determinant": True, "determinants": 1}),
    "closed shell, several nuclei": (LIH, 2, 2, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_forward_laplacian_is_the_trace_of_the_hessian(make_tiny, any_params, case):
    rows, n_up, n_down, options = CASES[case]
    problem = make_tiny(rows, n_up, n_down, **options)
    params = any_params(problem)
    shape = (16, n_up + n_down, 3)
    electrons = jnp.asarray(np.random.default_rng(0).normal(scale=1.5, size=shape))
    forward, twin = (
        jax.jit(jax.vmap(kinetic(problem.ansatz), (None, 0, None)))
        for kinetic in (forward_laplacian_kinetic, hessian_kinetic)
    )
    expected = np.asarray(twin(params, electrons, problem.nuclei))
    np.testing.assert_allclose(forward(params, electrons, problem.nuclei), expected, rtol=1e-9)
    assert np.ptp(expected) > 0.1  # the walkers are not all alike


def test_a_wavefunctions_own_kinetic_energy_takes_precedence(make_hydrogenic):
    problem = make_hydrogenic(1.0, 1.0)

    def own(params, electrons, nuclei):
        del params, electrons, nuclei
        return jnp.asarray(42.0)

    assert kinetic_energy(problem.ansatz._replace(kinetic=own)) is own
