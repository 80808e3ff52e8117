"""Systems as files describe them: `molecules/*.yaml`, and the xyz format."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, Strict, StringConstraints, model_validator

from ferminet.errors import InputError
from ferminet.systems.checks import check_name, count_nuclei, refuse_spin_keys
from ferminet.systems.curves import AnyCurve, Text
from ferminet.systems.elements import normalise_symbol
from ferminet.systems.molecule import Kind, Molecule, Position, Symbol, System
from ferminet.systems.suggestions import nearest
from ferminet.systems.validation import Block, prefix_errors, validate
from ferminet.systems.yaml import load_mapping, read_text
from ferminet.units import BOHR_PER_UNIT

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
Atom = Annotated[tuple[Symbol, Position], Strict(False)]


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
        if (self.kind == "curve") != (self.atoms is None):
            raise InputError("kind: curve has a `curve:` block; other kinds have `atoms:`.")
        if (self.atoms is None) != (self.curve is not None):
            raise InputError("a system has either `atoms:` or, with kind: curve, a `curve:` block.")
        return self

    def system(self) -> System:
        """Return the system, or raise InputError for impossible nuclei or electrons."""
        common = self.model_dump(exclude={"title", "label", "unit", "atoms", "curve"})
        label = self.label or self.name
        if self.curve is not None:
            geometries = self.curve.geometries(self.unit)
            for fields in geometries.values():
                fields["label"] = f"{label} {fields['label']}"
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

    Raises:
        InputError: the file or a value is not acceptable; the sentence starts with the path.
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
    """Read an xyz file: the number of nuclei, a comment, then `element x y z` per line.

    Returns:
        [element, [x, y, z]] of each nucleus, in the unit of the file.

    Raises:
        InputError: the sentence names file and line.
    """
    lines = read_text(path).rstrip().splitlines()
    first = lines[0].strip() if lines else ""
    if not re.fullmatch(r"\d{1,6}", first, re.ASCII):
        raise InputError(
            f"{path}:1: an xyz file starts with the number of nuclei, got {first[:40]!r}."
        )
    number = int(first)
    if number == 0 or len(lines) - 2 != number:
        raise InputError(
            f"{path}:1: the first line announces {count_nuclei(number)}, but "
            f"{max(len(lines) - 2, 0)} lines follow the comment line; an xyz file "
            "holds one geometry of at least one nucleus."
        )
    atoms = []
    for line_number, line in enumerate(lines[2:], start=3):
        with prefix_errors(f"{path}:{line_number}"):
            atoms.append(_read_xyz_line(line))
    return atoms


def _read_xyz_line(line: str) -> list[Any]:
    words = line.split()
    if len(words) != 4:
        raise InputError(
            f"a line is `element x y z` (4 words), got {len(words)} words in {line[:60]!r}."
        )
    for column, word in enumerate(words[1:], start=2):
        if not _NUMBER.fullmatch(word):
            raise InputError(f"word {column} is a finite number such as -0.75, got {word[:40]!r}.")
    return [normalise_symbol(words[0]), [float(word) for word in words[1:]]]


def load_systems(directory: str | Path) -> dict[str, System]:
    """Read all systems of a folder of `*.yaml` files, sorted by name.

    Raises:
        InputError: a file is wrong or misnamed, or two names differ by case alone, which some file
            systems do not distinguish.
    """
    systems: dict[str, System] = {}
    files: dict[str, Path] = {}
    for path in sorted(Path(directory).glob("*.yaml")):
        system = read_system(path)
        twin = files.setdefault(system.name.lower(), path)
        if twin != path:
            raise InputError(
                f"{path}: the name {system.name!r} is that of {twin}, or differs by case alone; "
                "rename one."
            )
        if system.name != path.stem:
            raise InputError(
                f"{path}: the file is named {path.stem!r} and its system {system.name!r}; "
                "give both the same name."
            )
        systems[system.name] = system
    if not systems:
        raise InputError(f"{directory}: there is no .yaml file of a system here; check the folder.")
    return systems


def find_system(name: str, directory: Path, **xyz: Any) -> System:
    """Return the system of a name such as `LiH`, or raise InputError with the nearest name.

    Args:
        name: the stem of a file.
        directory: the folder of the named systems.
        **xyz: as for `read_system`, which refuses it for a YAML file.
    """
    names = sorted(file.stem for file in directory.glob("*.yaml"))
    if name not in names:
        raise InputError(f"there is no system {name!r} in {directory}; {nearest(name, names)}")
    return read_system(directory / f"{name}.yaml", **xyz)
