"""Evaluation: frozen, unclipped, resumable; its row follows from what it stored."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.benchmark import diagnostics
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import row
from ferminet.config import EvaluateConfig
from ferminet.errors import InputError, InterruptedRunError, NotConvergedError
from ferminet.runtime.checkpoint import list_checkpoints, load_arrays
from ferminet.runtime.progress import Progress
from ferminet.stages.evaluation import _trace_from_arrays, evaluate
from ferminet.vmc.evaluate import BLOCK, SERIES_WALKERS, Trace, make_evaluator, summarise
from ferminet.vmc.statistics import Estimate, autocorrelation_time, walker_estimate, z_score

N_WALKERS, STEPS, ZETA, STEP_SIZE = 256, 4, 1.1, 0.45


@pytest.fixture(scope="module")
def run(make_hydrogenic, hydrogen_walkers):
    """``run(directory, progress, blocks)``: the energy of exp(-1.1 r) for hydrogen."""
    start = hydrogen_walkers(N_WALKERS, ZETA, 12)
    right = make_evaluator(make_hydrogenic(1.0, ZETA), 0.0, STEPS)

    def call(directory, progress, blocks=2, problem=None, config_hash="0123abcd", **more):
        return evaluate(
            make_evaluator(problem, 0.0, STEPS) if problem else right,
            EvaluateConfig(iterations=blocks * BLOCK, decorrelation_steps=STEPS, burn_in=2),
            {"zeta": jnp.asarray(ZETA)},
            start,
            jnp.asarray(STEP_SIZE),
            5,
            config_hash,
            directory,
            progress,
            **more,
        )

    return call


def assert_same(first: Trace, second: Trace):
    ours, theirs = jax.tree.leaves(first), jax.tree.leaves(second)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def long_result(run, tmp_path_factory):
    directory = tmp_path_factory.mktemp("evaluation")
    return run(directory, Progress("test", 1), blocks=8), directory


def test_energy_is_exact_within_its_error(long_result):
    trace = long_result[0].trace
    energy = walker_estimate(trace.block_means.energy)
    exact = 0.5 * ZETA**2 - ZETA
    # The local energy -zeta^2/2 + (zeta - 1)/r has the standard deviation (zeta - 1) zeta, and a
    # sample is independent of the one ten iterations before.
    independent = 8 * BLOCK * N_WALKERS / 10.0
    assert energy.error < (ZETA - 1.0) * ZETA / np.sqrt(independent)
    assert abs(z_score(energy, exact)) < 4.0
    for name, value in (("kinetic", 0.5 * ZETA**2), ("potential", -ZETA), ("sentinel", 0.0)):
        assert abs(z_score(walker_estimate(getattr(trace.block_means, name)), value)) < 4.0, name
    radius = walker_estimate(trace.block_means.radius_squared)
    assert abs(z_score(radius, 3.0 / ZETA**2)) < 4.0


def test_a_trace_has_its_documented_shapes(long_result):
    trace = long_result[0].trace
    for name, values in trace.block_means._asdict().items():
        assert values.shape == (8, N_WALKERS), name
    assert trace.energies.shape == trace.radii.shape == (8 * BLOCK, SERIES_WALKERS)
    assert trace.step_energy.shape == trace.step_variance.shape == (8 * BLOCK,)
    assert trace.acceptance.shape == trace.n_nonfinite.shape == (8,)
    # The series and the block means are of the same samples.
    blocks = trace.energies.reshape(8, BLOCK, SERIES_WALKERS).mean(axis=1)
    np.testing.assert_allclose(blocks, trace.block_means.energy[:, :SERIES_WALKERS], rtol=1e-9)
    np.testing.assert_allclose(
        trace.step_energy.mean(), trace.block_means.energy.mean(), rtol=1e-12
    )


def test_step_size_is_frozen(long_result):
    result = long_result[0]
    assert result.step_size == STEP_SIZE
    # Acceptance only scatters; adapted to 50 % it would change by far more than this.
    assert np.ptp(result.trace.acceptance) < 0.02
    assert abs(result.trace.acceptance.mean() - 0.5) > 0.02


def test_more_iterations_add_samples_to_the_old_ones(run, quiet, tmp_path, long_result):
    short = run(tmp_path, quiet, blocks=3).trace
    longer = run(tmp_path, quiet, blocks=8).trace
    assert_same(longer, long_result[0].trace)
    np.testing.assert_array_equal(longer.step_energy[: 3 * BLOCK], short.step_energy)
    np.testing.assert_array_equal(longer.block_means.energy[:3], short.block_means.energy)


def test_fewer_iterations_than_are_saved_use_all_of_them_and_report_it(
    run, quiet, caplog, tmp_path, long_result
):
    run(tmp_path, quiet, blocks=8)
    assert_same(run(tmp_path, quiet, blocks=3).trace, long_result[0].trace)
    assert f"all iterations count, though {3 * BLOCK} would have been enough" in caplog.text


def test_an_interrupted_evaluation_ends_as_an_uninterrupted_one(run, quiet, tmp_path, long_result):
    asked = itertools.count()
    with pytest.raises(InterruptedRunError, match=rf"after {2 * BLOCK} of {8 * BLOCK}"):
        run(tmp_path, quiet, blocks=8, should_stop=lambda: next(asked) == 1)
    result = run(tmp_path, quiet, blocks=8)
    assert_same(result.trace, long_result[0].trace)
    np.testing.assert_array_equal(result.electrons, long_result[0].electrons)


def test_a_resumed_evaluation_estimates_its_end_from_what_it_did_itself(run, quiet, tmp_path):
    run(tmp_path, quiet, blocks=2)
    run(tmp_path, quiet, blocks=3)
    assert quiet.start == 2 * BLOCK


def test_another_wavefunctions_samples_are_refused(run, quiet, tmp_path):
    run(tmp_path, quiet, blocks=1)
    with pytest.raises(InputError, match="0123abcd"):
        run(tmp_path, quiet, blocks=1, config_hash="ffffffff")


def with_kinetic(make_hydrogenic, value):
    """The hydrogenic wavefunction whose kinetic energy is ``value`` beyond 3 bohr, else 0."""
    problem = make_hydrogenic(1.0, ZETA)

    def kinetic(params, electrons, nuclei):
        del params, nuclei
        return jnp.where(jnp.linalg.norm(electrons[0]) > 3.0, value, 0.0)

    return problem._replace(ansatz=problem.ansatz._replace(kinetic=kinetic))


def test_nothing_is_clipped(run, quiet, tmp_path, make_hydrogenic):
    outlier = 1e4
    trace = run(tmp_path, quiet, blocks=4, problem=with_kinetic(make_hydrogenic, outlier)).trace
    x = 2.0 * ZETA * 3.0
    beyond = np.exp(-x) * (1.0 + x + 0.5 * x**2)  # probability of r > 3 bohr, 4 %
    expected = outlier * beyond - ZETA
    energy = walker_estimate(trace.block_means.energy)
    assert 0.01 < beyond < 0.1
    assert abs(z_score(energy, expected)) < 4.0
    assert energy.mean > 5.0 * outlier * 0.001 + 10.0 * energy.error  # clipped it would be near -1
    assert trace.energies.max() > 0.99 * outlier


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_energies_that_are_not_finite_are_refused(run, quiet, tmp_path, make_hydrogenic, value):
    with pytest.raises(NotConvergedError, match="not finite"):
        run(tmp_path, quiet, problem=with_kinetic(make_hydrogenic, value))
    assert list_checkpoints(tmp_path) == []


def test_a_row_is_recomputed_from_what_was_stored(long_result):
    result, directory = long_result
    arrays, _ = load_arrays(list_checkpoints(directory)[0][1])
    arrays.pop("electrons")
    stored = summarise(_trace_from_arrays(arrays), STEPS, 1)
    assert stored == summarise(result.trace, STEPS, 1)


def test_a_row_follows_from_its_trace(long_result):
    trace = long_result[0].trace
    summary = summarise(trace, STEPS, 1)
    assert summary["energy"] == pytest.approx(trace.block_means.energy.mean(), rel=1e-12)
    per_walker = trace.block_means.energy.mean(axis=0)
    assert summary["stderr"] == pytest.approx(per_walker.std(ddof=1) / np.sqrt(N_WALKERS))
    assert summary["variance"] == np.median(trace.step_variance)
    assert summary["tau"] == pytest.approx(STEPS * autocorrelation_time(trace.energies))
    assert abs(summary["stein_z"]) < 4.0
    assert (summary["s2"], summary["s2_stderr"]) == (0.75, 0.0)
    assert summary["r_hat"] < 1.05
    details = summary["details"]
    assert details["n_nonfinite"] == 0
    assert details["effective_determinants"] is None
    # The variance of one iteration scatters by its own error; the median of all has less.
    scatter = trace.step_variance.std() / np.sqrt(len(trace.step_variance))
    assert 0.5 * scatter < details["variance_error"] < 2.0 * scatter
    # -<V> / <T> of exp(-zeta r) at Z = 1 is 2 / zeta.
    virial = Estimate(details["virial_ratio"], details["virial_ratio_error"])
    assert 0.0 < virial.error < 0.02
    assert abs(z_score(virial, 2.0 / ZETA)) < 4.0
    # R-hat of so short a series lies at its limit; nothing else is doubtful.
    flags = diagnostics.flags(_row_of(summary), References())
    assert all(flag.startswith("walkers disagree") for flag in flags)


def _row_of(summary, unpaired_electrons=1):
    """A row of results with the numbers of a summary."""
    return row(
        study="s", system="X", geometry="eq", method="vmc", ansatz="mine", config_hash="1a2b3c4d",
        seed=1, status="complete", n_electrons=3, unpaired_electrons=unpaired_electrons, **summary,
    )  # fmt: skip


def test_a_wrong_spin_and_errors_that_disagree_are_flagged(long_result):
    trace = long_result[0].trace
    quartet = _row_of(summarise(trace, STEPS, 3), 3)
    assert any("spin" in flag for flag in diagnostics.flags(quartet, References()))
    # A long series whose walkers agree far better than its steps: errors cannot both be right.
    rng = np.random.default_rng(0)
    n_blocks = 200
    steps = rng.normal(size=n_blocks * BLOCK)
    means = np.repeat(steps.reshape(n_blocks, BLOCK).mean(axis=1)[:, None], N_WALKERS, axis=1)
    means = means + 1e-3 * rng.normal(size=means.shape)
    disagreeing = trace._replace(
        block_means=jax.tree.map(lambda _: means, trace.block_means)._replace(
            spin_squared=np.full(means.shape, 0.75)
        ),
        energies=rng.normal(size=(n_blocks * BLOCK, 4)),
        radii=rng.normal(size=(n_blocks * BLOCK, 4)),
        step_energy=steps,
    )
    # And the other way round: walkers that stay where they are, steps that scatter little.
    stuck = np.repeat(rng.normal(size=(1, N_WALKERS)), n_blocks, axis=0)
    stuck = disagreeing._replace(
        block_means=disagreeing.block_means._replace(energy=stuck), step_energy=1e-3 * steps
    )
    agreeing = disagreeing._replace(
        block_means=disagreeing.block_means._replace(
            energy=rng.normal(size=means.shape) * np.sqrt(N_WALKERS / BLOCK)
        )
    )
    for changed, expected in ((disagreeing, True), (stuck, True), (agreeing, False)):
        flags = diagnostics.sampling_flags(_row_of(summarise(changed, STEPS, 1)))
        assert any("reblocking" in flag for flag in flags) == expected
