"""Blessing and verifying: differences, refusals, all or nothing, every byte that was changed."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ferminet import layout, publish, results, suites
from ferminet.benchmark import published
from ferminet.benchmark.judge import details
from ferminet.benchmark.records import as_rows, read_rows, read_table, write_rows, write_table
from ferminet.benchmark.schema import Row, Rows, row
from ferminet.checkpoint import file_sha256, save_arrays
from ferminet.cli import main
from ferminet.config import RunConfig, expand_runs, load_study
from ferminet.errors import InputError, ResourceError
from ferminet.provenance import local_changes
from ferminet.suites import Suite, write_suite
from tests.walk import rows_of, walk

ROOT = Path(__file__).parents[1]
ENERGIES = Path("results/smoke/energies.parquet")
SUITE = Path("results/published/smoke")
STUDY = "seeds: [1]\nsystems: [He, {name: H4, geometries: [a90]}]\nplots: {formats: [svg]}\n"
RUNS = {run.system: run for run in expand_runs(load_study(ROOT / "workflow/config/smoke.yaml"))}
COMMAND = "snakemake --cores 2 runs/energy.parquet --configfile study.yaml"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def trained_file(run: RunConfig) -> Path:
    return Path(layout.TRAINED.format(**layout.run_fields(run)))


def make_row(run: RunConfig, energy: float, **fields) -> Row:
    """What `ferminet evaluate` would have written of a run, its trained file lying there."""
    file = trained_file(run)
    if not file.exists():
        header = {"stage": "train", "config_hash": run.config_hash(), "run": run.model_dump(),
                  "iterations": run.train.iterations}  # fmt: skip
        save_arrays(file, {"average.x": np.arange(40.0)}, header)
        steps = np.arange(1000)
        history = {"iteration": steps, "energy": -2.9 + 1.0 / (1 + steps), "variance": 0.1 + steps,
                   "acceptance": 0.5 + 0 * steps}  # fmt: skip
        write_table(file.with_name("history.parquet"), history)
    molecule = run.molecule_object()
    values = {
        "study": run.study, "system": run.system, "geometry": run.geometry, "method": "vmc",
        "ansatz": run.ansatz_name, "config_hash": run.config_hash(), "seed": run.seed,
        "energy": energy, "stderr": 3e-4, "status": "complete", "n_electrons": molecule.n_electrons,
        "unpaired_electrons": molecule.unpaired_electrons, "iterations": run.train.iterations,
        "parameter": molecule.parameter, "parameter_name": molecule.parameter_name,
        "git_commit": COMMIT, "package_versions": {"jax": "0.10.2"}, "device": "cpu",
        "created_utc": "2026-01-31T12:00:00Z", "method_version": "7",
        "details": {"trained_sha256": file_sha256(file), "configuration": run.model_dump(),
                    "command": COMMAND},
    }  # fmt: skip
    return row(**(values | fields))


def hartree_fock(one: Row, energy: float) -> Row:
    fields = {"method": "hf", "basis": "cc-pvdz", "reference": "rhf", "ansatz": None}
    none = {"config_hash": None, "seed": None, "stderr": None, "details": None, "iterations": None}
    return row(**{**one, **fields, **none, "energy": energy})


def tree(directory: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """A working directory; the code counts as committed, the project has published nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(publish, "local_changes", lambda folders: [])
    monkeypatch.setattr(layout.ferminet, "__file__", str(tmp_path / "ferminet" / "__init__.py"))
    (tmp_path / "molecules").symlink_to(ROOT / "molecules")
    return tmp_path


@pytest.fixture
def rows(place: Path) -> Rows:
    """Helium and H4, with Hartree-Fock, collected and not yet published."""
    helium = make_row(RUNS["He"], -2.9030)
    found = [helium, hartree_fock(helium, -2.8552), make_row(RUNS["H4"], -2.0100)]
    write_rows(ENERGIES, found)
    return found


@pytest.fixture
def blessed(rows: Rows, capsys) -> Rows:
    assert main(["bless", "--energies", str(ENERGIES)]) == 0
    capsys.readouterr()
    return rows


def again(rows: Rows, *arguments: str) -> int:
    write_rows(ENERGIES, rows)
    return main(["bless", "--energies", str(ENERGIES), *arguments])


def test_what_is_published(rows: Rows, capsys) -> None:
    assert main(["bless", "--energies", str(ENERGIES)]) == 0
    lines = capsys.readouterr().out.splitlines()
    key = f"smoke/He/eq/vmc/ferminet/{rows[0]['config_hash']}/seed 1"
    assert lines[0] == f"new        {key}  -2.9030(3) hartree"
    assert lines[1] == "new        smoke/He/eq/hf/rhf/cc-pvdz  -2.855200 hartree"
    assert lines[-2] == "smoke: 3 new, 0 of other keys stay, 3 rows in all."
    assert as_rows(read_rows(SUITE / "energies.parquet")) == rows
    run = json.loads((SUITE / "manifest.json").read_text())["runs"][key]
    assert run["trained_sha256"] == file_sha256(trained_file(RUNS["He"]))
    assert run["command"] == COMMAND
    assert main(["verify"]) == 0
    assert capsys.readouterr().out == (
        "smoke: 3 rows, 2 of them runs; all hashes agree; 2 of their trained wavefunctions are "
        "here and agree.\n"
    )
    chosen = ["--config", str(SUITE / run["configuration"]), "--expect-hash", key.split("/")[5]]
    assert main(["resolve", *chosen, "--out", "run.json"]) == 0
    assert json.loads(Path("run.json").read_text()) == RUNS["He"].model_dump()


def test_a_number_of_a_table_is_followed_back(blessed: Rows) -> None:
    (helium, *_), places = blessed, []
    results.write_tables(ENERGIES, Path("tables"))
    for table in ("atoms", "h4"):
        for _, line in pd.read_parquet(f"tables/{table}.parquet").iterrows():
            (found,) = rows_of(line, SUITE / "energies.parquet")
            places.append(walk(found, SUITE))
    assert places == [trained_file(RUNS["He"]), trained_file(RUNS["H4"])]
    assert file_sha256(places[0]) == details(helium)["trained_sha256"]


def test_histories_are_thinned_to_block_means(blessed: Rows) -> None:
    histories = read_table(SUITE / "histories.parquet")
    mine = published.history_of(histories, blessed[0])
    assert len(mine) == published.HISTORY_POINTS and len(histories) == 2 * len(mine)
    whole = read_table(trained_file(RUNS["He"]).with_name("history.parquet"))
    assert list(mine.iteration[:2]) == [4, 9]
    assert mine.energy.iloc[1] == pytest.approx(whole.energy[5:10].mean(), abs=1e-12)
    assert mine.variance.mean() == pytest.approx(whole.variance.mean(), rel=1e-6)
    short = published.thinned(blessed[0], whole[:7])
    assert list(short.energy) == list(whole.energy[:7])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"energy": -2.9025}, "by +0.5 mEh = +1.2 standard errors"),
        ({"energy": -2.9025, "status": "suspicious"}, "errors, complete becomes suspicious"),
        ({"created_utc": "2026-02-01T12:00:00Z"}, "same energy, other created_utc"),
    ],
)
def test_differences_are_told_before_writing(blessed: Rows, change, words: str, capsys) -> None:
    changed = row(**{**blessed[0], **change})
    before = tree(SUITE)
    assert again([changed, *blessed[1:]], "--dry-run") == 0
    said = capsys.readouterr().out
    assert said.startswith("changed ") and words in said and "Nothing is written" in said
    assert said.count("\nunchanged ") == 2
    assert tree(SUITE) == before
    assert again([changed, *blessed[1:]]) == 0
    assert as_rows(read_rows(SUITE / "energies.parquet"))[0] == changed
    assert main(["verify"]) == 0


def test_a_change_without_errors_has_no_z(blessed: Rows) -> None:
    other = row(**{**blessed[1], "energy": -2.8553})
    text = published.compare(blessed[1], other).text
    assert text == "by -0.1 mEh (no standard error)"


def test_the_same_again_writes_nothing(blessed: Rows, capsys) -> None:
    stamp = (SUITE / "manifest.json").stat().st_mtime_ns
    assert again(blessed) == 0
    assert (SUITE / "manifest.json").stat().st_mtime_ns == stamp
    assert "3 unchanged" in capsys.readouterr().out


def test_merging_and_removing(blessed: Rows, capsys) -> None:
    (SUITE / "README.md").write_text("mine")
    shutil.rmtree("results/smoke/runs/H4")  # kept rows need no file
    assert again([make_row(RUNS["LiH"], -8.0)], "--suite", "smoke") == 0
    assert "1 new, 3 of other keys stay, 4 rows in all" in capsys.readouterr().out
    found = {one["system"] for one in as_rows(read_rows(SUITE / "energies.parquet"))}
    assert found == {"He", "H4", "LiH"}
    assert len(read_table(SUITE / "histories.parquet")) == 3 * published.HISTORY_POINTS
    key = published.key_of(blessed[0])
    assert main(["bless", "--suite", "smoke", "--remove", key]) == 0
    assert f"removed    {key}" in capsys.readouterr().out
    assert len(as_rows(read_rows(SUITE / "energies.parquet"))) == 3
    assert len(list((SUITE / "configurations").iterdir())) == 2
    assert (SUITE / "README.md").read_text() == "mine"
    assert main(["bless", "--suite", "smoke", "--remove", key]) == 2
    assert "has no row" in capsys.readouterr().err


def test_only_some_systems(rows: Rows, capsys) -> None:
    assert main(["bless", "--energies", str(ENERGIES), "--only", "H4"]) == 0
    assert [one["system"] for one in as_rows(read_rows(SUITE / "energies.parquet"))] == ["H4"]
    assert main(["bless", "--energies", str(ENERGIES), "--only", "H5"]) == 2
    assert "choose one of H4, He." in capsys.readouterr().err


def test_other_settings_are_pointed_out(blessed: Rows, capsys) -> None:
    content = RUNS["He"].model_dump() | {"precision": "float64"}
    assert again([make_row(RunConfig.model_validate(content), -2.9035)]) == 0
    key = published.key_of(blessed[0])
    assert f"note: {key} has other settings and stays; --remove" in capsys.readouterr().out


def test_rows_without_energy_need_a_reason(rows: Rows, capsys) -> None:
    gone = {"energy": None, "stderr": None, "status": "not_converged"}
    silent = row(**{**rows[1], **gone})
    told = row(**{**rows[1], **gone, "basis": "sto-3g", "details": {"note": "90 cycles"}})
    assert again([rows[0], silent, told]) == 0
    said = capsys.readouterr().out
    assert "left out   smoke/He/eq/hf/rhf/cc-pvdz  not_converged without a reason" in said
    assert "not converged: 90 cycles" in said
    found = as_rows(read_rows(SUITE / "energies.parquet"))
    assert {one["basis"] for one in found} == {None, "sto-3g"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"git_commit": f"{COMMIT}+dirty"}, "code with local changes"),
        ({"git_commit": "unknown"}, "does not say its git_commit"),
        ({"package_versions": None}, "does not say its package_versions"),
        ({"device": None}, "does not say its device"),
        ({"method_version": "6"}, "has the hash"),
    ],
)
def test_rows_that_are_refused(rows: Rows, change, words: str, capsys) -> None:
    assert again([row(**{**rows[0], **change}), rows[1]]) == 2
    error = capsys.readouterr().err
    assert words in error and published.key_of(rows[0]) in error and error.count("\n") == 1
    assert not Path("results/published").exists()


def test_doubtful_rows_are_named(rows: Rows, capsys) -> None:
    one = {**rows[0], "acceptance": 0.02, "r_hat": 3.0}
    write_rows(ENERGIES, [one, *rows[1:]])
    assert main(["bless", "--energies", str(ENERGIES), "--dry-run"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "doubtful" in line]
    assert len(said) == 2 and all(published.key_of(one) in line for line in said)
    assert "R-hat is 3.000" in said[0] and "acceptance is 0.02" in said[1]


def test_runs_that_are_still_training(rows: Rows, capsys) -> None:
    more = {"note": "mean over the last 128 of 1000 iterations", "configuration": {}}
    more["configuration"] = details(rows[0])["configuration"]
    partial = row(**{**rows[0], "status": "unfinished", "device": "unknown", "details": more})
    assert again([partial]) == 0
    assert "-2.9030(3) hartree (unfinished)" in capsys.readouterr().out
    (run,) = json.loads((SUITE / "manifest.json").read_text())["runs"].values()
    assert run["trained_sha256"] is None and len(run["from_configuration"]) == 4
    assert main(["verify"]) == 0
    assert again(rows) == 0
    assert "same energy, other status, device, details" in capsys.readouterr().out


def test_rows_of_former_versions_ask_the_file(rows: Rows, capsys) -> None:
    old = row(**{**rows[0], "details": {"kato": 1}})
    assert again([old]) == 0
    (found,) = as_rows(read_rows(SUITE / "energies.parquet"))
    known = {key: details(rows[0])[key] for key in ("trained_sha256", "configuration")}
    assert details(found) == {"kato": 1} | known
    trained_file(RUNS["He"]).unlink()
    assert again([old]) == 2
    assert "does not tell the SHA-256 of its trained wavefunction" in capsys.readouterr().err


def test_another_trained_file_than_measured_is_refused(rows: Rows, capsys) -> None:
    save_arrays(trained_file(RUNS["He"]), {"x": np.zeros(3)}, {})
    assert again(rows) == 2
    assert "is not the file that smoke/He/eq" in capsys.readouterr().err


def test_local_changes_are_refused(rows: Rows, tmp_path: Path, monkeypatch, capsys) -> None:
    clone = tmp_path / "clone"
    for folder in (*publish.CODE, "docs"):
        (clone / folder).mkdir(parents=True)
        (clone / folder / "a.txt").write_text("a")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        subprocess.run(["git", *identity, *words], cwd=clone, check=True)
    monkeypatch.setattr(publish, "local_changes", lambda folders: local_changes(folders, clone))
    (clone / "docs" / "a.txt").write_text("b")
    publish.refuse_local_changes()
    (clone / "molecules" / "new.yaml").write_text("")
    (clone / "workflow" / "a.txt").write_text("b")
    assert main(["bless", "--energies", str(ENERGIES)]) == 2
    error = capsys.readouterr().err
    assert "2 files of ferminet, workflow, molecules (molecules/new.yaml for one)" in error
    assert not Path("results/published").exists()
    shutil.rmtree(clone / ".git")
    with pytest.raises(InputError, match="git knows none here"):
        publish.refuse_local_changes()


@pytest.mark.parametrize("fails", ["write_table", "write_bytes", "swap"])
def test_a_bless_that_fails_changes_nothing(blessed: Rows, fails: str, monkeypatch, capsys) -> None:
    before = tree(Path("results"))

    def full(*arguments):
        raise OSError(28, "No space left on device")

    replace = os.replace

    def swap(old, new):
        if str(old).endswith(".part") and Path(old).is_dir():
            full()
        replace(old, new)

    if fails == "swap":
        monkeypatch.setattr(os, "replace", swap)
    else:
        monkeypatch.setattr(suites, fails, full)
    changed = row(**{**blessed[0], "energy": -2.95})
    write_rows("other.parquet", [changed])
    assert main(["bless", "--energies", "other.parquet"]) == 4
    assert "nothing was changed" in capsys.readouterr().err
    assert tree(Path("results")) == before
    monkeypatch.undo()


def test_an_altered_suite_is_not_blessed_over(blessed: Rows, capsys) -> None:
    (SUITE / "manifest.json").write_text("{}")
    assert again(blessed) == 5
    assert "manifest.json differs" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["energies.parquet", "histories.parquet", "manifest.json", "c"])
@pytest.mark.parametrize("where", [0.1, 0.5, 0.99])
def test_a_flipped_bit_is_found(blessed: Rows, file: str, where: float, capsys) -> None:
    path = next((SUITE / "configurations").iterdir()) if file == "c" else SUITE / file
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)
    assert main(["verify", str(SUITE)]) == 5
    captured = capsys.readouterr()
    assert captured.err.startswith(f"ferminet: {path} differs: ")
    assert captured.err.count("\n") == 1 and captured.out == ""


def test_a_changed_configuration_is_found_by_its_hash(blessed: Rows, capsys) -> None:
    """Also where the manifest and all names were made anew to fit it."""
    content = details(blessed[0])["configuration"]
    content["optimizer"]["learning_rate"] *= 2
    forged = published.complete(blessed[0], configuration=content)
    write_suite(SUITE, Suite([forged], pd.DataFrame()))
    assert main(["verify"]) == 5
    error = capsys.readouterr().err
    assert suites.configuration_file(forged) in error and "has the hash" in error


def test_files_too_many_or_too_few(blessed: Rows, capsys) -> None:
    (SUITE / "configurations" / "more.json").write_text("{}")
    assert main(["verify"]) == 5
    assert "more.json belongs to no row" in capsys.readouterr().err
    (SUITE / "configurations" / "more.json").unlink()
    (SUITE / "histories.parquet").unlink()
    assert main(["verify"]) == 5
    assert "histories.parquet differs" in capsys.readouterr().err


def test_the_trained_wavefunction_is_compared(blessed: Rows, capsys) -> None:
    file = trained_file(RUNS["He"])
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert main(["verify"]) == 5
    assert str(file) in capsys.readouterr().err
    # Trained anew by a reader: the same path, other bits, and no damage,
    save_arrays(file, {"x": np.zeros(3)}, {})
    assert main(["verify"]) == 0
    assert "1 of their trained wavefunctions are here and agree, 1 were trained anew here" in (
        capsys.readouterr().out
    )
    # unless the row beside it is the published one's.
    write_rows(file.with_name("energy.parquet"), [blessed[0]])
    assert main(["verify"]) == 5
    assert f"{file} differs" in capsys.readouterr().err


def test_all_suites_are_verified_also_after_a_bad_one(blessed: Rows, capsys) -> None:
    shutil.copytree(SUITE, "results/published/alpha")  # its manifest says another name
    assert main(["verify"]) == 5
    captured = capsys.readouterr()
    assert captured.out.startswith("smoke: 3 rows") and "alpha/manifest.json" in captured.err


def test_nothing_to_verify_or_to_bless(place: Path, capsys) -> None:
    for arguments in (["verify"], ["verify", "results/published/none"], ["bless"]):
        assert main(arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["bless", "--energies", "no.parquet"]) == 2
    write_rows(ENERGIES, [])
    assert main(["bless", "--energies", str(ENERGIES)]) == 2
    assert main(["bless", "--suite", "../up", "--remove", "x"]) == 2
    assert "no name of a folder" in capsys.readouterr().err


def test_a_suite_that_cannot_be_written(rows: Rows, monkeypatch) -> None:
    Path("results/published").write_text("a file")
    with pytest.raises(ResourceError, match="Cannot write"):
        publish.bless(ENERGIES)


def test_tables_show_published_rows_beside(blessed: Rows, place: Path, monkeypatch, capsys) -> None:
    (place / "smoke.yaml").write_text(STUDY + "published: [smoke]\n")
    mine = row(**{**blessed[0], "energy": -2.9000})  # the same study and key, on another machine
    write_rows(ENERGIES, [mine, row(**{**blessed[2], "energy": -2.0090})])
    study = load_study("smoke.yaml")
    files = [str(file) for file in layout.published_files(study)]
    assert files == ["results/published/smoke/energies.parquet"]
    arguments = ["--energies", str(ENERGIES), "--published", *files]
    assert main(["tables", *arguments, "--out-dir", "tables"]) == 0
    atoms = pd.read_csv("tables/atoms.csv")
    assert dict(zip(atoms.study, atoms.energy_hartree, strict=True)) == {
        "published/smoke": -2.9030, "smoke": -2.9000
    }  # fmt: skip
    assert atoms.set_index("study").hf_hartree["published/smoke"] == -2.8552
    assert "| published/smoke | He" in Path("tables/atoms.md").read_text()
    assert set(pd.read_csv("tables/h4.csv").study) == {"published/smoke", "smoke"}
    assert "| study " in Path("tables/runs.md").read_text()
    monkeypatch.setattr(results, "figure_names", lambda study: [])  # they take seconds
    results.write_report(study, ENERGIES, Path("report.html"))
    page = Path("report.html").read_text()
    assert "published/smoke" in page and "Energies with error bars: smoke<" in page
    capsys.readouterr()
    assert main(["tables", *arguments, "--show"]) == 0
    said = capsys.readouterr().out
    assert "published/smoke" in said and "Of 2 runs" in said
    # Only places that the study has.
    write_rows(ENERGIES, [mine])
    results.write_tables(ENERGIES, Path("few"), published_files=[Path(files[0])])
    assert not Path("few/h4.csv").exists()
    assert len(pd.read_csv("few/runs.csv")) == 2


def test_a_suite_of_a_study_that_does_not_exist(blessed: Rows, place: Path) -> None:
    (place / "mine.yaml").write_text(STUDY + "published: [desktop]\n")
    with pytest.raises(InputError, match=r"no suite 'desktop' in results/published; .*: smoke\."):
        layout.published_files(load_study("mine.yaml"))
    (place / "mine.yaml").write_text(STUDY + "published: [../smoke]\n")
    with pytest.raises(InputError, match="is no name of a folder"):
        load_study("mine.yaml")


def test_published_suites_are_in_no_identity(place: Path) -> None:
    texts = []
    for more in ("", "published: [smoke]\n"):
        (place / "mine.yaml").write_text(STUDY + more)
        runs = expand_runs(load_study("mine.yaml"))
        stages = ("scf", "pretrain", "train", "evaluate")
        texts.append([(run.config_hash(), *map(run.stage_params, stages)) for run in runs])
    assert texts[0] == texts[1]
