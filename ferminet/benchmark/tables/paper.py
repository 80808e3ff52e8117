"""The table of our energies next to the paper's, with the reasons for each difference."""

import math
from collections import Counter

from ferminet.benchmark.curves import PAPER
from ferminet.benchmark.diagnostics import judged_mean
from ferminet.benchmark.estimates import GROUP, Estimate, vmc_groups
from ferminet.benchmark.numbers import format_value
from ferminet.benchmark.references import Reference, References
from ferminet.benchmark.schema import Rows, vmc_rows
from ferminet.benchmark.tables.formatting import (
    Line,
    Shown,
    Table,
    difference_columns,
    distinct_values,
    energy_columns,
    status_notes,
    varying,
)
from ferminet.benchmark.tables.paper_recipe import departures, iterations_share, recipe_name
from ferminet.units import MEH_PER_HARTREE
from ferminet.vmc.recipes import recipes

SIGNIFICANT_Z = 2.0  # larger differences are explained
UNKNOWN_SLOPE_MEH = 1.0  # per 1,000 iterations: with a larger error the trend is unknown
_COLUMNS = tuple(
    "study system geometry n_electrons ansatz config_hash seeds n_seeds status recipe "
    "energy_hartree energy_error_hartree paper_hartree paper_uncertainty_hartree difference_mEh "
    "difference_error_mEh z slope_mEh slope_error_mEh variance training explanation".split()
)


def paper_table(rows: Rows, references: References) -> Table:
    """Build the table: one line per wavefunction and geometry with an energy in the paper.

    Where the difference is significant, the line names the parts of the recipe that differ, and
    how far training was from convergence.
    """
    lines = []
    for key, group in vmc_groups(rows).items():
        published = references.lookup(*group[0].geometry_key, PAPER)
        if published is not None:
            head: Line = dict(zip(GROUP, key, strict=True))
            mean = judged_mean(group, references)
            lines.append(_line(head, group, mean, published))
    lines.sort(key=lambda line: [line[key] for key in ("n_electrons", "system", "geometry")])
    elsewhere = set(distinct_values(lines, "geometry")) - {"eq"}
    shown = [
        *varying(lines, "study"),
        Shown("system", "system"),
        *([Shown("geometry", "geometry")] if elsewhere else []),
        *varying(lines, "ansatz"),
        Shown("recipe", "recipe"),
        Shown("energy_hartree", "this work", "hartree", "energy_error_hartree"),
        Shown("paper_hartree", "paper", "hartree", "paper_uncertainty_hartree", published=True),
        Shown("difference_mEh", "difference", "mEh", "difference_error_mEh"),
        Shown("z", "difference / error", decimals=1),
        Shown("slope_mEh", "slope per 1,000 iterations", "mEh", "slope_error_mEh"),
        Shown("variance", "variance / hartree²", decimals=4),
        Shown("explanation", "why", width="7cm"),
    ]
    if any(line["n_seeds"] > 1 for line in lines):
        shown.insert(-2, Shown("n_seeds", "seeds"))
    notes = [*_notes(lines), *status_notes(lines)]
    paper = [references.lookup(line["system"], line["geometry"], PAPER) for line in lines]
    counts = dict.fromkeys((p.system, p.determinants) for p in paper if p and p.determinants)
    notes += [f"{system}: the paper's network has {n} determinants." for system, n in counts]
    return Table(lines, _COLUMNS, shown, notes, "energy_hartree")


def _line(head: Line, group: Rows, estimate: Estimate, published: Reference) -> Line:
    used = [row for row in group if row.energy is not None] or group
    variances = [row.variance for row in used if row.variance is not None]
    line: Line = dict.fromkeys(_COLUMNS) | head | energy_columns(estimate)
    line |= difference_columns(estimate, published)
    line |= {
        "n_electrons": used[0].n_electrons,
        "recipe": ", ".join(dict.fromkeys(map(recipe_name, used))),
        "paper_hartree": published.energy,
        "paper_uncertainty_hartree": published.uncertainty,
        "variance": sum(variances) / len(variances) if variances else None,
    }
    trends = [trend for row in group if (trend := row.details.convergence) is not None]
    if trends:
        scale = MEH_PER_HARTREE * 1000 / len(trends)
        line["slope_mEh"] = scale * sum(trend.slope for trend in trends)
        line["slope_error_mEh"] = scale * math.hypot(*(trend.slope_error for trend in trends))
    training = [*dict.fromkeys(map(iterations_share, used))]
    if line["slope_mEh"] is not None:
        training.append(_trend(line["slope_mEh"], line["slope_error_mEh"]))
    line["training"] = "; ".join(training)
    line["explanation"] = estimate.reason
    if estimate.energy is not None:
        line["explanation"] = _explain(line, used, training)
    return line


def _explain(line: Line, rows: Rows, training: list[str]) -> str:
    """Return the reasons for a significant difference, most important first."""
    if line["status"] == "suspicious":
        return "significantly below the exact energy, which is impossible: an error"
    if abs(line["z"]) <= SIGNIFICANT_Z:
        return f"within {SIGNIFICANT_Z:g} standard errors"
    if line["z"] < 0:
        return "lower than the paper"
    parts = [*training]
    for row in rows:
        settings = departures(row)
        parts += ["settings unknown"] if settings is None else settings
    return "; ".join(dict.fromkeys(parts))


def _trend(slope: float, error: float) -> str:
    text = f"{format_value(slope, error, 2)} mEh per 1,000 iterations"
    if slope < -SIGNIFICANT_Z * error:
        return f"still falling by {text.removeprefix('-')}"
    if error > UNKNOWN_SLOPE_MEH:
        return f"too noisy to show whether training had converged ({text})"
    return f"no trend seen at the end of training ({text})"


def _notes(lines: list[Line]) -> list[str]:
    choices = ", ".join(choice.name for choice in recipes()["paper"].choices)
    notes = [
        "Difference: this work minus the paper, with the standard errors of both. A difference of "
        f"more than {SIGNIFICANT_Z:g} of them is explained: iterations done, whether training was "
        "still lowering the energy, and each setting that differs, the paper's in parentheses.",
        "A row is called paper only if nothing differs from the paper, paper settings if only "
        "choices of the code do, and either with a percentage if it has fewer than 200,000 "
        f"iterations. Choices of the code: {choices}.",
    ]
    if lines and not any(line["paper_uncertainty_hartree"] for line in lines):
        notes.append("The paper's errors are not known for these systems and count as zero.")
    return notes


def above_paper_table(rows: Rows, references: References) -> Table:
    """Build the part of the table that is significantly above the paper, without the settings."""
    table = paper_table(rows, references)
    lines = [line for line in table.lines if line["z"] is not None and line["z"] > SIGNIFICANT_Z]
    kept = ("study", "system", "geometry", "ansatz", "difference_mEh", "z")
    shown = [column for column in table.shown if column.key in kept]
    training = Shown("training", "training", width="7cm")
    return Table(lines, _COLUMNS, [*shown, training], title="Energies above the paper's")


def recipe_counts(rows: Rows) -> dict[str, int]:
    """Return the number of runs for each recipe name."""
    return dict(Counter(recipe_name(row) for row in vmc_rows(rows)))
