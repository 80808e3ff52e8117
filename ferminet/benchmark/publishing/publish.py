"""Blessing rows and verifying what was blessed: the commands ``ferminet bless`` and ``verify``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from ferminet.benchmark.diagnostics import details, flags
from ferminet.benchmark.publishing import rows as published
from ferminet.benchmark.publishing.rows import Change
from ferminet.benchmark.publishing.suite import Suite, check_run, read_suite, run_files, write_suite
from ferminet.benchmark.records import as_rows, read_rows, read_table
from ferminet.benchmark.references import load_references
from ferminet.benchmark.schema import Row, Rows, distinct
from ferminet.config import layout
from ferminet.config.study import references_directory
from ferminet.errors import CorruptError, FermiNetError, InputError
from ferminet.runtime.checkpoint import load_arrays
from ferminet.runtime.files import file_sha256
from ferminet.runtime.provenance import local_changes
from ferminet.systems.suggestions import nearest

# Folders whose local changes would make a published row a number that nobody can compute again.
CODE = ("ferminet", "workflow", "molecules")

Say = Callable[[str], Any]


def bless(
    energies: Path | None,
    suite: str | None = None,
    only: list[str] | None = None,
    remove: list[str] | None = None,
    dry_run: bool = False,
    say: Say = print,
) -> None:
    """Copies rows of a study into a suite, and says before how they differ from those there.

    What is doubtful about a row is said too; whether it is published all the same is for whoever
    reads it.

    Rows of the same key are replaced, all others stay. All or nothing is written.

    Args:
        energies: result of ``ferminet collect``; None if rows are only removed.
        suite: name of the suite; the study's if not given.
        only: systems; all if not given.
        remove: keys of published rows, as the difference shows them.
        dry_run: say the difference and write nothing.
        say: gets the lines of the difference.

    Raises:
        InputError: the code has local changes, a row does not say where it comes from, its trained
            wavefunction is not known, or nothing is left to publish.
        CorruptError: the suite that is there was altered.
    """
    refuse_local_changes()
    rows = _chosen(energies, only) if energies is not None else []
    name = _suite_name(suite, rows)
    directory = Path(layout.PUBLISHED, name)
    before = read_suite(directory) if directory.is_dir() else Suite([], pd.DataFrame())
    old = {published.key_of(one): one for one in before.rows}
    _refuse_unknown(remove or [], old, name)
    accepted = [one for one in rows if not published.without_reason(one)]
    new = {published.key_of(one): _completed(one) for one in accepted}
    merged = {key: one for key, one in (old | new).items() if key not in (remove or [])}
    changes = [published.compare(old.get(key), one) for key, one in new.items() if key in merged]
    changes += [Change("removed", key) for key in remove or []]
    changes += [
        Change("left out", published.key_of(one), f"{one['status']} without a reason")
        for one in rows
        if published.without_reason(one)
    ]
    for change in changes:
        say(str(change))
    for key in published.other_settings(list(new.values()), list(merged.values())):
        say(f"note: {key} has other settings and stays; --remove '{key}' takes it out.")
    references = load_references(references_directory())
    for key, one in new.items():
        for doubt in flags(one, references):
            say(f"doubtful: {key}: {doubt}.")
    kept = len(merged.keys() - new.keys())
    say(f"{name}: {_counts(changes)}{kept} of other keys stay, {len(merged)} rows in all.")
    if not merged:
        raise InputError(f"nothing would be left of {directory}; remove it with git instead.")
    if dry_run or all(change.kind in ("unchanged", "left out") for change in changes):
        say("Nothing is written.")
        return
    write_suite(directory, Suite(list(merged.values()), _histories(before, merged, new)))
    say(f"Written to {directory}; commit it.")


def refuse_local_changes() -> None:
    """Refuses to publish beside code that is not committed.

    Raises:
        InputError: there are local changes, or git does not know the project.
    """
    changed = local_changes(CODE)
    if changed is None:
        raise InputError("rows are published from a clone of the project, and git knows none here.")
    if changed:
        raise InputError(
            f"{len(changed)} file{'s' * (len(changed) > 1)} of {', '.join(CODE)} "
            f"({changed[0]} for one) differ from the commit; commit them, compute and publish then."
        )


def _chosen(energies: Path, only: list[str] | None) -> Rows:
    """The rows to publish.

    Raises:
        InputError: there are none, or one does not say where it comes from.
    """
    rows = as_rows(read_rows(energies))
    systems = distinct(rows, "system")
    for system in only or []:
        if system not in systems:
            raise InputError(f"{energies} has no system {system!r}; {nearest(system, systems)}")
    rows = [one for one in rows if not only or one["system"] in only]
    if not rows:
        raise InputError(f"{energies} has no rows; compute the study first.")
    for one in rows:
        if problem := published.refusal(one):
            raise InputError(f"{published.key_of(one)} of {energies} {problem}.")
    return rows


def _suite_name(suite: str | None, rows: Rows) -> str:
    studies = distinct(rows, "study")
    if suite is None and len(studies) != 1:
        found = f"the rows are of {', '.join(studies)}" if studies else "no energies are given"
        raise InputError(f"{found}; name the suite with --suite.")
    name = suite or studies[0]
    if not layout.SUITE_NAME.fullmatch(name):
        raise InputError(
            f"--suite {name!r} is no name of a folder; use letters, digits, underscores, hyphens."
        )
    return name


def _refuse_unknown(remove: list[str], old: dict[str, Row], name: str) -> None:
    for key in remove:
        if key not in old:
            hint = nearest(key, old) if old else "it has no rows."
            raise InputError(f"--remove: {name} has no row {key!r}; {hint}")


def _completed(one: Row) -> Row:
    """A row that tells its trained file and configuration; an older one is asked of the file.

    Raises:
        InputError: neither tells, or the file that is there is another one.
    """
    if not published.is_run(one):
        return one
    known = details(one)
    key = published.key_of(one)
    fields = {name: str(one[name]) for name in published.RUN_KEY}
    trained = Path(layout.TRAINED.format(**fields))
    if not published.untold(one):
        sha256 = known.get(published.TRAINED_SHA256)
        if sha256 and trained.exists() and file_sha256(trained) != sha256:
            raise InputError(
                f"{trained} is not the file that {key} was measured with; evaluate it and collect "
                "again."
            )
    elif trained.exists():
        _, header = load_arrays(trained)
        if header.get("iterations") != one["iterations"]:
            raise InputError(
                f"{trained} has {header.get('iterations')} iterations and {key} was measured after "
                f"{one['iterations']}; evaluate it and collect again."
            )
        found = {
            published.TRAINED_SHA256: file_sha256(trained),
            published.CONFIGURATION: header["run"],
        }
        one = published.complete(one, **(found | known))
    else:
        raise InputError(
            f"{key} does not tell the SHA-256 of its trained wavefunction, and {trained} is not "
            "there; compute it again."
        )
    check_run(one)
    return one


def _histories(before: Suite, merged: dict[str, Row], new: dict[str, Row]) -> pd.DataFrame:
    """The thinned histories of all rows: from the run's file for new ones, else those there."""
    found = []
    for key, one in merged.items():
        if not published.is_run(one):
            continue
        file = Path(run_files(one)["history"])
        if key in new and file.exists():
            found.append(published.thinned(one, read_table(file)))
        elif key not in new or one == _by_key(before.rows).get(key):
            found.append(published.history_of(before.histories, one))
    found = [history for history in found if not history.empty]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _by_key(rows: Rows) -> dict[str, Row]:
    return {published.key_of(one): one for one in rows}


def _counts(changes: list[Change]) -> str:
    kinds = [change.kind for change in changes]
    return "".join(f"{kinds.count(kind)} {kind}, " for kind in dict.fromkeys(kinds))


def verify(directories: list[Path] | None = None, say: Say = print) -> None:
    """Recomputes all hashes of suites, and says one line of each.

    Args:
        directories: of suites; all if not given.
        say: gets the lines.

    Raises:
        InputError: there is nothing to verify.
        CorruptError: a file differs; the other suites are verified all the same.
    """
    chosen = directories or list(layout.suites().values())
    if not chosen:
        raise InputError(f"nothing is published in {layout.PUBLISHED}; `ferminet bless` does that.")
    problem: FermiNetError | None = None
    for directory in chosen:
        try:
            say(_verified(directory))
        except FermiNetError as error:
            problem = problem or error
    if problem is not None:
        raise problem


def _verified(directory: Path) -> str:
    rows = read_suite(directory).rows
    runs = [one for one in rows if published.is_run(one)]
    states = [_trained_state(one) for one in runs]
    text = f"{directory.name}: {len(rows)} rows, {len(runs)} of them runs; all hashes agree; "
    text += f"{states.count('same')} of their trained wavefunctions are here and agree"
    if others := states.count("another"):
        text += f", {others} were trained anew here"
    return text + "."


def _trained_state(one: Row) -> str:
    """Whether the trained wavefunction here is the one that the row was measured with.

    A run that a reader trained himself has the same path and, on another processor, other bits:
    that is no damage, unless the row beside it says that it is the published one.

    Returns:
        same, another, or absent.

    Raises:
        CorruptError: the file was altered.
    """
    files = run_files(one)
    file, expected = Path(files["train"]), details(one).get(published.TRAINED_SHA256)
    if expected is None or not file.exists():
        return "absent"
    if file_sha256(file) == expected:
        return "same"
    load_arrays(file)  # raises if it was altered
    measured = Path(files["evaluate"])
    if measured.exists() and expected == _measured_with(measured):
        raise CorruptError(
            f"{file} differs: it is not the file that {published.key_of(one)} was measured with; "
            "train and evaluate it again."
        )
    return "another"


def _measured_with(row_file: Path) -> str | None:
    (one,) = as_rows(read_rows(row_file))
    return details(one).get(published.TRAINED_SHA256)
