"""Rows and training histories in Parquet: the only module that knows Arrow.

Files are replaced atomically, so every file is complete. Columns carry their unit and meaning as
field metadata; the footer carries the schema's version.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ferminet.benchmark.schema import COLUMN_NAMES, COLUMNS, SCHEMA_VERSION, EnergyRow, Rows
from ferminet.benchmark.schema import row as make_row
from ferminet.errors import CorruptError, InputError
from ferminet.runtime.files import write_bytes

_VERSION_FIELD = b"ferminet_schema_version"
_KIND_FIELD = b"ferminet_table"
_ARROW_TYPES = {
    "string": pa.string(), "json": pa.string(), "int": pa.int64(), "float": pa.float64(),
}  # fmt: skip


def _metadata(kind: bytes) -> dict[bytes, bytes]:
    return {_VERSION_FIELD: str(SCHEMA_VERSION).encode(), _KIND_FIELD: kind}


_ROW_SCHEMA = pa.schema(
    [
        pa.field(
            column.name,
            _ARROW_TYPES[column.kind],
            nullable=column.nullable,
            metadata={"unit": column.unit, "description": column.description},
        )
        for column in COLUMNS
    ],
    metadata=_metadata(b"energies"),
)


def write_rows(path: str | Path, rows: Iterable[EnergyRow]) -> None:
    """Write rows of energies with different keys, atomically; make the folder if necessary."""
    rows = list(rows)
    _refuse_duplicates((row, str(path)) for row in rows)
    values = [row.stored() for row in rows]
    _write_parquet(Path(path), pa.Table.from_pylist(values, schema=_ROW_SCHEMA))


def read_rows(paths: str | Path | Sequence[str | Path]) -> Rows:
    """Read rows of energies from one file or many, in the given order.

    Raises:
        InputError: a file is missing, is no file of energies, has a newer schema or an unknown
            column, or two rows have the same key.
        CorruptError: a file cannot be read as Parquet or its rows break the schema.
    """
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    rows = [(row, str(path)) for path in files for row in _read_rows_of(path)]
    _refuse_duplicates(rows)
    return [row for row, _ in rows]


def write_table(
    path: str | Path,
    columns: Mapping[str, Any] | pd.DataFrame,
    units: Mapping[str, str] | None = None,
) -> None:
    """Write columns (n,) with their units (a training history, a table), atomically.

    A column without a unit is a pure number or text. A missing folder is made.
    """
    units = units or {}
    arrays, fields = [], []
    for name, values in columns.items():
        from_pandas = isinstance(columns, pd.DataFrame)
        plain = values if from_pandas or isinstance(values, list) else np.asarray(values)
        arrays.append(pa.array(plain, from_pandas=from_pandas))
        unit = {"unit": units.get(str(name), "")}
        fields.append(pa.field(str(name), arrays[-1].type, metadata=unit))
    if unknown := [name for name in units if name not in columns]:
        raise InputError(f"{path}: there is a unit for {unknown[0]!r}, which is not a column.")
    if len(set(map(len, arrays))) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in columns.items())
        raise InputError(f"{path}: the columns of a table must have equal lengths, got {lengths}.")
    schema = pa.schema(fields, metadata=_metadata(b"table"))
    _write_parquet(Path(path), pa.Table.from_arrays(arrays, schema=schema))


def read_table(path: str | Path, required: Sequence[str] = ()) -> pd.DataFrame:
    """Read what `write_table` wrote; `frame.attrs["units"]` has the units by column name.

    Raises:
        InputError: the file is missing, is no such table, or has a newer schema.
        CorruptError: the file cannot be read as Parquet, or has not all required columns.
    """
    table = _read_parquet(Path(path), b"table")
    _require_columns(table, path, required)
    frame = table.to_pandas()
    frame.attrs["units"] = {
        field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in table.schema
    }
    return frame


def _require_columns(table: pa.Table, path: str | Path, names: Sequence[str]) -> None:
    if missing := [name for name in names if name not in table.column_names]:
        raise CorruptError(f"{path} does not have the column {missing[0]!r}; make it again.")


def _read_rows_of(path: Path) -> Rows:
    table = _read_parquet(path, b"energies")
    if unknown := [name for name in table.column_names if name not in COLUMN_NAMES]:
        raise InputError(
            f"{path} has the unknown column {unknown[0]!r}; write the file anew with this version."
        )
    _require_columns(table, path, COLUMN_NAMES)
    try:
        records = table.select(list(COLUMN_NAMES)).cast(_ROW_SCHEMA).to_pylist()
        return [make_row(**record) for record in records]
    except (pa.ArrowException, ValueError, InputError) as error:
        raise CorruptError(f"{path} does not hold valid rows ({error}); make it again.") from error


def _read_parquet(path: Path, kind: bytes) -> pa.Table:
    """Read a Parquet file; its footer must state this kind and a readable version."""
    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file; give a Parquet file.")
    try:
        # A ParquetFile, not read_table: no Hive columns from folder names like `x=1`.
        with pq.ParquetFile(path) as file:
            table = file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise CorruptError(
            f"{path} is not an intact Parquet file ({reason}); make it again."
        ) from error
    metadata = table.schema.metadata or {}
    if metadata.get(_KIND_FIELD) != kind:
        names = {b"energies": "a file of energies", b"table": "a table or a training history"}
        raise InputError(f"{path} is not {names[kind]} written by this package.")
    version = metadata.get(_VERSION_FIELD, b"")
    if not version.isdigit():
        raise CorruptError(f"{path} does not state the version of its schema; make it again.")
    if int(version) > SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {int(version)}, this package reads versions up to "
            f"{SCHEMA_VERSION}; update the package."
        )
    return table


def _refuse_duplicates(rows: Iterable[tuple[EnergyRow, str]]) -> None:
    """Refuse two rows with the same key; each row comes with the name of its file."""
    seen: dict[tuple[Any, ...], str] = {}
    for row, file in rows:
        if row.key in seen:
            files = " and ".join(dict.fromkeys([seen[row.key], file]))
            raise InputError(
                f"Two rows have the same key {row.label} (in {files}); keep one of them."
            )
        seen[row.key] = file


def _write_parquet(path: Path, table: pa.Table) -> None:
    """Serialise a table and replace the file atomically."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_statistics=False)
    write_bytes(path, sink.getvalue().to_pybytes())
