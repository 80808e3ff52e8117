"""Device times of two wavefunctions, and which systems they were trained on for equally long."""

import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple

from ferminet.benchmark.comparison.arms import Arm, GeometryKey, labels
from ferminet.benchmark.schema import EnergyRow, Rows, distinct
from ferminet.errors import InputError

TARGET_ERROR = 1e-4  # standard error that device time is projected to, hartree
_TIME_TOLERANCE = 1.1  # largest factor between training times that count as equal


class Throughput(NamedTuple):
    """Times of a new wavefunction and of the control, medians over their seeds."""

    device: str  # the kind of device of both arms
    seconds: tuple[float, float]  # per iteration of training, new and control
    hours: tuple[float, float]  # device-hours of training and of evaluation to `TARGET_ERROR`
    ratio: float  # new over control, per iteration
    spread: float  # largest factor between a seed and its arm's median: a limit on the ratio


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


def equal_time(
    new: Arm, control: Arm, geometries: Iterable[GeometryKey]
) -> tuple[list[GeometryKey], list[str]]:
    """Choose the systems whose trainings took equal device time within 10 %, by their medians.

    Energies in the middle of a training are not compared instead: its learning rate and its
    averaged parameters belong to the planned end.

    Returns:
        The systems, and notes on the rule and on each system that it leaves out.

    Raises:
        InputError: there is no such system.
    """
    equal, unequal = [], []
    for key in geometries:
        rows = new.rows[key], control.rows[key]
        times = [_training_seconds(arm) for arm in rows]
        if len(distinct([*rows[0], *rows[1]], "device")) != 1 or not all(times):
            unequal.append(f"{labels([key])} (other device, or times not recorded)")
        elif max(times) > _TIME_TOLERANCE * min(times):
            iterations = (rows[0][0].iterations or 0) * times[1] / times[0]
            unequal.append(
                f"{labels([key])} ({times[0]:.3g} s against {times[1]:.3g} s; set its "
                f"train.iterations to about {float(f'{iterations:.2g}'):.0f})"
            )
        else:
            equal.append(key)
    left_out = f"Trained for unequal device time: {', '.join(unequal)}."
    if not equal:
        raise InputError(f"No system is left to compare at equal device time. {left_out}")
    rule = (
        "Compared at equal device time: systems whose median training times differ by at most "
        f"{100 * (_TIME_TOLERANCE - 1):.0f} %, by the energies of the finished trainings."
    )
    return equal, [rule, f"{left_out[:-1]}; left out."] if unequal else [rule]


def _training_seconds(rows: Rows) -> float:
    """Return the median device-seconds of training; 0 if no row records them."""
    times = [(row.details.devices or 1) * (row.details.train_wall_s or 0.0) for row in rows]
    return statistics.median(times)
