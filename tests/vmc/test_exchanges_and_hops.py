"""Exchanges of spins and hops between nuclei: their shares, and that they keep the distribution.

Moments are judged as in test_sampling.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz.base import Ansatz, LogPsi
from ferminet.vmc import sampling
from ferminet.vmc.statistics import z_score
from tests.helpers.sampling import MAX_Z, N_WALKERS, moments


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
        ("jnp.where(nearest(position + shift) == new, log_ratio, -jnp.inf)", "log_ratio", 0.3),
        ("log_probability[new, old] - log_probability[old, new]", "0.0", 1.0),
    ],
)
def test_the_shares_detect_hops_that_are_not_reversible(
    make_nuclei, make_hydrogenic, mutate, right, wrong, scale
):
    mutate(sampling.propose_hop, right, wrong)
    with pytest.raises(AssertionError):
        test_hops_give_every_atom_its_share_of_electrons(make_nuclei, make_hydrogenic, scale, 0.3)


@pytest.mark.parametrize(("n_up", "exchanges"), [(2, 0.3), (4, 0.0)])
def test_hops_and_exchanges_have_their_shares(make_nuclei, n_up, exchanges):
    here = jnp.asarray(np.random.default_rng(3).normal(size=(2000, 4, 3)))
    moves = sampling.Moves(make_nuclei(ATOMS), jnp.asarray(0.3), n_up, 0.3, 0.2)
    proposal = sampling.propose(jax.random.key(2), here, moves)
    is_exchange = np.asarray(proposal.is_exchange)
    is_hop = ~np.asarray(proposal.is_displacement) & ~is_exchange
    for found, share in ((is_exchange, exchanges), (is_hop, 0.2)):
        assert abs(found.mean() - share) <= MAX_Z * np.sqrt(share * (1.0 - share) / 2000)
    moved = np.any(np.asarray(proposal.electrons) != np.asarray(here), axis=2).sum(axis=1)
    assert set(moved[is_hop]) == {1} and set(moved[is_exchange]) <= {2}


def test_no_key_is_used_twice_in_a_sweep(make_nuclei, monkeypatch):
    keys = []

    def recorded(function):
        def wrapped(key, *args, **kwargs):
            keys.append(tuple(np.asarray(jax.random.key_data(key)).tolist()))
            return function(key, *args, **kwargs)

        return wrapped

    # Without compilation keys are numbers.
    for name in ("normal", "uniform", "bernoulli", "randint", "categorical", "split"):
        monkeypatch.setattr(sampling.jax.random, name, recorded(getattr(jax.random, name)))
    moves = sampling.Moves(make_nuclei(ATOMS), jnp.asarray(0.3), 1, 0.2, 0.2)
    with jax.disable_jit():
        sampling.sweep(
            jax.random.key(0), jnp.ones((3, 2, 3)), lambda e: -jnp.sum(e**2, (1, 2)), moves, 3
        )
    # Three steps, each with three splits, normal, two bernoullis, three electrons, a nucleus,
    # acceptance. Splitting a key uses it up, too; folding a number into it does not.
    assert len(keys) == 3 * 11
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
