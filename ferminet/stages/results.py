"""The stages after the runs, which turn rows into a file of energies, tables, figures and a page.

These jobs of the workflow need neither JAX nor PySCF.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ferminet.benchmark import targets
from ferminet.benchmark.figures.density import Density
from ferminet.benchmark.figures.style import render
from ferminet.benchmark.figures.training import Training
from ferminet.benchmark.numbers import geometry_name
from ferminet.benchmark.publishing.rows import append_released
from ferminet.benchmark.records import read_rows, read_table, write_rows
from ferminet.benchmark.references import References, project_references
from ferminet.benchmark.report import render_report, summary_text
from ferminet.benchmark.schema import Rows, computed_rows, distinct
from ferminet.benchmark.tables import build, formatting
from ferminet.config import Study, expand_runs, layout
from ferminet.errors import InputError
from ferminet.runtime.files import write_bytes
from ferminet.stages.unfinished import read_columns, unfinished_row
from ferminet.vmc.density.bins import frame_of


def collect(paths: list[Path], out: Path) -> None:
    """Join files of rows into one Parquet file; reject duplicate rows."""
    write_rows(out, read_rows(list(paths)))


def collect_so_far(study: Study, out: Path, part: str | None = None) -> tuple[int, int, int]:
    """Join a study's rows so far; the histories of unfinished runs give preliminary rows.

    Returns:
        The numbers of finished rows, of rows of unfinished runs, and of calculations without a row.

    Raises:
        InputError: nothing has been computed yet.
    """
    runs = {layout.path_of(layout.ENERGY, run): run for run in expand_runs(study)}
    files = targets.energy_files(study, part)
    waiting = [path for path in files if not path.exists()]
    partial = [row for path in waiting if path in runs and (row := unfinished_row(runs[path]))]
    rows = read_rows([path for path in files if path.exists()])
    if not rows and not partial:
        raise InputError(f"nothing of {study.name} has been computed yet in results/{study.name}.")
    write_rows(out, [*rows, *partial])
    return len(rows), len(partial), len(waiting) - len(partial)


def with_published(rows: Rows, files: Iterable[Path]) -> Rows:
    """Return rows, then those of published suites, each named after its file's folder."""
    suites = [(file.absolute().parent.name, read_rows(file)) for file in files]
    return append_released(rows, suites)


def write_tables(
    energies: Path, out_dir: Path, only: str | None = None, published_files: Iterable[Path] = ()
) -> None:
    """Write one table, or all that the rows allow, in all formats."""
    rows, references = read_rows(energies), project_references()
    names = [only] if only else build.table_names(rows)
    rows = with_published(rows, published_files)
    for name in names:
        table = build.build_table(name, rows, references)
        for ending in layout.TABLE_FORMATS:
            formatting.write(table, out_dir / f"{name}.{ending}")


def write_figures(study: Study, energies: Path, out_dir: Path, only: str | None = None) -> None:
    """Draw figures in the formats that the study asks for."""
    rows, references = _rows_of(study, energies), project_references()
    for name in [only] if only else targets.figure_names(study):
        figure = draw_figure(name, study, rows, references)
        for ending in study.plots.formats:
            write_bytes(out_dir / f"{name}.{ending}", render(figure, ending, study.plots.dpi))


def write_report(study: Study, energies: Path, out: Path) -> None:
    """Write one self-contained page with the summary, tables, figures and provenance."""
    rows, references = _rows_of(study, energies), project_references()
    images = {
        name: render(draw_figure(name, study, rows, references), "svg")
        for name in targets.figure_names(study)
    }
    rows = with_published(rows, layout.published_files(study))
    write_bytes(Path(out), render_report(rows, references, images).encode())


def summary(energies: Path, published_files: Iterable[Path] = ()) -> str:
    """Return the short table of results as text for a terminal."""
    rows = with_published(read_rows(energies), published_files)
    return summary_text(rows, project_references())


def _rows_of(study: Study, energies: Path) -> Rows:
    """Return the rows of a file; reject it if all of them belong to other studies."""
    rows = read_rows(energies)
    names = distinct(rows, "study")
    if rows and study.name not in names:
        raise InputError(
            f"{energies} has rows of {', '.join(names)} and none of {study.name}; name the study "
            "that they were collected from with --config."
        )
    return rows


def draw_figure(name: str, study: Study, rows: Rows, references: References) -> Figure:
    """Draw a figure of a study, without imported rows.

    Raises:
        InputError: the study has no such figure.
    """
    figures = {figure.name: figure for figure in targets.figures(study)}
    rows = computed_rows(rows)
    if name not in figures:
        raise InputError(f"No figure {name!r}; {study.name} has {', '.join(figures)}.")
    match figures[name].entry.reads:
        case "histories":
            return figures[name].build(_trainings(study, rows, references))
        case "both":
            return figures[name].build(rows, references, _trainings(study, rows, references))
        case "densities":
            return figures[name].build(*_densities(study))
        case "energies" | "inspections":
            return figures[name].build(rows, references)


def _trainings(study: Study, rows: Rows, references: References) -> list[Training]:
    """Return the training histories that exist, with their reference energies and times."""
    seconds = {
        (row.config_hash, row.seed): row.details.train_wall_s * (row.details.devices or 1)
        for row in rows
        if row.details.train_wall_s is not None
    }
    evaluated = {
        (row.config_hash, row.seed): (row.energy, row.stderr)
        for row in rows
        if row.energy is not None and row.stderr is not None and row.status != "unfinished"
    }
    trainings = []
    for path, run in layout.history_files(study).items():
        if path.exists():
            history = read_table(path, ("iteration", "energy", "variance"))
        elif columns := read_columns(layout.history_csv(run)):  # a run that is still training
            iterations = np.arange(len(columns["energy"]))
            history = pd.DataFrame({"iteration": iterations, **columns})
        else:
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
                evaluated.get((run.config_hash(), run.seed)),
            )
        )
    return trainings


def _densities(study: Study) -> tuple[list[Density], list[str]]:
    """Return the densities that exist, and the names of those that do not."""
    densities, missing = [], []
    for path, run in layout.density_files(study).items():
        label = geometry_name(run.system, run.geometry)
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
