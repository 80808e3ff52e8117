"""How far a run is and how fast it goes, from the ends and headers of its files only.

Nothing here takes a lock, opens a file for writing or reads an array: a run that is being looked at
does not notice. The pace of a training is the difference of the wall times in the headers of its
last two checkpoints; before there are two, the time from the start of the process (its lock file)
to the last line of the history.
"""

import csv
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ferminet.config import RunConfig, layout
from ferminet.config.blocks import EVALUATION_BLOCK
from ferminet.runtime.checkpoint import list_checkpoints, read_header
from ferminet.runtime.run_lock import is_abandoned
from ferminet.stages.failures import Failure, read_failure
from ferminet.vmc.cost.predict import STAGES, RunCost, VmcStage

State = Literal["waiting", "pretrained", "training", "trained", "evaluating", "evaluated"]

# Iterations whose mean `status` shows, and the bytes at the end of a history that hold them.
RECENT = 100
_TAIL_BYTES = 32_768
# A run that has written nothing for this long, and for three times what lies between two of its
# writings, is not running.
_SILENCE_S = 600.0
_HISTORY_INTERVAL = 20  # iterations between two writings of the history
_EVALUATION_INTERVAL = 500  # and between two checkpoints of an evaluation


@dataclass(frozen=True)
class RunStatus:
    """What is known of a run.

    Attributes:
        state: the last stage that is finished or has begun.
        running: something was written a short while ago by a stage that is not finished, and the
            process has not gone.
        iteration: of training.
        evaluated: iterations of the evaluation that are saved.
        pace: measured seconds per iteration of a stage, where there is one.
        recent: the last rows of the training's history.
        failure: what the last attempt at an unfinished stage ended with, if no other has begun.
    """

    state: State
    running: bool
    iteration: int
    evaluated: int
    pace: dict[VmcStage, float]
    recent: list[dict[str, str]]
    failure: Failure | None


@dataclass(frozen=True)
class RemainingTime:
    """Seconds that a run still takes, by stage; None where neither a pace nor a prediction is.

    Attributes:
        seconds: of each stage.
        measured: the pace of this very run is in it.
    """

    seconds: dict[VmcStage, float | None]
    measured: bool

    @property
    def total_s(self) -> float | None:
        """Of all stages; None if one of them is not known."""
        known = [value for value in self.seconds.values() if value is not None]
        return sum(known) if len(known) == len(self.seconds) else None


def run_status(run: RunConfig) -> RunStatus:
    """Looks at the files of one run."""
    fields = layout.run_fields(run)
    directory = Path(layout.CHECKPOINTS.format(**fields))
    files = {
        "pretrained": Path(layout.PRETRAINED.format(**fields)),
        "trained": Path(layout.TRAINED.format(**fields)),
        "evaluated": Path(layout.ENERGY.format(**fields)),
    }
    done = [name for name, file in files.items() if file.exists()]
    trained = read_header(files["trained"]) or {}
    recent = last_rows(directory / "history.csv")
    iteration = int(recent[-1]["iteration"]) + 1 if recent else 0
    # Where the trained wavefunction is missing, the history tells how far its training came.
    reached = trained.get("iterations", iteration or run.train.iterations)
    if reached < run.train.iterations:
        done = [name for name in done if name == "pretrained"]  # it is to be trained further
    pace: dict[VmcStage, float] = {}
    state: State = "waiting"
    newest, interval = 0.0, _HISTORY_INTERVAL
    evaluated, seconds = 0, 0.0
    if "trained" in done:
        evaluated, seconds, newest = _evaluation(directory / "evaluation", files["trained"])
        if 0 < evaluated < run.evaluate.all_iterations:
            done = [name for name in done if name != "evaluated"]  # it is to go on
    if "evaluated" in done:
        state, newest = "evaluated", 0.0
    elif "trained" in done:
        state, interval = ("evaluating" if newest else "trained"), _EVALUATION_INTERVAL
        if evaluated and seconds:
            pace["evaluate"] = seconds / evaluated
    elif recent or (directory / ".lock").exists():
        state = "training"
        newest = max(map(_written, (directory / "history.csv", directory / ".lock")))
    elif "pretrained" in done:
        state = "pretrained"
    measured = _training_pace(directory, iteration)
    if trained.get("wall_s") and trained.get("iterations"):
        measured = trained["wall_s"] / trained["iterations"]
    if measured:
        pace["train"] = measured
    between = interval * pace.get("evaluate" if evaluated else "train", 0.0)
    running = bool(newest) and time.time() - newest < max(_SILENCE_S, 3.0 * between)
    failure = _failure(fields, done)
    at_work = directory / "evaluation" if "trained" in done else directory
    running = running and failure is None and not is_abandoned(at_work)
    return RunStatus(state, running, iteration, evaluated, pace, recent, failure)


def _failure(fields: dict[str, str], done: list[str]) -> Failure | None:
    """Of the first unfinished stage that has one."""
    places = {
        "pretrained": layout.PRETRAIN_NOTES,
        "trained": layout.CHECKPOINTS,
        "evaluated": layout.EVALUATION_CHECKPOINTS,
    }
    found = (
        read_failure(Path(place.format(**fields)))
        for name, place in places.items()
        if name not in done
    )
    return next((failure for failure in found if failure is not None), None)


def remaining_time(run: RunConfig, status: RunStatus, cost: RunCost | None) -> RemainingTime:
    """What a run still takes: by its own pace where it has one, else as predicted.

    A training's pace corrects the prediction of what follows it, by the same factor.

    Args:
        run: its configuration.
        status: how far it is.
        cost: the prediction, None where there is none.
    """
    finished = _finished(status.state)
    seconds: dict[VmcStage, float | None] = dict.fromkeys(STAGES, 0.0)
    correction = 1.0
    if cost is not None and "train" in status.pace and cost.iteration_s["train"] > 0.0:
        correction = status.pace["train"] / cost.iteration_s["train"]
    if "pretrain" not in finished:
        seconds["pretrain"] = None if cost is None else cost.seconds("pretrain")
    if "train" not in finished:
        left = max(run.train.iterations - status.iteration, 0)
        seconds["train"] = _stage_left("train", left, bool(status.iteration), status, cost, 1.0)
    if "evaluate" not in finished:
        left = max(run.evaluate.all_iterations - status.evaluated, 0)
        begun = bool(status.evaluated)
        seconds["evaluate"] = _stage_left("evaluate", left, begun, status, cost, correction)
    measured = bool(status.pace) and status.state != "evaluated"
    return RemainingTime(seconds, measured)


def _finished(state: State) -> tuple[VmcStage, ...]:
    done = {
        "waiting": 0, "pretrained": 1, "training": 1, "trained": 2, "evaluating": 2, "evaluated": 3,
    }  # fmt: skip
    return STAGES[: done[state]]


def _stage_left(
    stage: VmcStage,
    iterations: int,
    begun: bool,
    status: RunStatus,
    cost: RunCost | None,
    correction: float,
) -> float | None:
    """Seconds of a stage's iterations, and of its start if that is not behind it."""
    if stage in status.pace:
        return iterations * status.pace[stage]
    if cost is None:
        return None
    before = 0.0 if begun else cost.start_s + correction * cost.before_s[stage]
    return before + correction * iterations * cost.iteration_s[stage]


def _training_pace(directory: Path, iteration: int) -> float | None:
    """Seconds per iteration of a training that goes on."""
    saved = [(number, _wall_s(path)) for number, path in list_checkpoints(directory)]
    known = [(number, seconds) for number, seconds in saved if seconds is not None]
    if len(known) > 1:
        (after, later), (before, earlier) = known[:2]
        if later > earlier:
            return (later - earlier) / (after - before)
    if known and known[0][0]:
        return known[0][1] / known[0][0]
    if not iteration:
        return None
    starts = [directory / ".lock", *(path for _, path in list_checkpoints(directory))]
    began = max(map(_written, starts))
    spent = _written(directory / "history.csv") - began
    return spent / iteration if spent > 0.0 else None


def _evaluation(directory: Path, trained: Path) -> tuple[int, float, float]:
    """Saved iterations of an evaluation, their seconds, and when something was last written.

    There is a folder for the averaged and for the last parameters, and those of evaluations of the
    same run after shorter training, which are older than the parameters.
    """
    since, iterations, seconds, newest = _written(trained), 0, 0.0, 0.0
    lock = _written(directory / ".lock")
    if lock >= since:
        newest = lock
    for folder in directory.glob("*-*") if directory.is_dir() else ():
        for number, path in list_checkpoints(folder)[:1]:
            spent = _wall_s(path)
            if spent is not None and _written(path) >= since:
                iterations += EVALUATION_BLOCK * number
                seconds += spent
                newest = max(newest, _written(path))
    return iterations, seconds, newest


def _wall_s(checkpoint: Path) -> float | None:
    """Seconds until a checkpoint, of all attempts; None if it does not tell."""
    found = (read_header(checkpoint) or {}).get("wall_s")
    return float(found) if isinstance(found, int | float) else None


def _written(path: Path) -> float:
    """When a file was last written, seconds since the epoch; 0 if there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def last_rows(path: Path) -> list[dict[str, str]]:
    """The last whole rows of a training history, none if there is no such file."""
    try:
        with open(path, "rb") as stream:
            header = stream.readline(_TAIL_BYTES).decode(errors="replace")
            start = stream.tell()
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(start, size - _TAIL_BYTES))
            if size - _TAIL_BYTES > start:
                stream.readline()  # the first line of the tail is cut
            text = stream.read(_TAIL_BYTES).decode(errors="replace")
    except OSError:
        return []
    # A line without its end is still being written.
    lines = text[: text.rfind("\n") + 1].splitlines()[-RECENT:]
    return [row for row in csv.DictReader([header, *lines]) if _are_numbers(row)]


def _are_numbers(row: dict[str, str]) -> bool:
    try:
        tuple(map(float, row.values()))
        return int(row["iteration"]) >= 0
    except (KeyError, TypeError, ValueError):
        return False
