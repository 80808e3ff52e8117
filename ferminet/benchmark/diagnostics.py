"""Is a row plausible? Below the exact energy, wrong spin, or walkers that disagree: it is flagged.

A flag never removes a number from a table; it is shown beside it.
"""

import json
import math
from typing import Any

from ferminet.benchmark.references import EXACT_QUANTITIES, Reference, References
from ferminet.benchmark.schema import Row

# With 60 rows, chance alone puts one below -4 in 0.4 % of the studies, below -3 in 15 %.
SUSPICIOUS_Z = -4.0
S2_TOLERANCE = 0.05
R_HAT_LIMIT = 1.01
STEIN_Z_LIMIT = 4.0
ACCEPTANCE_RANGE = (0.1, 0.9)


def z_score(energy: float, stderr: float, reference: Reference) -> float:
    """Returns (E - E_ref) / sqrt(stderr^2 + uncertainty^2); infinite if both errors are zero.

    Args:
        energy: energy in hartree.
        stderr: its standard error in hartree.
        reference: what it is compared with; a missing uncertainty counts as zero.
    """
    difference = energy - reference.energy
    error = math.hypot(stderr, reference.uncertainty or 0.0)
    if error == 0.0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / error


def suspicious(row: Row, reference: Reference | None) -> bool:
    """Whether a sampled energy lies significantly below an exact one, which no energy can.

    Args:
        row: a row of results.
        reference: what it is compared with; None or one that is not exact never makes a row
            suspicious.
    """
    if row["method"] != "vmc" or row["energy"] is None or reference is None:
        return False
    if reference.quantity not in EXACT_QUANTITIES:
        return False
    stderr = row["stderr"] or 0.0
    return z_score(row["energy"], stderr, reference) < SUSPICIOUS_Z


def marked(row: Row, references: References) -> Row:
    """Returns the row with the status suspicious if its energy is that, else as it is."""
    reference = exact_reference(row, references)
    return row.replace(status="suspicious") if suspicious(row, reference) else row


def exact_reference(row: Row, references: References) -> Reference | None:
    """Returns the exact energy of a row's geometry, or None where none is known."""
    return references.best(row["system"], row["geometry"], EXACT_QUANTITIES)


def flags(row: Row, references: References) -> list[str]:
    """Says in words what is doubtful about a row of method `vmc`; empty if nothing is.

    Args:
        row: a row of results.
        references: published energies.
    """
    if row["method"] != "vmc" or row["energy"] is None:
        return []
    found = []
    reference = exact_reference(row, references)
    if reference is not None and suspicious(row, reference):
        z = z_score(row["energy"], row["stderr"], reference)
        found.append(f"suspicious: {-z:.1f} standard errors below the {reference.label} energy")
    elif row["status"] == "suspicious":
        found.append("suspicious: marked so when it was evaluated")
    if row["status"] == "unfinished":
        found.append(f"unfinished: {row['iterations']} iterations of training so far")
    spin = row["unpaired_electrons"] / 2
    if row["s2"] is not None and abs(row["s2"] - spin * (spin + 1)) > S2_TOLERANCE:
        found.append(f"spin: ⟨S²⟩ is {row['s2']:.3f}, expected {spin * (spin + 1):g}")
    if row["r_hat"] is not None and row["r_hat"] > R_HAT_LIMIT:
        found.append(f"walkers disagree: R-hat is {row['r_hat']:.3f}, above {R_HAT_LIMIT}")
    if row["stein_z"] is not None and abs(row["stein_z"]) > STEIN_Z_LIMIT:
        found.append(f"sampling: the sentinel is {row['stein_z']:.1f} standard errors from zero")
    low, high = ACCEPTANCE_RANGE
    if row["acceptance"] is not None and not low <= row["acceptance"] <= high:
        found.append(f"acceptance is {row['acceptance']:.2f}, outside {low} to {high}")
    if count := details(row).get("n_nonfinite"):
        found.append(f"{count} local energies were not finite")
    return found


def details(row: Row) -> dict[str, Any]:
    """Return a row's method-specific extras; empty if there are none."""
    if isinstance(row, dict):  # a table's line
        return json.loads(row.get("details") or "{}")
    return row.details.entries()
