"""Inspections of wavefunctions whose local energies, cusps and quadrupoles are known."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from ferminet.ansatz.base import Ansatz, LogPsi
from ferminet.errors import NotConvergedError
from ferminet.vmc import inspection
from ferminet.vmc.frozen import Frozen
from ferminet.vmc.inspection import DISTANCE_EDGES, Samples
from ferminet.vmc.programs import Problem, make_sweep

N_WALKERS = 512


def sampled(problem: Problem, params, electrons, iterations: int = 80) -> Samples:
    state = (make_sweep(problem, 0.0), params, electrons, jnp.asarray(0.6))
    frozen = Frozen(problem, *state, iterations, burn_in=20, steps=8, seed=1)
    return inspection.sample(frozen, lambda *_: None)


def bins_of(samples: Samples, quantity: str):
    table = inspection.distribution(samples)
    return table[table["quantity"] == quantity]


def numbers(lines) -> dict[str, dict]:
    return {line["quantity"]: line for line in lines}


def test_exact_hydrogen_has_no_variance_and_the_exact_slope(make_hydrogenic, hydrogen_walkers):
    problem, params = make_hydrogenic(1.0, 1.0), {"zeta": jnp.asarray(1.0)}
    samples = sampled(problem, params, hydrogen_walkers(64, 1.0, 1), 4)
    found = numbers(inspection.energy_numbers(samples.energy))
    assert found["mean local energy / hartree"]["value"] == pytest.approx(-0.5, abs=1e-12)
    assert found["variance of the local energy / hartree²"]["value"] < 1e-20
    slopes = inspection.slopes(problem, params, samples.electrons)
    (line,) = inspection.cusp_numbers(slopes, ("H",), [1.0])
    assert line["quantity"] == "slope at H, spin up" and line["exact"] == -1.0
    assert line["value"] == pytest.approx(-1.0, abs=1e-3)
    assert line["low"] <= line["value"] <= line["high"] < line["low"] + 1e-6
    # There are no pairs, so no bins of their distances.
    assert set(inspection.distribution(samples)["quantity"]) == {
        "local_energy", "samples_by_nucleus", "variance_by_nucleus"
    }  # fmt: skip


@pytest.fixture(scope="module")
def wrong_zeta(make_hydrogenic, hydrogen_walkers):
    """Hydrogen with zeta = 1.3, whose local energy is -zeta^2 / 2 + (zeta - 1) / r."""
    problem, params = make_hydrogenic(1.0, 1.3), {"zeta": jnp.asarray(1.3)}
    return sampled(problem, params, hydrogen_walkers(N_WALKERS, 1.3, 2))


def density(r, zeta: float = 1.3):
    return 4.0 * zeta**3 * r**2 * np.exp(-2.0 * zeta * r)


def test_the_variance_by_distance_is_the_integral_for_a_wrong_zeta(wrong_zeta) -> None:
    zeta = 1.3
    mean = -0.5 * zeta**2 + (zeta - 1.0) * zeta
    variance = ((zeta - 1.0) * zeta) ** 2
    found = numbers(inspection.energy_numbers(wrong_zeta.energy))
    line = found["variance of the local energy / hartree²"]
    # The fourth moment is infinite at the nucleus, so a few samples dominate the error.
    assert abs(line["value"] - variance) < 4.0 * line["error"] < 0.5 * variance
    line = found["mean local energy / hartree"]
    assert abs(line["value"] - mean) < 4.0 * line["error"]

    def square(r):
        return density(r) * (-0.5 * zeta**2 + (zeta - 1.0) / r - mean) ** 2 / variance

    edges = [0.0, *DISTANCE_EDGES, 60.0]
    for quantity, function in (("samples_by_nucleus", density), ("variance_by_nucleus", square)):
        exact = [integrate.quad(function, *ends)[0] for ends in itertools.pairwise(edges)]
        assert sum(exact) == pytest.approx(1.0, abs=1e-6)
        measured = bins_of(wrong_zeta, quantity)
        assert measured["value"].sum() == pytest.approx(1.0)
        met = measured["error"] > 0.0
        z = ((measured["value"] - exact) / measured["error"])[met]
        assert met.sum() >= 10 and np.abs(z).max() < 4.5
        assert 0.4 < np.mean(z**2) < 2.5  # the errors have the right size


def test_the_histogram_of_local_energies_is_that_of_the_distance(wrong_zeta) -> None:
    """E_L - E = (zeta - 1) (1/r - zeta), so the shares follow from the radial distribution."""
    measured = bins_of(wrong_zeta, "local_energy")
    deviation = wrong_zeta.energy.mean() - (-0.5 * 1.3**2)
    with np.errstate(divide="ignore"):
        radii = 0.3 / np.clip(np.array([measured["low"], measured["high"]]) + deviation, 0.0, None)
    farther = stats.gamma.sf(radii, a=3.0, scale=1.0 / 2.6)
    exact = np.abs(farther[0] - farther[1])
    assert measured["value"].sum() == pytest.approx(1.0)
    many = exact > 0.005
    z = ((measured["value"] - exact) / measured["error"])[many]
    assert many.sum() > 10 and np.abs(z).max() < 5.0


def test_a_product_of_orbitals_has_no_cusp_between_its_electrons(make_hydrogenic) -> None:
    helium = make_hydrogenic(2.0, 2.0)._replace(n_up=1, n_down=1)
    electrons = np.random.default_rng(0).normal(size=(32, 2, 3))
    slopes = inspection.slopes(helium, {"zeta": jnp.asarray(2.0)}, electrons)
    lines = numbers(inspection.cusp_numbers(slopes, ("He",), [2.0]))
    for spin in ("up", "down"):
        assert lines[f"slope at He, spin {spin}"]["value"] == pytest.approx(-2.0, abs=1e-2)
    pair = lines["slope at a pair of opposite spin"]
    assert pair["exact"] == 0.5 and pair["value"] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("cusp", [0.25, 0.0])
def test_the_slope_of_a_pair_of_the_same_spin_is_that_of_the_wavefunction(make_nuclei, cusp):
    def apply(params, electrons, nuclei):
        del params, nuclei
        between = electrons[0] - electrons[1]
        r = jnp.linalg.norm(between)
        smooth = jnp.log(jnp.abs(between[0])) - jnp.sum(electrons**2)
        return LogPsi(jnp.sign(between[0]), smooth + cusp * r / (1.0 + r))

    problem = Problem(Ansatz(lambda k, n: {}, apply), make_nuclei([[3.0, 0, 0, 0]]), 2, 0)
    electrons = np.random.default_rng(1).normal(size=(16, 2, 3))
    slopes = inspection.slopes(problem, {}, electrons)
    line = numbers(inspection.cusp_numbers(slopes, ("Li",), [3.0]))[
        "slope at a pair of the same spin"
    ]
    assert line["exact"] == 0.25 and line["value"] == pytest.approx(cusp, abs=0.02)


def orbital(name: str) -> Ansatz:
    """A hydrogen-like orbital with zeta = 1: 1s, or 2p along z."""

    def apply(params, electrons, nuclei):
        del params, nuclei
        z, r = electrons[0, 2], jnp.linalg.norm(electrons[0])
        if name == "1s":
            return LogPsi(jnp.ones(()), -r)
        return LogPsi(jnp.sign(z), jnp.log(jnp.abs(z)) - 0.5 * r)

    return Ansatz(lambda key, nuclei: {}, apply)


def test_a_p_state_has_its_quadrupole_and_an_s_state_has_none(make_nuclei, hydrogen_walkers):
    """<3 z^2 - r^2> of 2p along z is 4/5 <r^2> = 24 bohr^2; the other components vanish."""
    nuclei = make_nuclei([[1.0, 0.0, 0.0, 0.0]])
    probabilities = []
    for name, exact, decay in (("1s", 0.0, 1.0), ("2p", 24.0, 0.5)):
        problem = Problem(orbital(name), nuclei, 1, 0)
        samples = sampled(problem, {}, hydrogen_walkers(N_WALKERS, decay, 3))
        lines = inspection.quadrupole_numbers(samples.quadrupole, is_s_state=True)
        z, *others = lines[:5]
        assert abs(z["value"] - exact) < 4.0 * z["error"] < 1.5
        assert all(abs(line["value"]) < 4.0 * line["error"] for line in others)
        chi_squared, probability = (line["value"] for line in lines[5:])
        probabilities.append(probability)
        assert (chi_squared > 100.0) == (name == "2p")
    assert probabilities[0] > 1e-3 and probabilities[1] < 1e-12


def test_quadrupoles_turn_with_the_electrons_and_keep_their_length() -> None:
    rng = np.random.default_rng(4)
    electrons = rng.normal(size=(5, 1, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    here, there = (inspection.quadrupoles(e) for e in (electrons, electrons @ turn))
    assert not np.allclose(here, there)
    np.testing.assert_allclose(np.sum(here**2, axis=1), np.sum(there**2, axis=1))
    r_squared = np.sum(electrons**2, axis=(1, 2))
    np.testing.assert_allclose(np.sum(here**2, axis=1), 4.0 * r_squared**2)


def test_isotropy_has_the_right_rate_of_false_alarms() -> None:
    rng = np.random.default_rng(5)
    mixed = rng.normal(size=(5, 5))
    found = [inspection.isotropy(rng.normal(size=(3, 24, 5)) @ mixed)[1] for _ in range(400)]
    assert stats.kstest(found, "uniform").pvalue > 1e-3
    assert np.isnan(inspection.isotropy(rng.normal(size=(3, 6, 5)))).all()


def test_nearest_distances_agree_with_a_loop_over_pairs() -> None:
    rng = np.random.default_rng(6)
    electrons, coords, n_up = rng.normal(size=(4, 5, 3)), rng.normal(size=(2, 3)), 3
    found = inspection.nearest_distances(electrons, coords, n_up)
    for walker, (nucleus, opposite, same) in zip(electrons, found.T, strict=True):
        of_nuclei = min(np.linalg.norm(e - c) for e in walker for c in coords)
        pairs = [(i, j) for i in range(5) for j in range(i)]
        length = {(i, j): np.linalg.norm(walker[i] - walker[j]) for i, j in pairs}
        unlike = min(r for (i, j), r in length.items() if (i < n_up) != (j < n_up))
        alike = min(r for (i, j), r in length.items() if (i < n_up) == (j < n_up))
        expected = pytest.approx((of_nuclei, unlike, alike), rel=1e-14)
        assert (nucleus, opposite, same) == expected
    alone = inspection.nearest_distances(electrons[:, :1], coords, 1)
    assert np.isinf(alone[1:]).all()


def test_a_wavefunction_that_is_not_finite_is_refused(make_nuclei, hydrogen_walkers) -> None:
    ansatz = Ansatz(lambda k, n: {}, lambda p, e, n: LogPsi(jnp.ones(()), jnp.nan * jnp.sum(e)))
    problem = Problem(ansatz, make_nuclei([[1.0, 0.0, 0.0, 0.0]]), 1, 0)
    with pytest.raises(NotConvergedError, match="nothing is written"):
        sampled(problem, {}, hydrogen_walkers(8, 1.0, 1), 2)
