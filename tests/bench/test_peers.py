"""The comparison with the authors' code: conversion of parameters, plug-in, verdict."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.peers import authors
from bench.peers.parameters import to_ours, to_theirs
from bench.peers.verdict import END, STATISTICS, Run, compare, verdict
from ferminet.ansatz.base import AnsatzSpec
from ferminet.vmc.devices import tree_to_arrays
from ferminet.vmc.optimizers.layered import derivatives, find_layers
from ferminet.vmc.optimizers.layered import gradient_of as sum_over_layers
from tests.helpers.optimizers import gradient_of, weights_of

LIH = [[3.0, 0.0, 0.0, 0.0], [1.0, 3.015, 0.0, 0.0]]
# The widths differ from those of the inputs, so that only the last layer has a residual connection.
OPTIONS = {"layers": 2, "one_electron_width": 12, "two_electron_width": 6, "determinants": 3,
           "full_determinant": True, "envelope": "isotropic"}  # fmt: skip


@pytest.fixture(scope="module")
def problem(make_tiny):
    return make_tiny(LIH, 2, 2, **OPTIONS)


@pytest.fixture(scope="module")
def authors_problem(problem):
    return problem._replace(ansatz=authors.build(AnsatzSpec(2, 2, 2), **OPTIONS))


@pytest.fixture(scope="module")
def electrons():
    return jnp.asarray(np.random.default_rng(5).normal(loc=0.5, size=(7, 4, 3)))


def log_of_the_authors_network(params, walker, coords, n_up: int):
    """Return log|psi| of google-deepmind/ferminet, written from its equations."""
    distance = lambda vectors: jnp.linalg.norm(vectors, axis=-1, keepdims=True)  # noqa: E731
    spins = (slice(0, n_up), slice(n_up, None))
    to_nuclei, n = walker[:, None] - coords, len(walker)
    radii = distance(to_nuclei)
    one = jnp.concatenate([radii, to_nuclei], axis=-1).reshape(n, -1)
    apart = walker - walker[:, None]  # of the electron in the second index from that in the first
    off_diagonal = 1.0 - jnp.eye(n)[..., None]
    two = jnp.concatenate([distance(apart + jnp.eye(n)[..., None]) * off_diagonal, apart], axis=-1)
    for layer in params["layers"]["streams"]:
        means = [jnp.tile(one[spin].mean(axis=0), (n, 1)) for spin in spins]
        pairs = [two[spin].mean(axis=0) for spin in spins]
        inputs = jnp.concatenate([one, *means, *pairs], axis=1)
        new = jnp.tanh(inputs @ layer["single"]["w"] + layer["single"]["b"])
        one = (one + new) / jnp.sqrt(2.0) if one.shape == new.shape else new
        if "double" in layer:
            two = jnp.tanh(two @ layer["double"]["w"] + layer["double"]["b"])
    rows = []
    for spin, layer, envelope in zip(spins, params["orbital"], params["envelope"], strict=True):
        decays = jnp.sum(jnp.exp(-radii[spin] * envelope["sigma"]) * envelope["pi"], axis=1)
        values = (one[spin] @ layer["w"] + layer["b"]) * decays
        rows.append(values.reshape(values.shape[0], -1, n))  # (electrons, determinants, columns)
    matrices = jnp.moveaxis(jnp.concatenate(rows), 1, 0)
    return jnp.log(jnp.abs(jnp.sum(jnp.linalg.det(matrices))))


def test_converted_parameters_give_the_same_wavefunction(problem, any_params, electrons):
    params = any_params(problem)
    for envelope in params["envelopes"]:  # the sign of a decay has no meaning here, but there
        envelope["decay"] = abs(envelope["decay"])
    theirs = to_theirs(tree_to_arrays(params, "params"), determinants=3)
    for walker in electrons:
        ours = problem.ansatz.apply(params, walker, problem.nuclei).logabs
        there = log_of_the_authors_network(theirs, walker, problem.nuclei.coords, 2)
        assert there == pytest.approx(float(ours), abs=1e-10)


def test_converting_parameters_back_restores_them(problem, any_params):
    arrays = tree_to_arrays(any_params(problem), "params")
    restored = to_ours(to_theirs(arrays, determinants=3), determinants=3)
    assert restored.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_allclose(restored[name], array, rtol=1e-14)


def test_the_authors_residual_changes_the_parameters_but_not_the_function(
    problem, authors_problem, any_params, electrons
):
    params = any_params(problem)
    scaled = authors.scale_orbitals(params, authors.RESIDUAL)
    for walker in electrons[:2]:
        given = problem.ansatz.apply(params, walker, problem.nuclei).logabs
        found = authors_problem.ansatz.apply(scaled, walker, problem.nuclei).logabs
        assert float(found) == pytest.approx(float(given), abs=1e-12)


def test_the_authors_residual_registers_its_layers(authors_problem, any_params, electrons):
    params, nuclei = any_params(authors_problem), authors_problem.nuclei
    layered, weights = authors_problem.ansatz.layered, weights_of(electrons)
    layers = find_layers(layered, params, electrons[0], nuclei)
    parts = derivatives(layered, layers, params, electrons, nuclei)
    found = sum_over_layers(parts, layers, weights)
    leaves = jax.tree.leaves(gradient_of(authors_problem, params, electrons))
    for block, layer in zip(found["dense"], layers, strict=True):
        np.testing.assert_allclose(block[:-1], leaves[layer.weight], rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(block[-1], leaves[layer.bias], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", ["fixed_walkers", "runs", "step_norms", "verdict"])
def test_the_scripts_find_what_they_import(name: str):
    assert importlib.import_module(f"bench.peers.{name}").main


def runs_around(energy: float, seed: int) -> list[Run]:
    rng, iteration = np.random.default_rng(seed), np.arange(0, END, 20)
    return [
        Run(iteration, energy + 1e-4 * rng.normal() + 0.0 * iteration,
            -1.0 + 1e-2 * rng.normal() + 0.0 * iteration, energy + 1e-4 * rng.normal())
        for _ in range(3)
    ]  # fmt: skip


def test_codes_that_differ_only_by_the_scatter_of_seeds_agree():
    verdicts = [
        verdict(compare(runs_around(-8.07, s), runs_around(-8.07, 100 + s))) for s in range(200)
    ]
    assert np.mean([one == "agrees" for one in verdicts]) > 0.9


def test_a_difference_beyond_the_scatter_of_seeds_is_found():
    comparisons = compare(runs_around(-8.069, 1), runs_around(-8.07, 2))
    assert verdict(comparisons).startswith("differs (energy, iterations")
    assert [one.name for one in comparisons] == list(STATISTICS)
    assert comparisons[1].low < 1.0 < comparisons[1].high
    assert "variance" not in verdict(comparisons)
