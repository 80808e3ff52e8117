"""The table of ionisation potentials and electron affinities: differences of two total energies.

An ion is found by its name, Li+ or F-, and is compared with its neighbour that is nearer to the
neutral atom. Published energies are differences of published total energies, or stand by themselves
under the name of the ion.
"""

import math
from typing import Any, NamedTuple

from ferminet.benchmark.estimates import (
    METHOD_LABELS,
    Estimate,
    ansatz_label,
    basis_label,
    basis_rank,
    choose_baseline,
    combine_seeds,
    vmc_groups,
)
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows, distinct, grouped
from ferminet.benchmark.tables.columns import (
    distinct_values,
    method_columns,
    our_label,
    status_marks,
    status_notes,
    varying,
)
from ferminet.benchmark.tables.formatting import Line, Shown, Table
from ferminet.methods import SYSTEM_TABLE_METHODS
from ferminet.systems.elements import NUCLEAR_CHARGE, atom_and_charge, ionisation_pairs
from ferminet.units import ELECTRONVOLT_PER_HARTREE, MEH_PER_HARTREE

EXPERIMENT, PAPER = "ionisation_experiment", "ionisation_ferminet_paper"
_BASELINES = SYSTEM_TABLE_METHODS[::-1]  # the best first
COLUMNS = (
    "study", "quantity", "atom", "ion", "ansatz", "config_hash_atom", "config_hash_ion",
    "seeds_atom", "seeds_ion", "n_seeds", "status",
    *(f"{who}{end}" for who in ("atom", "ion") for end in ("_hartree", "_error_hartree")),
    *(f"{name}_{end}" for name in ("vmc", *_BASELINES)
      for end in ("mEh", "error_mEh", "eV", "error_eV")),
    *(f"{method}_basis" for method in _BASELINES),
    *(f"{name}_{end}" for name in ("paper", "exact", "experiment")
      for end in ("mEh", "uncertainty_mEh")),
    "reference", "difference_mEh", "difference_error_mEh",
)  # fmt: skip


class _Pair(NamedTuple):
    """An ion and its neighbour that is nearer to the neutral atom, e.g. Li+ and Li."""

    ion: str
    atom: str
    ion_rows: Rows
    atom_rows: Rows

    @property
    def is_cation(self) -> bool:
        """True for an ionisation potential, false for an electron affinity."""
        return self.ion.endswith("+")

    def difference(self, ion: Estimate, atom: Estimate, source: str = "") -> Estimate:
        """Return the difference of two estimates; it has no energy if one of them has none."""
        if ion.energy is None or atom.energy is None:
            missing, name = (ion, self.ion) if ion.energy is None else (atom, self.atom)
            return Estimate(None, None, missing.status, reason=f"{name} {missing.reason}")
        energy = ion.energy - atom.energy if self.is_cation else atom.energy - ion.energy
        errors = [error for error in (ion.error, atom.error) if error is not None]
        statuses = (ion.status, atom.status)
        status = next((s for s in ("suspicious", "unfinished") if s in statuses), "complete")
        return Estimate(
            energy,
            math.hypot(*errors) if errors else None,
            status,
            reason="; ".join(
                f"{name} {one.reason}"
                for name, one in ((self.ion, ion), (self.atom, atom))
                if one.reason
            ),
            source=source,
        )


def ionisation_table(rows: Rows, references: References) -> Table:
    """Build the table, one line per wavefunction and pair of ion and atom.

    Args:
        rows: rows of results.
        references: published energies.

    Returns:
        Ionisation potentials E(cation) - E(atom) and electron affinities E(atom) - E(anion) by
        nuclear charge. Both energies of a conventional method belong to the same basis set or
        limit.
    """
    lines: list[Line] = []
    gaps: list[str] = []
    for (study,), mine in grouped(rows, "study").items():
        systems = grouped(mine, "system")
        for ion, atom in ionisation_pairs(distinct(mine, "system")).items():
            pair = _Pair(ion, atom, systems[ion,], systems.get((atom,), []))
            lines += _lines(study, pair, references, gaps)
    lines.sort(key=_order)
    notes = [*_notes(lines), *dict.fromkeys(gaps)]
    return Table(lines, COLUMNS, _shown(lines), notes, status_marks(lines, "vmc_mEh"))


def _order(line: Line) -> tuple[Any, ...]:
    symbol, charge = atom_and_charge(line["ion"]) or ("", 0)
    anion = charge < 0
    return anion, NUCLEAR_CHARGE[symbol], abs(charge), line["study"], line["ansatz"]


def _lines(study: str, pair: _Pair, references: References, gaps: list[str]) -> list[Line]:
    """Return the lines of one pair: one per wavefunction, or one without; appends to `gaps`."""
    both = [*pair.ion_rows, *pair.atom_rows]
    ansaetze = distinct((row for row in both if row.method == "vmc"), "ansatz") or [""]
    common = _common(study, pair, references, gaps)
    lines = []
    for ansatz in ansaetze:
        line: Line = dict.fromkeys(COLUMNS) | common | {"ansatz": ansatz}
        estimates = {}
        for who, rows in (("ion", pair.ion_rows), ("atom", pair.atom_rows)):
            estimate, config_hash = _sampled(rows, ansatz)
            estimates[who] = estimate
            line[f"{who}_hartree"], line[f"{who}_error_hartree"] = estimate.energy, estimate.error
            line[f"config_hash_{who}"] = config_hash
            line[f"seeds_{who}"] = " ".join(map(str, estimate.seeds))
        ours = pair.difference(estimates["ion"], estimates["atom"])
        line["status"] = ours.status
        line["n_seeds"] = min(len(estimate.seeds) for estimate in estimates.values())
        line |= _in_both_units("vmc", ours)
        if ansatz and ours.reason:
            gaps.append(f"{_name(pair)}, {ansatz_label(ansatz)}: {ours.reason}.")
        lines.append(line | _compared(line, ours))
    return lines


def _sampled(rows: Rows, ansatz: str) -> tuple[Estimate, str]:
    """Return the energy of one species and the hash of its settings."""
    groups = {key[-1]: group for key, group in vmc_groups(rows).items() if key[-2] == ansatz}
    if len(groups) > 1:  # ambiguous: which belongs to which of the other species?
        reason = f"has {len(groups)} settings in these rows; collect one study by itself"
        return Estimate(None, None, "missing", reason=reason), " ".join(groups)
    if not groups:
        return Estimate(None, None, "missing", reason="not run"), ""
    ((config_hash, group),) = groups.items()
    return combine_seeds(group), config_hash


def _common(study: str, pair: _Pair, references: References, gaps: list[str]) -> Line:
    """Return what all wavefunctions of a pair share: baselines and published energies."""
    line: Line = {
        "study": study,
        "quantity": "ionisation potential" if pair.is_cation else "electron affinity",
        "atom": pair.atom,
        "ion": pair.ion,
    }
    for method in _BASELINES:
        found = matching_baselines(pair.ion_rows, pair.atom_rows, method)
        estimate = pair.difference(*found, found[0].source)
        line |= _in_both_units(method, estimate)
        line[f"{method}_basis"] = estimate.source.partition("/")[2] or None
        if estimate.energy is None and any(one.status != "missing" for one in found):
            gaps.append(f"{_name(pair)}, {METHOD_LABELS[method]}: {estimate.reason}.")
    for name, found in (
        ("paper", _direct(pair, references, PAPER)),
        ("exact", _of_totals(pair, references, "exact")),
        ("experiment", _direct(pair, references, EXPERIMENT)),
    ):
        line[f"{name}_mEh"] = None if found.energy is None else MEH_PER_HARTREE * found.energy
        line[f"{name}_uncertainty_mEh"] = (
            None if found.error is None else MEH_PER_HARTREE * found.error
        )
    return line


def matching_baselines(ion: Rows, atom: Rows, method: str) -> tuple[Estimate, Estimate]:
    """Choose a method's energies of two species in the largest basis set that both have.

    Args:
        ion: rows of one species.
        atom: rows of the other species.
        method: name of the method.

    Returns:
        Both energies, in the same basis set or limit. If there is no such pair, one of them has no
        energy and gives the reason.
    """
    found = [
        {row.basis or "": row for row in rows if row.method == method and row.energy is not None}
        for rows in (ion, atom)
    ]
    if shared := found[0].keys() & found[1].keys():
        basis = max(shared, key=basis_rank)
        one, other = (
            choose_baseline([row for row in rows if row.basis == basis], method)
            for rows in (ion, atom)
        )
        return one, other
    if all(found):
        bases = " and ".join(
            "/".join(basis_label(b) for b in sorted(mine, key=basis_rank)) for mine in found
        )
        reason = f"has no basis set in common with the other species ({bases})"
        return Estimate(None, None, "not_comparable", reason=reason), choose_baseline(atom, method)
    one, other = (choose_baseline(rows, method) for rows in (ion, atom))
    return one, other


def _direct(pair: _Pair, references: References, quantity: str) -> Estimate:
    """Return a difference from the literature, listed under the name of the ion."""
    return _published(pair.ion, references, quantity)


def _of_totals(pair: _Pair, references: References, quantity: str) -> Estimate:
    """Return the difference of two total energies from the literature."""
    ion, atom = (_published(name, references, quantity) for name in (pair.ion, pair.atom))
    return pair.difference(ion, atom)


def _published(system: str, references: References, quantity: str) -> Estimate:
    found = references.lookup(system, "eq", quantity)
    if found is None:
        return Estimate(None, None, "missing", reason="without a source")
    return Estimate(found.energy, found.uncertainty, "complete", source=found.source)


def _compared(line: Line, ours: Estimate) -> Line:
    """Return our difference to the exact value, else to the experiment."""
    for name in ("exact", "experiment"):
        value, uncertainty = line[f"{name}_mEh"], line[f"{name}_uncertainty_mEh"] or 0.0
        if value is None or ours.energy is None:
            continue
        return {
            "reference": name,
            "difference_mEh": MEH_PER_HARTREE * ours.energy - value,
            "difference_error_mEh": math.hypot(MEH_PER_HARTREE * (ours.error or 0.0), uncertainty),
        }
    return {}


def _in_both_units(name: str, estimate: Estimate) -> Line:
    line: Line = {}
    for unit, size in (("mEh", MEH_PER_HARTREE), ("eV", ELECTRONVOLT_PER_HARTREE)):
        for end, value in ((unit, estimate.energy), (f"error_{unit}", estimate.error)):
            line[f"{name}_{end}"] = None if value is None else size * value
    return line


def _name(pair: _Pair) -> str:
    return f"{'IP' if pair.is_cation else 'EA'} of {pair.atom}"


def _shown(lines: list[Line]) -> list[Shown]:
    shown = [*varying(lines, "study"), Shown("quantity", "quantity"), Shown("atom", "atom")]
    shown += varying(lines, "ansatz")
    ours = our_label(distinct_values(lines, "ansatz"))
    shown += [Shown(f"vmc_{unit}", ours, unit, f"vmc_error_{unit}") for unit in ("mEh", "eV")]
    for method in _BASELINES:
        shown += method_columns(lines, method, ["mEh", "eV"])
    shown += [
        Shown("paper_mEh", "FermiNet (paper)", "mEh", "paper_uncertainty_mEh"),
        Shown("exact_mEh", "exact", "mEh", published=True),
        Shown("experiment_mEh", "experiment", "mEh", published=True),
        Shown("difference_mEh", "difference", "mEh", "difference_error_mEh"),
    ]
    return [*shown, Shown("reference", "to")] if distinct_values(lines, "reference") else shown


def _notes(lines: list[Line]) -> list[str]:
    """Return what the numbers are, and which literature values are missing."""
    notes = [
        "Ionisation potential: E(cation) − E(atom); electron affinity: E(atom) − E(anion). "  # noqa: RUF001
        "A number in parentheses is the standard error of the last digit, from both energies as if "
        "they were independent. Both energies of coupled cluster and of Hartree-Fock belong to "
        "the same basis set or limit. Difference: ours minus the exact value, else the "
        "experimental one.",
    ]
    seeds = max((line["n_seeds"] for line in lines), default=0)
    if seeds > 1:
        notes.append(f"Each energy is a mean over up to {seeds} training seeds.")
    if any(line["experiment_mEh"] is not None for line in lines):
        notes.append(
            "Experiments measure relativistic atoms with moving nuclei, which no other column does."
        )
    for name, label in (("paper", "the paper's values"), ("exact", "exact values"),
                        ("experiment", "measured values")):  # fmt: skip
        missing = [f"{line['atom']} ({'IP' if line['ion'].endswith('+') else 'EA'})"
                   for line in lines if line[f"{name}_mEh"] is None]  # fmt: skip
        if missing:
            notes.append(f"No source was seen for {label} of {', '.join(dict.fromkeys(missing))}.")
    return notes + status_notes(lines, "one of the two energies")
