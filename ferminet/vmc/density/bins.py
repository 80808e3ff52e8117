"""The bins of a one-electron density, in a frame that the nuclei span.

The symmetry of the nuclei decides what the density is averaged over:

- atom: spheres around the nucleus; coordinate r.
- linear (all nuclei on a line): circles around the axis; coordinates z along it and rho, the
  distance from it.
- plane (all others): lines along the normal of the plane of the nuclei, or of the plane of their
  two longest principal axes; coordinates x and y in the plane.

This module uses only NumPy, so figures need no JAX.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Kind = Literal["atom", "linear", "plane"]

_STRAIGHT = 1e-6  # bohr: nuclei closer than this to a line lie on it
_EQUAL = 1e-6  # relative: axes whose extents differ by less are equally long


class Frame(NamedTuple):
    """The coordinate system of a molecule's density."""

    kind: Kind
    origin: np.ndarray  # (3,), bohr: the nucleus of an atom, else the mean of the nuclei
    axes: np.ndarray  # (3, 3), orthonormal rows: of the first and second coordinate, the normal
    nuclei: np.ndarray  # (n_nuclei, 2), first and second coordinate of the nuclei, bohr
    charges: np.ndarray  # (n_nuclei,)


def frame_of(coords: ArrayLike, charges: ArrayLike) -> Frame:
    """Return the frame of nuclei at `coords` (n_nuclei, 3), bohr, with charges (n_nuclei,).

    Where principal axes are not unique (a square, a tetrahedron), the Cartesian axes decide, not
    rounding errors: z is preferred for the normal and x for the first axis.
    """
    coords = np.asarray(coords, np.float64)
    origin = coords.mean(axis=0)
    centred = coords - origin
    extents, vectors = np.linalg.eigh(centred.T @ centred)  # ascending, bohr^2
    lengths = np.sqrt(np.maximum(extents, 0.0))
    if len(coords) == 1:
        kind, axes = "atom", np.eye(3)
    elif lengths[1] < _STRAIGHT:
        kind = "linear"
        along = vectors[:, 2] * np.sign(centred[-1] @ vectors[:, 2])
        second = _nearest(np.eye(3) - np.outer(along, along), (0, 1, 2))
        axes = np.stack([along, second, np.cross(along, second)])
    else:
        kind = "plane"
        shortest = vectors[:, lengths - lengths[0] <= _EQUAL * lengths[2]]
        normal = _nearest(shortest @ shortest.T, (2, 1, 0))
        first = _nearest(np.eye(3) - np.outer(normal, normal), (0, 1, 2))
        axes = np.stack([first, np.cross(normal, first), normal])
    frame = Frame(kind, origin, axes, np.zeros((len(coords), 2)), np.asarray(charges, float))
    return frame._replace(nuclei=np.stack(coordinates(frame, coords), axis=-1))


def _nearest(projector: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Return the unit vector (3,) in a subspace nearest to a Cartesian axis."""
    squares = np.round([projector[axis, axis] for axis in order], 6)
    vector = projector[:, order[int(np.argmax(squares))]]
    return vector / np.linalg.norm(vector)


def coordinates(frame: Frame, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the two coordinates of points (..., 3), bohr; an atom's second one is 0."""
    centred = np.asarray(points, np.float64) - frame.origin
    if frame.kind == "atom":
        first = np.sqrt(np.sum(centred**2, axis=-1))
        return first, np.zeros_like(first)
    along = centred @ frame.axes.T
    if frame.kind == "linear":
        return along[..., 0], np.hypot(along[..., 1], along[..., 2])
    return along[..., 0], along[..., 1]


class Bins(NamedTuple):
    """Bins of the first coordinate alone (a profile) and of both (a map; an atom has none).

    A histogram is one row: the profile's bins, one bin for all points outside them, the map's bins
    with the second coordinate running faster, and one bin for all points outside those.
    """

    frame: Frame
    profile: np.ndarray  # edges, (n + 1,), bohr
    first: np.ndarray  # edges of the map, (m + 1,), bohr; (0,) for an atom
    second: np.ndarray  # the same for the second coordinate

    @property
    def n_profile(self) -> int:
        """The number of bins of the profile, without the bin for points outside."""
        return len(self.profile) - 1

    @property
    def n_map(self) -> int:
        """The number of bins of the map, without the bin for points outside."""
        return max(len(self.first) - 1, 0) * max(len(self.second) - 1, 0)

    @property
    def n_bins(self) -> int:
        """The number of entries of a histogram."""
        return self.n_profile + 1 + (self.n_map + 1 if self.n_map else 0)


def make_bins(frame: Frame, n_bins: int, extent: float) -> Bins:
    """Make bins that reach `extent` bohr beyond the outermost nuclei.

    Bins of an atom of charge Z are equally wide on the scale log(1 + Z r), which follows the
    density of the electrons; all others are equally wide. The profile has `n_bins` bins, a map half
    as many in each direction.
    """
    if frame.kind == "atom":
        charge = frame.charges[0]
        steps = np.linspace(0.0, np.log1p(charge * extent), n_bins + 1)
        return Bins(frame, np.expm1(steps) / charge, np.zeros(0), np.zeros(0))
    low, high = frame.nuclei.min(axis=0) - extent, frame.nuclei.max(axis=0) + extent
    if frame.kind == "linear":
        low[1] = 0.0
    half = n_bins // 2 + 1
    return Bins(
        frame,
        np.linspace(low[0], high[0], n_bins + 1),
        np.linspace(low[0], high[0], half),
        np.linspace(low[1], high[1], half),
    )


def bin_indices(bins: Bins, first: np.ndarray, second: np.ndarray) -> list[np.ndarray]:
    """Return the histogram entries of points: one array for the profile, and one for a map.

    `first` and `second` are the coordinates of the points in bohr, of any shape.
    """
    index, inside = _bin_of(bins.profile, first)
    indices = [np.where(inside, index, bins.n_profile)]
    if bins.n_map:
        row, row_inside = _bin_of(bins.first, first)
        column, column_inside = _bin_of(bins.second, second)
        index = bins.n_profile + 1 + row * (len(bins.second) - 1) + column
        indices.append(np.where(row_inside & column_inside, index, bins.n_bins - 1))
    return indices


def _bin_of(edges: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bin of each value, and whether the value is in one."""
    index = np.searchsorted(edges, values, side="right") - 1
    return index, (index >= 0) & (index < len(edges) - 1)


class Quantity(NamedTuple):
    """A density as it is written and drawn: electrons in a bin divided by the bin's measure."""

    name: str
    unit: str  # of its values
    bins: np.ndarray  # (n,), positions of its bins in a histogram
    outside: int  # position of the bin for electrons outside
    first: np.ndarray  # (n, 2), ends of the bins in the first coordinate, bohr
    second: np.ndarray  # (n, 2), the same; NaN where the second coordinate is integrated over
    measure: np.ndarray  # (n,), length, area or volume of the bins, in powers of bohr


def quantities(bins: Bins) -> list[Quantity]:
    """Return the profiles and maps that a histogram contains.

    Atom: `radial_distribution` 4 pi r^2 n(r) in electrons/bohr and `spherical_average` n(r) in
    electrons/bohr^3. Linear: `profile`, the density integrated over the planes across the axis,
    in electrons/bohr, and `map`, averaged over circles around it, in electrons/bohr^3. All
    others: `profile`, integrated over all but the first coordinate, in electrons/bohr, and
    `map`, integrated along the normal, in electrons/bohr^2. Every value is a mean over its bin.
    """
    kind, edges = bins.frame.kind, bins.profile
    profile = Quantity(
        "radial_distribution" if kind == "atom" else "profile",
        "electrons/bohr",
        np.arange(bins.n_profile),
        bins.n_profile,
        _ends(edges),
        np.full((bins.n_profile, 2), np.nan),
        np.diff(edges),
    )
    if kind == "atom":
        shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
        unit = "electrons/bohr^3"
        return [profile, profile._replace(name="spherical_average", unit=unit, measure=shells)]
    rows, columns = _ends(bins.first), _ends(bins.second)
    linear = kind == "linear"
    across = np.pi * np.diff(bins.second**2) if linear else np.diff(bins.second)
    map_ = Quantity(
        "map",
        "electrons/bohr^3" if linear else "electrons/bohr^2",
        bins.n_profile + 1 + np.arange(bins.n_map),
        bins.n_bins - 1,
        np.repeat(rows, len(columns), axis=0),
        np.tile(columns, (len(rows), 1)),
        np.outer(np.diff(bins.first), across).ravel(),
    )
    return [profile, map_]


def _ends(edges: np.ndarray) -> np.ndarray:
    """Return both ends of each bin, (n_bins, 2)."""
    return np.stack([edges[:-1], edges[1:]], axis=-1)
