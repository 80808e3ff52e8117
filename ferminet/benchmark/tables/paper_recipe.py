"""The recipe of the FermiNet paper, and where a row departs from it.

Pfau, Spencer, Matthews, Foulkes, Phys. Rev. Research 2, 033429 (2020). Where this package states a
setting in another convention (the learning rate), the recipe has what `paper.yaml` has, whose
deviations stand in each row.
"""

from dataclasses import dataclass
from typing import Any

from ferminet.benchmark.diagnostics import details
from ferminet.benchmark.schema import Row

PAPER_ITERATIONS = 200_000
FERMINET = "ferminet.ansatz.ferminet:build"


@dataclass(frozen=True)
class Setting:
    """One setting of the recipe.

    Attributes:
        name: what a reader calls it.
        path: where a run's settings (details of a row) have it: block and key.
        value: what the paper has, which is the default of FermiNet's options.
    """

    name: str
    path: tuple[str, str]
    value: Any


RECIPE = (
    Setting("layers", ("options", "layers"), 4),
    Setting("one-electron width", ("options", "one_electron_width"), 256),
    Setting("two-electron width", ("options", "two_electron_width"), 32),
    Setting("determinants", ("options", "determinants"), 16),
    Setting("full determinants", ("options", "full_determinant"), False),
    Setting("envelope", ("options", "envelope"), "anisotropic"),
    Setting("Jastrow factor", ("options", "jastrow"), "none"),
    Setting("even under exchange of spins", ("options", "spin_symmetric"), False),
    Setting("rescaled inputs", ("options", "rescale_inputs"), False),
    Setting("pretraining basis", ("scf", "basis"), "sto-3g"),
    Setting("pretraining iterations", ("pretrain", "iterations"), 1000),
    Setting("walkers", ("sampler", "walkers"), 4096),
    Setting("Metropolis steps", ("sampler", "decorrelation_steps"), 10),
    Setting("optimiser", ("optimizer", "name"), "kfac"),
    Setting("learning rate", ("optimizer", "learning_rate"), 0.05),
    Setting("delay of the rate", ("optimizer", "learning_rate_delay"), 1e4),
    Setting("damping", ("optimizer", "damping"), 1e-3),
    Setting("norm constraint", ("optimizer", "norm_constraint"), 1e-3),
    Setting("limit of a walker's influence", ("optimizer", "influence"), 0.0),
    Setting("clipping", ("train", "clip"), 5.0),
)


def departures(row: Row) -> list[str] | None:
    """Returns the settings of a row that are not the paper's, iterations apart.

    Args:
        row: a row of method `vmc`.

    Returns:
        Phrases such as `walkers 512 (4096)`, the paper's value in parentheses; None if the row does
        not tell its settings.
    """
    settings = details(row).get("settings")
    if not isinstance(settings, dict):
        return None
    if settings.get("build") != FERMINET:
        return [f"wavefunction {row['ansatz']} (FermiNet)"]
    found = []
    for one in RECIPE:
        block, key = one.path
        value = settings.get(block, {}).get(key)
        if value != one.value:
            found.append(f"{one.name} {_text(value)} ({_text(one.value)})")
    if row["precision"] not in (None, "float32"):
        found.append(f"precision {row['precision']} (float32)")
    return found


def recipe_name(row: Row) -> str:
    """Returns `paper`, `paper-partial (x %)` or `own settings`.

    A row is called `paper` only with all settings and all iterations of the paper; with fewer
    iterations it is partial.
    """
    found = departures(row)
    if found is None:
        return "unknown"
    if found:
        return "own settings"
    done = row["iterations"] or 0
    if done >= PAPER_ITERATIONS:
        return "paper"
    return f"paper-partial ({100 * done / PAPER_ITERATIONS:.3g} %)"


def iterations_share(row: Row) -> str:
    """Returns how many were done: `6,000 iterations (3 % of the paper's)`."""
    done = row["iterations"] or 0
    planned = details(row).get("iterations_planned")
    of = f" of {planned:,} planned" if planned and planned != done else ""
    return f"{done:,}{of} iterations ({100 * done / PAPER_ITERATIONS:.3g} % of the paper's)"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
