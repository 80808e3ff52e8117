"""The two sides of a comparison: which rows belong to a wavefunction, and whether they are sound.

An energy that is unsound (below the exact one, from walkers that disagree or drift) is an error to
be mended before anything is compared, never a victory and never an outlier to be left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ferminet.benchmark.diagnostics import unsound
from ferminet.benchmark.estimates import ansatz_label
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import EnergyRow, Rows, distinct, grouped
from ferminet.errors import InputError, NotConvergedError

Place = tuple[str, str]  # system and geometry
_SHOWN = 4  # rows that an error names
# What the two arms should have in common for their energies to say something about the network.
_COMPARED = (
    ("training iterations", ("train", "iterations")),
    ("walkers", ("sampler", "walkers")),
    ("optimiser", ("optimizer", "name")),
    ("precision", ("precision",)),
)


@dataclass(frozen=True)
class Arm:
    """One wavefunction's rows, all its seeds, by system and geometry.

    Attributes:
        ansatz: its name in the study.
        source: where the rows come from, for messages.
        rows: one per seed.
    """

    ansatz: str
    source: str
    rows: dict[Place, Rows]

    @property
    def label(self) -> str:
        """How a reader knows it."""
        return f"{ansatz_label(self.ansatz)} of {self.source}"


def choose_arm(rows: Rows, source: str, ansatz: str | None = None) -> Arm:
    """Picks the rows of one wavefunction.

    Args:
        rows: rows of results.
        source: where they come from, for messages.
        ansatz: its name; may be left out if there is one only.

    Raises:
        InputError: there is none, more than one, or several configurations of one system.
    """
    of_runs = [row for row in rows if row.method == "vmc"]
    names = distinct(of_runs, "ansatz")
    if not names:
        raise InputError(f"{source} has no energies of wavefunctions; compute its study first.")
    if ansatz is None and len(names) > 1:
        raise InputError(
            f"{source} has the wavefunctions {', '.join(names)}; choose one with --ansatz or "
            "--baseline-ansatz."
        )
    chosen = ansatz or names[0]
    if chosen not in names:
        raise InputError(f"{source} has no wavefunction {chosen!r}; it has {', '.join(names)}.")
    groups = grouped((row for row in of_runs if row.ansatz == chosen), "system", "geometry")
    for (system, geometry), mine in groups.items():
        kinds = distinct(mine, "config_hash")
        if len(kinds) > 1:
            raise InputError(
                f"{source} has {chosen} for {system}/{geometry} in {len(kinds)} configurations "
                f"({', '.join(kinds)}); compare a study that has one."
            )
    return Arm(chosen, source, {(str(key[0]), str(key[1])): mine for key, mine in groups.items()})


def common_places(new: Arm, baseline: Arm) -> list[Place]:
    """The systems and geometries that both arms have, in the baseline's order.

    Raises:
        InputError: there are none.
    """
    places = [place for place in baseline.rows if place in new.rows]
    if not places:
        raise InputError(
            f"{new.source} and {baseline.source} have no system in common: the first has "
            f"{_names(new.rows)}, the second {_names(baseline.rows)}."
        )
    return places


def left_out(new: Arm, baseline: Arm) -> list[str]:
    """Says which systems only one of the arms has."""
    notes = []
    for one, other in ((new, baseline), (baseline, new)):
        alone = [place for place in one.rows if place not in other.rows]
        if alone:
            notes.append(f"Only {one.label} has {_names(alone)}; not compared.")
    return notes


def refuse_unsound(arm: Arm, places: Iterable[Place], references: References) -> None:
    """Refuses to compare energies that nobody should believe.

    Raises:
        InputError: a run is not finished.
        NotConvergedError: an energy is missing, below the exact one, or badly sampled.
    """
    rows = [row for place in places for row in arm.rows[place]]
    waiting = [row for row in rows if row.status == "unfinished"]
    if waiting:
        raise InputError(
            f"{len(waiting)} of {len(rows)} runs of {arm.label} are not finished, "
            f"{waiting[0].label} for one; finish or remove them."
        )
    found = [(row, doubts) for row in rows if (doubts := _doubts(row, references))]
    if found:
        shown = "; ".join(f"{row.label} ({', '.join(doubts)})" for row, doubts in found[:_SHOWN])
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise NotConvergedError(
            f"{len(found)} of {len(rows)} energies of {arm.label} are unsound and decide nothing: "
            f"{shown}{more}. Evaluate longer (evaluate.iterations) where walkers disagree, else "
            "find the cause; rows are not left out by their results."
        )


def _doubts(row: EnergyRow, references: References) -> list[str]:
    """What makes an energy unusable; a spin that is off is reported elsewhere."""
    if row.energy is None:
        return [f"no energy, {row.status.replace('_', ' ')}"]
    return unsound(row, references)


def unequal_settings(new: Arm, baseline: Arm, places: Iterable[Place]) -> list[str]:
    """Says in which settings of training the two arms differ, so that a reader can weigh it."""
    notes = []
    for name, path in _COMPARED:
        unequal = [
            f"{system} {mine} against {theirs}"
            for system, geometry in places
            if (mine := _setting(new.rows[system, geometry][0], path))
            != (theirs := _setting(baseline.rows[system, geometry][0], path))
            and None not in (mine, theirs)
        ]
        if unequal:
            notes.append(f"Unequal {name}: {', '.join(unequal)}.")
    return notes


def _setting(row: EnergyRow, path: tuple[str, ...]) -> Any:
    value: Any = row.details.settings
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _names(places: Iterable[Place]) -> str:
    return ", ".join(
        system if geometry == "eq" else f"{system}/{geometry}" for system, geometry in places
    )


def place_label(place: Place) -> str:
    """A system and its geometry as tables show them: LiH, H4/a90."""
    return _names([place])
