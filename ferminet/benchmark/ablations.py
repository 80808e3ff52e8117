"""Series of runs that differ in one setting, from the rows: what the figures of ablations draw."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ferminet.benchmark.estimates import (
    combine_seeds,
    correlation_recovered,
    hartree_fock_limit,
    vmc_groups,
)
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows
from ferminet.config.ablations import Settings, Variation, families, flat, rest_of
from ferminet.units import MEH_PER_HARTREE

NO_SETTINGS = "its rows do not hold its settings"


@dataclass(frozen=True)
class Measured:
    """The energy of one wavefunction at one geometry, seeds combined, with its settings.

    Attributes:
        where: study, system and geometry.
        ansatz: name of the wavefunction.
        settings: what `RunConfig.settings` gave.
        difference: energy minus reference in mEh, or None; and its standard error.
        percent: correlation energy recovered, or None; and its standard error.
        reference: what the difference is to.
        reason: why there is no difference; else empty.
    """

    where: tuple[str, str, str]
    ansatz: str
    settings: Settings
    difference: float | None
    difference_error: float
    percent: float | None
    percent_error: float
    reference: str
    reason: str = ""

    @property
    def place(self) -> str:
        """System, and geometry where it is not the equilibrium."""
        return place_name(*self.where[1:])


@dataclass(frozen=True)
class Line:
    """Points that differ in one setting, in the order of its values.

    Attributes:
        label: the system, and what tells this line from the others of the system.
        values: the setting that is varied.
        points: one per value.
    """

    label: str
    values: list[Any]
    points: list[Measured]


def place_name(system: str, geometry: str) -> str:
    """Writes a system, and its geometry where it is not the equilibrium."""
    return system if geometry == "eq" else f"{system} {geometry}"


def measure(rows: Rows, references: References) -> tuple[list[Measured], list[str]]:
    """Combines the seeds of every wavefunction.

    Returns:
        What has settings, and what has not, by name with the reason.
    """
    found, gaps = [], []
    for (study, system, geometry, ansatz, _), mine in vmc_groups(rows).items():
        settings = next((s for one in mine if (s := one.details.settings)), None)
        if settings is None:
            gaps.append(f"{place_name(system, geometry)}, {ansatz} ({NO_SETTINGS})")
            continue
        estimate = combine_seeds(mine)
        best = references.best(system, geometry)
        here = [one for one in rows if (one.system, one.geometry) == (system, geometry)]
        recovered = correlation_recovered(
            estimate.energy,
            estimate.error,
            mine[0].n_electrons,
            hartree_fock_limit(here, references, system, geometry),
            best,
        )
        difference, error = None, 0.0
        if best is not None and estimate.energy is not None:
            difference = MEH_PER_HARTREE * (estimate.energy - best.energy)
            error = MEH_PER_HARTREE * math.hypot(estimate.error or 0.0, best.uncertainty or 0.0)
        lacking = estimate.status.replace("_", " ") if estimate.energy is None else "no reference"
        found.append(
            Measured(
                (study, system, geometry),
                ansatz,
                settings,
                difference,
                error,
                recovered.percent,
                recovered.error or 0.0,
                best.label if best else "",
                "" if difference is not None else lacking,
            )
        )
    return found, gaps


def ablation_lines(measured: Sequence[Measured], variation: Variation) -> list[Line]:
    """Returns one line for each system and each value of the settings that are not varied."""
    found = []
    for where in dict.fromkeys(one.where for one in measured):
        mine = [(one, one.settings) for one in measured if one.where == where]
        groups = [
            part for group in families(mine, variation) for part in _single_valued(group, variation)
        ]
        rests = [rest_of(group[0][1], Variation(variation.key)) for group in groups]
        for group, rest in zip(groups, rests, strict=True):
            ordered = sorted(group, key=lambda pair: flat(pair[1])[variation.key])
            found.append(
                Line(
                    ", ".join([group[0][0].place, *_distinction(rest, rests, variation)]),
                    [flat(settings)[variation.key] for _, settings in ordered],
                    [one for one, _ in ordered],
                )
            )
    return found


def _single_valued(
    group: list[tuple[Measured, Settings]], variation: Variation
) -> list[list[tuple[Measured, Settings]]]:
    """Divides a family by the settings that are free too where it has two runs at one value."""
    values = [flat(settings)[variation.key] for _, settings in group]
    if len(set(values)) == len(values):
        return [group]
    return families(group, Variation(variation.key))


def _distinction(
    rest: dict[str, Any], others: list[dict[str, Any]], variation: Variation
) -> list[str]:
    """Names the settings in which one line differs from the others of its system."""
    return [
        f"{setting_name(key)} {value}"
        for key, value in rest.items()
        if key not in variation.free and any(other.get(key) != value for other in others)
    ]


def setting_name(key: str) -> str:
    """Writes a setting as prose does.

    >>> setting_name("options.one_electron_width")
    'one-electron width'
    """
    name = key.rpartition(".")[2].replace("_", " ")
    return name.replace("one electron", "one-electron").replace("two electron", "two-electron")
