"""Curves as series: the energies of each method along a parameter.

H4 on a circle has two quantities more: the curvature at the square, where coupled cluster has a
false cusp, and the difference between congruent rectangles (85 and 95 degrees are the same
molecule, turned), which should vanish.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ferminet.benchmark.estimates import (
    METHOD_LABELS,
    Estimate,
    ansatz_label,
    baseline_estimate,
    basis_label,
    basis_rank,
    combine_seeds,
    vmc_groups,
)
from ferminet.benchmark.publishing.rows import is_released, without_released
from ferminet.benchmark.references import BEST_QUANTITIES, References, quantity_label
from ferminet.benchmark.schema import Rows, distinct, grouped
from ferminet.methods import METHODS

PAPER = "ferminet_paper"
Derived = tuple[float, float]  # a value and its standard error, both in hartree
H4_CURVATURE = ("a85", "a90", "a95")
H4_CONGRUENT = (("a85", "a95"), ("a88", "a92"))


@dataclass(frozen=True)
class Series:
    """Energies of one method along a curve.

    Attributes:
        label: name for tables and figures.
        kind: vmc, baseline or published.
        name: machine-readable name: ansatz, method_basis, or quantity.
        points: energy by label of the geometry.
        study: study of a series of kind vmc.
        config_hash: hashes of the settings of a series of kind vmc, one per geometry.
        in_smaller_basis: whether another series of kind baseline has a larger basis set.
    """

    label: str
    kind: str
    name: str
    points: dict[str, Estimate]
    study: str = ""
    config_hash: str = ""
    in_smaller_basis: bool = False


def curve_systems(rows: Rows) -> list[str]:
    """Returns the systems whose rows have a parameter, as listed."""
    return distinct((row for row in rows if row.parameter is not None), "system")


def curve_rows(system: str, rows: Rows) -> Rows:
    """Returns the rows of one curve."""
    return [row for row in rows if row.system == system and row.parameter is not None]


def curve_parameters(system: str, rows: Rows) -> dict[str, float]:
    """Returns the parameter of each geometry of a curve, sorted by it."""
    found = {
        row.geometry: row.parameter for row in curve_rows(system, rows) if row.parameter is not None
    }
    return dict(sorted(found.items(), key=lambda item: item[1]))


def parameter_title(system: str, rows: Rows) -> str:
    """Returns name and unit of a curve's parameter, e.g. `angle / degree`."""
    mine = curve_rows(system, rows)[0]
    name = mine.parameter_name or "parameter"
    return f"{name} / {mine.parameter_unit}" if mine.parameter_unit else name


def best_quantity(system: str, rows: Rows, references: References) -> str | None:
    """Returns the best published quantity that covers at least one geometry of these rows."""
    geometries = curve_parameters(system, rows)
    return next(
        (
            quantity
            for quantity in BEST_QUANTITIES
            if any(references.lookup(system, geometry, quantity) for geometry in geometries)
        ),
        None,
    )


def curve_series(system: str, rows: Rows, references: References) -> list[Series]:
    """Returns all series of a curve: sampled, then baselines, then published."""
    mine = curve_rows(system, rows)
    geometries = curve_parameters(system, rows)
    return [
        *_vmc_series(mine),
        *_baseline_series(mine),
        *_published_series(system, geometries, references),
    ]


def _vmc_series(mine: Rows) -> list[Series]:
    """Returns one series per study and wavefunction.

    Each geometry has its own config_hash, because the hash covers the geometry. Only where one
    wavefunction has two hashes at the same geometry do they belong to different series.
    """
    points: dict[tuple[str, str, int], dict[str, Estimate]] = {}
    hashes: dict[tuple[str, str, int], dict[str, None]] = {}
    for (study, _, geometry, ansatz, config_hash), group in vmc_groups(mine).items():
        number = 0
        while geometry in points.get((study, ansatz, number), {}):
            number += 1
        points.setdefault((study, ansatz, number), {})[geometry] = combine_seeds(group)
        hashes.setdefault((study, ansatz, number), {})[config_hash] = None
    series = []
    for (study, ansatz, number), found in points.items():
        label = ansatz_label(ansatz)
        if sum(key[1] == ansatz for key in points) > 1:
            label = f"{label} ({study}, {next(iter(hashes[study, ansatz, number]))})"
        config_hash = " ".join(hashes[study, ansatz, number])
        series.append(Series(label, "vmc", ansatz, found, study, config_hash))
    return series


def _baseline_series(mine: Rows) -> list[Series]:
    """Returns the series of conventional methods; published ones are named after their suite."""
    series = _series_of_baselines(without_released(mine))
    others = [row for row in mine if is_released(row) and row.method != "vmc"]
    for (study,), part in grouped(others, "study").items():
        series += [
            replace(one, label=f"{one.label} ({study})", name=f"{one.name}_{study}")
            for one in _series_of_baselines(part)
        ]
    return series


def _series_of_baselines(mine: Rows) -> list[Series]:
    """Returns one series per method and basis, and per study and reference where two were run."""
    series = []
    bases = distinct((row for row in mine if row.method in METHODS), "basis")
    largest = max(bases, key=basis_rank, default="")
    for method in METHODS:
        rows = [row for row in mine if row.method == method]
        for basis in sorted(distinct(rows, "basis"), key=basis_rank):
            label = f"{METHOD_LABELS[method]}/{basis_label(basis)}"
            group = [row for row in rows if row.basis == basis]
            smaller = basis != largest
            if len(grouped(group, "geometry")) == len(group):
                name = f"{method}_{basis}"
                series.append(Series(label, "baseline", name, _points(group), "", "", smaller))
                continue
            several = len(distinct(group, "study")) > 1
            for (study, reference), part in grouped(group, "study", "reference").items():
                name = f"{method}_{reference}_{basis}" + (f"_{study}" if several else "")
                names = [reference.upper() if reference else "", study if several else ""]
                title = f"{label} ({', '.join(filter(None, names))})"
                series.append(Series(title, "baseline", name, _points(part), "", "", smaller))
    return series


def _points(rows: Rows) -> dict[str, Estimate]:
    return {row.geometry: baseline_estimate(row) for row in rows}


def _published_series(
    system: str, geometries: Iterable[str], references: References
) -> list[Series]:
    series = []
    for quantity in references.quantities(system):
        points = {
            entry.geometry: Estimate(
                entry.energy, entry.uncertainty, "complete", source=entry.source
            )
            for entry in references.of_system(system, quantity)
        }
        if not points.keys().isdisjoint(geometries):
            series.append(Series(quantity_label(quantity), "published", quantity, points))
    return series


def curvature(points: Mapping[str, Estimate]) -> Derived | None:
    """Returns E(90) - [E(85) + E(95)]/2 of H4 and its standard error in hartree, or None.

    Args:
        points: energies by label of the geometry.
    """
    low, centre, high = (points.get(label) for label in H4_CURVATURE)
    if low is None or centre is None or high is None:
        return None
    if low.energy is None or centre.energy is None or high.energy is None:
        return None
    value = centre.energy - 0.5 * (low.energy + high.energy)
    error = math.hypot(centre.error or 0.0, 0.5 * (low.error or 0.0), 0.5 * (high.error or 0.0))
    return value, error


def difference(
    points: Mapping[str, Estimate], first: str, second: str
) -> tuple[float, float] | None:
    """Returns E(first) - E(second) and its standard error in hartree, or None.

    Args:
        points: energies by label of the geometry.
        first: label of a geometry.
        second: label of a geometry.
    """
    one, two = points.get(first), points.get(second)
    if one is None or two is None or one.energy is None or two.energy is None:
        return None
    return one.energy - two.energy, math.hypot(one.error or 0.0, two.error or 0.0)
