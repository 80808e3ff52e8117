"""The training history beside the checkpoints: one line of CSV per iteration.

It is appended before each checkpoint and cut back to the checkpoint on resuming, so that a resumed
run's history has neither gaps nor duplicates.
"""

import csv
import os
from pathlib import Path

import numpy as np

from ferminet.checkpoint import write_bytes
from ferminet.errors import CorruptError, ResourceError
from ferminet.processes import is_first
from ferminet.vmc.programs import IterationInfo

COLUMNS = ("iteration", *IterationInfo._fields)
UNITS = {"energy": "hartree", "variance": "hartree^2", "step_size": "bohr"}

Rows = list[tuple[float, ...]]


def history_path(directory: Path) -> Path:
    """The history's file in a checkpoint directory."""
    return directory / "history.csv"


def append_history(directory: Path, rows: Rows) -> None:
    """Adds rows and flushes them to the disk; the file gets its header when it is new."""
    if not is_first():
        return
    path = history_path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
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


def cut_history(directory: Path, iteration: int) -> None:
    """Keeps the rows of the iterations before ``iteration``, replacing the file at once."""
    path = history_path(directory)
    if not path.exists():
        return
    kept = [line for line in path.read_text().splitlines() if _before(line, iteration)]
    write_bytes(path, ("\n".join([",".join(COLUMNS), *kept]) + "\n").encode())


def _before(line: str, iteration: int) -> bool:
    first, _, rest = line.partition(",")
    whole = rest.count(",") == len(COLUMNS) - 2
    return whole and first.isdecimal() and int(first) < iteration


def read_history(directory: Path) -> dict[str, np.ndarray]:
    """Columns by name, float64 but for the iteration.

    Raises:
        CorruptError: iterations are missing or doubled.
    """
    path = history_path(directory)
    lines = path.read_text().splitlines()[1:] if path.exists() else []
    values = np.array([[float(cell) for cell in line.split(",")] for line in lines], np.float64)
    values = values.reshape(len(lines), len(COLUMNS))
    if not np.array_equal(values[:, 0], np.arange(len(lines))):
        raise CorruptError(f"{path} has gaps or duplicates; remove its directory to start afresh.")
    columns: dict[str, np.ndarray] = {name: values[:, index] for index, name in enumerate(COLUMNS)}
    columns["iteration"] = values[:, 0].astype(np.int64)
    return columns


def refuse_lost_checkpoints(directory: Path) -> None:
    """Refuses to begin where a history tells of a run whose checkpoints are gone.

    The first checkpoint is written before the first line of the history.

    Raises:
        CorruptError: there are iterations in the history.
    """
    n_iterations = len(read_history(directory)["iteration"])
    if n_iterations:
        raise CorruptError(
            f"{directory} holds a history of {n_iterations} iterations and no checkpoint; put the "
            "checkpoints back, or remove the directory to start afresh."
        )
