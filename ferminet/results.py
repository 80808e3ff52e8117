"""The stages after the runs: from rows to one file of energies, tables, figures and a page.

Like ``stages``, these are jobs of the workflow; unlike them they need neither JAX nor PySCF.
"""

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure

from ferminet import layout
from ferminet.benchmark import curve_plots, formatting, plots, report, story, tables
from ferminet.benchmark.figures import render
from ferminet.benchmark.published import beside
from ferminet.benchmark.records import as_rows, read_rows, read_table, write_rows, write_text
from ferminet.benchmark.references import References, load_references
from ferminet.benchmark.schema import Rows, distinct
from ferminet.benchmark.training_plots import Training, training
from ferminet.checkpoint import write_bytes
from ferminet.config import RunConfig, Study
from ferminet.config.study import molecules_directory
from ferminet.errors import InputError
from ferminet.layout import figure_names, history_files


def published() -> References:
    """The published and exact energies that come with the molecules."""
    return load_references(molecules_directory() / "reference")


def collect(paths: list[Path], out: Path) -> None:
    """Joins files of rows into one; doubled rows are refused.

    Args:
        paths: files with rows.
        out: Parquet.
    """
    write_rows(out, read_rows(list(paths)))


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
    if name == "training":
        return training(_trainings(study, references))
    curves = [system for system in study.resolved_systems if system.lower() == name]
    if not curves:
        raise InputError(f"No figure {name!r}; {study.name} has {', '.join(figure_names(study))}.")
    return curve_plots.curve(curves[0], rows, references)


def _trainings(study: Study, references: References) -> list[Training]:
    """The training histories that exist, each with the energy it approaches."""
    return [
        _training(path, run, references)
        for path, run in history_files(study).items()
        if path.exists()
    ]


def _training(path: Path, run: RunConfig, references: References) -> Training:
    best = references.best(run.system, run.geometry)
    label = run.system if run.geometry == "eq" else f"{run.system} {run.geometry}"
    return Training(
        label,
        run.seed,
        read_table(path),
        best.energy if best else None,
        best.label if best else "",
    )


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
