"""The cost of a whole study and what remains of it: runs on a device, calculations on cores.

It follows from the configuration and from which files exist. Nothing heavy is imported, so that the
workflow can print it before it starts.
"""

from typing import Any, NamedTuple

from ferminet.chemistry.cost import Cost
from ferminet.config import BaselineConfig, RunConfig, Study, expand_baselines, expand_runs, layout
from ferminet.methods import DeviceName
from ferminet.stages.status import RemainingTime, RunStatus, remaining_time, run_status
from ferminet.vmc.cost.predict import STAGES, Device, RunCost, device_of, predict_runs

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


class StudyCost(NamedTuple):
    """All jobs of a study that take time."""

    device: Device  # that runs are predicted for
    runs: list[RunEstimate]
    baselines: list[BaselineEstimate]

    @property
    def unpredicted(self) -> int:
        """The number of runs whose remaining time is unknown."""
        return sum(run.remaining.total_s is None for run in self.runs)

    def totals(self) -> dict[str, Any]:
        """Return numbers of jobs, the hours of predicted runs on one device, and core-hours."""
        unfinished = [baseline for baseline in self.baselines if not baseline.done]
        return {
            "runs": len(self.runs),
            "runs_left": sum(run.status.state != "evaluated" for run in self.runs),
            "runs_not_predicted": sum(run.cost is None for run in self.runs),
            "vmc_jobs": len(STAGES) * len(self.runs),
            "device_hours": sum(run.cost.total_s for run in self.runs if run.cost) / HOUR,
            "device_hours_left": sum(run.remaining.total_s or 0.0 for run in self.runs) / HOUR,
            "baselines": len(self.baselines),
            "baselines_left": len(unfinished),
            "core_hours": sum(baseline.cost.seconds for baseline in self.baselines) / HOUR,
            "core_hours_left": sum(baseline.cost.seconds for baseline in unfinished) / HOUR,
        }


def study_cost(study: Study, device: DeviceName) -> StudyCost:
    """Predict all runs and conventional calculations of a study, and read their progress."""
    runs = expand_runs(study)
    estimates = []
    for run, cost in zip(runs, predict_runs(runs, device), strict=True):
        status = run_status(run)
        estimates.append(RunEstimate(run, cost, status, remaining_time(run, status, cost)))
    baselines = [
        BaselineEstimate(one, one.cost(), layout.path_of(layout.BASELINE, one).exists())
        for one in expand_baselines(study)
    ]
    return StudyCost(device_of(device), estimates, baselines)


def summary(cost: StudyCost) -> str:
    """Return one line about what remains, for the start of a workflow."""
    parts, totals = [], cost.totals()
    if left := totals["runs_left"]:
        text = f"{left} of {len(cost.runs)} runs"
        if cost.unpredicted < left:
            text += f", about {totals['device_hours_left']:.3g} {cost.device.unit}"
        if cost.unpredicted:
            text += f" ({cost.unpredicted} not predicted)"
        parts.append(text)
    if left := totals["baselines_left"]:
        parts.append(
            f"{left} of {len(cost.baselines)} conventional calculations, about "
            f"{totals['core_hours_left']:.3g} core-hours"
        )
    return "; ".join(parts) or "nothing that takes time"
