"""The published recipes of FermiNet (`recipes.yaml`), and how a run differs from them."""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from ferminet.config.ablations import flat
from ferminet.config.blocks import FERMINET
from ferminet.systems.validation import Block, validate
from ferminet.systems.yaml import load_mapping

Values = dict[str, Any]

# The values of settings in rows that do not hold them.
_NOT_STORED: Values = {"optimizer.step_norm": "walkers", "pretrain.method": "adam"}
_NAMES = {
    "options.full_determinant": "full determinants",
    "options.jastrow": "Jastrow factor",
    "options.spin_symmetric": "even under exchange of spins",
    "options.rescale_inputs": "rescaled inputs",
    "options.one_electron_width": "one-electron width",
    "options.two_electron_width": "two-electron width",
    "scf.basis": "pretraining basis",
    "sampler.decorrelation_steps": "Metropolis steps",
    "sampler.exchange_probability": "share of exchange moves",
    "sampler.hop_probability": "share of moves from nucleus to nucleus",
    "sampler.burn_in": "sweeps of burn-in",
    "optimizer.name": "optimiser",
    "optimizer.learning_rate_delay": "delay of the rate",
    "optimizer.learning_rate_decay": "decay of the rate",
    "optimizer.learning_rate_warmup": "warm-up of the rate",
    "optimizer.step_norm": "norm of a step",
    "optimizer.influence": "limit of a walker's influence",
    "optimizer.covariance_decay": "decay of the covariances",
    "train.clip": "clipping",
    "train.shared": "training shared by geometries",
    "train.iterations": "iterations",
}


class Deviation(NamedTuple):
    """One difference between a run and a recipe."""

    name: str  # of the setting, as tables write it
    here: str  # the run's value
    there: str  # the recipe's value
    source: str  # where the recipe's value was read
    fixed: bool = False  # whether the code decides it, so that no setting can remove the difference

    def __str__(self) -> str:
        colon = ":" if self.fixed else ""
        return f"{self.name}{colon} {self.here} ({self.there})"


class Settings(Block):
    """Settings from one source, for all systems or for some: block -> key -> value."""

    source: str
    system: str | None = None
    above_electrons: int = 0
    precision: str | None = None
    options: Values = Field(default_factory=dict)
    scf: Values = Field(default_factory=dict)
    pretrain: Values = Field(default_factory=dict)
    sampler: Values = Field(default_factory=dict)
    optimizer: Values = Field(default_factory=dict)
    train: Values = Field(default_factory=dict)

    def by_key(self) -> dict[str, tuple[Any, str]]:
        """Return `block.key` -> (value, source)."""
        where = {"source", "system", "above_electrons"}
        content = self.model_dump(exclude=where, exclude_unset=True)
        return {key: (value, self.source) for key, value in flat(content).items()}


class Choice(Block):
    """A choice of this package's code that no setting can change to the authors'."""

    name: str
    here: str
    there: str
    source: str
    only: Values = Field(default_factory=dict)
    """Settings without which the choice does not matter."""


class Recipe(Block):
    """The settings of a publication or release, and the choices of its code."""

    label: str
    settings: list[Settings]
    choices: list[Choice]

    def settings_for(self, system: str, n_electrons: int) -> dict[str, tuple[Any, str]]:
        """Return `block.key` -> (value, source) for one system; later sources win."""
        found: dict[str, tuple[Any, str]] = {}
        for part in self.settings:
            if part.system in (None, system) and n_electrons > part.above_electrons:
                found |= part.by_key()
        return found

    @property
    def iterations(self) -> int:
        """Iterations of training."""
        return self.settings_for("", 1)["train.iterations"][0]


@cache
def recipes() -> dict[str, Recipe]:
    """Return the recipes by name: `paper` and `paper-jax`."""
    content = load_mapping(Path(__file__).with_name("recipes.yaml"))
    both: Any = content.pop("both")
    found = {name: validate(Recipe, recipe) for name, recipe in content.items()}
    for recipe in found.values():
        recipe.choices[:0] = [validate(Choice, choice) for choice in both]
    return found


def setting_label(key: str) -> str:
    """Return the key of a setting as prose.

    >>> setting_label("pretrain.learning_rate"), setting_label("optimizer.damping")
    ('pretraining learning rate', 'damping')
    """
    block, _, name = key.rpartition(".")
    prefix = "pretraining " if block == "pretrain" else ""
    return _NAMES.get(key, prefix + name.replace("_", " "))


def deviations(
    recipe: Recipe, settings: Mapping[str, Any], system: str, n_electrons: int, ansatz: str
) -> list[Deviation]:
    """Return where a run differs from a recipe: in settings, then in choices of the code.

    `settings` are from `RunConfig.settings`. A missing setting did not exist when the run was made,
    and counts as the recipe's. `ansatz` is the name of the wavefunction.
    """
    values = _NOT_STORED | flat_settings(settings)
    is_ferminet = values.get("build") == FERMINET
    found = []
    if not is_ferminet:
        found.append(Deviation("wavefunction", ansatz, "FermiNet", recipe.label))
    for key, (there, source) in recipe.settings_for(system, n_electrons).items():
        if key.startswith("options.") and not is_ferminet:
            continue
        here = values.get(key, there)
        if not _same(here, there):
            found.append(
                Deviation(setting_label(key), setting_text(here), setting_text(there), source)
            )
    for choice in recipe.choices:
        if all(values.get(key) == value for key, value in choice.only.items()):
            found.append(Deviation(choice.name, choice.here, choice.there, choice.source, True))
    return found


def flat_settings(settings: Mapping[str, Any]) -> Values:
    """Return the settings of a run by dotted keys, with the number of walkers in pretraining."""
    values = flat(settings)
    if values.get("pretrain.walkers", 0) is None:  # as many as the sampler has
        values["pretrain.walkers"] = values.get("sampler.walkers")
    return values


def _same(here: Any, there: Any) -> bool:
    if isinstance(there, float) and isinstance(here, int | float):
        return math.isclose(here, there)
    return here == there


def setting_text(value: Any) -> str:
    """Return the value of a setting as tables write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else str(value)
