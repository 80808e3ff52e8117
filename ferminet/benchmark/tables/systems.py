"""The tables of systems at one geometry: atoms, molecules, and single runs."""

from functools import partial

from ferminet.benchmark import diagnostics
from ferminet.benchmark.estimates import (
    Estimate,
    ansatz_label,
    choose_baseline,
    correlation_recovered,
    hartree_fock_limit,
    vmc_groups,
)
from ferminet.benchmark.numbers import difference_meh
from ferminet.benchmark.references import References, reference_notes
from ferminet.benchmark.schema import EnergyRow, Rows, grouped, vmc_rows
from ferminet.benchmark.tables.formatting import (
    Line,
    Shown,
    Table,
    difference_columns,
    distinct_values,
    energy_columns,
    error_notes,
    lines_by,
    method_columns,
    our_label,
    status_notes,
    varying,
)
from ferminet.methods import SYSTEM_TABLE_METHODS
from ferminet.systems.elements import atom_and_charge, is_ion
from ferminet.units import MEH_PER_HARTREE


def kind_of(row: EnergyRow) -> str:
    """Return the kind of a row's system: curve (if it has a parameter), ion, molecule or atom."""
    if row.parameter is not None:
        return "curve"
    if is_ion(row.system):
        return "ion"
    return "molecule" if atom_and_charge(row.system) is None else "atom"


def system_lines(rows: Rows, references: References, *kinds: str) -> tuple[list[Line], list[str]]:
    """Return the lines of all systems of these kinds, kind by kind, and the reasons of gaps.

    There is one line per wavefunction and system, smallest system first, with all of
    `LINE_COLUMNS`; a system with baselines only has a line without our energy.
    """
    lines: list[Line] = []
    notes: list[str] = []
    for group in grouped(rows, *_GEOMETRY).values():
        if kind_of(group[0]) not in kinds:
            continue
        baselines = [row for row in group if row.method != "vmc"]
        for key, seeds in (vmc_groups(group) or {("", ""): []}).items():
            notes += [
                f"{row.system}, {ansatz_label(key[-2])}, seed {row.seed}: {flag}."
                for row in seeds
                for flag in diagnostics.sampling_flags(row)
            ]
            head = {name: getattr(group[0], name) for name in (*_GEOMETRY, "n_electrons")}
            head |= {"ansatz": key[-2], "config_hash": key[-1]}
            estimate = diagnostics.judged_mean(seeds, references)
            lines.append(_line(head, estimate, baselines, references, notes))
    order = {row.system: kinds.index(kind_of(row)) for row in rows if kind_of(row) in kinds}
    columns = ("n_electrons", "system", "geometry", "study", "ansatz", "config_hash")
    lines.sort(key=lambda line: [order[line["system"]], *(line[key] for key in columns)])
    return lines, list(dict.fromkeys(notes))


def _system_table(kind: str, rows: Rows, references: References) -> Table:
    lines, notes = system_lines(rows, references, kind)
    compared_with = [references.best(line["system"], line["geometry"]) for line in lines]
    all_notes = [*_notes(lines), *reference_notes(compared_with), *status_notes(lines), *notes]
    return Table(lines, LINE_COLUMNS, _shown(lines), all_notes, "energy_hartree")


atoms_table, molecules_table = partial(_system_table, "atom"), partial(_system_table, "molecule")
_GEOMETRY = ("study", "system", "geometry")
# Columns of literature values: the quantity, the title, and whether the error is shown; that of
# others is half a unit of the last digit.
_LITERATURE = {
    "exact": ("exact", "exact", False),
    "paper": ("ferminet_paper", "FermiNet (paper)", True),
    "vmc": ("vmc_literature", "VMC (literature)", True),
    "dmc": ("dmc_literature", "DMC (literature)", True),
    "hf_limit": ("hf_cbs", "HF/CBS (literature)", False),
    "ccsd_t_limit": ("ccsd_t_cbs", "CCSD(T)/CBS (literature)", False),
}
LINE_COLUMNS = (
    *"study system geometry n_electrons ansatz config_hash seeds n_seeds status".split(),
    *"energy_hartree energy_error_hartree".split(),
    *(
        f"{method}_{column}"
        for method in SYSTEM_TABLE_METHODS
        for column in ("hartree", "error_hartree", "basis", "status")
    ),
    *(f"{name}_{column}" for name in _LITERATURE for column in ("hartree", "uncertainty_hartree")),
    *"reference reference_id reference_kind".split(),
    *"reference_hartree reference_uncertainty_hartree".split(),
    *"difference_mEh difference_error_mEh z percent percent_error".split(),
    *"percent_hf_source percent_reference_source".split(),
)


def _line(
    head: Line, estimate: Estimate, baselines: Rows, references: References, notes: list[str]
) -> Line:
    """Return one line of a table of systems; append the reasons of its gaps to `notes`."""
    system = head["system"]
    geometry_key = (system, head["geometry"])
    line: Line = dict.fromkeys(LINE_COLUMNS) | head | energy_columns(estimate)
    if estimate.reason:
        notes.append(f"{system}, {ansatz_label(head['ansatz'] or 'VMC')}: {estimate.reason}.")
    for method in SYSTEM_TABLE_METHODS:
        baseline = choose_baseline(baselines, method)
        line[f"{method}_hartree"] = baseline.energy
        line[f"{method}_error_hartree"] = baseline.error
        line[f"{method}_basis"] = baseline.source.partition("/")[2]
        line[f"{method}_status"] = baseline.status
        if baseline.energy is None and baseline.status != "missing":
            notes.append(f"{system}: {baseline.reason}.")
    best = references.best(*geometry_key)
    literature = {n: references.lookup(*geometry_key, q) for n, (q, *_) in _LITERATURE.items()}
    for name, value in (literature | {"reference": best}).items():
        if value is not None:
            line[f"{name}_hartree"] = value.energy
            line[f"{name}_uncertainty_hartree"] = value.uncertainty
    if best is not None:
        keys = ("reference", "reference_id", "reference_kind")
        line |= dict(zip(keys, (best.label, best.id, best.kind), strict=True))
    line |= difference_columns(estimate, best)
    limit = hartree_fock_limit(baselines, references, *geometry_key)
    recovered = correlation_recovered(
        estimate.energy, estimate.error, head["n_electrons"], limit, best
    )
    if recovered.percent is None and estimate.energy is not None:
        notes.append(f"{system}: no percentage, {recovered.reason}.")
    return line | {
        "percent": recovered.percent,
        "percent_error": recovered.error,
        "percent_hf_source": recovered.hf_source,
        "percent_reference_source": recovered.reference_source,
    }


def _shown(lines: list[Line]) -> list[Shown]:
    """Return the columns that a reader sees; leave out what all lines share."""
    shown = [*varying(lines, "study"), Shown("system", "system")]
    if len(lines_by(lines, *_GEOMETRY)) < len(lines):
        shown.append(Shown("ansatz", "ansatz"))
    if len(lines_by(lines, *_GEOMETRY, "ansatz")) < len(lines):
        shown.append(Shown("config_hash", "settings"))
    shown += varying(lines, "geometry")
    shown.append(Shown("energy_hartree", our_label(lines), "hartree", "energy_error_hartree"))
    for method in SYSTEM_TABLE_METHODS:
        shown += method_columns(lines, method, ["hartree"])
    for name, (_, title, with_error) in _LITERATURE.items():
        key, error = f"{name}_hartree", f"{name}_uncertainty_hartree" if with_error else None
        if name in ("exact", "paper") or distinct_values(lines, key):
            shown.append(Shown(key, title, "hartree", error, published=True))
    shown.append(Shown("difference_mEh", "difference", "mEh", "difference_error_mEh"))
    if set(distinct_values(lines, "reference")) - {"exact"}:
        shown.append(Shown("reference", "to"))
    return [*shown, Shown("percent", "correlation", "%", "percent_error")]


def _notes(lines: list[Line]) -> list[str]:
    """Return what holds for the whole table: how seeds are combined, what the percentage means."""
    notes = error_notes(
        lines,
        "; the difference is our energy minus the reference, and its error includes the "
        "reference's uncertainty.",
    )
    with_percent = [line for line in lines if line["percent"] is not None]
    scales = lines_by(with_percent, "percent_hf_source", "percent_reference_source")
    for (zero, hundred), group in scales.items():
        systems = f" ({', '.join(distinct_values(group, 'system'))})" if len(scales) > 1 else ""
        notes.append(
            f"Correlation energy recovered{systems}: 0 % is {zero} (unrestricted for open shells), "
            f"100 % is {hundred}."
        )
    return notes


_RUN_COLUMNS = (
    "study system geometry ansatz config_hash seed status iterations walkers parameters "
    "evaluation_iterations variance acceptance tau r_hat s2 s2_stderr stein_z wall_s"
).split()

_VIRIAL = (
    "The virial ratio −⟨V⟩/⟨T⟩ is 2 for the exact wavefunction of an atom, and of a molecule only "  # noqa: RUF001
    "where its own energy is lowest: at another bond length R, such as the measured one, "
    "it is 2 + R (dE/dR)/⟨T⟩. Rows of earlier versions have no error of it."
)


def runs_table(rows: Rows, references: References) -> Table:
    """Build the table of every single run: its energy, settings, diagnostics and flags."""
    lines: list[Line] = []
    for row in vmc_rows(rows):
        best = references.best(*row.geometry_key)
        difference = None
        if row.energy is not None and best is not None:
            difference, _ = difference_meh(row.energy, row.stderr, best)
        line: Line = {name: getattr(row, name) for name in _RUN_COLUMNS}
        line |= {
            "energy_hartree": row.energy,
            "stderr_hartree": row.stderr,
            "difference_mEh": difference,
            "stderr_mEh": None if row.stderr is None else MEH_PER_HARTREE * row.stderr,
            "flags": "; ".join(diagnostics.flags(row, references)),
            **_virial_columns(row),
        }
        lines.append(line)
    shown = [
        *varying(lines, "study"),
        *(Shown(key, key) for key in ("system", "geometry", "ansatz", "seed", "status")),
        Shown("energy_hartree", "energy", "hartree", "stderr_hartree"),
        Shown("difference_mEh", "difference", "mEh", "stderr_mEh"),
        Shown("variance", "variance / hartree²"),
        Shown("acceptance", "acceptance"),
        Shown("tau", "τ / Metropolis steps"),
        Shown("r_hat", "R-hat"),
        Shown("s2", "⟨S²⟩", "", "s2_stderr"),
        Shown("stein_z", "sentinel z"),
        Shown("virial_ratio", "−⟨V⟩/⟨T⟩", "", "virial_ratio_error"),  # noqa: RUF001
        Shown("wall_s", "wall time / s"),
        Shown("flags", "flags"),
    ]
    notes = ["One line per trained and evaluated wavefunction and seed."]
    if distinct_values(lines, "virial_ratio"):
        notes.append(_VIRIAL)
    extra = (
        *"energy_hartree stderr_hartree difference_mEh stderr_mEh flags".split(),
        *"virial_ratio virial_ratio_error".split(),
    )
    return Table(lines, (*_RUN_COLUMNS, *extra), shown, notes)


def _virial_columns(row: EnergyRow) -> Line:
    """Return the virial ratio of an atom, or of a molecule at its equilibrium, and its error."""
    details, ratio = row.details, None
    if row.geometry == "eq" and details.kinetic and details.potential is not None:
        ratio = -details.potential / details.kinetic
    error = None if ratio is None else details.virial_ratio_error
    return {"virial_ratio": ratio, "virial_ratio_error": error}
