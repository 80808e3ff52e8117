"""The cost of a whole study and what remains of it: runs on a device, calculations on cores.

It follows from the configuration and from which files exist. Nothing heavy is imported, so that the
workflow can print it before it starts.
"""

from collections.abc import Iterable
from typing import NamedTuple

from ferminet.chemistry.cost import Cost
from ferminet.config import BaselineConfig, RunConfig, Study, expand_baselines, expand_runs, layout
from ferminet.methods import DeviceName
from ferminet.stages.status import RemainingTime, RunStatus, remaining_time, run_status
from ferminet.vmc.cost.predict import (
    REPORTED,
    Device,
    ReportedHours,
    RunCost,
    device_of,
    has_paper_settings,
    predict_runs,
)

HOUR = 3600.0


class RunEstimate(NamedTuple):
    """A run with its prediction (None if there is none), its status, and its remaining time."""

    run: RunConfig
    cost: RunCost | None
    status: RunStatus
    remaining: RemainingTime


class BaselineEstimate(NamedTuple):
    """A conventional calculation with its prediction."""

    baseline: BaselineConfig
    cost: Cost
    done: bool


class StudyCost:
    """All jobs of a study that take time, and their totals.

    Attributes:
        device: the device that runs are predicted for.
        runs: every run.
        baselines: every conventional calculation.
        device_hours: of all predicted runs, on one device; `device_hours_left` remain.
        runs_left: number of unfinished runs; the remaining time of `unpredicted` is unknown.
        core_hours: of all conventional calculations, on one core; `core_hours_left` remain.
        baselines_left: number of conventional calculations that remain.
    """

    def __init__(
        self, device: Device, runs: list[RunEstimate], baselines: list[BaselineEstimate]
    ) -> None:
        self.device, self.runs, self.baselines = device, runs, baselines
        self.device_hours = sum(run.cost.total_s for run in runs if run.cost) / HOUR
        self.device_hours_left = sum(run.remaining.total_s or 0.0 for run in runs) / HOUR
        self.runs_left = sum(run.status.state != "evaluated" for run in runs)
        self.unpredicted = sum(run.remaining.total_s is None for run in runs)
        unfinished = [baseline for baseline in baselines if not baseline.done]
        self.core_hours = sum(baseline.cost.seconds for baseline in baselines) / HOUR
        self.core_hours_left = sum(baseline.cost.seconds for baseline in unfinished) / HOUR
        self.baselines_left = len(unfinished)


def study_cost(study: Study, device: DeviceName) -> StudyCost:
    """Predict all runs and conventional calculations of a study, and read their progress."""
    runs = expand_runs(study)
    estimates = []
    for run, cost in zip(runs, predict_runs(runs, device), strict=True):
        status = run_status(run)
        estimates.append(RunEstimate(run, cost, status, remaining_time(run, status, cost)))
    baselines = [
        BaselineEstimate(
            baseline,
            baseline.cost(),
            layout.path_of(layout.BASELINE, baseline).exists(),
        )
        for baseline in expand_baselines(study)
    ]
    return StudyCost(device_of(device), estimates, baselines)


def summary(cost: StudyCost) -> str:
    """Return one line about what remains, for the start of a workflow."""
    parts = []
    if cost.runs_left:
        text = f"{cost.runs_left} of {len(cost.runs)} runs"
        if cost.unpredicted < cost.runs_left:
            text += f", about {cost.device_hours_left:.3g} {cost.device.unit}"
        if cost.unpredicted:
            text += f" ({cost.unpredicted} not predicted)"
        parts.append(text)
    if cost.baselines_left:
        parts.append(
            f"{cost.baselines_left} of {len(cost.baselines)} conventional calculations, about "
            f"{cost.core_hours_left:.3g} core-hours"
        )
    return "; ".join(parts) or "nothing that takes time"


def group_runs(estimates: Iterable[RunEstimate]) -> list[list[RunEstimate]]:
    """Return the runs of each system and wavefunction, in the study's order."""
    groups: dict[tuple[str, str], list[RunEstimate]] = {}
    for estimate in estimates:
        key = estimate.run.system, estimate.run.ansatz_name
        groups.setdefault(key, []).append(estimate)
    return list(groups.values())


def compare_reported(cost: StudyCost) -> list[tuple[ReportedHours, float, int]]:
    """Return reported and predicted hours of the same systems, and their numbers of geometries.

    Only runs with the paper's settings count, with one seed per geometry.
    """
    rows = []
    for reported in REPORTED:
        costs = {
            estimate.run.geometry: estimate.cost
            for estimate in cost.runs
            if estimate.run.system == reported.system and has_paper_settings(estimate.run)
        }
        if costs:
            hours = sum(cost.total_s for cost in costs.values() if cost) / HOUR
            rows.append((reported, hours, len(costs)))
    return rows
