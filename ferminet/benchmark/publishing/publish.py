"""The commands `ferminet bless` and `ferminet verify`: release rows, and check released rows."""

from pathlib import Path

import pandas as pd

from ferminet.benchmark.diagnostics import flags
from ferminet.benchmark.publishing import rows as released
from ferminet.benchmark.publishing.rows import Change
from ferminet.benchmark.publishing.suite import (
    Suite,
    check_configuration,
    read_suite,
    run_files,
    write_suite,
)
from ferminet.benchmark.records import read_rows, read_table
from ferminet.benchmark.references import load_references
from ferminet.benchmark.schema import EnergyRow, distinct
from ferminet.config import layout
from ferminet.config.blocks import SUITE_NAME
from ferminet.config.study import references_directory
from ferminet.errors import CorruptError, FermiNetError, InputError
from ferminet.runtime.checkpoint import load_arrays
from ferminet.runtime.files import file_sha256
from ferminet.runtime.provenance import local_changes
from ferminet.systems.suggestions import nearest

# Local changes in these folders would make a released row a number that cannot be reproduced.
CODE = ("ferminet", "workflow", "molecules")


def bless(
    energies: Path | None,
    suite: str | None = None,
    only: list[str] | None = None,
    remove: list[str] | None = None,
    dry_run: bool = False,
) -> None:
    """Copy rows of a study into a suite, and print the difference and all doubts before.

    list[EnergyRow] of the same key are replaced, all others stay. Everything is written or nothing.

    Args:
        energies: result of `ferminet collect`; None if rows are only removed.
        suite: name of the suite; by default the study's.
        only: systems; by default all.
        remove: keys of released rows, as the difference shows them.
        dry_run: write nothing.

    Raises:
        InputError: the code has local changes, a row lacks its provenance, its trained wavefunction
            is not known, or no row would be left.
        CorruptError: the existing suite was altered.
    """
    remove = remove or []
    require_committed_code()
    rows = _chosen(energies, only) if energies is not None else []
    name = _suite_name(suite, rows)
    directory = Path(layout.PUBLISHED, name)
    before = read_suite(directory) if directory.is_dir() else Suite([], pd.DataFrame())
    old = _by_key(before.rows)
    for key in remove:
        if key not in old:
            hint = nearest(key, old) if old else "it has no rows."
            raise InputError(f"--remove: {name} has no row {key!r}; {hint}")
    left_out = [one for one in rows if released.lacks_explanation(one)]
    new = _by_key([one for one in rows if one not in left_out])
    for one in filter(released.is_run, new.values()):
        _check_run(one)
    merged = {key: one for key, one in (old | new).items() if key not in remove}
    changes = [
        *(released.row_change(old.get(key), one) for key, one in new.items() if key in merged),
        *(Change("removed", key) for key in remove),
        *(Change("left out", one.label, f"{one.status} without a reason") for one in left_out),
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


def _by_key(rows: list[EnergyRow]) -> dict[str, EnergyRow]:
    return {one.label: one for one in rows}


def _print_notes(
    name: str, new: dict[str, EnergyRow], merged: dict[str, EnergyRow], changes: list[Change]
) -> None:
    """Print remaining rows of other settings, doubts about new rows, and the totals."""
    for key in released.keys_with_other_settings(list(new.values()), list(merged.values())):
        print(f"note: {key} has other settings and stays; --remove '{key}' takes it out.")
    references = load_references(references_directory())
    for key, one in new.items():
        for doubt in flags(one, references):
            print(f"doubtful: {key}: {doubt}.")
    kinds = [change.kind for change in changes]
    counts = "".join(f"{kinds.count(kind)} {kind}, " for kind in dict.fromkeys(kinds))
    kept = len(merged.keys() - new.keys())
    print(f"{name}: {counts}{kept} of other keys stay, {len(merged)} rows in all.")


def require_committed_code() -> None:
    """Refuse to release rows if the code has local changes or is not in a git clone."""
    changed = local_changes(CODE)
    if changed is None:
        raise InputError("rows are published from a clone of the project, and git knows none here.")
    if changed:
        raise InputError(
            f"{len(changed)} file{'s' * (len(changed) > 1)} of {', '.join(CODE)} "
            f"({changed[0]} for one) differ from the commit; commit them, compute and publish then."
        )


def _chosen(energies: Path, only: list[str] | None) -> list[EnergyRow]:
    """Read the rows to release; each must have its provenance."""
    rows = read_rows(energies)
    systems = distinct(rows, "system")
    for system in only or []:
        if system not in systems:
            raise InputError(f"{energies} has no system {system!r}; {nearest(system, systems)}")
    rows = [one for one in rows if not only or one.system in only]
    if not rows:
        raise InputError(f"{energies} has no rows; compute the study first.")
    for one in rows:
        if problem := released.release_error(one):
            raise InputError(f"{one.label} of {energies} {problem}.")
    return rows


def _suite_name(suite: str | None, rows: list[EnergyRow]) -> str:
    studies = distinct(rows, "study")
    if suite is None and len(studies) != 1:
        found = f"the rows are of {', '.join(studies)}" if studies else "no energies are given"
        raise InputError(f"{found}; name the suite with --suite.")
    name = suite or studies[0]
    if not SUITE_NAME.fullmatch(name):
        raise InputError(
            f"--suite {name!r} is no name of a folder; use letters, digits, underscores, hyphens."
        )
    return name


def _check_run(one: EnergyRow) -> None:
    """Refuse a run without its trained file's hash and configuration, or with another one's."""
    key = one.label
    if missing := released.missing_provenance(one):
        raise InputError(f"{key} lacks {missing[0]} in its details; compute it again.")
    trained = Path(run_files(one)["train"])
    sha256 = one.details.trained_sha256
    if sha256 and trained.exists() and file_sha256(trained) != sha256:
        raise InputError(
            f"{trained} is not the file that {key} was measured with; evaluate it and collect "
            "again."
        )
    check_configuration(one)


def _histories(
    before: Suite, merged: dict[str, EnergyRow], new: dict[str, EnergyRow]
) -> pd.DataFrame:
    """Return the thinned histories: of new rows from the run's file, of others from the suite."""
    parts, old = [], _by_key(before.rows)
    for key, one in merged.items():
        if not released.is_run(one):
            continue
        file = Path(run_files(one)["history"])
        if key in new and file.exists():
            parts.append(released.thin_history(one, read_table(file)))
        elif one == old.get(key):
            parts.append(released.history_of(before.histories, one))
    parts = [part for part in parts if not part.empty]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def verify(directories: list[Path] | None = None) -> None:
    """Recompute all hashes of suites and print one line for each.

    Args:
        directories: the suites; by default all.

    Raises:
        InputError: there is nothing to verify.
        CorruptError: a file differs; the other suites are verified nevertheless.
    """
    chosen = directories or list(layout.suites().values())
    if not chosen:
        raise InputError(f"nothing is published in {layout.PUBLISHED}; `ferminet bless` does that.")
    problem: FermiNetError | None = None
    for directory in chosen:
        try:
            print(_verified(directory))
        except FermiNetError as error:
            problem = problem or error
    if problem:
        raise problem


def _verified(directory: Path) -> str:
    rows = read_suite(directory).rows
    states = [_trained_state(one) for one in rows if released.is_run(one)]
    text = (
        f"{directory.name}: {len(rows)} rows, {len(states)} of them runs; all hashes agree; "
        f"{states.count('same')} of their trained wavefunctions are here and agree"
    )
    if others := states.count("another"):
        text += f", {others} were trained anew here"
    return text + "."


def _trained_state(one: EnergyRow) -> str:
    """Return whether the trained file in the results folder is the same, another, or absent.

    A run that a reader trained has the same path and, on another processor, other bits. That is
    no damage, unless the row next to it was measured with the released file.
    """
    files = run_files(one)
    file, measured = Path(files["train"]), Path(files["evaluate"])
    expected = one.details.trained_sha256
    if expected is None or not file.exists():
        return "absent"
    if file_sha256(file) == expected:
        return "same"
    load_arrays(file)  # raises if it was altered
    rows_here = read_rows(measured) if measured.exists() else []
    if any(row.details.trained_sha256 == expected for row in rows_here):
        raise CorruptError(
            f"{file} differs: it is not the file that {one.label} was measured with; "
            "train and evaluate it again."
        )
    return "another"
