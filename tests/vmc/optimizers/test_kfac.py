"""KFAC compared with kfac-jax and explicit derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.vmc.optimizers.base import bounded_weights, gradient_of_energy, make_optimizer
from ferminet.vmc.optimizers.kfac import make_curvature
from ferminet.vmc.optimizers.layered import block_table, find_layers
from ferminet.vmc.sampling import batched_logabs
from tests.helpers.optimizers import (
    config,
    gradient_of,
    needs_kfac_jax,
    preconditioned_by_kfac_jax,
    weights_of,
)


def of_layers(problem, params, electrons, n_updates=1, weights=None, **more):
    """KFAC's direction and its changes of log|psi|, after updates of the factors at one place."""
    settings = config("kfac", covariance_decay=0.99, **more)
    init, curvature = make_curvature(problem.ansatz, settings)
    weights = weights_of(electrons) if weights is None else weights

    @jax.jit
    def advance(factors, index):
        maps, factors = curvature(factors, params, electrons, problem.nuclei, index)
        direction = maps.divide(maps.gradient(weights))
        return maps.params_of(direction), maps.change(direction), factors

    factors = init(params, electrons, problem.nuclei)
    for index in range(n_updates):
        direction, change, factors = advance(factors, jnp.asarray(index))
    return direction, change


@pytest.fixture(params=["plain", "spin_symmetric", "one spin"], scope="module")
def layered(request, make_tiny, any_params):
    """A FermiNet with parameters, walkers and the gradient of an energy."""
    nuclei = [[3.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 2.0]]
    spins = (3, 0) if request.param == "one spin" else (2, 2)
    problem = make_tiny(
        nuclei, *spins, jastrow="electron_cusp", spin_symmetric=request.param == "spin_symmetric"
    )
    params = any_params(problem)
    shape = (32, sum(spins), 3)
    electrons = jnp.asarray(np.random.default_rng(1).normal(size=shape))
    return problem, params, electrons


def test_kfac_has_a_block_for_every_parameter(layered):
    problem, params, electrons = layered
    layers = find_layers(problem.ansatz.layered, params, electrons[0], problem.nuclei)
    sizes: dict[str, int] = {}
    for _, kind, size in block_table(params, layers):
        sizes[kind] = sizes.get(kind, 0) + size

    def size(*names: str) -> int:
        return sum(leaf.size for name in names for leaf in jax.tree.leaves(params[name]))

    assert sizes == {
        "dense, shared inputs": size("one_electron"),
        "dense": size("two_electron", "orbitals"),
        "diagonal": size("envelopes", "jastrow"),
    }


@needs_kfac_jax
@pytest.mark.slow
@pytest.mark.parametrize(("interval", "n_updates"), [(1, 1), (1, 3), (2, 2)])
def test_kfac_of_layers_agrees_with_kfac_jax(layered, interval, n_updates):
    # The same wavefunction without declared layers: kfac-jax finds the pattern in every row.
    # (With inverses kept for two iterations, the second uses those of the first.)
    problem, params, electrons = layered

    def plainly(params, electrons, nuclei):
        def register(outputs, weights, inputs):
            if inputs.shared is None:
                return inputs.own @ weights["weight"] + weights["bias"]
            seen = jnp.repeat(inputs.shared, np.array(inputs.groups), axis=0)
            first, last = jnp.split(inputs.own, [inputs.shared_offset], axis=-1)
            rows = jnp.concatenate([first, seen, last], axis=-1)
            return rows @ weights["weight"] + weights["bias"]

        return problem.ansatz.layered(params, electrons, nuclei, register)

    direction, _ = of_layers(
        problem, params, electrons, n_updates, damping=1e-3, inverse_interval=interval
    )
    plain = problem._replace(ansatz=problem.ansatz._replace(apply=plainly, layered=None))
    start = params, electrons, gradient_of(problem, params, electrons)
    expected = preconditioned_by_kfac_jax(plain, start, 1e-3, n_updates, inverse_interval=interval)
    for name in ("one_electron", "two_electron", "orbitals"):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-12),
            direction[name],
            expected[name],
        )


def test_other_parameters_have_the_exact_mean_of_squares(layered):
    problem, params, electrons = layered
    damping = 1e-3
    direction, _ = of_layers(problem, params, electrons, damping=damping)

    def logabs(params, walker):
        return problem.ansatz.apply(params, walker, problem.nuclei).logabs

    slopes = jax.jit(jax.vmap(jax.grad(logabs), (None, 0)))(params, electrons)
    gradient = gradient_of(problem, params, electrons)
    for name in ("envelopes", "jastrow"):
        squares = jax.tree.map(lambda leaf: 4.0 * jnp.mean(leaf**2, axis=0), slopes[name])
        expected = jax.tree.map(lambda g, s: g / (s + damping), gradient[name], squares)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-13),
            direction[name],
            expected,
        )


def test_changes_of_layers_are_those_of_the_wavefunction(layered):
    problem, params, electrons = layered
    direction, change = of_layers(problem, params, electrons)
    expected = changes(problem, params, electrons, direction)
    np.testing.assert_allclose(change, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("influence", [0.0, 0.5])
@pytest.mark.parametrize("norm", ["walkers", "estimate"])
def test_a_step_has_the_norm_that_limits_it(layered, norm, influence):
    """The estimate is d^T g = d^T (F + damping) d. A bounded influence changes the gradient."""
    problem, params, electrons = layered
    weights = weights_of(electrons)
    if influence:
        _, free = of_layers(problem, params, electrons)
        weights = bounded_weights(weights, free, influence)
    limit = {"learning_rate": 1.0, "norm_constraint": 1e-8, "step_norm": norm}
    moved = one_update((problem, params, electrons), influence=influence, **limit)
    step = jax.tree.map(jnp.subtract, moved, params)
    direction, change = of_layers(problem, params, electrons, weights=weights)
    gradient = gradient_of_energy(problem.ansatz, params, electrons, problem.nuclei, weights)
    products = sum(map(jnp.vdot, jax.tree.leaves(direction), jax.tree.leaves(gradient)))
    squared = float(products if norm == "estimate" else 4.0 * jnp.var(change))
    assert squared > 1e-8
    jax.tree.map(
        lambda s, d: np.testing.assert_allclose(
            s, -((1e-8 / squared) ** 0.5) * d, rtol=1e-6, atol=1e-13
        ),
        *(step, direction),
    )


def test_both_forms_of_kfac_limit_a_step_by_the_estimate(make_tiny, any_params):
    """With and without declared layers a step of KFAC is shortened by the same factor."""
    problem = make_tiny([[3.0, 0.0, 0.0, 0.0]], 2, 1)
    electrons = jnp.asarray(np.random.default_rng(1).normal(size=(32, 3, 3)))
    for declared in (True, False):
        ansatz = problem.ansatz if declared else problem.ansatz._replace(layered=None)
        case = (problem._replace(ansatz=ansatz), any_params(problem), electrons)
        free = one_update(case, learning_rate=1e-2, norm_constraint=1e10)
        more = {"learning_rate": 1e-2, "norm_constraint": 1e-8, "step_norm": "estimate"}
        limited = one_update(case, **more)
        step, short = (jax.tree.map(jnp.subtract, moved, case[1]) for moved in (free, limited))
        gradient = gradient_of(case[0], case[1], electrons)
        products = sum(map(jnp.vdot, jax.tree.leaves(step), jax.tree.leaves(gradient)))
        factor = (1e-8 / float(-1e-2 * products)) ** 0.5
        assert factor < 1.0
        jax.tree.map(
            lambda s, d, factor=factor: np.testing.assert_allclose(s, factor * d, rtol=1e-5),
            short,
            step,
        )


def changes(problem, params, electrons, step):
    """The change of log|psi| of each walker along a step."""
    logabs_of = lambda p: batched_logabs(problem.ansatz, p, problem.nuclei)(electrons)  # noqa: E731
    return jax.jvp(logabs_of, (params,), (step,))[1]


def next_to_a_node(problem, params, electrons):
    """Electrons between two walkers of opposite signs, by bisection."""
    sign = jax.jit(lambda walker: problem.ansatz.apply(params, walker, problem.nuclei).sign)
    signs = np.array([float(sign(walker)) for walker in electrons])
    left, right = electrons[np.argmax(signs > 0)], electrons[np.argmax(signs < 0)]
    for _ in range(10):
        middle = 0.5 * (left + right)
        left, right = (middle, right) if float(sign(middle)) > 0 else (left, middle)
    return left


@pytest.mark.slow
@pytest.mark.parametrize("layers_are_declared", [True, False])
def test_no_walker_dominates_a_step(make_tiny, any_params, layers_are_declared):
    # A walker next to a node, where the derivatives of log|psi| are large. The explicit computation
    # is this: step, change of each walker, weights cut accordingly, step.
    problem = make_tiny([[3.0, 0.0, 0.0, 0.0]], 3, 0)
    params = any_params(problem)
    electrons = np.random.default_rng(1).normal(size=(64, 3, 3))
    electrons[5] = next_to_a_node(problem, params, electrons)
    electrons = jnp.asarray(electrons)
    if not layers_are_declared:
        problem = problem._replace(ansatz=problem.ansatz._replace(layered=None))
    limit, rate, options = 5.0, 1.0, {"damping": 1e-3, "norm_constraint": 1e10}

    def stepped(weights, **more):
        settings = config("kfac", learning_rate=rate, **options, **more)
        optimizer = make_optimizer(settings, problem.ansatz)
        state = optimizer.init(jax.random.key(0), params, electrons, problem.nuclei)
        moved, _ = jax.jit(optimizer.update)(
            jax.random.key(1), weights, state, params, electrons, problem.nuclei, jnp.asarray(0)
        )
        step = jax.tree.map(jnp.subtract, moved, params)
        return step, changes(problem, params, electrons, step)

    weights = weights_of(electrons)
    _, free = stepped(weights)
    bounded, cut = stepped(weights, influence=limit)
    expected, _ = stepped(bounded_weights(weights, free, limit))
    deviations = jnp.abs(free - jnp.median(free))
    assert float(deviations[5]) > 3.0 * limit * float(jnp.mean(deviations))
    assert float(jnp.abs(cut[5])) < 0.5 * float(jnp.abs(free[5]))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-14), bounded, expected
    )


def test_a_layer_without_slopes_stays_while_others_move(layered):
    problem, params, electrons = layered
    first = params["one_electron"][0]
    # tanh is 1 to the last bit: no derivative is left of the first layer.
    dead = {**first, "bias": 1e4 + jnp.zeros_like(first["bias"])}
    saturated = {**params, "one_electron": [dead, *params["one_electron"][1:]]}
    direction, change = of_layers(problem, saturated, electrons, damping=1e-3)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(direction))
    assert float(jnp.var(change)) > 0.0
    moved = {name: float(jnp.max(jnp.abs(x))) for name, x in direction["one_electron"][0].items()}
    assert moved == {"weight": 0.0, "bias": 0.0}
    assert float(jnp.max(jnp.abs(direction["orbitals"][0]["weight"]))) > 0.0


def one_update(layered, **more):
    """Parameters after one step of the optimiser that training has."""
    problem, params, electrons = layered
    optimizer = make_optimizer(config("kfac", covariance_decay=0.99, **more), problem.ansatz)
    state = optimizer.init(jax.random.key(0), params, electrons, problem.nuclei)
    moved, _ = jax.jit(optimizer.update)(
        jax.random.key(1),
        weights_of(electrons),
        state,
        params,
        electrons,
        problem.nuclei,
        jnp.asarray(0),
    )
    return moved


def test_the_step_is_minus_the_rate_times_the_direction(layered):
    problem, params, electrons = layered
    direction, _ = of_layers(problem, params, electrons, damping=1e-3)
    moved = one_update(layered, damping=1e-3, learning_rate=1e-4, norm_constraint=1e10)
    jax.tree.map(
        lambda p, d, m: np.testing.assert_allclose(m - p, -1e-4 * d, rtol=1e-6, atol=1e-15),
        params,
        direction,
        moved,
    )


@pytest.mark.slow
def test_the_step_is_shortened_to_the_constraint(layered):
    # Over the walkers log|psi|^2 changes by the root of the constraint, whatever the rate.
    problem, params, electrons = layered
    constraint = 1e-6
    moved = one_update(layered, learning_rate=100.0, norm_constraint=constraint)
    before, after = (
        batched_logabs(problem.ansatz, p, problem.nuclei)(electrons) for p in (params, moved)
    )
    assert 4.0 * np.var(np.asarray(after - before)) == pytest.approx(constraint, rel=1e-2)
