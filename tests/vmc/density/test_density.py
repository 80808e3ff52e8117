"""Densities compared with exact ones: hydrogen, Gaussians, the Hartree-Fock determinant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import erf

from ferminet.ansatz import slater
from ferminet.ansatz.base import Ansatz, AnsatzSpec, LogPsi, Nuclei
from ferminet.chemistry.gto import GtoBasis, ScfOrbitals, Shells
from ferminet.chemistry.scf import run_scf
from ferminet.errors import NotConvergedError
from ferminet.systems.files import system_from_mapping
from ferminet.vmc.density.bins import bin_indices, coordinates, frame_of, make_bins, quantities
from ferminet.vmc.density.electrons import (
    Counts,
    electrons_in_bins,
    hartree_fock_in_bins,
    sample_density,
)
from ferminet.vmc.frozen import Frozen
from ferminet.vmc.programs import Problem, make_sweep
from ferminet.vmc.sampling import init_walkers

SQUARE = [[x, y, 0.0] for x in (-1.2, 1.2) for y in (-1.2, 1.2)]


def sphere_of_hydrogen(radius: np.ndarray, charge: float) -> np.ndarray:
    """Electrons within a radius: the integral of 4 r^2 Z^3 exp(-2 Z r)."""
    x = 2.0 * charge * radius
    return 1.0 - np.exp(-x) * (1.0 + x + 0.5 * x**2)


def hotelling(met: np.ndarray, exact: np.ndarray) -> float:
    """Return the probability that group means (n_groups, n_bins) are this far from the exact ones.

    Hotelling's test takes the correlations between bins into account.
    """
    n_groups, n_bins = met.shape
    difference = met.mean(axis=0) - exact
    squared = n_groups * difference @ np.linalg.solve(np.cov(met.T), difference)
    scaled = squared * (n_groups - n_bins) / (n_bins * (n_groups - 1))
    return float(stats.f.sf(scaled, n_bins, n_groups - n_bins))


def allowed(n_bins: int) -> float:
    """Standard errors that one of so many bins exceeds once in a thousand tests."""
    return float(stats.norm.isf(0.5e-3 / n_bins))


@pytest.mark.parametrize("charge", [1.0, 3.0])
def test_the_density_of_hydrogen_is_exact(make_hydrogenic, hydrogen_walkers, quiet, charge) -> None:
    problem = make_hydrogenic(charge, charge)
    bins = make_bins(frame_of(np.zeros((1, 3)), [charge]), 20, 5.0 / charge)
    state = ({"zeta": jnp.asarray(charge)}, hydrogen_walkers(512, charge, 3), jnp.asarray(0.45))
    sampling = {"iterations": 60, "burn_in": 1, "steps": 5, "seed": 4}
    frozen = Frozen(problem, make_sweep(problem, 0.0), *state, **sampling)
    counts = sample_density(frozen, bins, quiet)
    # The part outside is what is left: exactly one electron in all.
    np.testing.assert_array_equal(counts.met[:, 0].sum(axis=1), counts.samples)
    assert counts.met[:, 1].sum() == 0
    means = electrons_in_bins(counts, (1, 1))
    inside = sphere_of_hydrogen(bins.profile, charge)
    exact = np.append(np.diff(inside), 1.0 - inside[-1])
    z = (means.mean - exact) / means.error
    assert np.abs(z).max() < 4.0
    groups = counts.met[:, 0, 2:-1] / counts.samples[:, None]
    assert hotelling(groups, exact[2:-1]) > 1e-3
    assert hotelling(groups, 1.02 * exact[2:-1]) < 1e-3  # it would see two per cent
    radial, average = quantities(bins)
    middle = bins.profile[:-1] + 0.5 * np.diff(bins.profile)
    curve = 4.0 * middle**2 * charge**3 * np.exp(-2.0 * charge * middle)
    peak = int(np.argmax(curve))
    assert means.mean[peak] / radial.measure[peak] == pytest.approx(curve[peak], rel=0.05)
    density = charge**3 / np.pi * np.exp(-2.0 * charge * middle[peak])
    assert means.mean[peak] / average.measure[peak] == pytest.approx(density, rel=0.05)


def test_errors_of_correlated_samples_cover_the_exact_density(
    make_hydrogenic, hydrogen_walkers, quiet
) -> None:
    """60 experiments of 64 walkers: the exact value is within one error as often as it should."""
    n_experiments, n_groups = 60, 64
    problem = make_hydrogenic(1.0, 1.0)
    bins = make_bins(frame_of(np.zeros((1, 3)), [1.0]), 8, 5.0)
    exact = np.diff(sphere_of_hydrogen(bins.profile, 1.0))
    sweep, frame = make_sweep(problem, 0.0), bins.frame
    electrons = hydrogen_walkers(n_experiments * n_groups, 1.0, 8)
    met = np.zeros((len(electrons), 2, bins.n_bins), int)
    iterations = 40
    for key in jax.random.split(jax.random.key(1), iterations):
        # One Metropolis step only: neighbouring samples are nearly the same.
        electrons, _ = sweep(
            key, {"zeta": jnp.asarray(1.0)}, electrons, jnp.asarray(0.3), problem.nuclei, 1
        )
        (place,) = bin_indices(bins, *coordinates(frame, np.asarray(electrons)[:, 0]))
        met[np.arange(len(met)), 0, place] += 1
    hits, naive = [], []
    for start in range(0, len(met), n_groups):
        part = Counts(met[start : start + n_groups], np.full(n_groups, iterations))
        mean, error = (values[:-1] for values in electrons_in_bins(part, (1, 0)))
        hits.append(np.abs(mean - exact) < error)
        poisson = np.sqrt(exact * (1.0 - exact) / (n_groups * iterations))
        naive.append(np.abs(mean - exact) < poisson)
    # Bins of an experiment are correlated, so the spread is that of the experiments' means.
    expected = 2.0 * stats.t.cdf(1.0, n_groups - 1) - 1.0
    share = np.mean(hits, axis=1)
    assert abs(share.mean() - expected) < 4.0 * share.std(ddof=1) / np.sqrt(n_experiments)
    assert 0.6 < share.mean() < 0.76
    assert np.mean(naive) < 0.5  # errors of independent samples would be far too small


def test_unequal_groups_have_ratio_errors_and_empty_bins_have_none() -> None:
    met = np.zeros((3, 2, 3), int)
    met[:, 0, 0], met[:, 0, 1] = (2, 4, 9), (8, 6, 21)
    means = electrons_in_bins(Counts(met, np.array([10, 10, 30])), (1, 1))
    np.testing.assert_allclose(means.mean, [0.3, 0.7, 0.0])
    assert means.error[0] == pytest.approx(np.sqrt(1.5 * (1.0 + 1.0 + 0.0)) / 50)
    assert np.isnan(means.error[2])  # unknown, not zero
    down = electrons_in_bins(Counts(met, np.array([10, 10, 30])), (0, 1))
    np.testing.assert_array_equal(down, np.zeros((2, 3)))  # no such electrons at all


def gaussian(exponent: float, n_nuclei: int = 1) -> ScfOrbitals:
    """One spin-up electron in the sum of an s function of each nucleus, not normalised."""
    norm = (2.0 * exponent / np.pi) ** 0.75 * np.sqrt(4.0 * np.pi)
    shells = Shells(
        np.full((n_nuclei, 1), exponent), np.full((n_nuclei, 1, 1), norm), np.arange(n_nuclei)
    )
    up, down = np.ones((n_nuclei, 1)), np.zeros((n_nuclei, 0))
    basis = GtoBasis({0: shells}, np.arange(n_nuclei))
    return ScfOrbitals(basis, up, down, up[None], down[None])


def products(exponent: float, places: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Integrals between edges of exp(-a (x - A)^2 - a (x - B)^2), (n_a, n_b, n_bins)."""
    a, b = places[:, None, None], places[None, :, None]
    lower = erf(np.sqrt(2.0 * exponent) * (edges - 0.5 * (a + b)))
    return np.exp(-0.5 * exponent * (a - b) ** 2) * 0.5 * np.diff(lower, axis=-1)


@pytest.mark.parametrize("exponent", [0.4, 8.0])
@pytest.mark.parametrize("shape", ["atom", "linear", "plane"])
def test_quadrature_of_gaussians_is_exact(shape, exponent) -> None:
    """Products of Gaussians, whose integrals are error functions."""
    coords = {
        "atom": np.zeros((1, 3)),
        "linear": np.array([[0.0, 0.0, -0.7], [0.0, 0.0, 0.7]]),
        "plane": np.array(SQUARE),
    }[shape]
    bins = make_bins(frame_of(coords, np.ones(len(coords))), 20, 3.0)
    assert bins.frame.kind == shape
    found = hartree_fock_in_bins(gaussian(exponent, len(coords)), coords, bins)
    assert found[1].sum() == 0.0
    width = np.sqrt(2.0 * exponent)
    if shape == "atom":
        x = width * np.append(bins.profile, 60.0)
        exact = np.diff(erf(x) - 2.0 / np.sqrt(np.pi) * x * np.exp(-(x**2)))
        np.testing.assert_allclose(found[0], exact, atol=1e-7)
        return
    whole = np.array([-60.0, 60.0])
    places, others = bins.frame.nuclei[:, 0], bins.frame.nuclei[:, 1]
    along = products(exponent, places, bins.profile)
    if shape == "linear":
        exact = along.sum(axis=(0, 1))
        circles = np.diff(1.0 - np.exp(-((width * bins.second) ** 2)))
        plane = np.outer(products(exponent, places, bins.first).sum(axis=(0, 1)), circles)
    else:
        exact = (along * products(exponent, others, whole)).sum(axis=(0, 1))
        plane = np.einsum(
            "abx,aby->xy",
            products(exponent, places, bins.first),
            products(exponent, others, bins.second),
        )
    np.testing.assert_allclose(found[0, : bins.n_profile], exact, atol=1e-4)
    _, map_ = quantities(bins)
    np.testing.assert_allclose(found[0, map_.bins], plane.ravel(), atol=1e-4)
    total = products(exponent, places, whole) * products(exponent, others, whole)
    sums = found[0, : bins.n_profile + 1].sum(), found[0, bins.n_profile + 1 :].sum()
    np.testing.assert_allclose(sums, total.sum(), rtol=1e-4)


def molecule(atoms):
    return system_from_mapping(
        {
            "name": "test", "title": "test", "kind": "molecule", "unit": "bohr", "atoms": atoms,
            "charge": 0, "unpaired_electrons": 0, "source": "a test",
        }
    ).geometries["eq"]  # fmt: skip


MOLECULES = {
    "LiH": molecule([["Li", [0.0, 0.0, 0.0]], ["H", [0.0, 0.0, 3.015]]]),
    "H4": molecule([["H", place] for place in SQUARE]),
}


@pytest.fixture(scope="module", params=MOLECULES)
def sampled(request):
    """Bins, counts of the Hartree-Fock determinant, and its electrons by quadrature."""
    system = MOLECULES[request.param]
    orbitals = run_scf(system, "sto-3g").orbitals
    nuclei = Nuclei(jnp.asarray(system.coords), jnp.asarray(system.charges))
    problem = Problem(slater.build(AnsatzSpec(2, 2, len(system.symbols), orbitals)), nuclei, 2, 2)
    bins = make_bins(frame_of(system.coords, system.charges), 24, 3.0)
    state = ({}, init_walkers(jax.random.key(2), nuclei, 2, 2, 512), jnp.asarray(0.35))
    sampling = {"iterations": 80, "burn_in": 30, "steps": 6, "seed": 1}
    frozen = Frozen(problem, make_sweep(problem, 0.1), *state, **sampling)
    counts = sample_density(frozen, bins, _Quiet())
    return bins, counts, hartree_fock_in_bins(orbitals, system.coords, bins)


class _Quiet:
    def __call__(self, done: int, text: str) -> None:
        pass


def test_the_determinant_has_the_hartree_fock_density(sampled) -> None:
    bins, counts, exact = sampled
    for part in (slice(0, bins.n_profile + 1), slice(bins.n_profile + 1, None)):
        for spin in (0, 1):
            # All electrons of a spin are somewhere, in every sample.
            np.testing.assert_array_equal(counts.met[:, spin, part].sum(axis=1), 2 * counts.samples)
            np.testing.assert_allclose(exact[spin, part].sum(), 2.0, atol=2e-4)
            weights = (1, 0) if spin == 0 else (0, 1)
            mean, error = (values[part] for values in electrons_in_bins(counts, weights))
            # A rarely met bin's error is itself a guess: thirty electrons give it to a fifth.
            often = counts.met[:, spin, part].sum(axis=0) > 30
            z = (mean - exact[spin, part])[often] / error[often]
            assert np.abs(z).max() < allowed(len(z))
    profile = slice(2, bins.n_profile - 2)
    groups = counts.met.sum(axis=1)[:, profile] / counts.samples[:, None]
    assert hotelling(groups, exact.sum(axis=0)[profile]) > 1e-3


@pytest.mark.parametrize("sampled", ["H4"], indirect=True)
def test_mirror_images_agree_within_errors(sampled) -> None:
    bins, counts, _ = sampled
    assert bins.frame.kind == "plane"
    half = bins.n_profile // 2
    met = counts.met.sum(axis=1)
    mirrored = met[:, :half] - met[:, bins.n_profile - half : bins.n_profile][:, ::-1]
    groups = mirrored / counts.samples[:, None]
    z = groups.mean(axis=0) / (groups.std(axis=0, ddof=1) / np.sqrt(len(groups)))
    assert np.abs(z).max() < allowed(half)
    assert hotelling(groups[:, 2:], np.zeros(half - 2)) > 1e-3


def test_frames_follow_the_symmetry_of_the_nuclei() -> None:
    atom = frame_of(np.array([[1.0, 2.0, 3.0]]), [2.0])
    assert atom.kind == "atom"
    np.testing.assert_allclose(coordinates(atom, np.array([1.0, 2.0, 5.0]))[0], 2.0)
    direction = np.array([1.0, 2.0, 2.0]) / 3.0
    chain = frame_of(np.outer([0.0, 2.0, 4.0], direction), np.ones(3))
    assert chain.kind == "linear"
    np.testing.assert_allclose(chain.nuclei, [[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]], atol=1e-12)
    z, rho = coordinates(chain, 3.0 * direction + 0.5 * np.array([0.0, 1.0, -1.0]))
    np.testing.assert_allclose([z, rho], [1.0, np.sqrt(0.5)])
    square = frame_of(np.array(SQUARE), np.ones(4))
    assert square.kind == "plane"
    np.testing.assert_allclose(square.axes, np.eye(3), atol=1e-12)  # not by rounding
    np.testing.assert_allclose(square.nuclei, np.array(SQUARE)[:, :2], atol=1e-12)
    tetrahedron = np.array([[1, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1.0]])
    np.testing.assert_allclose(frame_of(tetrahedron, np.ones(4)).axes, np.eye(3), atol=1e-12)
    bent = frame_of(np.array([[0, 0, 0], [0, 1.4, 1.1], [0, -1.4, 1.1]]), [8.0, 1.0, 1.0])
    np.testing.assert_allclose(np.abs(bent.axes[2]), [1.0, 0.0, 0.0], atol=1e-12)


def test_a_wavefunction_that_is_not_finite_is_refused(make_nuclei, quiet) -> None:
    def apply(params, electrons, nuclei):
        del params, nuclei
        return LogPsi(jnp.ones(()), jnp.nan * jnp.sum(electrons))

    nuclei = make_nuclei([[1.0, 0.0, 0.0, 0.0]])
    problem = Problem(Ansatz(lambda key, nuclei: {}, apply), nuclei, 1, 0)
    bins = make_bins(frame_of(np.zeros((1, 3)), [1.0]), 8, 5.0)
    state = ({}, jnp.ones((4, 1, 3)), jnp.asarray(0.3))
    frozen = Frozen(problem, make_sweep(problem, 0.0), *state, 4, burn_in=0, steps=2, seed=1)
    with pytest.raises(NotConvergedError, match="nothing is written"):
        sample_density(frozen, bins, quiet)
