"""The table of energies of other codes, next to those of this package."""

from ferminet.benchmark.diagnostics import flags, judged_mean
from ferminet.benchmark.estimates import Estimate, ansatz_label, vmc_groups
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import IMPORTED, EnergyRow, Rows, grouped
from ferminet.benchmark.tables.formatting import (
    PARENTHESES,
    Line,
    Shown,
    Table,
    difference_columns,
    energy_columns,
    status_notes,
    varying,
)

_COLUMNS = (
    *"study system geometry code version averaged seeds n_seeds status".split(),
    *"energy_hartree energy_error_hartree difference_mEh difference_error_mEh z reference".split(),
    *"variance r_hat drift_z iterations window wall_s flags".split(),
)


def imported_table(rows: Rows, references: References) -> Table:
    """Build the table: for each geometry with an imported row, our energies and the imported ones.

    Imported rows are never averaged: neither with ours nor with each other.
    """
    lines: list[Line] = []
    for (system, geometry), group in grouped(rows, "system", "geometry").items():
        others = [row for row in group if row.method == IMPORTED]
        best = references.best(system, geometry)
        ours = [_ours(seeds, references) for seeds in vmc_groups(group).values()]
        theirs = [(row.ansatz, *_source(row), row, _estimate(row)) for row in others]
        for code, version, averaged, row, estimate in [*ours, *theirs] if others else []:
            line: Line = dict.fromkeys(_COLUMNS) | energy_columns(estimate)
            line |= {"study": row.study, "system": system, "geometry": geometry, "code": code}
            line |= {"version": version, "averaged": averaged}
            line |= difference_columns(estimate, best)
            line["reference"] = best.label if best else None
            if row.method == IMPORTED:
                line |= {name: getattr(row, name) for name in ("variance", "r_hat", "wall_s")}
                line |= {"iterations": row.iterations, "drift_z": row.details.drift_z}
                line |= {"window": row.details.note, "flags": "; ".join(flags(row, references))}
            lines.append(line)
    elsewhere = {line["geometry"] for line in lines} - {"eq"}
    shown = [
        *varying(lines, "study"),
        Shown("system", "system"),
        *([Shown("geometry", "geometry")] if elsewhere else []),
        Shown("code", "code"),
        *varying(lines, "version"),
        Shown("averaged", "average over"),
        Shown("seeds", "seeds"),
        Shown("energy_hartree", "energy", "hartree", "energy_error_hartree"),
        Shown("difference_mEh", "difference", "mEh", "difference_error_mEh"),
        Shown("reference", "to"),
        Shown("variance", "variance / hartree²"),
        Shown("r_hat", "R-hat"),
        Shown("flags", "flags", width="5cm"),
    ]
    windows = [
        f"{line['system']} {line['geometry']}, {line['code']}, seed {line['seeds']}, "
        f"{line['averaged']}: {line['window']}."
        for line in lines
        if line["window"]
    ]
    notes = [f"{PARENTHESES}, by reblocking for imported energies.", *windows]
    return Table(lines, _COLUMNS, shown, [*notes, *status_notes(lines)], "energy_hartree")


def _ours(seeds: Rows, references: References) -> tuple[str, str | None, str, EnergyRow, Estimate]:
    """Return code, version, what is averaged, a row and the mean of one of our wavefunctions."""
    row, mean = seeds[0], judged_mean(seeds, references)
    averaged = "training tail" if mean.status == "unfinished" else "evaluation"
    code = f"this package, {ansatz_label(row.ansatz or '')}"
    return code, row.method_version, averaged, row, mean


def _source(row: EnergyRow) -> tuple[str | None, str]:
    imported = row.details.imported
    return (imported.version, imported.averaged) if imported else (None, "")


def _estimate(row: EnergyRow) -> Estimate:
    seeds = () if row.seed is None else (row.seed,)
    return Estimate(row.energy, row.stderr, row.status, seeds)
