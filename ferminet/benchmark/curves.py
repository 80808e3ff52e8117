"""Series of curves: the energies of each method along a parameter.

H4 on a circle has two more quantities: the curvature at the square, where coupled cluster has a
false cusp, and the difference between congruent rectangles (85 and 95 degrees are the same
molecule, rotated), which should vanish.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ferminet.benchmark.diagnostics import judged_mean
from ferminet.benchmark.estimates import (
    METHOD_LABELS,
    Estimate,
    ansatz_label,
    baseline_estimate,
    basis_label,
    basis_rank,
    published_estimate,
    vmc_groups,
)
from ferminet.benchmark.publishing.rows import is_released, without_released
from ferminet.benchmark.references import BEST_QUANTITIES, References, quantity_label
from ferminet.benchmark.schema import Rows, distinct, grouped
from ferminet.methods import METHODS

PAPER = "ferminet_paper"
Terms = Sequence[tuple[float, str]]  # factors and geometries of a sum of energies
Derived = tuple[float, float]  # a value and its standard error, both in hartree
# Two congruent rectangles of H4, on both sides of the square, a90.
H4_ENDS = ("a85", "a95")


@dataclass(frozen=True)
class Series:
    """Energies of one method along a curve."""

    label: str  # for tables and figures
    kind: str  # vmc, baseline or published
    name: str  # machine-readable: ansatz, method_basis, or quantity
    points: dict[str, Estimate]  # by label of the geometry
    study: str = ""  # of the kind vmc
    config_hash: str = ""  # hashes of the settings, one per geometry, of the kind vmc
    in_smaller_basis: bool = False  # whether another baseline has a larger basis set


def curve_systems(rows: Rows) -> list[str]:
    """Return the systems whose rows have a parameter, as listed."""
    return distinct((row for row in rows if row.parameter is not None), "system")


def curve_rows(system: str, rows: Rows) -> Rows:
    """Return the rows of one curve."""
    return [row for row in rows if row.system == system and row.parameter is not None]


def curve_parameters(system: str, rows: Rows) -> dict[str, float]:
    """Return the parameter of each geometry of a curve, sorted by it."""
    parameters = {row.geometry: row.parameter or 0.0 for row in curve_rows(system, rows)}
    return dict(sorted(parameters.items(), key=lambda item: item[1]))


def parameter_title(system: str, rows: Rows) -> str:
    """Return name and unit of a curve's parameter, e.g. `angle / degree`."""
    first = curve_rows(system, rows)[0]
    name = first.parameter_name or "parameter"
    return f"{name} / {first.parameter_unit}" if first.parameter_unit else name


def best_quantity(system: str, rows: Rows, references: References) -> str | None:
    """Return the best published quantity that covers at least one geometry of these rows."""
    found = (references.best(system, geometry) for geometry in curve_parameters(system, rows))
    quantities = [reference.quantity for reference in found if reference is not None]
    return min(quantities, key=BEST_QUANTITIES.index, default=None)


def curve_series(system: str, rows: Rows, references: References) -> list[Series]:
    """Return all series of a curve: sampled, then baselines, then published."""
    rows_of_curve = curve_rows(system, rows)
    return [
        *_vmc_series(rows_of_curve, references),
        *_baseline_series(rows_of_curve),
        *_published_series(system, curve_parameters(system, rows), references),
    ]


def _vmc_series(rows: Rows, references: References) -> list[Series]:
    """Return one series per study and wavefunction.

    Each geometry has its own config_hash, because the hash covers the geometry. Two hashes belong
    to different series only if one wavefunction has both at the same geometry.
    """
    groups: dict[tuple[str, str, int], dict[str, tuple[str, Rows]]] = {}
    for (study, _, geometry, ansatz, config_hash), seeds in vmc_groups(rows).items():
        number = 0
        while geometry in groups.get((study, ansatz, number), {}):
            number += 1
        groups.setdefault((study, ansatz, number), {})[geometry] = config_hash, seeds
    ansaetze = [ansatz for _, ansatz, _ in groups]
    series = []
    for (study, ansatz, _), geometries in groups.items():
        hashes = list(dict.fromkeys(config_hash for config_hash, _ in geometries.values()))
        label = ansatz_label(ansatz)
        if ansaetze.count(ansatz) > 1:
            label = f"{label} ({study}, {hashes[0]})"
        points = {
            geometry: judged_mean(seeds, references) for geometry, (_, seeds) in geometries.items()
        }
        series.append(Series(label, "vmc", ansatz, points, study, " ".join(hashes)))
    return series


def _baseline_series(rows: Rows) -> list[Series]:
    """Return the series of conventional methods; released ones are named after their suite."""
    series = _series_of_baselines(without_released(rows))
    released = [row for row in rows if is_released(row)]
    for (study,), suite in grouped(released, "study").items():
        series += [
            replace(each, label=f"{each.label} ({study})", name=f"{each.name}_{study}")
            for each in _series_of_baselines(suite)
        ]
    return series


def _series_of_baselines(rows: Rows) -> list[Series]:
    """Return one series per method and basis, and per study and reference where two were run."""
    series = []
    order = list(METHODS)
    groups = grouped((row for row in rows if row.method in order), "method", "basis")
    largest = max((basis for _, basis in groups), key=basis_rank, default="")
    for method, basis in sorted(groups, key=lambda g: (order.index(g[0]), basis_rank(g[1]))):
        group = groups[method, basis]
        once = len(grouped(group, "geometry")) == len(group)
        several = len(distinct(group, "study")) > 1
        parts = {("", ""): group} if once else grouped(group, "study", "reference")
        for (study, reference), part in parts.items():
            suffix = study if several else ""
            name = "_".join(filter(None, (method, reference, basis, suffix)))
            details = ", ".join(filter(None, ((reference or "").upper(), suffix)))
            label = f"{METHOD_LABELS[method]}/{basis_label(basis)}"
            label += f" ({details})" if details else ""
            points = {row.geometry: baseline_estimate(row) for row in part}
            smaller = basis != largest
            series.append(Series(label, "baseline", name, points, in_smaller_basis=smaller))
    return series


def _published_series(
    system: str, geometries: Iterable[str], references: References
) -> list[Series]:
    series = []
    for quantity in references.quantities(system):
        points = {
            entry.geometry: published_estimate(entry)
            for entry in references.of_system(system, quantity)
        }
        if not points.keys().isdisjoint(geometries):
            series.append(Series(quantity_label(quantity), "published", quantity, points))
    return series


def combination(points: Mapping[str, Estimate], terms: Terms) -> Derived | None:
    """Return a sum of energies times factors and its standard error in hartree.

    It is None if one of the geometries has no energy.
    """
    total, errors = 0.0, []
    for factor, label in terms:
        if label not in points or (energy := points[label].energy) is None:
            return None
        total += factor * energy
        errors.append(factor * (points[label].error or 0.0))
    return total, math.hypot(*errors)
