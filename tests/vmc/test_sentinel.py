"""The sampling sentinel <3N + 2 sum r . grad log|psi|> = 0 detects wrong sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.vmc import sampling
from ferminet.vmc.observables import scaling_sentinel
from ferminet.vmc.statistics import walker_estimate, z_score

N_WALKERS, N_SWEEPS, STEPS = 1024, 80, 3


@pytest.fixture
def sentinel_z(make_hydrogenic, hydrogen_walkers):
    """The z-score of the sentinel over a run that starts in equilibrium."""
    problem = make_hydrogenic(1.0, 1.0)
    params = {"zeta": jnp.asarray(1.0)}
    logabs = sampling.batched_logabs(problem.ansatz, params, problem.nuclei)
    moves = sampling.Moves(problem.nuclei, jnp.asarray(0.5), 1, 0.0)

    def z(electrons=None, n_sweeps: int = N_SWEEPS) -> float:
        def one(electrons, key):
            walkers, _ = sampling.sweep(key, electrons, logabs, moves, STEPS)
            measure = jax.vmap(
                lambda walker: scaling_sentinel(problem.ansatz, params, walker, problem.nuclei)
            )
            return walkers.electrons, measure(walkers.electrons)

        start = hydrogen_walkers(N_WALKERS, 1.0, 9) if electrons is None else electrons
        keys = jax.random.split(jax.random.key(21), n_sweeps)
        _, values = jax.jit(lambda e: jax.lax.scan(one, e, keys))(start)
        return z_score(walker_estimate(np.asarray(values)), 0.0)

    return z


def test_the_sentinel_is_zero_for_correct_sampling(sentinel_z):
    assert abs(sentinel_z()) < 4.0


def test_the_sentinel_detects_a_stale_log_psi(sentinel_z, mutate):
    # The cache is of parameters that have moved since: zeta was 1.2 and is 1.
    def stale(electrons):
        return -1.2 * jnp.linalg.norm(electrons[:, 0], axis=-1)

    mutate(
        sampling.sweep,
        "Walkers(electrons, logabs(electrons))",
        "Walkers(electrons, stale(electrons))",
        stale=stale,
    )
    assert abs(sentinel_z()) > 5.0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("log_ratio > log_uniform", "log_ratio < log_uniform"),
        ("log_ratio = 2.0 * (", "log_ratio = ("),
        ("2.0 * (proposed_logabs - walkers.logabs)", "2.0 * (walkers.logabs - proposed_logabs)"),
    ],
    ids=["flipped rule", "missing square", "inverted ratio"],
)
def test_the_sentinel_detects_a_wrong_acceptance(sentinel_z, mutate, old, new):
    right = sentinel_z(n_sweeps=10)
    mutate(sampling.metropolis_step, old, new)
    # Walkers that are driven outwards spread over decades, and their scatter soon swamps the mean:
    # a few sweeps show them best.
    assert abs(right) < 4.0
    assert abs(sentinel_z(n_sweeps=10)) > 5.0


def test_the_sentinel_detects_walkers_out_of_equilibrium(sentinel_z, hydrogen_walkers):
    assert abs(sentinel_z(5.0 * hydrogen_walkers(N_WALKERS, 1.0, 9))) > 5.0
