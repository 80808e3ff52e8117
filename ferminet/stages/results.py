"""The stages after the runs: from rows to one file of energies, tables, figures and a page.

Like ``stages``, these are jobs of the workflow; unlike them they need neither JAX nor PySCF.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ferminet.benchmark import report, story
from ferminet.benchmark.diagnostics import details
from ferminet.benchmark.figures import (
    ablations as ablation_plots,
)
from ferminet.benchmark.figures import (
    cost as cost_plots,
)
from ferminet.benchmark.figures import (
    curves as curve_plots,
)
from ferminet.benchmark.figures import (
    systems as plots,
)
from ferminet.benchmark.figures.density import Density, density
from ferminet.benchmark.figures.style import render
from ferminet.benchmark.figures.training import Training, optimisers, training
from ferminet.benchmark.publishing.rows import beside
from ferminet.benchmark.records import as_rows, read_rows, read_table, write_rows, write_text
from ferminet.benchmark.references import References, load_references
from ferminet.benchmark.schema import Rows, distinct
from ferminet.benchmark.tables import formatting
from ferminet.benchmark.tables import systems as tables
from ferminet.config import RunConfig, Study, expand_runs, layout
from ferminet.config.layout import (
    ENERGY,
    density_files,
    energy_files,
    figure_names,
    history_files,
    run_fields,
)
from ferminet.config.study import references_directory
from ferminet.errors import InputError
from ferminet.runtime.files import write_bytes
from ferminet.stages.unfinished import history_csv, read_columns, unfinished_row
from ferminet.systems.curves import curve_name
from ferminet.vmc.density.bins import frame_of


def published() -> References:
    """The published and exact energies that come with the molecules."""
    return load_references(references_directory())


def collect(paths: list[Path], out: Path) -> None:
    """Joins files of rows into one; doubled rows are refused.

    Args:
        paths: files with rows.
        out: Parquet.
    """
    write_rows(out, read_rows(list(paths)))


def collect_so_far(study: Study, out: Path, part: str | None = None) -> tuple[int, int, int]:
    """Joins the rows that a study has so far, those of unfinished runs from their histories.

    Args:
        study: the study.
        out: Parquet.
        part: one of `layout.parts`: of its systems alone; all if not given.

    Returns:
        How many rows are finished, how many are of unfinished runs, and how many calculations have
        none yet.

    Raises:
        InputError: nothing has been computed at all.
    """
    runs = {Path(ENERGY.format(**run_fields(run))): run for run in expand_runs(study)}
    finished = [path for path in energy_files(study, part) if path.exists()]
    waiting = [path for path in energy_files(study, part) if not path.exists()]
    partial = [row for path in waiting if path in runs and (row := unfinished_row(runs[path]))]
    rows = as_rows(read_rows(finished))
    if not rows and not partial:
        raise InputError(f"nothing of {study.name} has been computed yet in results/{study.name}.")
    write_rows(out, [*rows, *partial])
    return len(rows), len(partial), len(waiting) - len(partial)


def with_published(rows: Rows, files: Iterable[Path]) -> Rows:
    """Rows and behind them those of published suites, whose names are their files' folders."""
    suites = [(file.absolute().parent.name, as_rows(read_rows(file))) for file in files]
    return beside(rows, suites)


def write_tables(
    energies: Path, out_dir: Path, only: str | None = None, published_files: Iterable[Path] = ()
) -> list[Path]:
    """Writes tables as Markdown, CSV, LaTeX and Parquet.

    Args:
        energies: what ``collect`` wrote.
        out_dir: folder.
        only: name of one table; all if not given.
        published_files: energies of published suites, which are shown beside.

    Returns:
        The files written.
    """
    rows, references = as_rows(read_rows(energies)), published()
    names = [only] if only else tables.table_names(rows)
    rows = with_published(rows, published_files)
    written = []
    for name in names:
        table = tables.build_table(name, rows, references)
        for ending in formatting.FORMATS:
            written.append(out_dir / f"{name}.{ending}")
            formatting.write(table, written[-1])
    return written


def draw_figure(name: str, study: Study, rows: Rows, references: References) -> Figure:
    """One figure of a study by its name."""
    if name == "correlation":
        return plots.correlation(rows, references)
    if name == "errors":
        return plots.errors(rows, references)
    of_rows = {
        "determinants": ablation_plots.determinants,
        "width": ablation_plots.width,
        "cost": cost_plots.cost,
    }
    if name in of_rows:
        return of_rows[name](rows, references)
    of_histories = {"training": training, "optimisers": optimisers}
    if name in of_histories:
        return of_histories[name](_trainings(study, rows, references))
    if name == "density" and study.density.systems:
        return _density(study)
    curves = [system for system in study.resolved_systems if curve_name(system) == name]
    if not curves:
        raise InputError(f"No figure {name!r}; {study.name} has {', '.join(figure_names(study))}.")
    return curve_plots.curve(curves[0], rows, references)


def _trainings(study: Study, rows: Rows, references: References) -> list[Training]:
    """The training histories that exist, each with the energy it approaches and its time."""
    seconds: dict[tuple[str, int], float] = {}
    for row in rows:
        of_run = details(row)
        if "train_wall_s" in of_run:
            devices = of_run.get("devices", 1)
            seconds[row["config_hash"], row["seed"]] = of_run["train_wall_s"] * devices
    found = []
    for path, run in history_files(study).items():
        history = read_table(path) if path.exists() else _unfinished_history(run)
        if history is not None:
            time = seconds.get((run.config_hash(), run.seed))
            found.append(_training(history, run, references, time))
    return found


def _unfinished_history(run: RunConfig) -> pd.DataFrame | None:
    """What a run that still trains has written so far."""
    columns = read_columns(history_csv(run))
    if columns is None:
        return None
    return pd.DataFrame({"iteration": np.arange(len(columns["energy"])), **columns})


def _training(
    history: pd.DataFrame, run: RunConfig, references: References, device_seconds: float | None
) -> Training:
    best = references.best(run.system, run.geometry)
    return Training(
        run.system,
        run.seed,
        history,
        best.energy if best else None,
        best.label if best else "",
        run.geometry,
        run.ansatz_name,
        run.settings(),
        device_seconds,
    )


def _density(study: Study) -> Figure:
    """The densities that exist; those that do not are named."""
    files = density_files(study)
    found = [_density_of(path, run, study) for path, run in files.items() if path.exists()]
    lacking = [_density_label(run, study) for path, run in files.items() if not path.exists()]
    return density(found, lacking)


def _density_of(path: Path, run: RunConfig, study: Study) -> Density:
    molecule = run.molecule_object()
    frame = frame_of(molecule.coords, molecule.charges)
    label, table = _density_label(run, study), read_table(path)
    return Density(label, run.system, run.seed, molecule.symbols, frame, table)


def _density_label(run: RunConfig, study: Study) -> str:
    label = run.system if run.geometry == "eq" else f"{run.system} {run.geometry}"
    return label if len(study.ansatz) == 1 else f"{label}, {run.ansatz_name}"


def _rows_of(study: Study, energies: Path) -> Rows:
    """The rows of a file, refused if they are of other studies only."""
    rows = as_rows(read_rows(energies))
    names = distinct(rows, "study")
    if rows and study.name not in names:
        raise InputError(
            f"{energies} has rows of {', '.join(names)} and none of {study.name}; name the study "
            "that they were collected from with --config."
        )
    return rows


def write_figures(
    study: Study, energies: Path, out_dir: Path, only: str | None = None
) -> list[Path]:
    """Draws figures in the formats that the study asks for; returns the files written."""
    rows, references = _rows_of(study, energies), published()
    written = []
    for name in [only] if only else figure_names(study):
        figure = draw_figure(name, study, rows, references)
        for ending in study.plots.formats:
            written.append(out_dir / f"{name}.{ending}")
            write_bytes(written[-1], render(figure, ending, study.plots.dpi))
    return written


def write_report(study: Study, energies: Path, out: Path) -> None:
    """Writes one self-contained page with the story, tables, figures and provenance."""
    rows, references = _rows_of(study, energies), published()
    images = {
        name: render(draw_figure(name, study, rows, references), "svg")
        for name in figure_names(study)
    }
    rows = with_published(rows, layout.published_files(study))
    write_text(out, report.render_report(rows, references, images))


def summary(energies: Path, published_files: Iterable[Path] = ()) -> str:
    """The headline table as text for a terminal."""
    rows = with_published(as_rows(read_rows(energies)), published_files)
    return story.summary_text(rows, published())
