"""Files that are written whole or not at all, their hashes, and small JSON records."""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TypeVar

from ferminet.errors import InputError, ResourceError
from ferminet.runtime.processes import is_first

LARGEST_RECORD_BYTES = 1_000_000

Record = TypeVar("Record")


def check_output(path: Path) -> None:
    """Raise InputError if a path is a directory or a device, or lies below a file."""
    if path.is_dir():
        raise InputError(f"{path} is a directory; name a file.")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is a device or a pipe, which would be replaced; name a file.")
    parent = next(folder for folder in path.parents if folder.exists())
    if not parent.is_dir():
        raise InputError(f"{path} cannot be written, since {parent} is a file; name another path.")


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file atomically: write a sibling, fsync, rename, fsync the directory.

    Of several processes only the first writes. After an error, either the old file or the new one
    is there, complete.
    """
    sibling = path.with_name(f".{path.name}.{os.getpid()}.part")
    check_output(path)
    if not is_first():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(sibling, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(sibling, path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        with contextlib.suppress(OSError):
            sibling.unlink(missing_ok=True)
        raise ResourceError(
            f"Cannot write {path}: {error.strerror}; no file is half-written. Free space or choose "
            "another directory and run the same command again."
        ) from error


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"{path} is not a file; name one that exists.") from error
    except OSError as error:
        raise ResourceError(f"Cannot read {path}: {error.strerror}.") from error


def read_record(path: Path, kind: type[Record]) -> Record | None:
    """Read a dataclass of texts, numbers and dictionaries from a JSON file.

    None if the file is missing, half-written, larger than a megabyte, or holds anything else.
    """
    from pydantic import TypeAdapter  # `ferminet --help` must start at once

    try:
        with open(path, "rb") as stream:
            text = stream.read(LARGEST_RECORD_BYTES)
        return TypeAdapter(kind).validate_json(text, strict=True, extra="forbid")
    except (OSError, ValueError, RecursionError):
        return None
