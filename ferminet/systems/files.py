"""Systems as files describe them: `molecules/*.yaml` with their curves, and the xyz format."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from string import ascii_letters
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, Strict, StringConstraints, model_validator

from ferminet.errors import InputError
from ferminet.systems.elements import atom_and_charge, normalise_symbol
from ferminet.systems.molecule import Kind, Molecule, Position, Symbol, System
from ferminet.systems.validation import Block, nearest, prefix_errors, validate
from ferminet.systems.yaml import load_mapping, read_text
from ferminet.units import BOHR_PER_UNIT

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
Atom = Annotated[tuple[Symbol, Position], Strict(False)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_LABEL = re.compile(r"([A-Za-z]+)\{:\.([0-9])f\}")


def _check_label(template: str) -> str:
    # Formatting must not reach attributes, as `{0.__class__}` would.
    if _LABEL.fullmatch(template) is None:
        raise InputError(f"a label is written like 'r{{:.4f}}', got {template!r}.")
    return template


class Parameter(Block):
    """The parameter of a curve."""

    name: Text
    """What it is, for example bond length."""
    unit: Literal["bohr", "angstrom", "degree"]
    """That of the file for a chain, degree for a rectangle."""
    grid: list[float] = Field(min_length=1)
    """Its values."""


class Curve(Block):
    """What all shapes of curves have."""

    element: Symbol
    """The element of all nuclei."""
    label_format: Annotated[str, AfterValidator(_check_label)]
    """Letters, then the value with some decimals, for example r{:.4f}."""
    parameter: Parameter
    """Name, unit and grid of the parameter."""


class Chain(Curve):
    """Nuclei on a line; the parameter is the distance between neighbours."""

    shape: Literal["chain"]
    number: Annotated[int, Field(ge=2, le=1000)]
    """Nuclei of the chain."""

    def place(self, value: float, unit: float) -> np.ndarray:
        """Return (number, 3) in bohr on the z axis, centred at the origin; `unit` is in bohr."""
        if value <= 0:
            raise InputError(f"curve: a spacing is positive, got {value}.")
        coords = np.zeros((self.number, 3))
        coords[:, 2] = value * unit * (np.arange(self.number) - (self.number - 1) / 2)
        return coords


class RectangleOnCircle(Curve):
    """The corners of a rectangle inscribed in a circle; the parameter is an angle.

    Two neighbouring corners are seen from the centre under this angle; an angle and 180 degrees
    minus it give congruent rectangles.
    """

    shape: Literal["rectangle_on_circle"]
    radius: Annotated[float, Field(gt=0)]
    """Radius of the circle, in the file's unit."""

    def place(self, value: float, unit: float) -> np.ndarray:
        """Return the corners (+-R cos(angle/2), +-R sin(angle/2), 0) in bohr, going around."""
        if not 0 < value < 180:
            raise InputError(f"curve: an angle lies between 0 and 180 degrees, got {value}.")
        half, radius = math.radians(value) / 2, self.radius * unit
        x, y = radius * math.cos(half), radius * math.sin(half)
        return np.array([[x, y, 0.0], [-x, y, 0.0], [-x, -y, 0.0], [x, -y, 0.0]])


AnyCurve = Annotated[Chain | RectangleOnCircle, Field(discriminator="shape")]


class SystemFile(Block):
    """A file of `molecules/`: an atom, a molecule or a curve."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+-]{0,63}$")]
    """Write a letter, then at most 63 letters, digits, '_', '+' and '-', since paths contain it; it
    is also the name of the file."""
    title: Text
    """State what it is, for people."""
    label: Text | None = None
    """Short text for tables and figures; the name if left out."""
    kind: Kind
    """State it: atom, molecule or curve."""
    unit: Literal["bohr", "angstrom"]
    """Add `unit: bohr` or `unit: angstrom`, the unit of length."""
    atoms: list[Atom] | None = Field(default=None, min_length=1)
    """[element, [x, y, z]] of each nucleus; a curve has none."""
    curve: AnyCurve | None = None
    """The geometries of a curve."""
    charge: int
    """State it, for example `charge: 0`."""
    unpaired_electrons: int
    """State it, for example `unpaired_electrons: 0`; it is N_up - N_down = 2 S."""
    source: Text
    """State where the geometry comes from."""
    broken_symmetry: bool = False
    """The SCF also starts from alternating spins."""
    allow_close: bool = False
    """Nuclei may be unusually close."""

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        needed = "curve" if self.kind == "curve" else "atoms"
        given = [name for name in ("atoms", "curve") if getattr(self, name) is not None]
        if given != [needed]:
            raise InputError(
                f"kind: {self.kind} needs the block `{needed}:` alone, got "
                f"{' and '.join(given) or 'neither atoms nor curve'}."
            )
        return self

    def system(self) -> System:
        """Return the system, or raise InputError for impossible nuclei or electrons."""
        common = self.model_dump(exclude={"title", "label", "unit", "atoms", "curve"})
        label = self.label or self.name
        if self.curve is not None:
            geometries = self._geometries(self.curve, label)
        else:
            symbols, points = zip(*(self.atoms or ()), strict=True)
            coords = np.array(points, np.float64) * BOHR_PER_UNIT[self.unit]
            geometries = {"eq": {"symbols": symbols, "coords": coords, "label": label}}
        molecules = {
            geometry: validate(Molecule, {**common, **fields, "geometry": geometry})
            for geometry, fields in geometries.items()
        }
        if self.kind == "atom":
            check_name(self.name, molecules["eq"].symbols[0], self.charge)
        return System(self.name, self.title, self.kind, molecules, self.source)

    def _geometries(self, curve: AnyCurve, name: str) -> dict[str, dict[str, Any]]:
        """Return the fields of the molecules of a curve by label."""
        unit = self.unit if isinstance(curve, Chain) else "degree"
        if curve.parameter.unit != unit:
            raise InputError(
                f"curve.parameter.unit is {curve.parameter.unit!r}; for this shape in {self.unit} "
                f"it must be {unit}."
            )
        geometries: dict[str, dict[str, Any]] = {}
        for value in curve.parameter.grid:
            label = curve.label_format.format(value)
            if label in geometries:
                raise InputError(
                    f"curve: {geometries[label]['parameter']} and {value} have the same label "
                    f"{label}; give label_format more decimals or remove one."
                )
            coords = curve.place(value, BOHR_PER_UNIT[self.unit])
            number = label.lstrip(ascii_letters)
            geometries[label] = {
                "symbols": (curve.element,) * len(coords),
                "coords": coords,
                "parameter": value,
                "parameter_name": curve.parameter.name,
                "parameter_unit": unit,
                "label": f"{name} {number}" + ("°" if unit == "degree" else f" {unit}"),
            }
        return geometries


def check_name(name: str, symbol: str, charge: int) -> None:
    """Refuse an atom or ion with the name of another one, since tables would show that name."""
    named = atom_and_charge(name)
    if named not in (None, (symbol, charge)):
        right = symbol + ("+" if charge > 0 else "-") * abs(charge)
        raise InputError(
            f"the name {name} is that of {named[0]} with charge {named[1]}, but this is {symbol} "
            f"with charge {charge}; rename it to {right}, or to a name that is not an element's."
        )


def refuse_spin_keys(content: Mapping[str, Any]) -> None:
    """Refuse `spin` and `multiplicity`, whose meanings differ between programs."""
    for key in ("multiplicity", "spin"):
        value = content.get(key, 1)
        if not isinstance(value, int | float):
            hint = "N_up - N_down"
        elif key == "multiplicity":
            hint = f"{max(value - 1, 0):g} (N_up - N_down = multiplicity - 1)"
        elif isinstance(value, int):
            hint = f"{value} if it is N_up - N_down (as in PySCF), {2 * value} if it is S"
        else:
            hint = f"{2 * value:g} (N_up - N_down = 2 S)"
        if key in content:
            raise InputError(f"{key}: {value} is not accepted; write unpaired_electrons: {hint}.")


def system_from_mapping(content: Mapping[str, Any]) -> System:
    """Return the system that the keys of a YAML file describe, or raise InputError."""
    refuse_spin_keys(content)
    return validate(SystemFile, dict(content)).system()


def read_system(path: str | Path, **xyz: Any) -> System:
    """Read a system from a YAML file, or from an xyz file and what that format does not state.

    Args:
        path: `*.yaml` or `*.xyz`; the name of an xyz system is the stem of its file.
        **xyz: charge and unpaired_electrons (N_up - N_down) of an xyz file, which are required, and
            its unit, angstrom unless given. A YAML file states them itself.
    """
    path = Path(path)
    stated = {key: value for key, value in xyz.items() if value is not None}
    if path.suffix == ".xyz":
        atoms = read_xyz(path)
        content: dict[str, Any] = {
            "name": path.stem,
            "title": path.stem,
            "kind": "atom" if len(atoms) == 1 else "molecule",
            "unit": "angstrom",
            "atoms": atoms,
            "source": path.name,
            **stated,
        }
    elif path.suffix == ".yaml":
        if stated:
            raise InputError(
                f"{path}: a YAML file states {' and '.join(stated)} itself; change the file."
            )
        content = load_mapping(path)
    else:
        raise InputError(f"{path}: a system is a .yaml or .xyz file, got {path.suffix!r}.")
    with prefix_errors(path):
        return system_from_mapping(content)


def read_xyz(path: Path) -> list[list[Any]]:
    """Read [element, [x, y, z]] of each nucleus from an xyz file.

    It holds the number of nuclei, a comment, then `element x y z` per line.
    """
    lines = read_text(path).rstrip().splitlines()
    first = lines[0].strip() if lines else ""
    if not re.fullmatch(r"\d{1,6}", first, re.ASCII):
        raise InputError(
            f"{path}:1: an xyz file starts with the number of nuclei, got {first[:40]!r}."
        )
    number, n_lines = int(first), max(len(lines) - 2, 0)
    if number == 0 or n_lines != number:
        raise InputError(
            f"{path}:1: the number of nuclei is {number}, but {n_lines} lines follow the comment; "
            "an xyz file holds one geometry of at least one nucleus."
        )
    atoms = []
    for line_number, line in enumerate(lines[2:], start=3):
        with prefix_errors(f"{path}:{line_number}"):
            words = line.split()
            if len(words) != 4:
                raise InputError(
                    f"a line is `element x y z` (4 words), got {len(words)} words in {line[:60]!r}."
                )
            for column, word in enumerate(words[1:], start=2):
                if not _NUMBER.fullmatch(word):
                    raise InputError(
                        f"word {column} is a finite number such as -0.75, got {word[:40]!r}."
                    )
            atoms.append([normalise_symbol(words[0]), [float(word) for word in words[1:]]])
    return atoms


def load_systems(directory: str | Path) -> dict[str, System]:
    """Read all systems of a folder of `*.yaml` files, sorted by name.

    Names that differ by case alone are refused, since some file systems do not distinguish them.
    """
    systems: dict[str, System] = {}
    for path in sorted(Path(directory).glob("*.yaml")):
        system = read_system(path)
        if system.name != path.stem:
            raise InputError(
                f"{path}: the file is named {path.stem!r} and its system {system.name!r}; "
                "give both the same name."
            )
        for twin in systems:
            if twin.lower() == system.name.lower():
                raise InputError(f"{path}: the name differs from {twin} by case alone; rename one.")
        systems[system.name] = system
    if not systems:
        raise InputError(f"{directory}: there is no .yaml file of a system here; check the folder.")
    return systems


def find_system(name: str, directory: Path, **xyz: Any) -> System:
    """Return the system of a name such as `LiH`, or raise InputError with the nearest name."""
    names = sorted(file.stem for file in directory.glob("*.yaml"))
    if name not in names:
        raise InputError(f"there is no system {name!r} in {directory}; {nearest(name, names)}")
    return read_system(directory / f"{name}.yaml", **xyz)
