"""What one row of results is: its columns with type, unit and meaning, and its validation.

One row is one energy of one method for one geometry. The columns in `KEY` identify it. The energy
is null where there is none to report (`not_converged`, `failed`); a number that is not one must not
travel. Energies are in hartree, lengths in bohr, as everywhere inside the package.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ferminet.errors import InputError
from ferminet.methods import ENERGY_LABELS

SCHEMA_VERSION = 1

Row = dict[str, Any]
Rows = list[Row]

METHODS = (*ENERGY_LABELS, "vmc")
REFERENCES = ("rhf", "uhf", "rohf")
STATUSES = ("complete", "unfinished", "not_converged", "failed", "suspicious")
STATUSES_WITHOUT_ENERGY = ("not_converged", "failed")

KEY = (
    "study", "system", "geometry", "method", "reference", "ansatz", "basis", "config_hash", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column of the rows.

    Attributes:
        name: name in Parquet and in pandas.
        type: `string`, `int`, `float` or `json` (a value stored as JSON text).
        unit: unit of the numbers; empty for text, `1` for pure numbers.
        description: meaning, one phrase.
        required: whether the value may not be null.
    """

    name: str
    type: str
    unit: str
    description: str
    required: bool = False


COLUMNS: tuple[Column, ...] = (
    Column("study", "string", "", "stem of the study's configuration file", True),
    Column("system", "string", "", "name of the system, e.g. LiH", True),
    Column("geometry", "string", "", "label of the geometry: eq, r2.0680, a90", True),
    Column("method", "string", "", f"{', '.join(METHODS[:-1])} or vmc", True),
    Column("reference", "string", "", "rhf, uhf, rohf, or null where none applies"),
    Column("ansatz", "string", "", "name of the wavefunction in the study, vmc only"),
    Column("basis", "string", "", "basis set, cbs-PROTOCOL for its limit; null for vmc"),
    Column("config_hash", "string", "", "hash of all settings that change a training's trajectory"),
    Column("seed", "int", "1", "training seed, vmc only"),
    Column("parameter", "float", "parameter_unit", "value of the curve's parameter"),
    Column("parameter_name", "string", "", "name of the curve's parameter"),
    Column("parameter_unit", "string", "", "unit of the curve's parameter"),
    Column("energy", "float", "hartree", "total energy with nuclear repulsion"),
    Column(
        "stderr",
        "float",
        "hartree",
        "standard error; uncertainty of a limit; else null",
    ),
    Column("status", "string", "", "complete, unfinished, not_converged, failed, suspicious", True),
    Column("n_electrons", "int", "1", "number of electrons", True),
    Column("unpaired_electrons", "int", "1", "spin-up minus spin-down electrons", True),
    Column("walkers", "int", "1", "number of Metropolis walkers in the evaluation"),
    Column("iterations", "int", "1", "training iterations done"),
    Column("parameters", "int", "1", "number of parameters of the wavefunction"),
    Column("variance", "float", "hartree^2", "variance of the local energy"),
    Column("tau", "float", "Metropolis steps", "integrated autocorrelation time of the energy"),
    Column("r_hat", "float", "1", "split-R-hat over walkers; 1 when they agree"),
    Column("s2", "float", "1", "expectation value of S^2"),
    Column("s2_stderr", "float", "1", "standard error of s2"),
    Column("stein_z", "float", "1", "z-score of the sampling sentinel; 0 expected, |z| <= 4 sound"),
    Column("acceptance", "float", "1", "accepted fraction of the Metropolis moves"),
    Column("evaluation_seed", "int", "1", "seed of the evaluation"),
    Column("evaluation_iterations", "int", "1", "energies per walker in the evaluation"),
    Column("method_version", "string", "", "version of the method's implementation"),
    Column("git_commit", "string", "", "commit of the code; +dirty if it had local changes"),
    Column("package_versions", "json", "", "versions of the packages used"),
    Column("device", "string", "", "device of the calculation"),
    Column("precision", "string", "", "float32 or float64"),
    Column("wall_s", "float", "s", "wall time of the calculation"),
    Column("created_utc", "string", "ISO 8601, UTC", "when the row was made"),
    Column("deviations", "json", "", "where a row departs from the paper's settings (list)"),
    Column("schema_version", "int", "1", "version of this schema", True),
    Column("details", "json", "", "further quantities of the method"),
)
UNIT_OF_COLUMN = {column.name: column.unit for column in COLUMNS}
COLUMN_NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)

_LARGEST_ENERGY = 1e6  # hartree; more than thirty atoms of uranium
_REQUIRED_BY_METHOD = {
    **dict.fromkeys(METHODS, ("basis",)),
    "vmc": ("ansatz", "config_hash", "seed"),
}


def row(**fields: Any) -> Row:
    """Checks one row and completes it with nulls and the schema's version.

    Args:
        **fields: values by column name. NumPy scalars are converted; JSON columns take any value
            that JSON can hold (a value that is not finite becomes null there) or its JSON text.

    Returns:
        A dictionary with every column in the order of `COLUMNS`, holding plain Python values.

    Raises:
        InputError: an unknown column, a wrong type, an unknown status or method, a missing value,
            or an energy that does not agree with the status.
    """
    for name in fields:
        if name not in COLUMN_NAMES:
            near = get_close_matches(name, COLUMN_NAMES, n=1)
            hint = f"did you mean {near[0]}?" if near else "extras belong into details."
            raise InputError(f"A row has no column {name!r}; {hint}")
    filled = {"schema_version": SCHEMA_VERSION} | fields
    result = {column.name: _convert(column, filled.get(column.name)) for column in COLUMNS}
    _check_choices(result)
    _check_energy(result)
    return result


def row_key(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """Returns the identity of a row that `row` made: its values of `KEY`."""
    return tuple(values[name] for name in KEY)


def describe_key(key: tuple[Any, ...]) -> str:
    """Writes a key as a reader names it, e.g. `quickstart/LiH/eq/vmc/ferminet/1a2b3c4d/seed 1`."""
    parts = [str(value) for value in key[:-1] if value is not None]
    return "/".join(parts if key[-1] is None else [*parts, f"seed {key[-1]}"])


def grouped(rows: Iterable[Row], *names: str) -> dict[tuple[Any, ...], Rows]:
    """Returns rows by their values of the columns `names`, groups and rows in the order met."""
    groups: dict[tuple[Any, ...], Rows] = {}
    for one in rows:
        groups.setdefault(tuple(one[name] for name in names), []).append(one)
    return groups


def distinct(rows: Iterable[Row], name: str) -> list[Any]:
    """Returns the distinct values of a column that are not null, in the order met."""
    return list(dict.fromkeys(one[name] for one in rows if one[name] is not None))


def _convert(column: Column, value: Any) -> Any:
    """Returns `value` as the plain Python type of `column`; NaN and pandas.NA become None."""
    if column.type in ("int", "float") and hasattr(value, "item"):  # scalars of NumPy and JAX
        value = value.item()
    # pandas.NA has no truth value, not even when compared; its type is enough to know it.
    if type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value)):
        value = None
    if value is None:
        if column.required:
            raise InputError(f"A row needs a value for {column.name} ({column.description}).")
        return None
    if column.type == "json":
        return _checked_json(column, value) if isinstance(value, str) else encode_json(value)
    if column.type == "string":
        if isinstance(value, str) and value:
            return value
        raise InputError(f"Column {column.name} holds text that is not empty, got {value!r}.")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"Column {column.name} holds a number, got {value!r}.")
    if column.type == "float":
        return float(value)
    if isinstance(value, float) and not value.is_integer():  # infinity is no integer either
        raise InputError(f"Column {column.name} holds a whole number, got {value!r}.")
    return int(value)


def _checked_json(column: Column, text: str) -> str:
    try:
        json.loads(text)
    except ValueError as error:
        raise InputError(f"Column {column.name} holds JSON, got {text!r}.") from error
    return text


def encode_json(value: Any) -> str:
    """Writes a value as JSON with sorted keys; NumPy values are converted, non-finite is null."""
    return json.dumps(_plain(value), sort_keys=True, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in (sorted(value) if isinstance(value, set) else value)]
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy and JAX
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    raise InputError(f"JSON cannot hold {value!r} of type {type(value).__name__}.")


def _check_choices(values: Mapping[str, Any]) -> None:
    for name, allowed in (("method", METHODS), ("reference", REFERENCES), ("status", STATUSES)):
        if values[name] is not None and values[name] not in allowed:
            raise InputError(f"Column {name} is one of {', '.join(allowed)}, got {values[name]!r}.")
    for name in _REQUIRED_BY_METHOD[values["method"]]:
        if values[name] is None:
            raise InputError(f"A row of method {values['method']} needs a value for {name}.")


def _check_energy(values: Mapping[str, Any]) -> None:
    who = describe_key(row_key(values))
    energy, stderr, status = values["energy"], values["stderr"], values["status"]
    if status in STATUSES_WITHOUT_ENERGY:
        if energy is not None or stderr is not None:
            raise InputError(f"{who}: a row that is {status} has no energy and no stderr.")
        return
    if energy is None or not math.isfinite(energy):
        raise InputError(f"{who}: a row that is {status} needs a finite energy, got {energy}.")
    if abs(energy) > _LARGEST_ENERGY:
        raise InputError(
            f"{who}: {energy:g} hartree is the energy of no atom or molecule; at most "
            f"{_LARGEST_ENERGY:g} in size is allowed."
        )
    if values["method"] == "vmc" and stderr is None:
        raise InputError(f"{who}: an energy from sampling needs its stderr.")
    if stderr is not None and not (math.isfinite(stderr) and stderr >= 0):
        raise InputError(f"{who}: stderr is finite and not negative, got {stderr}.")
