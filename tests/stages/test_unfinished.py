"""Runs that still train have rows too, which say so; finished rows are left alone."""

from pathlib import Path

import numpy as np
import pytest

from ferminet.benchmark.records import read_rows, write_rows
from ferminet.benchmark.schema import row
from ferminet.cli.main import main
from ferminet.config import expand_runs, load_study
from ferminet.config.layout import CHECKPOINTS, ENERGY, path_of
from ferminet.errors import CorruptError
from ferminet.runtime.checkpoint import save_checkpoint
from ferminet.stages.unfinished import read_columns, unfinished_row

STUDY = """
seeds: [1]
systems: [He, Li]
train: {iterations: 1000}
"""
HEADER = "iteration,energy,variance,n_nonfinite,acceptance,exchange_acceptance,step_size"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY)
    return path


def write_history(run, n: int, tail: str = "") -> np.ndarray:
    directory = path_of(CHECKPOINTS, run)
    directory.mkdir(parents=True)
    energies = -2.9 - 1e-5 * np.arange(n) + 1e-3 * np.random.default_rng(1).normal(size=n)
    lines = [f"{i},{e!r},0.25,0.0,0.5,0.1,0.2" for i, e in enumerate(energies.tolist())]
    (directory / "history.csv").write_text("\n".join([HEADER, *lines]) + "\n" + tail)
    return energies


def test_the_row_is_the_end_of_the_history(study: Path) -> None:
    run = expand_runs(load_study(study))[0]
    energies = write_history(run, 400, tail="400,-2.9")  # a line that is still being written
    directory = path_of(CHECKPOINTS, run)
    header = {"config_hash": run.config_hash(), "wall_s": 720.0, "attempts": 2}
    save_checkpoint(directory, 400, {"x": np.zeros(2)}, header)
    found = unfinished_row(run)
    assert found is not None
    assert found.status == "unfinished"
    assert found.iterations == 400
    assert found.energy == pytest.approx(energies[-50:].mean())
    # Independent samples: the reblocked error is near the plain one, within its own 10 to 30 %.
    assert found.stderr == pytest.approx(1e-3 / np.sqrt(50), rel=0.6)
    # 720 s for 400 iterations, 600 to go.
    assert found.details.hours_left == pytest.approx(720 / 400 * 600 / 3600)
    assert found.details.settings == run.settings()
    assert found.details.trained_by[0]["git_commit"] == "unknown"  # the header does not hold it
    assert found.wall_s == 720.0


def test_a_run_of_fewer_than_128_iterations_has_no_row(study: Path) -> None:
    first, second = expand_runs(load_study(study))
    write_history(first, 127)
    assert unfinished_row(first) is None
    assert unfinished_row(second) is None


def test_collect_takes_finished_and_unfinished_rows(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = expand_runs(load_study(study))
    assert main(["collect", "--config", "mine.yaml", "--unfinished", "--out", "e.parquet"]) == 2
    assert "nothing of mine has been computed yet" in capsys.readouterr().err
    write_history(first, 400)
    finished = row(
        study="mine", system="Li", geometry="eq", method="vmc", ansatz="ferminet",
        config_hash=second.config_hash(), seed=1, energy=-7.4, stderr=1e-3, status="complete",
        n_electrons=3, unpaired_electrons=1,
    )  # fmt: skip
    write_rows(path_of(ENERGY, second), [finished])
    assert main(["collect", "--config", "mine.yaml", "--unfinished", "--out", "e.parquet"]) == 0
    assert "1 finished rows, 1 of unfinished runs, 0 calculations" in capsys.readouterr().out
    statuses = {one.system: one.status for one in read_rows("e.parquet")}
    assert statuses == {"He": "unfinished", "Li": "complete"}
    # Without the option nothing is passed over in silence.
    assert main(["collect", "--config", "mine.yaml", "--out", "f.parquet"]) == 2
    assert main(["collect", "--unfinished", "--out", "f.parquet"]) == 2
    assert not Path("f.parquet").exists()


def test_a_broken_history_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(HEADER + "\n0,-1.0,x,0,0.5,0.1,0.2\n")
    with pytest.raises(CorruptError, match="not a training history"):
        read_columns(path)
    path.write_text("")
    assert read_columns(path) is None
