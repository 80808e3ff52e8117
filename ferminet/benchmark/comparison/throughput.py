"""What two wavefunctions cost per iteration and per run, on the same kind of device only."""

import math
import statistics
from dataclasses import dataclass

from ferminet.benchmark.schema import EnergyRow, Rows, distinct

# To which standard error device time is projected (hartree).
TARGET_ERROR = 1e-4


@dataclass(frozen=True)
class Throughput:
    """Times of a new wavefunction against a baseline's, medians over their seeds.

    Attributes:
        device: both arms' kind of device.
        seconds: per iteration of training, new and baseline.
        hours: device-hours of training, and of evaluation until `TARGET_ERROR`, new and baseline.
        ratio: new over baseline, per iteration.
        spread: largest factor between a seed and its arm's median, which bounds what ratio means.
    """

    device: str
    seconds: tuple[float, float]
    hours: tuple[float, float]
    ratio: float
    spread: float


def compare_throughput(new: Rows, baseline: Rows) -> Throughput | None:
    """Compares times; None if they are not known or come from different kinds of devices."""
    devices = distinct([*new, *baseline], "device")
    times = [[one for row in rows if (one := _seconds(row))] for rows in (new, baseline)]
    if len(devices) != 1 or not all(times):
        return None
    per_iteration = [statistics.median(one[0] for one in arm) for arm in times]
    hours = [statistics.median(one[1] for one in arm) / 3600 for arm in times]
    spread = max(
        math.exp(abs(math.log(one[0] / middle)))
        for arm, middle in zip(times, per_iteration, strict=True)
        for one in arm
    )
    return Throughput(
        devices[0],
        (per_iteration[0], per_iteration[1]),
        (hours[0], hours[1]),
        per_iteration[0] / per_iteration[1],
        spread,
    )


def _seconds(row: EnergyRow) -> tuple[float, float] | None:
    """Device-seconds of one iteration, and of a run whose energy has the error aimed at."""
    training, total = row.details.train_wall_s, row.wall_s
    if not training or not total or not row.iterations or row.stderr is None:
        return None
    devices = row.details.devices or 1
    longer = (row.stderr / TARGET_ERROR) ** 2
    return (
        devices * training / row.iterations,
        devices * (training + longer * (total - training)),
    )
