"""The numbers of an evaluation's row, computed from its stored samples.

`benchmark.diagnostics` judges them.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ferminet.vmc.evaluate import Trace
from ferminet.vmc.statistics import (
    autocorrelation_time,
    reblock,
    split_r_hat,
    walker_estimate,
    z_score,
)


def summarise(
    trace: Trace, decorrelation_steps: int, unpaired_electrons: int, is_atom: bool
) -> dict[str, Any]:
    """Return every number of a row that follows from the trace of an evaluation.

    Args:
        trace: stored results of the evaluation.
        decorrelation_steps: Metropolis steps between two samples.
        unpaired_electrons: N_up - N_down.
        is_atom: whether the virial ratio of one nucleus applies.

    Returns:
        `energy`, `stderr` (hartree), `variance` (hartree^2), `tau` (Metropolis steps),
        `r_hat`, `s2`, `s2_stderr`, `stein_z`, `acceptance` and `details`, a dictionary
        with the diagnostics of the samples.
    """
    means = trace.block_means
    energy = walker_estimate(means.energy)
    spin = walker_estimate(means.spin_squared)
    sentinel = walker_estimate(means.sentinel)
    tau = autocorrelation_time(trace.energies)
    tau_radius = autocorrelation_time(trace.radii)
    reblocked = reblock(trace.step_energy)
    details: dict[str, Any] = {
        "stderr_reblocked": _number(reblocked.error),
        "samples_per_tau": len(trace.step_energy) / max(tau, tau_radius),
        "tau_radius": tau_radius * decorrelation_steps,
        "r_hat_spin": _number(split_r_hat(means.spin_on_first_nucleus)),
        "r_hat_radius": _number(split_r_hat(means.radius_squared)),
        "drift_z": _number(_drift(means.energy)),
        "kinetic": walker_estimate(means.kinetic).mean,
        "potential": walker_estimate(means.potential).mean,
        "effective_determinants": _number(walker_estimate(means.effective_determinants).mean),
        "n_nonfinite": int(trace.n_nonfinite.sum()),
        "s2_target": 0.25 * unpaired_electrons * (unpaired_electrons + 2),
    }
    if is_atom:
        details["virial_ratio"] = -details["potential"] / details["kinetic"]
    return {
        "energy": energy.mean,
        "stderr": energy.error,
        "variance": float(np.median(trace.step_variance)),
        "tau": tau * decorrelation_steps,
        "r_hat": _number(split_r_hat(means.energy)),
        "s2": spin.mean,
        "s2_stderr": spin.error,
        "stein_z": z_score(sentinel, 0.0),
        "acceptance": float(np.mean(trace.acceptance)),
        "details": details,
    }


def _drift(block_means: ArrayLike) -> float:
    """Return the difference of the two halves of the samples over its standard error."""
    values = np.asarray(block_means, np.float64)
    half = len(values) // 2
    if half == 0:
        return float("nan")
    differences = values[-half:].mean(axis=0) - values[:half].mean(axis=0)
    error = differences.std(ddof=1) / np.sqrt(differences.size)
    return float(differences.mean() / error) if error > 0.0 else 0.0


def _number(value: float) -> float | None:
    """Return the number, or None if it is not finite."""
    return float(value) if np.isfinite(value) else None
