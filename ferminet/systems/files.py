"""Nuclei as input files list them: the xyz format and the `atoms:` of our YAML files."""

import re
from pathlib import Path

import numpy as np

from ferminet.errors import InputError
from ferminet.systems.checks import check_point, count_nuclei
from ferminet.systems.elements import normalise_symbol
from ferminet.systems.yaml import read_text

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


def read_xyz(path: str | Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Reads an xyz file: the number of nuclei, a comment, then `element x y z` per line.

    Args:
        path: the file; it must hold one geometry.

    Returns:
        Symbols (n_nuclei,) and coordinates (n_nuclei, 3) in the unit that the caller knows.

    Raises:
        InputError: the file is malformed; the sentence names file and line.
    """
    lines = read_text(path).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    first = lines[0].strip() if lines else ""
    if not re.fullmatch(r"\d{1,6}", first, re.ASCII):
        raise InputError(
            f"{path}:1: an xyz file starts with the number of nuclei, got {first[:40]!r}."
        )
    number = int(first)
    if number == 0 or len(lines) - 2 != number:
        raise InputError(
            f"{path}:1: the first line announces {count_nuclei(number)}, but "
            f"{max(len(lines) - 2, 0)} lines follow the comment line; an xyz file "
            "holds one geometry of at least one nucleus."
        )
    symbols, rows = [], []
    for line_number, line in enumerate(lines[2:], start=3):
        try:
            symbol, row = _xyz_line(line)
        except InputError as error:
            raise InputError(f"{path}:{line_number}: {error}") from error
        symbols.append(symbol)
        rows.append(row)
    return tuple(symbols), np.array(rows, dtype=np.float64)


def _xyz_line(line: str) -> tuple[str, list[float]]:
    words = line.split()
    if len(words) != 4:
        raise InputError(
            f"a line is `element x y z` (4 words), got {len(words)} words in {line[:60]!r}."
        )
    for column, word in enumerate(words[1:], start=2):
        if not _NUMBER.fullmatch(word):
            raise InputError(f"word {column} is a finite number such as -0.75, got {word[:40]!r}.")
    return normalise_symbol(words[0]), [float(word) for word in words[1:]]


def read_atoms(value: object) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the nuclei of a YAML `atoms:` list of `[element, [x, y, z]]`.

    Args:
        value: what the file says.

    Returns:
        Symbols (n_nuclei,) and coordinates (n_nuclei, 3) in the unit of the file.

    Raises:
        InputError: the list is missing, empty or malformed; the sentence names the nucleus.
    """
    if isinstance(value, str):
        raise InputError(f"atoms is {value!r}; list them as `atoms: [[Li, [0, 0, 0]], ...]`.")
    if not isinstance(value, list) or not value:
        raise InputError("there are no atoms; list them as `atoms: [[Li, [0, 0, 0]], ...]`.")
    symbols, rows = [], []
    for number, atom in enumerate(value, start=1):
        if not isinstance(atom, list) or len(atom) != 2:
            raise InputError(f"atom {number}: expected `[element, [x, y, z]]`, got {atom!r}.")
        try:
            symbols.append(normalise_symbol(atom[0]))
        except InputError as error:
            raise InputError(f"atom {number}: {error}") from error
        rows.append(check_point(f"atom {number}", atom[1]))
    return tuple(symbols), np.array(rows, dtype=np.float64)
