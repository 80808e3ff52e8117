"""What a GPU computes in another way than a CPU, computed on a CPU in both ways.

Kernels of Pallas run in its interpreter; `make gpu-check` compiles them for GPUs.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from ferminet.ansatz import elimination
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.ansatz.ferminet import build
from ferminet.config import OptimizerConfig
from ferminet.errors import ResourceError
from ferminet.vmc import devices
from ferminet.vmc.conjugate_gradients import conjugate_gradients
from ferminet.vmc.hamiltonian import batched_local_energy, local_energy
from ferminet.vmc.optimizers.base import make_optimizer
from ferminet.vmc.sampling import init_walkers

N_UP, N_DOWN, N_WALKERS = 3, 2, 6
NUCLEI = Nuclei(jnp.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.3]]), jnp.array([4.0, 1.0]))


@pytest.fixture
def gpu(monkeypatch):
    """Let the package take a GPU's branches from here on."""

    def start():
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        interpreted = partial(elimination.in_blocks, interpret=True)
        monkeypatch.setattr(elimination, "in_blocks", interpreted)

    return start


@pytest.fixture(params=["isotropic", "anisotropic"])
def ansatz(request):
    options = {
        "layers": 2,
        "one_electron_width": 8,
        "two_electron_width": 4,
        "determinants": 2,
        "full_determinant": True,  # five electrons: more than are expanded in minors
        "envelope": request.param,
    }
    return build(AnsatzSpec(N_UP, N_DOWN, 2, None), **options)


def start_of(ansatz):
    params = ansatz.init(jax.random.key(0), NUCLEI)
    return params, init_walkers(jax.random.key(1), NUCLEI, N_UP, N_DOWN, N_WALKERS)


def test_psi_its_derivatives_and_local_energies_are_those_of_a_cpu(ansatz, gpu):
    params, electrons = start_of(ansatz)

    def results():
        energies = batched_local_energy(local_energy(ansatz))(params, electrons, NUCLEI)
        logabs = lambda params, walker: ansatz.apply(params, walker, NUCLEI).logabs  # noqa: E731
        gradients = jax.vmap(jax.value_and_grad(logabs), (None, 0))(params, electrons)
        hessian = jax.hessian(logabs, argnums=1)(params, electrons[0])
        return energies, gradients, hessian

    on_cpu = results()
    gpu()
    for one, other in zip(jax.tree.leaves(results()), jax.tree.leaves(on_cpu), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-12])
def test_conjugate_gradients_stop_where_a_cpu_stops(tolerance, gpu):
    matrix = np.random.default_rng(0).normal(size=(6, 6))
    matrix = jnp.asarray(matrix @ matrix.T + np.eye(6))
    right = {"a": jnp.arange(2.0), "b": jnp.ones((2, 2))}

    def product(vector):
        flat, unravel = ravel_pytree(vector)
        return unravel(matrix @ flat)

    solve = partial(conjugate_gradients, product, right, 20, tolerance=tolerance)
    solution, iterations = solve()
    assert 1 < iterations < 20  # so the bound does not decide
    gpu()
    again, same = solve()
    assert iterations == same
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12), again, solution)


def test_the_step_of_the_natural_gradient_is_that_of_a_cpu(ansatz, gpu):
    params, electrons = start_of(ansatz)
    weights = jax.random.normal(jax.random.key(2), (N_WALKERS,)) / N_WALKERS

    def step():
        optimizer = make_optimizer(OptimizerConfig(name="natural", damping=1.0), ansatz)
        state = optimizer.init(jax.random.key(0), params, electrons, NUCLEI)
        arguments = (params, electrons, NUCLEI, jnp.int32(0))
        new, _ = jax.jit(optimizer.update)(jax.random.key(0), weights, state, *arguments)
        return ravel_pytree(new)[0] - ravel_pytree(params)[0]

    on_cpu = step()
    gpu()
    # Conjugate gradients magnify rounding: with a damping of 1e-3, walkers moved by 1e-15 change
    # the step by 3e-7. With a damping of 1 both ways agree to 2e-9.
    assert np.linalg.norm(step() - on_cpu) < 1e-8 * np.linalg.norm(on_cpu)


def test_a_wrong_kernel_is_reported(gpu, monkeypatch):
    gpu()
    devices.check_determinants("float64")  # as it should be
    right = elimination.in_blocks

    def wrong(loop, matrices):
        value, log_scale = right(loop, matrices)
        return -value, log_scale

    monkeypatch.setattr(elimination, "in_blocks", wrong)
    with pytest.raises(ResourceError, match="the kernel that jax"):
        devices.check_determinants("float64")
