"""The Psiformer: antisymmetry, cusps, derivatives, the layers declared to KFAC, options."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz import psiformer
from ferminet.ansatz.base import AnsatzSpec, count_parameters
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.ansatz.jastrow import log_jastrow
from ferminet.ansatz.layers import electron_electron_features
from ferminet.errors import InputError
from ferminet.vmc.hamiltonian import forward_laplacian_kinetic, hessian_kinetic
from ferminet.vmc.optimizers.layered import block_table, find_layers
from ferminet.vmc.optimizers.search import layered_of
from tests.helpers.wavefunctions import (
    NUCLEI,
    check_antisymmetry,
    check_translation,
    draw_params,
    pair_slope,
    walkers,
)

TINY = {"layers": 2, "heads": 2, "head_width": 4, "determinants": 2}


def make(n_up, n_down, **options):
    ansatz = psiformer.build(AnsatzSpec(n_up, n_down, 2), **(TINY | options))
    return ansatz, draw_params(ansatz), walkers(n_up + n_down)


@pytest.mark.parametrize(
    "options", [{}, {"full_determinant": False}, {"layer_norm": True}], ids=str
)
def test_exchange_of_like_spins_flips_the_sign_and_of_unlike_spins_changes_psi(options):
    ansatz, params, electrons = make(3, 2, **options)
    check_antisymmetry(ansatz, params, electrons, 3)


def test_psi_does_not_change_when_the_molecule_moves():
    ansatz, params, electrons = make(2, 1)
    check_translation(ansatz, params, electrons[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_up", "n_down", "options"), [(2, 1, {}), (2, 2, {"layer_norm": True}), (3, 2, {})], ids=str
)
def test_the_kinetic_energy_is_that_of_the_hessian(n_up, n_down, options):
    ansatz, params, electrons = make(n_up, n_down, **options)
    forward, twin = (
        jax.jit(jax.vmap(kinetic(ansatz), (None, 0, None)))(params, electrons, NUCLEI)
        for kinetic in (forward_laplacian_kinetic, hessian_kinetic)
    )
    np.testing.assert_allclose(forward, twin, rtol=1e-9)
    assert np.ptp(twin) > 0.1


@pytest.mark.parametrize(("pair", "slope"), [((0, 1), 0.25), ((0, 2), 0.5)])
def test_the_jastrow_factor_has_the_electrons_cusps(pair, slope):
    ansatz, params, electrons = make(2, 1)
    ansatz = ansatz._replace(apply=jax.jit(ansatz.apply))
    found = pair_slope(ansatz, params, electrons[0], pair, like=pair == (0, 1))
    assert found == pytest.approx(slope, abs=2e-3)


@pytest.mark.parametrize("full", [False, True])
def test_the_orbitals_are_those_of_psi(full):
    ansatz, params, electrons = make(2, 1, full_determinant=full)
    for walker in electrons[:3]:
        psi = ansatz.apply(params, walker, NUCLEI)
        up, down = ansatz.orbitals(params, walker, NUCLEI)
        assert up.shape == (2, 2, 3 if full else 2)
        assert down.shape == (2, 1, 3 if full else 1)
        ours = sum_of_determinants(up, down)
        distances = electron_electron_features(walker)[..., 3]
        logabs = ours.logabs + log_jastrow(params["jastrow"], distances, 2)
        assert float(ours.sign) == float(psi.sign)
        assert float(logabs) == pytest.approx(float(psi.logabs), abs=1e-10)


def test_attention_makes_every_electron_see_every_other():
    ansatz, params, electrons = make(2, 1, jastrow="none", full_determinant=False)
    moved = electrons[0].copy()
    moved[2] += 0.3
    here, there = (
        ansatz.orbitals(params, jnp.asarray(w), NUCLEI)[0] for w in (electrons[0], moved)
    )
    assert np.min(np.max(np.abs(here - there), axis=(0, 2))) > 1e-4


def test_kfac_finds_every_dense_layer_once():
    ansatz, params, electrons = make(2, 1)
    layers = find_layers(layered_of(ansatz), params, jnp.asarray(electrons[0]), NUCLEI)
    assert len(layers) == 1 + 3 * 2 + 2
    assert len({layer.weight for layer in layers}) == len(layers)
    sizes = {"dense": 0, "diagonal": 0}
    for _, kind, size in block_table(params, layers):
        sizes[kind] += size
    others = count_parameters({name: params[name] for name in ("envelopes", "jastrow")})
    assert sizes == {"dense": count_parameters(params) - others, "diagonal": others}


def test_the_published_size_has_the_published_number_of_features():
    ansatz = psiformer.build(AnsatzSpec(2, 2, 2))
    params = jax.eval_shape(ansatz.init, jax.random.key(0), NUCLEI)
    assert len(params["layers"]) == 4
    assert params["embedding"]["weight"].shape == (9, 256)
    assert params["orbitals"][0]["weight"].shape == (256, 16 * 4)


def test_single_precision_stays_single():
    nuclei = jax.tree.map(lambda x: x.astype(jnp.float32), NUCLEI)
    ansatz = psiformer.build(AnsatzSpec(2, 1, 2), **TINY)
    params = jax.eval_shape(ansatz.init, jax.random.key(0), nuclei)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
    psi = jax.eval_shape(ansatz.apply, params, jnp.eye(3, dtype=jnp.float32), nuclei)
    assert psi.logabs.dtype == jnp.float32


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *itertools.product(("layers", "heads", "head_width", "determinants"), (0, 1.5, True)),
        ("envelope", "gaussian"),
        ("jastrow", "yes"),
        ("full_determinant", 1),
        ("layer_norm", "no"),
    ],
)
def test_impossible_options_are_refused_with_their_name(option, value):
    with pytest.raises(InputError, match=option) as refused:
        psiformer.build(AnsatzSpec(1, 1, 1), **{option: value})
    assert repr(value) in str(refused.value)
