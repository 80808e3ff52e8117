"""The resolved configurations of conventional calculations and of basis-set limits."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ferminet.chemistry.basis_sets import Members, protocol_members
from ferminet.chemistry.cost import Cost, Task, predict, resolve_scf_reference
from ferminet.config.load import load_study
from ferminet.config.runs import Resolved, canonical
from ferminet.config.study import Study, chosen_systems
from ferminet.errors import InputError
from ferminet.methods import MethodName, Protocol, ScfReference


class BaselineConfig(Resolved):
    """One conventional calculation.

    The reference `auto` is resolved, so that each calculation has one name; methods that choose
    their own orbitals keep `auto`.
    """

    method: MethodName
    basis: str
    reference: ScfReference
    active_space: list[int] | None = None  # electrons, orbitals

    def stage_params(self) -> str:
        """Return what the calculation reads, as JSON: it is repeated when this text changes."""
        # Not the deviations, whose wording would repeat days of work.
        content = self.model_dump(include={"method", "basis", "reference", "active_space"})
        return canonical({**content, **self.common_params()})

    def cost(self) -> Cost:
        """Predict time, memory and scratch on one core."""
        task = Task(self.molecule, self.basis, self.reference, self.active_space)
        return predict(self.method, task)


class LimitConfig(Resolved):
    """The basis-set limit of one geometry by a protocol."""

    protocol: Protocol
    # Basis sets in which the study has coupled cluster on the same orbitals anyway.
    coupled_cluster: tuple[str, ...] = ()

    def members(self) -> Members:
        """Return the calculations that it is extrapolated from."""
        return protocol_members(self.protocol, self.molecule)

    def member_baselines(self) -> list[BaselineConfig]:
        """Return the members as configurations: Hartree-Fock, then coupled cluster.

        Coupled cluster yields Hartree-Fock too, so one calculation per basis set is enough, even
        if another part of the study asks for coupled cluster.
        """
        members = self.members()
        correlated = [*members.correlation.values()]
        fields = [basis for basis in members.hartree_fock.values() if basis not in correlated]
        common = self.model_dump(exclude={"protocol", "coupled_cluster"})
        return [
            BaselineConfig(
                **common,
                method="ccsd_t" if basis in (*correlated, *self.coupled_cluster) else "hf",
                basis=basis,
                reference=members.scf_reference,
            )
            for basis in fields + correlated
        ]

    def stage_params(self) -> str:
        """Return what the extrapolation reads, as JSON."""
        content = self.model_dump(include={"protocol", "deviations"})
        return canonical({**content, **self.common_params()})


def expand_baselines(study: Study) -> list[BaselineConfig]:
    """Return all conventional calculations of a study: those named, then members of its limits.

    Each occurs once, and Hartree-Fock only where no coupled cluster calculation yields it.
    """
    baselines = _all_baselines(study)
    return [
        baseline
        for baseline in baselines.values()
        if baseline.method != "hf" or _identity(baseline, "ccsd_t") not in baselines
    ]


def expand_limits(study: Study) -> list[LimitConfig]:
    """Return all basis-set limits of a study."""
    limits = [
        LimitConfig(**common, protocol=limit.protocol)
        for limit in study.limits
        for common in _geometries(study, limit.systems, "limits")
    ]
    members = [limit.member_baselines() for limit in limits]
    baselines = itertools.chain(_named_baselines(study), *members)
    correlated = {_identity(one) for one in baselines if one.method == "ccsd_t"}
    shared = ([m.basis for m in group if _identity(m, "ccsd_t") in correlated] for group in members)
    return [
        limit.model_copy(update={"coupled_cluster": tuple(basis_sets)})
        for limit, basis_sets in zip(limits, shared, strict=True)
    ]


def _all_baselines(study: Study) -> dict[tuple[str, ...], BaselineConfig]:
    members = (limit.member_baselines() for limit in expand_limits(study))
    baselines: dict[tuple[str, ...], BaselineConfig] = {}
    for baseline in itertools.chain(_named_baselines(study), *members):
        baselines.setdefault(_identity(baseline), baseline)
    return baselines


def _named_baselines(study: Study) -> Iterator[BaselineConfig]:
    for selected in study.baselines:
        for common in _geometries(study, selected.systems, "baselines"):
            method, reference = selected.method, selected.reference
            yield BaselineConfig(
                **common,
                method=method,
                basis=selected.basis.lower(),
                reference=resolve_scf_reference(method, reference, common["molecule"]),
                active_space=selected.active_space,
            )


def _geometries(study: Study, names: list[str], where: str) -> Iterator[dict[str, Any]]:
    """Yield the fields that all calculations of a geometry have in common."""
    for name in chosen_systems(study, names, where):
        for geometry in study.resolved_systems[name].geometries:
            yield study.common_fields(name, geometry)


def _identity(baseline: BaselineConfig, method: str = "") -> tuple[str, ...]:
    method = method or baseline.method
    return (baseline.system, baseline.geometry, method, baseline.reference, baseline.basis)


def load_baseline(
    path: str | Path,
    *,
    system: str,
    geometry: str,
    method: MethodName,
    basis: str,
    reference: ScfReference,
) -> BaselineConfig:
    """Return one conventional calculation, or raise InputError if it is not in the study."""
    study = load_study(path)
    resolved = resolve_scf_reference(method, reference, study.molecule(system, geometry))
    identity = (system, geometry, method, resolved, basis.lower())
    baseline = _all_baselines(study).get(identity)
    if baseline is None:
        raise InputError(
            f"{path} does not ask for {method} ({resolved}) in {basis} for {system} {geometry}; "
            "add it to its baselines."
        )
    return baseline


def load_limit(path: str | Path, *, system: str, geometry: str, protocol: str) -> LimitConfig:
    """Return one limit, or raise InputError if the study does not ask for it."""
    study = load_study(path)
    study.molecule(system, geometry)  # which reports a system or geometry that does not exist
    for config in expand_limits(study):
        if (config.system, config.geometry, config.protocol) == (system, geometry, protocol):
            return config
    raise InputError(
        f"{path} does not ask for the limit of {system} {geometry} by the protocol {protocol}; "
        "add it to its limits."
    )
