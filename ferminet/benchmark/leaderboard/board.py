"""The lines of the leaderboard: energies, costs, and ranks as far as the errors determine them.

Evaluations by this package's sampler are ranked, per geometry. Imported energies and literature
values stand next to them without a rank.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from ferminet.benchmark.comparison.compare import paired_samples
from ferminet.benchmark.comparison.inference import difference, holm
from ferminet.benchmark.diagnostics import flags, judged_mean, unsound
from ferminet.benchmark.estimates import (
    Estimate,
    ansatz_label,
    correlation_recovered,
    hartree_fock_limit,
    published_estimate,
    vmc_groups,
)
from ferminet.benchmark.leaderboard.submission import Entry, device_hours, read_submission
from ferminet.benchmark.publishing.suite import read_suite
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import IMPORTED, EnergyRow, Rows, distinct, group_by
from ferminet.benchmark.tables.formatting import Line, difference_columns, energy_columns
from ferminet.config import layout

FAMILY_ERROR = 0.05  # chance that any two equal entries of one geometry get separate ranks
LITERATURE = "literature"
# Suites that vary one setting of a small network on purpose are no entries.
_NOT_ENTERED = ("ablations",)
COLUMNS = (
    *"system geometry rank rank_low rank_high entry model kind seeds n_seeds status".split(),
    *"energy_hartree energy_error_hartree reference difference_mEh difference_error_mEh z".split(),
    *"percent percent_error variance iterations evaluations hours unit config_hash note".split(),
)


class Result(NamedTuple):
    """A line, and the rows that it is the mean of."""

    line: Line
    rows: Rows

    @property
    def geometry_key(self) -> tuple[str, str]:
        """System and geometry."""
        return self.line["system"], self.line["geometry"]


def read_entries(references: References) -> list[Entry]:
    """Read the released suites, which need no description, and all submissions.

    Raises:
        FermiNetError: one of them is damaged or refused, see `ferminet verify`.
    """
    suites = {name: path for name, path in layout.suites().items() if name not in _NOT_ENTERED}
    entries = [Entry(name, read_suite(path).rows) for name, path in suites.items()]
    for folder in layout.submissions().values():
        entry = read_submission(folder, references)
        if entry.faults:
            raise entry.faults[0]
        entries.append(entry)
    return entries


def results_of(entries: Iterable[Entry], references: References) -> list[Result]:
    """Return all results with their ranks, by system and geometry, smallest system first."""
    results = []
    for entry in entries:
        groups = list(vmc_groups(entry.rows).values())
        results += [_result(entry, rows, references) for rows in groups]
        imported = [row for row in entry.rows if row.method == IMPORTED]
        results += [_result(entry, [row], references) for row in imported]
    results.sort(key=lambda result: (result.rows[0].n_electrons, *result.geometry_key))
    return ranked(results)


def _result(entry: Entry, rows: Rows, references: References) -> Result:
    row, submission = rows[0], entry.submission
    key = row.geometry_key
    if row.method == IMPORTED:
        seeds = () if row.seed is None else (row.seed,)
        mean = Estimate(row.energy, row.stderr, row.status, seeds)
        doubts = flags(row, references)
    else:
        mean = judged_mean(rows, references)
        doubts = [doubt for one in rows for doubt in unsound(one, references)]
        if mean.status == "suspicious" and not doubts:
            doubts = ["suspicious: the mean is significantly below a bound"]
    line = _line(key, mean, row.n_electrons, entry.rows, references)
    model = ansatz_label(row.ansatz or "")
    if submission is not None:
        several = len(distinct(entry.rows, "ansatz")) > 1
        model = f"{submission.model} ({model})" if several else submission.model
        line |= {"hours": submission.systems[row.system].hours, "unit": submission.hardware.unit}
    elif hours := [hour for one in rows if (hour := device_hours(one)) is not None]:
        unit = "core" if row.device == "cpu" else "gpu"
        line |= {"hours": sum(hours) / len(hours), "unit": unit}
    variances = [one.variance for one in rows if one.variance is not None]
    source = row.details.imported
    line |= {
        "entry": entry.name,
        "model": model,
        "kind": source.averaged if source else "evaluation",
        "variance": sum(variances) / len(variances) if variances else None,
        "iterations": row.iterations,
        "evaluations": _training_evaluations(row),
        "config_hash": row.config_hash,
        "note": "; ".join(dict.fromkeys([*doubts, *filter(None, [mean.reason])])),
    }
    # `unsound` energies decide nothing in `ferminet compare` either.
    line["rankable"] = source is None and mean.energy is not None and not doubts
    return Result(line, [one for one in rows if one.energy is not None] or rows)


def _line(
    key: tuple[str, str], mean: Estimate, n_electrons: int, rows: Rows, references: References
) -> Line:
    """Return a line with the energy, its difference to the best reference, and the percentage."""
    best = references.best(*key)
    here = [row for row in rows if row.geometry_key == key]
    zero = hartree_fock_limit(here, references, *key)
    percent = correlation_recovered(mean.energy, mean.error, n_electrons, zero, best)
    line: Line = dict.fromkeys(COLUMNS) | energy_columns(mean) | difference_columns(mean, best)
    line |= {"system": key[0], "geometry": key[1], "reference": best.label if best else None}
    return line | {"percent": percent.percent, "percent_error": percent.error, "note": ""}


def _training_evaluations(row: EnergyRow) -> int | None:
    """Return the local energies of a training, iterations x walkers.

    The geometries of a curve that share a training divide its walkers.
    """
    configuration: dict[str, Any] = row.details.configuration or {}
    walkers = configuration.get("sampler", {}).get("walkers") or row.walkers
    if not walkers or not row.iterations:
        return None
    shared = configuration.get("curve") if configuration.get("train", {}).get("shared") else None
    return row.iterations * walkers // len(shared or [row])


def literature(result: Result, references: References) -> list[Line]:
    """Return the lines of all literature values of total energies at the geometry of a result."""
    system, geometry = result.geometry_key
    lines = []
    for quantity in references.quantities(system):
        value = references.lookup(system, geometry, quantity)
        if value is None or quantity.startswith("ionisation_"):
            continue
        row = result.rows[0]
        line = _line((system, geometry), published_estimate(value), row.n_electrons, [], references)
        if value == references.best(system, geometry):
            line |= {"difference_mEh": None, "z": None, "percent": None}
        lines.append(line | {"entry": value.label, "kind": LITERATURE, "note": value.kind})
    return lines


def ranked(results: Sequence[Result]) -> list[Result]:
    """Return the results with ranks among themselves, geometry by geometry, lowest energy first.

    An energy's rank lies between one more than the number of entries that are significantly lower,
    and the number that are not significantly higher. Significant is a two-sided test by Welch over
    the seeds, or by the error bars where neither has several, after Holm's correction for all
    pairs of a geometry.
    """
    done: list[Result] = []
    for same in group_by(results, lambda result: result.geometry_key).values():
        able = [result for result in same if result.line["rankable"]]
        able.sort(key=lambda result: result.line["energy_hartree"])
        ranges = rank_ranges([result.rows for result in able])
        for result, (low, high) in zip(able, ranges, strict=True):
            rank = str(low) if low == high else f"{low} to {high}"
            columns = {"rank": rank, "rank_low": low, "rank_high": high}
            done.append(Result(result.line | columns, result.rows))
        others = [result for result in same if not result.line["rankable"]]
        none = {"rank": None, "rank_low": None, "rank_high": None}
        done += [Result(result.line | none, result.rows) for result in others]
    return done


def rank_ranges(seeds: Sequence[Rows]) -> list[tuple[int, int]]:
    """Return the lowest and highest rank of each entry, given its rows of one geometry."""
    pairs = list(combinations(range(len(seeds)), 2))
    if not pairs:
        return [(1, 1) for _ in seeds]
    differences = []
    for i, j in pairs:
        (first,), (second,), _ = paired_samples([seeds[i]], [seeds[j]])
        differences.append(difference(first, second))
    adjusted = holm([min(1.0, 2 * min(d.p_above(), d.p_below())) for d in differences])
    lower, higher = [0] * len(seeds), [0] * len(seeds)
    for (i, j), delta, p_value in zip(pairs, differences, adjusted, strict=True):
        if p_value <= FAMILY_ERROR:
            best, worst = (i, j) if delta.value < 0 else (j, i)
            lower[worst] += 1
            higher[best] += 1
    return [(1 + a, len(seeds) - b) for a, b in zip(lower, higher, strict=True)]


def within_budget(results: Sequence[Result], unit: str, hours: float) -> list[Result]:
    """Return the ranked results whose runs took at most some hours of a unit, ranked anew."""
    cheap = [
        result
        for result in results
        if result.line["rankable"]
        and result.line["unit"] == unit
        and (result.line["hours"] or 0) <= hours
    ]
    return ranked(cheap)
