"""The table of size consistency: a system and its pair of distant copies, X and X_pair."""

import math

from ferminet.benchmark.estimates import Estimate
from ferminet.benchmark.references import References
from ferminet.benchmark.registry import PAIR, pairs
from ferminet.benchmark.schema import Rows, distinct, grouped, vmc_rows
from ferminet.benchmark.tables.formatting import (
    PARENTHESES,
    Line,
    Shown,
    Table,
    status_notes,
    varying,
)
from ferminet.benchmark.tables.ionisation import mean_of_settings
from ferminet.units import MEH_PER_HARTREE

COLUMNS = (
    "study", "system", "ansatz", "config_hash", "config_hash_pair", "seeds", "seeds_pair",
    "twice_hartree", "twice_error_hartree", "pair_hartree", "pair_error_hartree",
    "difference_mEh", "difference_error_mEh", "z", "status",
)  # fmt: skip


def size_consistency_table(rows: Rows, references: References) -> Table:
    """Build the table, one line per wavefunction and pair: E(pair) - 2 E(single)."""
    lines: list[Line] = []
    gaps: list[str] = []
    for (study,), study_rows in grouped(rows, "study").items():
        sampled = grouped(vmc_rows(study_rows), "system")
        for system in pairs(name for (name,) in sampled):
            both = [sampled[system,], sampled[system + PAIR,]]
            for ansatz in distinct([row for one in both for row in one], "ansatz"):
                (single, hash_single), (pair, hash_pair) = (
                    mean_of_settings(one, ansatz, references) for one in both
                )
                line = {"study": study, "system": system, "ansatz": ansatz}
                line |= {"config_hash": hash_single, "config_hash_pair": hash_pair}
                line |= _difference(single, pair)
                lines.append(line)
                for name, estimate in ((system, single), (system + PAIR, pair)):
                    if estimate.energy is None:
                        gaps.append(f"{name}, {ansatz}: {estimate.reason}.")
    shown = [
        *varying(lines, "study"),
        Shown("system", "system"),
        *varying(lines, "ansatz"),
        Shown("twice_hartree", "twice the single one", "hartree", "twice_error_hartree"),
        Shown("pair_hartree", "pair", "hartree", "pair_error_hartree"),
        Shown("difference_mEh", "pair minus twice", "mEh", "difference_error_mEh"),
        Shown("z", "z"),
    ]
    notes = [f"{PARENTHESES}.", *gaps, *status_notes(lines, "one of the two energies")]
    return Table(lines, COLUMNS, shown, notes, "difference_mEh")


def _difference(single: Estimate, pair: Estimate) -> Line:
    """Return the columns of energies, of E(pair) - 2 E(single), and of its ratio to the error."""
    line: Line = dict.fromkeys(COLUMNS[5:])
    doubtful = [one.status for one in (single, pair) if one.status != "complete"]
    line["status"] = next(iter(doubtful), "complete")
    for end, estimate in (("", single), ("_pair", pair)):
        line[f"seeds{end}"] = " ".join(map(str, estimate.seeds))
    for name, factor, estimate in (("twice", 2.0, single), ("pair", 1.0, pair)):
        if estimate.energy is not None:
            line[f"{name}_hartree"] = factor * estimate.energy
            line[f"{name}_error_hartree"] = factor * (estimate.error or 0.0)
    if single.energy is not None and pair.energy is not None:
        error = math.hypot(line["twice_error_hartree"], line["pair_error_hartree"])
        line["difference_mEh"] = MEH_PER_HARTREE * (line["pair_hartree"] - line["twice_hartree"])
        line["difference_error_mEh"] = MEH_PER_HARTREE * error
        line["z"] = line["difference_mEh"] / line["difference_error_mEh"] if error else None
    return line
