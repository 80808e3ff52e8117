"""Where a one-electron density is counted: a frame that the nuclei span, and bins in it.

What is averaged over depends on the nuclei, so that symmetry is used where there is some:

- atom: spheres around the nucleus. One coordinate, r.
- linear (all nuclei on a line): circles around the axis. Coordinates z along it and the distance
  rho from it.
- plane (all others): lines along the normal of the plane of the nuclei, or of the plane of their
  two longest principal axes. Coordinates x and y in it.

NumPy alone, so that figures need no JAX.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Kind = Literal["atom", "linear", "plane"]

_STRAIGHT = 1e-6  # bohr: nuclei nearer to a line or a plane lie on it
_EQUAL = 1e-6  # relative: principal axes of extents nearer than that are equally long


class Frame(NamedTuple):
    """Axes of our own in space.

    Attributes:
        kind: which nuclei these are.
        origin: (3,), bohr: the nucleus of an atom, else the mean of the nuclei.
        axes: (3, 3), orthonormal rows: those of the first and the second coordinate, the normal.
        nuclei: (n_nuclei, 2), first and second coordinate of the nuclei, bohr.
        charges: (n_nuclei,).
    """

    kind: Kind
    origin: np.ndarray
    axes: np.ndarray
    nuclei: np.ndarray
    charges: np.ndarray


def frame_of(coords: ArrayLike, charges: ArrayLike) -> Frame:
    """Return the frame of a molecule.

    Where its principal axes are not unique (a square, a tetrahedron) the Cartesian axes of its file
    decide, z for the normal and x for the first axis, so that rounding does not.

    Args:
        coords: nuclei, (n_nuclei, 3), bohr.
        charges: (n_nuclei,).
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
    """Return first and second coordinate of points (..., 3) in bohr; an atom's second is 0."""
    centred = np.asarray(points, np.float64) - frame.origin
    if frame.kind == "atom":
        first = np.sqrt(np.sum(centred**2, axis=-1))
        return first, np.zeros_like(first)
    along = centred @ frame.axes.T
    if frame.kind == "linear":
        return along[..., 0], np.hypot(along[..., 1], along[..., 2])
    return along[..., 0], along[..., 1]


class Bins(NamedTuple):
    """Bins of the first coordinate alone (a profile) and of both (a map).

    A histogram is one row: the profile's bins, one bin for what lies outside of them, the map's
    bins with the second coordinate running faster, and one for what lies outside of those.

    Attributes:
        frame: what the coordinates are.
        profile: edges, (n + 1,), bohr.
        first: edges of the map, (m + 1,), bohr; without bins for an atom.
        second: likewise.
    """

    frame: Frame
    profile: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @property
    def n_profile(self) -> int:
        """Return the number of bins of the profile, without the one outside."""
        return len(self.profile) - 1

    @property
    def n_map(self) -> int:
        """Return the number of bins of the map, without the one outside."""
        return max(len(self.first) - 1, 0) * max(len(self.second) - 1, 0)

    @property
    def n_bins(self) -> int:
        """Return the number of entries of a histogram."""
        return self.n_profile + 1 + (self.n_map + 1 if self.n_map else 0)


def make_bins(frame: Frame, n_bins: int, extent: float) -> Bins:
    """Make bins that reach `extent` bohr beyond the outermost nuclei.

    Those of an atom of charge Z are equally long on the scale log(1 + Z r), as dense as the
    electrons are. All others are equally long.

    Args:
        frame: of the nuclei.
        n_bins: bins of the profile; a map has half as many in each direction.
        extent: bohr.
    """
    none = np.zeros(0)
    if frame.kind == "atom":
        charge = frame.charges[0]
        steps = np.linspace(0.0, np.log1p(charge * extent), n_bins + 1)
        return Bins(frame, np.expm1(steps) / charge, none, none)
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
    """Return the bins that points belong to: one array like `first` per part.

    Args:
        bins: the bins.
        first: first coordinate, bohr.
        second: second coordinate, likewise.
    """
    place, inside = _find(bins.profile, first)
    found = [np.where(inside, place, bins.n_profile)]
    if bins.n_map:
        row, row_inside = _find(bins.first, first)
        column, column_inside = _find(bins.second, second)
        place = bins.n_profile + 1 + row * (len(bins.second) - 1) + column
        found.append(np.where(row_inside & column_inside, place, bins.n_bins - 1))
    return found


def _find(edges: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bin of each value, and whether the value is in one."""
    place = np.searchsorted(edges, values, side="right") - 1
    return place, (place >= 0) & (place < len(edges) - 1)


class Quantity(NamedTuple):
    """A density as it is written and drawn: electrons in a bin divided by the bin's measure.

    Attributes:
        name: of the quantity.
        unit: of its values.
        places: (n,), where its bins are in a histogram.
        outside: where the electrons outside of its bins are.
        first: (n, 2), ends of the bins in the first coordinate, bohr.
        second: (n, 2), likewise; NaN where the second coordinate is integrated over.
        measure: (n,), length, area or volume of the bins, in powers of bohr.
    """

    name: str
    unit: str
    places: np.ndarray
    outside: int
    first: np.ndarray
    second: np.ndarray
    measure: np.ndarray


def quantities(bins: Bins) -> list[Quantity]:
    """Return the profiles and maps that a histogram is turned into.

    Atom: `radial_distribution` 4 pi r^2 n(r) in electrons/bohr and `spherical_average` n(r) in
    electrons/bohr^3. Linear: `profile`, the density integrated over the planes across the axis,
    in electrons/bohr, and `map`, averaged over circles around it, in electrons/bohr^3. All
    others: `profile`, integrated over all but the first coordinate, in electrons/bohr, and
    `map`, integrated along the normal, in electrons/bohr^2. Every value is a mean over its bin.
    """
    edges = bins.profile
    ends = np.stack([edges[:-1], edges[1:]], axis=-1)
    nowhere = np.full_like(ends, np.nan)
    places = np.arange(bins.n_profile)
    name = "radial_distribution" if bins.frame.kind == "atom" else "profile"
    lengths = np.diff(edges)
    found = [
        Quantity(name, "electrons/bohr", places, bins.n_profile, ends, nowhere, lengths),
    ]
    if bins.frame.kind == "atom":
        shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
        unit = "electrons/bohr^3"
        found.append(found[0]._replace(name="spherical_average", unit=unit, measure=shells))
        return found
    rows, columns = (np.stack([e[:-1], e[1:]], axis=-1) for e in (bins.first, bins.second))
    across = np.diff(bins.second)
    if bins.frame.kind == "linear":
        across = np.pi * np.diff(bins.second**2)
    found.append(
        Quantity(
            "map",
            "electrons/bohr^3" if bins.frame.kind == "linear" else "electrons/bohr^2",
            bins.n_profile + 1 + np.arange(bins.n_map),
            bins.n_bins - 1,
            np.repeat(rows, len(columns), axis=0),
            np.tile(columns, (len(rows), 1)),
            np.outer(np.diff(bins.first), across).ravel(),
        )
    )
    return found
