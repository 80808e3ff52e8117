"""A study: the systems, wavefunctions, seeds and baselines that one file asks for.

Its methods raise InputError for a system, a geometry, a wavefunction or a key that does not exist.
"""

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

import ferminet
from ferminet.config import blocks
from ferminet.config.blocks import (
    WIDEST_MARGIN_HARTREE,
    AnsatzConfig,
    AnsatzName,
    AnsatzSelection,
    Count,
    CountOrZero,
    SuiteName,
    Unique,
)
from ferminet.errors import InputError
from ferminet.methods import MethodName, Protocol, ScfReference
from ferminet.systems.files import find_system, read_system, refuse_spin_keys
from ferminet.systems.molecule import Molecule, System
from ferminet.systems.validation import Block, nearest, prefix_errors, validate

# The folder of the package, the molecules and the released rows.
PROJECT = Path(ferminet.__file__).parents[1]
STAGE_BLOCKS: dict[str, type[Block]] = {
    "scf": blocks.ScfConfig,
    "pretrain": blocks.PretrainConfig,
    "sampler": blocks.SamplerConfig,
    "optimizer": blocks.OptimizerConfig,
    "train": blocks.TrainConfig,
    "evaluate": blocks.EvaluateConfig,
}
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


class SystemSelection(Block):
    """One system of the study; a plain name stands for all its geometries."""

    name: str | None = None
    """A system of the folder molecules/."""
    path: str | None = None
    """Instead of name: your own YAML or xyz file."""
    geometries: list[str] | None = Field(default=None, min_length=1)
    """Labels of geometries, e.g. [a85, a90]; all if left out."""
    charge: int | None = None
    """Charge, for an xyz file."""
    unpaired_electrons: CountOrZero | None = None
    """N_up - N_down, for an xyz file."""
    unit: Literal["bohr", "angstrom"] | None = None
    """Unit of the coordinates, for an xyz file."""


_Systems = Annotated[
    list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
_EVERY_SYSTEM = Field(
    default=["all"], min_length=1, description="all, or the names of some of the study's systems."
)


class BaselineSelection(Block):
    """A conventional method to compare with."""

    method: MethodName
    """Name of a conventional method; ccsd_t yields hf, MP2 and CCSD too."""
    basis: str
    """Gaussian basis set, by its Basis Set Exchange name."""
    reference: ScfReference = "auto"
    """auto: rhf for closed shells, uhf for open ones; uhf for hf where bonds break."""
    active_space: list[Count] | None = Field(default=None, min_length=2, max_length=2)
    """[electrons, orbitals] of CASSCF, for a method that needs them (nevpt2)."""
    systems: _Systems = _EVERY_SYSTEM


class LimitSelection(Block):
    """Hartree-Fock and CCSD(T) at the basis-set limit; its members are computed too."""

    protocol: Protocol
    """paper or small: the basis sets and the formulas (docs/explanation/baselines.md)."""
    systems: _Systems = _EVERY_SYSTEM


class DensityConfig(Block):
    """The one-electron density of some systems; asking for it repeats nothing else."""

    systems: _Systems = Field(default=[])
    """all, or the names of some of the study's systems; [] computes no density."""
    iterations: Annotated[int, Field(ge=2, le=2**31 - 1)] = 2000
    """Samples per walker, after the evaluation's burn_in and with its decorrelation_steps between
    them."""
    bins: Annotated[int, Field(ge=4, le=1000)] = 120
    """Bins of a profile; a map has half as many in each of its two directions."""
    extent: Annotated[float, Field(gt=0, le=100)] = 8.0
    """How far the bins reach beyond the outermost nuclei (bohr); electrons further out are counted
    together."""


class InspectConfig(Block):
    """Local energies, cusps and isotropy of some systems; asking for it repeats nothing else."""

    systems: _Systems = Field(default=[])
    """all, or the names of some of the study's systems; [] inspects none."""
    iterations: Annotated[int, Field(ge=2, le=10_000)] = 200
    """Samples per walker, after the evaluation's burn_in and with its decorrelation_steps between
    them."""


class ComparisonConfig(Block):
    """A verdict on the study's wavefunctions; changing it trains nothing."""

    baseline: SuiteName | None = None
    """The suite of results/published that each wavefunction is compared with; null compares
    nothing."""
    baseline_ansatz: str | None = None
    """The suite's wavefunction, if it has several."""
    margin_hartree: Annotated[float, Field(gt=0.0, le=WIDEST_MARGIN_HARTREE)] = 5e-4
    """Differences below this do not matter (hartree, not mEh)."""
    equal_device_time: bool = False
    """Compare only systems whose trainings took the same device time within 10 %."""


class PlotsConfig(Block):
    """How figures are written; changing it trains nothing."""

    formats: list[Literal["png", "svg"]] = Field(default=["png", "svg"], min_length=1)
    """File formats of the figures: png, svg or both."""
    dpi: Annotated[int, Field(ge=50, le=1200)] = 150
    """Resolution of png files."""


class Study(Block):
    """One file of `workflow/config`."""

    name: str = Field(default="", exclude=True)
    """The stem of the file."""
    seeds: Annotated[list[Seed], Unique] = Field(min_length=1)
    """Seeds of the training runs (required; never the clock)."""
    systems: list[SystemSelection] = Field(min_length=1)
    """Systems to compute: names of molecules/, or your own files."""
    precision: Literal["float32", "float64"] = "float32"
    """Precision of the wavefunction and of the sampling."""
    require_gpu: bool = False
    """Pretraining, training, evaluation and density end at once, with exit code 4, if JAX finds no
    GPU; on a CPU they would take a hundred times as long."""
    ansatz: dict[AnsatzName, AnsatzSelection] = Field(
        default_factory=lambda: {"ferminet": AnsatzSelection()}
    )
    """Wavefunctions by the names that tables show; {} for baselines only."""
    scf: blocks.ScfConfig = blocks.ScfConfig()
    pretrain: blocks.PretrainConfig = blocks.PretrainConfig()
    sampler: blocks.SamplerConfig = blocks.SamplerConfig()
    optimizer: blocks.OptimizerConfig = blocks.OptimizerConfig()
    train: blocks.TrainConfig = blocks.TrainConfig()
    evaluate: blocks.EvaluateConfig = blocks.EvaluateConfig()
    overrides: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)
    """Other settings for some systems: system -> block -> key -> value; the block `options` holds
    options of every wavefunction of the study. Options that only one of them has
    belong in ansatz.NAME.overrides."""
    baselines: list[BaselineSelection] = Field(default_factory=list)
    """Conventional methods to compare with."""
    limits: list[LimitSelection] = Field(default_factory=list)
    """Basis-set limits by a protocol; their members are computed as baselines."""
    density: DensityConfig = DensityConfig()
    inspect: InspectConfig = InspectConfig()
    plots: PlotsConfig = PlotsConfig()
    comparison: ComparisonConfig = ComparisonConfig()
    published: Annotated[list[SuiteName], Unique] = Field(default_factory=list)
    """Suites of results/published whose energies tables show next to this study's; changing it
    computes nothing."""
    deviations: list[str] = Field(default_factory=list)
    """Departures from the paper other than in settings, which are compared automatically
    (`ferminet resolve --recipe paper`); each row contains these sentences."""

    @field_validator("systems", mode="before")
    @classmethod
    def _names_are_selections(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        for item in value:
            if isinstance(item, dict):
                refuse_spin_keys(item)
        # YAML reads a name such as No as false, which the check of `name` explains.
        return [{"name": item} if isinstance(item, str | bool) else item for item in value]

    @cached_property
    def resolved_systems(self) -> dict[str, System]:
        """Systems by name, each with the chosen geometries only."""
        systems: dict[str, System] = {}
        for selection in self.systems:
            system = _select(selection)
            if system.name.lower() in map(str.lower, systems):
                raise InputError(
                    f"systems: {system.name} is given twice (or differs by case alone from "
                    "another); name it once, with all its geometries."
                )
            systems[system.name] = system
        return systems

    def molecule(self, system: str, geometry: str) -> Molecule:
        """Return one geometry of one system."""
        systems = self.resolved_systems
        if system not in systems:
            raise InputError(f"{self.name} has no system {system!r}; {nearest(system, systems)}")
        return systems[system].geometry(geometry)

    def common_fields(self, system: str, geometry: str) -> dict[str, Any]:
        """Return the fields that all calculations of a geometry have in common."""
        return {
            "study": self.name,
            "system": system,
            "geometry": geometry,
            "molecule": self.molecule(system, geometry),
            "deviations": self.deviations,
        }

    def blocks_for(self, system: str, ansatz: str | None = None) -> dict[str, Any]:
        """Return the stage blocks of a system, or of one of its wavefunctions, after overrides."""
        settings: dict[str, Any] = {block: getattr(self, block) for block in STAGE_BLOCKS}
        for where, changes in self._changes(system, ansatz).items():
            for name in (block for block in STAGE_BLOCKS if block in changes):
                content = {**settings[name].model_dump(exclude_unset=True), **changes[name]}
                with prefix_errors(f"{where}.{name}"):
                    settings[name] = validate(STAGE_BLOCKS[name], content)
        return settings

    def ansatz_for(self, system: str, ansatz: str) -> AnsatzConfig:
        """Return a wavefunction with the options that hold for one system."""
        selected = self._selected(ansatz)
        options = dict(selected.options)
        for changes in self._changes(system, ansatz).values():
            options |= changes.get("options", {})
        return AnsatzConfig(build=selected.build, options=options)

    def _changes(self, system: str, ansatz: str | None) -> dict[str, dict[str, dict[str, Any]]]:
        """Return all overrides, block -> key -> value, by their keys in the file; the last wins."""
        changes = {f"overrides.{system}": self.overrides.get(system, {})}
        if ansatz is not None:
            selected = self._selected(ansatz)
            changes[f"ansatz.{ansatz}.settings"] = selected.settings
            changes[f"ansatz.{ansatz}.overrides.{system}"] = selected.overrides.get(system, {})
        return changes

    def _selected(self, ansatz: str) -> AnsatzSelection:
        if ansatz not in self.ansatz:
            raise InputError(
                f"{self.name} has no wavefunction {ansatz!r}; {nearest(ansatz, self.ansatz)}"
            )
        return self.ansatz[ansatz]


def molecules_directory() -> Path:
    """Return the folder of molecule files: of the working directory, else the project's."""
    folder = Path("molecules")
    return folder if folder.is_dir() else PROJECT / folder


def references_directory() -> Path:
    """Return the folder of literature values: next to the molecules, else the project's."""
    folder = molecules_directory() / "reference"
    return folder if folder.is_dir() else PROJECT / "molecules" / "reference"


def _select(selection: SystemSelection) -> System:
    """Find one system and keep the chosen geometries."""
    if (selection.name is None) == (selection.path is None):
        raise InputError("systems: each entry has either a name or a path.")
    xyz = selection.model_dump(include={"charge", "unpaired_electrons", "unit"}, exclude_none=True)
    if selection.path is not None:
        system = read_system(selection.path, **xyz)
        _refuse_borrowed_name(system, selection.path)
    else:
        system = find_system(selection.name or "", molecules_directory(), **xyz)
    if selection.geometries is None:
        return system
    geometries = {label: system.geometry(label) for label in selection.geometries}
    return dataclasses.replace(system, geometries=geometries)


def _refuse_borrowed_name(system: System, path: str) -> None:
    """Refuse a user's file that has the name of a different system of molecules/.

    Literature values are found by name and geometry, and would be those of another system.
    """
    files = {file.stem.lower(): file for file in molecules_directory().glob("*.yaml")}
    file = files.get(system.name.lower())
    if file is None:
        return
    geometries = read_system(file).geometries
    for label, molecule in system.geometries.items():
        if label not in geometries or not molecule.same_physics(geometries[label]):
            raise InputError(
                f"systems: {path} is named {system.name} and differs from {file} (at {label}), "
                "whose published energies it would be compared with; rename it."
            )


def chosen_systems(study: Study, names: list[str], where: str) -> list[str]:
    """Return the names of the systems that a selection of a study is for, or raise InputError."""
    systems = study.resolved_systems
    for system in [] if names == ["all"] else names:
        if system not in systems:
            raise InputError(
                f"{where}.systems: there is no system {system!r} in this study; "
                f"{nearest(system, [*systems, 'all'])}"
            )
    return list(systems) if names == ["all"] else names
