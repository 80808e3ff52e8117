"""Series of runs that differ in one setting, for the figures of ablations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ferminet.benchmark.estimates import (
    combine_seeds,
    correlation_recovered,
    hartree_fock_limit,
    vmc_groups,
)
from ferminet.benchmark.numbers import difference_meh, geometry_name
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows
from ferminet.config.ablations import Settings, Variation, families, flat, rest_of

NO_SETTINGS = "its rows do not hold its settings"


@dataclass(frozen=True)
class Measured:
    """The energy of one wavefunction at one geometry, seeds combined, with its settings.

    Attributes:
        geometry_key: study, system and geometry.
        ansatz: name of the wavefunction.
        settings: what `RunConfig.settings` returned.
        difference: energy minus reference in mEh, or None; and its standard error.
        percent: correlation energy recovered, or None; and its standard error.
        reference: label of the reference.
        reason: why there is no difference; else empty.
    """

    geometry_key: tuple[str, str, str]
    ansatz: str
    settings: Settings
    difference: float | None
    difference_error: float
    percent: float | None
    percent_error: float
    reference: str
    reason: str = ""

    @property
    def geometry_name(self) -> str:
        """Name of the system, with the geometry unless it is the equilibrium."""
        return geometry_name(*self.geometry_key[1:])


@dataclass(frozen=True)
class Line:
    """Points that differ in one setting, in the order of its values.

    Attributes:
        label: the system, and what distinguishes this line from the others of the system.
        values: the setting that is varied.
        points: one per value.
    """

    label: str
    values: list[Any]
    points: list[Measured]


def measure(rows: Rows, references: References) -> tuple[list[Measured], list[str]]:
    """Combine the seeds of every wavefunction.

    Returns:
        The wavefunctions with settings, and the names of those without, each with the reason.
    """
    measured, gaps = [], []
    for (study, system, geometry, ansatz, _), seeds in vmc_groups(rows).items():
        settings = next((s for row in seeds if (s := row.details.settings)), None)
        if settings is None:
            gaps.append(f"{geometry_name(system, geometry)}, {ansatz} ({NO_SETTINGS})")
            continue
        estimate = combine_seeds(seeds)
        best = references.best(system, geometry)
        same_geometry = [row for row in rows if row.geometry_key == (system, geometry)]
        recovered = correlation_recovered(
            estimate.energy,
            estimate.error,
            seeds[0].n_electrons,
            hartree_fock_limit(same_geometry, references, system, geometry),
            best,
        )
        difference, error, reason = None, 0.0, "no reference"
        if estimate.energy is None:
            reason = estimate.status.replace("_", " ")
        elif best is not None:
            difference, error = difference_meh(estimate.energy, estimate.error, best)
            reason = ""
        measured.append(
            Measured(
                (study, system, geometry),
                ansatz,
                settings,
                difference,
                error,
                recovered.percent,
                recovered.error or 0.0,
                best.label if best else "",
                reason,
            )
        )
    return measured, gaps


def ablation_lines(measured: Sequence[Measured], variation: Variation) -> list[Line]:
    """Return one line for each system and each value of the settings that are not varied."""
    lines = []
    for key in dict.fromkeys(point.geometry_key for point in measured):
        points = [(point, point.settings) for point in measured if point.geometry_key == key]
        groups = [
            part
            for family in families(points, variation)
            for part in _single_valued(family, variation)
        ]
        rests = [rest_of(group[0][1], Variation(variation.key)) for group in groups]
        for group, rest in zip(groups, rests, strict=True):
            value_and_point = [(flat(settings)[variation.key], point) for point, settings in group]
            value_and_point.sort(key=lambda pair: pair[0])
            differing = [
                f"{setting_name(name)} {value}"
                for name, value in rest.items()
                if name not in variation.free and any(r.get(name) != value for r in rests)
            ]
            label = ", ".join([group[0][0].geometry_name, *differing])
            values, ordered = zip(*value_and_point, strict=True)
            lines.append(Line(label, list(values), list(ordered)))
    return lines


def _single_valued(
    family: list[tuple[Measured, Settings]], variation: Variation
) -> list[list[tuple[Measured, Settings]]]:
    """Divide a family that has two runs at one value by the settings that may differ too."""
    values = [flat(settings)[variation.key] for _, settings in family]
    if len(set(values)) == len(values):
        return [family]
    return families(family, Variation(variation.key))


def setting_name(key: str) -> str:
    """Write a setting as prose does.

    >>> setting_name("options.one_electron_width")
    'one-electron width'
    """
    name = key.rpartition(".")[2].replace("_", " ")
    return name.replace("one electron", "one-electron").replace("two electron", "two-electron")
