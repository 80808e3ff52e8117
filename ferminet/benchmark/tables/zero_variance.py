"""The energy extrapolated to zero variance over the runs of each geometry."""

from ferminet.benchmark.estimates import Estimate
from ferminet.benchmark.references import References
from ferminet.benchmark.registry import COVERAGE
from ferminet.benchmark.schema import Rows, grouped, vmc_rows
from ferminet.benchmark.tables.formatting import (
    PARENTHESES,
    Line,
    Shown,
    Table,
    difference_columns,
    varying,
)
from ferminet.benchmark.zero_variance import extrapolate, points_of_rows

_COLUMNS: tuple[str, ...] = (
    *"study system geometry n_points lowest_variance highest_variance slope".split(),
    *"energy_hartree energy_error_hartree difference_mEh difference_error_mEh z".split(),
    *"reference chi_squared reason".split(),
)


def zero_variance_table(rows: Rows, references: References) -> Table:
    """Build the table, one line per geometry of a study with finished runs."""
    lines: list[Line] = []
    for key, group in grouped(vmc_rows(rows), "study", "system", "geometry").items():
        points, best = points_of_rows(group), references.best(*key[1:])
        found = extrapolate(points)
        line: Line = dict.fromkeys(_COLUMNS) | dict(zip(_COLUMNS, key, strict=False))
        line |= {name: getattr(found, name) for name in ("n_points", "slope", "chi_squared")}
        if found.n_points:
            line["lowest_variance"] = float(points.variance.min())
            line["highest_variance"] = float(points.variance.max())
        estimate = Estimate(found.energy, found.error, "complete")
        line |= difference_columns(estimate, best)
        line |= {
            "energy_hartree": found.energy,
            "energy_error_hartree": found.error,
            "reference": best.label if best else None,
            "reason": found.reason,
        }
        lines.append(line)
    shown = [
        *varying(lines, "study"),
        *(Shown(key, key) for key in ("system", "geometry")),
        Shown("n_points", "runs"),
        Shown("lowest_variance", "lowest variance / hartree²"),
        Shown("highest_variance", "highest variance / hartree²"),
        Shown("slope", "slope / hartree⁻¹"),
        Shown("chi_squared", "χ²/n", decimals=1),
        Shown("energy_hartree", "extrapolated, not variational", "hartree", "energy_error_hartree"),
        Shown("difference_mEh", "difference", "mEh", "difference_error_mEh"),
        Shown("reference", "to"),
        Shown("reason", "why there is none", width="5cm"),
    ]
    notes = [f"{PARENTHESES}, here half of the 68 % interval.", COVERAGE]
    return Table(lines, _COLUMNS, shown, notes)
