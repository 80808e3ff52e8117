"""Submissions: rows of energies, and one YAML file that describes where they come from.

`results/submissions/NAME` holds `submission.yaml`, the rows as `energies.parquet`, and any further
files that the YAML lists.
"""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, StringConstraints

from ferminet.benchmark.diagnostics import judged_mean, reference_z_score, suspicious
from ferminet.benchmark.numbers import geometry_name
from ferminet.benchmark.publishing.rows import is_run, lacks_explanation, release_error
from ferminet.benchmark.publishing.suite import check_configuration
from ferminet.benchmark.records import read_rows
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import EnergyRow, Rows, distinct, grouped
from ferminet.config import layout
from ferminet.config.blocks import SUITE_NAME
from ferminet.config.study import molecules_directory
from ferminet.errors import CorruptError, FermiNetError, InputError, NotConvergedError
from ferminet.runtime.files import file_sha256, write_bytes
from ferminet.systems.files import Text, find_system
from ferminet.systems.molecule import Molecule
from ferminet.systems.validation import Block, prefix_errors, validate
from ferminet.systems.yaml import load_mapping

Unit = Literal["core", "gpu"]
Source = Annotated[str, StringConstraints(pattern=r"^(10\.\d{4,}/\S+|https?://\S+)$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Hardware(Block):
    """What the runs were computed on."""

    name: Text
    """Name one device."""
    unit: Unit
    """State what an hour counts, core or gpu."""


class Runs(Block):
    """The runs of one system."""

    seeds: list[int] = Field(min_length=1)
    """List all training seeds that were run, failed ones too."""
    hours: Annotated[float, Field(gt=0)]
    """State the core- or GPU-hours of one seed at one geometry, training and evaluation."""


class Submission(Block):
    """The content of `submission.yaml`."""

    model: Text
    """Name the wavefunction."""
    authors: list[Text] = Field(min_length=1)
    """List the authors."""
    source: Source
    """Give a DOI (10.1103/...) or an address (https://...)."""
    code: Text
    """Name the code."""
    version: Text
    """State the version or commit of the code."""
    hardware: Hardware
    """Describe it with name and unit."""
    systems: dict[str, Runs] = Field(min_length=1)
    """State seeds and hours of each system."""
    files: dict[str, Sha256]
    """List the files of the folder, each with its SHA-256 of 64 hexadecimal digits."""

    @property
    def doi(self) -> str:
        """The DOI of `source`; empty if it is another address."""
        host = re.match(r"(https?://(dx\.)?doi\.org/)?(?=10\.)", self.source)
        return self.source[host.end() :] if host else ""


class Entry(NamedTuple):
    """Rows of one origin on the leaderboard; a released suite needs no description."""

    name: str
    rows: Rows
    submission: Submission | None = None
    faults: tuple[FermiNetError, ...] = ()  # why it is refused


def read_submission(folder: Path, references: References) -> Entry:
    """Read a submission and check everything that it states.

    Raises:
        InputError: the YAML file cannot be read or does not describe a submission.
    """
    file = folder / layout.SUBMISSION
    content = load_mapping(file)
    if blanks := list(_blanks(content)):
        raise InputError(f"{file} has blanks; fill in {', '.join(blanks)}.")
    with prefix_errors(file):
        submission = validate(Submission, content)
    faults: list[FermiNetError] = [*_file_faults(folder, submission)]
    rows: Rows = []
    if not faults:
        try:
            rows = read_rows(folder / layout.PUBLISHED_ENERGIES)
            faults += _row_faults(folder, submission, rows, references)
        except FermiNetError as error:
            faults.append(error)
    return Entry(folder.name, rows, submission, tuple(faults))


def _blanks(content: Any, key: str = "") -> Iterator[str]:
    """Yield the keys without a value."""
    if content is None:
        yield key
    items = content.items() if isinstance(content, dict) else ()
    items = enumerate(content) if isinstance(content, list) else items
    for name, value in items:
        inner = f"[{name}]" if isinstance(content, list) else f".{name}"
        yield from _blanks(value, f"{key}{inner}".lstrip("."))


def _file_faults(folder: Path, submission: Submission) -> Iterator[FermiNetError]:
    """Yield files that are missing, changed or not listed."""
    listed = submission.files
    if layout.PUBLISHED_ENERGIES not in listed:
        name = layout.PUBLISHED_ENERGIES
        yield InputError(f"{folder}: files: lists no {name}; add it with its SHA-256.")
    there = {path.name for path in folder.iterdir()} - {layout.SUBMISSION}
    for name in sorted(there - set(listed)):
        yield InputError(f"{folder / name} is not in files:; list it with its SHA-256.")
    for name, expected in listed.items():
        if name not in there:
            yield InputError(
                f"{folder}: files: lists {name}, which is not there; add or remove it."
            )
        elif (sha256 := file_sha256(folder / name)) != expected:
            yield CorruptError(
                f"{folder / name} has the SHA-256 {sha256}, files: has {expected}; restore the "
                "file, or state its hash."
            )


def _row_faults(
    folder: Path, submission: Submission, rows: Rows, references: References
) -> Iterator[FermiNetError]:
    """Yield what is wrong with the rows: systems, seeds, provenance, energies."""
    stated = list(submission.systems)
    for name in dict.fromkeys([*stated, *distinct(rows, "system")]):
        try:
            with prefix_errors(folder):
                system = find_system(name, molecules_directory())
        except InputError as error:
            yield error
            continue
        of_system = [row for row in rows if row.system == name]
        if name not in stated or not of_system:
            where = "systems: has" if of_system else "the rows have"
            yield InputError(f"{folder}: {where} no {name}; add it or remove it elsewhere.")
            continue
        for geometry in distinct(of_system, "geometry"):
            if geometry not in system.geometries:
                yield InputError(f"{folder}: {name} has no geometry {geometry!r}.")
                continue
            for row in (row for row in of_system if row.geometry == geometry):
                if not _is_of(row, system.geometry(geometry)):
                    yield InputError(
                        f"{folder}: {row.label} has other nuclei, charge or spin than "
                        f"molecules/{name}.yaml; give the system another name."
                    )
    for row in rows:
        if problem := _row_problem(row):
            yield InputError(f"{folder}: {row.label} {problem}.")
        bound = references.bound(*row.geometry_key)
        if bound is not None and suspicious(row, bound):
            z = reference_z_score(row.energy or 0.0, row.stderr or 0.0, bound)
            yield NotConvergedError(
                f"{folder}: {row.label} lies {-z:.1f} standard errors below the {bound.label} "
                "energy, which is impossible; find the error and evaluate again."
            )
    yield from _group_faults(folder, submission, rows, references)


def _is_of(row: EnergyRow, molecule: Molecule) -> bool:
    """Return whether a row is of a molecule, as far as it states its electrons and nuclei."""
    given: dict[str, Any] = (row.details.configuration or {}).get("molecule", {})
    electrons = (row.n_electrons, row.unpaired_electrons)
    coords = np.array(given.get("coords", molecule.coords))
    return (
        electrons == (molecule.n_electrons, molecule.unpaired_electrons)
        and tuple(given.get("symbols", molecule.symbols)) == tuple(molecule.symbols)
        and np.allclose(coords, molecule.coords, rtol=0, atol=1e-6)
    )


def _row_problem(row: EnergyRow) -> str:
    """Return why a row may not be submitted, as the end of a sentence; empty if it may."""
    if not row.is_sampled:
        return "is not the energy of a wavefunction; submit rows of methods vmc and imported only"
    if row.status == "unfinished":
        return "is unfinished; submit finished runs"
    if lacks_explanation(row):
        return f"is {row.status} without a reason in details.note"
    if row.details.imported is not None:
        return ""
    problem = release_error(row)
    if not problem and is_run(row):
        try:
            check_configuration(row)
        except InputError as error:
            return f"does not agree with its configuration: {str(error).rstrip('.')}"
    return problem


def _group_faults(
    folder: Path, submission: Submission, rows: Rows, references: References
) -> Iterator[FermiNetError]:
    """Yield seeds that are missing or not stated, and means below a bound."""
    groups = grouped(rows, "system", "geometry", "method", "ansatz", "config_hash")
    for (system, geometry, _, ansatz, _), seeds in groups.items():
        if system not in submission.systems:
            continue
        name = f"{geometry_name(system, geometry, '/')}, {ansatz}"
        stated, there = set(submission.systems[system].seeds), set(distinct(seeds, "seed"))
        for seed in sorted(stated - there):
            yield InputError(
                f"{folder}: {name} has no row of seed {seed}, which systems: states; add the row "
                "(with the status failed and a note if it failed)."
            )
        for seed in sorted(there - stated):
            yield InputError(
                f"{folder}: {name} has a row of seed {seed}, which systems: does not state; add it."
            )
        if any(suspicious(row, references.bound(system, geometry)) for row in seeds):
            continue
        if seeds[0].method == "vmc" and judged_mean(seeds, references).status == "suspicious":
            yield NotConvergedError(
                f"{folder}: the mean of {name} lies significantly below the exact energy, which is "
                "impossible; find the error and evaluate again."
            )


def new_submission(name: str, energies: Path) -> Path:
    """Start a submission with rows; its YAML states what the rows do, and has blanks for the rest.

    Raises:
        InputError: the name is no folder's, it exists already, or there are no rows to submit.
    """
    folder = Path(layout.SUBMISSIONS, name)
    if not SUITE_NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name; use letters, digits, underscores and hyphens.")
    if folder.exists() or name in layout.suites():
        raise InputError(f"{name} exists and is left as it is; choose another name.")
    rows = [row for row in read_rows(energies) if row.is_sampled]
    if not rows or len(rows) < len(read_rows(energies)):
        raise InputError(
            f"{energies} has rows that are no energies of wavefunctions, or none at all; collect "
            "the files of your runs alone with `ferminet collect`."
        )
    imported = [row.details.imported for row in rows if row.details.imported is not None]
    versions = {one.version for one in imported} or set(distinct(rows, "git_commit"))
    devices = distinct(rows, "device")
    text = files("ferminet.benchmark").joinpath("templates/submission.yaml").read_text("utf-8")
    filled = Template(text).substitute(
        name=name,
        code=" and ".join(dict.fromkeys(one.code for one in imported)) or "this package",
        version=_quoted(", ".join(sorted(filter(None, versions)))),
        unit="core" if devices == ["cpu"] else "gpu" if devices else "",
        systems="\n".join(_stated(*group) for group in grouped(rows, "system").items()),
        sha256=_quoted(file_sha256(energies)),
    )
    write_bytes(folder / layout.PUBLISHED_ENERGIES, energies.read_bytes())
    write_bytes(folder / layout.SUBMISSION, filled.encode())
    return folder


def _quoted(text: str) -> str:
    """Return text that YAML would otherwise read as a number; nothing for no text."""
    return f'"{text}"' if text else ""


def _stated(key: tuple[str], rows: Rows) -> str:
    """Return the line of one system in the block `systems`."""
    hours = [hour for row in rows if (hour := device_hours(row)) is not None]
    mean = f"{sum(hours) / len(hours):.3g}" if hours else ""
    seeds = ", ".join(map(str, sorted(distinct(rows, "seed"))))
    return f"  {_quoted(key[0])}:\n    seeds: [{seeds}]\n    hours: {mean}".rstrip()


def device_hours(row: EnergyRow) -> float | None:
    """Return the device-hours of a finished run, training and evaluation; None if unknown.

    A job of the workflow has one core.
    """
    if not row.wall_s or row.status == "unfinished":
        return None
    return row.wall_s * (row.details.devices or 1) / 3600
