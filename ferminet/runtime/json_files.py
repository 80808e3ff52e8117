"""Small JSON files that somebody else may have written, read without trust."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

LIMIT_BYTES = 1_000_000

Record = TypeVar("Record")


def read_record(path: Path, kind: type[Record]) -> Record | None:
    """What a small file holds of a dataclass.

    Args:
        path: a JSON object with the class's attributes and no others.
        kind: the class; its attributes are texts, numbers and dictionaries of them.

    Returns:
        The record; None if there is no such file, it is larger than a megabyte, or it holds
        anything else.
    """
    found = _read_json(path)
    kinds = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # pyright: ignore[reportArgumentType]
    if not isinstance(found, dict) or found.keys() != set(names):
        return None
    if any(type(found[name]) is not (get_origin(kinds[name]) or kinds[name]) for name in names):
        return None
    return kind(**found)


def _read_json(path: Path) -> Any:
    try:
        with open(path, "rb") as stream:
            text = stream.read(LIMIT_BYTES + 1)
        return json.loads(text) if len(text) <= LIMIT_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None
