"""Blessing rows: differences, refusals, all or nothing."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ferminet.benchmark.publishing import publish
from ferminet.benchmark.publishing import rows as released
from ferminet.benchmark.publishing import suite as suites
from ferminet.benchmark.records import read_rows, read_table, write_rows
from ferminet.benchmark.schema import EnergyRow
from ferminet.cli.main import main, make_parser
from ferminet.config import RunConfig, load_run
from ferminet.config.layout import ENERGY, path_of
from ferminet.errors import InputError
from ferminet.runtime.checkpoint import save_arrays
from ferminet.runtime.files import file_sha256
from ferminet.runtime.provenance import TRAINED_BY, local_changes
from ferminet.stages import results
from tests.benchmark.publishing.studies import (
    COMMAND,
    COMMIT,
    ENERGIES,
    RUNS,
    SUITE,
    again,
    make_row,
    trained_file,
    tree,
)
from tests.helpers.walk import rows_of, walk


def test_bless_writes_rows_configurations_and_manifest(rows: list[EnergyRow], capsys) -> None:
    assert main(["bless", "--energies", str(ENERGIES)]) == 0
    lines = capsys.readouterr().out.splitlines()
    key = f"smoke/He/eq/vmc/ferminet/{rows[0].config_hash}/seed 1"
    assert lines[0] == f"new        {key}  -2.9030(3) hartree"
    assert lines[1] == "new        smoke/He/eq/hf/rhf/cc-pvdz  -2.855200 hartree"
    assert lines[-2] == "smoke: 3 new, 0 of other keys stay, 3 rows in all."
    assert read_rows(SUITE / "energies.parquet") == rows
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


def test_a_number_of_a_table_is_followed_back(blessed: list[EnergyRow]) -> None:
    (helium, *_), places = blessed, []
    results.write_tables(ENERGIES, Path("tables"))
    for table in ("atoms", "h4"):
        for _, line in pd.read_parquet(f"tables/{table}.parquet").iterrows():
            (found,) = rows_of(line, SUITE / "energies.parquet")
            places.append(walk(found, SUITE))
    assert places == [trained_file(RUNS["He"]), trained_file(RUNS["H4"])]
    assert file_sha256(places[0]) == helium.details.trained_sha256


def test_histories_are_thinned_to_block_means(blessed: list[EnergyRow]) -> None:
    histories = read_table(SUITE / "histories.parquet")
    mine = released.history_of(histories, blessed[0])
    assert len(mine) == released.HISTORY_POINTS and len(histories) == 2 * len(mine)
    whole = read_table(trained_file(RUNS["He"]).with_name("history.parquet"))
    assert list(mine.iteration[:2]) == [4, 9]
    assert mine.energy.iloc[1] == pytest.approx(whole.energy[5:10].mean(), abs=1e-12)
    assert mine.variance.mean() == pytest.approx(whole.variance.mean(), rel=1e-6)
    short = released.thin_history(blessed[0], whole[:7])
    assert list(short.energy) == list(whole.energy[:7])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"energy": -2.9025}, "by +0.5 mEh = +1.2 standard errors"),
        ({"energy": -2.9025, "status": "suspicious"}, "errors, complete becomes suspicious"),
        ({"created_utc": "2026-02-01T12:00:00Z"}, "same energy, other created_utc"),
    ],
)
def test_differences_are_printed_before_writing(
    blessed: list[EnergyRow], change, words: str, capsys
) -> None:
    changed = blessed[0].replace(**change)
    before = tree(SUITE)
    assert again([changed, *blessed[1:]], "--dry-run") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("changed ") and words in printed and "Nothing is written" in printed
    assert printed.count("\nunchanged ") == 2
    assert tree(SUITE) == before
    assert again([changed, *blessed[1:]]) == 0
    assert read_rows(SUITE / "energies.parquet")[0] == changed
    assert main(["verify"]) == 0


def test_a_change_without_errors_has_no_z(blessed: list[EnergyRow]) -> None:
    other = blessed[1].replace(energy=-2.8553)
    text = released.row_change(blessed[1], other).text
    assert text == "by -0.1 mEh (no standard error)"


def test_unchanged_rows_write_nothing(blessed: list[EnergyRow], capsys) -> None:
    stamp = (SUITE / "manifest.json").stat().st_mtime_ns
    assert again(blessed) == 0
    assert (SUITE / "manifest.json").stat().st_mtime_ns == stamp
    assert "3 unchanged" in capsys.readouterr().out


def test_rows_are_merged_and_removed(blessed: list[EnergyRow], capsys) -> None:
    (SUITE / "README.md").write_text("mine")
    shutil.rmtree("results/smoke/runs/H4")  # kept rows need no file
    assert again([make_row(RUNS["LiH"], -8.0)], "--suite", "smoke") == 0
    assert "1 new, 3 of other keys stay, 4 rows in all" in capsys.readouterr().out
    found = {one.system for one in read_rows(SUITE / "energies.parquet")}
    assert found == {"He", "H4", "LiH"}
    assert len(read_table(SUITE / "histories.parquet")) == 3 * released.HISTORY_POINTS
    key = blessed[0].label
    assert main(["bless", "--suite", "smoke", "--remove", key]) == 0
    assert f"removed    {key}" in capsys.readouterr().out
    assert len(read_rows(SUITE / "energies.parquet")) == 3
    assert len(list((SUITE / "configurations").iterdir())) == 2
    assert (SUITE / "README.md").read_text() == "mine"
    assert main(["bless", "--suite", "smoke", "--remove", key]) == 2
    assert "has no row" in capsys.readouterr().err


def test_only_the_chosen_systems_are_released(rows: list[EnergyRow], capsys) -> None:
    assert main(["bless", "--energies", str(ENERGIES), "--only", "H4"]) == 0
    assert [one.system for one in read_rows(SUITE / "energies.parquet")] == ["H4"]
    assert main(["bless", "--energies", str(ENERGIES), "--only", "H5"]) == 2
    assert "choose one of H4, He." in capsys.readouterr().err


def test_rows_with_other_settings_are_noted(blessed: list[EnergyRow], capsys) -> None:
    content = RUNS["He"].model_dump() | {"precision": "float64"}
    assert again([make_row(RunConfig.model_validate(content), -2.9035)]) == 0
    key = blessed[0].label
    assert f"note: {key} has other settings and stays; --remove" in capsys.readouterr().out


def test_rows_without_energy_need_a_reason(rows: list[EnergyRow], capsys) -> None:
    gone = {"energy": None, "stderr": None, "status": "not_converged"}
    silent = rows[1].replace(**gone)
    explained = rows[1].replace(**gone, basis="sto-3g", details={"note": "90 cycles"})
    assert again([rows[0], silent, explained]) == 0
    printed = capsys.readouterr().out
    assert "left out   smoke/He/eq/hf/rhf/cc-pvdz  not_converged without a reason" in printed
    assert "not converged: 90 cycles" in printed
    found = read_rows(SUITE / "energies.parquet")
    assert {one.basis for one in found} == {None, "sto-3g"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"git_commit": f"{COMMIT}+dirty"}, "code with local changes"),
        (
            {"details": {TRAINED_BY: [{"git_commit": f"{COMMIT}+dirty"}, {"git_commit": COMMIT}]}},
            "code with local changes",
        ),
        ({"git_commit": "unknown"}, "does not state its git_commit"),
        ({"package_versions": None}, "does not state its package_versions"),
        ({"device": None}, "does not state its device"),
        ({"method_version": "6"}, "has the hash"),
    ],
)
def test_a_row_without_sound_provenance_is_refused(
    rows: list[EnergyRow], change, words: str, capsys
) -> None:
    changed = {**change, "details": rows[0].details.model_copy(update=change.get("details", {}))}
    assert again([rows[0].replace(**changed), rows[1]]) == 2
    error = capsys.readouterr().err
    assert words in error and rows[0].label in error and error.count("\n") == 1
    assert not Path("results/published").exists()


def test_doubts_about_rows_are_printed(rows: list[EnergyRow], capsys) -> None:
    drifting = rows[0].details.model_copy(update={"drift_z": 7.0})
    one = rows[0].replace(acceptance=0.02, r_hat=3.0, details=drifting)
    write_rows(ENERGIES, [one, *rows[1:]])
    assert main(["bless", "--energies", str(ENERGIES), "--dry-run"]) == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if "doubtful" in line]
    assert len(printed) == 3 and all(one.label in line for line in printed)
    assert "R-hat is 3.000" in printed[0] and "acceptance is 0.02" in printed[2]
    assert "the halves of the samples differ by 7.0 standard errors" in printed[1]


def test_an_unfinished_run_is_released_as_such(rows: list[EnergyRow], capsys) -> None:
    more = {"note": "mean over the last 128 of 1000 iterations", "configuration": {}}
    more["configuration"] = rows[0].details.configuration
    partial = rows[0].replace(status="unfinished", device="unknown", details=more)
    assert again([partial]) == 0
    assert "-2.9030(3) hartree (unfinished)" in capsys.readouterr().out
    (run,) = json.loads((SUITE / "manifest.json").read_text())["runs"].values()
    assert run["trained_sha256"] is None and len(run["from_configuration"]) == 4
    assert main(["verify"]) == 0
    assert again(rows) == 0
    assert "same energy, other status, device, details" in capsys.readouterr().out


def test_a_row_without_its_trained_file_is_refused(rows: list[EnergyRow], capsys) -> None:
    for missing in ("trained_sha256", "configuration"):
        more = {
            key: value
            for key, value in rows[0].details.model_dump(exclude_unset=True).items()
            if key != missing
        }
        assert again([rows[0].replace(details=more)]) == 2
        assert f"has no {missing} in its details" in capsys.readouterr().err


def test_another_trained_file_than_measured_is_refused(rows: list[EnergyRow], capsys) -> None:
    save_arrays(trained_file(RUNS["He"]), {"x": np.zeros(3)}, {})
    assert again(rows) == 2
    assert "is not the file that smoke/He/eq" in capsys.readouterr().err


def test_local_changes_are_refused(
    rows: list[EnergyRow], tmp_path: Path, monkeypatch, capsys
) -> None:
    clone = tmp_path / "clone"
    for folder in (*publish.CODE, "docs"):
        (clone / folder).mkdir(parents=True)
        (clone / folder / "a.txt").write_text("a")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        subprocess.run(["git", *identity, *words], cwd=clone, check=True)
    monkeypatch.setattr(publish, "local_changes", lambda folders: local_changes(folders, clone))
    (clone / "docs" / "a.txt").write_text("b")
    publish.require_committed_code()
    (clone / "molecules" / "new.yaml").write_text("")
    (clone / "workflow" / "a.txt").write_text("b")
    assert main(["bless", "--energies", str(ENERGIES)]) == 2
    error = capsys.readouterr().err
    assert "2 files of ferminet, workflow, molecules (molecules/new.yaml for example)" in error
    assert not Path("results/published").exists()
    shutil.rmtree(clone / ".git")
    with pytest.raises(InputError, match="not a git clone"):
        publish.require_committed_code()


@pytest.mark.parametrize("fails", ["write_table", "write_bytes", "swap"])
def test_a_bless_that_fails_changes_nothing(
    blessed: list[EnergyRow], fails: str, monkeypatch, capsys
) -> None:
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
    changed = blessed[0].replace(energy=-2.95)
    write_rows("other.parquet", [changed])
    assert main(["bless", "--energies", "other.parquet"]) == 4
    assert "nothing was changed" in capsys.readouterr().err
    assert tree(Path("results")) == before
    monkeypatch.undo()


def test_an_altered_suite_is_not_blessed_over(blessed: list[EnergyRow], capsys) -> None:
    (SUITE / "manifest.json").write_text("{}")
    assert again(blessed) == 5
    assert "manifest.json differs" in capsys.readouterr().err


@pytest.mark.usefixtures("place")
def test_the_commands_of_a_shared_training_follow_each_other() -> None:
    Path("curve.yaml").write_text(
        "seeds: [1]\nsystems: [{name: H4, geometries: [a85, a90]}]\ntrain: {shared: true}\n"
    )
    run = load_run("curve.yaml", geometry="a85")
    write_rows(ENERGIES, [make_row(run, -2.0)])
    assert main(["bless", "--energies", str(ENERGIES), "--suite", "curve"]) == 0
    assert main(["verify"]) == 0
    manifest = json.loads(Path("results/published/curve/manifest.json").read_text())
    (released_run,) = manifest["runs"].values()
    made: list[Path] = []
    for command in released_run["from_configuration"]:
        options = make_parser().parse_args(command.split()[1:])
        own = ("out", "history", "checkpoint_dir", "config", "log")
        paths = {name: path for name, path in vars(options).items() if isinstance(path, Path)}
        assert all(path in made for name, path in paths.items() if name not in own)
        assert load_run(options.config, geometry=options.geometry).system == "H4"
        made += [path for name, path in paths.items() if name in ("out", "history")]
    names = [command.split()[1] for command in released_run["from_configuration"]]
    assert names == ["scf", "pretrain", "train", "split", "evaluate"]
    assert made[-1] == path_of(ENERGY, run)
