"""Read and check studies, and load runs from a study or from the file of a resolved run."""

import json
from collections.abc import Iterable
from pathlib import Path

from ferminet.chemistry.basis_sets import check_basis, count_functions, protocol_members
from ferminet.chemistry.cost import resolve_scf_reference
from ferminet.config.blocks import SUITE_NAME, AnsatzConfig
from ferminet.config.optimizers import check_options, is_plugin
from ferminet.config.plugins import builder_options, plugin_digest
from ferminet.config.runs import SHARED, RunConfig, resolve_run
from ferminet.config.study import STAGE_BLOCKS, BaselineSelection, Study, chosen_systems
from ferminet.errors import InputError
from ferminet.methods import METHODS
from ferminet.systems.molecule import Molecule
from ferminet.systems.validation import among, nearest, prefix_errors, validate
from ferminet.systems.yaml import load_mapping, read_text


def load_study(path: str | Path) -> Study:
    """Read a study, named after its file, and check what can be checked before the first job.

    Raises:
        InputError: one sentence with the file, the key, what was got and what is allowed.
    """
    path = Path(path)
    if not SUITE_NAME.fullmatch(path.stem) or path.suffix != ".yaml":
        raise InputError(
            f"{path}: a study is a .yaml file whose name has letters, digits, underscores and "
            "hyphens only, because it becomes part of paths."
        )
    content = load_mapping(path)
    if "name" in content:
        raise InputError(f"{path}: unknown key name; a study is named after its file.")
    with prefix_errors(path):
        study = validate(Study, {**content, "name": path.stem})
        check_study(study)
    return study


def load_run(
    path: str | Path,
    *,
    system: str | None = None,
    geometry: str | None = None,
    ansatz: str | None = None,
    seed: int | None = None,
    any_run: bool = False,
) -> RunConfig:
    """Return one run, from a study and selectors or from a resolved JSON file alone.

    `path` is a study (.yaml), whose run the selectors name where it has several, or what `ferminet
    resolve` wrote (.json). With `any_run` the first wavefunction and seed are taken, since the
    Hartree-Fock orbitals of all are the same.

    Raises:
        InputError: the file is wrong, or the selectors name no run or more than one.
    """
    path = Path(path)
    if path.suffix != ".json":
        study = load_study(path)
        system = _choose("system", system, study.resolved_systems)
        if geometry != SHARED:
            geometry = _choose("geometry", geometry, study.resolved_systems[system].geometries)
        ansatz = _choose("ansatz", ansatz, study.ansatz, any_run)
        named = None if seed is None else str(seed)
        chosen = _choose("seed", named, map(str, study.seeds), any_run)
        return resolve_run(study, system, geometry, ansatz, int(chosen))
    run = _load_resolved(path)
    if geometry == SHARED and run.curve:
        run = run.training_run()
    selected = {"system": system, "geometry": geometry, "ansatz_name": ansatz, "seed": seed}
    for field, value in selected.items():
        if value not in (None, getattr(run, field)):
            name = field.removesuffix("_name")
            is_run = f"{path} is a run with {name} {getattr(run, field)}"
            raise InputError(f"{is_run}, not {value}; leave --{name} out.")
    return run


def _load_resolved(path: Path) -> RunConfig:
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from None
    pretrain = content.get("pretrain") if isinstance(content, dict) else None
    if isinstance(pretrain, dict) and pretrain.pop("tolerance_hartree", None) is not None:
        pretrain.setdefault("method", "adam")  # written before there was another method
    with prefix_errors(path):
        run = validate(RunConfig, content)
    plugins = {run.ansatz.build: run.plugin_digest}
    if is_plugin(run.optimizer.name):
        plugins[run.optimizer.name] = run.optimizer_digest
    for name, stored in plugins.items():
        if plugin_digest(name) != stored:
            raise InputError(
                f"{path}: the plug-in {name} has changed; run `ferminet resolve` again."
            )
    return run


def _choose(what: str, chosen: str | None, allowed: Iterable[str], first: bool = False) -> str:
    """Return the chosen name, or the only one there is, or the first."""
    names = list(allowed)
    if not names:
        raise InputError(f"the study has no {what}; it asks for conventional calculations alone.")
    if chosen is None and len(names) > 1 and not first:
        raise InputError(f"the study has more than one {what}; name it with --{what}.")
    if chosen is not None and chosen not in names:
        hint = among(names) if what in ("geometry", "seed") else nearest(chosen, names)
        raise InputError(f"the study has no {what} {chosen!r}; {hint}")
    return chosen or names[0]


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
    for name, block in (("density", study.density), ("inspect", study.inspect)):
        if chosen_systems(study, block.systems, name) and not study.ansatz:
            raise InputError(f"{name}: the study has no wavefunction; add one or leave {name} out.")


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
    """Refuse options that the builder does not have; `shared` are those in overrides."""
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
