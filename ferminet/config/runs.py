"""The resolved configuration of one run, what each stage reads of it, and its hash."""

import hashlib
import json
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

import ferminet
from ferminet.config import blocks
from ferminet.config.blocks import SPREAD
from ferminet.config.optimizers import is_plugin
from ferminet.config.plugins import option_defaults, plugin_digest
from ferminet.config.study import DensityConfig, InspectConfig, Study
from ferminet.errors import InputError
from ferminet.systems.molecule import Molecule
from ferminet.systems.validation import Block

# What a stage reads of a run's configuration, besides the geometry and the method's version.
_RUN_READS = ("ansatz", "plugin_digest", "precision", "sampler", "seed")
_STAGE_READS: dict[str, tuple[str, ...]] = {
    "scf": ("scf",),
    "pretrain": (*_RUN_READS, "scf", "pretrain"),
    "train": (*_RUN_READS, "optimizer", "optimizer_digest", "train", "curve"),
    "split": ("precision",),
    "evaluate": (*_RUN_READS, "evaluate", "deviations"),
    "density": (*_RUN_READS, "scf", "evaluate", "density"),
    "inspect": (*_RUN_READS, "evaluate", "inspect"),
}
# What config_hash covers besides the molecule, the wavefunction and the method's version.
_WHOLE_IN_HASH = ("precision", "scf", "sampler")
_PARTS_IN_HASH = {
    "pretrain": ("method", "iterations", "learning_rate", "walkers"),
    "train": ("clip", "averaging"),
}
Stage = Literal["scf", "pretrain", "train", "split", "evaluate", "density", "inspect"]

# Hashes round coordinates to this many decimals (bohr): the last digit of a cosine differs between
# machines and must not change the hash of a geometry.
HASH_DECIMALS = 9

# The label, in place of a geometry's, of the training that serves all geometries of a system.
SHARED = "shared"


class Resolved(Block):
    """A calculation of one geometry."""

    study: str
    system: str
    geometry: str
    molecule: Molecule
    deviations: list[str]

    def molecule_hash(self) -> str:
        """Return eight hexadecimal digits of nuclei, charge and spin."""
        return digest(physics_of(self.molecule.model_dump()))[:8]

    def common_params(self) -> dict[str, Any]:
        """Return what every job of the geometry depends on."""
        molecule = physics_of(self.molecule.model_dump())
        return {"molecule": molecule, "method_version": ferminet.METHOD_VERSION}


def physics_of(molecule: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a serialised molecule that its energy or calculation depends on."""
    keys = ("symbols", "charge", "unpaired_electrons", "broken_symmetry")
    # Adding 0.0 turns -0.0 into 0.0.
    coords = [[round(x, HASH_DECIMALS) + 0.0 for x in row] for row in molecule["coords"]]
    return {key: molecule[key] for key in keys} | {"coords": coords}


def canonical(content: Any) -> str:
    """Return JSON that is the same text for the same content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(content: Any) -> str:
    """Return the SHA-256 of the canonical text."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


class RunConfig(Resolved):
    """One training run: a geometry, a wavefunction, a seed, and all settings.

    A run of `train.shared` knows all geometries of its curve. One training serves them all: the
    run with the geometry `SHARED`, whose molecule is the one that the geometries spread from.
    """

    ansatz_name: str
    ansatz: blocks.AnsatzConfig
    plugin_digest: str | None  # SHA-256 of the plug-in file, None for installed wavefunctions
    precision: Literal["float32", "float64"]
    scf: blocks.ScfConfig
    pretrain: blocks.PretrainConfig
    sampler: blocks.SamplerConfig
    optimizer: blocks.OptimizerConfig
    train: blocks.TrainConfig
    evaluate: blocks.EvaluateConfig
    seed: int
    # Runs stored by older versions have no values for these.
    density: DensityConfig = DensityConfig()
    inspect: InspectConfig = InspectConfig()
    require_gpu: bool = False
    optimizer_digest: str | None = None  # SHA-256 of the file of a plug-in optimiser
    curve: dict[str, Molecule] | None = None  # geometries that share the training, by label

    @model_serializer(mode="wrap")
    def _without_what_is_missing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content = handler(self)
        optional = ("optimizer_digest", "curve")
        return {k: v for k, v in content.items() if k not in optional or v is not None}

    @property
    def trained_geometries(self) -> list[str]:
        """The labels of the geometries whose training is that of this run."""
        return list(self.curve or [self.geometry])

    def training_run(self) -> "RunConfig":
        """Return the run whose pretraining and training serve this one."""
        if self.curve is None:
            return self
        return self.model_copy(update={"geometry": SHARED, "molecule": middle_of(self.curve)})

    def config_hash(self) -> str:
        """Return eight hexadecimal digits of what changes the trajectory, except the seed."""
        return digest(self.trajectory())[:8]

    def ansatz_hash(self) -> str:
        """Return eight hexadecimal digits of the wavefunction: builder, its file, its options."""
        trajectory = self.trajectory()
        return digest({key: trajectory[key] for key in ("build", "options")})[:8]

    def trajectory(self) -> dict[str, Any]:
        """Return what the hash covers; runs of different hashes differ in one of these values."""
        return trajectory_of(self.model_dump(), ferminet.METHOD_VERSION)

    def settings(self) -> dict[str, Any]:
        """Return the settings in which two runs of a geometry may differ, as rows hold them.

        They are what the hash covers, with all options and the number of iterations, but without
        the geometry and the method's version, which have columns.
        """
        trajectory = self.trajectory()
        del trajectory["molecule"], trajectory["method_version"]
        trajectory.pop("curve", None)
        return {
            **trajectory,
            "options": {**option_defaults(self.ansatz.build), **self.ansatz.options},
            "train": {**trajectory["train"], "iterations": self.train.iterations},
        }

    def stage_params(self, stage: Stage) -> str:
        """Return what one stage reads, as JSON: a job is repeated when this text changes."""
        content = self.model_dump(include=set(_STAGE_READS[stage]))
        # Neither changes a result.
        content.get("train", {}).pop("checkpoint_interval", None)
        content.get("pretrain", {}).pop("tolerance", None)
        if stage in ("density", "inspect"):
            # They sample like the evaluation, but have a separate number of iterations.
            del content["evaluate"]["iterations"], content[stage]["systems"]
        return canonical({**content, **self.common_params()})

    @property
    def evaluation_seed(self) -> int:
        """Seed of the evaluation, which differs from that of the training."""
        return self.seed + self.evaluate.seed_offset


def trajectory_of(content: dict[str, Any], method_version: str) -> dict[str, Any]:
    """Return what the hash of a run covers.

    The content is a resolved configuration, as `ferminet resolve` prints it. No defaults are added,
    so a configuration that was stored before a setting existed keeps its hash.
    """
    parts = {
        block: {key: content[block][key] for key in keys if key in content[block]}
        for block, keys in _PARTS_IN_HASH.items()
    }
    shared: dict[str, Any] = {}
    if curve := content.get("curve"):
        parts["train"] |= {key: content["train"][key] for key in ("shared", *SPREAD)}
        coords = [physics_of(molecule)["coords"] for molecule in curve.values()]
        shared = {"curve": {"coords": coords, "all": content["geometry"] == SHARED}}
    # The content of a plug-in counts, not the path of its file.
    build, plugin = content["ansatz"]["build"], content["plugin_digest"]
    optimizer, optimizer_plugin = content["optimizer"], content.get("optimizer_digest")
    if optimizer_plugin:
        function = optimizer["name"].rpartition(":")[2]
        optimizer = {**optimizer, "name": [optimizer_plugin, function]}
    return {
        **{block: content[block] for block in _WHOLE_IN_HASH},
        **parts,
        **shared,
        "optimizer": optimizer,
        "molecule": physics_of(content["molecule"]),
        "build": [plugin, build.rpartition(":")[2]] if plugin else build,
        "options": content["ansatz"]["options"],
        "method_version": method_version,
    }


def stored_hash(content: dict[str, Any], method_version: str) -> str:
    """Return the hash of a stored configuration, or raise InputError if it is not a run's."""
    try:
        return digest(trajectory_of(content, method_version))[:8]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"it is not the resolved configuration of a run ({error!r}).") from None


def resolve_run(study: Study, system: str, geometry: str, ansatz: str, seed: int) -> RunConfig:
    """Resolve one run, or raise InputError if it is not in the study.

    The geometry `SHARED` stands for the training of a whole curve.
    """
    config, settings = study.ansatz_for(system, ansatz), study.blocks_for(system, ansatz)
    curve = _curve_of(study, system, settings)
    known = geometry if curve is None or geometry != SHARED else next(iter(curve))
    common = study.common_fields(system, known)
    if seed not in study.seeds:
        raise InputError(f"{study.name} has no seed {seed}; its seeds are {study.seeds}.")
    optimizer = settings["optimizer"].name
    run = RunConfig(
        **common,
        ansatz_name=ansatz,
        ansatz=config,
        plugin_digest=plugin_digest(config.build),
        precision=study.precision,
        seed=seed,
        density=study.density,
        inspect=study.inspect,
        require_gpu=study.require_gpu,
        optimizer_digest=plugin_digest(optimizer) if is_plugin(optimizer) else None,
        curve=curve,
        **settings,
    )
    return run.training_run() if curve and geometry == SHARED else run


def middle_of(curve: dict[str, Molecule]) -> Molecule:
    """Return the geometry in the middle of a list, where a shared training begins."""
    return list(curve.values())[len(curve) // 2]


def _curve_of(study: Study, system: str, settings: dict[str, Any]) -> dict[str, Molecule] | None:
    """Return the geometries that share a training, or None if each is trained by itself."""
    if not settings["train"].shared:
        return None
    curve, walkers = study.resolved_systems[system].geometries, settings["sampler"].walkers
    if len(curve) < 2:
        raise InputError(
            f"train.shared: {system} has one geometry in {study.name}, and there is nothing to "
            "share; name more geometries, or set it for other systems (overrides)."
        )
    if SHARED in curve:
        raise InputError(f"train.shared: no geometry of {system} may be called {SHARED}.")
    train = settings["train"]
    if train.iterations < train.spread_start + train.spread_iterations:
        raise InputError(
            f"train.shared: the geometries of {system} have spread after iteration "
            f"{train.spread_start + train.spread_iterations}, but train.iterations is "
            f"{train.iterations}; raise it, or lower train.spread_start or train.spread_iterations."
        )
    if walkers % len(curve):
        more = len(curve) * -(-walkers // len(curve))
        raise InputError(
            f"train.shared: the {walkers} walkers of {system} cannot be divided among "
            f"{len(curve)} geometries; set sampler.walkers to a multiple, for example {more}."
        )
    return dict(curve)


def expand_runs(study: Study) -> list[RunConfig]:
    """Return all runs of a study: geometries x wavefunctions x seeds.

    Wavefunctions that resolve to the same run are refused, since both would write its checkpoints.
    """
    runs = [
        resolve_run(study, name, geometry, ansatz, seed)
        for name, system in study.resolved_systems.items()
        for geometry in system.geometries
        for ansatz in study.ansatz
        for seed in study.seeds
    ]
    names: dict[tuple[str, ...], str] = {}
    for run in runs if len(study.ansatz) > 1 else []:
        other = names.setdefault((run.system, run.geometry, run.config_hash()), run.ansatz_name)
        if other != run.ansatz_name:
            raise InputError(
                f"ansatz: {other} and {run.ansatz_name} are the same run of {run.system}; change a "
                "setting other than the numbers of training and evaluation iterations, or keep one."
            )
    return runs


def expand_trainings(study: Study) -> list[RunConfig]:
    """Return the shared trainings of a study, one per curve, wavefunction and seed."""
    return [
        run.training_run()
        for run in expand_runs(study)
        if run.curve and run.geometry == next(iter(run.curve))
    ]
