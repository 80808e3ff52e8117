"""The table of our basis-set limits next to those of the literature."""

from ferminet.benchmark.references import References
from ferminet.benchmark.schema import EnergyRow, Rows
from ferminet.benchmark.tables.formatting import Line, Shown, Table, varying
from ferminet.units import MEH_PER_HARTREE

_PREFIX, _BEST = "cbs-", "-best"
# Column, method, whether by the formula that is nearest to numerical Hartree-Fock.
_ENERGIES = (("hf", "hf", False), ("best_hf", "hf", True), ("ccsd_t", "ccsd_t", False),
             ("best_ccsd_t", "ccsd_t", True))  # fmt: skip
# Difference of a column to a literature value.
_DIFFERENCES = (
    ("hf_to_literature", "hf", "hf_cbs"),
    ("ccsd_t_to_literature", "ccsd_t", "ccsd_t_cbs"),
    ("ccsd_t_to_exact", "ccsd_t", "exact"),
)
COLUMNS = (
    "study", "system", "geometry", "n_electrons", "protocol", "hf_formula", "hf_members",
    "correlation_formula", "correlation_members", "status",
    *(f"{name}{end}" for name, _, _ in _ENERGIES for end in ("_hartree", "_error_hartree")),
    *(f"{quantity}_hartree" for _, _, quantity in _DIFFERENCES),
    *(f"{name}_mEh" for name, _, _ in _DIFFERENCES),
)  # fmt: skip


def is_limit(row: EnergyRow) -> bool:
    """Return whether a row is an extrapolated energy."""
    return row.basis is not None and row.basis.startswith(_PREFIX)


def limits_table(rows: Rows, references: References) -> Table:
    """Build the table: Hartree-Fock and CCSD(T) limits, and their differences to the literature."""
    lines: list[Line] = []
    notes = [
        "A number in parentheses is the uncertainty that follows from the members themselves "
        "(docs/explanation/baselines.md). Differences are ours minus the literature value "
        "(Hartree-Fock or CCSD(T) at the basis-set limit, or the exact energy); "
        "they are for the limit, not for the best limit. HF best and CCSD(T) best use another "
        "formula for Hartree-Fock, which does not overshoot where basis sets are far from complete."
    ]
    groups: dict[tuple[str, str, str, str], Rows] = {}
    for row in filter(is_limit, rows):
        protocol = (row.basis or "").removeprefix(_PREFIX).removesuffix(_BEST)
        groups.setdefault((row.study, *row.geometry_key, protocol), []).append(row)
    for (_, system, geometry, protocol), group in groups.items():
        lines.append(_line(group, protocol, references))
        missing = [row.details.note for row in group if row.energy is None]
        doubts = [doubt for row in group for doubt in row.details.doubts or []]
        reasons = filter(None, dict.fromkeys([*missing, *doubts]))
        notes += [f"{system} {geometry}: {reason}." for reason in reasons]
    lines.sort(key=lambda line: (line["n_electrons"], line["system"], line["geometry"]))
    return Table(lines, COLUMNS, _shown(lines), notes)


def _line(group: Rows, protocol: str, references: References) -> Line:
    head = group[0]
    names = ("study", "system", "geometry", "n_electrons")
    line: Line = dict.fromkeys(COLUMNS) | {name: getattr(head, name) for name in names}
    line["protocol"] = protocol
    for name, method, best in _ENERGIES:
        basis = _PREFIX + protocol + (_BEST if best else "")
        row = next(r for r in group if (r.method, r.basis) == (method, basis))
        line[f"{name}_hartree"] = row.energy
        line[f"{name}_error_hartree"] = row.stderr
        if name == "ccsd_t":
            line["status"] = row.status
            terms, members = row.details.contributions or {}, row.details.members or {}
            for part, limit in (("hf", "hf"), ("correlation", "ccsd_t")):
                line[f"{part}_formula"] = terms[part].formula if part in terms else None
                line[f"{part}_members"] = " ".join(members.get(limit, {}))
    for name, column, quantity in _DIFFERENCES:
        published = references.lookup(head.system, head.geometry, quantity)
        energy = line[f"{column}_hartree"]
        if published is not None:
            line[f"{quantity}_hartree"] = published.energy
        if published is not None and energy is not None:
            line[f"{name}_mEh"] = MEH_PER_HARTREE * (energy - published.energy)
    return line


def _shown(lines: list[Line]) -> list[Shown]:
    minus = "\N{MINUS SIGN}"
    return [
        *varying(lines, "study"),
        Shown("system", "system"),
        *varying(lines, "geometry"),
        *varying(lines, "protocol"),
        Shown("hf_hartree", "HF limit", "hartree", "hf_error_hartree"),
        Shown("best_hf_hartree", "HF best", "hartree", "best_hf_error_hartree"),
        Shown("hf_to_literature_mEh", f"HF {minus} literature", "mEh"),
        Shown("ccsd_t_hartree", "CCSD(T) limit", "hartree", "ccsd_t_error_hartree"),
        Shown("best_ccsd_t_hartree", "CCSD(T) best", "hartree", "best_ccsd_t_error_hartree"),
        Shown("ccsd_t_to_literature_mEh", f"CCSD(T) {minus} literature", "mEh"),
        Shown("ccsd_t_to_exact_mEh", f"CCSD(T) {minus} exact", "mEh"),
    ]
