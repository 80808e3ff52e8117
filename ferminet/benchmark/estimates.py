"""From rows to the numbers that tables and figures show: combined seeds, chosen baselines.

Several seeds become their plain mean. Its error is the larger of the sampling error and the spread
between seeds, because training usually scatters by more than the sampling error. The spread of few
seeds is known badly, so it is widened by Student's t.
"""

import math
import re
import statistics
from typing import NamedTuple

from scipy.special import ndtri, stdtrit

from ferminet.benchmark.references import Reference, References
from ferminet.benchmark.schema import EnergyRow, Rows, energies_of, errors_of, grouped, vmc_rows
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


class Estimate(NamedTuple):
    """An energy as it is shown, or the reason why there is none."""

    energy: float | None  # hartree
    error: float | None  # standard error, hartree
    status: str  # that of rows, or missing
    seeds: tuple[int, ...] = ()  # training seeds over which the energy is averaged
    reason: str = ""  # why there is no energy, or which rows were left out
    source: str = ""  # method and basis
    sampling_error: float | None = None  # of the mean over seeds, without their spread, hartree


class Recovered(NamedTuple):
    """Correlation energy recovered, and the two end points of the scale."""

    percent: float | None = None  # 100 (E_HF - E) / (E_HF - E_ref)
    error: float | None = None  # its standard error, from the energy and both end points
    hf_source: str = ""  # source of the zero of the scale
    reference_source: str = ""  # source of its hundred
    reason: str = ""  # why it is undefined


def combine_seeds(rows: Rows) -> Estimate:
    """Combine the rows of one wavefunction and geometry that differ only in their seed.

    Unfinished rows count only if no row is finished. Suspicious rows count, because leaving them
    out would select by result.

    Returns:
        Mean over the seeds. Error: the larger of the sampling error, sqrt(sum stderr^2)/n, and
        spread/sqrt(n), which is widened by Student's t so that +-1.96 of it cover 95 %.
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
    sampling = math.hypot(*errors_of(used)) / n
    spread = 0.0
    if n > 1:
        widening = stdtrit(n - 1, 0.975) / ndtri(0.975)
        spread = float(widening) * statistics.stdev(energies) / math.sqrt(n)
    statuses = {row.status for row in used}
    status = next((s for s in ("suspicious", "unfinished") if s in statuses), "complete")
    lengths = sorted({row.iterations for row in used if row.iterations is not None})
    if len(lengths) > 1:
        reasons.append(f"seeds of unequal length: {', '.join(map(str, lengths))} iterations")
    seeds = tuple(sorted(row.seed for row in used if row.seed is not None))
    mean, reason = statistics.fmean(energies), "; ".join(reasons)
    return Estimate(mean, max(sampling, spread), status, seeds, reason, sampling_error=sampling)


def vmc_groups(rows: Rows) -> dict[tuple[str, ...], Rows]:
    """Return the rows of method `vmc` by their values of `GROUP`; the rows of a group are seeds."""
    return grouped(vmc_rows(rows), *GROUP)


def published_estimate(value: Reference | None) -> Estimate:
    """Return a literature value as an estimate; it is missing if there is none."""
    if value is None:
        return Estimate(None, None, "missing")
    return Estimate(value.energy, value.uncertainty, "complete")


def choose_baseline(rows: Rows, method: str) -> Estimate:
    """Return the energy of a method that is closest to the basis-set limit at one geometry.

    A converged row is preferred, then the larger basis, then the reference that fits the spin (RHF
    for closed shells, UHF for open ones).
    """

    def preference(row: EnergyRow) -> tuple[bool, tuple[int, int, str], bool]:
        natural = "uhf" if row.unpaired_electrons else "rhf"
        return row.energy is not None, basis_rank(row.basis), row.reference == natural

    candidates = [row for row in rows if row.method == method]
    if not candidates:
        return Estimate(None, None, "missing", reason="not run")
    return baseline_estimate(max(candidates, key=preference))


def baseline_estimate(row: EnergyRow) -> Estimate:
    """Return the energy of one row of a baseline, with its method and basis as source."""
    source = f"{METHOD_LABELS[row.method]}/{basis_label(row.basis or '')}"
    reason = ""
    if row.energy is None:
        reason = row.details.note or f"{source} {row.status.replace('_', ' ')}"
    return Estimate(row.energy, row.stderr, row.status, reason=reason, source=source)


def correlation_recovered(
    energy: float | None,
    error: float | None,
    n_electrons: int,
    hartree_fock: Reference | Estimate | None,
    reference: Reference | None,
) -> Recovered:
    """Return the percentage of the correlation energy that an energy (hartree) recovers.

    `hartree_fock` is 0 % of the scale, the published limit or a computed energy in a basis, and
    `reference` 100 %: exact, or CCSD(T) at the basis-set limit. One electron has no correlation.
    """
    if n_electrons < 2:
        return Recovered(reason="one electron has no correlation energy")
    if energy is None:
        return Recovered(reason="no energy")
    if hartree_fock is None or hartree_fock.energy is None:
        return Recovered(reason="no Hartree-Fock energy")
    if reference is None:
        return Recovered(reason="no reference energy")
    total = hartree_fock.energy - reference.energy
    if total < _SMALLEST_CORRELATION:
        return Recovered(reason="the reference does not lie below Hartree-Fock")
    published = isinstance(hartree_fock, Reference)
    source = hartree_fock.label if published else hartree_fock.source
    hf_error = hartree_fock.uncertainty if published else hartree_fock.error
    fraction = (hartree_fock.energy - energy) / total
    # Derivatives of the fraction by E, E_ref and E_HF are -1/total, fraction/total and
    # (1 - fraction)/total.
    relative = math.hypot(
        error or 0.0,
        fraction * (reference.uncertainty or 0.0),
        (1.0 - fraction) * (hf_error or 0.0),
    )
    return Recovered(100 * fraction, 100 * relative / total, source, reference.label)


def hartree_fock_limit(
    rows: Rows, references: References, system: str, geometry: str
) -> Reference | Estimate:
    """Return the published Hartree-Fock limit of a geometry, else the computed energy in a basis.

    `rows` are rows of this system at this geometry.
    """
    return references.lookup(system, geometry, "hf_cbs") or choose_baseline(rows, "hf")


def basis_rank(name: str | None) -> tuple[int, int, str]:
    """Order basis sets by how close they are to the limit: CBS, then by cardinal number."""
    text = (name or "").lower()
    if "cbs" in text:
        # The limit by the protocol of the published values is preferred to the best limit.
        return 100, _LIMITS.get(text, 0), text
    match = re.search(r"v([dtq56])z", text)
    # Of equal cardinals the longer name has more functions: aug-, core-valence.
    return (_CARDINALS[match[1]] if match else 1), len(text), text


def basis_label(name: str) -> str:
    """Return the name of a basis set as chemists write it: cc-pvdz becomes cc-pVDZ."""
    text = re.sub(
        r"(cc-p)(w?c?v[dtq56]z)", lambda m: m[1] + m[2].upper().replace("W", "w"), name.lower()
    )
    text = re.sub(r"cbs-(\w+)-best", r"cbs (\1, best)", text)
    text = re.sub(r"cbs-(\w+)", r"cbs (\1)", text)
    text = re.sub(r"sto-\d+g", lambda m: m[0].upper(), text)
    return text.replace("cbs", "CBS").replace("31g", "31G")


def ansatz_label(name: str) -> str:
    """Return the name of a wavefunction as its authors write it; leave other names unchanged."""
    return ANSATZ_LABELS.get(name, name)
