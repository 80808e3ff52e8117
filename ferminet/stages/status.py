"""The progress and pace of a run, read from the ends and headers of its files only.

Nothing here takes a lock, opens a file for writing or reads an array, so a run is not disturbed.
"""

import contextlib
import csv
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ferminet.config import RunConfig, layout
from ferminet.config.blocks import EVALUATION_BLOCK
from ferminet.runtime.checkpoint import list_checkpoints, read_header
from ferminet.runtime.run_lock import is_abandoned
from ferminet.stages.failures import Failure, read_failure
from ferminet.vmc.cost.predict import STAGES, RunCost, VmcStage

State = Literal["waiting", "pretrained", "training", "trained", "evaluating", "evaluated"]
_STAGES_DONE: dict[State, int] = {
    "waiting": 0, "pretrained": 1, "training": 1, "trained": 2, "evaluating": 2, "evaluated": 3,
}  # fmt: skip
# Iterations whose mean `ferminet status` shows, and the bytes of a history that hold them.
RECENT = 100
_TAIL_BYTES = 32_768
# A run counts as stopped if it writes nothing for this long and for three of its intervals.
_SILENCE_S = 600.0
_HISTORY_INTERVAL = 20  # iterations between two additions to the history
_EVALUATION_INTERVAL = 500  # iterations between two checkpoints of an evaluation


class RunStatus(NamedTuple):
    """The progress of a run."""

    state: State  # the last stage that has begun or finished
    running: bool  # whether an unfinished stage wrote something recently and is not abandoned
    iteration: int  # finished iterations of training
    evaluated: int  # saved iterations of the evaluation
    pace: dict[VmcStage, float]  # measured seconds per iteration
    energies: list[float]  # of the last iterations of training, hartree
    failure: Failure | None  # of an unfinished stage, unless another attempt has begun


class RemainingTime(NamedTuple):
    """The time that a run still takes."""

    seconds: dict[VmcStage, float | None]  # None without a pace and a prediction
    measured: bool  # whether a measured pace was used

    @property
    def total_s(self) -> float | None:
        """The seconds of all stages; None if one of them is unknown."""
        seconds = [value for value in self.seconds.values() if value is not None]
        return sum(seconds) if len(seconds) == len(self.seconds) else None


class _Evaluation(NamedTuple):
    """Saved iterations of an evaluation, their seconds, and when something was last written."""

    iterations: int = 0
    seconds: float = 0.0
    last_written: float = 0.0


def run_status(run: RunConfig) -> RunStatus:
    """Return the status of one run, read from its files."""
    training = run.training_run()
    directory = layout.path_of(layout.CHECKPOINTS, training)
    measured = layout.path_of(layout.EVALUATION_CHECKPOINTS, run)
    history = layout.history_csv(run)
    trained_file = layout.path_of(layout.TRAINED, run)
    trained = read_header(trained_file) or {}
    recent = _recent_energies(history)
    iteration = recent[-1][0] + 1 if recent else 0
    # Without the trained wavefunction, the history shows how far training has come.
    reached = trained.get("iterations", iteration or run.train.iterations)
    complete = reached >= run.train.iterations  # otherwise the run needs more training
    evaluation = _Evaluation()
    if complete and trained_file.exists():
        evaluation = _evaluation(measured, trained_file)
    partial = 0 < evaluation.iterations < run.evaluate.all_iterations
    state: State = "waiting"
    last_written = 0.0
    if complete and _is_whole(layout.path_of(layout.ENERGY, run)) and not partial:
        state = "evaluated"
    elif complete and trained_file.exists():
        last_written = evaluation.last_written
        state = "evaluating" if last_written else "trained"
    elif recent or (directory / ".lock").exists():
        state = "training"
        last_written = max(map(_written, (history, directory / ".lock")))
    elif layout.path_of(layout.PRETRAINED, training).exists():
        state = "pretrained"
    pace = _pace(trained, evaluation)
    if "train" not in pace and (seconds := _training_pace(directory, history, iteration)):
        pace["train"] = seconds / len(run.trained_geometries)
    # The folders of the stages' records of a failure.
    notes = (layout.path_of(layout.PRETRAIN_NOTES, training), directory, measured)
    failure = next(filter(None, map(read_failure, notes[_STAGES_DONE[state] :])), None)
    writes_to = measured if state == "evaluating" else directory
    running = failure is None and _is_active(state, writes_to, last_written, pace)
    energies = [energy for _, energy in recent]
    return RunStatus(state, running, iteration, evaluation.iterations, pace, energies, failure)


def _evaluation(directory: Path, trained: Path) -> _Evaluation:
    """Read the evaluations of the averaged and of the last parameters.

    Folders that are older than the parameters belong to the same run after shorter training.
    """
    since = _written(trained)
    newest = [_written(directory / ".lock")]
    iterations, seconds = 0, 0.0
    for folder in directory.glob("*-*"):
        for number, path in list_checkpoints(folder)[:1]:
            spent = _wall_s(path)
            if spent is not None and _written(path) >= since:
                iterations += EVALUATION_BLOCK * number
                seconds += spent
                newest.append(_written(path))
    last_written = max(newest)
    return _Evaluation(iterations, seconds, last_written if last_written >= since else 0.0)


def _pace(trained: Mapping[str, Any], evaluation: _Evaluation) -> dict[VmcStage, float]:
    """Return the measured seconds per iteration of the finished stages."""
    pace: dict[VmcStage, float] = {}
    if trained.get("wall_s") and trained.get("iterations"):
        pace["train"] = trained["wall_s"] / trained["iterations"]
    if evaluation.iterations and evaluation.seconds:
        pace["evaluate"] = evaluation.seconds / evaluation.iterations
    return pace


def _training_pace(directory: Path, history: Path, iteration: int) -> float | None:
    """Return the seconds per iteration of an unfinished training.

    They are measured between its last two checkpoints or, before there are two, from the start of
    the process (its lock file) to the last line of the history.
    """
    checkpoints = list_checkpoints(directory)
    timed = [(n, seconds) for n, path in checkpoints if (seconds := _wall_s(path)) is not None]
    if len(timed) > 1 and timed[0][1] > timed[1][1]:
        return (timed[0][1] - timed[1][1]) / (timed[0][0] - timed[1][0])
    if timed and timed[0][0]:
        return timed[0][1] / timed[0][0]
    if not iteration:
        return None
    began = max(map(_written, [directory / ".lock", *(path for _, path in checkpoints)]))
    spent = _written(history) - began
    return spent / iteration if spent > 0.0 else None


def _is_active(
    state: State, directory: Path, last_written: float, pace: Mapping[VmcStage, float]
) -> bool:
    """Return whether a process writes to a run: it is neither abandoned nor silent."""
    interval = _HISTORY_INTERVAL * pace.get("train", 0.0)
    if state == "evaluating":
        interval = _EVALUATION_INTERVAL * pace.get("evaluate", pace.get("train", 0.0))
    silent = time.time() - last_written >= max(_SILENCE_S, 3.0 * interval)
    return bool(last_written) and not silent and not is_abandoned(directory)


def remaining_time(run: RunConfig, status: RunStatus, cost: RunCost | None) -> RemainingTime:
    """Return the time that a run still takes, from its pace or else from the prediction.

    The ratio of measured to predicted training pace also scales the prediction of the evaluation.
    """
    progress: dict[VmcStage, tuple[int, int]] = {
        "pretrain": (0, run.pretrain.iterations),
        "train": (status.iteration, run.train.iterations),
        "evaluate": (status.evaluated, run.evaluate.all_iterations),
    }
    correction = 1.0
    if cost is not None and "train" in status.pace and cost.iteration_s["train"] > 0.0:
        correction = status.pace["train"] / cost.iteration_s["train"]
    seconds: dict[VmcStage, float | None] = dict.fromkeys(STAGES, 0.0)
    for stage in STAGES[_STAGES_DONE[status.state] :]:
        done, iterations = progress[stage]
        left = max(iterations - done, 0)
        factor = correction if stage == "evaluate" else 1.0
        if stage in status.pace:
            seconds[stage] = left * status.pace[stage]
        elif cost is None:
            seconds[stage] = None
        else:
            start = 0.0 if done else cost.start_s + factor * cost.before_s[stage]
            seconds[stage] = start + factor * left * cost.iteration_s[stage]
    return RemainingTime(seconds, bool(status.pace) and status.state != "evaluated")


def _is_whole(parquet: Path) -> bool:
    """Return whether a Parquet file exists and was not cut: its last bytes are a mark."""
    try:
        return parquet.read_bytes().endswith(b"PAR1")
    except OSError:
        return False


def _wall_s(checkpoint: Path) -> float | None:
    """Return the seconds of all attempts up to a checkpoint, or None if it has none."""
    seconds = (read_header(checkpoint) or {}).get("wall_s")
    return float(seconds) if isinstance(seconds, int | float) else None


def _written(path: Path) -> float:
    """Return when a file was last written, seconds since the epoch; 0 if it is missing."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _recent_energies(path: Path) -> list[tuple[int, float]]:
    """Return the last iterations of a training history with their energies, oldest first."""
    try:
        with open(path, "rb") as stream:
            header = stream.readline(_TAIL_BYTES)
            size = stream.seek(0, os.SEEK_END)
            # The first line of the tail may be cut; it is older than those that are returned.
            stream.seek(max(len(header), size - _TAIL_BYTES))
            tail = stream.read(_TAIL_BYTES)
    except OSError:
        return []
    # A line without its end is still being written.
    whole = (header + tail[: tail.rfind(b"\n") + 1]).decode(errors="replace").splitlines()
    energies = []
    for row in csv.DictReader([*whole[:1], *whole[1:][-RECENT:]]):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            energies.append((int(row["iteration"]), float(row["energy"])))
    return energies
