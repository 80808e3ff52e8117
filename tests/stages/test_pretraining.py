"""Pretraining: its targets, its error, when it stops, its verdict."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz import ferminet
from ferminet.ansatz.base import Ansatz, AnsatzSpec, LogPsi, Nuclei
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.chemistry.scf import run_scf
from ferminet.config import PretrainConfig, SamplerConfig
from ferminet.errors import InputError, NotConvergedError
from ferminet.runtime.progress import Progress
from ferminet.stages.pretraining import STALL_INTERVAL, has_stalled, pretrain
from ferminet.systems.files import load_systems
from ferminet.vmc.pretrain import Pretrainer, determinant_targets, orbital_residuals
from ferminet.vmc.programs import Problem
from tests.helpers.molecules import eval_orbitals

SAMPLER = SamplerConfig(walkers=128, decorrelation_steps=5, burn_in=5)


@pytest.fixture(scope="module")
def scf(root_systems):
    """``scf(name)``: molecule and SCF result."""
    return lambda name, basis="sto-3g": run_scf(root_systems[name].geometries["eq"], basis)


@pytest.fixture(scope="module")
def root_systems():
    return load_systems(Path(__file__).parents[2] / "molecules")


def targets(orbitals, electrons, nuclei, columns, n_determinants=1):
    n_up = orbitals.coefficients_up.shape[1]
    shapes = [
        jnp.zeros((n_determinants, n, c))
        for n, c in zip((n_up, len(electrons) - n_up), columns, strict=True)
    ]
    return determinant_targets(orbitals, electrons, nuclei, (shapes[0], shapes[1]))


def test_targets_are_blocks_on_the_diagonal(scf):
    orbitals = scf("Li").orbitals
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)))
    nuclei = jnp.zeros((1, 3))
    up, down = eval_orbitals(orbitals, electrons, nuclei)
    block = targets(orbitals, electrons, nuclei, (2, 1))
    np.testing.assert_allclose(block[0][0], up, rtol=1e-13)
    np.testing.assert_allclose(block[1][0], down, rtol=1e-13)
    full = targets(orbitals, electrons, nuclei, (3, 3))
    assert (full[0].shape, full[1].shape) == ((1, 2, 3), (1, 1, 3))
    matrix = np.concatenate(full, axis=1)[0]
    np.testing.assert_allclose(matrix[:2, :2], up, rtol=1e-13)
    np.testing.assert_allclose(matrix[2:, 2:], down, rtol=1e-13)
    np.testing.assert_array_equal(matrix[:2, 2:], 0.0)
    np.testing.assert_array_equal(matrix[2:, :2], 0.0)


@pytest.mark.parametrize("is_local", [False, True])
@pytest.mark.parametrize("full", [False, True])
def test_the_error_is_relative_and_zero_when_the_network_returns_the_targets(
    make_tiny, any_params, scf, full, is_local
):
    orbitals = scf("Li").orbitals
    problem = make_tiny([[3.0, 0.0, 0.0, 0.0]], 2, 1, full_determinant=full)
    network = problem.ansatz.orbitals
    assert network is not None

    def perfect(params, walker, nuclei):
        return determinant_targets(orbitals, walker, nuclei.coords, network(params, walker, nuclei))

    def shifted(params, walker, nuclei):
        return jax.tree.map(lambda x: x + 0.1, perfect(params, walker, nuclei))

    params = any_params(problem)
    electrons = jnp.asarray(np.random.default_rng(1).normal(size=(5, 3, 3)))

    # The shift adds 0.01 per column to an electron's row, and the density is the row's square.
    added, densities, n_values = [], [], 0
    for walker in electrons:
        for spin in perfect(params, walker, problem.nuclei):
            n_values += spin.size
            for electron in range(spin.shape[1]):
                densities.append(np.sum(np.asarray(spin[:, electron]) ** 2) / len(spin))
                added.append(0.01 * spin.shape[2])
    weights = 1.0 / np.add(densities, 1e-3) if is_local else np.ones(len(densities))
    missing = np.dot(weights, added) / np.dot(weights, densities)
    for function, expected in ((perfect, 0.0), (shifted, missing)):
        changed = problem._replace(ansatz=problem.ansatz._replace(orbitals=function))
        found = orbital_residuals(
            changed, orbitals, params, electrons, problem.nuclei, is_local=is_local
        )
        assert found.shape == (5, n_values // 5)
        assert float(jnp.sum(found**2)) == pytest.approx(expected, rel=1e-12, abs=1e-14)


def test_determinants_share_the_terms_and_keep_their_sum(scf):
    orbitals = scf("LiH").orbitals
    # Make the terms differ, as those of a broken bond.
    up, down = np.asarray(orbitals.coefficients_up), np.asarray(orbitals.coefficients_down)
    orbitals = orbitals._replace(terms_up=np.stack([up, 2 * up]), terms_down=np.stack([down, down]))
    electrons = jnp.asarray(np.random.default_rng(2).normal(size=(4, 3)))
    nuclei = jnp.array([[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
    first, second = targets(orbitals, electrons, nuclei, (2, 2), 2)
    np.testing.assert_allclose(first[1], 2.0 * first[0], rtol=1e-12)
    np.testing.assert_allclose(second[1], second[0], rtol=1e-12)
    # Three determinants, two terms: the first is shared. psi is half of the sum of both.
    psi = sum_of_determinants(*targets(orbitals, electrons, nuclei, (2, 2), 2))
    shared = sum_of_determinants(*targets(orbitals, electrons, nuclei, (2, 2), 3))
    weights = jnp.array([1.0, 4.0])  # det(2 phi) = 4 det(phi)
    expected = (2 * 0.5 * weights[0] + weights[1]) / weights.sum()
    assert float(jnp.exp(shared.logabs - psi.logabs)) == pytest.approx(float(expected))
    one = targets(orbitals, electrons, nuclei, (2, 2), 1)
    np.testing.assert_allclose(one[0][0], first[0], rtol=1e-12)


def test_errors_have_stalled_when_their_mean_hardly_falls():
    n = STALL_INTERVAL
    falling = [0.98**i for i in range(3 * n)]  # by a third in an interval of 20
    assert not any(has_stalled(falling[:done]) for done in range(3 * n))
    # A single error that is as large as before is noise; a fifth is needed, in the mean.
    assert not has_stalled([*falling[:-1], falling[-n]])
    assert has_stalled([1.0] * n + [0.81] * n)
    assert not has_stalled([1.0] * n + [0.79] * n)
    assert not has_stalled([1.0] * (2 * n - 1))  # too few to compare
    assert has_stalled([9.0] * n + [1.0] * 2 * n)  # the past does not count


class Counter(Progress):
    """Remembers the iterations that were done."""

    def __call__(self, done: int, text: str) -> None:
        super().__call__(done, text)
        self.done = done


@pytest.mark.slow
@pytest.mark.parametrize(("method", "tolerance"), [("least_squares", 1e-4), ("adam", 1e-2)])
@pytest.mark.usefixtures("quiet")
def test_a_tiny_network_comes_close_to_hartree_fock(make_tiny, scf, caplog, method, tolerance):
    problem = make_tiny([[2.0, 0.0, 0.0, 0.0]], 1, 1, determinants=1, layers=1)
    result, counter = scf("He", "6-31g"), Counter("test", 1)
    rate = {"learning_rate": 0.01} if method == "adam" else {}
    config = PretrainConfig(method=method, iterations=300, tolerance=tolerance, **rate)
    start = pretrain(problem, result.orbitals, result.energy, config, SAMPLER, 3, counter)
    assert start.electrons.shape == (128, 2, 3)
    assert start.error < tolerance
    # Adam's schedule needs all iterations; least squares stop when they have converged.
    assert counter.done == 300 if method == "adam" else 2 * STALL_INTERVAL <= counter.done < 300
    assert start.energy.mean - 3.0 * start.energy.error < result.energy + 0.15
    # The variational principle: the exact energy is lower.
    assert start.energy.mean > -2.9037 - 4.0 * start.energy.error
    assert "SCF reference" in caplog.text


@pytest.mark.slow
def test_the_first_steps_are_not_too_long(scf):
    """The median error of six seeds is 3e-3; with a tenth of the damping it is 4e-2."""
    options = {"layers": 1, "one_electron_width": 16, "two_electron_width": 4, "determinants": 4}
    nuclei = Nuclei(jnp.zeros((1, 3)), jnp.asarray([7.0]))
    problem = Problem(ferminet.build(AnsatzSpec(5, 2, 1), **options), nuclei, 5, 2)
    config, sampler = PretrainConfig(walkers=64), SamplerConfig(walkers=64)
    pretrainer = Pretrainer(problem, scf("N", "cc-pvdz").orbitals, config, sampler, 1)
    errors = []
    for seed in range(6):
        pretrainer.keys = jax.random.split(jax.random.key(seed), 5)
        state, error = pretrainer.init(), jnp.inf
        for iteration in range(20):
            state, error = pretrainer.step(state, iteration)
        errors.append(float(error))
    assert np.median(errors) < 1e-2, errors


def hydrogen_orbital(small_network):
    """A hydrogen orbital exp(-5 r): far from its target, and quickly compiled."""

    def orbitals(params, electrons, nuclei):
        r = jnp.linalg.norm(electrons - nuclei.coords[0], axis=-1)
        return jnp.exp(-params["zeta"] * r)[None, :, None], jnp.zeros((1, 0, 0))

    def apply(params, electrons, nuclei):
        r = jnp.linalg.norm(electrons - nuclei.coords[0], axis=-1)
        return LogPsi(jnp.ones(()), -params["zeta"] * jnp.sum(r))

    ansatz = Ansatz(lambda key, nuclei: {"zeta": jnp.asarray(5.0)}, apply, orbitals)
    return small_network._replace(ansatz=ansatz)


def test_a_start_that_is_too_high_is_measured_and_left_to_training(small_network, scf, quiet):
    config = PretrainConfig(method="adam", iterations=1, learning_rate=1e-12, tolerance=9.0)
    problem, orbitals = hydrogen_orbital(small_network), scf("H").orbitals
    sampler = SAMPLER.model_copy(update={"walkers": 4096})
    start = pretrain(problem, orbitals, -0.4666, config, sampler, 1, quiet)
    # E = 25/2 - 5 = 7.5 hartree for exp(-5 r). The local energy -25/2 + 4/r has the standard
    # deviation 20: its mean over 20 sweeps of 4,096 walkers is good to 0.07 at best.
    assert 0.05 < start.energy.error < 0.3
    assert abs(start.energy.mean - 7.5) < 4.0 * start.energy.error


@pytest.mark.parametrize(
    ("wrong", "left", "iterations", "advice"),
    [
        (1.0, r"\S+", 30, "raise pretrain.iterations, or pretrain.tolerance"),
        (1.0, r"\S+", 200, "raise pretrain.tolerance"),  # stalls before
        (np.nan, "nan", 30, "raise pretrain.iterations, or pretrain.tolerance"),
    ],
)
def test_orbitals_that_cannot_take_the_form_of_the_targets_are_refused(
    small_network, scf, quiet, wrong, left, iterations, advice
):
    """A p orbital: the best multiple of it is zero, which leaves the whole target."""
    problem = hydrogen_orbital(small_network)

    def orbitals(params, electrons, nuclei):
        (up, down) = problem.ansatz.orbitals(params, electrons, nuclei)
        return wrong * electrons[None, :, :1] * up, down

    changed = problem._replace(ansatz=problem.ansatz._replace(orbitals=orbitals))
    config = PretrainConfig(iterations=iterations)
    with pytest.raises(NotConvergedError) as refused:
        pretrain(changed, scf("H").orbitals, -0.4666, config, SAMPLER, 1, quiet)
    sentence = str(refused.value)
    start = rf"After \d+ iterations .* error is {left} of the density \(allowed: 0.1\): "
    assert re.match(start, sentence)
    assert advice in sentence
    assert "\n" not in sentence and ". " not in sentence


def test_an_energy_that_is_not_finite_is_refused(small_network, scf, quiet):
    problem = hydrogen_orbital(small_network)

    def apply(params, electrons, nuclei):
        psi = problem.ansatz.apply(params, electrons, nuclei)
        # Zero, and its derivative is zero times infinity.
        return psi._replace(logabs=psi.logabs + jnp.sqrt(0.0 * jnp.sum(electrons)))

    rough = problem._replace(ansatz=problem.ansatz._replace(apply=apply))
    config = PretrainConfig(iterations=1, tolerance=9.0)
    with pytest.raises(NotConvergedError, match="After pretraining the energy is nan"):
        pretrain(rough, scf("H").orbitals, -0.4666, config, SAMPLER, 1, quiet)


def test_without_iterations_nothing_is_judged(small_network, scf, quiet):
    config = PretrainConfig(iterations=0, tolerance=1e-9)
    problem = hydrogen_orbital(small_network)
    start = pretrain(problem, scf("H").orbitals, -0.4666, config, SAMPLER, 1, quiet)
    assert float(start.params["zeta"]) == 5.0
    assert start.energy.mean > 1.0
    assert np.isnan(start.error)


def test_fewer_walkers_than_the_samplers_become_all_of_them(small_network, scf, quiet):
    config = PretrainConfig(iterations=1, walkers=10, tolerance=9.0)
    problem, orbitals = hydrogen_orbital(small_network), scf("H").orbitals
    start = pretrain(problem, orbitals, -0.4666, config, SAMPLER, 1, quiet)
    assert start.electrons.shape == (SAMPLER.walkers, 1, 3)
    # Copies have parted in the equilibration.
    assert len(np.unique(np.asarray(start.electrons).reshape(-1, 3), axis=0)) == SAMPLER.walkers


def test_a_wavefunction_without_orbitals_cannot_be_pretrained(small_network, scf, quiet):
    config = PretrainConfig(iterations=1)
    with pytest.raises(InputError, match=r"pretrain\.iterations to 0"):
        pretrain(small_network, scf("H").orbitals, -0.47, config, SAMPLER, 1, quiet)


def test_a_wavefunction_made_of_the_scf_orbitals_has_nothing_to_fit(
    small_network, scf, quiet, caplog
):
    config = PretrainConfig(iterations=5, tolerance=1e-9)
    problem = hydrogen_orbital(small_network)
    made = problem._replace(ansatz=problem.ansatz._replace(needs_scf=True))
    start = pretrain(made, scf("H").orbitals, -0.4666, config, SAMPLER, 1, quiet)
    # Its energy of 7.5 hartree is not judged: training has not begun.
    assert float(start.params["zeta"]) == 5.0
    assert "nothing to fit" in caplog.text
