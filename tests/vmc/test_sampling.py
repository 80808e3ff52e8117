"""The sampler: exact moments, detailed balance, starts, step sizes.

Moments are judged by z = (mean - exact) / standard error with the error from the means of single
walkers, which are independent. |z| < 4 fails by chance in 6 of 100,000 cases; keys are fixed.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz.base import Ansatz, LogPsi
from ferminet.config import SamplerConfig
from ferminet.vmc import sampling
from ferminet.vmc.programs import burn_in, make_sweep
from ferminet.vmc.statistics import z_score
from tests.helpers.sampling import MAX_Z, N_WALKERS, moments


def radial(electrons):
    r = jnp.linalg.norm(electrons[0])
    return {"r": r, "r^2": r**2, "1/r": 1.0 / r}


HYDROGEN = {"r": 1.5, "r^2": 3.0, "1/r": 1.0}


@pytest.fixture
def hydrogen(make_hydrogenic, hydrogen_walkers):
    problem = make_hydrogenic(1.0, 1.0)
    params = problem.ansatz.init(jax.random.key(0), problem.nuclei)
    return problem, params, hydrogen_walkers(N_WALKERS, 1.0, 3)


def test_moments_of_hydrogen_are_exact(hydrogen):
    _, estimates, info = moments(*hydrogen, radial, 0.5)
    assert 0.2 < float(np.mean(info.acceptance)) < 0.9
    for name, exact in HYDROGEN.items():
        # Small enough to mean something: 1.5 % of the value.
        assert estimates[name].error < 0.015 * exact
        assert abs(z_score(estimates[name], exact)) < MAX_Z, name


def test_moments_are_exact_after_a_wrong_start(hydrogen):
    problem, params, electrons = hydrogen
    far, _, _ = moments(problem, params, 4.0 * electrons, radial, 0.5, steps=4)
    _, estimates, _ = moments(problem, params, far, radial, 0.5)
    for name, exact in HYDROGEN.items():
        assert abs(z_score(estimates[name], exact)) < MAX_Z, name


def test_the_moments_detect_a_missing_hastings_term(hydrogen, mutate):
    mutate(
        sampling.propose_displacement,
        "jnp.sum(log_ratio, axis=-1)",
        "jnp.zeros_like(jnp.sum(log_ratio, axis=-1))",
    )
    _, estimates, _ = moments(*hydrogen, radial, 0.5)
    assert max(abs(z_score(estimates[n], exact)) for n, exact in HYDROGEN.items()) > 10.0


def test_hastings_term_is_the_ratio_of_the_proposal_densities(make_nuclei):
    nuclei = make_nuclei([[3.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 3.0]])
    here = np.random.default_rng(0).normal(scale=1.5, size=(50, 4, 3))
    step = 0.4
    there, log_ratio = sampling.propose_displacement(
        jax.random.key(1), jnp.asarray(here), nuclei, jnp.asarray(step)
    )
    there = np.asarray(there)

    def log_density(start, end):
        lengths = np.linalg.norm(start[:, :, None] - np.asarray(nuclei.coords), axis=-1)
        width = step * np.min(lengths + 1.0 / np.asarray(nuclei.charges), axis=-1)
        squares = np.sum((end - start) ** 2, axis=-1)
        return np.sum(-3.0 * np.log(width) - 0.5 * squares / width**2, axis=-1)

    expected = log_density(there, here) - log_density(here, there)
    np.testing.assert_allclose(log_ratio, expected, atol=1e-10)
    assert np.std(expected) > 0.1


def test_moves_to_non_finite_values_are_rejected(make_hydrogenic):
    def walled(params, electrons, nuclei):
        del params, nuclei
        r = jnp.linalg.norm(electrons[0])
        return LogPsi(jnp.ones(()), jnp.where(r < 1.0, -r, jnp.nan))

    problem = make_hydrogenic(1.0, 1.0)
    problem = problem._replace(ansatz=Ansatz(lambda key, nuclei: {}, walled))
    start = jnp.full((N_WALKERS, 1, 3), 0.2)
    final, _, info = moments(problem, {}, start, radial, 0.5)
    assert float(jnp.max(jnp.linalg.norm(final, axis=-1))) < 1.0
    assert 0.05 < float(np.mean(info.acceptance)) < 0.95


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_uniform_number_of_zero_accepts_no_forbidden_move(make_nuclei, monkeypatch, dtype):
    """Zero occurs once in 2^23 draws; its logarithm is less than that of every ratio."""
    nuclei = make_nuclei([[1.0, 0, 0, 0]])
    smallest = jnp.finfo(dtype).eps  # among the positive draws
    zeros = lambda key, shape, dtype: jnp.zeros(shape, dtype)  # noqa: E731
    monkeypatch.setattr(jax.random, "uniform", zeros)
    start = jnp.zeros((4, 1, 3), dtype)
    for factor, accepted in ((0.25, False), (1.0, True)):
        # log|psi| falls by half the logarithm of `factor * smallest` in every move.
        fall = 0.5 * jnp.log(jnp.asarray(factor * smallest, dtype))
        walkers = sampling.Walkers(start, jnp.zeros(4, dtype))
        moves = sampling.Moves(nuclei, jnp.asarray(1e-12, dtype), 1, 0.0)
        logabs = lambda electrons, fall=fall: jnp.full(len(electrons), fall)  # noqa: E731
        new, _ = sampling.metropolis_step(jax.random.key(0), walkers, logabs, moves)
        assert bool(jnp.all(new.logabs == (fall if accepted else 0.0)))


# Rows of nuclei, n_up, n_down, allowed numbers of electrons at each nucleus.
STARTS = {
    "LiH": ([[3.0, 0, 0, 0], [1.0, 0, 0, 50.0]], 2, 2, ({3}, {1})),
    "Li": ([[3.0, 0, 0, 0]], 2, 1, ({3},)),
    "H2+": ([[1.0, 0, 0, 0], [1.0, 0, 0, 50.0]], 1, 0, ({0, 1}, {0, 1})),
    "LiH+": ([[3.0, 0, 0, 0], [1.0, 0, 0, 50.0]], 2, 1, ({2, 3}, {0, 1})),
    "LiH-": ([[3.0, 0, 0, 0], [1.0, 0, 0, 50.0]], 3, 2, ({3, 4}, {1, 2})),
    "H-": ([[1.0, 0, 0, 0]], 1, 1, ({2},)),
}


@pytest.mark.parametrize("system", STARTS)
def test_each_nucleus_starts_with_the_right_number_of_electrons(make_nuclei, system):
    rows, n_up, n_down, allowed = STARTS[system]
    nuclei = make_nuclei(rows)
    start = jax.jit(lambda key: sampling.init_walkers(key, nuclei, n_up, n_down, 500))
    electrons = start(jax.random.key(4))
    assert electrons.shape == (500, n_up + n_down, 3)
    distances = np.linalg.norm(electrons[:, :, None] - nuclei.coords, axis=-1)
    assert distances.min(axis=2).max() < 5.0  # a cloud of 0.8 bohr
    home = distances.argmin(axis=2)
    counts = [set(np.sum(home == nucleus, axis=1)) for nucleus in range(len(rows))]
    assert counts == list(allowed)  # each allowed number occurs, no other


def test_walkers_start_in_every_arrangement_of_the_spins(make_nuclei):
    nuclei = make_nuclei([[1.0, 0, 0, 50.0 * i] for i in range(4)])
    n_walkers = 3000
    start = jax.jit(lambda key: sampling.init_walkers(key, nuclei, 2, 2, n_walkers))
    electrons = start(jax.random.key(5))
    home = np.rint(np.asarray(electrons[:, :, 2]) / 50.0).astype(int)
    arrangements, counts = np.unique(np.sort(home[:, :2], axis=1), axis=0, return_counts=True)
    assert len(arrangements) == 6  # places of the two up electrons on four atoms
    z = (counts / n_walkers - 1 / 6) / np.sqrt(5 / 36 / n_walkers)
    assert np.abs(z).max() < MAX_Z


def test_the_extra_electron_of_an_anion_may_have_either_spin(make_nuclei):
    # H2-, two up and one down: of the three electrons each is equally often alone at its nucleus.
    nuclei = make_nuclei([[1.0, 0, 0, 0], [1.0, 0, 0, 50.0]])
    n_walkers = 2000
    start = jax.jit(lambda key: sampling.init_walkers(key, nuclei, 2, 1, n_walkers))
    home = np.rint(np.asarray(start(jax.random.key(7))[:, :, 2]) / 50.0).astype(int)
    down_is_alone = home[:, 0] == home[:, 1]
    assert set(home.sum(axis=1)) == {1, 2}
    z = (down_is_alone.mean() - 1 / 3) / np.sqrt(2 / 9 / n_walkers)
    assert abs(z) < MAX_Z


@pytest.mark.parametrize(("step_size", "target"), [(0.003, 0.5), (20.0, 0.7)])
def test_burn_in_brings_the_step_size_to_its_target(hydrogen, step_size, target):
    problem, params, electrons = hydrogen
    config = SamplerConfig(walkers=N_WALKERS, decorrelation_steps=5, target_acceptance=target)
    sweep = make_sweep(problem, config.exchange_probability)
    keys = jax.random.split(jax.random.key(6), 80)
    start, acceptances = jnp.asarray(step_size), []

    def recorded(*arguments):
        electrons, info = sweep(*arguments)
        acceptances.append(info.acceptance)
        return electrons, info

    _, size = burn_in(recorded, config, keys, params, electrons, start, problem.nuclei)
    assert abs(acceptances[0] - target) > 0.2
    assert np.mean(np.asarray(acceptances[-10:])) == pytest.approx(target, abs=0.03)
    assert 0.05 < float(size) < 3.0


def test_step_size_grows_if_too_many_moves_are_accepted():
    size = jnp.asarray(0.2, jnp.float32)
    grown = sampling.adapt_step_size(size, jnp.asarray(0.9), 0.5, 0.1)
    shrunk = sampling.adapt_step_size(size, jnp.asarray(0.1), 0.5, 0.1)
    assert float(grown) == pytest.approx(0.2 * np.exp(0.04))
    assert float(shrunk) == pytest.approx(0.2 * np.exp(-0.04))
    assert grown.dtype == jnp.float32
