"""One geometry of a system (nuclei, charge, spin), and the system as a set of geometries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    Strict,
    model_validator,
)

from ferminet.errors import InputError
from ferminet.systems.elements import COVALENT_RADIUS_ANGSTROM, NUCLEAR_CHARGE, normalise_symbol
from ferminet.systems.validation import Block, among
from ferminet.units import ANGSTROM_PER_BOHR, BOHR_PER_UNIT

LARGEST_COORDINATE = 1000.0  # bohr; float32 resolves 6e-5 bohr there
# Nuclei nearer than this times the sum of their covalent radii are refused. Chosen so that each
# reference geometry passes and each of them with angstrom read as bohr does not.
CLOSEST_RATIO = 0.57
# Beyond this ratio every bond is stretched, on purpose or because bohr was read as angstrom.
STRETCHED_RATIO = 1.45
# Below this ratio a bond is compressed, as in H2 with angstrom read as bohr.
COMPRESSED_RATIO = 0.7

Kind = Literal["atom", "molecule", "curve"]
Symbol = Annotated[str, BeforeValidator(normalise_symbol)]
Position = Annotated[tuple[float, float, float], Strict(False)]


def _as_array(points: Iterable[tuple[float, float, float]]) -> np.ndarray:
    coords = np.array(points, dtype=np.float64)
    coords.setflags(write=False)
    return coords


if TYPE_CHECKING:
    Coords = np.ndarray
    Symbols = tuple[str, ...]
else:
    Coords = Annotated[
        list[Position],
        BeforeValidator(lambda value: value.tolist() if isinstance(value, np.ndarray) else value),
        AfterValidator(_as_array),
        PlainSerializer(lambda coords: coords.tolist()),
    ]
    Symbols = Annotated[
        tuple[Symbol, ...], Strict(False), Field(min_length=1), PlainSerializer(list)
    ]


class Molecule(Block):
    """One geometry of one system, checked when it is made.

    `model_dump()` has the form in which results and checkpoints hold a molecule; coordinates keep
    every digit.
    """

    name: str  # of the system; part of paths
    geometry: str  # label: `eq`, `r2.0680`, `a90`
    symbols: Symbols  # (n_nuclei,)
    coords: Coords  # (n_nuclei, 3) in bohr, float64, read-only
    charge: int
    unpaired_electrons: int  # N_up - N_down = 2 S
    source: str  # of the geometry
    parameter: float | None = None  # position on a curve
    parameter_name: str | None = None  # for example "bond length"
    parameter_unit: str | None = None  # bohr, angstrom or degree
    kind: Kind = "molecule"
    label: str = Field(default_factory=lambda content: content["name"])  # for tables and plots
    broken_symmetry: bool = False  # whether the SCF also starts from alternating spins
    allow_close: bool = False  # whether nuclei may be unusually close

    @model_validator(mode="after")
    def _check(self) -> "Molecule":
        n_nuclei = len(self.symbols)
        largest = float(np.max(np.abs(self.coords)))
        if largest > LARGEST_COORDINATE:
            raise InputError(
                f"a coordinate of {largest:.6g} bohr is beyond {LARGEST_COORDINATE:.0f} bohr, "
                "where single precision rounds too much away; move the molecule to the origin."
            )
        if len(self.coords) != n_nuclei:
            raise InputError(f"{n_nuclei} elements have {len(self.coords)} positions.")
        if (self.kind == "atom") != (n_nuclei == 1):
            raise InputError(
                f"an atom has one nucleus, other kinds more; got kind: {self.kind} with {n_nuclei}."
            )
        check_electrons(self.symbols, self.charge, self.unpaired_electrons)
        if not self.allow_close:
            check_distances(self.symbols, self.coords)
        return self

    @property
    def charges(self) -> np.ndarray:
        """Nuclear charges (n_nuclei,), float64."""
        return np.array([NUCLEAR_CHARGE[symbol] for symbol in self.symbols], dtype=np.float64)

    @property
    def n_electrons(self) -> int:
        """Number of electrons."""
        return int(self.charges.sum()) - self.charge

    @property
    def spins(self) -> tuple[int, int]:
        """Numbers of spin-up and spin-down electrons."""
        n_up = (self.n_electrons + self.unpaired_electrons) // 2
        return n_up, self.n_electrons - n_up

    @property
    def spin_squared(self) -> float:
        """S (S + 1) of the total spin."""
        return self.unpaired_electrons / 2 * (self.unpaired_electrons / 2 + 1)

    def same_physics(self, other: "Molecule", tolerance: float = 1e-6) -> bool:
        """Whether nuclei (to `tolerance` bohr), charge and unpaired electrons are the same."""
        fields = ("symbols", "charge", "unpaired_electrons")
        return all(getattr(self, name) == getattr(other, name) for name in fields) and np.allclose(
            self.coords, other.coords, rtol=0, atol=tolerance
        )

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal, coordinates to the last digit."""
        return isinstance(other, Molecule) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        """Hash that agrees with equality."""
        return hash((self.name, self.geometry, self.symbols, self.coords.tobytes()))


@dataclass(frozen=True)
class System:
    """A named set of geometries: one for an atom or a molecule, many for a curve."""

    name: str  # as in the file, used in paths and configurations
    title: str  # for people
    kind: Kind
    geometries: dict[str, Molecule]  # by label, in the file's order
    source: str  # of the geometries

    def geometry(self, label: str) -> Molecule:
        """Return one geometry, or raise InputError if there is none of that label."""
        if label not in self.geometries:
            raise InputError(f"{self.name} has no geometry {label!r}; {among(self.geometries)}")
        return self.geometries[label]

    def doubts(self) -> list[str]:
        """Return remarks on distances that suggest a wrong unit; curves have none."""
        molecules = () if self.kind == "curve" else self.geometries.values()
        remarks = [doubt_unit(m.symbols, m.coords) for m in molecules]
        return [f"{self.name}: {remark}." for remark in remarks if remark]


def has_well(parameter_unit: str | None, n_geometries: int) -> bool:
    """Whether a curve over a distance has enough geometries for a well depth."""
    return parameter_unit in BOHR_PER_UNIT and n_geometries > 1


class _Pair(NamedTuple):
    first: int
    second: int
    distance: float  # bohr
    ratio: float  # of the distance to the sum of the covalent radii


def _closest_pair(symbols: Sequence[str], coords: np.ndarray) -> _Pair:
    """Return the pair with the smallest ratio; a lone nucleus has none, and the ratio is 1."""
    if len(symbols) < 2:
        return _Pair(0, 0, np.inf, 1.0)
    radii = np.array([COVALENT_RADIUS_ANGSTROM[symbol] for symbol in symbols]) / ANGSTROM_PER_BOHR
    first, second = np.triu_indices(len(symbols), k=1)
    distances = np.linalg.norm(coords[first] - coords[second], axis=-1)
    ratios = distances / (radii[first] + radii[second])
    best = int(np.argmin(ratios))
    return _Pair(int(first[best]), int(second[best]), float(distances[best]), float(ratios[best]))


def check_distances(symbols: Sequence[str], coords: np.ndarray) -> None:
    """Refuse nuclei that coincide or are too close (coords (n_nuclei, 3) in bohr)."""
    pair = _closest_pair(symbols, coords)
    if pair.ratio >= CLOSEST_RATIO:
        return
    first, second = (f"{index + 1} ({symbols[index]})" for index in (pair.first, pair.second))
    names = f"nuclei {first} and {second}"
    if pair.distance < 1e-3:
        raise InputError(f"{names} coincide: {pair.distance:.3g} bohr apart; remove one of them.")
    raise InputError(
        f"{names} are {pair.distance:.3f} bohr ({pair.distance * ANGSTROM_PER_BOHR:.3f} angstrom) "
        f"apart, nearer than {pair.distance / pair.ratio * CLOSEST_RATIO:.3f} bohr (0.57 x the sum "
        "of their covalent radii); are the coordinates in angstrom but read as bohr? If the "
        "geometry is meant, set allow_close: true."
    )


def doubt_unit(symbols: Sequence[str], coords: np.ndarray) -> str:
    """Return the wrong unit that the distances suggest, "" if none (coords in bohr)."""
    pair = _closest_pair(symbols, coords)
    if COMPRESSED_RATIO <= pair.ratio <= STRETCHED_RATIO:
        return ""
    bond, read, meant = "a bond is compressed", "angstrom", "bohr"
    if pair.ratio > STRETCHED_RATIO:
        bond, read, meant = "every bond is stretched", "bohr", "angstrom"
    return (
        f"nearest {symbols[pair.first]}-{symbols[pair.second]} {pair.distance:.4f} bohr "
        f"({pair.distance * ANGSTROM_PER_BOHR:.4f} angstrom, {pair.ratio:.2f} x covalent radii); "
        f"{bond}: if that is not meant, {read} was read as {meant}"
    )


def check_electrons(symbols: Sequence[str], charge: int, unpaired_electrons: int) -> None:
    """Refuse impossible numbers of electrons or of unpaired electrons.

    An anion must have fewer electrons than twice the nuclear charge plus the number of nuclei:
    others are not bound (E. H. Lieb, Phys. Rev. A 29, 3018 (1984)).
    """
    total = sum(NUCLEAR_CHARGE[symbol] for symbol in symbols)
    electrons = total - charge
    most = 2 * total + len(symbols) - 1
    if electrons <= 0:
        raise InputError(
            f"charge {charge} leaves {electrons} electrons of {total}; the charge must be at most "
            f"{total - 1}."
        )
    if electrons > most:
        raise InputError(
            f"charge {charge} makes {electrons} electrons, but these nuclei bind at most {most}; "
            f"the charge must be at least {total - most}."
        )
    allowed = range(electrons % 2, electrons + 1, 2)
    if unpaired_electrons not in allowed:
        values = [str(number) for number in allowed]
        if len(values) > 6:
            values = [*values[:4], "...", values[-1]]
        raise InputError(
            f"unpaired_electrons {unpaired_electrons} is impossible with {electrons} electrons "
            f"(charge {charge}); allowed are {', '.join(values)}."
        )
