"""The training history next to the checkpoints: one line of CSV per iteration.

The training of a curve has one history per geometry, with the label in the file's name.

Lines are appended before each checkpoint, and a resumed run first cuts the history back to its
checkpoint, so the history has neither gaps nor duplicates.
"""

import csv
import os
from pathlib import Path

import numpy as np

from ferminet.config.layout import history_name
from ferminet.errors import CorruptError, ResourceError
from ferminet.runtime.files import write_bytes
from ferminet.runtime.processes import is_first
from ferminet.vmc.train import IterationInfo

COLUMNS = ("iteration", *IterationInfo._fields)
UNITS = {"energy": "hartree", "variance": "hartree^2", "step_size": "bohr"}
_START_AFRESH = "put the file back, or remove its directory to start afresh."


def history_path(directory: Path, geometry: str = "") -> Path:
    """Return the path of the history in a checkpoint directory, or of a geometry of a curve."""
    return directory / history_name(geometry)


def append_history(path: Path, rows: list[tuple[float, ...]]) -> None:
    """Append rows and flush them to the disk; a new file gets its header."""
    if not is_first():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with open(path, "a", newline="") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(COLUMNS)
            writer.writerows((int(row[0]), *map(repr, row[1:])) for row in rows)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise ResourceError(
            f"Cannot write {path}: {error.strerror}; the last checkpoint is intact. Free space and "
            "run the same command again."
        ) from error


def truncate_history(path: Path, iteration: int) -> None:
    """Keep the rows of the iterations before `iteration`, replacing the file atomically.

    Raises:
        CorruptError: the history is damaged, or one of these iterations is missing or repeated.
    """
    if iteration == 0 and not path.exists():
        return
    kept = [line for line in _lines(path) if _is_before(line, iteration)]
    n_rows = len(_values(path, kept))
    if n_rows != iteration:
        raise CorruptError(
            f"{path} has {n_rows} of the {iteration} iterations before the checkpoint; "
            f"{_START_AFRESH}"
        )
    write_bytes(path, ("\n".join([",".join(COLUMNS), *kept]) + "\n").encode())


def _is_before(line: str, iteration: int) -> bool:
    first, _, rest = line.partition(",")
    is_whole = rest.count(",") == len(COLUMNS) - 2
    return is_whole and first.isdecimal() and int(first) < iteration


def read_history(path: Path, total: int | None = None) -> dict[str, np.ndarray]:
    """Return the columns by name, all float64 except the iteration.

    Raises:
        CorruptError: iterations are missing or repeated, a value is not a number, or the history
            does not have `total` iterations.
    """
    values = _values(path, _lines(path)[1:])
    if total not in (None, len(values)):
        raise CorruptError(
            f"The history in {path.parent} has {len(values)} of {total} iterations; it was altered "
            "afterwards. Remove the directory to start afresh."
        )
    columns: dict[str, np.ndarray] = dict(zip(COLUMNS, values.T, strict=True))
    return {**columns, "iteration": values[:, 0].astype(np.int64)}


def _lines(path: Path) -> list[str]:
    """Return the lines of a file, or none if it does not exist."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise CorruptError(f"{path} is damaged; {_START_AFRESH}") from error
    except OSError as error:
        raise ResourceError(f"Cannot read {path}: {error.strerror}; try again.") from error


def _values(path: Path, lines: list[str]) -> np.ndarray:
    """Return the values (n_lines, n_columns) of iterations 0, 1, ..."""
    try:
        values = np.array([[float(cell) for cell in line.split(",")] for line in lines], np.float64)
        values = values.reshape(len(lines), len(COLUMNS))
    except ValueError as error:
        raise CorruptError(f"{path} is damaged; {_START_AFRESH}") from error
    if not np.array_equal(values[:, 0], np.arange(len(lines))):
        raise CorruptError(f"{path} has gaps or duplicates; {_START_AFRESH}")
    return values
