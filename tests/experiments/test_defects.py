"""The defects that verdicts are certified with are the defects that they are said to be."""

from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import defects
from experiments.gate import as_rows, read_defects
from experiments.studies import no_pair_distance
from ferminet.ansatz import ferminet, hydrogenic
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.config import expand_runs, load_study
from ferminet.errors import InputError
from ferminet.vmc import evaluate, programs
from ferminet.vmc.optimizers import base as optimizers_base
from ferminet.vmc.optimizers.base import clip_energies
from ferminet.vmc.optimizers.layered import derivatives, find_layers, gradient_of

ROOT = Path(__file__).parents[2]
SMALL: dict[str, Any] = {
    "layers": 2,
    "one_electron_width": 8,
    "two_electron_width": 5,
    "determinants": 2,
}


@pytest.mark.parametrize("rescale_inputs", [False, True])
def test_no_pair_distance_is_ferminet_with_distances_of_zero(rescale_inputs: bool) -> None:
    spec, nuclei = AnsatzSpec(2, 1, 2), Nuclei(jnp.eye(3)[:2], jnp.array([3.0, 1.0]))
    blind = no_pair_distance.build(spec, rescale_inputs=rescale_inputs, **SMALL)
    plain = ferminet.build(spec, rescale_inputs=rescale_inputs, **SMALL)
    params = plain.init(jax.random.key(1), nuclei)
    electrons = jax.random.normal(jax.random.key(2), (3, 3))
    found, seeing = (net.apply(params, electrons, nuclei).logabs for net in (blind, plain))
    assert abs(found - seeing) > 1e-6
    # The twin: the distances are taken out of what both first layers are given.
    inputs = ferminet.one_electron_inputs

    def without(one, two, *others):
        return inputs(one, two.at[..., 3].set(0.0) if two.shape[-1] == 4 else two, *others)

    first = params["two_electron"][0]
    first["weight"] = first["weight"].at[3].set(0.0)
    with mock.patch.object(ferminet, "one_electron_inputs", without):
        expected = plain.apply(params, electrons, nuclei).logabs
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_training_without_pair_distances_has_their_gradient() -> None:
    """KFAC's gradient, made of the layers' inputs, against the derivative of log|psi| itself."""
    spec, nuclei = AnsatzSpec(2, 1, 2), Nuclei(jnp.eye(3)[:2], jnp.array([3.0, 1.0]))
    blind = no_pair_distance.build(spec, **SMALL)
    params = jax.jit(blind.init)(jax.random.key(1), nuclei)
    electrons = jax.random.normal(jax.random.key(2), (5, 3, 3))
    weights = jnp.array([1.0, -2.0, 0.5, 3.0, -1.0])
    layered = blind.layered
    assert layered is not None
    layers = find_layers(layered, params, electrons[0], nuclei)

    @jax.jit
    def by_layers(params):
        slopes = derivatives(layered, layers, params, electrons, nuclei)
        return gradient_of(slopes, layers, weights)

    @jax.jit
    @jax.grad
    def exact(params):
        psi = jax.vmap(blind.apply, (None, 0, None))(params, electrons, nuclei)
        return jnp.dot(weights, psi.logabs)

    found, expected = by_layers(params), exact(params)
    leaves = jax.tree.leaves(expected)
    for layer, gradient in zip(layers, found["dense"], strict=True):
        np.testing.assert_allclose(gradient[:-1], leaves[layer.weight], atol=1e-10)
        np.testing.assert_allclose(gradient[-1], leaves[layer.bias], atol=1e-10)
    seen = expected["two_electron"][0]["weight"]
    assert float(jnp.max(jnp.abs(seen[3]))) == 0.0 < float(jnp.max(jnp.abs(seen[:3])))


def test_evaluation_is_clipped_as_training_is() -> None:
    # Median 1, mean deviation 20.6.
    np.testing.assert_allclose(
        clip_energies(jnp.array([0.0, 1.0, -1.0, 2.0, 100.0]), 1.0), [0.0, 1.0, -1.0, 2.0, 21.6]
    )
    nuclei = Nuclei(jnp.zeros((1, 3)), jnp.ones(1))
    problem = programs.Problem(hydrogenic.build(AnsatzSpec(1, 0, 1), zeta=0.5), nuclei, 1, 0)
    params = problem.ansatz.init(jax.random.key(1), nuclei)
    electrons = 0.5 * jax.random.normal(jax.random.key(2), (50, 1, 3)).at[0].set(0.01)
    whole = evaluate.make_energies(problem)(params, electrons, nuclei)
    with defects.clipped_evaluation():
        clipped = evaluate.make_energies(problem)(params, electrons, nuclei)
    np.testing.assert_allclose(clipped.total, clip_energies(whole.total, defects.CLIP), rtol=1e-6)
    assert float(clipped.total[0]) > float(whole.total[0])
    np.testing.assert_array_equal(clipped.kinetic, whole.kinetic)


def test_a_gradient_that_is_not_centred_keeps_the_mean_energy() -> None:
    energies = jnp.array([-3.0, -2.9, -3.1, 5.0])
    change = jnp.array([0.1, 0.0, 0.2, -4.0])
    with defects.gradient_not_centred():
        weights = programs.gradient_weights(energies, 1.0)
        bounded = optimizers_base.bounded_weights(weights, change, 1.0)
    # Median -2.95, mean deviation 2.05; of the changes 0.05 and 1.075.
    np.testing.assert_allclose(2.0 * weights, [-3.0, -2.9, -3.1, -0.9], rtol=1e-6)
    np.testing.assert_allclose(2.0 * bounded, [-3.0, -2.9, -3.1, -0.9 * 1.075 / 4.05], rtol=1e-6)
    centred = programs.gradient_weights(energies, 1.0)
    assert abs(float(jnp.sum(centred))) < 1e-6 < abs(float(jnp.sum(weights)))


@pytest.mark.parametrize("name", defects.DEFECTS)
def test_each_is_the_suite_with_one_thing_changed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(defects, "WORK", tmp_path)
    (broken,) = (
        run for run in expand_runs(load_study(defects.study_of(name, ["Be"]))) if run.seed == 1
    )
    (suite,) = (
        run
        for run in expand_runs(load_study(defects.SUITE))
        if run.seed == 1 and run.system == "Be"
    )
    assert broken.ansatz.build == (defects.DEFECTS[name].build or suite.ansatz.build)
    assert broken.deviations == [f"a defect on purpose: {name}"]
    for block in (
        "precision",
        "geometry",
        "scf",
        "pretrain",
        "sampler",
        "optimizer",
        "train",
        "evaluate",
    ):
        assert getattr(broken, block) == getattr(suite, block)
    assert broken.ansatz.options == suite.ansatz.options | defects.DEFECTS[name].options


def test_tables_of_defects_are_read_or_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no table"):
        read_defects(tmp_path)
    table = tmp_path / "one.csv"
    table.write_text("defect,system,geometry,seed,energy,stderr\none,Be,eq,1,-14.6,1e-4\n")
    assert read_defects(tmp_path) == {"one": {"Be": as_rows([-14.6], 1e-4)}}
    table.write_text("defect,system,geometry,seed,energy,stderr\none,Be,eq,1,low,1e-4\n")
    with pytest.raises(InputError, match=r"one\.csv: not a table"):
        read_defects(tmp_path)
