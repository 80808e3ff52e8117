"""Draw a figure of a study from what its entry in the registry reads."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ferminet.benchmark import targets
from ferminet.benchmark.figures.density import Density
from ferminet.benchmark.figures.training import Training
from ferminet.benchmark.records import read_table
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows
from ferminet.config import RunConfig, Study, layout
from ferminet.errors import InputError
from ferminet.stages.unfinished import history_csv, read_columns
from ferminet.vmc.density.bins import frame_of


def draw_figure(name: str, study: Study, rows: Rows, references: References) -> Figure:
    """Draw a figure of a study.

    Raises:
        InputError: the study has no such figure.
    """
    figures = {figure.name: figure for figure in targets.figures(study)}
    if name not in figures:
        raise InputError(f"No figure {name!r}; {study.name} has {', '.join(figures)}.")
    match figures[name].entry.reads:
        case "histories":
            return figures[name].build(_trainings(study, rows, references))
        case "densities":
            return figures[name].build(*_densities(study))
        case "energies":
            return figures[name].build(rows, references)


def _trainings(study: Study, rows: Rows, references: References) -> list[Training]:
    """Return the training histories that exist, each with the energy it approaches and its time."""
    seconds = {
        (row.config_hash, row.seed): row.details.train_wall_s * (row.details.devices or 1)
        for row in rows
        if row.details.train_wall_s is not None
    }
    trainings = []
    for path, run in layout.history_files(study).items():
        history = read_table(path) if path.exists() else _unfinished_history(run)
        if history is None:
            continue
        best = references.best(run.system, run.geometry)
        trainings.append(
            Training(
                run.system,
                run.seed,
                history,
                best.energy if best else None,
                best.label if best else "",
                run.geometry,
                run.ansatz_name,
                run.settings(),
                seconds.get((run.config_hash(), run.seed)),
            )
        )
    return trainings


def _unfinished_history(run: RunConfig) -> pd.DataFrame | None:
    """Return what a run that is still training has written so far."""
    columns = read_columns(history_csv(run))
    if columns is None:
        return None
    return pd.DataFrame({"iteration": np.arange(len(columns["energy"])), **columns})


def _densities(study: Study) -> tuple[list[Density], list[str]]:
    """Return the densities that exist, and the names of those that do not."""
    densities, missing = [], []
    for path, run in layout.density_files(study).items():
        label = run.system if run.geometry == "eq" else f"{run.system} {run.geometry}"
        if len(study.ansatz) > 1:
            label += f", {run.ansatz_name}"
        if not path.exists():
            missing.append(label)
            continue
        molecule = run.molecule
        frame = frame_of(molecule.coords, molecule.charges)
        table = read_table(path)
        densities.append(Density(label, run.system, run.seed, molecule.symbols, frame, table))
    return densities, missing
