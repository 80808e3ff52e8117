"""One row of results: the energy of one method for one geometry.

The fields of `EnergyRow` define a row: validation, the Arrow schema of files (`records.py`) and the
documentation of the columns follow from them. The columns in `KEY` identify a row. NaN is never
stored. Energies are in hartree, lengths in bohr.
"""

import json
import math
from collections.abc import Iterable
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo

from ferminet.benchmark.details import Details, encode_json, plain
from ferminet.methods import ENERGY_LABELS
from ferminet.systems.validation import validate

SCHEMA_VERSION = 1
STATUSES_WITHOUT_ENERGY = ("not_converged", "failed")
KEY = (
    "study", "system", "geometry", "method", "reference", "ansatz", "basis", "config_hash", "seed",
)  # fmt: skip
_LARGEST_ENERGY = 1e6  # hartree; more than thirty atoms of uranium

METHODS = (*ENERGY_LABELS, "vmc")
# Pydantic reads the names at run time; a type checker sees `str`.
if TYPE_CHECKING:
    Method = str
else:
    Method = Literal[METHODS]
Status = Literal["complete", "unfinished", "not_converged", "failed", "suspicious"]


def column(description: str, unit: str = "", default: Any = ...) -> Any:
    """Declare a column of the rows.

    Args:
        description: its meaning, one phrase.
        unit: unit of the numbers; empty for text, `1` for pure numbers.
        default: default value; without it the column is required.
    """
    return Field(default, description=description, json_schema_extra={"unit": unit})


class EnergyRow(BaseModel):
    """One energy with its diagnostics and provenance; `row` makes one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, str_min_length=1)

    study: str = column("stem of the study's configuration file")
    system: str = column("name of the system, e.g. LiH")
    geometry: str = column("label of the geometry: eq, r2.0680, a90")
    method: Method = column(f"{', '.join(METHODS[:-1])} or vmc")
    reference: Literal["rhf", "uhf", "rohf"] | None = column(
        "rhf, uhf, rohf, or null where none applies", default=None
    )
    ansatz: str | None = column("name of the wavefunction in the study, vmc only", default=None)
    basis: str | None = column("basis set, cbs-PROTOCOL for its limit; null for vmc", default=None)
    config_hash: str | None = column(
        "hash of all settings that change a training's trajectory", default=None
    )
    seed: int | None = column("training seed, vmc only", "1", None)
    parameter: float | None = column("value of the curve's parameter", "parameter_unit", None)
    parameter_name: str | None = column("name of the curve's parameter", default=None)
    parameter_unit: str | None = column("unit of the curve's parameter", default=None)
    energy: float | None = column("total energy with nuclear repulsion", "hartree", None)
    stderr: float | None = column(
        "standard error; uncertainty of a limit; else null", "hartree", None
    )
    status: Status = column("complete, unfinished, not_converged, failed, suspicious")
    n_electrons: int = column("number of electrons", "1")
    unpaired_electrons: int = column("spin-up minus spin-down electrons", "1")
    walkers: int | None = column("number of Metropolis walkers in the evaluation", "1", None)
    iterations: int | None = column("training iterations done", "1", None)
    parameters: int | None = column("number of parameters of the wavefunction", "1", None)
    variance: float | None = column("variance of the local energy", "hartree^2", None)
    tau: float | None = column(
        "integrated autocorrelation time of the energy", "Metropolis steps", None
    )
    r_hat: float | None = column("split-R-hat over walkers; 1 when they agree", "1", None)
    s2: float | None = column("expectation value of S^2", "1", None)
    s2_stderr: float | None = column("standard error of s2", "1", None)
    stein_z: float | None = column(
        "z-score of the sampling sentinel; 0 expected, |z| <= 4 sound", "1", None
    )
    acceptance: float | None = column("accepted fraction of the Metropolis moves", "1", None)
    evaluation_seed: int | None = column("seed of the evaluation", "1", None)
    evaluation_iterations: int | None = column("energies per walker in the evaluation", "1", None)
    method_version: str | None = column("version of the method's implementation", default=None)
    git_commit: str | None = column(
        "commit of the code; +dirty if it had local changes", default=None
    )
    package_versions: dict[str, Any] | None = column("versions of the packages used", default=None)
    device: str | None = column("device of the calculation", default=None)
    precision: str | None = column("float32 or float64", default=None)
    wall_s: float | None = column("wall time of the calculation", "s", None)
    created_utc: str | None = column("when the row was made", "ISO 8601, UTC", None)
    deviations: list[Any] | None = column(
        "where a row departs from the paper otherwise than in its settings (list)", default=None
    )
    schema_version: int = column("version of this schema", "1", SCHEMA_VERSION)
    details: Details = column("further quantities of the method", default=Details())

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
    def _decode(cls, value: Any) -> Any:
        """Decode JSON text; convert other values to what JSON can hold."""
        if not isinstance(value, str):
            return value if isinstance(value, Details) else plain(value)
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"the text {value!r} is not JSON ({error}).") from error

    @field_validator("details", mode="before")
    @classmethod
    def _no_details(cls, value: Any) -> Any:
        return Details() if value is None else value

    @model_validator(mode="after")
    def _check(self) -> "EnergyRow":
        vmc = self.method == "vmc"
        for name in ("ansatz", "config_hash", "seed") if vmc else ("basis",):
            if getattr(self, name) is None:
                raise ValueError(f"a row of method {self.method} needs a value for {name}.")
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
        if stderr is None:
            return "an energy from sampling needs its stderr." if self.method == "vmc" else None
        if not (math.isfinite(stderr) and stderr >= 0):
            return f"stderr must be finite and not negative, got {stderr}."
        return None

    @property
    def key(self) -> tuple[Any, ...]:
        """Identity of the row: its values of `KEY`."""
        return tuple(getattr(self, name) for name in KEY)

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
        return row(**{name: getattr(self, name) for name in COLUMN_NAMES} | changes)

    def stored(self) -> dict[str, Any]:
        """Return the values by column as files hold them, with composite values as JSON text."""
        values = {name: getattr(self, name) for name in COLUMN_NAMES}
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
    """Return how a column is stored: string, int, float or json (a value as JSON text)."""
    annotation = EnergyRow.model_fields[name].annotation
    kinds = {int: "int", float: "float", Details: "json", dict: "json", list: "json"}
    inner = next((a for a in get_args(annotation) if a is not NoneType), annotation)
    return kinds.get(get_origin(inner) or inner, "string")


def _column(name: str, info: FieldInfo) -> Column:
    unit = info.json_schema_extra["unit"] if isinstance(info.json_schema_extra, dict) else ""
    nullable = info.default is None or name == "details"
    return Column(name, _kind(name), str(unit), info.description or "", nullable)


COLUMNS = tuple(_column(name, info) for name, info in EnergyRow.model_fields.items())
COLUMN_NAMES: tuple[str, ...] = tuple(EnergyRow.model_fields)
UNIT_OF_COLUMN = {column.name: column.unit for column in COLUMNS}


def row(**fields: Any) -> EnergyRow:
    """Return a new row after checking it.

    Args:
        **fields: values by column name. NumPy scalars are converted; composite columns take their
            JSON text too.

    Raises:
        InputError: a column, status or method is unknown, a value is missing or has the wrong type,
            or the energy does not agree with the status.
    """
    return validate(EnergyRow, fields)


def grouped(rows: Iterable[EnergyRow], *names: str) -> dict[tuple[Any, ...], Rows]:
    """Group rows by their values of the columns `names`; groups and rows stay in order."""
    groups: dict[tuple[Any, ...], Rows] = {}
    for row in rows:
        groups.setdefault(tuple(getattr(row, name) for name in names), []).append(row)
    return groups


def distinct(rows: Iterable[EnergyRow], name: str) -> list[Any]:
    """Return the distinct values of a column that are not null, in order."""
    values = (getattr(row, name) for row in rows)
    return list(dict.fromkeys(value for value in values if value is not None))
