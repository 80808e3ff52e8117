"""Preliminary rows of runs that are still training, from their histories.

Energies in the tables come from evaluations with frozen parameters. Until there is one, the mean
over the end of the training history takes its place, with the status `unfinished`, which every
table and figure shows. Nothing here needs JAX, since `ferminet collect` and figures read it.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ferminet.benchmark.schema import EnergyRow, row
from ferminet.config import RunConfig, layout
from ferminet.errors import CorruptError
from ferminet.runtime.checkpoint import list_checkpoints, load_arrays
from ferminet.runtime.provenance import TRAINED_BY, training_segments
from ferminet.stages.columns import vmc_columns
from ferminet.vmc.statistics import training_trend

_COLUMNS = ("energy", "variance", "acceptance")
_SECONDS_PER_HOUR = 3600.0


def unfinished_row(run: RunConfig) -> EnergyRow | None:
    """Return the row of a run that has no evaluation yet; its files are only read.

    Returns:
        The mean energy over the last eighth of the iterations done, and its reblocked error;
        `details` has the trend of the training and the hours left at the present pace. None if
        fewer than 128 iterations are done.
    """
    path = layout.history_csv(run)
    history = read_columns(path)
    trend = training_trend(history) if history is not None else None
    if history is None or trend is None:
        return None
    header = _newest_header(path.parent)
    done, window = len(history["energy"]), trend["window"]
    details: dict[str, Any] = {
        "note": f"mean over the last {window} of {done} iterations of training",
        "settings": run.settings(),
        "configuration": run.model_dump(),
        "convergence": trend,
        "iterations_planned": run.train.iterations,
    }
    if header.get("iteration"):
        seconds = header["wall_s"] / header["iteration"] / len(run.trained_geometries)
        hours = seconds / _SECONDS_PER_HOUR
        details["hours_left"] = hours * max(run.train.iterations - done, 0)
        details["attempts"] = header["attempts"]
        details[TRAINED_BY] = training_segments(header)
    return row(
        **vmc_columns(run, "unknown"),
        energy=trend["energy"],
        stderr=trend["energy_error"],
        status="unfinished",
        iterations=done,
        variance=trend["variance"],
        acceptance=float(np.mean(history["acceptance"][-window:])),
        wall_s=header["wall_s"] / len(run.trained_geometries) if "wall_s" in header else None,
        details=details,
    )


def read_columns(path: Path) -> dict[str, np.ndarray] | None:
    """Return the columns of a history.csv that may still be growing, or None."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    names, *lines = text[: text.rfind("\n") + 1].splitlines() or [""]
    if not lines:
        return None
    try:
        values = np.array([[float(cell) for cell in line.split(",")] for line in lines])
        return {name: values[:, names.split(",").index(name)] for name in _COLUMNS}
    except (ValueError, IndexError) as error:
        raise CorruptError(
            f"{path} is not a training history ({error}); remove its folder to train again."
        ) from None


def _newest_header(directory: Path) -> dict[str, Any]:
    """Return iteration, time and attempts of the newest checkpoint that can be read."""
    for iteration, path in list_checkpoints(directory):
        try:
            return {**load_arrays(path)[1], "iteration": iteration}
        except CorruptError:
            continue
    return {}
