"""The workflow's graph: what is repeated and what is left alone.

The jobs are run by a stand-in for `ferminet` that only makes the files that it is asked for, so
that what is tested is the workflow and nothing else.
"""

import re
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.helpers import gradient_descent
from tests.helpers.stand_in import (
    ROOT,
    STUDY,
    copy_project,
    job_counts,
    planned,
    prepare,
    snakemake,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the small study has been computed, by the stand-in."""
    folder = tmp_path_factory.mktemp("work flow")  # a blank in the path, as users have
    prepare(folder)
    (folder / "said.txt").write_text(snakemake(folder))
    return folder


@pytest.fixture
def restudy(finished: Path):
    """Changes the study for one test."""

    def change(old: str, new: str) -> Path:
        assert old in STUDY
        (finished / "study.yaml").write_text(STUDY.replace(old, new))
        return finished

    yield change
    (finished / "study.yaml").write_text(STUDY)


def test_the_start_says_what_is_to_be_done(finished: Path) -> None:
    said = (finished / "said.txt").read_text()
    (line,) = re.findall(r"Left to do in study: .*", said)
    assert re.search(r"2 of 2 runs, about [\d.e+-]+ \S+-hours", line)
    assert "4 of 4 conventional calculations, about" in line
    assert line.endswith("`ferminet cost --config study.yaml` lists it.")


def test_a_second_run_has_nothing_to_do(finished: Path) -> None:
    assert planned(finished) == {}


def test_what_was_deleted_is_made_again(finished: Path) -> None:
    results = finished / "results" / "study"
    trained = next((results / "runs" / "He").rglob("trained.safetensors"))
    for path, job in (
        (results / "energies.parquet", "collect"),
        (results / "tables" / "atoms.csv", "table_atoms"),
        (results / "figures" / "h4.png", "figure_h4"),
        (trained, "train"),
    ):
        content = path.read_bytes()
        path.unlink()
        jobs = planned(finished)
        path.write_bytes(content)
        assert jobs[job] == 1, (path, jobs)
        snakemake(finished, "--touch")
    assert planned(finished) == {}


def test_each_job_is_one_command_with_its_configuration(finished: Path) -> None:
    calls = [line.split() for line in (finished / "calls.txt").read_text().splitlines()]
    stages = [call[0] for call in calls]
    assert stages.count("train") == stages.count("pretrain") == stages.count("evaluate") == 2
    # Of the limit: Hartree-Fock in the largest basis set, coupled cluster in two.
    assert (stages.count("baseline"), stages.count("limit")) == (1 + 3, 1)
    limit = next(call for call in calls if call[0] == "limit")
    assert sum(argument.endswith(".parquet") for argument in limit) == 3 + 1
    train = next(call for call in calls if call[0] == "train")
    hash_ = train[train.index("--expect-hash") + 1]
    assert train[train.index("--checkpoint-dir") + 1] == f"results/checkpoints/{hash_}/seed1"
    assert train[train.index("--config") + 1] == "study.yaml"


def test_a_blank_in_the_path_of_the_study(finished: Path) -> None:
    (finished / "my studies").mkdir()
    (finished / "my studies" / "mine.yaml").write_text(STUDY)
    arguments = ("--dry-run", "--printshellcmds")
    text = snakemake(finished, *arguments, study="my studies/mine.yaml")
    assert "--config 'my studies/mine.yaml'" in text
    assert "--config my" not in text


def test_doubtful_distances_are_told_once(restudy) -> None:
    folder = restudy("He,", "{path: own.xyz, charge: 0, unpaired_electrons: 0, unit: bohr},")
    (folder / "own.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0.74\n")
    assert snakemake(folder, "--dry-run").count("angstrom was read as bohr") == 1


def test_plots_and_titles_train_nothing(restudy) -> None:
    folder = restudy("seeds", "plots: {dpi: 99}\nseeds")
    jobs = planned(folder)
    assert set(jobs) <= {"all", "report", *(job for job in jobs if job.startswith("figure_"))}
    assert jobs["figure_h4"] == jobs["figure_cost"] == 1


def test_published_suites_change_tables_alone(restudy) -> None:
    """A suite of a name that the project's own published rows have not taken."""
    folder = restudy("seeds", "published: [neighbours]\nseeds")
    assert "there is no suite 'neighbours'" in snakemake(folder, "--dry-run", code=1)
    suite = folder / "results" / "published" / "neighbours"
    suite.mkdir(parents=True)
    (suite / "energies.parquet").write_text("rows")
    jobs = planned(folder)
    assert set(jobs) == {"all", "report", *(job for job in jobs if job.startswith("table_"))}
    text = snakemake(folder, "--dry-run", "--printshellcmds", "table_h4")
    assert "--published results/published/neighbours/energies.parquet" in text


def test_a_verdict_takes_a_suite_and_trains_nothing(restudy) -> None:
    unnamed = snakemake(restudy("seeds", "seeds"), "--dry-run", "regression", code=1)
    assert "names nothing to compare with" in unnamed
    folder = restudy("seeds", "comparison: {baseline: rivals}\nseeds")
    assert "comparison.baseline: there is no suite 'rivals'" in snakemake(
        folder, "--dry-run", "regression", code=1
    )
    suite = folder / "results" / "published" / "rivals"
    suite.mkdir(parents=True)
    (suite / "energies.parquet").write_text("rows")
    text = snakemake(folder, "--dry-run", "--printshellcmds", "regression")
    assert job_counts(text) == {"compare": 1, "regression": 1}
    assert "results/published/rivals/energies.parquet --ansatz" in text
    assert "--margin 0.5" in text
    assert "--always-succeed" in text
    assert planned(folder)["compare"] == 1
    # What it rests on is made again where it was lost, also below a verdict that is there.
    verdict = folder / "results" / "study" / "comparison" / "ferminet"
    verdict.mkdir(parents=True)
    for name in ("md", "json", "png", "svg"):
        (verdict / f"comparison.{name}").touch()
    energies = folder / "results" / "study" / "energies.parquet"
    aside = energies.rename(folder / "aside")
    jobs = job_counts(snakemake(folder, "--dry-run", "regression"))
    aside.rename(energies)
    shutil.rmtree(verdict)
    assert jobs["collect"] == 1


def test_checkpoint_intervals_repeat_nothing(restudy) -> None:
    assert planned(restudy("checkpoint_interval: 5", "checkpoint_interval: 7")) == {}


def test_code_repeats_nothing(finished: Path) -> None:
    """A corrected docstring has another time stamp and another content than at the last run."""
    assert "code" not in (ROOT / "profiles" / "default" / "profile.v9+.yaml").read_text().split(
        "\n- "
    )
    assert planned(finished, "--rerun-triggers", "mtime", "params", "input", "software-env") == {}


def test_a_caption_a_colour_and_a_docstring_repeat_nothing(finished: Path, tmp_path: Path) -> None:
    """The same project with a new look and new words: nothing is trained, nothing computed."""
    copy_project(tmp_path)
    for name, old, new in (
        ("ferminet/benchmark/tables/__init__.py", "Total energies of the atoms", "Energies"),
        ("ferminet/benchmark/figures/style.py", "#D55E00", "#D55E11"),
        ("ferminet/vmc/train.py", '"""The state', '"""How the state'),
        ("ferminet/chemistry/coupled_cluster.py", '"""', '"""Also: '),
    ):
        text = (tmp_path / name).read_text()
        assert old in text, name
        (tmp_path / name).write_text(text.replace(old, new, 1))
    assert "Nothing to be done" in snakemake(finished, "--dry-run", root=tmp_path)


def test_snakemakes_report_shows_the_captions_of_the_registries(finished: Path) -> None:
    snakemake(finished, "--report", "report.zip")
    with zipfile.ZipFile(finished / "report.zip") as archive:
        page = archive.read(
            next(name for name in archive.namelist() if name.endswith("report.html"))
        )
    assert b"All runs, one line per trained" in page
    assert b"Four hydrogen atoms at the corners of a rectangle" in page


def test_a_density_repeats_nothing(restudy) -> None:
    jobs = planned(restudy("seeds", "density: {systems: H4}\nseeds"))
    assert jobs == {"all": 1, "density": 1, "figure_density": 1, "report": 1}


def test_an_inspection_repeats_nothing(restudy) -> None:
    jobs = planned(restudy("seeds", "inspect: {systems: all}\nseeds"))
    assert jobs == {
        "all": 1, "inspect": 2, "table_wavefunction": 1, "figure_local_energies": 1, "report": 1
    }  # fmt: skip


def test_longer_evaluation_trains_nothing(restudy) -> None:
    jobs = planned(restudy("seeds", "evaluate: {iterations: 77}\nseeds"))
    assert jobs["evaluate"] == 2
    assert "train" not in jobs
    assert "baseline" not in jobs


def test_longer_training_continues_the_same_runs(restudy) -> None:
    jobs = planned(restudy("iterations: 10", "iterations: 20"))
    assert jobs["train"] == jobs["evaluate"] == 2
    assert "pretrain" not in jobs


def test_other_walkers_are_other_runs(restudy) -> None:
    jobs = planned(restudy("seeds", "overrides: {He: {sampler: {walkers: 9}}}\nseeds"))
    assert jobs["pretrain"] == jobs["train"] == 1
    assert "scf" not in jobs


def test_an_edited_plugin_is_another_wavefunction(restudy) -> None:
    folder = restudy("seeds", "ansatz: {mine: {build: 'mine.py:build'}}\nseeds")
    plugin = folder / "mine.py"
    source = "from ferminet.ansatz.hydrogenic import build as hydrogenic\n\n\n"
    source += "def build(spec):\n    return hydrogenic(spec, zeta=2.0)\n"
    plugin.write_text(source)
    said = snakemake(folder)
    assert re.search(r"2 of 2 runs, about \S+ (core|A100)-hours", said)
    assert re.search(r"Training He eq mine seed 1: predicted \S+ ", said)
    assert planned(folder) == {}
    plugin.write_text(source + "# edited\n")
    jobs = planned(folder)
    assert jobs["pretrain"] == jobs["train"] == jobs["evaluate"] == 2
    assert "scf" not in jobs


def test_an_edited_optimiser_is_another_run(restudy) -> None:
    folder = restudy("seeds", "optimizer: {name: 'descent.py:make'}\nseeds")
    plugin = folder / "descent.py"
    source = Path(gradient_descent.__file__).read_text()
    plugin.write_text(source)
    snakemake(folder)
    assert planned(folder) == {}
    plugin.write_text(source + "# edited\n")
    jobs = planned(folder)
    assert jobs["train"] == jobs["evaluate"] == 2
    assert "scf" not in jobs


def test_a_wavefunction_that_cannot_be_traced_is_planned_without_a_prediction(restudy) -> None:
    folder = restudy("seeds", "ansatz: {mine: {build: 'mine.py:build'}}\nseeds")
    source = "from ferminet.ansatz.hydrogenic import build as hydrogenic\n\n\n"
    source += "def apply(params, electrons, nuclei):\n    raise ValueError('no such layer')\n\n\n"
    source += "def build(spec):\n    return hydrogenic(spec)._replace(apply=apply)\n"
    (folder / "mine.py").write_text(source)
    said = snakemake(folder, "--dry-run")
    assert "not predicted, because its program cannot be traced (ValueError: no such" in said
    assert "Training He eq mine seed 1: not predicted; allowed 1440 minutes" in said


def test_each_wavefunction_from_outside_is_checked_first(restudy) -> None:
    """One job per wavefunction and not per run, and none for the package's own."""
    names = "{mine: {build: 'one.py:build'}, other: {build: 'two.py:build', options: {zeta: 2.0}}}"
    folder = restudy("seeds", f"ansatz: {names}\nseeds")
    source = "from ferminet.ansatz.hydrogenic import build as hydrogenic\n\n\n"
    source += "def build(spec, zeta=1.0):\n    return hydrogenic(spec, zeta=zeta)\n"
    for name in ("one.py", "two.py"):
        (folder / name).write_text(f"{source}# {name}\n")
    snakemake(folder)
    said = max((folder / ".snakemake" / "log").iterdir()).read_text()
    assert job_counts(said)["check_ansatz"] == 2 and job_counts(said)["pretrain"] == 4
    assert said.index("ferminet check-ansatz two.py:build") < said.index("ferminet pretrain")
    assert (
        """check-ansatz two.py:build --options '{"zeta":2.0}' --out results/study/checks/""" in said
    )
    assert planned(folder) == {}
    (folder / "two.py").write_text(f"{source}# edited\n")
    jobs = planned(folder)
    assert jobs["check_ansatz"] == 1
    assert jobs["pretrain"] == jobs["train"] == jobs["evaluate"] == 2
    # A check that was deleted is done again where something needs it, and repeats nothing.
    (folder / "two.py").write_text(f"{source}# two.py\n")
    for path in (folder / "results" / "study" / "checks").iterdir():
        path.unlink()
    assert set(planned(folder)) <= {"check_ansatz"}


def test_settings_on_the_command_line_are_refused(finished: Path) -> None:
    text = snakemake(finished, "--dry-run", "--config", "seeds=[1,2]", code=1)
    assert "name it with --configfile" in text
    assert "Traceback" not in text


def test_a_wrong_study_is_one_sentence(restudy) -> None:
    text = snakemake(restudy("seeds", "samplr: {}\nseeds"), "--dry-run", code=1)
    assert "did you mean sampler?" in text
    assert "Traceback" not in text


def test_an_option_out_of_its_range_is_refused_before_the_first_job(restudy) -> None:
    study = "ansatz: {mine: {options: {layers: 0}}}\nseeds"
    text = snakemake(restudy("seeds", study), "--dry-run", code=1)
    assert "ansatz mine of He: FermiNet option layers is 0" in text
    assert "Traceback" not in text
