"""The table of ionisation potentials and electron affinities: differences of two total energies.

An ion is recognised by its name, Li+ or F-, and compared with its neighbour that is nearer to the
neutral atom. Literature values are differences of total energies, or entries under the name of the
ion.
"""

import math
from typing import NamedTuple

from ferminet.benchmark.diagnostics import judged_mean
from ferminet.benchmark.estimates import (
    METHOD_LABELS,
    Estimate,
    ansatz_label,
    basis_label,
    basis_rank,
    choose_baseline,
    published_estimate,
    vmc_groups,
)
from ferminet.benchmark.numbers import format_value
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows, distinct, grouped, vmc_rows
from ferminet.benchmark.tables.formatting import (
    PARENTHESES,
    Line,
    Shown,
    Table,
    method_columns,
    our_label,
    status_notes,
    varying,
)
from ferminet.methods import SYSTEM_TABLE_METHODS
from ferminet.systems.elements import NUCLEAR_CHARGE, atom_and_charge, ionisation_pairs
from ferminet.units import ELECTRONVOLT_PER_HARTREE, MEH_PER_HARTREE

EXPERIMENT, PAPER = "ionisation_experiment", "ionisation_ferminet_paper"
_BASELINES = SYSTEM_TABLE_METHODS[::-1]  # the best first
_LEAST_SHIFT_ERROR = 0.005  # mEh; smaller uncertainties of a shift are not shown
_BOTH_UNITS = {"mEh": MEH_PER_HARTREE, "eV": ELECTRONVOLT_PER_HARTREE}
COLUMNS = (
    "study", "quantity", "atom", "ion", "ansatz", "config_hash_atom", "config_hash_ion",
    "seeds_atom", "seeds_ion", "n_seeds", "status",
    *(f"{species}{end}" for species in ("atom", "ion") for end in ("_hartree", "_error_hartree")),
    *(f"{name}_{end}" for name in ("vmc", *_BASELINES)
      for end in ("mEh", "error_mEh", "eV", "error_eV")),
    *(f"{method}_basis" for method in _BASELINES),
    *(f"{name}_{end}" for name in ("paper", "exact", "experiment")
      for end in ("mEh", "uncertainty_mEh")),
    "difference_mEh", "difference_error_mEh",
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

    @property
    def label(self) -> str:
        """The quantity in short, e.g. IP of Li."""
        return f"{'IP' if self.is_cation else 'EA'} of {self.atom}"

    def difference(self, ion: Estimate, atom: Estimate, source: str = "") -> Estimate:
        """Return the difference of two estimates; it has no energy if one of them has none."""
        if ion.energy is None or atom.energy is None:
            missing, name = (ion, self.ion) if ion.energy is None else (atom, self.atom)
            return Estimate(None, None, missing.status, reason=f"{name} {missing.reason}")
        energy = ion.energy - atom.energy if self.is_cation else atom.energy - ion.energy
        errors = [error for error in (ion.error, atom.error) if error is not None]
        statuses = (ion.status, atom.status)
        status = next((s for s in ("suspicious", "unfinished") if s in statuses), "complete")
        reasons = ((self.ion, ion.reason), (self.atom, atom.reason))
        reason = "; ".join(f"{name} {reason}" for name, reason in reasons if reason)
        error = math.hypot(*errors) if errors else None
        return Estimate(energy, error, status, reason=reason, source=source)


def ionisation_table(rows: Rows, references: References) -> Table:
    """Build the table by nuclear charge, one line per wavefunction and pair of ion and atom.

    Ionisation potentials are E(cation) - E(atom), electron affinities E(atom) - E(anion). Both
    energies of a conventional method belong to the same basis set or limit.
    """
    lines: list[Line] = []
    gaps: list[str] = []
    for (study,), study_rows in grouped(rows, "study").items():
        systems = grouped(study_rows, "system")
        for ion, atom in ionisation_pairs(distinct(study_rows, "system")).items():
            pair = _Pair(ion, atom, systems[ion,], systems.get((atom,), []))
            lines += _lines(study, pair, references, gaps)
    lines.sort(key=_order)
    notes = [*_notes(lines), *dict.fromkeys(gaps)]
    return Table(lines, COLUMNS, _shown(lines), notes, "vmc_mEh")


def _order(line: Line) -> tuple:
    symbol, charge = atom_and_charge(line["ion"]) or ("", 0)
    return charge < 0, NUCLEAR_CHARGE[symbol], abs(charge), line["study"], line["ansatz"]


def _lines(study: str, pair: _Pair, references: References, gaps: list[str]) -> list[Line]:
    """Return the lines of one pair: one per wavefunction, or one without; append to `gaps`."""
    sampled = vmc_rows(pair.ion_rows + pair.atom_rows)
    common = dict.fromkeys(COLUMNS) | {"study": study} | _common(pair, references, gaps)
    lines = []
    for ansatz in distinct(sampled, "ansatz") or [""]:
        line: Line = common | {"ansatz": ansatz}
        ion, line["config_hash_ion"] = mean_of_settings(pair.ion_rows, ansatz, references)
        atom, line["config_hash_atom"] = mean_of_settings(pair.atom_rows, ansatz, references)
        for species, estimate in (("ion", ion), ("atom", atom)):
            line[f"{species}_hartree"] = estimate.energy
            line[f"{species}_error_hartree"] = estimate.error
            line[f"seeds_{species}"] = " ".join(map(str, estimate.seeds))
        ours = pair.difference(ion, atom)
        line["status"] = ours.status
        line["n_seeds"] = min(len(ion.seeds), len(atom.seeds))
        line |= _scaled("vmc", ours, "error", _BOTH_UNITS)
        if ansatz and ours.reason:
            gaps.append(f"{pair.label}, {ansatz_label(ansatz)}: {ours.reason}.")
        if ours.energy is not None and line["exact_mEh"] is not None:
            uncertainty = line["exact_uncertainty_mEh"] or 0.0
            line["difference_mEh"] = line["vmc_mEh"] - line["exact_mEh"]
            line["difference_error_mEh"] = math.hypot(line["vmc_error_mEh"] or 0.0, uncertainty)
        lines.append(line)
    return lines


def mean_of_settings(rows: Rows, ansatz: str, references: References) -> tuple[Estimate, str]:
    """Return the mean energy of a system with a wavefunction, and the hash of its settings."""
    groups = {key[-1]: group for key, group in vmc_groups(rows).items() if key[-2] == ansatz}
    if len(groups) > 1:  # it is ambiguous which settings of both species belong together
        reason = f"has {len(groups)} settings in these rows; collect one study by itself"
        return Estimate(None, None, "missing", reason=reason), " ".join(groups)
    for config_hash, group in groups.items():
        return judged_mean(group, references), config_hash
    return Estimate(None, None, "missing", reason="not run"), ""


def _common(pair: _Pair, references: References, gaps: list[str]) -> Line:
    """Return what all wavefunctions of a pair share: baselines and literature values."""
    quantity = "ionisation potential" if pair.is_cation else "electron affinity"
    line: Line = {"quantity": quantity, "atom": pair.atom, "ion": pair.ion}
    for method in _BASELINES:
        both = _matching_baselines(pair.ion_rows, pair.atom_rows, method)
        estimate = pair.difference(*both, both[0].source)
        line |= _scaled(method, estimate, "error", _BOTH_UNITS)
        line[f"{method}_basis"] = estimate.source.partition("/")[2] or None
        if estimate.energy is None and any(each.status != "missing" for each in both):
            gaps.append(f"{pair.label}, {METHOD_LABELS[method]}: {estimate.reason}.")
    paper, experiment, ion, atom = (
        published_estimate(references.lookup(system, "eq", quantity))
        for system, quantity in (
            (pair.ion, PAPER), (pair.ion, EXPERIMENT), (pair.ion, "exact"), (pair.atom, "exact"),
        )
    )  # fmt: skip
    exact = pair.difference(ion, atom)
    for name, value in (("paper", paper), ("exact", exact), ("experiment", experiment)):
        line |= _scaled(name, value, "uncertainty", {"mEh": MEH_PER_HARTREE})
    return line


def _scaled(name: str, estimate: Estimate, error: str, units: dict[str, float]) -> Line:
    """Return the columns of a value and its error in each of the units."""
    line: Line = {}
    for unit, factor in units.items():
        for key, value in ((name, estimate.energy), (f"{name}_{error}", estimate.error)):
            line[f"{key}_{unit}"] = None if value is None else factor * value
    return line


def _matching_baselines(ion: Rows, atom: Rows, method: str) -> tuple[Estimate, Estimate]:
    """Choose a method's energies of ion and atom in the largest basis set or limit of both.

    If they share none, one of the two estimates has no energy and gives the reason.
    """
    by_basis = [
        grouped((r for r in rows if r.method == method and r.energy is not None), "basis")
        for rows in (ion, atom)
    ]
    if shared := by_basis[0].keys() & by_basis[1].keys():
        basis = max(shared, key=lambda key: basis_rank(*key))
        ion, atom = by_basis[0][basis], by_basis[1][basis]
    elif all(by_basis):
        ranked = [sorted((name for (name,) in names), key=basis_rank) for names in by_basis]
        bases = " and ".join("/".join(map(basis_label, names)) for names in ranked)
        reason = f"has no basis set in common with the other species ({bases})"
        return Estimate(None, None, "not_comparable", reason=reason), choose_baseline(atom, method)
    return choose_baseline(ion, method), choose_baseline(atom, method)


def _shown(lines: list[Line]) -> list[Shown]:
    shown = [*varying(lines, "study"), Shown("quantity", "quantity"), Shown("atom", "atom")]
    shown += varying(lines, "ansatz")
    ours = our_label(lines)
    shown += [Shown(f"vmc_{unit}", ours, unit, f"vmc_error_{unit}") for unit in ("mEh", "eV")]
    for method in _BASELINES:
        shown += method_columns(lines, method, ["mEh", "eV"])
    return [
        *shown,
        Shown("paper_mEh", "FermiNet (paper)", "mEh", "paper_uncertainty_mEh"),
        Shown("exact_mEh", "exact", "mEh", "exact_uncertainty_mEh", published=True),
        Shown("difference_mEh", "difference to exact", "mEh", "difference_error_mEh"),
        Shown("experiment_mEh", "measured (relativistic)", "mEh", published=True),
    ]


def _notes(lines: list[Line]) -> list[str]:
    """Return notes on the numbers and on missing literature values."""
    notes = [
        "Ionisation potential: E(cation) − E(atom); electron affinity: E(atom) − E(anion). "  # noqa: RUF001
        f"{PARENTHESES}, from both energies as if they were independent. Both energies of coupled "
        "cluster and of Hartree-Fock belong to the same basis set or limit. Exact: a difference of "
        "two non-relativistic energies with fixed nuclei.",
    ]
    if (seeds := max((line["n_seeds"] for line in lines), default=0)) > 1:
        notes.append(f"Each energy is a mean over up to {seeds} training seeds.")
    if any(line["experiment_mEh"] is not None for line in lines):
        notes.append(_measured_note(lines))
    labels = {"paper": "the paper's values", "exact": "exact values",
              "experiment": "measured values"}  # fmt: skip
    for name, label in labels.items():
        missing = [f"{line['atom']} ({'IP' if line['ion'].endswith('+') else 'EA'})"
                   for line in lines if line[f"{name}_mEh"] is None]  # fmt: skip
        if missing:
            notes.append(f"No source was seen for {label} of {', '.join(dict.fromkeys(missing))}.")
    return notes + status_notes(lines, "one of the two energies")


def _measured_note(lines: list[Line]) -> str:
    """Return what measured values contain besides, with its size where the exact value is known."""
    shifts = []
    for line in lines:
        if line["exact_mEh"] is not None and line["experiment_mEh"] is not None:
            shift, error = line["experiment_mEh"] - line["exact_mEh"], line["exact_uncertainty_mEh"]
            shown = format_value(shift, error if error and error > _LEAST_SHIFT_ERROR else None, 2)
            shifts.append(f"{line['atom']} {shown}")
    known = f" Measured minus exact, in mEh: {', '.join(dict.fromkeys(shifts))}." if shifts else ""
    return (
        "Measured values include relativity and the motion of the nuclei, which no other column "
        f"does, so no difference to them is an error of a calculation.{known}"
    )
