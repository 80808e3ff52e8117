"""CSV and HDF5 files of other codes, which may be growing, cut off, or something else altogether.

Nothing here runs code from a file: no pickle is loaded.
"""

import contextlib
import hashlib
import io
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd

from ferminet.errors import InputError, ResourceError

MOST_BYTES = 2**31  # of a text file; a line of 100 bytes for each of twenty million iterations
MOST_VALUES = 10**8  # of an array that is read at once
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_PROBE_S = 30.0
_PROBE = """\
import h5py, sys
def look(name, item):
    if isinstance(item, h5py.Dataset) and item.shape:
        item[-1:]
with h5py.File(sys.argv[1], "r", swmr=True) as file:
    file.visititems(look)
"""
_GROWING = "if the run has just begun or is still writing it, wait and import again."


class Columns(NamedTuple):
    """Columns of numbers by name, (n,) each, and the SHA-256 of the bytes they were read from."""

    values: dict[str, np.ndarray]
    sha256: str


def read_bytes(path: Path) -> bytes:
    """Return the content of a file that is neither missing, empty nor huge."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(f"{path} has {size} bytes, at most {MOST_BYTES} are read; shorten it.")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    if not data:
        raise InputError(f"{path} is empty; {_GROWING}")
    return data


def read_csv(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Columns:
    """Read columns of numbers; a last line without its end, which is being written, is left out.

    Raises:
        InputError: the file is missing, empty, huge, no such table, or lacks a required column.
    """
    data = read_bytes(path)
    whole = data[: data.rfind(b"\n") + 1]
    widths = [line.count(b",") + 1 for line in whole.splitlines()]
    if odd := [number for number, width in enumerate(widths, 1) if width != widths[0]]:
        raise InputError(
            f"{path}: line {odd[0]} has {widths[odd[0] - 1]} columns, the first one {widths[0]}; "
            "restore the file."
        )
    wanted = {*required, *optional}
    try:
        frame = pd.read_csv(
            io.BytesIO(whole), usecols=lambda name: name in wanted, dtype=np.float64
        )
    except ValueError as error:  # pandas' and Unicode's errors too
        reason = " ".join(str(error).split()).rstrip(".")[:160]
        raise InputError(f"{path} is not a table of numbers ({reason}); {_GROWING}") from error
    if missing := [name for name in required if name not in frame]:
        raise InputError(
            f"{path} has no column {missing[0]!r}; the code writes {', '.join(required)}, so this "
            "is another file or another version."
        )
    columns = {name: frame[name].to_numpy(np.float64) for name in frame}
    return Columns(columns, hashlib.sha256(whole).hexdigest())


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, also while its code writes it in SWMR mode or was killed then.

    Raises:
        InputError: it is missing, empty, no HDF5, or cannot be read to the end.
        ResourceError: its writer has locked it.
    """
    try:
        with open(path, "rb") as stream:
            head = stream.read(len(_SIGNATURE))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    if not head:
        raise InputError(f"{path} is empty; {_GROWING}")
    if not head.strip(b"\0"):
        raise InputError(
            f"{path} is incomplete: being written, and without its header so far; import it when "
            "the run has ended."
        )
    if head != _SIGNATURE:
        raise InputError(f"{path} is not an HDF5 file; name the folder that the code wrote.")
    try:
        with _open(path) as file:
            yield file
    except BlockingIOError as error:
        raise ResourceError(
            f"{path} is locked by the process that writes it; import it when that has ended."
        ) from error
    except (OSError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"{path} is incomplete: being written, or cut off ({reason[:160]}); import it when the "
            "run has ended."
        ) from error


def _open(path: Path) -> h5py.File:
    """Open a file, in SWMR mode if its writer uses that or was killed then.

    In that mode HDF5 tries again for hours to read what is damaged, so another process tries first.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "already open for write" not in str(error):
            raise
    command = [sys.executable, "-c", _PROBE, str(path)]
    try:
        subprocess.run(command, check=True, timeout=_PROBE_S, capture_output=True)
    except subprocess.SubprocessError as error:
        raise OSError("not readable in SWMR mode") from error
    return h5py.File(path, "r", swmr=True)


def dataset(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Return an array of real numbers by its path in the file; None if there is none.

    Raises:
        InputError: it is no array of real numbers, or has more values than are read.
    """
    found: Any = file.get(name)
    if found is None:
        return None
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "fiu" or not found.shape:
        raise InputError(f"{file.filename}: {name} is no array of real numbers; {_GROWING}")
    if found.ndim == 1 and len(found) > MOST_VALUES:
        raise InputError(
            f"{file.filename}: {name} has {len(found)} values, at most {MOST_VALUES} are read."
        )
    return found
