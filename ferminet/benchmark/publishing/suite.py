"""A suite of released rows on disk: written whole or not at all, read with all hashes recomputed.

`results/published/SUITE` holds `energies.parquet`; the resolved configuration of each run in a file
named by its hash; thinned training histories; and `manifest.json`, which follows from them.
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

from ferminet.benchmark.publishing import rows as released
from ferminet.benchmark.records import read_rows, read_table, write_rows, write_table
from ferminet.benchmark.schema import EnergyRow, Rows
from ferminet.config import layout
from ferminet.config.runs import RunConfig, digest, stored_hash
from ferminet.errors import CorruptError, FermiNetError, InputError, ResourceError
from ferminet.runtime.files import check_output, file_sha256, write_bytes
from ferminet.systems.validation import validate

FORMAT = "ferminet-published-1"
_NAME_DIGITS = 16  # of the SHA-256 of a configuration, in the name of its file
# The SHA-256 of the manifest's content: a wrong hash in the manifest is then attributed to the
# manifest, not to the file.
_SEAL = "seal"
_FILES = (layout.PUBLISHED_ENERGIES, layout.PUBLISHED_HISTORIES, layout.MANIFEST)
_RESTORE = "`git status results/published` shows what changed, `git restore` brings it back."
# Stage -> its options and the files of the run that they name.
_STAGE_OPTIONS = {
    "scf": {"out": layout.SCF},
    "pretrain": {"scf": layout.SCF, "out": layout.PRETRAINED},
    "train": {"initial": layout.PRETRAINED, "checkpoint-dir": layout.CHECKPOINTS,
              "out": layout.TRAINED, "history": layout.HISTORY},
    "evaluate": {"trained": layout.TRAINED, "checkpoint-dir": layout.EVALUATION_CHECKPOINTS,
                 "out": layout.ENERGY},
}  # fmt: skip
# The stages that the geometries of a curve may share, and the stage that divides the result.
_TOGETHER = ("scf", "pretrain", "train")
_SHARED_OPTIONS = {
    **{stage: _STAGE_OPTIONS[stage] for stage in _TOGETHER},
    "split": {"trained": layout.TRAINED, "histories": layout.HISTORY,
              "out": layout.TRAINED, "history": layout.HISTORY},
    "evaluate": _STAGE_OPTIONS["evaluate"],
}  # fmt: skip
_OF_TRAINING = {"split": ("trained", "histories")}


class Suite(NamedTuple):
    """What is released under one name: rows, and their thinned histories."""

    rows: Rows
    histories: pd.DataFrame


def run_file(row: EnergyRow, template: str, **others: str) -> str:
    """Return the path of a file of a row's run, relative to the working directory.

    `others` replace parts of the run's key.
    """
    basis = layout.basis_slug((row.details.configuration or {})["scf"]["basis"])
    key = {name: getattr(row, name) for name in released.RUN_KEY}
    return template.format(**{"basis": basis, **key, **others})


def stored_configuration(row: EnergyRow) -> tuple[str, bytes]:
    """Return the file of a run's configuration, and its text as `ferminet resolve` writes it."""
    text = _json(row.details.configuration or {}, indent=2)
    name = hashlib.sha256(text).hexdigest()[:_NAME_DIGITS]
    return f"{layout.CONFIGURATIONS}/{name}.json", text


def _json(content: dict[str, Any], indent: int) -> bytes:
    text = json.dumps(content, indent=indent, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()


def _manifest(name: str, rows: Rows, hashes: dict[str, str]) -> bytes:
    """Return the text of `manifest.json`, which follows from the rows and the files' hashes."""
    runs: dict[str, dict[str, Any]] = {}
    for row in filter(released.is_run, rows):
        file, text = stored_configuration(row)
        runs[row.label] = {
            "trained": run_file(row, layout.TRAINED),
            "trained_sha256": row.details.trained_sha256,
            "configuration": file,
            "configuration_sha256": hashlib.sha256(text).hexdigest(),
            "command": row.details.command,
            "from_configuration": _commands(row, f"{layout.PUBLISHED}/{name}/{file}"),
        }
    content = {"format": FORMAT, "suite": name, "sha256": hashes, "runs": runs}
    content[_SEAL] = digest(content)
    return _json(content, indent=1)


def _commands(row: EnergyRow, configuration: str) -> list[str]:
    """Return the commands that repeat a run from the file of its configuration."""
    training: dict[str, str] = {}  # what its paths have instead, if it shares its training
    if (row.details.configuration or {}).get("curve"):
        run = validate(RunConfig, row.details.configuration).training_run()
        training = {"geometry": run.geometry, "config_hash": run.config_hash()}
    commands = []
    for stage, options in (_SHARED_OPTIONS if training else _STAGE_OPTIONS).items():
        words, together = ["ferminet", stage, "--config", configuration], stage in _TOGETHER
        if training and together:
            words += ["--geometry", training["geometry"]]
        for option, template in options.items():
            other = training if together or option in _OF_TRAINING.get(stage, ()) else {}
            words += [f"--{option}", run_file(row, template, **other)]
        commands.append(shlex.join(words))
    return commands


def check_configuration(row: EnergyRow) -> None:
    """Refuse a configuration that does not match its row's key, by the row's method version."""
    content = row.details.configuration or {}
    config_hash = stored_hash(content, row.method_version or "")
    if config_hash != row.config_hash:
        raise InputError(
            f"the configuration of {row.label} has the hash {config_hash} by version "
            f"{row.method_version} of the method."
        )
    for column in ("study", "system", "geometry", "ansatz", "seed"):
        name = "ansatz_name" if column == "ansatz" else column
        got = content.get(name)
        if got != getattr(row, column):
            raise InputError(f"the configuration of {row.label} is of {name} {got!r}.")


def write_suite(directory: Path, suite: Suite) -> None:
    """Replace a suite as a whole: write it to a new folder, then swap the folders.

    Files of other names, for example a README, stay. If it fails, the old suite is unchanged.
    """
    new, old = (
        directory.with_name(f".{directory.name}.{os.getpid()}.{end}") for end in ("part", "old")
    )
    check_output(directory / layout.MANIFEST)
    try:
        if directory.exists():
            replaced = shutil.ignore_patterns(*_FILES, layout.CONFIGURATIONS)
            shutil.copytree(directory, new, ignore=replaced)
        _write_files(new, directory.name, suite)
        if directory.exists():
            os.replace(directory, old)
        os.replace(new, directory)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if old.exists():
            os.replace(old, directory)
        raise ResourceError(
            f"Cannot write {directory}: {error.strerror}; nothing was changed. Free space or "
            "correct the permissions and run the same command again."
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _write_files(directory: Path, name: str, suite: Suite) -> None:
    energies, histories, manifest = (directory / file for file in _FILES)
    write_rows(energies, suite.rows)
    # Without any history of a run there are no columns.
    units = {} if suite.histories.empty else released.HISTORY_UNITS
    write_table(histories, suite.histories, units)
    for row in filter(released.is_run, suite.rows):
        file, text = stored_configuration(row)
        write_bytes(directory / file, text)
    hashes = {file.name: file_sha256(file) for file in (energies, histories)}
    write_bytes(manifest, _manifest(name, suite.rows, hashes))


def read_suite(directory: Path) -> Suite:
    """Read a suite and recompute everything that its manifest holds.

    Raises:
        InputError: there is no such suite.
        CorruptError: a file is missing, unexpected or changed; the message names it.
    """
    energies, histories, manifest = files = [directory / file for file in _FILES]
    if not any(file.is_file() for file in files):
        existing = ", ".join(layout.suites()) or "none yet"
        raise InputError(f"{directory} is not a suite of published rows; there are: {existing}.")
    with _damage_of(manifest):
        content = json.loads(manifest.read_text(encoding="utf-8"))
        if content.pop(_SEAL) != digest(content):
            raise InputError("its seal does not match its content.")
        hashes = {file.name: content["sha256"][file.name] for file in (energies, histories)}
    for file in (energies, histories):
        with _damage_of(file):
            if (sha256 := file_sha256(file)) != hashes[file.name]:
                raise InputError(f"its SHA-256 is {sha256}, the manifest has {hashes[file.name]}.")
    with _damage_of(energies):
        rows = read_rows(energies)
        for row in rows:
            if problem := released.release_error(row):
                raise InputError(f"{row.label} {problem}.")
    _check_configurations(directory, rows)
    with _damage_of(manifest):
        if _manifest(directory.name, rows, hashes) != manifest.read_bytes():
            raise InputError("its content does not agree with the rows.")
    with _damage_of(histories):
        return Suite(rows, read_table(histories))


def _check_configurations(directory: Path, rows: Rows) -> None:
    expected: set[Path] = set()
    for row in filter(released.is_run, rows):
        name, text = stored_configuration(row)
        file = directory / name
        expected.add(file)
        with _damage_of(file):
            check_configuration(row)
            if file.read_bytes() != text:
                raise InputError("it is not the configuration that the row was computed with.")
    for file in sorted((directory / layout.CONFIGURATIONS).glob("*")):
        if file not in expected:
            raise CorruptError(f"{file} belongs to no row of {directory}; {_RESTORE}")


@contextlib.contextmanager
def _damage_of(file: Path) -> Iterator[None]:
    """Raise any error of the block as a CorruptError that names this file."""
    try:
        yield
    except (FermiNetError, OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or f"not readable: {error!r}"
        if isinstance(error, FermiNetError):
            reason = str(error).rstrip(".")
        raise CorruptError(f"{file} differs: {reason}; {_RESTORE}") from error
