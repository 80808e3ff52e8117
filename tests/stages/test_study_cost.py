"""The cost of a study and what remains of it, without JAX and while its runs continue."""

import json
import math
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ferminet.cli.main import main
from ferminet.config import RunConfig, expand_runs, layout, load_study
from ferminet.errors import InputError
from ferminet.runtime.checkpoint import checkpoint_path, read_header, save_arrays, save_checkpoint
from ferminet.runtime.run_lock import run_lock
from ferminet.stages.status import remaining_time, run_status
from ferminet.stages.study_cost import study_cost, summary
from ferminet.vmc.cost.predict import (
    REPORTED,
    RunCost,
    default_device,
    has_paper_settings,
    predict_runs,
)

ROOT = Path(__file__).parents[2]
STUDY = """\
seeds: [1, 2]
systems: [He]
train: {iterations: 4000, checkpoint_interval: 1000}
evaluate: {iterations: 1000}
baselines: [{method: ccsd_t, basis: cc-pvdz}]
"""
PLUGIN = "from ferminet.ansatz.hydrogenic import build\n"
BROKEN = "def build(spec):\n    raise ValueError('no such layer')\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FERMINET_DEVICE", raising=False)
    return tmp_path


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    """What a command prints as JSON, of a CPU's core."""
    assert main([*arguments, "--config", "study.yaml", "--device", "cpu-core", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def predict_run(run: RunConfig) -> RunCost | None:
    return predict_runs([run])[0]


def runs_of(folder: Path) -> list[RunConfig]:
    return expand_runs(load_study(folder / "study.yaml"))


def write_history(run: RunConfig, iterations: int) -> Path:
    """The training's history in its checkpoint folder, written now."""
    directory = layout.path_of(layout.CHECKPOINTS, run)
    directory.mkdir(parents=True, exist_ok=True)
    rows = [f"{index},{-2.9 + (-1) ** index * 1e-3},0.1" for index in range(iterations)]
    (directory / "history.csv").write_text("\n".join(["iteration,energy,variance", *rows]) + "\n")
    return directory


def half_finished(run: RunConfig) -> Path:
    """Checkpoints at 1000 and 2000 with half a second per iteration, a history up to 2500."""
    directory = write_history(run, 2500)
    for iteration, wall_s in ((1000, 560.0), (2000, 1060.0)):
        header = {"config_hash": run.config_hash(), "wall_s": wall_s}
        save_checkpoint(directory, iteration, {"x": np.zeros(3)}, header)
    return directory


def test_a_half_finished_run_is_predicted_by_its_own_pace(folder: Path, capsys) -> None:
    first, _ = runs_of(folder)
    half_finished(first)
    found = ask(capsys, "status")
    begun, waiting = found["runs"]
    assert (begun["state"], begun["running"], begun["iteration"]) == ("training", True, 2500)
    assert begun["seconds_per_iteration"] == pytest.approx(0.5)  # not 1060 / 2000: no compilation
    cost = predict_run(first)
    assert cost is not None
    pace = 0.5 / cost.iteration_s["train"]
    evaluation = cost.iterations["evaluate"] * cost.iteration_s["evaluate"]
    evaluation = cost.start_s + pace * (cost.before_s["evaluate"] + evaluation)
    assert begun["seconds_left"] == pytest.approx(1500 * 0.5 + evaluation)
    assert (begun["left_is"], waiting["left_is"]) == ("measured", "predicted")
    assert waiting["seconds_left"] == pytest.approx(cost.total_s)
    totals = found["totals"]
    assert (totals["done"], totals["running"], totals["waiting"]) == (0, 1, 1)
    hours = (begun["seconds_left"] + waiting["seconds_left"]) / 3600
    assert totals["device_hours_left"] == pytest.approx(hours)
    assert ask(capsys, "cost")["totals"]["device_hours_left"] == pytest.approx(hours)
    assert main(["status", "--config", "study.yaml", "--device", "cpu-core"]) == 0
    printed = capsys.readouterr().out
    assert "training, running" in printed and "0 runs done, 1 running, 1 waiting" in printed


def test_before_the_second_checkpoint_the_pace_counts_from_the_lock_file(folder: Path) -> None:
    first, _ = runs_of(folder)
    directory = write_history(first, 100)
    save_checkpoint(directory, 0, {}, {"config_hash": first.config_hash(), "wall_s": 9.0})
    (directory / ".lock").touch()
    now = time.time()
    os.utime(directory / ".lock", (now - 200, now - 200))
    os.utime(checkpoint_path(directory, 0), (now - 180, now - 180))
    os.utime(directory / "history.csv", (now, now))
    assert run_status(first).pace["train"] == pytest.approx(1.8)


def test_a_run_that_fell_silent_is_not_running(folder: Path) -> None:
    first, _ = runs_of(folder)
    directory = half_finished(first)
    assert run_status(first).running
    hour_ago = time.time() - 3600
    for path in directory.iterdir():
        os.utime(path, (hour_ago, hour_ago))
    status = run_status(first)
    assert (status.state, status.running) == ("training", False)


def test_a_run_that_was_stopped_is_not_running(folder: Path) -> None:
    first, _ = runs_of(folder)
    directory = half_finished(first)
    with run_lock(directory):
        assert run_status(first).running
    assert not run_status(first).running
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for host, running in ((socket.gethostname(), False), ("elsewhere", True)):
        owner = {"host": host, "pid": gone.pid, "job": "", "counter": 3}
        (directory / ".owner").write_text(json.dumps(owner))
        assert run_status(first).running == running


def test_cost_and_status_change_no_file(folder: Path, capsys) -> None:
    first, _ = runs_of(folder)
    half_finished(first)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}
    ask(capsys, "status")
    ask(capsys, "cost")
    after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}
    assert after == before


def finish(run: RunConfig, *, iterations: int = 4000) -> dict[str, Path]:
    fields = layout.wildcards(run)
    files = {
        name: Path(template.format(**fields))
        for name, template in (
            ("pretrained", layout.PRETRAINED),
            ("trained", layout.TRAINED),
            ("evaluated", layout.ENERGY),
        )
    }
    save_arrays(files["pretrained"], {}, {})
    save_arrays(files["trained"], {}, {"iterations": iterations, "wall_s": 0.25 * iterations})
    write_history(run, iterations)
    return files


def test_finished_work_does_not_remain(folder: Path, capsys) -> None:
    first, second = runs_of(folder)
    files = finish(first)
    status = run_status(first)
    assert (status.state, status.running, status.pace["train"]) == ("trained", False, 0.25)
    cost = predict_run(first)
    assert cost is not None
    left = remaining_time(first, status, cost)
    assert left.seconds["pretrain"] == left.seconds["train"] == 0.0
    files["evaluated"].write_text("a damaged row")
    assert run_status(first).state == "trained"
    files["evaluated"].write_text("PAR1 a row PAR1")
    (baseline,) = ask(capsys, "cost")["baselines"]
    fields = {key: baseline[key] for key in ("system", "geometry", "method", "reference", "basis")}
    done = Path(layout.BASELINE.format(study="study", **fields))
    done.parent.mkdir(parents=True)
    done.write_text("a row")
    found = ask(capsys, "cost")
    totals = found["totals"]
    whole = predict_run(second)
    assert whole is not None
    assert totals["device_hours"] == pytest.approx(2 * whole.total_s / 3600)
    assert totals["device_hours_left"] == pytest.approx(whole.total_s / 3600)
    assert (totals["runs"], totals["runs_left"], totals["baselines_left"]) == (2, 1, 0)
    assert totals["core_hours"] > totals["core_hours_left"] == 0.0
    assert found["runs"][0]["hours_left"] == pytest.approx(totals["device_hours_left"])


def test_a_longer_training_remains_again(folder: Path) -> None:
    first, _ = runs_of(folder)
    files = finish(first, iterations=1000)
    files["evaluated"].write_text("PAR1 a row PAR1")
    status = run_status(first)
    assert status.state == "training"
    files["trained"].unlink()  # by a job that failed
    assert run_status(first).state == "training"
    train = remaining_time(first, status, predict_run(first)).seconds["train"]
    assert train == pytest.approx(3000 * 0.25)


def test_a_half_finished_evaluation_counts_the_saved_iterations(folder: Path) -> None:
    first, _ = runs_of(folder)
    finish(first)
    directory = layout.path_of(layout.EVALUATION_CHECKPOINTS, first)
    # Of shorter training, and so of other parameters.
    save_checkpoint(directory / "average-00000000", 40, {}, {"wall_s": 1.0})
    hour_ago = time.time() - 3600
    old = checkpoint_path(directory / "average-00000000", 40)
    os.utime(old, (hour_ago, hour_ago))
    save_checkpoint(directory / "average-12345678", 20, {}, {"wall_s": 100.0})
    status = run_status(first)
    assert (status.state, status.evaluated, status.running) == ("evaluating", 500, True)
    left = remaining_time(first, status, predict_run(first)).seconds["evaluate"]
    # 1,000 iterations of the averaged and a tenth of the last parameters, at 0.2 s.
    assert left == pytest.approx(600 * 0.2)


def test_a_longer_evaluation_remains_again(folder: Path) -> None:
    first, _ = runs_of(folder)
    finish(first)["evaluated"].write_text("PAR1 a row PAR1")
    directory = layout.path_of(layout.EVALUATION_CHECKPOINTS, first)
    for name, number in (("average", 40), ("last", 4)):  # 1,000 iterations and a tenth
        save_checkpoint(directory / f"{name}-12345678", number, {}, {"wall_s": 5.0 * number})
    status = run_status(first)
    assert (status.state, status.running) == ("evaluated", False)
    text = (folder / "study.yaml").read_text()
    assert text.count("iterations: 1000") == 1
    (folder / "study.yaml").write_text(text.replace("iterations: 1000", "iterations: 3000"))
    first, _ = runs_of(folder)
    status = run_status(first)
    assert (status.state, status.evaluated) == ("evaluating", 1100)
    left = remaining_time(first, status, predict_run(first)).seconds["evaluate"]
    assert left == pytest.approx(2200 * 0.2)
    study = load_study("study.yaml")
    assert summary(study_cost(study, "cpu-core")).startswith("2 of 2 runs")


def test_a_plugin_is_predicted(folder: Path, capsys) -> None:
    (folder / "mine.py").write_text(PLUGIN)
    study = STUDY.replace("seeds", "ansatz: {ferminet: {}, mine: {build: 'mine.py:build'}}\nseeds")
    (folder / "study.yaml").write_text(study)
    found = ask(capsys, "cost")
    network, plugin = found["runs"]
    assert network["hours"] > plugin["hours"] > 0 and plugin["memory_gb"] > 0
    assert found["totals"]["runs_not_predicted"] == 0
    assert found["totals"]["device_hours"] == pytest.approx(network["hours"] + plugin["hours"])


def test_a_wavefunction_that_cannot_be_traced_is_not_predicted(folder: Path, capsys) -> None:
    (folder / "mine.py").write_text(BROKEN)
    study = STUDY.replace("seeds", "ansatz: {ferminet: {}, mine: {build: 'mine.py:build'}}\nseeds")
    (folder / "study.yaml").write_text(study)
    found = ask(capsys, "cost")
    ours, plugin = found["runs"]
    assert ours["hours"] > 0 and plugin["hours"] is None and plugin["memory_gb"] is None
    assert found["totals"]["runs_not_predicted"] == 2
    assert found["totals"]["device_hours"] == pytest.approx(ours["hours"])
    assert main(["cost", "--config", "study.yaml"]) == 0
    printed = capsys.readouterr().out
    assert "mine " in printed and "not predicted" in printed
    assert "without 2 runs that are not predicted (their programs cannot be traced)" in printed
    # Its own pace is measured all the same; only what has not begun is unknown.
    run = next(one for one in runs_of(folder) if one.ansatz_name == "mine")
    half_finished(run)
    left = remaining_time(run, run_status(run), predict_run(run))
    assert left.seconds == {"pretrain": 0.0, "train": 750.0, "evaluate": None}
    assert left.total_s is None
    (folder / "study.yaml").write_text(study.replace("ferminet: {}, ", ""))
    assert main(["cost", "--config", "study.yaml"]) == 0
    assert "2 runs, 6 jobs: not predicted" in capsys.readouterr().out
    assert main(["status", "--config", "study.yaml"]) == 0
    assert "0 failed; the time left is not predicted." in capsys.readouterr().out
    assert ask(capsys, "status")["totals"]["device_hours_left"] is None
    (folder / "study.yaml").write_text(study)
    assert main(["status", "--config", "study.yaml"]) == 0
    assert "without 2 runs not predicted." in capsys.readouterr().out


def test_the_papers_study_agrees_with_reported_hours(in_root: Path, capsys) -> None:
    arguments = ["cost", "--config", "workflow/config/paper.yaml", "--device", "a100"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["unit"] == "A100-hours, projected, unmeasured"
    assert found["totals"]["vmc_jobs"] == 3 * 93 and found["totals"]["baselines"] == 283
    rows = {row["system"]: row for row in found["published"]}
    assert set(rows) == {one.system for one in REPORTED}
    for name, row in rows.items():
        assert row["geometries"] == row["published_geometries"]
        if row["rate_fitted_to_it"] and row["determinants"] == 16:
            assert 1 / 1.5 < row["predicted_hours"] / row["published_hours"] < 1.5, name
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "projected, unmeasured" in printed and "163 A100-hours" in printed


def test_only_the_papers_settings_are_compared(in_root: Path) -> None:
    paper = load_study("workflow/config/paper.yaml")
    run = next(one for one in expand_runs(paper) if one.system == "H10")
    assert has_paper_settings(run)
    fewer = run.sampler.model_copy(update={"walkers": 2048})
    assert not has_paper_settings(run.model_copy(update={"sampler": fewer}))


def test_the_default_device_is_the_environments_or_the_machines(
    folder: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr("ferminet.vmc.cost.predict._GPU_FILE", folder / "nvidia0")
    assert default_device() == "cpu-core"
    (folder / "nvidia0").touch()
    assert default_device() == "a100"
    monkeypatch.setenv("FERMINET_DEVICE", "cpu-core")
    assert default_device() == "cpu-core"
    monkeypatch.setenv("FERMINET_DEVICE", "h100")
    with pytest.raises(InputError, match="set it to cpu-core or a100"):
        default_device()
    assert main(["cost", "--config", "study.yaml"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_header_is_read_without_its_arrays(tmp_path: Path) -> None:
    save_arrays(tmp_path / "one", {"x": np.zeros(9)}, {"wall_s": 2.0})
    assert read_header(tmp_path / "one") == {"wall_s": 2.0}
    assert read_header(tmp_path / "none") is None
    (tmp_path / "text").write_text("done")
    assert read_header(tmp_path / "text") is None


def test_cost_imports_neither_jax_nor_pandas(in_root: Path) -> None:
    code = (
        "import sys, ferminet.cli.main as c\n"
        "c.main(['cost', '--config', 'workflow/config/smoke.yaml'])\n"
        "print([m for m in ('jax', 'pandas', 'pyscf', 'scipy', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.rstrip().endswith("[]"), done.stdout[-300:] + done.stderr[-300:]
    assert math.isfinite(float(done.stdout.split("jobs: about ")[1].split()[0]))
