"""Flags of imported rows: drift, walkers that disagree, energies below the exact one."""

import numpy as np
import pytest

from ferminet.benchmark.diagnostics import flags
from ferminet.benchmark.references import project_references
from tests.benchmark.imports.conftest import (
    DEEPQMC_SETTINGS,
    EXACT,
    JAQMC_SETTINGS,
    energies,
    write_deepqmc,
    write_ferminet,
    write_jaqmc,
)


def walkers(n: int = 400, n_walkers: int = 64, seed: int = 2) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n, n_walkers))
    return EXACT + 0.002 + 0.05 * noise


def doubts(row) -> str:
    return "; ".join(flags(row, project_references()))


def test_a_sound_run_has_no_flags(tmp_path, load):
    row = load(write_deepqmc(tmp_path / "run", walkers()), "deepqmc", seed=None)
    assert doubts(row) == ""
    assert (row.seed, row.walkers, row.status) == (3, 64, "complete")
    assert row.r_hat == pytest.approx(1.0, abs=0.005)
    assert row.tau == pytest.approx(20.0, rel=0.5)  # independent samples, 20 Metropolis steps apart


def test_r_hat_is_that_of_the_textbook(tmp_path, load):
    values = walkers().astype(np.float32).astype(float)
    row = load(write_deepqmc(tmp_path / "run", values), "deepqmc")
    # Independent samples: blocks of one or two iterations, so one of the two must be found.
    found = []
    for block in (1, 2):
        chains = values.reshape(400 // block, block, 64).mean(axis=1)
        halves = np.concatenate([chains[: len(chains) // 2], chains[-(len(chains) // 2) :]], axis=1)
        n = len(halves)
        within = np.mean([np.var(chain, ddof=1) for chain in halves.T])
        between = n * np.var([np.mean(chain) for chain in halves.T], ddof=1)
        found.append(np.sqrt(((n - 1) / n * within + between / n) / within))
    assert min(abs(row.r_hat - value) for value in found) < 1e-9


def test_walkers_that_disagree_are_flagged(tmp_path, load):
    values = walkers()
    values[:, 0] += 0.5  # one walker stays elsewhere
    values -= 0.5 / 64
    row = load(write_deepqmc(tmp_path / "run", values), "deepqmc")
    assert row.r_hat > 1.01
    assert "walkers disagree" in doubts(row)


def test_r_hat_is_left_out_where_chance_would_raise_it(tmp_path, load):
    row = load(write_deepqmc(tmp_path / "run", walkers(20, 4)), "deepqmc")
    assert row.r_hat is None


def test_a_drift_is_flagged(tmp_path, load):
    values = energies() + np.linspace(0.01, 0.0, 400)
    row = load(write_ferminet(tmp_path / "run", values), "ferminet")
    difference = np.mean(values[200:]) - np.mean(values[:200])
    assert row.details.drift_z * difference > 0
    assert abs(row.details.drift_z) > 4
    assert "drift" in doubts(row)


def test_an_energy_below_the_exact_one_is_suspicious(tmp_path, load):
    row = load(write_ferminet(tmp_path / "run", energies() - 0.01), "ferminet")
    assert row.status == "suspicious"
    assert "standard errors below the exact energy" in doubts(row)


def test_a_training_that_has_not_ended_is_unfinished(tmp_path, load):
    settings = DEEPQMC_SETTINGS.replace("steps: 400", "steps: 1000")
    folder = write_deepqmc(tmp_path / "run", walkers(), "training", settings)
    row = load(folder, "deepqmc")
    assert (row.status, row.iterations) == ("unfinished", 400)
    assert row.details.imported.window.startswith("the last 50 of 400 energies of the training")
    assert "unfinished: 400 iterations of training so far" in doubts(row)


def test_the_autocorrelation_time_counts_iterations_that_were_not_written(tmp_path, load):
    """google-deepmind/ferminet writes every n-th iteration with log.stats_frequency = n."""
    values = energies()
    folder = write_ferminet(tmp_path / "run", values)
    lines = [f"{5 * step},{value!r},0.5" for step, value in enumerate(values.tolist())]
    (folder / "train_stats.csv").write_text("\n".join(["step,energy,pmove", *lines]) + "\n")
    row = load(folder, "ferminet", averaged="training")
    assert row.iterations == 1996
    assert row.details.imported.window.startswith("the last 50 of 400 energies")


def test_settings_and_seeds_of_jaqmc(tmp_path, load):
    """The seed is that of the training, which the evaluation names."""
    trained = tmp_path / "trained"
    trained.mkdir()
    (trained / "train_config.yaml").write_text("workflow: {seed: 5}\n")
    named = JAQMC_SETTINGS.replace("seed: 7", f"source_path: {trained}, seed: 7")
    row = load(write_jaqmc(tmp_path / "run", energies(), named), "jaqmc", seed=None)
    assert (row.seed, row.evaluation_seed, row.walkers) == (5, 7, 128)
    assert row.evaluation_iterations == 400
    assert row.variance == pytest.approx(0.04)
    assert row.details.imported.settings["train"] == {"run": {"iterations": 400}}
    # Two seeds of the same settings have one hash, other settings another one.
    other = write_jaqmc(tmp_path / "b", energies(), named.replace("seed: 7", "seed: 8"))
    assert load(other, "jaqmc").config_hash == row.config_hash
    other = write_jaqmc(tmp_path / "c", energies(), named.replace("steps: 10", "steps: 9"))
    assert load(other, "jaqmc").config_hash != row.config_hash
