"""Optimisers: schedules, zero steps, and KFAC against the explicit inverse Fisher matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from ferminet.config import OptimizerConfig
from ferminet.vmc.loss import energy_gradient, gradient_weights
from ferminet.vmc.optimizers import learning_rate_schedule, make_optimizer, norm_scale
from ferminet.vmc.optimizers_kfac import block_table, kfac_preconditioner
from ferminet.vmc.programs import average_weight, make_update
from ferminet.vmc.sampling import batched_logabs

N_WALKERS = 256


def config(name: str, **more) -> OptimizerConfig:
    """Settings without the checks, so that a learning rate of 0 is possible."""
    return OptimizerConfig.model_construct(
        **{**OptimizerConfig().model_dump(), "name": name} | more
    )


def gradient_of(problem, params, electrons):
    """A gradient as training makes it, of energies that depend on the walkers smoothly."""
    energies = -1.0 + 0.3 * jnp.tanh(jnp.sum(electrons**2, axis=(1, 2)) - 2.0)
    return energy_gradient(
        lambda p: batched_logabs(problem.ansatz, p, problem.nuclei),
        params,
        electrons,
        gradient_weights(energies, 5.0),
    )


@pytest.fixture(scope="module")
def start(small_network):
    params = small_network.ansatz.init(jax.random.key(2), small_network.nuclei)
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(N_WALKERS, 1, 3)))
    return params, electrons, gradient_of(small_network, params, electrons)


def step(problem, settings, start, n_steps=3):
    params, electrons, gradient = start
    optimizer = make_optimizer(settings, problem.ansatz)
    update = make_update(optimizer, 9.0)
    state = optimizer.init(jax.random.key(0), params, electrons, problem.nuclei)
    average = params
    for iteration in range(n_steps):
        params, average, state = update(
            jax.random.key(iteration),
            gradient,
            state,
            params,
            average,
            electrons,
            problem.nuclei,
            jnp.asarray(iteration, jnp.int32),
        )
    return params, average


@pytest.mark.parametrize("name", ["adam", "kfac"])
def test_zero_learning_rate_moves_nothing(small_network, start, name):
    params, average = step(small_network, config(name, learning_rate=0.0), start)
    for before, after, mean in zip(*map(jax.tree.leaves, (start[0], params, average)), strict=True):
        np.testing.assert_array_equal(after, before)
        np.testing.assert_array_equal(mean, before)


@pytest.mark.parametrize("name", ["adam", "kfac"])
def test_a_step_lowers_what_the_gradient_is_of(small_network, start, name):
    moved, _ = step(small_network, config(name, learning_rate=1e-3), start, n_steps=1)
    difference = ravel_pytree(moved)[0] - ravel_pytree(start[0])[0]
    assert float(jnp.dot(difference, ravel_pytree(start[2])[0])) < 0.0
    assert bool(jnp.all(difference != 0.0))


def test_learning_rate_halves_at_its_delay():
    schedule = learning_rate_schedule(
        OptimizerConfig(learning_rate=0.2, learning_rate_delay=100.0, learning_rate_decay=1.0)
    )
    assert float(schedule(jnp.asarray(0))) == pytest.approx(0.2)
    assert float(schedule(jnp.asarray(100))) == pytest.approx(0.1)
    constant = learning_rate_schedule(OptimizerConfig(learning_rate=0.2, learning_rate_decay=0.0))
    assert float(constant(jnp.asarray(10**6))) == pytest.approx(0.2)


def test_norm_constraint_bounds_the_squared_fisher_norm():
    natural = {"a": jnp.array([3.0, -1.0]), "b": jnp.array(2.0)}
    gradient = {"a": jnp.array([1.0, 1.0]), "b": jnp.array(4.0)}
    product, rate = 3.0 - 1.0 + 8.0, 0.5
    scale = norm_scale(natural, gradient, jnp.asarray(rate), 1e-3)
    assert (rate * float(scale)) ** 2 * product == pytest.approx(1e-3)
    assert float(norm_scale(natural, gradient, jnp.asarray(1e-4), 1e-3)) == 1.0
    assert float(norm_scale(natural, gradient, jnp.asarray(0.0), 1e-3)) == 1.0


def test_average_covers_the_last_part():
    # Weights of all iterations in the average after 1000 of them, exponent 9.
    weights = np.zeros(1000)
    for t in range(1000):
        w = float(average_weight(jnp.asarray(float(t)), 9.0))
        weights[:t] *= 1.0 - w
        weights[t] = w
    assert weights.sum() == pytest.approx(1.0)
    assert weights[:800].sum() < 0.12  # 0.8^10 = 0.11 of the weight is older than the last fifth
    plain = [float(average_weight(jnp.asarray(float(t)), 0.0)) for t in range(4)]
    assert plain == pytest.approx([1.0, 1 / 2, 1 / 3, 1 / 4])


def explicit_step(problem, params, electrons, gradient, damping):
    """(F + lambda)^-1 g with F = 4 <O O^T>, the Fisher information of |psi|^2 = exp(2 log|psi|)."""
    flat, unravel = ravel_pytree(params)

    def logabs(vector, walker):
        return problem.ansatz.apply(unravel(vector), walker, problem.nuclei).logabs

    rows = np.asarray(jax.jit(jax.vmap(jax.grad(logabs), (None, 0)))(flat, electrons))
    fisher = 4.0 * rows.T @ rows / len(rows)
    return np.linalg.solve(fisher + damping * np.eye(len(flat)), ravel_pytree(gradient)[0])


def kfac_direction(problem, params, electrons, gradient, damping):
    optimizer = make_optimizer(
        config(
            "kfac",
            learning_rate=1e-3,
            learning_rate_decay=0.0,
            damping=damping,
            norm_constraint=1e10,
            covariance_decay=0.0,
        ),
        problem.ansatz,
    )
    state = optimizer.init(jax.random.key(0), params, electrons, problem.nuclei)
    moved, _ = jax.jit(optimizer.update)(
        jax.random.key(1), gradient, state, params, electrons, problem.nuclei, jnp.asarray(0)
    )
    return (ravel_pytree(params)[0] - ravel_pytree(moved)[0]) / 1e-3


def cosine(a, b) -> float:
    return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("damping", [1e-3, 1e-1])
def test_kfac_points_along_the_natural_gradient(make_tiny, damping):
    problem = make_tiny([[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.4]], 1, 1)
    params = problem.ansatz.init(jax.random.key(4), problem.nuclei)
    electrons = jnp.asarray(np.random.default_rng(1).normal(size=(N_WALKERS, 2, 3)))
    gradient = gradient_of(problem, params, electrons)
    expected = explicit_step(problem, params, electrons, gradient, damping)
    natural = kfac_direction(problem, params, electrons, gradient, damping)
    assert cosine(natural, expected) > 0.5
    # It is more than the plain gradient, and of the right size.
    plain = np.asarray(ravel_pytree(gradient)[0])
    assert cosine(natural, expected) > cosine(plain, expected)
    assert 0.1 < np.linalg.norm(natural) / np.linalg.norm(expected) < 10.0


def test_kfac_is_exact_for_a_single_parameter(make_hydrogenic, hydrogen_walkers):
    # One number and no layer: the curvature is 4 <r^2> exactly up to the random signs, which
    # square to one.
    problem = make_hydrogenic(1.0, 1.2)
    params = {"zeta": jnp.asarray(1.2)}
    electrons = hydrogen_walkers(N_WALKERS, 1.2, 0)
    gradient = gradient_of(problem, params, electrons)
    expected = explicit_step(problem, params, electrons, gradient, 1e-3)
    natural = kfac_direction(problem, params, electrons, gradient, 1e-3)
    # Products of different walkers with random signs remain: relative scatter sqrt(2 / walkers).
    assert float(natural[0]) == pytest.approx(float(expected[0]), rel=4 * np.sqrt(2 / N_WALKERS))


def test_kfac_finds_every_dense_layer(make_tiny):
    problem = make_tiny([[3.0, 0.0, 0.0, 0.0]], 2, 1)
    params = problem.ansatz.init(jax.random.key(4), problem.nuclei)
    electrons = jnp.asarray(np.random.default_rng(1).normal(size=(8, 3, 3)))
    preconditioner = kfac_preconditioner(config("kfac"), problem.ansatz)
    preconditioner.init((params, problem.nuclei, electrons), jax.random.key(0))
    dense = sum(
        leaf.size
        for name in ("one_electron", "two_electron", "orbitals")
        for leaf in jax.tree.leaves(params[name])
    )
    table = block_table(preconditioner)
    found = sum(size for name, size in table if "Dense" in name)
    assert found == dense
    total = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert sum(size for _, size in table) == total  # and nothing is left without curvature
