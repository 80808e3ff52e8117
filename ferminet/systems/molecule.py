"""What is solved: molecules and curves, read from `molecules/*.yaml` or an xyz file."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ferminet.errors import InputError
from ferminet.systems import checks as molecule_checks
from ferminet.systems.curves import read_curve
from ferminet.systems.elements import NUCLEAR_CHARGE, normalise_symbol
from ferminet.systems.files import read_atoms, read_xyz
from ferminet.systems.yaml import load_mapping, refuse_unknown_keys

KINDS = ("atom", "molecule", "curve")
_COMMON_KEYS = (
    "name", "title", "label", "kind", "unit", "charge", "unpaired_electrons", "source",
    "allow_close", "broken_symmetry",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Molecule:
    """One geometry of one system, checked when it is made.

    Attributes:
        name: name of the system; part of paths.
        geometry: label of the geometry: `eq`, `r2.0680`, `a90`.
        symbols: (n_nuclei,) elements.
        coords: (n_nuclei, 3) in bohr, float64, read-only.
        charge: total charge.
        unpaired_electrons: N_up - N_down = 2 S.
        source: where the geometry comes from.
        parameter: position on a curve, in `parameter_unit`; None for others.
        parameter_name: what the parameter is, for example "bond length".
        parameter_unit: bohr, angstrom or degree.
        kind: atom, molecule or curve.
        label: short text for tables and plots.
        broken_symmetry: whether the SCF also starts from alternating spins.
        allow_close: whether nuclei may be unusually close.
    """

    name: str
    geometry: str
    symbols: tuple[str, ...]
    coords: np.ndarray
    charge: int
    unpaired_electrons: int
    source: str
    parameter: float | None = None
    parameter_name: str | None = None
    parameter_unit: str | None = None
    kind: str = "molecule"
    label: str = ""
    broken_symmetry: bool = False
    allow_close: bool = False

    def __post_init__(self) -> None:
        """Normalises and checks.

        Raises:
            InputError: something about the nuclei or the electrons is impossible.
        """
        if not self.symbols:
            raise InputError("there are no nuclei; list at least one.")
        symbols = tuple(normalise_symbol(symbol) for symbol in self.symbols)
        points = np.asarray(self.coords).tolist()
        if len(points) != len(symbols):
            raise InputError(f"{len(symbols)} elements have {len(points)} positions.")
        coords = np.array(
            [molecule_checks.check_point(f"nucleus {i + 1}", p) for i, p in enumerate(points)]
        )
        molecule_checks.check_extent(coords)
        coords.setflags(write=False)
        charge = molecule_checks.check_integer("charge", self.charge)
        unpaired = molecule_checks.check_integer("unpaired_electrons", self.unpaired_electrons)
        if self.kind not in KINDS:
            raise InputError(f"kind is one of {', '.join(KINDS)}, got {self.kind!r}.")
        if (self.kind == "atom") != (len(symbols) == 1):
            raise InputError(
                f"kind {self.kind!r} does not fit {molecule_checks.count_nuclei(len(symbols))}; "
                "an atom has one."
            )
        molecule_checks.check_electrons(symbols, charge, unpaired)
        if not self.allow_close:
            molecule_checks.check_distances(symbols, coords)
        object.__setattr__(self, "symbols", symbols)
        object.__setattr__(self, "coords", coords)
        object.__setattr__(self, "label", self.label or self.name)

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

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields as JSON values; coordinates keep every digit."""
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        return content | {"symbols": list(self.symbols), "coords": self.coords.tolist()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Molecule":
        """Returns the molecule of `to_dict`, checked again.

        Raises:
            InputError: a key is unknown or missing, or a value is impossible.
        """
        molecule_checks.refuse_spin_keys(content)
        refuse_unknown_keys(content, [field.name for field in fields(cls)])
        try:
            values: dict[str, Any] = {**content, "symbols": tuple(content["symbols"])}
            return cls(**values)
        except (TypeError, KeyError) as error:
            raise InputError(f"the molecule lacks a field or has a wrong one: {error}.") from error

    def same_physics(self, other: "Molecule", tolerance: float = 1e-6) -> bool:
        """Whether nuclei (to `tolerance` bohr), charge and unpaired electrons are the same."""
        mine, its = (
            (molecule.symbols, molecule.charge, molecule.unpaired_electrons)
            for molecule in (self, other)
        )
        return mine == its and bool(np.all(np.abs(self.coords - other.coords) <= tolerance))

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal, coordinates to the last digit."""
        return isinstance(other, Molecule) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        """Hash that agrees with equality."""
        return hash((self.name, self.geometry, self.symbols, self.coords.tobytes()))


@dataclass(frozen=True)
class System:
    """A named set of geometries: one for an atom or a molecule, many for a curve.

    Attributes:
        name: as in the file, used in paths and configurations.
        title: for people.
        kind: atom, molecule or curve.
        geometries: label -> molecule, in the file's order.
        source: where the geometry comes from.
    """

    name: str
    title: str
    kind: str
    geometries: dict[str, Molecule]
    source: str

    def doubts(self) -> list[str]:
        """Remarks on distances that a wrong unit would explain; curves stretch on purpose."""
        if self.kind == "curve":
            return []
        return [
            f"{self.name}: {molecule_checks.describe_distances(one.symbols, one.coords)}."
            for one in self.geometries.values()
            if molecule_checks.doubt_unit(one.symbols, one.coords)
        ]


def read_system(
    path: str | Path,
    *,
    charge: int | None = None,
    unpaired_electrons: int | None = None,
    unit: str | None = None,
    allow_close: bool = False,
) -> System:
    """Reads a system from a YAML file, or from an xyz file with what that format lacks.

    Args:
        path: `*.yaml` or `*.xyz`; the name of an xyz system is the stem of its file.
        charge: total charge; required for xyz, refused for YAML, which states it itself.
        unpaired_electrons: N_up - N_down; likewise.
        unit: of an xyz file, angstrom unless given, as the format says.
        allow_close: accept unusually close nuclei in an xyz file.

    Returns:
        The system.

    Raises:
        InputError: the file or a value is not acceptable; the sentence starts with the path.
    """
    path = Path(path)
    if path.suffix == ".xyz":
        symbols, coords = read_xyz(path)
        atoms = [[symbol, row] for symbol, row in zip(symbols, coords.tolist(), strict=True)]
        content: dict[str, Any] = {
            "name": path.stem,
            "title": path.stem,
            "kind": "atom" if len(atoms) == 1 else "molecule",
            "unit": unit or "angstrom",
            "atoms": atoms,
            "charge": charge,
            "unpaired_electrons": unpaired_electrons,
            "allow_close": allow_close,
            "source": path.name,
        }
    elif path.suffix == ".yaml":
        if allow_close or (charge, unpaired_electrons, unit) != (None, None, None):
            raise InputError(
                f"{path}: charge, unpaired_electrons, unit and allow_close are stated in the YAML "
                "file itself; change them there."
            )
        content = load_mapping(path)
    else:
        raise InputError(f"{path}: a system is a .yaml or .xyz file, got {path.suffix!r}.")
    try:
        return system_from_mapping(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def system_from_mapping(content: Mapping[str, Any]) -> System:
    """Returns the system that the keys of a YAML file describe.

    Raises:
        InputError: a key is unknown or missing, or a value is impossible.
    """
    molecule_checks.refuse_spin_keys(content)
    block = "curve" if "curve" in content or content.get("kind") == "curve" else "atoms"
    refuse_unknown_keys(content, (*_COMMON_KEYS, block))
    texts = {key: _text(content, key) for key in ("name", "title", "kind", "source")}
    name = texts["name"]
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]{0,63}", name):
        raise InputError(
            f"name {name!r} must start with a letter and consist of at most 64 letters, digits, "
            "'_', '+' and '-', because paths contain it."
        )
    flags = {key: content.get(key, False) for key in ("allow_close", "broken_symmetry")}
    for key, value in flags.items():
        if not isinstance(value, bool):
            raise InputError(f"{key} is true or false, got {value!r}.")
    label = _text(content, "label") if "label" in content else name
    make = partial(
        Molecule,
        name=name,
        kind=texts["kind"],
        charge=content.get("charge"),  # pyright: ignore[reportArgumentType] - checked inside
        unpaired_electrons=content.get("unpaired_electrons"),  # pyright: ignore[reportArgumentType]
        source=texts["source"],
        **flags,
    )
    unit = content.get("unit")
    scale = molecule_checks.check_unit(unit)
    if (texts["kind"] == "curve") != (block == "curve"):
        raise InputError("a `curve:` block needs `kind: curve`; others have `atoms:`.")
    if block == "atoms":
        symbols, coords = read_atoms(content.get("atoms"))
        geometries = [make(geometry="eq", symbols=symbols, coords=coords * scale, label=label)]
    else:
        curve = read_curve(content.get("curve"), str(unit))
        geometries = [
            make(
                geometry=point.geometry,
                symbols=curve.symbols,
                coords=point.coords,
                parameter=point.parameter,
                parameter_name=curve.parameter_name,
                parameter_unit=curve.parameter_unit,
                label=f"{label} {point.text}",
            )
            for point in curve.points
        ]
    if texts["kind"] == "atom":
        molecule_checks.check_name(name, geometries[0].symbols[0], geometries[0].charge)
    by_label = {molecule.geometry: molecule for molecule in geometries}
    return System(name, texts["title"], texts["kind"], by_label, texts["source"])


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    if isinstance(value, bool):
        raise InputError(f"{key} is {value}, as YAML reads yes, no, on and off; put it in quotes.")
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{key} is missing or no text, got {value!r}; add `{key}: ...`.")
    return value.strip()


def load_systems(directory: str | Path) -> dict[str, System]:
    """Reads all systems of a folder.

    Args:
        directory: a folder of `*.yaml` files, each named after its system.

    Returns:
        name -> system, sorted by name.

    Raises:
        InputError: a file is not acceptable, is not named after its system, or two names differ
            by case alone, which some file systems cannot tell apart.
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


def find_system(name_or_path: str | Path, directory: str | Path, **xyz: Any) -> System:
    """Returns the system of a name, or of a path to a .yaml or .xyz file.

    Args:
        name_or_path: a name such as `LiH`, or a path (it has a suffix .yaml or .xyz).
        directory: the folder of the named systems.
        **xyz: charge, unpaired_electrons, unit, allow_close for an xyz file.

    Returns:
        The system.

    Raises:
        InputError: there is none of that name (the sentence has the nearest), or it is wrong.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".xyz"):
        return read_system(path, **xyz)
    names = sorted(file.stem for file in Path(directory).glob("*.yaml"))
    if str(name_or_path) not in names:
        nearest = difflib.get_close_matches(str(name_or_path), names, n=1, cutoff=0.4)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        hint += f"Known are {', '.join(names)}."
        raise InputError(f"there is no system {str(name_or_path)!r} in {directory}; {hint}")
    return read_system(Path(directory) / f"{name_or_path}.yaml", **xyz)
