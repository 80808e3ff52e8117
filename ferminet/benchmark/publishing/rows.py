"""Released rows: which rows may be released, how they changed, and how a reader finds their runs.

Only rows and histories in memory; `publish` and `suite` deal with files and folders.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ferminet.benchmark.numbers import format_value
from ferminet.benchmark.schema import COLUMN_NAMES, STATUSES_WITHOUT_ENERGY, EnergyRow
from ferminet.runtime.provenance import DIRTY, UNKNOWN

PROVENANCE = ("git_commit", "package_versions", "device", "created_utc", "method_version")
RUN_KEY = ("study", "system", "geometry", "ansatz", "config_hash", "seed")
HISTORY_UNITS = {"energy": "hartree", "variance": "hartree^2"}
HISTORY_POINTS = 200
_HISTORY_TYPES = {"energy": np.float64, "variance": np.float32, "acceptance": np.float32}
_MARK = "published/"


@dataclass(frozen=True)
class Change:
    """What happens to one key."""

    kind: str  # new, changed, removed, unchanged or left out
    key: str  # the row's label
    text: str = ""  # the size of the change, or its reason

    def __str__(self) -> str:
        return f"{self.kind:<9}  {self.key}" + (f"  {self.text}" if self.text else "")


def is_run(one: EnergyRow) -> bool:
    """Return whether a row is the energy of a run, finished or not."""
    return one.method == "vmc" and one.energy is not None


def missing_provenance(one: EnergyRow) -> list[str]:
    """Return the details that the row of a run lacks to be traced back to the run.

    A run that is still training has no trained wavefunction.
    """
    needed = (
        ["configuration"] if one.status == "unfinished" else ["configuration", "trained_sha256"]
    )
    return [name for name in needed if getattr(one.details, name) is None]


def release_error(one: EnergyRow) -> str:
    """Return why a row may not be released, as the end of a sentence; empty if it may."""
    missing = [name for name in PROVENANCE if getattr(one, name) in (None, UNKNOWN)]
    if one.status == "unfinished" and "device" in missing:  # it may be collected elsewhere
        missing.remove("device")
    if missing:
        return f"does not say its {missing[0]}; compute it from a clone of the project"
    commits = [
        one.git_commit,
        *(part.get("git_commit") for part in one.details.trained_by or []),
    ]
    if any(str(commit).endswith(DIRTY) for commit in commits):
        return "was computed by code with local changes; commit them and compute it again"
    return ""


def lacks_explanation(one: EnergyRow) -> bool:
    """Return whether a row has neither an energy nor the reason why."""
    return one.status in STATUSES_WITHOUT_ENERGY and not one.details.note


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
    text = f"by {1e3 * difference:+.4g} mEh"
    error = math.hypot(before.stderr or 0.0, after.stderr or 0.0)
    text += f" = {difference / error:+.2g} standard errors" if error else " (no standard error)"
    if before.status != after.status:
        text += f", {before.status} becomes {after.status}"
    return Change("changed", key, text)


def _energy_text(one: EnergyRow) -> str:
    if one.energy is None:
        return f"{one.status.replace('_', ' ')}: {one.details.note or 'no reason'}"
    status = "" if one.status == "complete" else f" ({one.status})"
    return f"{format_value(one.energy, one.stderr)} hartree{status}"


def keys_with_other_settings(rows: list[EnergyRow], before: list[EnergyRow]) -> list[str]:
    """Return keys of `before` whose run is in `rows` with other values of config_hash only."""

    def run(one: EnergyRow) -> tuple[Any, ...]:
        return tuple(getattr(one, name) for name in RUN_KEY if name != "config_hash")

    hashes: dict[tuple[Any, ...], set[str | None]] = {}
    for one in filter(is_run, rows):
        hashes.setdefault(run(one), set()).add(one.config_hash)
    return [
        one.label
        for one in filter(is_run, before)
        if one.config_hash not in hashes.get(run(one), {one.config_hash})
    ]


def thin_history(one: EnergyRow, history: pd.DataFrame) -> pd.DataFrame:
    """Return a training history as means over equal blocks, at most `HISTORY_POINTS` of them.

    Args:
        one: the row of the run.
        history: `iteration`, `energy` (hartree), `variance` (hartree^2), `acceptance`, each (n,).

    Returns:
        The same columns and those of the run's key; `iteration` is the last of each block.
    """
    n = len(history)
    ends = np.unique(np.linspace(0, n, min(n, HISTORY_POINTS) + 1).round().astype(int))
    columns: dict[str, Any] = {name: [getattr(one, name)] * (len(ends) - 1) for name in RUN_KEY}
    columns["iteration"] = history["iteration"].to_numpy()[ends[1:] - 1].astype(np.int32)
    for name, kind in _HISTORY_TYPES.items():
        sums = np.add.reduceat(history[name].to_numpy(np.float64), ends[:-1])
        columns[name] = (sums / np.diff(ends)).astype(kind)
    return pd.DataFrame(columns)


def history_of(histories: pd.DataFrame, one: EnergyRow) -> pd.DataFrame:
    """Return the lines of one run; none if its history was not released."""
    if histories.empty:
        return histories
    matches = np.ones(len(histories), bool)
    for name in RUN_KEY:
        matches &= (histories[name] == getattr(one, name)).to_numpy(bool)
    return histories.iloc[np.flatnonzero(matches)]


def mark_released(suite: str, rows: list[EnergyRow]) -> list[EnergyRow]:
    """Return a suite's rows with the study `published/SUITE`, or `published/SUITE/STUDY`.

    A released row is thus never taken for a row of a user's study of the same name.
    """
    return [
        one.replace(study=_MARK + suite + ("" if one.study == suite else f"/{one.study}"))
        for one in rows
    ]


def is_released(one: EnergyRow) -> bool:
    """Return whether a row is one that `mark_released` made."""
    return one.study.startswith(_MARK)


def append_released(
    rows: list[EnergyRow], suites: Iterable[tuple[str, list[EnergyRow]]]
) -> list[EnergyRow]:
    """Return a user's rows, then those of the named suites for the same systems and geometries."""
    keys = {one.geometry_key for one in rows}
    released = (one for suite, members in suites for one in mark_released(suite, members))
    return rows + [one for one in released if one.geometry_key in keys]


def without_released(rows: list[EnergyRow]) -> list[EnergyRow]:
    """Return the rows of the user's studies."""
    return [one for one in rows if not is_released(one)]
