"""The defects that verdicts are certified with are the defects that they are said to be."""

from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench import defects
from bench.gate import read_defects
from bench.studies import no_pair_distance
from ferminet.ansatz import ferminet
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.config import expand_runs, load_study
from ferminet.errors import InputError
from ferminet.vmc import evaluate, optimizers_kfac, programs

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


def test_clipped_evaluation_and_its_repair() -> None:
    values = jnp.array([0.0, 1.0, -1.0, 2.0, 100.0])
    width = 5.0 * np.mean(np.abs(values - 1.0))
    assert defects.clip(values, 5.0)[-1] == pytest.approx(min(100.0, 1.0 + width))
    make_energies = evaluate.make_energies
    with defects.clipped_evaluation():
        assert evaluate.make_energies is not make_energies
    assert evaluate.make_energies is make_energies


def test_a_gradient_that_is_not_centred_keeps_the_mean_energy() -> None:
    energies = jnp.array([-3.0, -2.9, -3.1, -2.8])
    change = jnp.array([0.1, 0.0, 0.2, -0.1])
    with defects.gradient_not_centred():
        weights = programs.gradient_weights(energies, 5.0)
        bounded = optimizers_kfac.bounded_weights(weights, change, 20.0)
    assert float(jnp.sum(weights)) == pytest.approx(2 * -2.95)
    assert float(jnp.sum(bounded)) == pytest.approx(2 * -2.95)
    assert abs(float(jnp.sum(programs.gradient_weights(energies, 5.0)))) < 1e-12


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
    for block in ("scf", "pretrain", "sampler", "optimizer", "train", "evaluate"):
        assert getattr(broken, block) == getattr(suite, block)
    assert broken.ansatz.options == suite.ansatz.options | defects.DEFECTS[name].options


def test_tables_of_defects_are_read_or_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no table"):
        read_defects(tmp_path)
    table = tmp_path / "one.csv"
    table.write_text("defect,system,geometry,seed,energy,stderr\none,Be,eq,1,-14.6,1e-4\n")
    assert read_defects(tmp_path) == {"one": {"Be": [{"energy": -14.6, "stderr": 1e-4}]}}
    table.write_text("defect,system,geometry,seed,energy,stderr\none,Be,eq,1,low,1e-4\n")
    with pytest.raises(InputError, match=r"one\.csv: not a table"):
        read_defects(tmp_path)
