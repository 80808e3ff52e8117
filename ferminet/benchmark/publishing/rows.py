"""Blessed rows: what may be one, how it differs from the one before, how a reader finds it again.

Only rows and histories in memory; `publish.py` deals with files and folders.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ferminet.benchmark.diagnostics import details
from ferminet.benchmark.numbers import format_value
from ferminet.benchmark.schema import STATUSES_WITHOUT_ENERGY, Row, Rows, describe_key, row, row_key
from ferminet.runtime.provenance import DIRTY, TRAINED_BY, UNKNOWN

PROVENANCE = ("git_commit", "package_versions", "device", "created_utc", "method_version")
# What the row of a run tells in its details of the trained wavefunction that it was measured with.
TRAINED_SHA256, CONFIGURATION, COMMAND = "trained_sha256", "configuration", "command"
RUN_KEY = ("study", "system", "geometry", "ansatz", "config_hash", "seed")
HISTORY_UNITS = {"energy": "hartree", "variance": "hartree^2"}
HISTORY_POINTS = 200
_HISTORY_TYPES = {"energy": np.float64, "variance": np.float32, "acceptance": np.float32}
_MARK = "published/"
_MILLI = 1e3


@dataclass(frozen=True)
class Change:
    """What becomes of one key.

    Attributes:
        kind: new, changed, removed, unchanged or left out.
        key: as `describe_key` writes it.
        text: by how much, or why.
    """

    kind: str
    key: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.kind:<9}  {self.key}" + (f"  {self.text}" if self.text else "")


def key_of(one: Row) -> str:
    """Returns a row's key as text, e.g. `quickstart/LiH/eq/vmc/ferminet/1a2b3c4d/seed 1`."""
    return describe_key(row_key(one))


def is_run(one: Row) -> bool:
    """Whether a row is the energy of a run, finished or not."""
    return one["method"] == "vmc" and one["energy"] is not None


def untold(one: Row) -> set[str]:
    """Returns what the row of a run lacks in its details to be followed back to the run.

    A run that is still training has no trained wavefunction.
    """
    needed = {CONFIGURATION} if one["status"] == "unfinished" else {CONFIGURATION, TRAINED_SHA256}
    return needed - details(one).keys()


def refusal(one: Row) -> str:
    """Returns why a row may not be published, as the end of a sentence; empty if it may."""
    lacking = [name for name in PROVENANCE if one[name] in (None, UNKNOWN)]
    if one["status"] == "unfinished":  # whoever collects it need not be where it is computed
        lacking = [name for name in lacking if name != "device"]
    if lacking:
        return f"does not say its {lacking[0]}; compute it from a clone of the project"
    stretches = details(one).get(TRAINED_BY, [])
    commits = [one["git_commit"], *(stretch.get("git_commit") for stretch in stretches)]
    if any(str(commit).endswith(DIRTY) for commit in commits):
        return "was computed by code with local changes; commit them and compute it again"
    return ""


def without_reason(one: Row) -> bool:
    """Whether a row has no energy and does not say why: it tells a reader nothing."""
    return one["status"] in STATUSES_WITHOUT_ENERGY and not details(one).get("note")


def complete(one: Row, **known: Any) -> Row:
    """Returns a row whose details hold what else is known of its run."""
    return row(**{**one, "details": {**details(one), **known}})


def compare(before: Row | None, after: Row) -> Change:
    """Says how a row differs from the published one of the same key.

    Args:
        before: the published row, None if there is none.
        after: the row that is to be published.
    """
    key = key_of(after)
    if before is None:
        return Change("new", key, _energy(after))
    if before == after:
        return Change("unchanged", key)
    if before["energy"] is None or after["energy"] is None:
        return Change("changed", key, f"{_energy(before)} becomes {_energy(after)}")
    others = [name for name in after if after[name] != before[name] and name != "energy"]
    difference = after["energy"] - before["energy"]
    if difference == 0.0:
        return Change("changed", key, f"same energy, other {', '.join(others)}")
    text = f"by {_MILLI * difference:+.4g} mEh"
    error = math.hypot(before["stderr"] or 0.0, after["stderr"] or 0.0)
    text += f" = {difference / error:+.2g} standard errors" if error else " (no standard error)"
    if before["status"] != after["status"]:
        text += f", {before['status']} becomes {after['status']}"
    return Change("changed", key, text)


def _energy(one: Row) -> str:
    if one["energy"] is None:
        return f"{one['status'].replace('_', ' ')}: {details(one).get('note', 'no reason')}"
    status = "" if one["status"] == "complete" else f" ({one['status']})"
    return f"{format_value(one['energy'], one['stderr'])} hartree{status}"


def other_settings(rows: Rows, before: Rows) -> list[str]:
    """Returns keys of `before` of the same run as one of `rows` but with another config_hash."""

    def run(one: Row) -> tuple[Any, ...]:
        return tuple(one[name] for name in RUN_KEY if name != "config_hash")

    hashes: dict[tuple[Any, ...], set[str]] = {}
    for one in filter(is_run, rows):
        hashes.setdefault(run(one), set()).add(one["config_hash"])
    return [
        key_of(one)
        for one in filter(is_run, before)
        if run(one) in hashes and one["config_hash"] not in hashes[run(one)]
    ]


def thinned(one: Row, history: pd.DataFrame) -> pd.DataFrame:
    """Returns a training history as means over equal blocks, at most `HISTORY_POINTS` of them.

    Args:
        one: the row of the run.
        history: `iteration`, `energy` (hartree), `variance` (hartree^2), `acceptance`, each (n,).

    Returns:
        The same columns, and those of the run's key; an iteration is the last one of its block.
    """
    n = len(history)
    ends = np.unique(np.linspace(0, n, min(n, HISTORY_POINTS) + 1).round().astype(int))
    columns: dict[str, Any] = {name: [one[name]] * (len(ends) - 1) for name in RUN_KEY}
    columns["iteration"] = history["iteration"].to_numpy()[ends[1:] - 1].astype(np.int32)
    for name, kind in _HISTORY_TYPES.items():
        sums = np.add.reduceat(history[name].to_numpy(np.float64), ends[:-1])
        columns[name] = (sums / np.diff(ends)).astype(kind)
    return pd.DataFrame(columns)


def history_of(histories: pd.DataFrame, one: Row) -> pd.DataFrame:
    """Returns the lines of one run; none if its history was not published."""
    if histories.empty:
        return histories
    chosen = np.ones(len(histories), bool)
    for name in RUN_KEY:
        chosen &= (histories[name] == one[name]).to_numpy(bool)
    return histories.iloc[np.flatnonzero(chosen)]


def marked(suite: str, rows: Rows) -> Rows:
    """Returns published rows whose study says that they are: `published/SUITE`.

    So they are never taken for rows of a study of the same name. A study that is not called like
    its suite stands behind it.
    """
    names = {study: _MARK + suite + ("" if study == suite else f"/{study}")
             for study in {one["study"] for one in rows}}  # fmt: skip
    return [{**one, "study": names[one["study"]]} for one in rows]


def is_published(one: Row) -> bool:
    """Whether a row was made by `marked`."""
    return one["study"].startswith(_MARK)


def beside(rows: Rows, suites: Iterable[tuple[str, Rows]]) -> Rows:
    """Returns rows, and behind them the published ones of the same systems and geometries.

    Args:
        rows: a user's own.
        suites: name and rows of each.
    """
    places = {(one["system"], one["geometry"]) for one in rows}
    return rows + [
        one
        for suite, published in suites
        for one in marked(suite, published)
        if (one["system"], one["geometry"]) in places
    ]


def own(rows: Rows) -> Rows:
    """Returns the rows that are not published ones."""
    return [one for one in rows if not is_published(one)]
