"""What samples of a frozen wavefunction show: local energies, cusps, and the isotropy of atoms.

Errors come from the spread between walkers, which are independent chains.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
from scipy import stats

from ferminet.ansatz.base import Array, Params
from ferminet.vmc.devices import fetch, replicate
from ferminet.vmc.frozen import INSPECTION_STREAM, Frozen, sample_frozen
from ferminet.vmc.observables import kato_slopes, same_spin_slope
from ferminet.vmc.programs import Problem, make_energies
from ferminet.vmc.statistics import Estimate, Means, ratio_estimate, walker_estimate

DISTANCES = ("nucleus", "opposite_spin", "same_spin")
COMPONENTS = ("3z² - r²", "√3 (x² - y²)", "2√3 xy", "2√3 xz", "2√3 yz")
CUSP_WALKERS = 256
QUANTILES = (0.001, 0.01, 0.99, 0.999)
DISTANCE_EDGES = np.geomspace(0.01, 10.0, 13)  # bohr; the outer bins reach to 0 and infinity
# Edges of the histogram in standard deviations, denser at the mean.
ENERGY_EDGES = np.sinh(np.linspace(-6.0, 6.0, 101))

Lines = list[dict[str, object]]


class Samples(NamedTuple):
    """Samples of a frozen wavefunction, (n_samples, n_walkers) unless stated otherwise."""

    energy: np.ndarray  # hartree
    distances: np.ndarray  # (3, n_samples, n_walkers), see `nearest_distances`
    quadrupole: np.ndarray  # (n_samples, n_walkers, 5), bohr^2, about the first nucleus
    electrons: np.ndarray  # the last walkers, (n_walkers, n_electrons, 3), bohr


def sample(frozen: Frozen, report: Callable[[int, str], None]) -> Samples:
    """Sample local energies and positions; for `report` see `sample_frozen`."""
    problem, params = frozen.problem, replicate(frozen.params)
    energies, coords = make_energies(problem), np.asarray(problem.nuclei.coords, np.float64)
    found, positions = [], np.empty(0)
    for walkers in sample_frozen(frozen, INSPECTION_STREAM, report):
        energy = fetch(energies(params, walkers, problem.nuclei).total)
        positions = np.asarray(fetch(walkers), np.float64)
        distances = nearest_distances(positions, coords, problem.n_up)
        found.append((energy, distances, quadrupoles(positions - coords[0])))
    energy, distances, quadrupole = (
        np.stack(parts, dtype=float) for parts in zip(*found, strict=True)
    )
    return Samples(energy, np.moveaxis(distances, 1, 0), quadrupole, positions)


def nearest_distances(electrons: np.ndarray, coords: np.ndarray, n_up: int) -> np.ndarray:
    """Return the least distances of each walker, (3, n_walkers), bohr, in the order of `DISTANCES`.

    They are those of an electron and a nucleus, of a pair of opposite spin, and of a pair of the
    same spin, from electrons (n_walkers, n_electrons, 3) and nuclei (n_nuclei, 3); infinite if
    there is no such pair.
    """
    number = electrons.shape[1]
    up = np.arange(number) < n_up
    opposite = up[:, None] != up
    to_nuclei = np.linalg.norm(electrons[:, :, None] - coords, axis=-1)
    pairs = np.linalg.norm(electrons[:, :, None] - electrons[:, None], axis=-1)
    masks = (opposite, ~opposite & ~np.eye(number, dtype=bool))
    least = [pairs.min(axis=(1, 2), where=mask, initial=np.inf) for mask in masks]
    return np.stack([to_nuclei.min(axis=(1, 2)), *least])


def quadrupoles(electrons: np.ndarray) -> np.ndarray:
    """Return the sums over electrons of the five `COMPONENTS`, (n_walkers, 5), bohr^2.

    Electrons are (n_walkers, n_electrons, 3), bohr. A rotation mixes the components like a vector
    of five dimensions, so their mean vanishes in an S state.
    """
    x, y, z = np.moveaxis(electrons, -1, 0)
    root = np.sqrt(3.0)
    components = (
        2.0 * z**2 - x**2 - y**2,
        root * (x**2 - y**2),
        2.0 * root * x * y,
        2.0 * root * x * z,
        2.0 * root * y * z,
    )
    return np.stack([component.sum(axis=1) for component in components], axis=-1)


def isotropy(quadrupole: np.ndarray) -> tuple[float, float]:
    """Return chi-squared of the five mean components against zero, and its probability.

    `quadrupole` is (n_samples, n_walkers, 5). The probability of a larger value in an isotropic
    state is that of Hotelling's test, since the covariance is estimated from the walkers. Both are
    nan for fewer than seven walkers.
    """
    means = quadrupole.mean(axis=0)
    n_walkers, n_components = means.shape
    if n_walkers < n_components + 2:
        return np.nan, np.nan
    mean, covariance = means.mean(axis=0), np.cov(means.T) / n_walkers
    chi_squared = float(mean @ np.linalg.solve(covariance, mean))
    freedom = n_walkers - n_components
    scaled = chi_squared * freedom / (n_components * (n_walkers - 1))
    return chi_squared, float(stats.f.sf(scaled, n_components, freedom))


def shares(weights: np.ndarray, values: np.ndarray, edges: np.ndarray) -> Means:
    """Return the share of the weights in each bin of the values, (n_edges + 1,).

    Weights and values are (n_samples, n_walkers); the outer bins have no end.
    """
    walkers = np.arange(values.shape[1])
    sums = np.zeros((len(walkers), len(edges) + 1))
    np.add.at(sums, (walkers, np.searchsorted(edges, values, side="right")), weights)
    with np.errstate(invalid="ignore"):  # without any weight
        return ratio_estimate(sums, sums.sum(axis=1))


def slopes(problem: Problem, params: Params, electrons: np.ndarray) -> dict[str, np.ndarray]:
    """Return the slopes at coalescence points, (n_walkers, ...) by name; see `kato_slopes`.

    `same_spin` is that of `same_spin_slope`, if two electrons have spin up.
    """
    ansatz, nuclei, n_up = problem.ansatz, problem.nuclei, problem.n_up

    @jax.jit
    def measure(params: Params, walkers: Array) -> dict[str, Array]:
        def of_walker(walker: Array) -> dict[str, Array]:
            found = kato_slopes(ansatz, params, walker, nuclei, n_up)
            if n_up > 1:
                found["same_spin"] = same_spin_slope(ansatz, params, walker, nuclei)
            return found

        return jax.vmap(of_walker)(walkers)

    walkers = electrons[:CUSP_WALKERS].astype(nuclei.coords.dtype)
    return {name: np.asarray(fetch(x), np.float64) for name, x in measure(params, walkers).items()}


def distribution(samples: Samples) -> pd.DataFrame:
    """Return the bins of local energies and of distances, one row each.

    `quantity` is `local_energy` (bins in hartree from the mean), or `samples_by_` or `variance_by_`
    a distance of `DISTANCES` (bins in bohr); `value` is the share of the samples, or of the sum of
    (E_L - E)^2, between `low` and `high`, and `error` its standard error.
    """
    deviation = samples.energy - samples.energy.mean()
    ones = np.ones_like(deviation)
    edges = (deviation.std() or 1.0) * ENERGY_EDGES
    parts = [("local_energy", ones, deviation, edges)]
    for name, distance in zip(DISTANCES, samples.distances, strict=True):
        if np.isfinite(distance).all():
            parts.append((f"samples_by_{name}", ones, distance, DISTANCE_EDGES))
            parts.append((f"variance_by_{name}", deviation**2, distance, DISTANCE_EDGES))
    tables = []
    for quantity, weights, values, inner in parts:
        value, error = shares(weights, values, inner)
        lowest = -np.inf if quantity == "local_energy" else 0.0
        bounds = np.concatenate([[lowest], inner, [np.inf]])
        columns = {"low": bounds[:-1], "high": bounds[1:], "value": value, "error": error}
        tables.append(pd.DataFrame({"quantity": quantity, **columns}))
    return pd.concat(tables, ignore_index=True)


def _measured(quantity: str, estimate: Estimate, **more: float | None) -> dict[str, object]:
    return {"quantity": quantity, "value": estimate.mean, "error": estimate.error, **more}


def energy_numbers(energy: np.ndarray) -> Lines:
    """Return mean, variance, skewness, kurtosis and quantiles of local energies as lines.

    At a node, or at a nucleus with a wrong cusp, the local energy diverges, and the skewness and
    kurtosis of more samples grow without limit.
    """
    deviation = energy - energy.mean()
    mean, variance = walker_estimate(energy), walker_estimate(deviation**2)
    lines = [
        _measured("mean local energy / hartree", mean),
        _measured("variance of the local energy / hartree²", variance, exact=0.0),
    ]
    sigma = np.sqrt(variance.mean) or 1.0
    for name, power, normal in (("skewness", 3, 0.0), ("excess kurtosis", 4, 3.0)):
        lines.append({"quantity": name, "value": np.mean((deviation / sigma) ** power) - normal})
    for share, value in zip(QUANTILES, np.quantile(deviation, QUANTILES), strict=True):
        text = f"{100 * share:g} % quantile of local energy minus mean / hartree"
        lines.append({"quantity": text, "value": float(value)})
    return lines


def cusp_numbers(measured: dict[str, np.ndarray], symbols: tuple[str, ...], charges) -> Lines:
    """Return the median slope at each kind of coalescence point, with the middle half of walkers.

    A slope is a ratio of values of psi, so near nodes its distribution has no mean. The error of
    the median is half the distance of the quantiles one standard deviation from it.
    """
    points = []
    for name, spin in (("nucleus", "up"), ("nucleus_down", "down")):
        for nucleus, slope in enumerate(measured.get(name, np.empty((0, 0))).T):
            label = symbols[nucleus] + (f" (nucleus {nucleus + 1})" if len(symbols) > 1 else "")
            points.append((f"slope at {label}, spin {spin}", slope, -float(charges[nucleus])))
    for name, spin, exact in (("opposite_spin", "opposite", 0.5), ("same_spin", "the same", 0.25)):
        if name in measured:
            points.append((f"slope at a pair of {spin} spin", measured[name], exact))
    lines: Lines = []
    for quantity, slope, exact in points:
        one = 0.5 / np.sqrt(len(slope))
        ends = np.clip([0.5 - one, 0.5 + one], 0.0, 1.0)
        low, median, high, before, after = np.quantile(slope, [0.25, 0.5, 0.75, *ends])
        line = {"quantity": quantity, "value": median, "error": 0.5 * (after - before)}
        lines.append({**line, "low": low, "high": high, "exact": exact})
    return lines


def quadrupole_numbers(quadrupole: np.ndarray, is_s_state: bool) -> Lines:
    """Return the means of an atom's quadrupole, and for an S state their test, as lines."""
    exact = 0.0 if is_s_state else None
    lines: Lines = []
    for index, name in enumerate(COMPONENTS):
        component = walker_estimate(quadrupole[..., index])
        lines.append(_measured(f"quadrupole {name} / bohr²", component, exact=exact))
    if is_s_state:
        chi_squared, probability = isotropy(quadrupole)
        lines.append({"quantity": "quadrupole: chi-squared (5)", "value": chi_squared})
        lines.append({"quantity": "quadrupole: probability of a larger one", "value": probability})
    return lines
