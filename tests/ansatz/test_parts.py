"""Envelopes, features and layers against loops; the Slater determinant against its orbitals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz import hydrogenic, slater
from ferminet.ansatz.base import AnsatzSpec, LayerInputs, Nuclei
from ferminet.ansatz.envelopes import (
    apply_envelope,
    envelope_jet,
    init_envelope,
    valence_exponents,
)
from ferminet.ansatz.jastrow import init_jastrow, log_jastrow
from ferminet.ansatz.layers import (
    dense,
    dense_of_groups,
    electron_electron_features,
    electron_nucleus_features,
    init_dense,
    one_electron_inputs,
)
from ferminet.chemistry.mol import build_mol
from ferminet.chemistry.scf import run_scf
from ferminet.errors import InputError
from tests.helpers.molecules import atom

NUCLEI = Nuclei(jnp.array([[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]]), jnp.array([3.0, 1.0]))
ELECTRONS = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))


def test_envelope_is_the_sum_over_nuclei():
    displacements, distances = electron_nucleus_features(ELECTRONS, NUCLEI)
    rng = np.random.default_rng(1)
    weight, matrices = rng.normal(size=(2, 5)), rng.normal(size=(2, 5, 3, 3))
    params = {"weight": jnp.asarray(weight), "decay": jnp.asarray(matrices)}
    values = apply_envelope(params, displacements, distances)
    for i, electron in enumerate(np.asarray(ELECTRONS)):
        for orbital in range(5):
            expected = sum(
                weight[m, orbital]
                * np.exp(-np.linalg.norm(matrices[m, orbital] @ (electron - NUCLEI.coords[m])))
                for m in range(2)
            )
            assert float(values[i, orbital]) == pytest.approx(expected, rel=1e-10)


def test_an_isotropic_envelope_decays_whatever_the_sign_of_its_parameter():
    displacements, distances = electron_nucleus_features(ELECTRONS, NUCLEI)
    rng = np.random.default_rng(5)
    weight, decay = jnp.asarray(rng.normal(size=(2, 5))), jnp.asarray(rng.normal(size=(2, 5)))
    assert (decay < 0.0).any() and (decay > 0.0).any()
    params = {"weight": weight, "decay": decay}
    positive = {"weight": weight, "decay": jnp.abs(decay)}
    expected = jnp.exp(-jnp.abs(decay)[None] * distances[..., None])
    expected = jnp.sum(weight * expected, axis=1)
    np.testing.assert_allclose(
        apply_envelope(params, displacements, distances), expected, rtol=1e-12
    )
    for ours, theirs in zip(
        envelope_jet(params, displacements), envelope_jet(positive, displacements), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    far = 50.0 * displacements
    values = apply_envelope(params, far, jnp.linalg.norm(far, axis=-1))
    assert np.all(np.isfinite(values)) and np.all(np.abs(values) < np.abs(weight).sum())


def test_both_envelopes_start_equal_with_one_core_slaters_valence_and_1s_on_light_atoms():
    displacements, distances = electron_nucleus_features(ELECTRONS, NUCLEI)
    columns = jnp.array([0, 1, 0, 1])
    values = [
        apply_envelope(init_envelope(kind, NUCLEI.charges, columns), displacements, distances)
        for kind in ("isotropic", "anisotropic")
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)
    on_lithium = np.array([3.0, 0.65, 3.0, 0.65])
    expected = np.exp(-on_lithium * distances[:, :1]) + np.exp(-distances[:, 1:])
    np.testing.assert_allclose(values[0], expected, rtol=1e-12)


# Charge, and by hand (charge - screening) / effective quantum number.
SLATER = {
    1: 1.0,
    3: (3 - 2 * 0.85) / 2,  # 0.65
    6: (6 - 2 * 0.85 - 3 * 0.35) / 2,  # 1.625
    10: (10 - 2 * 0.85 - 7 * 0.35) / 2,  # 2.925
    11: (11 - 2 - 8 * 0.85) / 3,  # 2.2 / 3
    17: (17 - 2 - 8 * 0.85 - 6 * 0.35) / 3,  # 6.1 / 3
    19: (19 - 10 - 8 * 0.85) / 3.7,  # 2.2 / 3.7
}


def test_valence_exponents_follow_slaters_rules():
    found = valence_exponents(jnp.array([*map(float, SLATER)]))
    np.testing.assert_allclose(found, [*SLATER.values()], rtol=1e-12)


@pytest.mark.parametrize("kind", ["isotropic", "anisotropic"])
def test_as_many_orbitals_as_nuclei_with_a_core_start_as_cores(kind):
    charges = jnp.array([6.0, 1.0, 11.0])
    decay = init_envelope(kind, charges, jnp.array([0, 1, 2]))["decay"]
    if kind == "anisotropic":
        np.testing.assert_array_equal(decay, decay[..., :1, :1] * np.eye(3))
        decay = decay[..., 0, 0]
    expected = [[6.0, 6.0, SLATER[6]], [1.0, 1.0, 1.0], [11.0, 11.0, SLATER[11]]]
    np.testing.assert_allclose(decay, expected, rtol=1e-12)


def rows_of(inputs: LayerInputs) -> np.ndarray:
    """Every row in full."""
    group = np.repeat(np.arange(len(inputs.groups)), inputs.groups)
    shared = np.asarray(inputs.shared)[group]
    first, last = np.split(np.asarray(inputs.own), [inputs.shared_offset], axis=1)
    return np.concatenate([first, shared, last], axis=1)


@pytest.mark.parametrize("relative", [False, True])
def test_the_inputs_of_a_layer_are_the_papers_vectors(relative):
    one = jnp.asarray(np.random.default_rng(2).normal(size=(4, 5)))
    two = jnp.asarray(np.random.default_rng(3).normal(size=(4, 4, 2)))
    inputs = rows_of(one_electron_inputs(one, two, 3, relative))
    for i in range(4):
        order = [slice(0, 3), slice(3, 4)]
        if relative and i == 3:
            order = order[::-1]
        means = [np.mean(one[spin], axis=0) for spin in order]
        pair_means = [np.mean(two[i, spin], axis=0) for spin in order]
        expected = np.concatenate([one[i], *means, *pair_means])
        np.testing.assert_allclose(inputs[i], expected, rtol=1e-12)
    empty = one_electron_inputs(one, two, 4, relative)
    assert rows_of(empty).shape == (4, 5 + 5 + 2)  # an empty spin has no mean


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("n_up", [0, 1, 3, 4])
def test_a_layer_with_shared_inputs_equals_the_full_layer(n_up, relative):
    rng = np.random.default_rng(4)
    one, two = jnp.asarray(rng.normal(size=(4, 5))), jnp.asarray(rng.normal(size=(4, 4, 2)))
    inputs = one_electron_inputs(one, two, n_up, relative)
    params = init_dense(jax.random.key(0), rows_of(inputs).shape[1], 6, jnp.float64)
    expected = dense(params, jnp.asarray(rows_of(inputs)))
    np.testing.assert_allclose(dense_of_groups(params, inputs), expected, rtol=1e-12, atol=1e-12)


def test_pair_features_have_a_finite_derivative_on_the_diagonal():
    features = electron_electron_features(ELECTRONS)
    i, j = 0, 2
    np.testing.assert_allclose(features[i, j, :3], ELECTRONS[i] - ELECTRONS[j], rtol=1e-12)
    assert float(features[i, j, 3]) == pytest.approx(np.linalg.norm(ELECTRONS[i] - ELECTRONS[j]))
    np.testing.assert_array_equal(features[jnp.arange(4), jnp.arange(4)], 0.0)
    jacobian = jax.jit(jax.jacobian(electron_electron_features))(ELECTRONS)
    assert np.all(np.isfinite(jacobian))


def test_dense_layers_keep_the_variance_of_their_inputs():
    params = init_dense(jax.random.key(0), 400, 300, jnp.float64)
    inputs = jnp.asarray(np.random.default_rng(4).normal(size=(50, 400)))
    linear = dense(params | {"bias": jnp.zeros(300)}, inputs)
    # The weights are fixed: of 50 x 300 outputs the variance scatters by less than 5 %.
    assert float(jnp.var(linear)) == pytest.approx(1.0, abs=0.05)
    assert float(jnp.var(params["bias"])) == pytest.approx(1.0, abs=4 * np.sqrt(2 / 300))
    shifted = linear + params["bias"]
    np.testing.assert_allclose(dense(params, inputs), shifted, atol=1e-12)


@pytest.mark.parametrize(("pair", "slope"), [((0, 1), 0.25), ((0, 2), 0.5)])
def test_jastrow_has_katos_slopes_whatever_its_lengths(pair, slope):
    params = {"same_spin": jnp.asarray(0.7), "opposite_spin": jnp.asarray(-1.9)}
    assert params.keys() == init_jastrow(jnp.float64).keys()

    def value(distance):
        first, second = pair
        electrons = ELECTRONS.at[second].set(ELECTRONS[first] + jnp.array([distance, 0.0, 0.0]))
        distances = electron_electron_features(electrons)[..., 3]
        return log_jastrow(params, distances, 2)

    # The other pairs contribute to the slope too, in proportion to the direction: average both.
    h = 1e-5
    mean = 0.5 * (value(h) + value(-h)) - value(1e-12)
    assert float(mean / h) == pytest.approx(slope, abs=1e-3)


def test_slater_determinant_is_made_of_pyscfs_orbitals():
    lithium = atom("Li", 1)
    scf = run_scf(lithium, "6-31g")
    nuclei = Nuclei(jnp.zeros((1, 3)), jnp.array([3.0]))
    ansatz = slater.build(AnsatzSpec(2, 1, 1, scf.orbitals))
    electrons = np.asarray(ELECTRONS[:3])
    values = build_mol(lithium, "6-31g").eval_gto("GTOval_sph", electrons)
    up = values[:2] @ scf.orbitals.coefficients_up
    down = values[2:] @ scf.orbitals.coefficients_down
    psi = ansatz.apply({}, jnp.asarray(electrons), nuclei)
    expected = np.linalg.det(up) * np.linalg.det(down)
    assert float(psi.sign * jnp.exp(psi.logabs)) == pytest.approx(expected, rel=1e-9)


def test_slater_determinant_without_orbitals_is_refused():
    with pytest.raises(InputError, match="SCF orbitals"):
        slater.build(AnsatzSpec(1, 1, 1))


def test_hydrogenic_wavefunction_is_its_formula():
    ansatz = hydrogenic.build(AnsatzSpec(1, 1, 1), zeta=1.5)
    nuclei = Nuclei(jnp.array([[0.0, 0.0, 1.0]]), jnp.array([2.0]))
    params = ansatz.init(jax.random.key(0), nuclei)
    psi = ansatz.apply(params, jnp.array([[0.0, 3.0, 1.0], [0.0, 0.0, 2.0]]), nuclei)
    assert float(psi.logabs) == pytest.approx(-1.5 * 4.0)
    assert float(psi.sign) == 1.0
