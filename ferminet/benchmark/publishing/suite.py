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
from ferminet.benchmark.schema import EnergyRow
from ferminet.config import layout, stored_hash
from ferminet.config.resolved import digest
from ferminet.errors import CorruptError, FermiNetError, InputError, ResourceError
from ferminet.runtime.files import file_sha256, write_bytes

FORMAT = "ferminet-published-1"
_NAME_DIGITS = 16  # of the SHA-256 of a configuration, in the name of its file
# The SHA-256 of the manifest's content: a wrong hash in the manifest is then found there and not
# taken for a changed file.
_SEAL = "seal"
_FILES = (layout.PUBLISHED_ENERGIES, layout.PUBLISHED_HISTORIES, layout.MANIFEST)
_RESTORE = "`git status results/published` shows what changed, `git restore` brings it back."
# Stage -> its options and the files of the run that they name.
_STAGES = {
    "scf": {"out": "scf"},
    "pretrain": {"scf": "scf", "out": "pretrain"},
    "train": {"initial": "pretrain", "checkpoint-dir": "checkpoints", "out": "train",
              "history": "history"},
    "evaluate": {"trained": "train", "checkpoint-dir": "evaluation", "out": "evaluate"},
}  # fmt: skip


class Suite(NamedTuple):
    """What is released under one name: rows, and their thinned histories."""

    rows: list[EnergyRow]
    histories: pd.DataFrame


def run_files(one: EnergyRow) -> dict[str, str]:
    """Return the paths of a row's run by stage, relative to the working directory."""
    content = one.details.configuration or {}
    basis = layout.basis_slug(content["scf"]["basis"])
    fields = {name: str(getattr(one, name)) for name in released.RUN_KEY}
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


class StoredConfiguration(NamedTuple):
    """The resolved configuration of a row's run as a file of the suite."""

    text: bytes
    sha256: str
    file: str


def stored_configuration(one: EnergyRow) -> StoredConfiguration:
    """Return a run's configuration as `ferminet resolve` prints it, and the file that holds it."""
    content = one.details.configuration or {}
    text = (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    sha256 = hashlib.sha256(text).hexdigest()
    return StoredConfiguration(
        text, sha256, f"{layout.CONFIGURATIONS}/{sha256[:_NAME_DIGITS]}.json"
    )


def _manifest(name: str, rows: list[EnergyRow], hashes: dict[str, str]) -> bytes:
    """Return the text of `manifest.json`, which follows from the rows and the files' hashes."""
    runs: dict[str, dict[str, Any]] = {}
    for one in filter(released.is_run, rows):
        configuration, files = stored_configuration(one), run_files(one)
        path = f"{layout.PUBLISHED}/{name}/{configuration.file}"
        runs[one.label] = {
            "trained": files["train"],
            "trained_sha256": one.details.trained_sha256,
            "configuration": configuration.file,
            "configuration_sha256": configuration.sha256,
            "command": one.details.command,
            "from_configuration": [
                shlex.join(
                    ["ferminet", stage, "--config", path]
                    + [word for key, file in options.items() for word in (f"--{key}", files[file])]
                )
                for stage, options in _STAGES.items()
            ],
        }
    content = {"format": FORMAT, "suite": name, "sha256": hashes, "runs": runs}
    content[_SEAL] = digest(content)
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def check_configuration(one: EnergyRow) -> None:
    """Check that a row's configuration is that of its key, by the row's own method version.

    Raises:
        InputError: it is the configuration of another run.
    """
    content, key = one.details.configuration or {}, one.label
    found = stored_hash(content, one.method_version or "")
    if found != one.config_hash:
        raise InputError(
            f"the configuration of {key} has the hash {found} by version {one.method_version} "
            "of the method."
        )
    for column in ("study", "system", "geometry", "ansatz", "seed"):
        name = "ansatz_name" if column == "ansatz" else column
        if content.get(name) != getattr(one, column):
            raise InputError(f"the configuration of {key} is of {name} {content.get(name)!r}.")


def write_suite(directory: Path, suite: Suite) -> None:
    """Replace a suite as a whole: it is written to a new folder, then the folders are exchanged.

    Files of other names, a README for example, stay.

    Raises:
        ResourceError: it cannot be written; the old suite is unchanged.
    """
    new, old = (
        directory.with_name(f".{directory.name}.{os.getpid()}.{end}") for end in ("part", "old")
    )
    try:
        if directory.exists():
            ours = shutil.ignore_patterns(*_FILES, layout.CONFIGURATIONS)
            shutil.copytree(directory, new, ignore=ours)
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
    columns = suite.histories.columns  # none at all where no run has a history
    units = {key: unit for key, unit in released.HISTORY_UNITS.items() if key in columns}
    write_table(histories, suite.histories, units)
    for one in filter(released.is_run, suite.rows):
        configuration = stored_configuration(one)
        write_bytes(directory / configuration.file, configuration.text)
    hashes = {file.name: file_sha256(file) for file in (energies, histories)}
    write_bytes(manifest, _manifest(name, suite.rows, hashes))


def read_suite(directory: Path) -> Suite:
    """Read a suite and recompute everything that its manifest holds.

    Raises:
        InputError: there is no such suite.
        CorruptError: a file is missing, unexpected or changed; the sentence names it.
    """
    energies, histories, manifest = (directory / file for file in _FILES)
    if not any(file.is_file() for file in (energies, histories, manifest)):
        existing = ", ".join(layout.suites()) or "none yet"
        raise InputError(f"{directory} is no suite of published rows; there are: {existing}.")
    with _damage_of(manifest):
        content = json.loads(manifest.read_text(encoding="utf-8"))
        if content.pop(_SEAL) != digest(content):
            raise InputError("its seal is not that of its content.")
        hashes = {file.name: content["sha256"][file.name] for file in (energies, histories)}
    for file in (energies, histories):
        with _damage_of(file):
            if (found := file_sha256(file)) != hashes[file.name]:
                raise InputError(f"its SHA-256 is {found}, the manifest has {hashes[file.name]}.")
    with _damage_of(energies):
        rows = read_rows(energies)
        for one in rows:
            if problem := released.release_error(one):
                raise InputError(f"{one.label} {problem}.")
            if released.is_run(one) and (missing := released.missing_provenance(one)):
                raise InputError(f"{one.label} lacks {missing[0]} in its details.")
    _check_configurations(directory, rows)
    with _damage_of(manifest):
        if _manifest(directory.name, rows, hashes) != manifest.read_bytes():
            raise InputError("its content does not follow from the rows.")
    with _damage_of(histories):
        return Suite(rows, read_table(histories))


def _check_configurations(directory: Path, rows: list[EnergyRow]) -> None:
    expected: set[Path] = set()
    for one in filter(released.is_run, rows):
        configuration = stored_configuration(one)
        file = directory / configuration.file
        expected.add(file)
        with _damage_of(file):
            check_configuration(one)
            if file.read_bytes() != configuration.text:
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
