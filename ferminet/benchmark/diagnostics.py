"""All thresholds and flags: is the energy of a row plausible, and was it sampled soundly?

A flag never removes a number from a table; it is shown next to it.
"""

import math

from ferminet.benchmark.estimates import Estimate, combine_seeds
from ferminet.benchmark.references import Reference, References
from ferminet.benchmark.schema import EnergyRow, Rows
from ferminet.vmc import statistics

# Chance alone puts one of 60 rows below -4 with probability 0.2 %, below -3 with 8 %.
SUSPICIOUS_Z = -4.0
S2_TOLERANCE = 0.05
S2_Z_LIMIT = 4.0  # a deviation counts only if it is also this many standard errors
R_HAT_LIMIT = 1.01
STEIN_Z_LIMIT = 4.0
DRIFT_Z_LIMIT = 4.0
ACCEPTANCE_RANGE = (0.1, 0.9)
# Largest ratio of the two standard errors: between walkers and by reblocking.
ERROR_RATIO_LIMIT = 1.3
# Reblocking underestimates the errors of shorter series, so it does not judge them.
MIN_SAMPLES_PER_TAU = 500


def reference_z_score(energy: float, stderr: float, reference: Reference) -> float:
    """Return (E - E_ref) / sqrt(stderr^2 + uncertainty^2) of an energy in hartree.

    A missing uncertainty counts as zero; the value is infinite if both errors are zero.
    """
    error = math.hypot(stderr, reference.uncertainty or 0.0)
    return statistics.z_score(statistics.Estimate(energy, error), reference.energy)


def suspicious(row: EnergyRow, reference: Reference | None) -> bool:
    """Return whether a sampled energy lies significantly below a bound: an error.

    A reference that is no bound (extrapolated, fitted, variational) makes no row suspicious.
    """
    return row.is_sampled and _below(row.energy, row.stderr, reference)


def _below(energy: float | None, error: float | None, reference: Reference | None) -> bool:
    if energy is None or reference is None or not reference.is_bound:
        return False
    return reference_z_score(energy, error or 0.0, reference) < SUSPICIOUS_Z


def marked(row: EnergyRow, references: References) -> EnergyRow:
    """Return the row, with the status suspicious if its energy is suspicious."""
    if suspicious(row, references.bound(*row.geometry_key)):
        return row.replace(status="suspicious")
    return row


def judged_mean(seeds: Rows, references: References) -> Estimate:
    """Return the mean over rows that differ in their seed only, see `combine_seeds`.

    It is suspicious if a row is, or if it lies significantly below a bound itself: sixteen rows of
    two standard errors below are a mean of eight below.
    """
    mean = combine_seeds([marked(row, references) for row in seeds])
    bound = references.bound(*seeds[0].geometry_key) if seeds else None
    if _below(mean.energy, mean.sampling_error, bound):
        return mean._replace(status="suspicious")
    return mean


def flags(row: EnergyRow, references: References) -> list[str]:
    """Return a phrase for each reason to doubt a row; only sampled energies have any."""
    if not row.is_sampled or row.energy is None:
        return []
    return [*_energy_flags(row, references), *_spin_flags(row), *sampling_flags(row)]


def unsound(row: EnergyRow, references: References) -> list[str]:
    """Return why a row of method `vmc` may not be compared; a wrong spin is no reason."""
    if row.energy is None:
        return [f"no energy, {row.status.replace('_', ' ')}"]
    return [*_energy_flags(row, references), *sampling_flags(row)]


def _energy_flags(row: EnergyRow, references: References) -> list[str]:
    phrases = []
    reference = references.bound(*row.geometry_key)
    if reference is not None and row.energy is not None and suspicious(row, reference):
        z = reference_z_score(row.energy, row.stderr or 0.0, reference)
        phrases.append(f"suspicious: {-z:.1f} standard errors below the {reference.label} energy")
    elif row.status == "suspicious":
        phrases.append("suspicious: marked as such by the evaluation")
    if row.status == "unfinished":
        phrases.append(f"unfinished: {row.iterations} iterations of training so far")
    return phrases


def _spin_flags(row: EnergyRow) -> list[str]:
    spin = row.unpaired_electrons / 2
    expected = spin * (spin + 1)
    if row.s2 is None:
        return []
    deviation = abs(row.s2 - expected)
    if deviation <= max(S2_TOLERANCE, S2_Z_LIMIT * (row.s2_stderr or 0.0)):
        return []
    return [f"spin: ⟨S²⟩ is {row.s2:.3f}, expected {expected:g}"]


def sampling_flags(row: EnergyRow) -> list[str]:
    """Return a phrase for each sign that the samples of a row are unsound."""
    phrases = []
    if row.r_hat is not None and row.r_hat > R_HAT_LIMIT:
        phrases.append(f"walkers disagree: R-hat is {row.r_hat:.3f}, above {R_HAT_LIMIT}")
    drift = row.details.drift_z
    if drift is not None and abs(drift) > DRIFT_Z_LIMIT:
        phrases.append(
            f"drift: the halves of the samples differ by {abs(drift):.1f} standard errors"
        )
    ratio = _error_ratio(row)
    if ratio is not None and not 1 / ERROR_RATIO_LIMIT < ratio < ERROR_RATIO_LIMIT:
        phrases.append(f"errors disagree: reblocking gives {ratio:.2f} times the walkers' error")
    if row.stein_z is not None and abs(row.stein_z) > STEIN_Z_LIMIT:
        phrases.append(f"sampling: the sentinel is {row.stein_z:.1f} standard errors from zero")
    low, high = ACCEPTANCE_RANGE
    if row.acceptance is not None and not low <= row.acceptance <= high:
        phrases.append(f"acceptance is {row.acceptance:.2f}, outside {low} to {high}")
    if row.details.n_nonfinite:
        phrases.append(f"{row.details.n_nonfinite} local energies were not finite")
    return phrases


def _error_ratio(row: EnergyRow) -> float | None:
    """Return the reblocked standard error over the walkers', if reblocking can be trusted."""
    reblocked, length = row.details.stderr_reblocked, row.details.samples_per_tau
    if reblocked is None or length is None or not row.stderr or length < MIN_SAMPLES_PER_TAU:
        return None
    return reblocked / row.stderr
