"""The sampler: exact moments, detailed balance, exchanges, starts, step sizes.

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
from ferminet.vmc.statistics import walker_estimate, z_score

MAX_Z = 4.0
N_WALKERS = 2048
N_SWEEPS = 60


def moments(problem, params, electrons, quantities, step_size, exchange=0.0, steps=2, hop=0.0):
    """z-scores' raw material: walkers' means over sweeps of each quantity of ``quantities``.

    Compiled anew at each call, so that what a test has replaced is used.
    """
    moves = sampling.Moves(problem.nuclei, jnp.asarray(step_size), problem.n_up, exchange, hop)
    logabs = sampling.batched_logabs(problem.ansatz, params, problem.nuclei)

    @jax.jit
    def run(key, electrons):
        def one(electrons, one_key):
            walkers, info = sampling.sweep(one_key, electrons, logabs, moves, steps)
            return walkers.electrons, (jax.vmap(quantities)(walkers.electrons), info)

        return jax.lax.scan(one, electrons, jax.random.split(key, N_SWEEPS))

    final, (values, info) = run(jax.random.key(11), electrons)
    return final, {name: walker_estimate(np.asarray(v)) for name, v in values.items()}, info


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


def unlike_pair():
    """exp(-2 r_up - r_down) at one nucleus: exchanges must be weighed, <r> = 3/4 and 3/2."""

    def apply(params, electrons, nuclei):
        del params
        r = jnp.linalg.norm(electrons - nuclei.coords[0], axis=-1)
        return LogPsi(jnp.ones(()), -2.0 * r[0] - r[1])

    return Ansatz(lambda key, nuclei: {}, apply)


def pair_radii(electrons):
    r = jnp.linalg.norm(electrons, axis=-1)
    return {"up": r[0], "down": r[1]}


def pair_walkers(hydrogen_walkers):
    parts = [hydrogen_walkers(N_WALKERS, zeta, seed) for zeta, seed in ((2.0, 5), (1.0, 6))]
    return jnp.concatenate(parts, axis=1)


def test_exchanges_preserve_the_distribution(make_hydrogenic, hydrogen_walkers):
    problem = make_hydrogenic(1.0, 1.0)._replace(ansatz=unlike_pair(), n_up=1, n_down=1)
    start = pair_walkers(hydrogen_walkers)
    _, estimates, info = moments(problem, {}, start, pair_radii, 0.4, exchange=0.5)
    accepted = float(np.mean(info.exchange_acceptance))
    assert 0.1 < accepted < 0.9  # some are refused, some are not
    assert abs(z_score(estimates["up"], 0.75)) < MAX_Z
    assert abs(z_score(estimates["down"], 1.5)) < MAX_Z


def test_a_proposal_is_one_exchange_or_one_displacement(make_nuclei):
    nuclei = make_nuclei([[3.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 3.0]])
    here = np.random.default_rng(3).normal(size=(400, 5, 3))
    moves = sampling.Moves(nuclei, jnp.asarray(0.3), 3, 0.25)
    proposal = sampling.propose(jax.random.key(2), jnp.asarray(here), moves)
    there, is_exchange = np.asarray(proposal.electrons), np.asarray(proposal.is_exchange)
    z = (is_exchange.mean() - 0.25) / np.sqrt(0.25 * 0.75 / 400)
    assert abs(z) < MAX_Z
    # An exchange is its own reverse: no correction.
    np.testing.assert_array_equal(np.asarray(proposal.log_ratio)[is_exchange], 0.0)
    assert np.all(np.asarray(proposal.log_ratio)[~is_exchange] != 0.0)
    moved = np.any(there != here, axis=2)
    assert moved[~is_exchange].all()
    pairs = set()
    for before, after, changed in zip(
        here[is_exchange], there[is_exchange], moved[is_exchange], strict=True
    ):
        up, down = np.flatnonzero(changed)
        assert up < 3 <= down
        np.testing.assert_array_equal(after[[up, down]], before[[down, up]])
        pairs.add((up, down))
    assert len(pairs) == 6  # every pair of unlike spins


def unlike_atoms(nuclei):
    """Electrons of unlike atoms: psi = sum_A c_A exp(-zeta_A |r - R_A|) for each electron."""
    zeta, share = jnp.asarray([1.0, 1.5, 1.2]), jnp.asarray([1.0, 2.0, 0.5])

    def orbital(position):
        distances = jnp.linalg.norm(position - nuclei.coords, axis=-1)
        return jnp.sum(share * jnp.exp(-zeta * distances))

    def apply(params, electrons, nuclei):
        del params, nuclei
        return LogPsi(jnp.ones(()), jnp.sum(jnp.log(jax.vmap(orbital)(electrons))))

    return Ansatz(lambda key, nuclei: {}, apply), orbital


# Three atoms, not in the middle of each other: the chances of a hop and of its reverse differ.
ATOMS = [[1.0, 0.0, 0.0, -5.0], [1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 8.0]]


def share_at_atoms(nuclei, orbital):
    """The probability that an electron is nearest to each nucleus, by quadrature on a fine grid."""
    x, z = np.arange(0.05, 12.0, 0.1), np.arange(-17.0, 20.0, 0.05) + 0.025
    grid = np.stack(np.broadcast_arrays(x[:, None], 0.0, z), axis=-1).reshape(-1, 3)
    density = np.asarray(jax.vmap(orbital)(jnp.asarray(grid))) ** 2 * grid[:, 0]
    distances = np.linalg.norm(grid[:, None] - np.asarray(nuclei.coords), axis=-1)
    return np.bincount(np.argmin(distances, axis=1), density) / density.sum()


@pytest.mark.parametrize(("scale", "hop_probability"), [(1.0, 0.0), (1.0, 0.3), (0.3, 0.3)])
def test_hops_give_every_atom_its_share_of_electrons(
    make_nuclei, make_hydrogenic, scale, hop_probability
):
    nuclei = make_nuclei([[charge, *(scale * x for x in place)] for charge, *place in ATOMS])
    ansatz, orbital = unlike_atoms(nuclei)
    problem = make_hydrogenic(1.0, 1.0)._replace(ansatz=ansatz, nuclei=nuclei, n_up=2, n_down=0)
    start = jnp.asarray(np.random.default_rng(1).normal(size=(N_WALKERS, 2, 3)))  # all at one atom

    def nearest(electrons):
        distances = jnp.linalg.norm(electrons[0] - nuclei.coords, axis=-1)
        return {str(atom): 1.0 * (jnp.argmin(distances) == atom) for atom in range(3)}

    how = {"steps": 4, "hop": hop_probability}
    start, *_ = moments(problem, {}, start, nearest, 0.5, **how)
    _, estimates, _ = moments(problem, {}, start, nearest, 0.5, **how)
    exact = share_at_atoms(nuclei, orbital)
    zs = [z_score(estimates[str(atom)], share) for atom, share in enumerate(exact)]
    if hop_probability:
        assert max(map(abs, zs)) < MAX_Z
        assert all(estimates[str(atom)].error < 0.02 * exact[atom] for atom in (0, 1))
    else:  # electrons are still where they started
        assert max(map(abs, zs)) > 10.0


@pytest.mark.parametrize(
    ("right", "wrong", "scale"),
    [
        ("jnp.where(nearest(position) == new, log_ratio, -jnp.inf)", "log_ratio", 0.3),
        ("log_probability[new, old] - log_probability[old, new]", "0.0", 1.0),
    ],
)
def test_the_shares_detect_hops_that_are_not_reversible(
    make_nuclei, make_hydrogenic, mutate, right, wrong, scale
):
    mutate(sampling.hop, right, wrong)
    with pytest.raises(AssertionError):
        test_hops_give_every_atom_its_share_of_electrons(make_nuclei, make_hydrogenic, scale, 0.3)


def test_hops_and_exchanges_have_their_shares(make_nuclei):
    here = jnp.asarray(np.random.default_rng(3).normal(size=(2000, 4, 3)))
    moves = sampling.Moves(make_nuclei(ATOMS), jnp.asarray(0.3), 2, 0.3, 0.2)
    proposal = sampling.propose(jax.random.key(2), here, moves)
    is_exchange = np.asarray(proposal.is_exchange)
    is_hop = ~np.asarray(proposal.is_displacement) & ~is_exchange
    for found, share in ((is_exchange, 0.3), (is_hop, 0.2)):
        assert abs(found.mean() - share) / np.sqrt(share * (1.0 - share) / 2000) < MAX_Z
    moved = np.any(np.asarray(proposal.electrons) != np.asarray(here), axis=2).sum(axis=1)
    assert set(moved[is_hop]) == {1} and set(moved[is_exchange]) == {2}


def test_no_key_is_used_twice_in_a_sweep(make_nuclei, monkeypatch):
    keys = []

    def recorded(function):
        def wrapped(key, *args, **kwargs):
            keys.append(tuple(np.asarray(jax.random.key_data(key)).tolist()))
            return function(key, *args, **kwargs)

        return wrapped

    # Without compilation keys are numbers.
    for name in ("normal", "uniform", "bernoulli", "randint", "split"):
        monkeypatch.setattr(sampling.jax.random, name, recorded(getattr(jax.random, name)))
    nuclei = make_nuclei([[1.0, 0.0, 0.0, 0.0]])
    moves = sampling.Moves(nuclei, jnp.asarray(0.3), 1, 0.2)
    with jax.disable_jit():
        sampling.sweep(
            jax.random.key(0), jnp.ones((3, 2, 3)), lambda e: -jnp.sum(e**2, (1, 2)), moves, 3
        )
    # Three steps, each with two splits, normal, bernoulli, two electrons, acceptance. Splitting a
    # key uses it up, too; folding a number into it does not.
    assert len(keys) == 3 * 7
    assert len(set(keys)) == len(keys)


def test_the_moments_detect_exchanges_that_are_always_accepted(
    make_hydrogenic, hydrogen_walkers, mutate
):
    mutate(
        sampling.metropolis_step,
        "log_ratio > log_uniform",
        "(log_ratio > log_uniform) | proposal.is_exchange",
    )
    problem = make_hydrogenic(1.0, 1.0)._replace(ansatz=unlike_pair(), n_up=1, n_down=1)
    start = pair_walkers(hydrogen_walkers)
    _, estimates, _ = moments(problem, {}, start, pair_radii, 0.4, exchange=0.5)
    assert abs(z_score(estimates["up"], 0.75)) > 10.0


@pytest.mark.parametrize("exchange_probability", [0.0, 0.1])
def test_only_exchanges_change_the_spins_of_separated_atoms(
    make_nuclei, make_hydrogenic, exchange_probability
):
    nuclei = make_nuclei([[1.0, 0.0, 0.0, -5.0], [1.0, 0.0, 0.0, 5.0]])

    def heitler_london(params, electrons, nuclei):
        del params
        r = jnp.linalg.norm(electrons[:, None] - nuclei.coords, axis=-1)
        return LogPsi(jnp.ones(()), jnp.logaddexp(-r[0, 0] - r[1, 1], -r[0, 1] - r[1, 0]))

    ansatz = Ansatz(lambda key, nuclei: {}, heitler_london)
    problem = make_hydrogenic(1.0, 1.0)._replace(ansatz=ansatz, nuclei=nuclei, n_down=1)
    noise = np.random.default_rng(2).normal(scale=0.6, size=(N_WALKERS, 2, 3))
    start = nuclei.coords + jnp.asarray(noise)  # all with the spin-up electron on the left
    final, _, _ = moments(problem, {}, start, pair_radii, 0.3, exchange_probability)
    up_is_left = np.asarray(final[:, 0, 2] < 0.0)
    if exchange_probability == 0.0:
        assert up_is_left.all()
    else:
        z = (up_is_left.mean() - 0.5) / np.sqrt(0.25 / N_WALKERS)
        assert abs(z) < MAX_Z


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
