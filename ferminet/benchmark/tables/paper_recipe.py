"""Which published recipe a row follows, and where it departs from it."""

from ferminet.benchmark.schema import EnergyRow
from ferminet.vmc.recipes import Deviation, Recipe, deviations, recipes


def row_deviations(row: EnergyRow, recipe: Recipe | None = None) -> list[Deviation] | None:
    """Return where a sampled row departs from a recipe (the paper's), except in its iterations.

    Returns:
        The deviations, or None if the row does not hold its settings.
    """
    settings = row.details.settings
    if settings is None:
        return None
    if row.precision is not None:
        settings = {**settings, "precision": row.precision}
    # The number of iterations that were done has a column and a place in the recipe's name.
    differ = deviations(
        recipe or recipes()["paper"], settings, row.system, row.n_electrons, row.ansatz or ""
    )
    return [deviation for deviation in differ if deviation.name != "iterations"]


def departures(row: EnergyRow) -> list[str] | None:
    """Return the settings that differ from the paper's as phrases: `walkers 512 (4096)`."""
    differ = row_deviations(row)
    return None if differ is None else [str(d) for d in differ if not d.fixed]


def recipe_name(row: EnergyRow) -> str:
    """Return the published recipe that a row follows, or `own settings`.

    A row is called `paper` only if nothing differs, `paper settings` if only choices of the code
    do, which no setting can change, and either with a percentage if it has fewer iterations.
    """
    if row.details.settings is None:
        return "unknown"
    for published, recipe in recipes().items():
        differ = row_deviations(row, recipe) or []
        if all(deviation.fixed for deviation in differ):
            name = f"{published} settings" if differ else published
            share = (row.iterations or 0) / recipe.iterations
            return name if share >= 1 else f"{name}, {100 * share:.3g} % of the iterations"
    return "own settings"


def iterations_share(row: EnergyRow) -> str:
    """Return how many iterations were done: `6,000 iterations (3 % of the paper's)`."""
    done = row.iterations or 0
    planned = row.details.iterations_planned
    target = f" of {planned:,} planned" if planned and planned != done else ""
    share = 100 * done / recipes()["paper"].iterations
    return f"{done:,}{target} iterations ({share:.3g} % of the paper's)"
