"""Entries of the registries of tables and figures, and the rule by which they apply.

`TABLES` (in `benchmark.tables`) and `FIGURES` (in `benchmark.figures`) hold the entries. The
workflow reads them before there are results; tables, figures and reports read them afterwards. Both
apply the same rule. This module imports no heavy library: an entry names its builder by path, and
the builder is imported when it is called.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ferminet.methods import load_function

H4 = "H4"  # the curve on which coupled cluster has a false cusp
PAIR = "_pair"  # ends the name of two distant copies of a system
_CURVE = "{curve}"
LEAST_POINTS = 3  # of a line to zero variance
# Measured by experiments/extrapolation.py.
COVERAGE = (
    "For published rows of He, Li, Be and LiH, the bar of an extrapolation holds the exact energy "
    "in 75 % of subsets of four runs, in 61 % of eight and in 71 % of trainings (68 % expected); "
    "the bars of Li with eight runs must be multiplied by 1.7."
)


class Contents(NamedTuple):
    """The contents of a study, or of rows, as far as the registries need them."""

    kinds: Mapping[str, str]  # kind of each system: atom, ion, molecule or curve
    wells: Sequence[str] = ()  # curves over a distance with several geometries
    runs: int = 0  # wavefunctions times seeds, the most at one geometry
    limits: bool = False  # whether there are extrapolations to the basis-set limit
    densities: Sequence[str] = ()  # systems whose one-electron density is measured
    inspected: Sequence[str] = ()  # systems whose wavefunctions are inspected
    imported: Sequence[str] = ()  # systems with energies of other codes
    ablations: Sequence[str] = ()  # names in `config.ablations.VARIATIONS` that wavefunctions vary

    def of_kind(self, *kinds: str) -> list[str]:
        """Return the systems of these kinds."""
        return [system for system, kind in self.kinds.items() if kind in kinds]


Systems = Callable[[Contents], Sequence[str]]


@dataclass(frozen=True)
class Entry:
    """A table or a figure.

    `builder` is `module:function`. It is called with the rows and the literature values, after the
    name of the curve if there is one; a figure that reads histories or densities is called with
    those, or with histories after rows and literature values if it reads both. Inspections are
    found next to the runs of the rows.
    """

    name: str  # stem of its files; `{curve}` stands for the name of each curve
    title: str  # `{system}` stands for the name of the curve
    systems: Systems  # returns the systems that it shows; without any it does not apply
    builder: str
    caption: str  # what a reader sees in it, in one or two sentences
    reads: Literal["energies", "histories", "densities", "both", "inspections"] = "energies"
    details: str = ""  # how it was made and how to read it; the report folds it away


class Target(NamedTuple):
    """A table or figure of one study; if it shows a curve, that is its only system."""

    name: str
    title: str
    entry: Entry
    systems: tuple[str, ...]

    def build(self, *arguments: Any) -> Any:
        """Import and call the builder; the name of the curve, if any, is its first argument."""
        curve = self.systems if _CURVE in self.entry.name else ()
        return load_function(self.entry.builder)(*curve, *arguments)


def targets(entries: Iterable[Entry], contents: Contents) -> list[Target]:
    """Return the tables or figures that apply, in the order of the registry."""
    applying = []
    for entry in entries:
        systems = tuple(entry.systems(contents))
        if _CURVE in entry.name:
            for system in systems:
                curve = system.lower().removesuffix("_curve")  # N2_curve: n2
                title = entry.title.format(system=curve.upper() if len(curve) <= 3 else system)
                applying.append(Target(entry.name.format(curve=curve), title, entry, (system,)))
        elif systems:
            applying.append(Target(entry.name, entry.title, entry, systems))
    return applying


def find_target(name: str, entries: Iterable[Entry], contents: Contents) -> Target | None:
    """Return a table or figure by name, even without systems; None if the name is unknown."""
    entries = tuple(entries)
    empty = [Target(e.name, e.title, e, tuple(contents.kinds)) for e in entries]
    candidates = [*targets(entries, contents), *empty]
    return next((target for target in candidates if target.name == name), None)


def pairs(names: Iterable[str]) -> list[str]:
    """Return the systems X for which there is a system X_pair."""
    names = list(names)
    return [name for name in names if name + PAIR in names]


def all_curves(contents: Contents) -> list[str]:
    """Return all curves."""
    return contents.of_kind("curve")


def everything_sampled(contents: Contents) -> list[str]:
    """Return all systems if there are wavefunctions."""
    return list(contents.kinds) if contents.runs else []
