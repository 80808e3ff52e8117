"""The stage that extrapolates to the basis-set limit; it needs neither PySCF nor JAX."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ferminet.benchmark.records import read_rows, write_rows
from ferminet.benchmark.schema import EnergyRow, Rows, row
from ferminet.chemistry.extrapolation import (
    Limit,
    best_hartree_fock_limit,
    correlation_limit,
    hartree_fock_limit,
)
from ferminet.config import LimitConfig
from ferminet.errors import InputError
from ferminet.stages.columns import common_columns

logger = logging.getLogger(__name__)
CORRELATED = ("mp2", "ccsd", "ccsd_t")


class _Part(NamedTuple):
    """A contribution to a limit: Hartree-Fock, or the correlation energy of a method."""

    limit: Limit | None  # None if a member has no energy
    members: dict[str, dict[str, float]]  # extrapolated energies, by method and basis set
    missing: str  # the member without an energy
    doubts: list[str]


def run_limit(config: LimitConfig, rows: list[Path], out: Path, command: str = "") -> None:
    """Extrapolate Hartree-Fock, MP2, CCSD and CCSD(T) to the basis-set limit by a protocol.

    A second limit of each, with the basis `cbs-PROTOCOL-best`, uses the Hartree-Fock limit that is
    nearest to the numerical one. If a member did not converge, the limit is null, and its note
    names the member. The rows store `command`, the command line that reproduces them.

    Raises:
        InputError: a member is missing or has another geometry.
    """
    began = time.monotonic()
    members = read_rows(rows)
    common = {
        **common_columns(config, "cpu"),
        "reference": config.members().scf_reference,
        "precision": "float64",
    }
    limits: Rows = []
    for basis, formula in (
        (f"cbs-{config.protocol}", hartree_fock_limit),
        (f"cbs-{config.protocol}-best", best_hartree_fock_limit),
    ):
        hartree_fock = _part(config, members, "hf", formula)
        for method in ("hf", *CORRELATED):
            parts = {"hf": hartree_fock}
            if method != "hf":
                parts["correlation"] = _part(config, members, method, _correlation_limit)
            columns = _columns(parts)
            columns["details"] |= {"command": command} if command else {}
            seconds = time.monotonic() - began
            limits.append(row(**common, **columns, basis=basis, method=method, wall_s=seconds))
    write_rows(out, limits)
    chosen = next(limit for limit in limits if limit.method == "ccsd_t")
    text = "no limit" if chosen.energy is None else f"CCSD(T) = {chosen.energy:.6f} Eh"
    name = f"limit {config.system} {config.geometry}"
    logger.info("[%s] %s: %s (%s)", name, config.protocol, text, chosen.status)


def _part(
    config: LimitConfig, rows: Rows, method: str, formula: Callable[[Mapping[int, float]], Limit]
) -> _Part:
    """Extrapolate the total energies of Hartree-Fock or the correlation energies of a method."""
    members = config.members()
    reference = members.scf_reference
    energies: dict[int, float] = {}
    used: dict[str, dict[str, float]] = {}
    missing, doubts = "", []
    for x, basis in (members.hartree_fock if method == "hf" else members.correlation).items():
        member = _member(config, rows, method, basis, reference)
        if member.energy is None:
            missing = f"{method} in {basis}: {member.details.note or 'no energy'}"
            continue
        if member.details.stable is False:
            doubts.append(f"{reference.upper()} in {basis} is not stable")
        below = 0.0
        if method != "hf":
            if member.details.e_hf is None:
                raise InputError(f"{member.label} has no e_hf; compute it again.")
            below = member.details.e_hf
        energies[x] = member.energy - below
        used.setdefault(method, {})[basis] = energies[x]
    return _Part(None if missing else formula(energies), used, missing, doubts)


def _correlation_limit(energies: Mapping[int, float]) -> Limit:
    """Extrapolate correlation energies; for one electron the limit is exactly zero."""
    if not any(energies.values()):
        return Limit(0.0, 0.0, "no correlation energy")
    return correlation_limit(energies)


def _columns(parts: Mapping[str, _Part]) -> dict[str, Any]:
    """Return the columns of a limit: the sum of its parts, and their origin."""
    limits = {name: part.limit for name, part in parts.items() if part.limit is not None}
    # A missing energy of the method is named before one of Hartree-Fock.
    missing = next((part.missing for part in [*parts.values()][::-1] if part.missing), "")
    doubts = list(dict.fromkeys(doubt for part in parts.values() for doubt in part.doubts))
    details: dict[str, Any] = {
        "contributions": {} if missing else {n: limit._asdict() for n, limit in limits.items()},
        "members": {method: e for part in parts.values() for method, e in part.members.items()},
    }
    details |= {"note": missing} if missing else {}
    details |= {"doubts": doubts} if doubts else {}
    if missing:
        return {"energy": None, "stderr": None, "status": "not_converged", "details": details}
    return {
        "energy": sum(limit.energy for limit in limits.values()),
        "stderr": math.hypot(*(limit.uncertainty for limit in limits.values())),
        "status": "complete",
        "details": details,
    }


def _member(config: LimitConfig, rows: Rows, method: str, basis: str, reference: str) -> EnergyRow:
    key = (config.system, config.geometry, method, basis, reference)
    for member in rows:
        if key != (*member.geometry_key, member.method, member.basis, member.reference):
            continue
        # Rows of earlier versions do not record what they were computed for.
        if member.details.molecule_hash not in (None, config.molecule_hash()):
            raise InputError(
                f"{method} in {basis} of {config.system} {config.geometry} was computed for other "
                "nuclei, charge or spin than the study has now; compute it again."
            )
        return member
    raise InputError(
        f"the limit of {config.system} {config.geometry} needs {method} in {basis} ({reference}), "
        "which is not among the rows given."
    )
