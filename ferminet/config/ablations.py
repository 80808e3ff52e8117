"""Ablations: groups of runs that differ in one setting, and the figures that they fill.

Runs are compared by `RunConfig.settings`, which rows hold too, so one rule serves studies and rows.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from ferminet.config.runs import canonical, resolve_run
from ferminet.config.study import Study

Settings = Mapping[str, Any]
ItemT = TypeVar("ItemT")


class Variation(NamedTuple):
    """What a series of runs varies."""

    key: str  # the setting, with dots between block and key
    free: tuple[str, ...] = ()  # settings or blocks that may differ too, since `key` needs it


DETERMINANTS = Variation("options.determinants")
WIDTH = Variation("options.one_electron_width", ("options.two_electron_width",))
LAYERS = Variation("options.layers")
# Optimisers differ in the rates that they need, and in their numbers of iterations and walkers.
OPTIMISERS = Variation("optimizer.name", ("optimizer", "train", "sampler", "pretrain"))

VARIATIONS: dict[str, tuple[Variation, ...]] = {
    "determinants": (DETERMINANTS,),
    "width": (WIDTH, LAYERS),
    "optimisers": (OPTIMISERS,),
}


def flat(settings: Settings) -> dict[str, Any]:
    """Return settings by dotted keys.

    >>> flat({"options": {"layers": 2}, "precision": "float32"})
    {'options.layers': 2, 'precision': 'float32'}
    """
    values: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            values |= {f"{name}.{key}": inner for key, inner in flat(value).items()}
        else:
            values[name] = value
    return values


def rest_of(settings: Settings, variation: Variation) -> dict[str, Any]:
    """Return, by dotted keys, the settings that all members of a family share."""
    free = (variation.key, *variation.free)
    return {
        key: value
        for key, value in flat(settings).items()
        if not any(f"{key}.".startswith(f"{name}.") for name in free)
    }


def families(
    runs: Iterable[tuple[ItemT, Settings]], variation: Variation
) -> list[list[tuple[ItemT, Settings]]]:
    """Return groups of runs, each with its settings, that differ in one variation only.

    Each group has at least two values of `variation.key`; runs without that key are left out. The
    order of the runs is kept.
    """
    groups: dict[str, list[tuple[ItemT, Settings]]] = {}
    for item, settings in runs:
        if variation.key in flat(settings):
            rest = canonical(rest_of(settings, variation))
            groups.setdefault(rest, []).append((item, settings))
    return [
        group
        for group in groups.values()
        if len({flat(settings)[variation.key] for _, settings in group}) > 1
    ]


def ablations_of(study: Study) -> list[str]:
    """Return the ablations whose figures a study fills: names of `VARIATIONS`."""
    if len(study.ansatz) < 2:
        return []
    by_system = [
        [
            (name, resolve_run(study, system.name, geometry, name, study.seeds[0]).settings())
            for name in study.ansatz
        ]
        for system in study.resolved_systems.values()
        for geometry in list(system.geometries)[:1]
    ]
    return [
        name
        for name, variations in VARIATIONS.items()
        if any(families(runs, variation) for runs in by_system for variation in variations)
    ]
