"""The resolved configurations of conventional calculations and of basis-set limits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ferminet.chemistry.cost import Cost, Task, predict
from ferminet.chemistry.limit_protocols import Members, protocol_members
from ferminet.chemistry.scf_reference import AUTO_ORBITALS, resolve_scf_reference
from ferminet.config.load import load_study
from ferminet.config.resolved import Resolved, canonical
from ferminet.config.study import Study, chosen_systems
from ferminet.errors import InputError
from ferminet.methods import MethodName, Protocol, ScfReference
from ferminet.systems.molecule import Molecule


class BaselineConfig(Resolved):
    """One conventional calculation.

    The reference is what `auto` stands for, so that the same calculation has one name; methods
    that choose their own orbitals keep `auto`.
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
        """Return what it will take on one core."""
        orbitals = AUTO_ORBITALS if self.reference == "auto" else self.reference
        task = Task(self.molecule, self.basis, orbitals, self.active_space)
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

        Coupled cluster gives Hartree-Fock too, so each basis set has one calculation, also where
        something else in the study asks for coupled cluster.
        """
        members = self.members()
        correlated = [*members.correlation.values()]
        fields = [basis for basis in members.hartree_fock.values() if basis not in correlated]
        given = self.coupled_cluster
        wanted: list[tuple[MethodName, str]] = [
            *(("ccsd_t" if basis in given else "hf", basis) for basis in fields),
            *(("ccsd_t", basis) for basis in correlated),
        ]
        common = self.model_dump(exclude={"protocol", "coupled_cluster"})
        return [
            BaselineConfig(**common, method=method, basis=basis, reference=members.scf_reference)
            for method, basis in wanted
        ]

    def stage_params(self) -> str:
        """Return what the extrapolation reads, as JSON."""
        content = self.model_dump(include={"protocol", "deviations"})
        return canonical({**content, **self.common_params()})


def expand_baselines(study: Study) -> list[BaselineConfig]:
    """Return all conventional calculations of a study: those named, then members of its limits.

    Each is there once, and Hartree-Fock only where coupled cluster does not give it.
    """
    found = _all_baselines(study)
    return [
        baseline
        for baseline in found.values()
        if baseline.method != "hf" or _identity(baseline, "ccsd_t") not in found
    ]


def _all_baselines(study: Study) -> dict[tuple[str, ...], BaselineConfig]:
    found: dict[tuple[str, ...], BaselineConfig] = {}
    members = (member for limit in expand_limits(study) for member in limit.member_baselines())
    for baseline in (*_named_baselines(study), *members):
        found.setdefault(_identity(baseline), baseline)
    return found


def _identity(baseline: BaselineConfig, method: str = "") -> tuple[str, ...]:
    method = method or baseline.method
    return (baseline.system, baseline.geometry, method, baseline.reference, baseline.basis)


def _named_baselines(study: Study) -> Iterator[BaselineConfig]:
    for baseline in study.baselines:
        for name in chosen_systems(study, baseline.systems, "baselines"):
            for geometry, molecule in study.resolved_systems[name].geometries.items():
                yield BaselineConfig(
                    **_common(study, name, geometry, molecule),
                    method=baseline.method,
                    basis=baseline.basis.lower(),
                    reference=resolve_scf_reference(baseline.method, baseline.reference, molecule),
                    active_space=baseline.active_space,
                )


def expand_limits(study: Study) -> list[LimitConfig]:
    """Return all basis-set limits of a study."""
    alone = [
        LimitConfig(**_common(study, name, geometry, molecule), protocol=limit.protocol)
        for limit in study.limits
        for name in chosen_systems(study, limit.systems, "limits")
        for geometry, molecule in study.resolved_systems[name].geometries.items()
    ]
    members = (member for limit in alone for member in limit.member_baselines())
    correlated = {
        _identity(one) for one in (*_named_baselines(study), *members) if one.method == "ccsd_t"
    }
    return [
        limit.model_copy(
            update={
                "coupled_cluster": tuple(
                    one.basis
                    for one in limit.member_baselines()
                    if _identity(one, "ccsd_t") in correlated
                )
            }
        )
        for limit in alone
    ]


def _common(study: Study, system: str, geometry: str, molecule: Molecule) -> dict[str, Any]:
    return {
        "study": study.name,
        "system": system,
        "geometry": geometry,
        "molecule": molecule,
        "deviations": study.deviations,
    }


def load_baseline(
    path: str | Path, *, system: str, geometry: str, method: str, basis: str, reference: str
) -> BaselineConfig:
    """Return one conventional calculation of a study.

    Raises:
        InputError: the file is wrong, or the study does not ask for that calculation.
    """
    study = load_study(path)
    molecule = study.molecule(system, geometry)
    chosen = resolve_scf_reference(method, reference, molecule)
    wanted = (system, geometry, method, chosen, basis.lower())
    found = _all_baselines(study).get(wanted)
    if found is not None:
        return found
    raise InputError(
        f"{path} does not ask for {method} ({chosen}) in {basis} for {system} {geometry}; "
        "add it to its baselines."
    )


def load_limit(path: str | Path, *, system: str, geometry: str, protocol: str) -> LimitConfig:
    """Return one limit of a study.

    Raises:
        InputError: the file is wrong, or the study does not ask for that limit.
    """
    study = load_study(path)
    study.molecule(system, geometry)
    for config in expand_limits(study):
        if (config.system, config.geometry, config.protocol) == (system, geometry, protocol):
            return config
    raise InputError(
        f"{path} does not ask for the limit of {system} {geometry} by the protocol {protocol}; "
        "add it to its limits."
    )
