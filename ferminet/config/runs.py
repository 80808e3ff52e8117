"""The resolved configuration of one run: everything that a stage reads, in one plain value."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

import ferminet
from ferminet.config.blocks import (
    AnsatzConfig,
    DensityConfig,
    EvaluateConfig,
    OptimizerConfig,
    PretrainConfig,
    SamplerConfig,
    ScfConfig,
    TrainConfig,
)
from ferminet.config.load import load_study
from ferminet.config.optimizers import is_plugin
from ferminet.config.plugins import option_defaults, plugin_digest
from ferminet.config.resolved import Resolved, canonical, digest, physics_of
from ferminet.config.study import Study
from ferminet.errors import InputError
from ferminet.systems.suggestions import among, nearest
from ferminet.systems.validation import validate
from ferminet.systems.yaml import read_text

# What a stage reads of a run's configuration besides the geometry and the method's version.
_RUN_READS = ("ansatz", "plugin_digest", "precision", "sampler", "seed")
_STAGE_READS: dict[str, tuple[str, ...]] = {
    "scf": ("scf",),
    "pretrain": (*_RUN_READS, "scf", "pretrain"),
    "train": (*_RUN_READS, "optimizer", "optimizer_digest", "train"),
    "evaluate": (*_RUN_READS, "evaluate", "deviations"),
    "density": (*_RUN_READS, "scf", "evaluate", "density"),
}
# What config_hash covers besides the molecule, the wavefunction and the method's version.
_WHOLE_IN_HASH = ("precision", "scf", "sampler")
_PARTS_IN_HASH = {
    "pretrain": ("iterations", "learning_rate", "walkers"),
    "train": ("clip", "averaging"),
}
Stage = Literal["scf", "pretrain", "train", "evaluate", "density"]


class RunConfig(Resolved):
    """One training run: a geometry, a wavefunction, a seed, and all settings."""

    ansatz_name: str
    ansatz: AnsatzConfig
    plugin_digest: str | None  # SHA-256 of the plug-in file, None for installed wavefunctions
    precision: Literal["float32", "float64"]
    scf: ScfConfig
    pretrain: PretrainConfig
    sampler: SamplerConfig
    optimizer: OptimizerConfig
    train: TrainConfig
    evaluate: EvaluateConfig
    seed: int
    density: DensityConfig = DensityConfig()  # runs stored by older versions have none
    require_gpu: bool = False  # likewise
    optimizer_digest: str | None = None  # SHA-256 of the file of a plug-in optimiser

    @model_serializer(mode="wrap")
    def _without_missing_digest(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content = handler(self)
        if self.optimizer_digest is None:
            content.pop("optimizer_digest", None)
        return content

    def config_hash(self) -> str:
        """Eight hexadecimal digits of what changes the trajectory.

        Not the seed, which has its own place in paths; not how long is trained, how often is saved,
        how is evaluated, or where files lie.
        """
        return digest(self.trajectory())[:8]

    def ansatz_hash(self) -> str:
        """Eight hexadecimal digits of the wavefunction alone: builder, its file, its options."""
        trajectory = self.trajectory()
        return digest({key: trajectory[key] for key in ("build", "options")})[:8]

    def trajectory(self) -> dict[str, Any]:
        """What the hash covers; two runs of different hashes differ in one of these values."""
        return trajectory_of(self.model_dump(), ferminet.METHOD_VERSION)

    def settings(self) -> dict[str, Any]:
        """What two runs of the same geometry may differ in, as their rows keep it.

        What the hash covers, with the options that were left at their defaults, and the number of
        iterations; not the geometry and not the method's version, which have columns.
        """
        trajectory = self.trajectory()
        del trajectory["molecule"], trajectory["method_version"]
        return {
            **trajectory,
            "options": {**option_defaults(self.ansatz.build), **self.ansatz.options},
            "train": {**trajectory["train"], "iterations": self.train.iterations},
        }

    def stage_params(self, stage: Stage) -> str:
        """What one stage reads, as JSON: a job is repeated when this text changes."""
        content = self.model_dump(include=set(_STAGE_READS[stage]))
        # Neither changes a result: how often is saved, and when a bad start is given up.
        content.get("train", {}).pop("checkpoint_interval", None)
        content.get("pretrain", {}).pop("tolerance_hartree", None)
        if stage == "density":
            # It samples as the evaluation does, but as long as it likes, and of one system.
            del content["evaluate"]["iterations"], content["density"]["systems"]
        return canonical({**content, **self.common_params()})

    @property
    def evaluation_seed(self) -> int:
        """The seed of the evaluation, which differs from the training's."""
        return self.seed + self.evaluate.seed_offset


def trajectory_of(content: dict[str, Any], method_version: str) -> dict[str, Any]:
    """What the hash of a run covers.

    It works on plain values and adds no defaults, so that a configuration that was stored before a
    setting existed keeps its hash.

    Args:
        content: a resolved configuration, as ``ferminet resolve`` prints it.
        method_version: version of the method that the run was, or would be, computed by.
    """
    parts = {
        block: {key: content[block][key] for key in keys if key in content[block]}
        for block, keys in _PARTS_IN_HASH.items()
    }
    # A plug-in is its content and not where it lies.
    build, plugin = content["ansatz"]["build"], content["plugin_digest"]
    optimizer, optimizer_plugin = content["optimizer"], content.get("optimizer_digest")
    if optimizer_plugin:
        function = optimizer["name"].rpartition(":")[2]
        optimizer = {**optimizer, "name": [optimizer_plugin, function]}
    return {
        **{block: content[block] for block in _WHOLE_IN_HASH},
        **parts,
        "optimizer": optimizer,
        "molecule": physics_of(content["molecule"]),
        "build": [plugin, build.rpartition(":")[2]] if plugin else build,
        "options": content["ansatz"]["options"],
        "method_version": method_version,
    }


def stored_hash(content: dict[str, Any], method_version: str) -> str:
    """The hash of a stored configuration, by the version of the method that it was computed by.

    Raises:
        InputError: it is no resolved configuration of a run.
    """
    try:
        return digest(trajectory_of(content, method_version))[:8]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"it is no resolved configuration of a run ({error!r}).") from None


def resolve_run(study: Study, system: str, geometry: str, ansatz: str, seed: int) -> RunConfig:
    """The resolved configuration of one run of a study.

    Raises:
        InputError: the study has no such system, geometry, wavefunction or seed.
    """
    molecule = study.molecule(system, geometry)
    config = study.ansatz_for(system, ansatz)
    if seed not in study.seeds:
        raise InputError(f"{study.name} has no seed {seed}; its seeds are {study.seeds}.")
    blocks = study.blocks_for(system, ansatz)
    optimizer = blocks["optimizer"].name
    return RunConfig(
        study=study.name,
        system=system,
        geometry=geometry,
        molecule=molecule,
        deviations=study.deviations,
        ansatz_name=ansatz,
        ansatz=config,
        plugin_digest=plugin_digest(config.build),
        precision=study.precision,
        seed=seed,
        density=study.density,
        require_gpu=study.require_gpu,
        optimizer_digest=plugin_digest(optimizer) if is_plugin(optimizer) else None,
        **blocks,
    )


# The study that was expanded last, which a process asks for again and again, and its runs.
_expanded: tuple[Study, list[RunConfig]] | None = None


def expand_runs(study: Study) -> list[RunConfig]:
    """All runs of a study: geometries x wavefunctions x seeds.

    Raises:
        InputError: two wavefunctions are the same run, whose checkpoints both would write.
    """
    global _expanded
    if _expanded is None or _expanded[0] is not study:
        _expanded = study, _expand(study)
    return list(_expanded[1])


def _expand(study: Study) -> list[RunConfig]:
    runs = [
        resolve_run(study, name, geometry, ansatz, seed)
        for name, system in study.resolved_systems.items()
        for geometry in system.geometries
        for ansatz in study.ansatz
        for seed in study.seeds
    ]
    names: dict[tuple[str, ...], str] = {}
    for run in runs if len(study.ansatz) > 1 else []:
        key = (run.system, run.geometry, run.config_hash())
        other = names.setdefault(key, run.ansatz_name)
        if other != run.ansatz_name:
            raise InputError(
                f"ansatz: {other} and {run.ansatz_name} are the same run of {run.system}; change a "
                "setting other than the numbers of training and evaluation iterations, or keep one."
            )
    return runs


def load_run(
    path: str | Path,
    *,
    system: str | None = None,
    geometry: str | None = None,
    ansatz: str | None = None,
    seed: int | None = None,
) -> RunConfig:
    """One run, from a study and selectors, or from a resolved JSON file alone.

    Args:
        path: a study (.yaml), or what ``ferminet resolve`` wrote (.json).
        system: like the next three, may be left out where the study has only one.
        geometry: label of a geometry.
        ansatz: name of a wavefunction.
        seed: training seed.

    Raises:
        InputError: the file is wrong, or the selectors name no run or more than one.
    """
    path = Path(path)
    if path.suffix == ".json":
        run = _load_resolved(path)
        found = {"system": run.system, "geometry": run.geometry, "ansatz": run.ansatz_name}
        wanted = {"system": system, "geometry": geometry, "ansatz": ansatz, "seed": seed}
        for what, value in (found | {"seed": run.seed}).items():
            if wanted[what] not in (None, value):
                raise InputError(
                    f"{path} is a run with {what} {value}, not {wanted[what]}; leave --{what} out."
                )
        return run
    study = load_study(path)
    system = _the_only("system", system, study.resolved_systems)
    geometry = _the_only("geometry", geometry, study.resolved_systems[system].geometries)
    ansatz = _the_only("ansatz", ansatz, study.ansatz)
    chosen = _the_only("seed", None if seed is None else str(seed), map(str, study.seeds))
    return resolve_run(study, system, geometry, ansatz, int(chosen))


def load_any_run(
    path: str | Path, *, system: str | None = None, geometry: str | None = None
) -> RunConfig:
    """A run of a geometry, whichever: its Hartree-Fock orbitals are the same for all of them.

    Raises:
        InputError: as :func:`load_run`, or the study has no wavefunction at all.
    """
    if Path(path).suffix == ".json":
        return load_run(path, system=system, geometry=geometry)
    study = load_study(path)
    if not study.ansatz:
        raise InputError(f"{path} has no wavefunction, so nothing needs Hartree-Fock orbitals.")
    first = next(iter(study.ansatz))
    return load_run(path, system=system, geometry=geometry, ansatz=first, seed=study.seeds[0])


def _load_resolved(path: Path) -> RunConfig:
    try:
        content = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from None
    try:
        run = validate(RunConfig, content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    plugins = {run.ansatz.build: run.plugin_digest}
    if is_plugin(run.optimizer.name):
        plugins[run.optimizer.name] = run.optimizer_digest
    for name, stored in plugins.items():
        if plugin_digest(name) != stored:
            raise InputError(
                f"{path}: the plug-in {name} has changed; run `ferminet resolve` again."
            )
    return run


def _the_only(what: str, chosen: str | None, allowed: Any) -> str:
    names = list(allowed)
    if not names:
        raise InputError(f"the study has no {what}; it asks for conventional calculations alone.")
    if chosen is None and len(names) == 1:
        return names[0]
    if chosen is None:
        raise InputError(f"the study has more than one {what}; name it with --{what}.")
    if chosen not in names:
        hint = among(names) if what in ("geometry", "seed") else nearest(chosen, names)
        raise InputError(f"the study has no {what} {chosen!r}; {hint}")
    return chosen
