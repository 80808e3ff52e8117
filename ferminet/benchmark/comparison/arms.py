"""The two sides of a comparison: the rows of a wavefunction, and whether they are sound.

An unsound energy (below the exact one, or badly sampled) must be corrected before anything is
compared; it is neither a victory nor an outlier to leave out.
"""

from collections.abc import Iterable
from typing import NamedTuple

from ferminet.benchmark.diagnostics import judged_mean, unsound
from ferminet.benchmark.estimates import ansatz_label
from ferminet.benchmark.numbers import geometry_name
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import IMPORTED, Rows, distinct, grouped, vmc_rows
from ferminet.errors import InputError, NotConvergedError

GeometryKey = tuple[str, str]  # system and geometry
_MOST_NAMED = 4  # rows that an error names


class Arm(NamedTuple):
    """The rows of one wavefunction."""

    ansatz: str  # its name in the study
    source: str  # where the rows come from, for messages
    rows: dict[GeometryKey, Rows]  # one row per seed

    @property
    def label(self) -> str:
        """The wavefunction and where it comes from, for messages."""
        return f"{ansatz_label(self.ansatz)} of {self.source}"


def choose_arm(rows: Rows, source: str, ansatz: str | None = None) -> Arm:
    """Select the rows of one wavefunction, which needs no name if there is only one.

    InputError reports a wavefunction or a configuration that is missing or ambiguous.
    """
    sampled = vmc_rows(rows)
    names = distinct(sampled, "ansatz")
    if foreign := distinct((row for row in rows if row.method == IMPORTED), "ansatz"):
        if not names or ansatz in foreign:
            raise InputError(
                f"{source} has energies imported from {', '.join(foreign)}, which decide nothing: "
                "a comparison needs evaluations by this package on both sides. `ferminet tables "
                "--only imported` shows them next to each other."
            )
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
    groups = grouped((row for row in sampled if row.ansatz == chosen), "system", "geometry")
    for (system, geometry), members in groups.items():
        hashes = distinct(members, "config_hash")
        if len(hashes) > 1:
            raise InputError(
                f"{source} has {chosen} for {system}/{geometry} in {len(hashes)} configurations "
                f"({', '.join(hashes)}); compare a study that has one."
            )
    return Arm(chosen, source, {(key[0], key[1]): members for key, members in groups.items()})


def left_out(new: Arm, control: Arm) -> list[str]:
    """Return a note for each arm with systems that the other does not have."""
    notes = []
    for arm, other in ((new, control), (control, new)):
        alone = [key for key in arm.rows if key not in other.rows]
        if alone:
            notes.append(f"Only {arm.label} has {labels(alone)}; not compared.")
    return notes


def refuse_unsound(arm: Arm, geometries: Iterable[GeometryKey], references: References) -> None:
    """Refuse to compare energies that cannot be trusted.

    Raises:
        InputError: a run is not finished.
        NotConvergedError: an energy is missing, below the exact one, or badly sampled.
    """
    groups = {key: arm.rows[key] for key in geometries}
    rows = [row for seeds in groups.values() for row in seeds]
    unfinished = [row.label for row in rows if row.status == "unfinished"]
    if unfinished:
        raise InputError(
            f"{len(unfinished)} of {len(rows)} runs of {arm.label} are not finished, for example "
            f"{unfinished[0]}; finish or remove them."
        )
    doubtful = [
        f"{row.label} ({', '.join(doubts)})" for row in rows if (doubts := unsound(row, references))
    ]
    doubtful = doubtful or [
        f"the mean of {labels([key])} (suspicious: significantly below a bound)"
        for key, seeds in groups.items()
        if judged_mean(seeds, references).status == "suspicious"
    ]
    if doubtful:
        hidden = len(doubtful) - _MOST_NAMED
        more = f"; and {hidden} more" if hidden > 0 else ""
        raise NotConvergedError(
            f"{len(doubtful)} of {len(rows)} energies of {arm.label} are unsound and decide "
            f"nothing: {'; '.join(doubtful[:_MOST_NAMED])}{more}. Evaluate longer "
            "(evaluate.iterations) where walkers disagree, otherwise find the cause; rows are not "
            "left out because of their results."
        )


def labels(keys: Iterable[GeometryKey]) -> str:
    """Return systems and geometries as one text."""
    return ", ".join(geometry_name(*key, "/") for key in keys)
