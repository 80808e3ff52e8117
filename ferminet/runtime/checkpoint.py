"""Checkpoints and other arrays on disk: safetensors with a JSON header, never pickle.

A file is written under a temporary name, flushed to the disk and renamed, so that a kill at any
moment leaves the old file or the new one, whole. The header holds a SHA-256 over all arrays, which
is checked on reading. Files are ordered by the iteration in their name, never by their time.
"""

import hashlib
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as safetensors_load
from safetensors.numpy import save as safetensors_save

from ferminet.errors import CorruptError, InputError, ResourceError
from ferminet.runtime.files import write_bytes
from ferminet.runtime.processes import is_first

FORMAT = "ferminet-arrays-1"
KEEP = 2
# More than the state of any network that one machine can train.
LARGEST_BYTES = 2**35
_LARGEST_METADATA_BYTES = 100_000_000  # the limit of safetensors
_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")

Arrays = dict[str, np.ndarray]


def _digest(arrays: Arrays, header: str) -> str:
    """Return a SHA-256 over the header and the arrays' names, types, shapes and bytes."""
    sha = hashlib.sha256(header.encode())
    for name in sorted(arrays):
        array = arrays[name]
        sha.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def save_arrays(path: Path, arrays: Arrays, header: dict[str, Any]) -> None:
    """Replace a file atomically by named arrays and a header."""
    # Not np.ascontiguousarray, which turns the shape () into (1,).
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    text = json.dumps(header, sort_keys=True)
    metadata = {"format": FORMAT, "header": text, "sha256": _digest(arrays, text)}
    # safetensors writes its metadata in no fixed order, so equal files may differ in their bytes.
    write_bytes(path, safetensors_save(arrays, metadata=metadata))


def load_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Read a file of `save_arrays`.

    Raises:
        InputError: the file does not exist.
        ResourceError: it cannot be read now.
        CorruptError: it is truncated, altered or of another format.
    """
    data = _read(path)
    try:
        arrays = safetensors_load(data)
        metadata = _metadata(io.BytesIO(data))
        text = metadata.get("header", "{}")
        header = _object(text)
        if metadata.get("format") != FORMAT:
            raise ValueError("it was not written by this package")
        if _digest(arrays, text) != metadata.get("sha256"):
            raise ValueError("its SHA-256 does not match")
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptError(
            f"{path} is damaged, or not a file of this package ({error}); run the stage "
            "that writes it again, or name another file."
        ) from error
    return arrays, header


def _read(path: Path) -> bytes:
    # Read, not mapped into memory: then a truncated file or a bad disk raises an error instead of
    # ending the process with a signal.
    if path.is_dir():
        raise InputError(f"{path} is a directory; name a file in it.")
    try:
        with open(path, "rb") as stream:
            n_bytes = os.fstat(stream.fileno()).st_size
            if n_bytes <= LARGEST_BYTES:
                return stream.read(n_bytes)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; run the stage that writes it.") from error
    except OSError as error:
        raise ResourceError(
            f"Cannot read {path}: {error.strerror}; run the same command again. If the error "
            "persists and this is a checkpoint, remove it; the run resumes from the one before."
        ) from error
    raise ResourceError(
        f"{path} has {n_bytes} bytes, more than the {LARGEST_BYTES} allowed; it is not a file of "
        "this package."
    )


def _metadata(stream: BinaryIO) -> dict[str, str]:
    """Return the metadata of a safetensors file; a ValueError if it is not such a file."""
    n_bytes = int.from_bytes(stream.read(8), "little")
    if n_bytes > _LARGEST_METADATA_BYTES:
        raise ValueError("its header is too long")
    return _object(stream.read(n_bytes)).get("__metadata__") or {}


def _object(text: str | bytes) -> dict[str, Any]:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("its header is not a JSON object")
    return content


def read_header(path: Path) -> dict[str, Any] | None:
    """Read only the JSON header; None if the file is missing, unreadable or being replaced."""
    try:
        with open(path, "rb") as stream:
            return _object(_metadata(stream).get("header", ""))
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return None


def checkpoint_path(directory: Path, iteration: int) -> Path:
    """Return the file of an iteration; with twelve digits, names sort like numbers."""
    return directory / f"checkpoint-{iteration:012d}.safetensors"


def list_checkpoints(directory: Path) -> list[tuple[int, Path]]:
    """Return (iteration, file) of all checkpoints, the newest first."""
    paths = directory.iterdir() if directory.is_dir() else ()
    matches = ((_NAME.fullmatch(path.name), path) for path in paths)
    return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)


def save_checkpoint(
    directory: Path, iteration: int, arrays: Arrays, header: dict[str, Any]
) -> None:
    """Write a checkpoint; remove all but the newest two, and what killed writers left behind."""
    header = {**header, "iteration": iteration}
    save_arrays(checkpoint_path(directory, iteration), arrays, header)
    if not is_first():
        return
    for leftover in directory.glob(".checkpoint-*.part"):
        leftover.unlink(missing_ok=True)
    for _, path in list_checkpoints(directory)[KEEP:]:
        path.unlink(missing_ok=True)


def load_newest_checkpoint(
    directory: Path, config_hash: str, settings: dict[str, Any] | None = None
) -> tuple[Arrays, dict[str, Any]] | None:
    """Load the newest intact checkpoint; set corrupt ones aside with the suffix .corrupt.

    Returns:
        Arrays and header, or None if there is no checkpoint.

    Raises:
        InputError: the checkpoint has another hash; the differing settings are named.
        CorruptError: no checkpoint can be read; a run never silently starts afresh.
    """
    problems: dict[Path, str] = {}
    for iteration, path in list_checkpoints(directory):
        try:
            arrays, header = load_arrays(path)
            if header.get("iteration") != iteration:
                raise CorruptError(f"{path} holds iteration {header.get('iteration')}.")
        except CorruptError as error:
            problems[path] = str(error)
            continue
        if header.get("config_hash") != config_hash:
            differing = settings_difference(header.get("settings"), settings)
            raise InputError(
                f"{directory} holds a run with the configuration {header.get('config_hash')}, not "
                f"{config_hash}{differing}; give another checkpoint directory or remove this one."
            )
        # Only now: without an intact checkpoint, the next attempt must find and refuse these too.
        for broken in problems if is_first() else ():
            os.replace(broken, broken.with_name(broken.name + ".corrupt"))
        return arrays, {**header, "set_aside": list(problems.values())}
    if problems:
        first = next(iter(problems.values()))
        raise CorruptError(
            f"No checkpoint in {directory} can be read ({first.partition('; ')[0]}); remove "
            "the directory to start afresh."
        )
    return None


def settings_difference(stored: dict[str, Any] | None, current: dict[str, Any] | None) -> str:
    """Return the settings that differ, as `; key was a, now b`; empty if they are unknown."""
    if not stored or not current:
        return ""
    old, new = dict(_flatten(stored)), dict(_flatten(current))
    names = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    return "".join(f"; {name[1:]} was {old.get(name)}, now {new.get(name)}" for name in names[:5])


def _flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested settings as dotted names, with a dot before, and values as JSON."""
    if not isinstance(value, dict):
        yield name, json.dumps(value, sort_keys=True)
        return
    for key, inner in value.items():
        yield from _flatten(inner, f"{name}.{key}")
