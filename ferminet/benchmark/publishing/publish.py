"""The commands `ferminet bless` and `ferminet verify`: release rows, and check released rows."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ferminet.benchmark.diagnostics import flags
from ferminet.benchmark.leaderboard.submission import read_submission
from ferminet.benchmark.numbers import count
from ferminet.benchmark.publishing import rows as released
from ferminet.benchmark.publishing.rows import Change
from ferminet.benchmark.publishing.suite import (
    Suite,
    check_configuration,
    read_suite,
    run_file,
    write_suite,
)
from ferminet.benchmark.records import read_rows, read_table
from ferminet.benchmark.references import project_references
from ferminet.benchmark.schema import EnergyRow, Rows, distinct, grouped
from ferminet.config import layout
from ferminet.config.blocks import SUITE_NAME
from ferminet.errors import CorruptError, FermiNetError, InputError
from ferminet.runtime.checkpoint import load_arrays
from ferminet.runtime.files import file_sha256
from ferminet.runtime.provenance import local_changes
from ferminet.systems.validation import nearest

# Local changes in these folders would make a released row a number that cannot be reproduced.
CODE = ("ferminet", "workflow", "molecules")


def bless(
    energies: Path | None,
    suite: str | None = None,
    only: Sequence[str] | None = None,
    remove: Sequence[str] | None = None,
    dry_run: bool = False,
) -> None:
    """Copy rows of a study into a suite; print the differences and all doubts first.

    Rows of the same key are replaced, all others stay. Either everything is written or nothing.

    Args:
        energies: result of `ferminet collect`; None if rows are only removed.
        suite: name of the suite; by default that of the study.
        only: systems; by default all.
        remove: keys of released rows, as the differences show them.
        dry_run: write nothing.

    Raises:
        InputError: the code has local changes, a row may not be released, or none would be left.
        CorruptError: the existing suite was altered.
    """
    remove = remove or []
    require_committed_code()
    rows = _rows_to_release(energies, only or []) if energies is not None else []
    name = _suite_name(suite, rows)
    directory = Path(layout.PUBLISHED, name)
    before = read_suite(directory) if directory.is_dir() else Suite([], pd.DataFrame())
    old = _by_key(before.rows)
    for key in remove:
        if key not in old:
            hint = nearest(key, old) if old else "it has no rows."
            raise InputError(f"--remove: {name} has no row {key!r}; {hint}")
    left_out = [row for row in rows if released.lacks_explanation(row)]
    new = _by_key([row for row in rows if row not in left_out])
    merged = {key: row for key, row in (old | new).items() if key not in remove}
    changes = [
        *(released.row_change(old.get(key), row) for key, row in new.items() if key in merged),
        *(Change("removed", key) for key in remove),
        *(Change("left out", row.label, f"{row.status} without a reason") for row in left_out),
    ]
    print(*changes, sep="\n")
    _print_notes(name, new, merged, changes)
    if not merged:
        raise InputError(f"nothing would be left of {directory}; remove it with git instead.")
    if dry_run or all(change.kind in ("unchanged", "left out") for change in changes):
        print("Nothing is written.")
        return
    write_suite(directory, Suite(list(merged.values()), _histories(before, merged, new)))
    print(f"Written to {directory}; commit it.")


def _by_key(rows: Rows) -> dict[str, EnergyRow]:
    return {row.label: row for row in rows}


def _print_notes(
    name: str, new: dict[str, EnergyRow], merged: dict[str, EnergyRow], changes: list[Change]
) -> None:
    """Print remaining rows of other settings, doubts about new rows, and the totals."""
    names = [name for name in released.RUN_KEY if name != "config_hash"]
    kept = {key: row for key, row in merged.items() if key not in new}
    runs = grouped(filter(released.is_run, new.values()), *names)
    for run, rows in grouped(filter(released.is_run, kept.values()), *names).items():
        for key in [row.label for row in rows if run in runs]:
            print(f"note: {key} has other settings and stays; --remove '{key}' takes it out.")
    references = project_references()
    for key, row in new.items():
        for doubt in flags(row, references):
            print(f"doubtful: {key}: {doubt}.")
    kinds = [change.kind for change in changes]
    counts = "".join(f"{kinds.count(kind)} {kind}, " for kind in dict.fromkeys(kinds))
    print(f"{name}: {counts}{len(kept)} of other keys stay, {len(merged)} rows in all.")


def require_committed_code() -> None:
    """Refuse to release rows if the code has local changes or is not in a git clone."""
    changed = local_changes(CODE)
    if changed is None:
        raise InputError("this is not a git clone of the project; release rows from a clone.")
    if changed:
        raise InputError(
            f"{len(changed)} file{'s' * (len(changed) > 1)} of {', '.join(CODE)} "
            f"({changed[0]} for example) differ from the commit; commit them, compute the rows "
            "again and release those."
        )


def _rows_to_release(energies: Path, only: Sequence[str]) -> Rows:
    """Read the rows to release; each must have its provenance and the files that it names."""
    rows = read_rows(energies)
    systems = distinct(rows, "system")
    for system in only:
        if system not in systems:
            raise InputError(f"{energies} has no system {system!r}; {nearest(system, systems)}")
    rows = [row for row in rows if not only or row.system in only]
    if not rows:
        raise InputError(f"{energies} has no rows; compute the study first.")
    for row in rows:
        if problem := released.release_error(row):
            raise InputError(f"{row.label} of {energies} {problem}.")
        if released.is_run(row):
            _check_run(row)
    return rows


def _suite_name(suite: str | None, rows: Rows) -> str:
    studies = distinct(rows, "study")
    if suite is None and len(studies) != 1:
        reason = f"the rows are of {', '.join(studies)}" if studies else "no energies are given"
        raise InputError(f"{reason}; name the suite with --suite.")
    name = suite or studies[0]
    if not SUITE_NAME.fullmatch(name):
        raise InputError(
            f"--suite {name!r} is not the name of a folder; use letters, digits, "
            "underscores and hyphens."
        )
    return name


def _check_run(row: EnergyRow) -> None:
    """Refuse a run whose trained file or configuration is another than that of its row."""
    trained, sha256 = Path(run_file(row, layout.TRAINED)), row.details.trained_sha256
    if sha256 and trained.exists() and file_sha256(trained) != sha256:
        raise InputError(
            f"{trained} is not the file that {row.label} was measured with; evaluate it and "
            "collect again."
        )
    check_configuration(row)


def _histories(
    before: Suite, merged: dict[str, EnergyRow], new: dict[str, EnergyRow]
) -> pd.DataFrame:
    """Return the thinned histories: of new rows from the run's file, of others from the suite."""
    parts, old = [], _by_key(before.rows)
    for key, row in merged.items():
        if not released.is_run(row):
            continue
        file = Path(run_file(row, layout.HISTORY))
        if key in new and file.exists():
            parts.append(released.thin_history(row, read_table(file)))
        elif row == old.get(key):
            parts.append(released.history_of(before.histories, row))
    parts = [part for part in parts if not part.empty]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def verify(directories: Sequence[Path] = ()) -> None:
    """Recompute all hashes of suites and check submissions, by default all; print a line for each.

    Raises:
        CorruptError: a file differs; the other suites and submissions are still verified.
        FermiNetError: a submission is refused; its further faults are printed.
    """
    directories = directories or [*layout.suites().values(), *layout.submissions().values()]
    if not directories:
        raise InputError(f"{layout.PUBLISHED} holds no suites; release rows with `ferminet bless`.")
    problems: list[FermiNetError] = []
    for directory in directories:
        try:
            if (directory / layout.SUBMISSION).is_file():
                problems += _verify_submission(directory)
                continue
            rows = read_suite(directory).rows
            states = [_trained_state(row) for row in rows if released.is_run(row)]
        except FermiNetError as error:
            problems.append(error)
            continue
        others = states.count("another")
        anew = f", {others} were trained anew here" if others else ""
        print(
            f"{directory.name}: {len(rows)} rows, {len(states)} of them runs; all hashes agree; "
            f"{states.count('same')} of their trained wavefunctions are here and agree{anew}."
        )
    if problems:
        raise problems[0]


def _verify_submission(folder: Path) -> Sequence[FermiNetError]:
    """Print doubts and all faults of a submission but the first; return the faults."""
    references = project_references()
    entry = read_submission(folder, references)
    for row in entry.rows:
        for doubt in flags(row, references) if row.status != "suspicious" else ():
            print(f"doubtful: {row.label}: {doubt}.")
    for fault in entry.faults[1:]:
        print(f"refused: {fault}")
    if not entry.faults:
        print(f"{folder.name}: a submission of {count(len(entry.rows), 'row')}; all checks pass.")
    return entry.faults


def _trained_state(row: EnergyRow) -> str:
    """Return whether the trained file in the results folder is the same, another, or absent.

    A run that a reader trained has the same path and, on another processor, other bits. That is
    no damage, unless the row next to it was measured with the released file.
    """
    file, measured = (Path(run_file(row, path)) for path in (layout.TRAINED, layout.ENERGY))
    expected = row.details.trained_sha256
    if expected is None or not file.exists():
        return "absent"
    if file_sha256(file) == expected:
        return "same"
    load_arrays(file)  # raises if it was altered
    local_rows = read_rows(measured) if measured.exists() else []
    if any(local.details.trained_sha256 == expected for local in local_rows):
        raise CorruptError(
            f"{file} differs: it is not the file that {row.label} was measured with; "
            "train and evaluate it again."
        )
    return "another"
