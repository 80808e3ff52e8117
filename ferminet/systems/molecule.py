"""What is solved: one geometry of a system, its nuclei, charge and spin; and the system itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
from ferminet.systems import checks
from ferminet.systems.elements import NUCLEAR_CHARGE, normalise_symbol
from ferminet.systems.suggestions import among
from ferminet.systems.validation import Block

Kind = Literal["atom", "molecule", "curve"]
Symbol = Annotated[str, BeforeValidator(normalise_symbol)]
Position = Annotated[tuple[float, float, float], Strict(False)]


def _as_list(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


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
        BeforeValidator(_as_list),
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
        checks.check_extent(self.coords)
        if len(self.coords) != n_nuclei:
            raise InputError(f"{n_nuclei} elements have {len(self.coords)} positions.")
        if (self.kind == "atom") != (n_nuclei == 1):
            raise InputError(
                f"kind {self.kind!r} does not fit {checks.count_nuclei(n_nuclei)}; an atom has one."
            )
        checks.check_electrons(self.symbols, self.charge, self.unpaired_electrons)
        if not self.allow_close:
            checks.check_distances(self.symbols, self.coords)
        return self

    @property
    def charges(self) -> np.ndarray:
        """Nuclear charges (n_nuclei,), float64."""
        return np.array([NUCLEAR_CHARGE[symbol] for symbol in self.symbols], dtype=np.float64)

    @property
    def n_electrons(self) -> int:
        """Number of electrons."""
        return sum(NUCLEAR_CHARGE[symbol] for symbol in self.symbols) - self.charge

    @property
    def spins(self) -> tuple[int, int]:
        """Numbers of spin-up and spin-down electrons."""
        n_up = (self.n_electrons + self.unpaired_electrons) // 2
        return n_up, self.n_electrons - n_up

    @property
    def nuclear_repulsion(self) -> float:
        """Repulsion energy of the nuclei in hartree."""
        first, second = np.triu_indices(len(self.symbols), k=1)
        distances = np.linalg.norm(self.coords[first] - self.coords[second], axis=-1)
        return float(np.sum(self.charges[first] * self.charges[second] / distances))

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
        """Return remarks on distances that a wrong unit would explain; curves stretch bonds."""
        molecules = () if self.kind == "curve" else self.geometries.values()
        remarks = [checks.doubt_unit(m.symbols, m.coords) for m in molecules]
        return [f"{self.name}: {remark}." for remark in remarks if remark]
