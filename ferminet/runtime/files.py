"""Files written whole or not at all, and their hashes."""

import contextlib
import hashlib
import os
from pathlib import Path

from ferminet.errors import InputError, ResourceError
from ferminet.runtime.processes import is_first


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces a file at once: sibling, fsync, rename, fsync of the directory.

    Of several processes the first does it.

    Raises:
        InputError: the path is a directory.
        ResourceError: the disk is full, read-only or over quota; the old file or the new one is
            there, whole.
    """
    sibling = path.with_name(f".{path.name}.{os.getpid()}.part")
    if path.is_dir():
        raise InputError(f"{path} is a directory; name a file.")
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
    """SHA-256 of a file's bytes.

    Raises:
        InputError: there is no such file.
        ResourceError: it cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"{path} is not a file; name one that exists.") from error
    except OSError as error:
        raise ResourceError(f"Cannot read {path}: {error.strerror}.") from error
