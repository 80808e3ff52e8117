"""Levenberg and Marquardt's method against explicit least squares, and its rules of the damping."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.vmc import least_squares
from ferminet.vmc.least_squares import (
    FIRST_DAMPING,
    LARGEST_DAMPING,
    LEAST_DAMPING,
    METHOD,
    LeastSquaresState,
)


def fit(residuals, params, n_steps):
    """The parameters and the sums of squares after each step, with the last state."""
    advance = jax.jit(lambda params, state: METHOD.step(residuals, params, state))
    state, losses = METHOD.init(params), []
    for _ in range(n_steps):
        params, state, loss = advance(params, state)
        losses.append(float(loss))
    return params, state, losses


def test_a_linear_problem_is_solved_in_a_few_steps():
    """Six parameters in two arrays: ten conjugate-gradient iterations solve each system."""
    rng = np.random.default_rng(0)
    matrix, right = rng.normal(size=(40, 6)), rng.normal(size=40)
    start = {"a": jnp.zeros(2), "b": jnp.zeros((2, 2))}
    flat = lambda p: jnp.concatenate([p["a"], p["b"].ravel()])  # noqa: E731
    params, _, losses = fit(lambda p: matrix @ flat(p) - right, start, 5)
    expected, (least,), *_ = np.linalg.lstsq(matrix, right)
    # A step leaves the damping's share of the error, 1e-2 / 40, and the conjugate gradients'
    # tolerance, 1e-5; started from nine tenths of the last step they leave more.
    np.testing.assert_allclose(flat(params), expected, rtol=0.0, atol=1e-8)
    assert losses[0] == pytest.approx(right @ right)
    assert losses[1] == pytest.approx(least, rel=1e-6)
    assert losses[-1] == pytest.approx(least, rel=1e-12)


def test_the_steps_are_those_of_the_explicit_normal_equations():
    rng = np.random.default_rng(1)
    matrix, right = rng.normal(size=(9, 4)), rng.normal(size=9)
    residuals = lambda p: matrix @ jnp.tanh(p) - right  # noqa: E731
    params, state = jnp.full(4, 0.1), LeastSquaresState(jnp.zeros(4), jnp.asarray(0.5))
    moved, after, loss = METHOD.step(residuals, params, state)
    jacobian = np.asarray(jax.jacobian(residuals)(params))
    values = np.asarray(residuals(params))
    step = np.linalg.solve(jacobian.T @ jacobian + 0.5 * np.eye(4), -jacobian.T @ values)
    np.testing.assert_allclose(moved - params, step, rtol=1e-5)  # their tolerance
    np.testing.assert_allclose(after.step, step, rtol=1e-5)
    assert float(loss) == pytest.approx(values @ values)


# Residuals 1 + slope x + bend x^2 / 2 at x = 0, without damping: the step is -1 / slope. With the
# linear model exact to the last bit, (1 - after) / (1 - predicted) is 1 - (bend / 2 slope^2)^2.
@pytest.mark.parametrize(
    ("bend", "factor"), [(0.0, 0.7), (0.9, 0.7), (1.2, 1.0), (1.6, 1.0), (1.9, 2.0)]
)
def test_the_damping_follows_the_agreement_with_the_linear_model(bend, factor):
    state = LeastSquaresState(jnp.zeros(1), jnp.asarray(1e-6))
    moved, after, _ = METHOD.step(lambda x: 1.0 + x + 0.5 * bend * x**2, jnp.zeros(1), state)
    assert float(moved[0]) == pytest.approx(-1.0, abs=1e-5)
    assert float(after.damping) == pytest.approx(factor * 1e-6)


@pytest.mark.parametrize("bend", [2.5, np.nan])
def test_a_step_that_does_not_lower_the_squares_changes_only_the_damping(bend):
    params = {"x": jnp.zeros(1)}
    state = METHOD.init(params)
    # (Not a number times x^2: at the start the residual is finite, and its slope.)
    residuals = lambda p: 1.0 + p["x"] + jnp.where(p["x"] == 0.0, 0.0, bend) * p["x"] ** 2  # noqa: E731
    moved, after, loss = METHOD.step(residuals, params, state)
    assert float(moved["x"][0]) == float(after.step["x"][0]) == 0.0
    assert float(after.damping) == 2.0 * FIRST_DAMPING
    assert float(loss) == 1.0


def test_the_damping_has_a_least_and_a_largest_value():
    state = LeastSquaresState(jnp.zeros(1), jnp.asarray(1.2 * LEAST_DAMPING))
    _, after, _ = METHOD.step(lambda x: x - 1.0, jnp.zeros(1), state)
    assert float(after.damping) == LEAST_DAMPING
    state = LeastSquaresState(jnp.zeros(1), jnp.asarray(0.6 * LARGEST_DAMPING))
    _, after, _ = METHOD.step(lambda x: jnp.ones(1), jnp.zeros(1), state)  # nothing lowers it
    assert float(after.damping) == LARGEST_DAMPING


def test_rosenbrocks_curved_valley_is_followed_to_its_end():
    residuals = lambda x: jnp.stack([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]])  # noqa: E731
    params, _, losses = fit(residuals, jnp.asarray([-1.2, 1.0]), 60)
    np.testing.assert_allclose(params, [1.0, 1.0], rtol=1e-9)
    assert all(after <= before for before, after in pairwise(losses))


def test_conjugate_gradients_start_from_most_of_the_last_step(monkeypatch):
    """Without iterations of their own they return their start."""
    monkeypatch.setattr(least_squares, "CG_ITERATIONS", 0)
    state = LeastSquaresState(jnp.asarray([0.5]), jnp.asarray(1e-3))
    moved, after, _ = METHOD.step(lambda x: x - 1.0, jnp.zeros(1), state)
    assert float(moved[0]) == float(after.step[0]) == pytest.approx(0.45)
