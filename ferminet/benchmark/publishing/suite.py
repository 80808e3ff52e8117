"""A suite of published rows on disk: written whole or not at all, read with all hashes recomputed.

``results/published/SUITE`` holds ``energies.parquet``; the resolved configuration of each run, its
file named by its hash; thinned training histories; and ``manifest.json``, which follows from them.
"""

import contextlib
import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ferminet.benchmark.diagnostics import details
from ferminet.benchmark.publishing import rows as published
from ferminet.benchmark.records import as_rows, read_rows, read_table, write_rows, write_table
from ferminet.benchmark.schema import Row, Rows
from ferminet.config import layout, stored_hash
from ferminet.config.resolved import digest
from ferminet.errors import CorruptError, FermiNetError, InputError, ResourceError
from ferminet.runtime.files import file_sha256, write_bytes

FORMAT = "ferminet-published-1"
# Of the SHA-256 of a configuration's text, so many digits are the name of its file.
_NAME_DIGITS = 16
# The manifest's own SHA-256, so that a changed hash in it is not taken for a changed file.
_SEAL = "seal"
_FILES = (layout.PUBLISHED_ENERGIES, layout.PUBLISHED_HISTORIES, layout.MANIFEST)


class Suite(NamedTuple):
    """What is published under one name: rows, and histories as `published.thinned` makes them."""

    rows: Rows
    histories: pd.DataFrame


def run_files(one: Row) -> dict[str, str]:
    """The paths of a row's run by the stage that writes them, seen from the working directory."""
    content = details(one)[published.CONFIGURATION]
    basis = layout.basis_slug(content["scf"]["basis"])
    fields = {name: str(one[name]) for name in published.RUN_KEY}
    templates = {
        "scf": layout.SCF,
        "pretrain": layout.PRETRAINED,
        "train": layout.TRAINED,
        "history": layout.HISTORY,
        "checkpoints": layout.CHECKPOINTS,
        "evaluation": layout.EVALUATION_CHECKPOINTS,
        "evaluate": layout.ENERGY,
    }
    return {name: path.format(**fields, basis=basis) for name, path in templates.items()}


def configuration_text(one: Row) -> str:
    """The resolved configuration of a row's run, as ``ferminet resolve`` prints it, keys sorted."""
    content = details(one)[published.CONFIGURATION]
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def configuration_file(one: Row) -> str:
    """The place of that text in a suite."""
    sha256 = hashlib.sha256(configuration_text(one).encode()).hexdigest()
    return f"{layout.CONFIGURATIONS}/{sha256[:_NAME_DIGITS]}.json"


def stage_commands(configuration: str, files: dict[str, str]) -> list[str]:
    """The four commands that make a row again from its stored configuration alone."""
    stages = (
        ("scf", {"out": "scf"}),
        ("pretrain", {"scf": "scf", "out": "pretrain"}),
        ("train", {"initial": "pretrain", "checkpoint-dir": "checkpoints", "out": "train",
                   "history": "history"}),
        ("evaluate", {"trained": "train", "checkpoint-dir": "evaluation", "out": "evaluate"}),
    )  # fmt: skip
    return [
        shlex.join(
            ["ferminet", stage, "--config", configuration]
            + [word for name, file in options.items() for word in (f"--{name}", files[file])]
        )
        for stage, options in stages
    ]


def make_manifest(name: str, rows: Rows, energies_sha256: str, histories_sha256: str) -> bytes:
    """The text of ``manifest.json``, which follows from the rows and the files' hashes."""
    runs: dict[str, dict[str, Any]] = {}
    for one in filter(published.is_run, rows):
        known, files = details(one), run_files(one)
        place = configuration_file(one)
        runs[published.key_of(one)] = {
            "trained": files["train"],
            "trained_sha256": known.get(published.TRAINED_SHA256),
            "configuration": place,
            "configuration_sha256": hashlib.sha256(configuration_text(one).encode()).hexdigest(),
            "command": known.get(published.COMMAND),
            "from_configuration": stage_commands(f"{layout.PUBLISHED}/{name}/{place}", files),
        }
    content = {
        "format": FORMAT,
        "suite": name,
        "sha256": {
            layout.PUBLISHED_ENERGIES: energies_sha256,
            layout.PUBLISHED_HISTORIES: histories_sha256,
        },
        "runs": runs,
    }
    content[_SEAL] = digest(content)
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def check_run(one: Row) -> None:
    """Checks that a row's configuration is that of its key, by the row's own method version.

    Raises:
        InputError: it is another run's.
    """
    content = details(one)[published.CONFIGURATION]
    found = stored_hash(content, one["method_version"])
    if found != one["config_hash"]:
        raise InputError(
            f"the configuration of {published.key_of(one)} has the hash {found} by version "
            f"{one['method_version']} of the method."
        )
    names = {"ansatz": "ansatz_name", "config_hash": ""}
    for name in published.RUN_KEY:
        key = names.get(name, name)
        if key and content.get(key) != one[name]:
            raise InputError(
                f"the configuration of {published.key_of(one)} is of {key} {content.get(key)!r}."
            )


def write_suite(directory: Path, suite: Suite) -> None:
    """Replaces a suite by another, whole: it is written aside, and the folders change places.

    Files of other names, a README for instance, stay.

    Raises:
        ResourceError: it cannot be written; the old suite is there as it was.
    """
    aside = directory.with_name(f".{directory.name}.{os.getpid()}.part")
    try:
        if directory.exists():
            ours = shutil.ignore_patterns(*_FILES, layout.CONFIGURATIONS)
            shutil.copytree(directory, aside, ignore=ours)
        _write_files(aside, directory.name, suite)
        _change_places(aside, directory)
    except OSError as error:
        raise ResourceError(
            f"Cannot write {directory}: {error.strerror}; nothing was changed. Free space or "
            "correct the permissions and run the same command again."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _change_places(aside: Path, directory: Path) -> None:
    old = aside.with_suffix(".old")
    if directory.exists():
        os.replace(directory, old)
    try:
        os.replace(aside, directory)
    except OSError:
        if old.exists():
            os.replace(old, directory)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_files(directory: Path, name: str, suite: Suite) -> None:
    energies = directory / layout.PUBLISHED_ENERGIES
    histories = directory / layout.PUBLISHED_HISTORIES
    write_rows(energies, suite.rows)
    units = published.HISTORY_UNITS.items()
    columns = suite.histories.columns  # none at all where no run has a history
    write_table(histories, suite.histories, {key: unit for key, unit in units if key in columns})
    for one in filter(published.is_run, suite.rows):
        write_bytes(directory / configuration_file(one), configuration_text(one).encode())
    hashes = file_sha256(energies), file_sha256(histories)
    write_bytes(directory / layout.MANIFEST, make_manifest(name, suite.rows, *hashes))


def read_suite(directory: Path) -> Suite:
    """Reads a suite and recomputes all that its manifest says.

    Raises:
        InputError: there is no such suite.
        CorruptError: a file is missing, is one too many, or differs; the sentence names it.
    """
    if not any((directory / name).is_file() for name in _FILES):
        there = ", ".join(layout.suites()) or "none yet"
        raise InputError(f"{directory} is no suite of published rows; there are: {there}.")
    manifest = directory / layout.MANIFEST
    energies = directory / layout.PUBLISHED_ENERGIES
    histories = directory / layout.PUBLISHED_HISTORIES
    with _names(manifest):
        content = json.loads(manifest.read_text(encoding="utf-8"))
        if content.pop(_SEAL) != digest(content):
            raise InputError("its seal is not that of its content.")
        told = content["sha256"]
        hashes = told[energies.name], told[histories.name]
    for file, expected in zip((energies, histories), hashes, strict=True):
        with _names(file):
            if (found := file_sha256(file)) != expected:
                raise InputError(f"its SHA-256 is {found}, the manifest says {expected}.")
    with _names(energies):
        rows = as_rows(read_rows(energies))
        for one in rows:
            if problem := published.refusal(one):
                raise InputError(f"{published.key_of(one)} {problem}.")
        for one in filter(published.is_run, rows):
            if lacking := published.untold(one):
                raise InputError(f"{published.key_of(one)} lacks {min(lacking)} in its details.")
    _check_configurations(directory, rows)
    with _names(manifest):
        if make_manifest(directory.name, rows, *hashes) != manifest.read_bytes():
            raise InputError("it does not say what follows from the rows.")
    with _names(histories):
        return Suite(rows, read_table(histories))


def _check_configurations(directory: Path, rows: Rows) -> None:
    expected: dict[Path, str] = {}
    for one in filter(published.is_run, rows):
        file = directory / configuration_file(one)
        expected[file] = configuration_text(one)
        with _names(file):
            check_run(one)
    for file, text in expected.items():
        with _names(file):
            if file.read_bytes() != text.encode():
                raise InputError("it is not the configuration that the row was computed with.")
    for file in sorted((directory / layout.CONFIGURATIONS).glob("*")):
        if file not in expected:
            raise CorruptError(f"{file} belongs to no row of {directory}; {_AGAIN}")


_AGAIN = "`git status results/published` shows what changed, `git restore` brings it back."


@contextlib.contextmanager
def _names(file: Path) -> Iterator[None]:
    """Whatever is wrong inside is told as damage of this file.

    Raises:
        CorruptError: something was.
    """
    try:
        yield
    except (FermiNetError, OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, FermiNetError):
            reason = str(error)
        else:
            reason = getattr(error, "strerror", None) or f"not readable: {error!r}"
        raise CorruptError(f"{file} differs: {reason.rstrip('.')}; {_AGAIN}") from error
