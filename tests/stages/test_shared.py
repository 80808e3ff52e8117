"""The training of a curve: its histories and checkpoints, and the files of its geometries."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.benchmark.records import read_rows, read_table
from ferminet.config import TrainConfig, expand_runs, layout, load_run, load_study
from ferminet.config.runs import SHARED
from ferminet.errors import InputError, InterruptedRunError, NotConvergedError
from ferminet.runtime.checkpoint import load_arrays
from ferminet.stages.chemistry import run_scf
from ferminet.stages.history import history_path, read_history
from ferminet.stages.runs import run_evaluate, run_pretrain, run_split, run_train
from ferminet.stages.status import run_status
from ferminet.stages.training import RunIdentity, train
from ferminet.stages.unfinished import unfinished_row
from ferminet.vmc.devices import tree_to_arrays

LABELS = ("r2", "r4")
SYSTEM = """
name: H2cation
title: hydrogen molecular ion
kind: curve
unit: bohr
charge: 1
unpaired_electrons: 1
source: a test
curve:
  shape: chain
  element: H
  number: 2
  label_format: "r{:.0f}"
  parameter: {name: bond length, unit: bohr, grid: [2.0, 4.0]}
"""
STUDY = """
seeds: [1]
systems: [{path: H2cation.yaml}]
ansatz:
  ferminet:
    options: {layers: 1, one_electron_width: 4, two_electron_width: 2, determinants: 1}
scf: {basis: sto-3g}
pretrain: {iterations: 0, walkers: 8}
sampler: {walkers: 8, decorrelation_steps: 2, burn_in: 2}
optimizer: {name: adam}
train: {iterations: 130, shared: true, spread_start: 2, spread_iterations: 3}
evaluate: {iterations: 50, burn_in: 2}
"""


@pytest.fixture(scope="module")
def curve(small_network):
    """The small network, whose nucleus stands at two places."""
    coords = jnp.array([[[0.0, 0.0, -0.5]], [[0.0, 0.0, 0.5]]])
    problem = small_network._replace(nuclei=small_network.nuclei._replace(coords=coords))
    return problem, small_network.ansatz.init(jax.random.key(1), small_network.nuclei)


def run(curve, settings, walkers, directory, progress, **more):
    problem, params = curve
    parts = TrainConfig(
        **settings.train.model_dump(), shared=True, spread_start=2, spread_iterations=4
    )
    identity = RunIdentity("0123abcd", {}, LABELS)
    settings = settings._replace(train=parts)
    return train(problem, settings, identity, params, walkers, directory, progress, **more)


def test_it_continues_to_the_bit_with_a_history_for_each_geometry(
    curve, small_settings, hydrogen_walkers, quiet, tmp_path
):
    walkers = hydrogen_walkers(32, 1.0, 4)
    whole = run(curve, small_settings("adam", 9), walkers, tmp_path / "whole", quiet)
    calls = iter([False, True])  # in the middle of the spread
    with pytest.raises(InterruptedRunError):
        run(
            curve, small_settings("adam", 9), walkers, tmp_path / "parts", quiet,
            should_stop=lambda: next(calls, False),
        )  # fmt: skip
    parts = run(curve, small_settings("adam", 9), walkers, tmp_path / "parts", quiet)
    assert parts.attempts == 2
    for name, array in tree_to_arrays(whole.state, "").items():
        assert array.tobytes() == tree_to_arrays(parts.state, "")[name].tobytes(), name
    for label, first, second in zip(LABELS, whole.histories, parts.histories, strict=True):
        stored = read_history(history_path(tmp_path / "parts", label))
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])
            np.testing.assert_array_equal(first[name], stored[name])
    near, far = (history["energy"] for history in whole.histories)
    assert not np.array_equal(near, far)


def test_a_geometry_whose_energy_is_not_finite_is_named(
    curve, small_settings, hydrogen_walkers, quiet, tmp_path
):
    problem, params = curve
    coords = problem.nuclei.coords.at[1].set(jnp.nan)
    broken = problem._replace(nuclei=problem.nuclei._replace(coords=coords))
    with pytest.raises(NotConvergedError, match=r"Iteration \d of (r2|r4): "):
        run(
            (broken, params),
            small_settings("adam", 9),
            hydrogen_walkers(32, 1.0, 4),
            tmp_path,
            quiet,
        )
    assert not history_path(tmp_path, "r2").exists()


@pytest.mark.slow
def test_every_geometry_gets_the_files_of_a_training_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("H2cation.yaml").write_text(SYSTEM)
    Path("mine.yaml").write_text(STUDY)
    near, far = expand_runs(load_study("mine.yaml"))
    training = load_run("mine.yaml", geometry=SHARED)
    start = layout.path_of(layout.PRETRAINED, training)
    folder = layout.path_of(layout.CHECKPOINTS, training)
    trained, histories = (layout.path_of(x, training) for x in (layout.TRAINED, layout.HISTORY))
    run_scf(training, Path("scf.safetensors"))
    run_pretrain(training, Path("scf.safetensors"), start)
    assert run_status(far).state == "pretrained"
    run_train(training, start, folder, trained, histories)
    assert run_status(near).state == "training" and run_status(near).iteration == 130
    row = unfinished_row(far)
    assert row is not None and row.geometry == "r4" and row.wall_s is not None
    arrays, header = load_arrays(trained)
    assert row.wall_s == pytest.approx(header["wall_s"] / 2, rel=0.1)  # until its checkpoint
    for index, member in enumerate((near, far)):
        own, history = (layout.path_of(x, member) for x in (layout.TRAINED, layout.HISTORY))
        run_split(member, trained, histories, own, history)
        found, kept = load_arrays(own)
        np.testing.assert_array_equal(found["electrons"][::2], arrays["electrons"][index::2])
        assert len(found["electrons"]) == 8
        assert found["step_size"] == arrays["step_size"][index]
        assert kept["wall_s"] == pytest.approx(header["wall_s"] / 2)
        stored = read_history(layout.history_csv(member))
        np.testing.assert_array_equal(read_table(history)["energy"], stored["energy"])
        assert run_status(member).state == "trained"
    energy = layout.path_of(layout.ENERGY, far)
    own = layout.path_of(layout.TRAINED, far)
    run_evaluate(far, own, layout.path_of(layout.EVALUATION_CHECKPOINTS, far), energy)
    (row,) = read_rows(energy)
    assert (row.geometry, row.status, row.iterations) == ("r4", "complete", 130)
    assert row.details.settings["train"]["shared"] is True
    assert run_status(far).state == "evaluated" and run_status(near).state == "trained"
    with pytest.raises(InputError, match="shares its training with other geometries; give"):
        run_train(far, start, folder, own, histories)
    with pytest.raises(InputError, match="not a geometry of a shared training"):
        run_split(training, trained, histories, own, histories)
    with pytest.raises(InputError, match="belongs to the configuration"):
        run_split(far, layout.path_of(layout.TRAINED, near), histories, own, histories)
