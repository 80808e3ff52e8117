"""The cost of a whole study and what remains of it: runs on a device, calculations on cores.

It follows from the configuration and from which files exist. Nothing heavy is imported, so that the
workflow can print it before it starts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ferminet.chemistry.cost import Cost
from ferminet.config import BaselineConfig, RunConfig, Study, expand_baselines, expand_runs, layout
from ferminet.methods import DeviceName
from ferminet.stages.status import RemainingTime, RunStatus, remaining_time, run_status
from ferminet.vmc.cost.predict import RunCost, device_of, predict_runs
from ferminet.vmc.cost.reported import REPORTED, ReportedHours, has_paper_settings

HOUR = 3600.0


@dataclass(frozen=True)
class RunEstimate:
    """A run with its prediction (None if there is none), its status, and its remaining time."""

    run: RunConfig
    cost: RunCost | None
    status: RunStatus
    remaining: RemainingTime


@dataclass(frozen=True)
class BaselineEstimate:
    """A conventional calculation with its prediction."""

    baseline: BaselineConfig
    cost: Cost
    done: bool


@dataclass(frozen=True)
class StudyCost:
    """All jobs of a study that take time."""

    device: DeviceName
    runs: list[RunEstimate]
    baselines: list[BaselineEstimate]

    @property
    def device_hours(self) -> float:
        """Hours of all predicted runs on one device."""
        return sum(estimate.cost.total_s for estimate in self.runs if estimate.cost) / HOUR

    @property
    def device_hours_left(self) -> float:
        """Hours that remain of them."""
        return sum(estimate.remaining.total_s or 0.0 for estimate in self.runs) / HOUR

    @property
    def runs_left(self) -> int:
        """Number of unfinished runs."""
        return sum(estimate.status.state != "evaluated" for estimate in self.runs)

    @property
    def unpredicted(self) -> int:
        """Number of unfinished runs whose remaining time is unknown."""
        return sum(estimate.remaining.total_s is None for estimate in self.runs)

    @property
    def core_hours(self) -> float:
        """Hours of all conventional calculations on one core."""
        return sum(estimate.cost.seconds for estimate in self.baselines) / HOUR

    @property
    def core_hours_left(self) -> float:
        """Hours that remain of them."""
        return sum(one.cost.seconds for one in self.baselines if not one.done) / HOUR

    @property
    def baselines_left(self) -> int:
        """Number of conventional calculations that remain."""
        return sum(not estimate.done for estimate in self.baselines)


def study_cost(study: Study, device: DeviceName) -> StudyCost:
    """Predict all runs and conventional calculations of a study, and look how far they are."""
    runs = expand_runs(study)
    estimates = []
    for run, cost in zip(runs, predict_runs(runs, device), strict=True):
        status = run_status(run)
        estimates.append(RunEstimate(run, cost, status, remaining_time(run, status, cost)))
    return StudyCost(device, estimates, [_estimate(one) for one in expand_baselines(study)])


def _estimate(baseline: BaselineConfig) -> BaselineEstimate:
    path = Path(layout.BASELINE.format(**layout.baseline_fields(baseline)))
    return BaselineEstimate(baseline, baseline.cost(), path.exists())


def summary(cost: StudyCost) -> str:
    """Return one line about what remains, for the start of a workflow."""
    parts = []
    if cost.runs_left:
        text = f"{cost.runs_left} of {len(cost.runs)} runs"
        if cost.unpredicted < cost.runs_left:
            text += f", about {cost.device_hours_left:.3g} {device_of(cost.device).unit}"
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
    """Return reported hours with the predicted ones of the same systems, and their geometries.

    Only runs with the paper's settings count, one seed of each geometry.
    """
    rows = []
    for reported in REPORTED:
        runs = {
            estimate.run.geometry: estimate.cost
            for estimate in cost.runs
            if estimate.run.system == reported.system and has_paper_settings(estimate.run)
        }
        if runs:
            hours = sum(one.total_s for one in runs.values() if one) / HOUR
            rows.append((reported, hours, len(runs)))
    return rows
