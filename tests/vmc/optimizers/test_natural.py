"""The natural gradient by conjugate gradients, compared with explicit matrices and with SPRING.

Twins solve their systems to rounding: the tolerance and the number of iterations are then no limit.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core
from jax.flatten_util import ravel_pytree

from ferminet.ansatz import ferminet
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.vmc.optimizers import natural
from ferminet.vmc.optimizers.base import bounded_weights, learning_rate_schedule, make_optimizer
from ferminet.vmc.optimizers.layered import as_leaves, find_layers
from tests.helpers.optimizers import (
    config,
    fisher_of,
    gradient_of,
    slopes_of,
    weights_of,
)

# F has eigenvalues between 0 and some thousands. With less damping the conjugate gradients need
# thousands of iterations, of walkers that do not follow |psi|^2.
DAMPING, MOMENTUM = 1.0, 0.9
# Of the residual's norm; the solution's error is at most the condition number (1e4) times larger.
SOLVED, EXACT = 1e-12, 1e-7


@pytest.fixture(scope="module")
def start(make_tiny, any_params):
    """A FermiNet with declared layers, its parameters, and three sets of walkers."""
    problem = make_tiny([[2.0, 0.0, 0.0, 0.0]], 1, 1, layers=1, determinants=1)
    walkers = np.random.default_rng(1).normal(size=(3, 24, 2, 3))
    return problem, any_params(problem), jnp.asarray(walkers)


@pytest.fixture
def solved(monkeypatch):
    """Settings with which the conjugate gradients are exact; a step has no limit."""
    monkeypatch.setattr(natural, "TOLERANCE", SOLVED)
    return {"cg_iterations": 2000, "damping": DAMPING, "norm_constraint": 1e10}


def run(problem, params, walkers, name="natural", *, moving=False, first=0, **more):
    """Do an update with each set of walkers; return all new parameters and states.

    Unless it is moving, each update starts from the same parameters.
    """
    optimizer = make_optimizer(config(name, **more), problem.ansatz)
    update = jax.jit(optimizer.update)
    state = optimizer.init(jax.random.key(0), params, walkers[0], problem.nuclei)
    moved, states = [], []
    for index, electrons in enumerate(walkers, start=first):
        arguments = (weights_of(electrons), state, params, electrons, problem.nuclei)
        new, state = update(jax.random.key(index), *arguments, jnp.asarray(index))
        params = new if moving else params
        moved.append(new)
        states.append(state)
    return moved, states


def flat(tree):
    return np.asarray(ravel_pytree(tree)[0])


def assert_agree(found, expected, tolerance=EXACT):
    assert np.linalg.norm(found - expected) < tolerance * np.linalg.norm(expected)


def directions(problem, params, walkers, **more):
    """The direction of each update, (updates, parameters)."""
    layers = find_layers(problem.ansatz.layered, params, walkers[0][0], problem.nuclei)
    _, states = run(problem, params, walkers, **more)
    return [flat(as_leaves(state.direction, layers)) for state in states]


def steps(problem, params, walkers, *args, **more):
    """What each update adds to the same parameters."""
    moved, _ = run(problem, params, walkers, *args, **more)
    return [flat(new) - flat(params) for new in moved]


def test_the_direction_solves_the_damped_system_with_memory(start, solved):
    problem, params, walkers = start
    last = 0.0
    for electrons, found in zip(
        walkers, directions(*start, momentum=MOMENTUM, **solved), strict=True
    ):
        fisher = fisher_of(slopes_of(problem, params, electrons))
        damped = fisher + DAMPING * np.eye(len(fisher))
        right = flat(gradient_of(problem, params, electrons)) + DAMPING * MOMENTUM * last
        assert_agree(found, np.linalg.solve(damped, right))
        last = found


def test_the_steps_are_springs(start, solved):
    more = {"momentum": MOMENTUM, "learning_rate": 1e-2, "learning_rate_decay": 0.0, **solved}
    ours, _ = run(*start, moving=True, **more)
    theirs, _ = run(*start, "spring", moving=True, **more)
    for moved, other in zip(ours, theirs, strict=True):
        assert_agree(flat(moved) - flat(start[1]), flat(other) - flat(start[1]))


def test_memory_divides_the_damping_where_nothing_changes(start, solved):
    problem, params, (electrons, *_) = start
    momentum, n_updates = 0.5, 30  # the start is forgotten like 2^-30 = 1e-9
    found = directions(problem, params, [electrons] * n_updates, momentum=momentum, **solved)[-1]
    fisher = fisher_of(slopes_of(problem, params, electrons))
    damped = fisher + DAMPING * (1.0 - momentum) * np.eye(len(fisher))
    expected = np.linalg.solve(damped, flat(gradient_of(problem, params, electrons)))
    assert_agree(found, expected)


def test_one_iteration_is_kfacs_direction_with_an_exact_line_search(start):
    problem, params, walkers = start
    more = {"damping": DAMPING, "norm_constraint": 1e10, "learning_rate": 1.0}
    (kfac,) = steps(problem, params, walkers[:1], "kfac", **more)
    (found,) = steps(problem, params, walkers[:1], cg_iterations=1, **more)
    fisher = fisher_of(slopes_of(problem, params, walkers[0]))
    damped = fisher + DAMPING * np.eye(len(fisher))
    gradient = flat(gradient_of(problem, params, walkers[0]))
    length = -(kfac @ gradient) / (kfac @ damped @ kfac)
    assert abs(length - 1.0) > 0.1  # the search matters
    assert_agree(found, length * kfac)


def test_the_conjugate_gradients_stop_at_the_tolerance(start):
    """Of the residual's norm, unless they reach their largest number before."""
    problem, params, walkers = start
    fisher = fisher_of(slopes_of(problem, params, walkers[0]))
    gradient = flat(gradient_of(problem, params, walkers[0]))

    def residual(iterations):
        more = {"cg_iterations": iterations, "damping": DAMPING}
        (found,) = directions(problem, params, walkers[:1], **more)
        rest = gradient - fisher @ found - DAMPING * found
        return np.linalg.norm(rest) / np.linalg.norm(gradient)

    # They stop between 4 and 400.
    few, many = residual(4), residual(400)
    assert few > natural.TOLERANCE > many > 0.1 * natural.TOLERANCE


def squared_norms(start, **more):
    """The squared Fisher norm of the steps of three iterations."""
    problem, params, walkers = start
    return [
        step @ fisher_of(slopes_of(problem, params, electrons)) @ step
        for step, electrons in zip(steps(*start, **more), walkers, strict=True)
    ]


def test_a_steps_length_is_the_trust_regions_and_falls_with_the_schedule(start):
    more = {"learning_rate": 100.0, "learning_rate_delay": 2.0, "norm_constraint": 1e-6}
    schedule = learning_rate_schedule(config("natural", **more))
    for first in (0, 5):
        shares = [float(schedule(jnp.asarray(first + n))) / 100.0 for n in range(3)]
        found = squared_norms(start, first=first, **more)
        np.testing.assert_allclose(found, 1e-6 * np.square(shares), rtol=1e-6)


def test_a_small_rate_binds(start):
    more = {"learning_rate": 1e-5, "learning_rate_delay": 2.0, "norm_constraint": 1e-3}
    assert max(squared_norms(start, **more)) < 1e-4
    schedule = learning_rate_schedule(config("natural", **more))
    rates = [float(schedule(jnp.asarray(n))) for n in range(3)]
    for rate, step, direction in zip(
        rates, steps(*start, **more), directions(*start, **more), strict=True
    ):
        # The parameters are of order one, and the step a millionth: it has ten digits.
        assert_agree(step, -rate * direction, 1e-8)


def test_influence_bounds_walkers_by_their_change_in_kfacs_step(start, solved):
    problem, params, (electrons, *_) = start
    limit, more = 1.0, {"learning_rate": 1.0, **solved}
    (kfac,) = steps(problem, params, [electrons], "kfac", learning_rate=1.0, damping=DAMPING,
                    norm_constraint=1e10)  # fmt: skip
    slopes = slopes_of(problem, params, electrons)
    weights = weights_of(electrons)
    bounded = bounded_weights(weights, jnp.asarray(-slopes @ kfac), limit)
    assert float(jnp.max(jnp.abs(bounded - weights))) > 0.1 * float(jnp.max(jnp.abs(weights)))
    fisher = fisher_of(slopes)
    expected = np.linalg.solve(fisher + DAMPING * np.eye(len(fisher)), slopes.T @ bounded)
    (found,) = steps(problem, params, [electrons], influence=limit, **more)
    assert_agree(found, -expected)


def test_wavefunctions_without_declared_layers_take_the_same_steps(start, solved):
    problem, params, walkers = start
    undeclared = problem._replace(ansatz=problem.ansatz._replace(layered=None))
    more = {"learning_rate": 1.0, "momentum": MOMENTUM, **solved}
    for ours, theirs in zip(
        steps(problem, params, walkers[:2], **more),
        steps(undeclared, params, walkers[:2], **more),
        strict=True,
    ):
        assert_agree(ours, theirs)


def largest_array(program: core.Jaxpr) -> int:
    """The most elements that an equation of a program, or of one inside it, returns."""
    sizes = [np.prod(v.aval.shape) for equation in program.eqns for v in equation.outvars]
    inner = [
        largest_array(one.jaxpr if isinstance(one, core.ClosedJaxpr) else one)
        for equation in program.eqns
        for one in jax.tree.leaves(tuple(equation.params.values()))
        if isinstance(one, core.ClosedJaxpr | core.Jaxpr)
    ]
    return max([0, *map(int, sizes), *inner])


@pytest.mark.parametrize("name", ["natural", "spring"])
def test_no_array_has_walkers_times_parameters(name):
    """Not even those of one layer, in contrast to SPRING's."""
    network = {"layers": 2, "one_electron_width": 64, "two_electron_width": 8, "determinants": 2}
    ansatz = ferminet.build(AnsatzSpec(1, 1, 1), **network)
    n_walkers, key, number = 4096, jax.random.key(0), jax.ShapeDtypeStruct((), jnp.int32)
    shape = lambda *sizes: jax.ShapeDtypeStruct(sizes, jnp.float32)  # noqa: E731
    nuclei, electrons = Nuclei(shape(1, 3), shape(1)), shape(n_walkers, 2, 3)
    params = jax.eval_shape(ansatz.init, key, nuclei)
    leaves = [leaf.size for leaf in jax.tree.leaves(params)]
    assert sum(leaves) > 10_000
    optimizer = make_optimizer(config(name), ansatz)
    state = jax.eval_shape(optimizer.init, key, params, electrons, nuclei)
    arguments = (key, shape(n_walkers), state, params, electrons, nuclei, number)
    largest = largest_array(jax.make_jaxpr(optimizer.update)(*arguments).jaxpr)
    assert largest >= n_walkers * 6  # the electrons' derivatives: arrays were seen
    if name == "natural":
        assert largest < n_walkers * max(leaves)
    else:
        assert largest >= n_walkers * sum(leaves)
