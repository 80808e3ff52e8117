"""Optimisers: schedules, zero steps, and KFAC against the explicit inverse Fisher matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from ferminet.ansatz.base import Ansatz, LogPsi, Nuclei
from ferminet.config import OptimizerConfig
from ferminet.config.optimizers import OPTIMIZERS
from ferminet.vmc.optimizers import spring
from ferminet.vmc.optimizers.base import learning_rate_schedule, make_optimizer
from ferminet.vmc.programs import Problem, average_weight, make_update
from ferminet.vmc.sampling import batched_logabs
from tests.helpers.optimizers import (
    config,
    fisher_of,
    gradient_of,
    preconditioned,
    slopes_of,
    weights_of,
)

N_WALKERS = 256


@pytest.fixture(scope="module")
def start(small_network):
    params = small_network.ansatz.init(jax.random.key(2), small_network.nuclei)
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(N_WALKERS, 1, 3)))
    return params, electrons, gradient_of(small_network, params, electrons)


def step(problem, settings, start, n_steps=3):
    params, electrons, _ = start
    optimizer = make_optimizer(settings, problem.ansatz)
    update = make_update(optimizer, 9.0)
    state = optimizer.init(jax.random.key(0), params, electrons, problem.nuclei)
    average = params
    for iteration in range(n_steps):
        params, average, state = update(
            jax.random.key(iteration),
            weights_of(electrons),
            state,
            params,
            average,
            electrons,
            problem.nuclei,
            jnp.asarray(iteration, jnp.int32),
        )
    return params, average


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_vanishing_learning_rate_moves_nothing(small_network, start, name):
    params, average = step(small_network, config(name, learning_rate=1e-300), start)
    for before, after, mean in zip(*map(jax.tree.leaves, (start[0], params, average)), strict=True):
        np.testing.assert_array_equal(after, before)
        np.testing.assert_array_equal(mean, before)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_lowers_the_energy_of_the_gradient(small_network, start, name):
    moved, _ = step(small_network, config(name, learning_rate=1e-3), start, n_steps=1)
    difference = ravel_pytree(moved)[0] - ravel_pytree(start[0])[0]
    assert float(jnp.dot(difference, ravel_pytree(start[2])[0])) < 0.0
    # All move but the last bias, to which SPRING is blind: it only changes the normalisation.
    n_still = int(jnp.sum(difference == 0.0))
    assert n_still == (1 if name == "spring" else 0)


def test_learning_rate_halves_at_its_delay():
    schedule = learning_rate_schedule(
        OptimizerConfig(learning_rate=0.2, learning_rate_delay=100.0, learning_rate_decay=1.0)
    )
    assert float(schedule(jnp.asarray(0))) == pytest.approx(0.2)
    assert float(schedule(jnp.asarray(100))) == pytest.approx(0.1)
    constant = learning_rate_schedule(OptimizerConfig(learning_rate=0.2, learning_rate_decay=0.0))
    assert float(constant(jnp.asarray(10**6))) == pytest.approx(0.2)


def test_fisher_norm_agrees_with_the_explicit_matrix(small_network, start):
    params, electrons, gradient = start
    nuclei = small_network.nuclei

    def logabs_of(parameters):
        return batched_logabs(small_network.ansatz, parameters, nuclei)(electrons)

    rows = jax.tree.leaves(jax.jacobian(logabs_of)(params))
    matrix = np.concatenate([np.asarray(leaf).reshape(len(electrons), -1) for leaf in rows], axis=1)
    step = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(gradient)])
    expected = step @ (4.0 * np.cov(matrix.T, bias=True)) @ step
    found = 4.0 * jnp.var(jax.jvp(logabs_of, (params,), (gradient,))[1])
    assert float(found) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", list(OPTIMIZERS)[:3])
def test_norm_constraint_bounds_the_change_of_psi(small_network, start, name):
    # A rate that would carry the parameters far away: the step is shortened, and over the walkers
    # log|psi|^2 changes by no more than the root of the constraint.
    params, electrons, _ = start
    weights = weights_of(electrons)
    nuclei, constraint = small_network.nuclei, 1e-6
    settings = config(name, learning_rate=100.0, norm_constraint=constraint)
    optimizer = make_optimizer(settings, small_network.ansatz)
    state = optimizer.init(jax.random.key(0), params, electrons, nuclei)
    moved, _ = jax.jit(optimizer.update)(
        jax.random.key(1), weights, state, params, electrons, nuclei, jnp.asarray(0)
    )
    before, after = (
        batched_logabs(small_network.ansatz, p, nuclei)(electrons) for p in (params, moved)
    )
    assert 4.0 * np.var(np.asarray(after - before)) == pytest.approx(constraint, rel=1e-2)


def test_the_average_covers_the_last_part_of_training():
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


def explicit_step(problem, params, electrons, gradient, damping, *, centred=False):
    """(F + lambda)^-1 g with F = 4 <O O^T>, the Fisher information of |psi|^2 = exp(2 log|psi|).

    Centred: 4 cov(O).
    """
    fisher = fisher_of(slopes_of(problem, params, electrons), centred=centred)
    return np.linalg.solve(fisher + damping * np.eye(len(fisher)), ravel_pytree(gradient)[0])


def cosine(a, b) -> float:
    return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("damping", [1e-3, 1e-1])
def test_kfac_points_along_the_natural_gradient(small_network, start, damping):
    expected = explicit_step(small_network, *start, damping)
    natural, _ = ravel_pytree(preconditioned(small_network, start, damping))
    plain, _ = ravel_pytree(start[2])
    assert cosine(natural, expected) > 0.5
    assert cosine(natural, expected) > 2.0 * cosine(plain, expected)
    assert 0.3 < np.linalg.norm(natural) / np.linalg.norm(expected) < 3.0


def test_kfac_is_exact_for_the_last_layer(small_network, start):
    # Its output is a number and its input a function of the walker: the Kronecker product is not
    # an approximation, and the size of the step, hence the factor 4, is tested too.
    params, electrons, gradient = start
    others = {name: value for name, value in params.items() if name != "output"}

    def apply(output, walker, nuclei):
        return small_network.ansatz.apply({**others, "output": output}, walker, nuclei)

    alone = small_network._replace(ansatz=small_network.ansatz._replace(apply=apply))
    damping = 1e-6
    expected = explicit_step(alone, params["output"], electrons, gradient["output"], damping)
    natural = preconditioned(small_network, start, damping)["output"]
    difference = ravel_pytree(natural)[0] - expected
    assert np.linalg.norm(difference) < 0.01 * np.linalg.norm(expected)


def test_curvature_outside_layers_is_the_mean_of_squares(small_network, start):
    # zeta is in no dense layer: 4 <(d log psi / d zeta)^2> = 4 <r^2>, where the square of the mean
    # would be less.
    _, electrons, gradient = start
    natural = float(preconditioned(small_network, start, 1e-9)["zeta"])
    curvature = float(gradient["zeta"]) / natural
    radii = np.linalg.norm(electrons[:, 0], axis=-1)
    assert curvature == pytest.approx(4.0 * np.mean(radii**2), rel=1e-6)


def test_kfacs_update_is_the_preconditioned_gradient_times_the_rate(small_network, start):
    params, electrons, _ = start
    weights = weights_of(electrons)
    natural = preconditioned(small_network, start, 1e-3)
    rate = 1e-4
    settings = config("kfac", learning_rate=rate, damping=1e-3, norm_constraint=1e10)
    optimizer = make_optimizer(settings, small_network.ansatz)
    nuclei = small_network.nuclei
    state = optimizer.init(jax.random.key(0), params, electrons, nuclei)
    moved, _ = jax.jit(optimizer.update)(
        jax.random.key(1), weights, state, params, electrons, nuclei, jnp.asarray(0)
    )
    expected = jax.tree.map(lambda p, n: p - rate * n, params, natural)
    for new, exact in zip(jax.tree.leaves(moved), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(new, exact, rtol=1e-9)


@pytest.fixture
def two_layers():
    """``two_layers(v)``: the sum over electrons of tanh(r w) v, and a start."""

    def make(last):
        rng = np.random.default_rng(3)
        params = {"hidden": jnp.asarray(rng.normal(size=(3, 4))), "last": jnp.asarray(last)}

        def apply(params, electrons, nuclei):
            del nuclei
            hidden = jnp.tanh(electrons @ params["hidden"])
            decay = -jnp.sum(electrons**2)
            return LogPsi(jnp.ones(()), decay + jnp.sum(hidden @ params["last"]))

        nuclei = Nuclei(jnp.zeros((1, 3)), jnp.asarray([2.0]))
        problem = Problem(Ansatz(lambda key, nuclei: params, apply), nuclei, 1, 1)
        electrons = jnp.asarray(rng.normal(size=(N_WALKERS, 2, 3)))
        return problem, (params, electrons, gradient_of(problem, params, electrons))

    return make


def test_kfac_starts_from_a_last_layer_of_zeros(two_layers):
    # No walker has a slope of the layer before it, which stays; the last one moves.
    problem, start = two_layers(np.zeros((4, 1)))
    natural = preconditioned(problem, start, 1e-3)
    assert not np.any(natural["hidden"])
    assert np.all(np.isfinite(natural["last"])) and np.any(natural["last"])
    moved, _ = step(problem, config("kfac"), start)
    assert all(np.all(np.isfinite(leaf)) and np.any(leaf) for leaf in jax.tree.leaves(moved))


def test_a_matrix_times_a_vector_is_a_layer_of_one_output(two_layers):
    # The sum over two electrons of x . v has the derivatives sum_i x_i, but KFAC's block is
    # 4 <sum_i x_i x_i^T>: rows count as independent.
    problem, start = two_layers(np.array([0.1, -0.2, 0.3, 0.4]))
    params, electrons, gradient = start
    natural = preconditioned(problem, start, 1e-9)["last"]
    rows = np.asarray(jnp.tanh(electrons @ params["hidden"]))
    block = 4.0 * np.einsum("bix,biy->xy", rows, rows) / len(rows)
    np.testing.assert_allclose(natural, np.linalg.solve(block, gradient["last"]), rtol=1e-5)


def spring_steps(problem, start, n_steps, **more):
    """The parameters after some steps of SPRING at the same walkers, flat."""
    settings = config("spring", norm_constraint=1e10, learning_rate_decay=0.0, **more)
    params, _ = step(problem, settings, start, n_steps)
    return np.asarray(ravel_pytree(params)[0])


def test_spring_without_memory_is_the_natural_gradient(small_network, start):
    before = np.asarray(ravel_pytree(start[0])[0])
    after = spring_steps(small_network, start, 1, learning_rate=1e-4, momentum=0.0, damping=1e-2)
    expected = explicit_step(small_network, *start, 1e-2, centred=True)
    np.testing.assert_allclose(before - after, 1e-4 * expected, rtol=1e-6, atol=1e-15)


def test_springs_system_is_solved_in_double_precision():
    """Of walkers near a node, whose derivatives are long and nearly parallel."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(64, 10)) @ rng.normal(size=(10, 500))
    rows = (rows * np.logspace(3, 0, 64)[:, None]).astype(np.float32)
    right = rng.normal(size=64).astype(np.float32)
    exact = np.asarray(rows, float)
    exact = np.linalg.solve(exact @ exact.T + 1e-3 * np.eye(64), right) @ exact
    with jax.enable_x64(False):
        found = jax.jit(spring._direction)(jnp.asarray(rows), 1e-3, jnp.asarray(right))
        assert found.dtype == jnp.float32
        gram = jnp.asarray(rows) @ jnp.asarray(rows).T + 1e-3 * jnp.eye(64)
        single = jnp.linalg.solve(gram, jnp.asarray(right)) @ jnp.asarray(rows)
    error = lambda values: np.linalg.norm(np.asarray(values, float) - exact)  # noqa: E731
    assert error(found) < 0.05 * np.linalg.norm(exact)
    assert error(single) > np.linalg.norm(exact)


def test_spring_remembers_its_last_direction(small_network, start):
    # Where the derivatives do not change, d = mu d' + F_lambda^-1 (g - F mu d') with the same F, g.
    rate, momentum, damping = 1e-9, 0.9, 1e-2
    one, two = (
        spring_steps(
            small_network, start, n, learning_rate=rate, momentum=momentum, damping=damping
        )
        for n in (1, 2)
    )
    first = explicit_step(small_network, *start, damping, centred=True)
    # F_lambda^-1 F d' = d' - lambda F_lambda^-1 d'
    _, unravel = ravel_pytree(start[0])
    params, electrons, _ = start
    relaxed = explicit_step(small_network, params, electrons, unravel(first), damping, centred=True)
    expected = first + momentum * damping * relaxed
    np.testing.assert_allclose((one - two) / rate, expected, rtol=1e-4, atol=1e-6)


def test_the_program_of_kfac_is_the_same_in_every_trace(small_network, start):
    # Otherwise no process would find it in the compilation cache. Each trace makes new variables,
    # at other addresses.
    params, electrons, _ = start
    optimizer = make_optimizer(config("kfac"), small_network.ansatz)
    nuclei = small_network.nuclei
    state = optimizer.init(jax.random.key(0), params, electrons, nuclei)
    weights = weights_of(electrons)
    arguments = (jax.random.key(1), weights, state, params, electrons, nuclei, jnp.asarray(0))
    texts = {
        jax.jit(make_optimizer(config("kfac"), small_network.ansatz).update)
        .lower(*arguments)
        .as_text()
        for _ in range(4)
    }
    assert len(texts) == 1
