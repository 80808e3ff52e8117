"""Files that are damaged, of something else, or still being written: one sentence each."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from ferminet.benchmark.imports import files
from ferminet.benchmark.imports.codes import READERS
from ferminet.cli.imports import CODES
from ferminet.cli.main import main
from ferminet.errors import FermiNetError, InputError, NotConvergedError, ResourceError
from tests.benchmark.imports.conftest import (
    DEEPQMC_SETTINGS,
    EXACT,
    JAQMC_SETTINGS,
    energies,
    write_deepqmc,
    write_ferminet,
    write_jaqmc,
)
from tests.cli.test_hostile_files import altered


def refused(load, folder: Path, code: str, kind: type[FermiNetError] = InputError, **more) -> str:
    """The sentence with which a folder is refused."""
    with pytest.raises(kind) as error:
        load(folder, code, **more)
    assert type(error.value) is kind
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("code", ["ferminet", "jaqmc", "deepqmc"])
def test_a_folder_without_the_files(tmp_path, load, code):
    assert "has no " in refused(load, tmp_path, code)
    assert "is not a folder" in refused(load, tmp_path / "nothing", code)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty; if the run has just begun"),
        (b"step,energy", "is not a table of numbers"),  # no complete line
        (b"step,ewmean\n0,-2.9\n", "has no column 'energy'"),
        (b"step,energy,pmove\n", "has 0 energies to average"),
        (b"step,energy,pmove\n0,-2.9,0.5\n", "has 1 energies to average"),
        (b"step,energy,pmove\n0,minus two,0.5\n", "could not convert string to float"),
        (b"step,energy\n" + b"0,-2.9,1,2,3\n" * 20, "line 2 has 5 columns, the first one 2"),
        (b"step,energy\n0,-2.9\n1\n", "line 3 has 1 columns, the first one 2"),
        (b"\xff\xfe\x00step" * 9 + b"\n", "is not a table of numbers"),
        (b"\x00" * 100 + b"\n", "is not a table of numbers|has no column"),
    ],
)  # fmt: skip
def test_a_csv_file_that_is_none(tmp_path, load, content, sentence):
    (tmp_path / "train_stats.csv").write_bytes(content)
    found = refused(load, tmp_path, "ferminet")
    assert any(part in found for part in sentence.split("|")), found


def test_a_line_that_is_being_written_is_left_out(tmp_path, load):
    folder = write_ferminet(tmp_path / "run", energies())
    whole = load(folder, "ferminet")
    with open(folder / "train_stats.csv", "a") as stream:
        stream.write("400,-2.9")  # of -2.9041
    assert load(folder, "ferminet").energy == whole.energy


def test_steps_that_go_back_are_two_runs(tmp_path, load):
    folder = write_ferminet(tmp_path / "run", energies())
    file = folder / "train_stats.csv"
    file.write_text(file.read_text() + "".join(file.read_text().splitlines(keepends=True)[1:]))
    assert "do not increase" in refused(load, folder, "ferminet")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_energies_that_are_not_finite(tmp_path, load, bad):
    values = energies()
    values[390] = bad
    folder = write_ferminet(tmp_path / "run", values)
    assert "1 of the 400 energies" in refused(load, folder, "ferminet", NotConvergedError)
    # Outside of the tail they do not count.
    values[390], values[3] = values[0], bad
    write_ferminet(folder, values)
    assert load(folder, "ferminet", averaged="training").status == "complete"


@pytest.mark.parametrize("factor", [27.2114, 2.0, 627.5, 0.0433634, 1e300, -1.0])
def test_energies_in_other_units(tmp_path, load, factor):
    folder = write_ferminet(tmp_path / "run", factor * energies())
    assert "is not that of this system in hartree" in refused(load, folder, "ferminet")


def test_a_run_of_another_system(tmp_path, load):
    folder = write_ferminet(tmp_path / "run", energies())
    assert "LiH eq has -8.0705" in refused(load, folder, "ferminet", system="LiH")


def test_what_was_averaged_has_to_be_stated(tmp_path, load):
    folder = write_ferminet(tmp_path / "run", energies())
    sentence = refused(load, folder, "ferminet", averaged=None)
    assert "add --averaged training or --averaged inference" in sentence
    assert "number your runs with --seed" in refused(load, folder, "ferminet", seed=None)
    assert "counts as a whole" in refused(load, folder, "ferminet", tail=0.5)
    both = write_jaqmc(tmp_path / "both", energies())
    (both / "train_stats.csv").write_text("step,total_energy\n")
    assert "choose with --averaged" in refused(load, both, "jaqmc")
    assert load(both, "jaqmc", averaged="inference").details.imported.averaged == "inference"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("symbol: He", "symbol: Li", "is a run with 3 electrons, He eq has 2"),
        ("unit: bohr", "unit: bohr\n  total_charge: 1", "is a run with 1 electrons"),
        ("symbol: He", "symbol: Li, coords: [0, 0, 3]}, {symbol: H", "is a run with 4 electrons"),
        ("workflow: {", "workflow: [{", "the YAML cannot be read"),
    ],
)
def test_settings_of_another_system(tmp_path, load, old, new, sentence):
    settings = JAQMC_SETTINGS.replace(old, new)
    folder = write_jaqmc(tmp_path / "run", energies(), settings)
    assert sentence in refused(load, folder, "jaqmc")


@pytest.mark.parametrize("stated", [True, False])
def test_another_geometry_is_refused_and_a_moved_one_is_not(tmp_path, load, stated):
    """DeepQMC's file has the coordinates; an evaluation may not find the settings with charges."""
    settings = DEEPQMC_SETTINGS.replace("charges: [2]", "charges: [1, 3]")
    if not stated:
        settings = "task: {steps: 400, restdir: gone}\nhamil: {mol: {charges: [9, 9]}}\n"
    values = energies()[:, None] - EXACT - 8.07 + np.zeros((400, 2))
    for number, length in enumerate((3.015, 3.0, 3.1)):
        coords = ((0.0, length, 0.0), (0.0, 0.0, 0.0))
        folder = write_deepqmc(tmp_path / str(number), values, settings=settings, coords=coords)
        if length == 3.015:
            row = load(folder, "deepqmc", system="LiH")
            assert row.energy == pytest.approx(-8.068, abs=1e-3)
            assert ("hamil" in row.details.imported.settings) == stated
        else:
            sentence = refused(load, folder, "deepqmc", system="LiH")
            assert f"a distance is {length:.4f} instead of 3.0150 bohr" in sentence


def test_an_evaluation_of_deepqmc_has_the_settings_of_its_training(tmp_path, load):
    """Its own file states defaults of everything but the task."""
    trained = write_deepqmc(tmp_path / "run", energies()[:, None], "training")
    own = f"task: {{steps: 9, restdir: {trained / 'training'}}}\nhamil: {{mol: {{charges: [9]}}}}\n"
    folder = write_deepqmc(tmp_path / "eval", energies()[:, None], settings=own)
    row = load(folder, "deepqmc", seed=None)
    settings = row.details.imported.settings
    assert (row.seed, settings["task"]["steps"]) == (3, 9)
    assert settings["hamil"]["mol"]["charges"] == [2]


def test_no_hdf5(tmp_path, load):
    folder = write_jaqmc(tmp_path / "run", energies())
    file = folder / "evaluation_stats.h5"
    whole = file.read_bytes()
    for content, sentence in [
        (b"", "is empty"), (b"step,energy\n1,2\n", "is not an HDF5 file"),
        (whole[:8], "is incomplete"),
        (bytes(4096), "being written, and without its header so far"),
        (whole[: len(whole) // 2], "is incomplete"),
    ]:  # fmt: skip
        file.write_bytes(content)
        assert sentence in refused(load, folder, "jaqmc")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda stream: stream.create_group("total_energy"), "is no array of real numbers"),
        (lambda stream: stream.create_dataset("total_energy", data=[1j] * 99), "no array of real"),
        (lambda stream: stream.create_dataset("total_energy", data=["a"] * 99), "no array of real"),
        (lambda stream: stream.create_dataset("total_energy", data=-2.9), "no array of real"),
        (lambda stream: stream.create_dataset("loss", data=[-2.9] * 99), "has no series total"),
        (lambda stream: stream.create_dataset("total_energy", data=[-2.9]), "has 1 energies"),
        (lambda stream: stream.create_dataset("total_energy", (10**12,), "f4", chunks=(1000,)),
         "has 1000000000000 values, at most"),
    ],
)  # fmt: skip
def test_hdf5_of_something_else(tmp_path, load, make, sentence):
    folder = write_jaqmc(tmp_path / "run", energies())
    with h5py.File(folder / "evaluation_stats.h5", "w") as stream:
        make(stream)
    assert sentence in refused(load, folder, "jaqmc")


def test_several_molecules_or_states_are_refused(tmp_path, load):
    folder = write_deepqmc(tmp_path / "run", energies()[:, None])
    with h5py.File(folder / "evaluation" / "result.h5", "r+") as stream:
        del stream["local_energy/mean"]
        stream["local_energy/mean"] = np.full((400, 1, 2), EXACT)
    assert "only runs of one molecule and one state" in refused(load, folder, "deepqmc")


WRITER = """\
import h5py, sys, time
with h5py.File({file!r}, "r+", libver="v110") as stream:
    if {swmr}:
        stream.swmr_mode = True
    print("open", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("end", ["writing", "killed"])
def test_a_file_that_is_written_in_swmr_mode_is_read(tmp_path, load, end):
    """As DeepQMC does; after a kill the file's flags still say that it is open."""
    folder = write_deepqmc(tmp_path / "run", energies()[:, None] + np.zeros((400, 2)))
    expected = load(folder, "deepqmc").energy
    writer = _start(folder / "evaluation" / "result.h5", swmr=True)
    try:
        if end == "killed":
            os.kill(writer.pid, signal.SIGKILL)
            writer.wait()
            with pytest.raises(OSError, match="already open for write"):
                h5py.File(folder / "evaluation" / "result.h5", "r")
        assert load(folder, "deepqmc").energy == expected
    finally:
        writer.kill()
        writer.wait()


def test_a_damaged_file_of_a_killed_writer_does_not_hang(tmp_path, load, monkeypatch):
    """HDF5 would try again for hours to read it in SWMR mode."""
    monkeypatch.setattr(files, "_PROBE_S", 5.0)
    folder = write_deepqmc(tmp_path / "run", energies()[:, None] + np.zeros((400, 2)))
    file = folder / "evaluation" / "result.h5"
    writer = _start(file, swmr=True)
    writer.kill()
    writer.wait()
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:300] + bytes(100) + whole[400:]):
        file.write_bytes(content)
        assert "is incomplete: being written, or cut off" in refused(load, folder, "deepqmc")


def test_a_locked_file_is_a_missing_resource(tmp_path, load):
    folder = write_jaqmc(tmp_path / "run", energies())
    writer = _start(folder / "evaluation_stats.h5", swmr=False)
    try:
        sentence = refused(load, folder, "jaqmc", ResourceError)
        assert "is locked by the process that writes it" in sentence
    finally:
        writer.kill()
        writer.wait()


def _start(file: Path, *, swmr: bool) -> subprocess.Popen:
    code = WRITER.format(file=str(file), swmr=swmr)
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"open\n"
    writer.stdout.close()
    return writer


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ferminet", "train_stats.csv"), ("jaqmc", "evaluation_stats.h5"),
        ("jaqmc", "evaluation_config.yaml"), ("deepqmc", "evaluation/result.h5"),
        ("deepqmc", "evaluation/.hydra/config.yaml"),
    ],
)  # fmt: skip
def test_files_altered_at_random(tmp_path, load, code, name):
    values = energies(40)
    write_ferminet(tmp_path, values)
    write_jaqmc(tmp_path, values)
    write_deepqmc(tmp_path, values[:, None] + np.zeros((40, 3)))
    whole, rng, count = (tmp_path / name).read_bytes(), random.Random(496), 0
    for number in range(100):
        (tmp_path / name).write_bytes(altered(rng, whole))
        try:
            load(tmp_path, code, averaged="inference")
        except FermiNetError as error:
            count += 1
            assert "\n" not in str(error), (number, str(error))
        except Exception as error:
            pytest.fail(f"file {number}: {error!r}")
    assert count > 25


def test_pickles_of_a_folder_are_never_loaded(tmp_path, load):
    folder = write_ferminet(tmp_path / "run", energies())
    bomb = f"import pathlib; pathlib.Path({str(tmp_path / 'hacked')!r}).touch()"
    pickled = f"c__builtin__\nexec\n(S{bomb!r}\ntR.".encode()
    for name in ("qmcjax_ckpt_000000.npz", "chkpt-0.pt"):
        (folder / name).write_bytes(pickled)
    load(folder, "ferminet")
    assert not (tmp_path / "hacked").exists()


def test_the_command_writes_a_row_or_nothing(tmp_path, capsys):
    folder, out = write_ferminet(tmp_path / "run", energies()), tmp_path / "row.parquet"
    words = ["import", str(folder), "--code", "ferminet", "--system", "He", "--out", str(out)]
    assert main(words) == 2
    assert main([*words, "--averaged", "training", "--seed", "1", "--tail", "1.5"]) == 2
    assert main([*words, "--averaged", "training", "--seed", "1", "--geometry", "r1"]) == 2
    assert main([*words[:-4], "--system", "H4", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 4
    assert "--geometry is needed for H4; " in error
    assert not out.exists()
    assert main([*words, "--averaged", "training", "--seed", "1"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("He, google-deepmind/ferminet: -2.90")
    assert "the last 50 of 400 energies of the training (12.5 %, " in printed
    assert "difference from exact: " in printed
    assert out.exists()


def test_a_system_without_literature_values_is_remarked(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("Q.yaml").write_text(
        "{name: Q, title: q, kind: molecule, unit: bohr, charge: 0, unpaired_electrons: 0,\n"
        " source: made up, atoms: [[H, [0, 0, 0]], [H, [0, 0, 1.4]]]}\n"
    )
    folder = write_ferminet(tmp_path / "run", energies())
    words = ["import", str(folder), "--code", "ferminet", "--system", "Q.yaml", "--seed", "1"]
    assert main([*words, "--averaged", "inference", "--out", "row.parquet"]) == 0
    assert "There is no literature value of Q" in capsys.readouterr().out


def test_the_command_knows_every_code():
    assert set(CODES) == set(READERS)
