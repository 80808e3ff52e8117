"""The settings of the FermiNet paper, and where a row departs from them.

Pfau, Spencer, Matthews, Foulkes, Phys. Rev. Research 2, 033429 (2020). Where this package states a
setting in another convention (the learning rate), the recipe has the value of `paper.yaml`, and
each row lists that deviation.
"""

from typing import Any, NamedTuple

from ferminet.ansatz.options import FermiNetOptions
from ferminet.benchmark.ablations import setting_name
from ferminet.benchmark.schema import EnergyRow
from ferminet.config.blocks import FERMINET

PAPER_ITERATIONS = 200_000


class Setting(NamedTuple):
    """One setting of the recipe: its name in tables, its block and key, and the paper's value."""

    name: str
    block: str
    key: str
    value: Any


_OPTION_NAMES = {
    "full_determinant": "full determinants",
    "jastrow": "Jastrow factor",
    "spin_symmetric": "even under exchange of spins",
    "rescale_inputs": "rescaled inputs",
}
RECIPE = (
    *(
        Setting(_OPTION_NAMES.get(key, setting_name(key)), "options", key, value)
        for key, value in FermiNetOptions().model_dump().items()
    ),
    Setting("pretraining basis", "scf", "basis", "sto-3g"),
    Setting("pretraining iterations", "pretrain", "iterations", 1000),
    Setting("walkers", "sampler", "walkers", 4096),
    Setting("Metropolis steps", "sampler", "decorrelation_steps", 10),
    Setting("optimiser", "optimizer", "name", "kfac"),
    Setting("learning rate", "optimizer", "learning_rate", 0.05),
    Setting("delay of the rate", "optimizer", "learning_rate_delay", 1e4),
    Setting("damping", "optimizer", "damping", 1e-3),
    Setting("norm constraint", "optimizer", "norm_constraint", 1e-3),
    Setting("limit of a walker's influence", "optimizer", "influence", 0.0),
    Setting("clipping", "train", "clip", 5.0),
)


def departures(row: EnergyRow) -> list[str] | None:
    """Return the settings of a sampled row that differ from the paper's, except the iterations.

    Each is a phrase such as `walkers 512 (4096)`, the paper's value in parentheses. None if the row
    does not hold its settings.
    """
    settings = row.details.settings
    if settings is None:
        return None
    if settings.get("build") != FERMINET:
        return [f"wavefunction {row.ansatz} (FermiNet)"]
    different = [
        f"{name} {_text(value)} ({_text(paper)})"
        for name, block, key, paper in RECIPE
        if (value := settings.get(block, {}).get(key)) != paper
    ]
    if row.precision not in (None, "float32"):
        different.append(f"precision {row.precision} (float32)")
    return different


def recipe_name(row: EnergyRow) -> str:
    """Return `paper`, `paper-partial (x %)` or `own settings`.

    A row is called `paper` only if it has all settings and iterations of the paper; with fewer
    iterations it is partial.
    """
    different = departures(row)
    if different is None:
        return "unknown"
    if different:
        return "own settings"
    done = row.iterations or 0
    if done >= PAPER_ITERATIONS:
        return "paper"
    return f"paper-partial ({100 * done / PAPER_ITERATIONS:.3g} %)"


def iterations_share(row: EnergyRow) -> str:
    """Return how many iterations were done: `6,000 iterations (3 % of the paper's)`."""
    done = row.iterations or 0
    planned = row.details.iterations_planned
    target = f" of {planned:,} planned" if planned and planned != done else ""
    return f"{done:,}{target} iterations ({100 * done / PAPER_ITERATIONS:.3g} % of the paper's)"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
