"""The stage that extrapolates to the basis-set limit; it needs neither PySCF nor JAX."""

import logging
import math
import time
from pathlib import Path
from typing import Any

from ferminet.benchmark.records import read_rows, write_rows
from ferminet.benchmark.schema import EnergyRow, Rows, row
from ferminet.chemistry.extrapolation import (
    Limit,
    best_hartree_fock_limit,
    correlation_limit,
    hartree_fock_limit,
)
from ferminet.chemistry.limit_protocols import Members
from ferminet.config import LimitConfig
from ferminet.errors import InputError
from ferminet.stages.columns import common_columns

logger = logging.getLogger(__name__)
CORRELATED = ("mp2", "ccsd", "ccsd_t")


def run_limit(
    config: LimitConfig,
    rows: list[Path],
    out: Path,
    command: str = "",
) -> None:
    """The limits of Hartree-Fock, MP2, CCSD and CCSD(T) by a protocol.

    Beside each stands, as basis ``cbs-PROTOCOL-best``, the one with the Hartree-Fock limit that is
    nearest to the numerical one. A limit with a member that did not converge is null, and its note
    says which.

    Args:
        config: geometry and protocol.
        rows: files with the members' rows.
        out: rows.
        command: the command line that makes the rows again, which they carry.

    Raises:
        InputError: a member is missing, or of another geometry.
    """
    began = time.monotonic()
    members = config.members()
    found = read_rows(rows)
    common = {
        **common_columns(config, config.molecule, "cpu"),
        "reference": members.scf_reference,
        "precision": "float64",
    }
    made: Rows = []
    for basis, formula in (
        (f"cbs-{config.protocol}", hartree_fock_limit),
        (f"cbs-{config.protocol}-best", best_hartree_fock_limit),
    ):
        field = _Extrapolated(config, members, found, "hf").hartree_fock(formula)
        made.append(row(**common, basis=basis, method="hf", **field.columns(began)))
        for method in CORRELATED:
            correlated = _Extrapolated(config, members, found, method).correlated(field)
            made.append(row(**common, basis=basis, method=method, **correlated.columns(began)))
    if command:
        made = [one.replace(details=one.details.with_entries(command=command)) for one in made]
    write_rows(out, made)
    chosen = next(one for one in made if one.method == "ccsd_t")
    text = "no limit" if chosen.energy is None else f"CCSD(T) = {chosen.energy:.6f} Eh"
    name = f"limit {config.system} {config.geometry}"
    logger.info("[%s] %s: %s (%s)", name, config.protocol, text, chosen.status)


class _Extrapolated:
    """One method's limit under way: members found, contributions, what is missing."""

    def __init__(self, config: LimitConfig, members: Members, found: Rows, method: str) -> None:
        self.method, self.lacking = method, ""
        self.doubts: list[str] = []
        self.contributions: dict[str, Limit] = {}
        self.members: dict[str, dict[str, float]] = {}
        sets = members.hartree_fock if method == "hf" else members.correlation
        self.energies: dict[int, float] = {}
        for x, basis in sets.items():
            member = _member(config, found, method, basis, members.scf_reference)
            if member.energy is None:
                self.lacking = f"{method} in {basis}: {member.details.note or 'no energy'}"
                continue
            reference = members.scf_reference.upper()
            zero = 0.0 if method == "hf" else _hartree_fock_part(member)
            if member.details.stable is False:
                self.doubts.append(f"{reference} in {basis} is not stable")
            self.energies[x] = member.energy - zero
            self.members.setdefault(method, {})[basis] = self.energies[x]

    def hartree_fock(self, formula: Any) -> "_Extrapolated":
        """Extrapolates total energies by one of the formulas for Hartree-Fock."""
        if not self.lacking:
            self.contributions["hf"] = formula(self.energies)
        return self

    def correlated(self, field: "_Extrapolated") -> "_Extrapolated":
        """Extrapolates the correlation energy and adds it to a Hartree-Fock limit."""
        self.members = {**field.members, **self.members}
        self.doubts = list(dict.fromkeys([*field.doubts, *self.doubts]))
        self.lacking = self.lacking or field.lacking
        if not self.lacking:
            self.contributions = {**field.contributions, "correlation": _limit(self.energies)}
        return self

    def columns(self, began: float) -> dict[str, Any]:
        """Energy, its uncertainty, status, and how they came about."""
        parts = self.contributions
        lacking = bool(self.lacking)
        return {
            "energy": None if lacking else sum(part.energy for part in parts.values()),
            "stderr": None if lacking else math.hypot(*(p.uncertainty for p in parts.values())),
            "status": "not_converged" if lacking else "complete",
            "wall_s": time.monotonic() - began,
            "details": {
                "contributions": {name: part._asdict() for name, part in parts.items()},
                "members": self.members,
                **({"note": self.lacking} if lacking else {}),
                **({"doubts": self.doubts} if self.doubts else {}),
            },
        }


def _hartree_fock_part(member: EnergyRow) -> float:
    """Return the Hartree-Fock energy below a correlated one."""
    if member.details.e_hf is None:
        raise InputError(f"{member.label} does not hold its e_hf; compute it again.")
    return member.details.e_hf


def _limit(energies: dict[int, float]) -> Limit:
    """Of correlation energies; none at all (one electron) has a limit that is exactly zero."""
    if not any(energies.values()):
        return Limit(0.0, 0.0, "no correlation energy")
    return correlation_limit(energies)


def _member(config: LimitConfig, rows: Rows, method: str, basis: str, reference: str) -> EnergyRow:
    wanted = (config.system, config.geometry, method, basis, reference)
    for one in rows:
        key = (one.system, one.geometry, one.method, one.basis, one.reference)
        if key != wanted:
            continue
        # Rows of former versions do not say what they were computed for.
        if (one.details.molecule_hash or config.molecule_hash()) != config.molecule_hash():
            raise InputError(
                f"{method} in {basis} of {config.system} {config.geometry} was computed for other "
                "nuclei, charge or spin than the study has now; compute it again."
            )
        return one
    raise InputError(
        f"the limit of {config.system} {config.geometry} needs {method} in {basis} ({reference}), "
        "which is not among the rows given."
    )
