"""Checks of a study that the types of its keys cannot express."""

from collections.abc import Iterable
from typing import Any

from ferminet.chemistry.basis_sets import check_basis, count_functions
from ferminet.chemistry.limit_protocols import protocol_members
from ferminet.chemistry.scf_reference import resolve_scf_reference
from ferminet.config.blocks import AnsatzConfig, OptimizerConfig
from ferminet.config.optimizers import check_options, is_plugin
from ferminet.config.plugins import option_names
from ferminet.config.selections import BaselineSelection
from ferminet.config.study import ANSATZ_BLOCKS, STAGE_BLOCKS, Study, chosen_systems
from ferminet.errors import InputError
from ferminet.methods import METHODS
from ferminet.systems.molecule import Molecule
from ferminet.systems.suggestions import nearest


def check_study(study: Study) -> None:
    """Check everything that can be known before the first job.

    Raises:
        InputError: something named does not exist, does not fit, or is given twice.
    """
    if not (study.ansatz or study.baselines or study.limits):
        raise InputError("ansatz is empty and there are no baselines or limits; add one of them.")
    systems = study.resolved_systems
    _check_overrides(study.overrides, systems, STAGE_BLOCKS, "overrides")
    for name, selected in study.ansatz.items():
        _check_blocks(selected.settings, ANSATZ_BLOCKS, f"ansatz.{name}.settings")
        _check_overrides(selected.overrides, systems, ANSATZ_BLOCKS, f"ansatz.{name}.overrides")
    for system in systems:
        check_basis(study.blocks_for(system)["scf"].basis, f"scf.basis of {system}")
        shared = study.overrides.get(system, {}).get("options", {})
        for ansatz in study.ansatz:
            _check_options(study.ansatz_for(system, ansatz), ansatz, shared)
            _check_optimizer(study.blocks_for(system, ansatz)["optimizer"])
    _check_baselines(study)
    if chosen_systems(study, study.density.systems, "density") and not study.ansatz:
        raise InputError("density: the study has no wavefunction; add one or leave density out.")


def _check_overrides(
    overrides: dict[str, dict[str, dict[str, Any]]],
    systems: Iterable[str],
    blocks: Iterable[str],
    where: str,
) -> None:
    for system, changes in overrides.items():
        if system not in systems:
            raise InputError(f"{where}: there is no system {system!r}; {nearest(system, systems)}")
        _check_blocks(changes, blocks, f"{where}.{system}")


def _check_blocks(changes: Iterable[str], blocks: Iterable[str], where: str) -> None:
    allowed = [*blocks, "options"]
    for block in changes:
        if block == "scf" and block not in allowed:
            raise InputError(
                f"{where}.scf: the Hartree-Fock orbitals are the same for all wavefunctions; set "
                "scf.basis for the study or in overrides."
            )
        if block not in allowed:
            raise InputError(f"unknown key {where}.{block}; {nearest(block, allowed)}")


def _check_options(config: AnsatzConfig, name: str, shared: Iterable[str]) -> None:
    """Refuse options that the builder does not have; `shared` are those of overrides."""
    allowed = option_names(config.build)
    if allowed is None:
        return
    for option in config.options:
        if option in allowed:
            continue
        if option in shared:
            raise InputError(
                f"overrides has the option {option}, which holds for every wavefunction, and "
                f"{name} has none of that name; {nearest(option, allowed)}. What one wavefunction "
                "alone has belongs in ansatz.NAME.overrides."
            )
        raise InputError(f"unknown key ansatz.{name}.options.{option}; {nearest(option, allowed)}")


def _check_optimizer(config: OptimizerConfig) -> None:
    if not is_plugin(config.name):
        return
    try:
        check_options(config.name, config.options)
    except InputError as error:
        raise InputError(f"optimizer {config.name}: {error}") from None


def _check_baselines(study: Study) -> None:
    seen: set[tuple[str, ...]] = set()
    for index, baseline in enumerate(study.baselines):
        where = f"baselines[{index}]"
        check_basis(baseline.basis, f"{where}.basis")
        for system in chosen_systems(study, baseline.systems, where):
            own = METHODS[baseline.method].chooses_orbitals
            reference = "auto" if own else baseline.reference
            key = (baseline.method, baseline.basis.lower(), reference, system)
            if key in seen:
                raise InputError(
                    f"{where}: {baseline.method} in {baseline.basis} for {system} is given twice; "
                    "keep one (and one active space)."
                )
            seen.add(key)
            for molecule in study.resolved_systems[system].geometries.values():
                _check_baseline(baseline, molecule, where)
    for index, limit in enumerate(study.limits):
        for system in chosen_systems(study, limit.systems, f"limits[{index}]"):
            if ("limit", limit.protocol, system) in seen:
                raise InputError(
                    f"limits[{index}]: {limit.protocol} for {system} is given twice; keep one."
                )
            seen.add(("limit", limit.protocol, system))
            for molecule in study.resolved_systems[system].geometries.values():
                protocol_members(limit.protocol, molecule)


def _check_baseline(baseline: BaselineSelection, molecule: Molecule, where: str) -> None:
    try:
        resolve_scf_reference(baseline.method, baseline.reference, molecule)
        n_functions = count_functions(molecule.symbols, baseline.basis)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    needed = METHODS[baseline.method].needs_active_space
    if baseline.active_space is None:
        if needed:
            raise InputError(
                f"{where}: {baseline.method} needs active_space: [electrons, orbitals]."
            )
        return
    if not needed:
        raise InputError(
            f"{where}: {baseline.method} takes no active_space, got {baseline.active_space}; "
            "leave it out."
        )
    electrons, orbitals = baseline.active_space
    unpaired = molecule.unpaired_electrons
    fits = unpaired <= electrons <= min(molecule.n_electrons, 2 * orbitals - unpaired)
    inactive = (molecule.n_electrons - electrons) // 2
    if not fits or (electrons - unpaired) % 2 or inactive + orbitals > n_functions:
        raise InputError(
            f"{where}.active_space: {electrons} electrons in {orbitals} orbitals do not fit "
            f"{molecule.name}, which has {molecule.n_electrons} electrons, {unpaired} of them "
            f"unpaired, and {n_functions} functions in {baseline.basis}: the electrons outside "
            "must pair up."
        )
