"""One row of results: the energy of one method for one geometry.

The fields of `EnergyRow` define a row: validation, the Arrow schema of files (`records.py`) and the
documentation of the columns follow from them. The columns in `KEY` identify a row. NaN is never
stored. Energies are in hartree, lengths in bohr.
"""

import json
import math
from collections.abc import Callable, Iterable
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

from ferminet.benchmark.details import Details, encode_json, field, plain
from ferminet.methods import ENERGY_LABELS
from ferminet.systems.validation import validate

SCHEMA_VERSION = 1
STATUSES_WITHOUT_ENERGY = ("not_converged", "failed")
KEY = (
    "study", "system", "geometry", "method", "reference", "ansatz", "basis", "config_hash", "seed",
)  # fmt: skip
_LARGEST_ENERGY = 1e6  # hartree; more than thirty atoms of uranium

ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT")
# Rows of another code's energies; `computed_rows` leaves them out of all that is not made for them.
IMPORTED = "imported"
METHODS = (*ENERGY_LABELS, "vmc", IMPORTED)
# What a row of a method must state; others need a basis.
_NEEDED = {"vmc": ("ansatz", "config_hash", "seed"), IMPORTED: ("ansatz", "config_hash", "seed")}
# Pydantic reads the names at run time; a type checker sees `str`.
if TYPE_CHECKING:
    Method = str
else:
    Method = Literal[METHODS]
Reference = Literal["rhf", "uhf", "rohf"]
Status = Literal["complete", "unfinished", "not_converged", "failed", "suspicious"]


class EnergyRow(BaseModel):
    """One energy with its diagnostics and provenance; `row` makes one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, str_min_length=1)

    study: str = field("stem of the study's configuration file", default=...)
    system: str = field("name of the system, e.g. LiH", default=...)
    geometry: str = field("label of the geometry: eq, r2.0680, a90", default=...)
    method: Method = field(f"{', '.join(METHODS[:-1])} or {METHODS[-1]}", default=...)
    reference: Reference | None = field("rhf, uhf, rohf, or null where none applies")
    ansatz: str | None = field("name of the wavefunction in the study, or code of imported rows")
    basis: str | None = field("basis set, cbs-PROTOCOL for its limit; null for vmc")
    config_hash: str | None = field("hash of all settings that change a training's trajectory")
    seed: int | None = field("training seed, vmc and imported only", "1")
    parameter: float | None = field("value of the curve's parameter", "parameter_unit")
    parameter_name: str | None = field("name of the curve's parameter")
    parameter_unit: str | None = field("unit of the curve's parameter")
    energy: float | None = field("total energy with nuclear repulsion", "hartree")
    stderr: float | None = field(
        "standard error; uncertainty of a limit; else null", "hartree", ge=0
    )
    status: Status = field("complete, unfinished, not_converged, failed, suspicious", default=...)
    n_electrons: int = field("number of electrons", "1", ..., ge=1)
    unpaired_electrons: int = field("spin-up minus spin-down electrons", "1", ..., ge=0)
    walkers: int | None = field("number of Metropolis walkers in the evaluation", "1", ge=1)
    iterations: int | None = field("training iterations done", "1", ge=0)
    parameters: int | None = field("number of parameters of the wavefunction", "1", ge=0)
    variance: float | None = field("variance of the local energy", "hartree^2", ge=0)
    tau: float | None = field("integrated autocorrelation time of the energy", "Metropolis steps")
    r_hat: float | None = field("split-R-hat over walkers; 1 when they agree", "1", ge=0)
    s2: float | None = field("expectation value of S^2", "1")
    s2_stderr: float | None = field("standard error of s2", "1", ge=0)
    stein_z: float | None = field(
        "z-score of the sampling sentinel; 0 expected, |z| <= 4 sound", "1"
    )
    acceptance: float | None = field("accepted fraction of the Metropolis moves", "1", ge=0, le=1)
    evaluation_seed: int | None = field("seed of the evaluation", "1")
    evaluation_iterations: int | None = field("energies per walker in the evaluation", "1", ge=0)
    method_version: str | None = field("version of the method's implementation")
    git_commit: str | None = field("commit of the code; +dirty if it had local changes")
    package_versions: dict[str, Any] | None = field("versions of the packages used")
    device: str | None = field("device of the calculation")
    precision: str | None = field("float32 or float64")
    wall_s: float | None = field("wall time of the calculation", "s", ge=0)
    created_utc: str | None = field("when the row was made", "ISO 8601, UTC")
    deviations: list[Any] | None = field("departures from the paper other than in settings (list)")
    schema_version: int = field(
        "version of this schema", "1", SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION
    )
    details: Details = field("further quantities of the method", default=Details())

    @field_validator("*", mode="before")
    @classmethod
    def _convert(cls, value: Any, info: ValidationInfo) -> Any:
        """Convert scalars of NumPy and JAX, and whole floats to integers; NaN becomes None."""
        kind = _kind(info.field_name or "")
        if kind in ("int", "float") and hasattr(value, "item"):
            value = value.item()
        if isinstance(value, float) and math.isnan(value):
            return None
        whole = kind == "int" and isinstance(value, float) and value.is_integer()
        return int(value) if whole else value

    @field_validator("package_versions", "deviations", "details", mode="before")
    @classmethod
    def _decode(cls, value: Any, info: ValidationInfo) -> Any:
        """Decode JSON text; convert other values to what JSON can hold."""
        if value is None and info.field_name == "details":
            return Details()
        if not isinstance(value, str):
            return value if isinstance(value, Details) else plain(value)
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"the text {value!r} is not JSON ({error}).") from error

    @model_validator(mode="after")
    def _check(self) -> "EnergyRow":
        for name in _NEEDED.get(self.method, ("basis",)):
            if getattr(self, name) is None:
                raise ValueError(f"a row of method {self.method} needs a value for {name}.")
        if (self.method == IMPORTED) != (self.details.imported is not None):
            raise ValueError(f"details.imported belongs to method {IMPORTED}, got {self.method}.")
        if problem := self._energy_problem():
            raise ValueError(f"{self.label}: {problem}")
        return self

    def _energy_problem(self) -> str | None:
        """Return why energy, stderr and status do not agree, or None if they do."""
        energy, stderr, status = self.energy, self.stderr, self.status
        if status in STATUSES_WITHOUT_ENERGY:
            absent = energy is None and stderr is None
            return None if absent else f"a row that is {status} has no energy and no stderr."
        if energy is None or not math.isfinite(energy):
            return f"a row that is {status} needs a finite energy, got {energy}."
        if abs(energy) > _LARGEST_ENERGY:
            most = f"its magnitude may be at most {_LARGEST_ENERGY:g}."
            return f"{energy:g} hartree is no energy of an atom or molecule; {most}"
        if stderr is None and self.is_sampled:
            return "an energy from sampling needs its stderr."
        if stderr == math.inf:
            return "stderr must be finite, got inf."
        return None

    @property
    def key(self) -> tuple[Any, ...]:
        """Identity of the row: its values of `KEY`."""
        return tuple(getattr(self, name) for name in KEY)

    @property
    def is_sampled(self) -> bool:
        """Whether the energy is a mean of local energies, from this package or another code."""
        return self.method in _NEEDED

    @property
    def label(self) -> str:
        """The key as text, e.g. `quickstart/LiH/eq/vmc/ferminet/1a2b3c4d/seed 1`."""
        parts = [str(value) for value in self.key[:-1] if value is not None]
        return "/".join(parts if self.seed is None else [*parts, f"seed {self.seed}"])

    @property
    def geometry_key(self) -> tuple[str, str]:
        """System and geometry."""
        return self.system, self.geometry

    def replace(self, **changes: Any) -> "EnergyRow":
        """Return a copy with changed values in some columns, checked again."""
        return row(**dict(self) | changes)

    def stored(self) -> dict[str, Any]:
        """Return the values by column as files hold them, with composite values as JSON text."""
        values = dict(self)
        for name in ("package_versions", "deviations"):
            values[name] = None if values[name] is None else encode_json(values[name])
        return values | {"details": self.details.text()}


Rows = list[EnergyRow]


def energies_of(rows: Iterable[EnergyRow]) -> list[float]:
    """Return the energies of the rows that have one, in hartree."""
    return [row.energy for row in rows if row.energy is not None]


def errors_of(rows: Iterable[EnergyRow]) -> list[float]:
    """Return the standard errors of the rows that have one, in hartree."""
    return [row.stderr for row in rows if row.stderr is not None]


class Column(NamedTuple):
    """A column as files and documentation describe it."""

    name: str
    kind: str  # string, int, float or json (a value stored as JSON text)
    unit: str
    description: str
    nullable: bool


def _kind(name: str) -> str:
    """Return how a column is stored; see `Column`."""
    annotation = EnergyRow.model_fields[name].annotation
    kinds = {int: "int", float: "float", Details: "json", dict: "json", list: "json"}
    inner = next((a for a in get_args(annotation) if a is not NoneType), annotation)
    return kinds.get(get_origin(inner) or inner, "string")


def _column(name: str) -> Column:
    info: Any = EnergyRow.model_fields[name]
    nullable = info.default is None or name == "details"
    return Column(name, _kind(name), info.json_schema_extra["unit"], info.description, nullable)


COLUMN_NAMES: tuple[str, ...] = tuple(EnergyRow.model_fields)
COLUMNS = tuple(map(_column, COLUMN_NAMES))
UNIT_OF_COLUMN = {column.name: column.unit for column in COLUMNS}


def row(**fields: Any) -> EnergyRow:
    """Return a new row after checking it.

    Args:
        **fields: values by column name. NumPy scalars are converted; composite columns take their
            JSON text too.

    Raises:
        InputError: a column, status or method is unknown, a value is missing, impossible or of the
            wrong type, or the energy does not agree with the status.
    """
    return validate(EnergyRow, fields)


def vmc_rows(rows: Iterable[EnergyRow]) -> Rows:
    """Return the rows of method `vmc`."""
    return [row for row in rows if row.method == "vmc"]


def computed_rows(rows: Iterable[EnergyRow]) -> Rows:
    """Return the rows that this package computed, without imported ones."""
    return [row for row in rows if row.method != IMPORTED]


def group_by(items: Iterable[ItemT], key: Callable[[ItemT], KeyT]) -> dict[KeyT, list[ItemT]]:
    """Group items by a key; groups and items stay in order."""
    groups: dict[KeyT, list[ItemT]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def grouped(rows: Iterable[EnergyRow], *names: str) -> dict[tuple[Any, ...], Rows]:
    """Group rows by their values of the columns `names`, see `group_by`."""
    return group_by(rows, lambda row: tuple(getattr(row, name) for name in names))


def distinct(rows: Iterable[EnergyRow], name: str) -> list[Any]:
    """Return the distinct values of a column that are not null, in order."""
    values = (getattr(row, name) for row in rows)
    return list(dict.fromkeys(value for value in values if value is not None))
