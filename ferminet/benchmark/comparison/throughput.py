"""The cost of two wavefunctions per iteration and per run on one kind of device."""

import math
import statistics
from typing import NamedTuple

from ferminet.benchmark.schema import EnergyRow, Rows, distinct

# The standard error that device time is projected to (hartree).
TARGET_ERROR = 1e-4


class Throughput(NamedTuple):
    """Times of a new wavefunction and of the control, medians over their seeds.

    Attributes:
        device: the kind of device of both arms.
        seconds: per iteration of training, new and control.
        hours: device-hours of training and of evaluation to `TARGET_ERROR`, new and control.
        ratio: new over control, per iteration.
        spread: largest factor between a seed and its arm's median, which limits what the ratio
            shows.
    """

    device: str
    seconds: tuple[float, float]
    hours: tuple[float, float]
    ratio: float
    spread: float


def compare_throughput(new: Rows, control: Rows) -> Throughput | None:
    """Compare times; None if they are missing or come from different kinds of devices."""
    devices = distinct([*new, *control], "device")
    times = [[t for row in rows if (t := _seconds(row))] for rows in (new, control)]
    if len(devices) != 1 or not all(times):
        return None
    medians = [[statistics.median(column) for column in zip(*arm, strict=True)] for arm in times]
    (new_step, new_run), (control_step, control_run) = medians
    factors = [t[0] / medians[i][0] for i, arm in enumerate(times) for t in arm]
    spread = max(math.exp(abs(math.log(factor))) for factor in factors)
    hours = (new_run / 3600, control_run / 3600)
    return Throughput(devices[0], (new_step, control_step), hours, new_step / control_step, spread)


def _seconds(row: EnergyRow) -> tuple[float, float] | None:
    """Return device-seconds of one iteration, and of a run whose energy has the target error."""
    training, total = row.details.train_wall_s, row.wall_s
    if not training or not total or not row.iterations or row.stderr is None:
        return None
    devices = row.details.devices or 1
    evaluation = (row.stderr / TARGET_ERROR) ** 2 * (total - training)
    return devices * training / row.iterations, devices * (training + evaluation)
