"""The electrons in the bins of a histogram: sampled, and those of Hartree-Fock by quadrature.

A histogram has no bias other than the width of its bins, and its integral is exactly the number of
electrons. Errors come from the spread between walkers, which are independent chains. The quadrature
has Gauss-Legendre rules between the edges of the bins and further dividing points, which are denser
near the nuclei, where the density peaks.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from ferminet.chemistry.gto import ScfOrbitals, eval_gto
from ferminet.vmc.density.bins import Bins, Frame, bin_indices, coordinates
from ferminet.vmc.devices import fetch
from ferminet.vmc.frozen import DENSITY_STREAM, Frozen, sample_frozen
from ferminet.vmc.statistics import Means, ratio_estimate

GROUPS = 256  # more walkers than this share groups, to save memory


class Counts(NamedTuple):
    """Electrons counted in bins, by statistically independent groups of walkers."""

    met: np.ndarray  # (n_groups, 2, n_bins), spin up first
    samples: np.ndarray  # (n_groups,), samples of walkers


def sample_density(frozen: Frozen, bins: Bins, report: Callable[[int, str], None]) -> Counts:
    """Count the electrons of a frozen wavefunction; for `report` see `sample_frozen`."""
    n_walkers, n_electrons, _ = frozen.electrons.shape
    groups = np.arange(n_walkers) * min(n_walkers, GROUPS) // n_walkers
    met = np.zeros((groups[-1] + 1, 2, bins.n_bins), np.int64)
    spin = (np.arange(n_electrons) >= frozen.problem.n_up).astype(int)
    for walkers in sample_frozen(frozen, DENSITY_STREAM, report):
        positions = coordinates(bins.frame, fetch(walkers))
        for bin_index in bin_indices(bins, *positions):
            np.add.at(met, (groups[:, None], spin[None, :], bin_index), 1)
    return Counts(met, frozen.iterations * np.bincount(groups))


def electrons_in_bins(counts: Counts, weights: ArrayLike) -> Means:
    """Return mean numbers of electrons per bin; the error is nan where no electron was counted.

    `weights` are those of spin up and spin down: (1, 1) for all electrons, (1, -1) for the spin
    density.
    """
    met = np.einsum("gsb,s->gb", counts.met, np.asarray(weights, np.float64))
    mean, error = ratio_estimate(met, counts.samples)
    chosen = np.asarray(weights) != 0
    unknown = (counts.met[:, chosen].sum(axis=(0, 1)) == 0) & (counts.met[:, chosen].sum() > 0)
    return Means(mean, np.where(unknown, np.nan, error))


# Distances of dividing points from a nucleus, bohr.
_STEPS = (0.03, 0.1, 0.3, 0.8, 1.6, 2.6, 4.0, 6.0, 8.5, 12.0, 18.0, 30.0)
_DENSE = 0.2  # of a step: no further dividing point is needed within this distance of another
_ORDER = 5  # quadrature points between two dividing points
_ORDER_PLANE = (3, 3, 5)  # the same in the three directions of the kind `plane`
_LEAST = 1e-6  # bohr between dividing points
# Averages over circles and spheres are exact up to this degree, twice that of g functions.
_DEGREE = 8
_CHUNK = 16384  # points at a time


class _Rule(NamedTuple):
    """Points (n,) or (n, 3) and weights (n,)."""

    points: np.ndarray
    weights: np.ndarray


def hartree_fock_in_bins(orbitals: ScfOrbitals, coords: np.ndarray, bins: Bins) -> np.ndarray:
    """Return the electrons of each spin in each bin, (2, n_bins), from the occupied orbitals.

    The bins outside cover the rest of space. `coords` are the nuclei, (n_nuclei, 3), bohr.
    """
    density = _make_density(orbitals, coords)
    first, second, third = _rules(bins, coords)
    electrons = np.zeros((2, bins.n_bins))
    # With many chunks, the padding of the last one costs little.
    rows = max(1, 8 * _CHUNK // (len(second.weights) * len(third.weights)))
    for start in range(0, len(first.weights), rows):
        chunk = _Rule(*(values[start : start + rows] for values in first))
        points = _positions(bins.frame, chunk.points, second.points, third.points)
        values = density(points.reshape(-1, 3)).reshape(*points.shape[:3], 2)
        inner = np.einsum("abcs,c->sab", values, third.weights)
        inner *= chunk.weights[:, None] * second.weights
        grid = np.meshgrid(chunk.points, second.points, indexing="ij")
        for index in bin_indices(bins, *grid):
            for spin in (0, 1):
                np.add.at(electrons[spin], index, inner[spin])
    return electrons


def _make_density(orbitals: ScfOrbitals, coords: np.ndarray) -> Callable[..., np.ndarray]:
    """Make `points (n, 3) -> (n, 2)`, electrons/bohr^3 of both spins."""
    coefficients = (jnp.asarray(orbitals.coefficients_up), jnp.asarray(orbitals.coefficients_down))

    @jax.jit
    def evaluate(points: jax.Array) -> jax.Array:
        atomic = eval_gto(orbitals.basis, points, coords)
        spins = [jnp.sum((atomic @ c.astype(atomic.dtype)) ** 2, axis=-1) for c in coefficients]
        return jnp.stack(spins, axis=-1)

    def density(points: np.ndarray) -> np.ndarray:
        # Pad to a whole number of chunks, so that one program serves all of them.
        padded = np.pad(points, ((0, -len(points) % _CHUNK), (0, 0)))
        chunks = [evaluate(jnp.asarray(chunk)) for chunk in padded.reshape(-1, _CHUNK, 3)]
        return np.concatenate([np.asarray(c, np.float64) for c in chunks])[: len(points)]

    return density


def _positions(
    frame: Frame, first: np.ndarray, second: np.ndarray, third: np.ndarray
) -> np.ndarray:
    """Return points in space, (n_first, n_second, n_third, 3)."""
    along, across = first[:, None, None, None], second[None, :, None, None]
    if frame.kind == "atom":
        return frame.origin + along * third
    if frame.kind == "linear":
        circle = np.cos(third)[:, None] * frame.axes[1] + np.sin(third)[:, None] * frame.axes[2]
        return frame.origin + along * frame.axes[0] + across * circle
    normal = third[:, None] * frame.axes[2]
    return frame.origin + along * frame.axes[0] + across * frame.axes[1] + normal


def _rules(bins: Bins, coords: np.ndarray) -> tuple[_Rule, _Rule, _Rule]:
    """Return quadratures over the first, the second and the third coordinate."""
    frame = bins.frame
    angles = 2.0 * np.pi * np.arange(_DEGREE + 1) / (_DEGREE + 1)
    if frame.kind == "atom":
        radial = _line(bins.profile, frame.nuclei[:, 0], 0.0)
        radial = radial._replace(weights=radial.weights * 4.0 * np.pi * radial.points**2)
        return radial, _Rule(np.zeros(1), np.ones(1)), _sphere(angles)
    first = _line(np.concatenate([bins.profile, bins.first]), frame.nuclei[:, 0])
    if frame.kind == "linear":
        second = _line(bins.second, np.zeros(1), 0.0)
        second = second._replace(weights=second.weights * 2.0 * np.pi * second.points)
        return first, second, _Rule(angles, np.full(len(angles), 1.0 / len(angles)))
    heights = (np.asarray(coords) - frame.origin) @ frame.axes[2]
    edges = (np.concatenate([bins.profile, bins.first]), bins.second, np.zeros(0))
    centres = (*frame.nuclei.T, heights)
    first, second, third = (
        _line(ends, near, order=order)
        for ends, near, order in zip(edges, centres, _ORDER_PLANE, strict=True)
    )
    return first, second, third


def _sphere(angles: np.ndarray) -> _Rule:
    """Return unit vectors (n, 3) for means over a sphere."""
    cosines, weights = np.polynomial.legendre.leggauss(_DEGREE // 2 + 1)
    sines = np.sqrt(1.0 - cosines**2)
    directions = np.stack(
        [
            np.outer(sines, np.cos(angles)),
            np.outer(sines, np.sin(angles)),
            np.outer(cosines, np.ones_like(angles)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    return _Rule(directions, np.repeat(weights / 2.0, len(angles)) / len(angles))


def _line(
    edges: np.ndarray, centres: np.ndarray, low: float = -np.inf, *, order: int = _ORDER
) -> _Rule:
    """Return points and weights on a line, dense around the centres; edges divide it."""
    dividing = list(np.unique(edges))
    # Short steps come first; a longer one is left out where points are already dense enough.
    for step in (0.0, *_STEPS):
        for point in np.unique([centres - step, centres + step]):
            near = np.min(np.abs(point - np.array(dividing)), initial=np.inf)
            if point > low and near > max(_LEAST, _DENSE * step):
                dividing.append(float(point))
    dividing = np.sort([low, *dividing] if np.isfinite(low) else dividing)
    # Of two edges that differ only by rounding, one stays.
    dividing = dividing[np.diff(dividing, prepend=-np.inf) > _LEAST]
    nodes, weights = np.polynomial.legendre.leggauss(order)
    middle, half = 0.5 * (dividing[1:] + dividing[:-1]), 0.5 * np.diff(dividing)
    return _Rule(
        (middle[:, None] + half[:, None] * nodes).ravel(), (half[:, None] * weights).ravel()
    )
