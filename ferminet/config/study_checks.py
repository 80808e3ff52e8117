"""Checks of a study that the types of its keys cannot express; each raises InputError."""

from collections.abc import Iterable

from ferminet.chemistry.basis_sets import check_basis, count_functions
from ferminet.chemistry.limit_protocols import protocol_members
from ferminet.chemistry.scf_reference import resolve_scf_reference
from ferminet.config.blocks import AnsatzConfig
from ferminet.config.optimizers import check_options, is_plugin
from ferminet.config.plugins import builder_options
from ferminet.config.selections import BaselineSelection
from ferminet.config.study import STAGE_BLOCKS, Study, chosen_systems
from ferminet.errors import InputError
from ferminet.methods import METHODS
from ferminet.systems.molecule import Molecule
from ferminet.systems.suggestions import nearest
from ferminet.systems.validation import prefix_errors


def check_study(study: Study) -> None:
    """Check everything that can be known before the first job."""
    if not (study.ansatz or study.baselines or study.limits):
        raise InputError("ansatz is empty and there are no baselines or limits; add one of them.")
    systems = study.resolved_systems
    overrides = {"overrides": study.overrides}
    for name, selected in study.ansatz.items():
        _check_blocks(selected.settings, f"ansatz.{name}.settings")
        overrides[f"ansatz.{name}.overrides"] = selected.overrides
    for where, changes in overrides.items():
        for system, blocks in changes.items():
            if system not in systems:
                hint = nearest(system, systems)
                raise InputError(f"{where}: there is no system {system!r}; {hint}")
            _check_blocks(blocks, f"{where}.{system}")
    for system in systems:
        check_basis(study.blocks_for(system)["scf"].basis, f"scf.basis of {system}")
        shared = study.overrides.get(system, {}).get("options", {})
        for ansatz in study.ansatz:
            _check_options(study.ansatz_for(system, ansatz), ansatz, shared)
            optimizer = study.blocks_for(system, ansatz)["optimizer"]
            if is_plugin(optimizer.name):
                with prefix_errors(f"optimizer {optimizer.name}"):
                    check_options(optimizer.name, optimizer.options)
    _check_baselines(study)
    if chosen_systems(study, study.density.systems, "density") and not study.ansatz:
        raise InputError("density: the study has no wavefunction; add one or leave density out.")


def _check_blocks(changes: Iterable[str], where: str) -> None:
    hartree_fock = {"scf"} if where.startswith("ansatz.") else set()
    allowed = {*STAGE_BLOCKS, "options"} - hartree_fock
    for block in changes:
        if block in hartree_fock:
            raise InputError(
                f"{where}.scf: the Hartree-Fock orbitals are the same for all wavefunctions; set "
                "scf.basis for the study or in overrides."
            )
        if block not in allowed:
            raise InputError(f"unknown key {where}.{block}; {nearest(block, allowed)}")


def _check_options(config: AnsatzConfig, name: str, shared: Iterable[str]) -> None:
    """Refuse options that the builder does not have; `shared` are those of overrides."""
    allowed = builder_options(config.build)
    for option in config.options if allowed is not None else ():
        if option in (allowed or ()):
            continue
        hint = nearest(option, allowed or ())
        if option in shared:
            raise InputError(
                f"overrides has the option {option}, which holds for every wavefunction, and "
                f"{name} has none of that name; {hint} Options of a single wavefunction belong in "
                "ansatz.NAME.overrides."
            )
        raise InputError(f"unknown key ansatz.{name}.options.{option}; {hint}")


def _check_baselines(study: Study) -> None:
    """Check conventional calculations and basis-set limits, each of which is named once."""
    seen: set[tuple[str, ...]] = set()
    for index, baseline in enumerate(study.baselines):
        where = f"baselines[{index}]"
        check_basis(baseline.basis, f"{where}.basis")
        own = METHODS[baseline.method].chooses_orbitals
        reference = "auto" if own else baseline.reference
        for system in chosen_systems(study, baseline.systems, where):
            key = (baseline.method, baseline.basis.lower(), reference, system)
            if key in seen:
                raise InputError(
                    f"{where}: {baseline.method} in {baseline.basis} for {system} is given twice; "
                    "keep one (and one active space)."
                )
            seen.add(key)
            for molecule in study.resolved_systems[system].geometries.values():
                with prefix_errors(where):
                    _check_baseline(baseline, molecule)
    for index, limit in enumerate(study.limits):
        where = f"limits[{index}]"
        for system in chosen_systems(study, limit.systems, where):
            key = ("limit", limit.protocol, system)
            if key in seen:
                raise InputError(
                    f"{where}: {limit.protocol} for {system} is given twice; keep one."
                )
            seen.add(key)
            for molecule in study.resolved_systems[system].geometries.values():
                protocol_members(limit.protocol, molecule)


def _check_baseline(baseline: BaselineSelection, molecule: Molecule) -> None:
    method, active_space = baseline.method, baseline.active_space
    resolve_scf_reference(method, baseline.reference, molecule)
    n_functions = count_functions(molecule.symbols, baseline.basis)
    if METHODS[method].needs_active_space != (active_space is not None):
        problem = (
            f"{method} needs active_space: [electrons, orbitals]."
            if active_space is None
            else f"{method} takes no active_space, got {active_space}; leave it out."
        )
        raise InputError(problem)
    if active_space is None:
        return
    electrons, orbitals = active_space
    unpaired = molecule.unpaired_electrons
    fits = unpaired <= electrons <= min(molecule.n_electrons, 2 * orbitals - unpaired)
    inactive = (molecule.n_electrons - electrons) // 2
    if not fits or (electrons - unpaired) % 2 or inactive + orbitals > n_functions:
        raise InputError(
            f"active_space: {electrons} electrons in {orbitals} orbitals do not fit "
            f"{molecule.name}, which has {molecule.n_electrons} electrons, {unpaired} of them "
            f"unpaired, and {n_functions} functions in {baseline.basis}: the electrons outside "
            "must pair up."
        )
