"""Released rows: which rows may be released, how they changed, and how a reader finds their runs.

This module works in memory; `publish` and `suite` handle files and folders.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ferminet.benchmark.numbers import format_value
from ferminet.benchmark.schema import (
    COLUMN_NAMES,
    IMPORTED,
    STATUSES_WITHOUT_ENERGY,
    EnergyRow,
    Rows,
)
from ferminet.runtime.provenance import DIRTY, UNKNOWN
from ferminet.units import MEH_PER_HARTREE

PROVENANCE = ("git_commit", "package_versions", "device", "created_utc", "method_version")
RUN_KEY = ("study", "system", "geometry", "ansatz", "config_hash", "seed")
HISTORY_UNITS = {"energy": "hartree", "variance": "hartree^2"}
HISTORY_POINTS = 200
_HISTORY_TYPES = {"energy": np.float64, "variance": np.float32, "acceptance": np.float32}
_MARK = "published/"


class Change(NamedTuple):
    """The change of one key."""

    kind: str  # new, changed, removed, unchanged or left out
    key: str  # the row's label
    text: str = ""  # the size of the change, or its reason

    def __str__(self) -> str:
        return f"{self.kind:<9}  {self.key}" + (f"  {self.text}" if self.text else "")


def is_run(row: EnergyRow) -> bool:
    """Return whether a row is the energy of a run, finished or not."""
    return row.method == "vmc" and row.energy is not None


def release_error(row: EnergyRow) -> str:
    """Return why a row may not be released, as the end of a sentence; empty if it may."""
    if row.method == IMPORTED:
        return "is imported from another code; release only what this package computed"
    # An unfinished run has no trained wavefunction, and may be collected on another device.
    optional = ("device", "trained_sha256") if row.status == "unfinished" else ()
    for name in PROVENANCE:
        if getattr(row, name) in (None, UNKNOWN) and name not in optional:
            return f"does not state its {name}; compute it from a clone of the project"
    for name in ("configuration", "trained_sha256") if is_run(row) else ():
        if getattr(row.details, name) is None and name not in optional:
            return f"has no {name} in its details; compute it again"
    segments = row.details.trained_by or []
    commits = [row.git_commit, *(segment.get("git_commit") for segment in segments)]
    if any(str(commit).endswith(DIRTY) for commit in commits):
        return "was computed by code with local changes; commit them and compute it again"
    return ""


def lacks_explanation(row: EnergyRow) -> bool:
    """Return whether a row has neither an energy nor the reason why."""
    return row.status in STATUSES_WITHOUT_ENERGY and not row.details.note


def row_change(before: EnergyRow | None, after: EnergyRow) -> Change:
    """Return how a row differs from the released row of the same key, if there is one."""
    key = after.label
    if before is None:
        return Change("new", key, _energy_text(after))
    if before == after:
        return Change("unchanged", key)
    if before.energy is None or after.energy is None:
        return Change("changed", key, f"{_energy_text(before)} becomes {_energy_text(after)}")
    difference = after.energy - before.energy
    if difference == 0.0:
        others = [name for name in COLUMN_NAMES if getattr(after, name) != getattr(before, name)]
        return Change("changed", key, f"same energy, other {', '.join(others)}")
    text = f"by {MEH_PER_HARTREE * difference:+.4g} mEh"
    error = math.hypot(before.stderr or 0.0, after.stderr or 0.0)
    text += f" = {difference / error:+.2g} standard errors" if error else " (no standard error)"
    if before.status != after.status:
        text += f", {before.status} becomes {after.status}"
    return Change("changed", key, text)


def _energy_text(row: EnergyRow) -> str:
    if row.energy is None:
        return f"{row.status.replace('_', ' ')}: {row.details.note or 'no reason'}"
    status = "" if row.status == "complete" else f" ({row.status})"
    return f"{format_value(row.energy, row.stderr)} hartree{status}"


def thin_history(row: EnergyRow, history: pd.DataFrame) -> pd.DataFrame:
    """Return a training history as means over equal blocks, at most `HISTORY_POINTS` of them.

    The columns of the run's key are added; `iteration` is the last of each block.
    """
    n = len(history)
    ends = np.unique(np.linspace(0, n, min(n, HISTORY_POINTS) + 1).round().astype(int))
    columns: dict[str, Any] = {name: [getattr(row, name)] * (len(ends) - 1) for name in RUN_KEY}
    columns["iteration"] = history["iteration"].to_numpy()[ends[1:] - 1].astype(np.int32)
    for name, kind in _HISTORY_TYPES.items():
        sums = np.add.reduceat(history[name].to_numpy(np.float64), ends[:-1])
        columns[name] = (sums / np.diff(ends)).astype(kind)
    return pd.DataFrame(columns)


def history_of(histories: pd.DataFrame, row: EnergyRow) -> pd.DataFrame:
    """Return the lines of one run; none if its history was not released."""
    if histories.empty:
        return histories
    matches = histories[list(RUN_KEY)] == [getattr(row, name) for name in RUN_KEY]
    return histories.iloc[np.flatnonzero(matches.all(axis=1))]


def is_released(row: EnergyRow) -> bool:
    """Return whether a row is one that `append_released` added."""
    return row.study.startswith(_MARK)


def append_released(rows: Rows, suites: Iterable[tuple[str, Rows]]) -> Rows:
    """Return a user's rows, then those of the named suites for the same systems and geometries.

    The study of a released row becomes `published/SUITE`, or `published/SUITE/STUDY` if the names
    differ, so that it is never mistaken for a user's study of the same name.
    """
    keys = {row.geometry_key for row in rows}
    released = [
        row.replace(study=_MARK + suite + ("" if row.study == suite else f"/{row.study}"))
        for suite, members in suites
        for row in members
        if row.geometry_key in keys
    ]
    return rows + released


def without_released(rows: Rows) -> Rows:
    """Return the rows of the user's studies."""
    return [row for row in rows if not is_released(row)]
