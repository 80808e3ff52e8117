"""Jets against first and second derivatives by JAX, float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz import jets
from ferminet.ansatz.envelopes import apply_envelope, envelope_jet, init_envelope
from ferminet.ansatz.jastrow import jastrow_jet, log_jastrow
from ferminet.ansatz.jets import Jet
from ferminet.ansatz.layers import rescale

N = 3
PLACES = jnp.asarray(np.random.default_rng(0).normal(size=(N, 3)))
APART = 1.0 - jnp.eye(N)


def brute_force(function, places) -> Jet:
    """The jet of ``function(places) -> (..., d)`` with all coordinates of all places."""

    def flat(x):
        return function(x.reshape(places.shape))

    x = places.reshape(-1)
    return Jet(
        flat(x),
        jnp.moveaxis(jax.jacfwd(flat)(x), -1, -2),
        jnp.trace(jax.jacfwd(jax.jacfwd(flat))(x), axis1=-2, axis2=-1),
    )


def assert_same(jet: Jet, expected: Jet):
    for ours, theirs in zip(jet, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)


def features(places):
    """Something with every derivative, (n, 2)."""
    return jnp.stack([jnp.sin(places) @ places[0], jnp.sum(places**3, axis=1) * places[1, 2]], -1)


def others(places):
    return jnp.cos(places[:, :2]) * jnp.sum(places)


def test_products_sums_and_tanh_have_the_right_derivatives():
    f, g = brute_force(features, PLACES), brute_force(others, PLACES)
    assert_same(f * g, brute_force(lambda x: features(x) * others(x), PLACES))
    assert_same(f + g, brute_force(lambda x: features(x) + others(x), PLACES))
    assert_same(f - g, brute_force(lambda x: features(x) - others(x), PLACES))
    assert_same(jets.tanh(f), brute_force(lambda x: jnp.tanh(features(x)), PLACES))
    weight = jnp.asarray(np.random.default_rng(1).normal(size=(2, 5)))
    assert_same(jets.linear(weight, f), brute_force(lambda x: features(x) @ weight, PLACES))
    assert_same(jets.mean(f), brute_force(lambda x: jnp.mean(features(x), axis=0), PLACES))


def with_length(vectors, apart=1.0):
    length = jnp.sqrt(jnp.sum(vectors**2, axis=-1) + (1.0 - apart)) * apart
    return jnp.concatenate([vectors, length[..., None]], axis=-1)


def test_one_electron_functions_embed_as_functions_of_all_electrons():
    own = jets.vector_and_length(PLACES)
    assert_same(jets.embed_one_electron(own), brute_force(with_length, PLACES))


def test_rescaled_inputs_have_the_right_derivatives():
    own = jets.rescale(jets.vector_and_length(PLACES))
    assert_same(
        jets.embed_one_electron(own), brute_force(lambda x: rescale(with_length(x)), PLACES)
    )
    pairs = jets.rescale(jets.vector_and_length(PLACES[:, None] - PLACES, APART))

    def total(places):
        return jnp.sum(rescale(with_length(places[:, None] - places, APART)), axis=1)

    assert_same(jets.sum_pairs(pairs), brute_force(total, PLACES))


def test_rescaling_leaves_the_cusp_and_slows_long_distances():
    vectors = jnp.array([[1e-4, 0.0, 0.0], [0.0, 0.0, 9.0], [0.0, 0.0, 0.0]])
    ours = rescale(with_length(vectors))
    np.testing.assert_allclose(ours[0], [1e-4, 0.0, 0.0, 1e-4], rtol=1e-4)
    np.testing.assert_allclose(ours[1], [0.0, 0.0, np.log(10.0), np.log(10.0)], rtol=1e-12)
    assert not np.any(ours[2])


def test_sums_over_pairs_have_the_right_derivatives():
    pairs = jets.vector_and_length(PLACES[:, None] - PLACES, APART)

    def total(places):
        return jnp.sum(with_length(places[:, None] - places, APART), axis=1)

    assert_same(jets.sum_pairs(pairs), brute_force(total, PLACES))


@pytest.mark.parametrize("here", [slice(0, 2), slice(2, 3)])
def test_products_with_one_electron_functions_have_the_right_derivatives(here):
    f = brute_force(features, PLACES)[here]
    own = jets.vector_and_length(PLACES)[here]
    own = Jet(own.value[..., 2:], own.gradient[..., 2:], own.laplacian[..., 2:])

    def product(places):
        return (features(places) * with_length(places)[:, 2:])[here]

    assert_same(jets.multiply_one_electron(f, own, here), brute_force(product, PLACES))


@pytest.mark.parametrize("kind", ["isotropic", "anisotropic"])
def test_envelopes_have_the_right_derivatives(kind):
    coords, charges = jnp.array([[0.1, 0.0, 0.2], [0.0, 1.0, 0.0]]), jnp.array([3.0, 1.0])
    rng = np.random.default_rng(2)
    params = jax.tree.map(
        lambda x: x + 0.3 * rng.normal(size=x.shape), init_envelope(kind, charges, jnp.arange(4))
    )

    def envelopes(places):
        displacements = places[:, None] - coords
        return apply_envelope(params, displacements, jnp.linalg.norm(displacements, axis=-1))

    jet = jets.embed_one_electron(envelope_jet(params, PLACES[:, None] - coords))
    assert_same(jet, brute_force(envelopes, PLACES))


def test_the_jastrow_factor_has_the_right_derivatives():
    params = {"same_spin": jnp.asarray(0.7), "opposite_spin": jnp.asarray(-1.3)}
    pairs = jets.vector_and_length(PLACES[:, None] - PLACES, APART)
    total = jets.sum_pairs(jastrow_jet(params, pairs, 2))

    def factor(places):
        distances = with_length(places[:, None] - places, APART)[..., 3]
        return log_jastrow(params, distances, 2)[None]

    expected = brute_force(factor, PLACES)
    assert_same(jax.tree.map(lambda x: 0.5 * jnp.sum(x, axis=0), total), expected)
