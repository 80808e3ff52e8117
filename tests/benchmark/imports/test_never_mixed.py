"""Imported rows appear in their own table only, and decide and release nothing."""

from pathlib import Path

import pytest

from ferminet.benchmark.comparison.arms import choose_arm
from ferminet.benchmark.publishing.rows import release_error
from ferminet.benchmark.records import read_rows, write_rows
from ferminet.benchmark.report import render_report, summary_text
from ferminet.benchmark.schema import Rows, row
from ferminet.benchmark.tables.build import build_table, table_names
from ferminet.benchmark.tables.formatting import to_latex, to_markdown
from ferminet.cli.main import main
from ferminet.config import load_study
from ferminet.errors import InputError
from ferminet.stages.results import draw_figure
from tests.benchmark.conftest import study_references, study_rows, vmc
from tests.benchmark.imports.conftest import energies, write_ferminet

ROOT = Path(__file__).parents[3]


@pytest.fixture
def foreign(tmp_path, load) -> Rows:
    """Imported rows of helium whose energies nothing else has."""
    runs = [write_ferminet(tmp_path / f"{n}", energies(seed=n)) for n in (1, 2)]
    return [
        load(runs[0], "ferminet", averaged="training", version="0ce3411"),
        load(runs[1], "ferminet", averaged="inference", version="0ce3411", wall_s=60.0),
        # Of the study itself, with its seeds: the label protects, not the name.
        load(runs[0], "ferminet", averaged="training", study="demo", seed=2),
    ]


@pytest.fixture
def references():
    return study_references()


@pytest.fixture
def own() -> Rows:
    return study_rows()


def test_every_other_table_is_the_same_without_them(own, foreign, references):
    names = table_names(own)
    assert set(table_names([*own, *foreign])) - set(names) == {"imported"}
    assert len(names) > 5
    for name in names:
        with_them = build_table(name, [*foreign, *own, *foreign], references)
        assert to_markdown(with_them) == to_markdown(build_table(name, own, references)), name


def test_the_table_shows_ours_and_theirs_with_their_labels(own, foreign, references):
    table = build_table("imported", [*own, *foreign], references)
    assert {line["system"] for line in table.lines} == {"He"}
    sources = [(line["code"], line["averaged"], line["n_seeds"]) for line in table.lines]
    assert sources == [
        ("this package, FermiNet", "evaluation", 3),
        ("google-deepmind/ferminet", "training tail", 1),
        ("google-deepmind/ferminet", "inference", 1),
        ("google-deepmind/ferminet", "training tail", 1),
    ]
    text = to_markdown(table)
    assert "seed 1, training tail: the last 50 of 400 energies of the training (12.5 %," in text
    assert "seed 1, inference: all 400 energies of an inference run" in text
    assert "training tail" in to_latex(table)


def test_an_unfinished_training_of_ours_is_a_tail_too(foreign, references):
    ours = vmc("He", -2.9, 1e-3, status="unfinished")
    lines = build_table("imported", [ours, *foreign], references).lines
    assert lines[0]["averaged"] == "training tail"


def test_the_summary_and_the_page(own, foreign, references):
    text = summary_text([*own, *foreign], references)
    before = summary_text(own, references)
    assert text.startswith(before.rstrip("\n"))
    assert "training tail" in text[len(before) :]
    alone = summary_text(foreign, references)
    assert "training tail" in alone and "No rows" not in alone
    page = render_report([*own, *foreign], references, {})
    plain = render_report(own, references, {})
    section = page[page.index('id="table-imported"') :]
    assert "this package, FermiNet" in section and "training tail" in section
    for mark in ("<title>", 'id="summary"', 'id="table-atoms"'):  # parts that must not change
        first, second = (text[text.index(mark) :][:3000] for text in (page, plain))
        assert first == second


def test_figures_do_not_draw_them(own, foreign, references):
    study = load_study(ROOT / "workflow" / "config" / "desktop.yaml")
    for name in ("correlation", "errors", "cost"):
        figures = [draw_figure(name, study, rows, references) for rows in (own, [*own, *foreign])]
        texts = [
            sorted(text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text")))
            for figure in figures
        ]
        points = [[line.get_xydata().tolist() for axes in figure.axes for line in axes.lines]
                  for figure in figures]  # fmt: skip
        assert texts[0] == texts[1] and repr(points[0]) == repr(points[1]), name


def test_a_comparison_refuses_them(own, foreign):
    with pytest.raises(InputError, match=r"imported from google-deepmind/ferminet, which decide"):
        choose_arm(foreign, "x")
    with pytest.raises(InputError, match="which decide nothing"):
        choose_arm([*own, *foreign], "x", "google-deepmind/ferminet")
    assert choose_arm([*own, *foreign], "x").rows == choose_arm(own, "x").rows


def test_a_release_refuses_them(foreign):
    for one in foreign:
        assert "is imported from another code" in release_error(one)


def test_the_commands_refuse_them(foreign, tmp_path, monkeypatch, capsys):
    from ferminet.benchmark.publishing import publish

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(publish, "require_committed_code", lambda: None)
    write_rows("rows.parquet", foreign)
    assert main(["bless", "--energies", "rows.parquet", "--suite", "s"]) == 2
    assert main(["compare", "rows.parquet", "rows.parquet"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 2
    assert "is imported from another code; release only what this package computed." in error
    assert not Path("results").exists()


@pytest.mark.parametrize("option", ["--out", "--log"])
def test_nothing_is_written_into_the_run_that_is_read(tmp_path, capsys, option) -> None:
    stats = tmp_path / "run" / "train_stats.csv"
    stats.parent.mkdir()
    stats.write_text("kept")
    paths = {"--out": str(tmp_path / "row.parquet"), option: str(stats)}
    command = ["import", str(stats.parent), "--code", "ferminet", "--averaged", "training"]
    command += ["--system", "He", *(word for pair in paths.items() for word in pair)]
    assert main(command) == 2
    assert "lies in the run that is read" in capsys.readouterr().err
    assert stats.read_text() == "kept"


def test_rows_are_read_as_they_were_written(foreign, tmp_path):
    write_rows(tmp_path / "rows.parquet", foreign)
    assert read_rows(tmp_path / "rows.parquet") == foreign


def test_the_label_cannot_be_lost(foreign):
    columns = dict(foreign[0])
    with pytest.raises(InputError, match=r"details\.imported belongs to method imported"):
        row(**columns | {"method": "vmc"})
    with pytest.raises(InputError, match=r"details\.imported belongs to method imported"):
        row(**columns | {"details": {"note": "x"}})
