"""From rows to the numbers that tables and figures show: seeds combined, baselines chosen.

Several seeds become their plain mean. Its error is the larger of the propagated standard errors and
of the spread between seeds, because the spread of training usually exceeds the error of sampling.
"""

import math
import re
import statistics
from dataclasses import dataclass

from ferminet.benchmark.references import Reference, References
from ferminet.benchmark.schema import EnergyRow, Rows, energies_of, errors_of, grouped
from ferminet.methods import ENERGY_LABELS

GROUP = ("study", "system", "geometry", "ansatz", "config_hash")
METHOD_LABELS = {**ENERGY_LABELS, "vmc": "VMC"}
ANSATZ_LABELS = {
    "ferminet": "FermiNet",
    "psiformer": "Psiformer",
    "slater_jastrow": "Slater-Jastrow",
}
_LIMITS = {"cbs-paper": 2, "cbs-small": 1}
_CARDINALS = {"d": 2, "t": 3, "q": 4, "5": 5, "6": 6}
# Below this correlation energy (hartree) a percentage of it means nothing.
_SMALLEST_CORRELATION = 1e-6


@dataclass(frozen=True)
class Estimate:
    """One energy as it is shown, or the reason why there is none.

    Attributes:
        energy: energy in hartree, or None.
        error: standard error in hartree, or None where there is none.
        status: complete, suspicious, unfinished, not_converged, failed or missing.
        seeds: training seeds that the energy is the mean of.
        reason: why there is no energy, or which rows were left out; else empty.
        source: where the energy comes from: method and basis, or what is published where.
    """

    energy: float | None
    error: float | None
    status: str
    seeds: tuple[int, ...] = ()
    reason: str = ""
    source: str = ""


@dataclass(frozen=True)
class Recovered:
    """Correlation energy recovered, with the two end points that it is measured between.

    Attributes:
        percent: 100 (E_HF - E) / (E_HF - E_ref), or None.
        error: its standard error in percent, from the energy and both end points.
        hf_source: where the zero of the scale comes from.
        reference_source: where its hundred comes from.
        reason: why it is undefined; else empty.
    """

    percent: float | None
    error: float | None
    hf_source: str = ""
    reference_source: str = ""
    reason: str = ""


def combine_seeds(rows: Rows) -> Estimate:
    """Combines the rows of one wavefunction and geometry that differ in their seed only.

    Finished rows count; unfinished ones only where no row is finished. Suspicious rows stay in, to
    leave them out would be choosing by result.

    Args:
        rows: rows of method `vmc`, one per seed.

    Returns:
        Mean over the seeds. Error: the larger of sqrt(sum stderr^2)/n and spread/sqrt(n).
    """
    with_energy = [row for row in rows if row.energy is not None]
    finished = [row for row in with_energy if row.status != "unfinished"]
    used = finished or with_energy
    reasons = [f"seed {row.seed} {row.status.replace('_', ' ')}" for row in rows if row not in used]
    if not used:
        status = rows[0].status if rows else "missing"
        return Estimate(None, None, status, reason="; ".join(reasons) or "not run")
    energies = energies_of(used)
    n = len(used)
    propagated = math.hypot(*errors_of(used)) / n
    spread = statistics.stdev(energies) / math.sqrt(n) if n > 1 else 0.0
    statuses = {row.status for row in used}
    status = next((s for s in ("suspicious", "unfinished") if s in statuses), "complete")
    lengths = sorted({row.iterations for row in used if row.iterations is not None})
    if len(lengths) > 1:
        reasons.append(f"seeds of unequal length: {', '.join(map(str, lengths))} iterations")
    seeds = tuple(sorted(row.seed for row in used if row.seed is not None))
    error = max(propagated, spread)
    return Estimate(statistics.fmean(energies), error, status, seeds, "; ".join(reasons))


def vmc_groups(rows: Rows) -> dict[tuple[str, ...], Rows]:
    """Returns the rows of method `vmc` by their values of `GROUP`: one group holds the seeds."""
    return grouped((row for row in rows if row.method == "vmc"), *GROUP)


def choose_baseline(rows: Rows, method: str) -> Estimate:
    """Chooses the row of a method that comes nearest to the basis-set limit.

    Args:
        rows: rows of one system at one geometry.
        method: name of the method.

    Returns:
        Its energy. A converged row is preferred, then the larger basis, then the reference that
        fits the spin (RHF for closed shells, UHF for open ones).
    """

    def preference(row: EnergyRow) -> tuple[bool, tuple[int, int, str], bool]:
        natural = "uhf" if row.unpaired_electrons else "rhf"
        return row.energy is not None, basis_rank(row.basis), row.reference == natural

    candidates = [row for row in rows if row.method == method]
    if not candidates:
        return Estimate(None, None, "missing", reason="not run")
    return baseline_estimate(max(candidates, key=preference))


def baseline_estimate(row: EnergyRow) -> Estimate:
    """Returns the energy of one row of a baseline, with its method and basis as source."""
    source = f"{METHOD_LABELS[row.method]}/{basis_label(row.basis or '')}"
    lacking = row.energy is None
    status = row.status.replace("_", " ")
    reason = (row.details.note or f"{source} {status}") if lacking else ""
    return Estimate(row.energy, row.stderr, row.status, reason=reason, source=source)


def correlation_recovered(
    energy: float | None,
    error: float | None,
    n_electrons: int,
    hartree_fock: Reference | Estimate | None,
    reference: Reference | None,
) -> Recovered:
    """Returns which percentage of the correlation energy a method recovers.

    Args:
        energy: energy in hartree.
        error: its standard error in hartree.
        n_electrons: number of electrons; one electron has no correlation energy.
        hartree_fock: zero of the scale: the published limit, or an own energy in a basis.
        reference: hundred of the scale: exact, or CCSD(T) at the basis-set limit.
    """
    if n_electrons < 2:
        return Recovered(None, None, reason="one electron has no correlation energy")
    if energy is None:
        return Recovered(None, None, reason="no energy")
    if hartree_fock is None or hartree_fock.energy is None:
        return Recovered(None, None, reason="no Hartree-Fock energy")
    if reference is None:
        return Recovered(None, None, reason="no reference energy")
    total = hartree_fock.energy - reference.energy
    if total < _SMALLEST_CORRELATION:
        return Recovered(None, None, reason="the reference does not lie below Hartree-Fock")
    fraction = (hartree_fock.energy - energy) / total
    # Derivatives of the fraction by E, E_ref and E_HF are -1/total, fraction/total and
    # (1 - fraction)/total.
    relative = math.hypot(
        error or 0.0,
        fraction * (reference.uncertainty or 0.0),
        (1.0 - fraction) * (_uncertainty(hartree_fock) or 0.0),
    )
    source = hartree_fock.label if isinstance(hartree_fock, Reference) else hartree_fock.source
    return Recovered(100 * fraction, 100 * relative / total, source, reference.label)


def hartree_fock_limit(
    rows: Rows, references: References, system: str, geometry: str
) -> Reference | Estimate:
    """Returns the published Hartree-Fock limit of a geometry, else our own energy in a basis.

    Args:
        rows: rows of this system at this geometry.
        references: published energies.
        system: name of the system.
        geometry: label of the geometry.
    """
    published = references.lookup(system, geometry, "hf_cbs")
    return published if published is not None else choose_baseline(rows, "hf")


def _uncertainty(end_point: Reference | Estimate) -> float | None:
    return end_point.uncertainty if isinstance(end_point, Reference) else end_point.error


def basis_rank(name: str | None) -> tuple[int, int, str]:
    """Orders basis sets by how near they are to the limit: CBS, then by cardinal number."""
    text = (name or "").lower()
    if "cbs" in text:
        # The protocol's own limit, which is what published ones were made by, before the best one.
        return 100, _LIMITS.get(text, 0), text
    found = re.search(r"v([dtq56])z", text)
    # Among equals the longer name has more functions: aug-, core-valence.
    return (_CARDINALS[found.group(1)] if found else 1), len(text), text


def basis_label(name: str) -> str:
    """Writes a basis set as chemists do: cc-pvdz becomes cc-pVDZ."""
    text = re.sub(
        r"(cc-p)(w?c?v[dtq56]z)", lambda m: m[1] + m[2].upper().replace("W", "w"), name.lower()
    )
    text = re.sub(r"cbs-(\w+)-best", r"cbs (\1, best)", text)
    text = re.sub(r"cbs-(\w+)", r"cbs (\1)", text)
    text = re.sub(r"sto-\d+g", lambda m: m[0].upper(), text)
    return text.replace("cbs", "CBS").replace("31g", "31G")


def ansatz_label(name: str) -> str:
    """Writes the name of a wavefunction as its authors do; other names are left as they are."""
    return ANSATZ_LABELS.get(name, name)
