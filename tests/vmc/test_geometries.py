"""A wavefunction shared by several geometries, against the same for each geometry by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from ferminet.ansatz.base import Nuclei
from ferminet.config import TrainConfig
from ferminet.vmc.devices import check_order
from ferminet.vmc.geometries import centred, follow_nuclei, map_walkers, nuclei_during_spread
from ferminet.vmc.optimizers import natural
from ferminet.vmc.optimizers.base import (
    bounded_weights,
    gradient_of_energy,
    gradient_weights,
    make_optimizer,
)
from ferminet.vmc.programs import gradient_weights_and_statistics, make_energies, make_sweep
from ferminet.vmc.sampling import batched_logabs
from ferminet.vmc.train import Trainer
from tests.helpers.optimizers import config, fisher_of, slopes_of

DISTANCES, N_WALKERS = (1.1, 1.4, 3.0), 24


@pytest.fixture(scope="module")
def curve(make_tiny, any_params):
    """H2 at three distances, parameters, walkers, and one problem per distance."""
    rows = [[[1.0, 0.0, 0.0, sign * 0.5 * d] for sign in (-1, 1)] for d in DISTANCES]
    single = [make_tiny(row, 1, 1, layers=1, determinants=1) for row in rows]
    coords = jnp.stack([problem.nuclei.coords for problem in single])
    shared = single[0]._replace(nuclei=single[0].nuclei._replace(coords=coords))
    walkers = jnp.asarray(np.random.default_rng(1).normal(size=(N_WALKERS, 2, 3)))
    # Problems of one geometry share their programs, as geometries of a curve do.
    single = [shared._replace(nuclei=problem.nuclei) for problem in single]
    return shared, any_params(single[0]), walkers, single


def parts(values):
    """The values of each geometry's walkers."""
    return [values[index :: len(DISTANCES)] for index in range(len(DISTANCES))]


def flat(tree):
    return np.asarray(ravel_pytree(tree)[0])


def close(found, expected, tolerance=1e-10):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_values_of_the_walkers(curve):
    shared, params, walkers, single = curve
    logabs = jax.jit(batched_logabs(shared.ansatz, params, shared.nuclei))(walkers)
    energies = make_energies(shared)(params, walkers, shared.nuclei)
    compiled = make_energies(shared)
    for index, problem in enumerate(single):
        mine = walkers[index :: len(DISTANCES)]
        expected = batched_logabs(problem.ansatz, params, problem.nuclei)(mine)
        close(parts(logabs)[index], expected)
        local = compiled(params, mine, problem.nuclei)
        for found, one in zip(energies, local, strict=True):
            close(parts(found)[index], one)
    # The geometries differ, so that mixing them up would be seen.
    first = [compiled(params, walkers[:1], problem.nuclei).total[0] for problem in single]
    assert np.ptp(first) > 0.1


def test_the_check_of_the_order_keeps_the_geometries(curve):
    shared, params, walkers, _ = curve
    check_order(make_energies(shared), params, walkers, shared.nuclei)


def test_weights_and_statistics_are_those_of_each_geometry(curve):
    shared, params, walkers, single = curve
    energies = make_energies(shared)(params, walkers, shared.nuclei).total
    weights, statistics = gradient_weights_and_statistics(energies, shared.nuclei, 1.0)
    gradient = gradient_of_energy(shared.ansatz, params, walkers, shared.nuclei, weights)
    gradients = []
    for index, problem in enumerate(single):
        mine = parts(energies)[index]
        close(parts(weights)[index], gradient_weights(mine, 1.0) / len(DISTANCES))
        assert float(statistics.energy[index]) == pytest.approx(float(jnp.mean(mine)), rel=1e-12)
        assert float(statistics.variance[index]) == pytest.approx(float(jnp.var(mine)), rel=1e-10)
        own = gradient_weights(mine, 1.0)
        of_one = parts(walkers)[index]
        gradients.append(
            flat(gradient_of_energy(problem.ansatz, params, of_one, problem.nuclei, own))
        )
    close(flat(gradient), np.mean(gradients, axis=0))


def test_a_walker_is_bounded_by_the_walkers_of_its_geometry():
    weights = np.random.default_rng(2).normal(size=(8, 3))
    change = np.random.default_rng(3).standard_cauchy(size=(8, 3))
    found = bounded_weights(jnp.asarray(weights), jnp.asarray(change), 1.0)
    for index in range(3):
        own = bounded_weights(jnp.asarray(weights[:, index]), jnp.asarray(change[:, index]), 1.0)
        close(found[:, index], own)


@pytest.mark.parametrize("name", ["natural", "spring"])
def test_the_step_is_that_of_the_mean_fisher_information(curve, name, monkeypatch):
    monkeypatch.setattr(natural, "TOLERANCE", 1e-12)
    shared, params, walkers, single = curve
    settings = config(
        name,
        learning_rate=1e-3,
        damping=1.0,
        momentum=0.9,
        cg_iterations=2000,
        norm_constraint=1e10,
    )
    optimizer = make_optimizer(settings, shared.ansatz)
    state = optimizer.init(jax.random.key(0), params, walkers, shared.nuclei)
    energies = make_energies(shared)(params, walkers, shared.nuclei).total
    weights, _ = gradient_weights_and_statistics(energies, shared.nuclei, 5.0)
    arguments = (weights, state, params, walkers, shared.nuclei, jnp.asarray(0))
    moved, _ = jax.jit(optimizer.update)(jax.random.key(1), *arguments)
    slopes = [
        slopes_of(problem, params, mine)
        for problem, mine in zip(single, parts(walkers), strict=True)
    ]
    fisher = np.mean([fisher_of(one) for one in slopes], axis=0)
    gradient = sum(w @ one for w, one in zip(map(np.asarray, parts(weights)), slopes, strict=True))
    expected = np.linalg.solve(fisher + np.eye(len(fisher)), gradient)
    difference = flat(moved) - flat(params) + 1e-3 * expected
    assert np.linalg.norm(difference) < 1e-6 * np.linalg.norm(1e-3 * expected)


@pytest.mark.parametrize("name", ["kfac", "adam"])
def test_other_optimisers_lower_the_mean_energy(curve, name):
    shared, params, walkers, _ = curve
    optimizer = make_optimizer(config(name, learning_rate=1e-4, influence=20.0), shared.ansatz)
    state = optimizer.init(jax.random.key(0), params, walkers, shared.nuclei)
    energies = make_energies(shared)(params, walkers, shared.nuclei).total
    weights, _ = gradient_weights_and_statistics(energies, shared.nuclei, 5.0)
    arguments = (weights, state, params, walkers, shared.nuclei, jnp.asarray(0))
    moved, _ = jax.jit(optimizer.update)(jax.random.key(1), *arguments)
    gradient = gradient_of_energy(shared.ansatz, params, walkers, shared.nuclei, weights)
    assert (flat(moved) - flat(params)) @ flat(gradient) < 0.0


def test_a_sweep_is_that_of_each_geometry_with_its_step_size(curve):
    shared, params, walkers, single = curve
    sweep, key = make_sweep(shared, 0.2), jax.random.key(5)
    step_sizes = jnp.array([0.1, 0.3, 0.9])
    found, info = sweep(key, params, walkers, step_sizes, shared.nuclei, 3)
    for index, own in enumerate(jax.random.split(key, len(DISTANCES))):
        mine, nuclei = parts(walkers)[index], single[index].nuclei
        expected, moves = sweep(own, params, mine, step_sizes[index], nuclei, 3)
        close(parts(found)[index], expected)
        for all_of, one in zip(info, moves, strict=True):
            assert float(all_of[index]) == pytest.approx(float(one))
    assert float(info.acceptance[0]) > float(info.acceptance[2])


def test_centring_within_a_geometry():
    nuclei = Nuclei(jnp.zeros((2, 1, 3)), jnp.ones(1))
    values = jnp.array([1.0, 10.0, 3.0, 20.0])
    np.testing.assert_array_equal(centred(values, nuclei), [-1.0, -5.0, 1.0, 5.0])
    np.testing.assert_array_equal(
        map_walkers(lambda nuclei, x: nuclei.coords[0, 0] + x, nuclei, values), values
    )


def test_geometries_spread_from_the_middle_one_to_exactly_their_own(curve):
    nuclei = curve[0].nuclei
    start = nuclei_during_spread(nuclei, 0.0).coords
    np.testing.assert_array_equal(start, jnp.broadcast_to(nuclei.coords[1], start.shape))
    single = nuclei._replace(coords=nuclei.coords.astype(jnp.float32))
    np.testing.assert_array_equal(nuclei_during_spread(single, 1.0).coords, single.coords)
    half = nuclei_during_spread(nuclei, 0.5).coords
    close(half[2, 1, 2] - half[2, 0, 2], 0.5 * (1.4 + 3.0))


def test_electrons_follow_their_nuclei(curve):
    nuclei = curve[0].nuclei
    middle = nuclei_during_spread(nuclei, 0.0)
    # One electron at each nucleus stays there; the walkers belong to the geometries in turn.
    at_nuclei = jnp.tile(middle.coords, (2, 1, 1))
    close(follow_nuclei(at_nuclei, middle, nuclei), jnp.tile(nuclei.coords, (2, 1, 1)), 1e-6)
    # A displacement of all nuclei moves all electrons alike, wherever they are.
    shift = jnp.array([0.3, -0.2, 0.1])
    walkers = curve[2]
    moved = follow_nuclei(walkers, nuclei, nuclei._replace(coords=nuclei.coords + shift))
    close(moved, walkers + shift)
    # Between two nuclei that part, an electron stays in the middle.
    between = jnp.zeros((3, 1, 3)).at[..., 0].set(0.7)
    close(follow_nuclei(between, middle, nuclei), between)


def test_training_spreads_the_geometries_and_continues_to_the_bit(curve, small_settings):
    shared, params, walkers, _ = curve
    train = TrainConfig(iterations=8, shared=True, spread_start=2, spread_iterations=3)
    settings = small_settings("natural")._replace(train=train)
    trainer = Trainer(shared, settings)
    state = trainer.init(params, walkers)
    assert state.step_size.shape == (len(DISTANCES),)
    steps = []
    for iteration in range(8):
        state, info = trainer.step(state, iteration)
        steps.append((state, info))
    assert info.energy.shape == info.acceptance.shape == (len(DISTANCES),)
    spread = [float(jnp.ptp(trainer.nuclei_at(i).coords[:, 1, 2])) for i in range(8)]
    close(spread, 0.5 * (3.0 - 1.1) * np.array([0, 0, 1 / 3, 2 / 3, 1, 1, 1, 1]))
    # Another trainer that continues from the middle of the spread gives the same bits.
    again = steps[2][0]
    for iteration in range(3, 8):
        again, info = Trainer(shared, settings).step(again, iteration)
    for found, expected in zip(*map(jax.tree.leaves, (again, state)), strict=True):
        np.testing.assert_array_equal(found, expected)
