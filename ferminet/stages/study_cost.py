"""What a whole study costs and what of it is left: runs on a device, calculations on cores.

Read from the configuration and from which files exist; nothing heavy is imported, so that the
workflow can say it before it starts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ferminet.chemistry.cost import Cost
from ferminet.config import BaselineConfig, RunConfig, Study, expand_baselines, expand_runs, layout
from ferminet.methods import DeviceName
from ferminet.stages.status import Left, RunStatus, run_status, time_left
from ferminet.vmc.cost.published import PUBLISHED, Published, has_paper_settings
from ferminet.vmc.cost.runs import RunCost, device_of, predict_run

HOUR = 3600.0


@dataclass(frozen=True)
class RunEstimate:
    """A run with its prediction, how far it is, and what it still takes."""

    run: RunConfig
    cost: RunCost | None
    status: RunStatus
    left: Left


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
        """Of all runs that are predicted, on one device."""
        return sum(one.cost.total_s for one in self.runs if one.cost) / HOUR

    @property
    def device_hours_left(self) -> float:
        """The same without what is computed already."""
        return sum(one.left.total_s or 0.0 for one in self.runs) / HOUR

    @property
    def runs_left(self) -> int:
        """Runs that are not finished."""
        return sum(one.status.state != "evaluated" for one in self.runs)

    @property
    def unpredicted(self) -> int:
        """Runs of which nothing can be said and that are not finished."""
        return sum(one.left.total_s is None for one in self.runs)

    @property
    def core_hours(self) -> float:
        """Of all conventional calculations, on one core."""
        return sum(one.cost.seconds for one in self.baselines) / HOUR

    @property
    def core_hours_left(self) -> float:
        """The same without what is computed already."""
        return sum(one.cost.seconds for one in self.baselines if not one.done) / HOUR


def study_cost(study: Study, device: DeviceName) -> StudyCost:
    """Predicts all runs and conventional calculations of a study, and looks how far they are."""
    return StudyCost(
        device,
        [estimate_run(run, device) for run in expand_runs(study)],
        [_estimate_baseline(baseline) for baseline in expand_baselines(study)],
    )


def estimate_run(run: RunConfig, device: DeviceName) -> RunEstimate:
    """One run."""
    cost, status = predict_run(run, device), run_status(run)
    return RunEstimate(run, cost, status, time_left(run, status, cost))


def _estimate_baseline(baseline: BaselineConfig) -> BaselineEstimate:
    path = Path(layout.BASELINE.format(**layout.baseline_fields(baseline)))
    return BaselineEstimate(baseline, baseline.cost(), path.exists())


def summary(cost: StudyCost) -> str:
    """One line: what is left, for the start of a workflow."""
    parts = []
    if cost.runs_left:
        text = f"{cost.runs_left} of {len(cost.runs)} runs"
        if cost.unpredicted < cost.runs_left:
            text += f", about {cost.device_hours_left:.3g} {device_of(cost.device).unit}"
        if cost.unpredicted:
            text += f" ({cost.unpredicted} not predicted)"
        parts.append(text)
    waiting = sum(not one.done for one in cost.baselines)
    if waiting:
        parts.append(
            f"{waiting} of {len(cost.baselines)} conventional calculations, about "
            f"{cost.core_hours_left:.3g} core-hours"
        )
    return "; ".join(parts) or "nothing that takes time"


def groups(estimates: Iterable[RunEstimate]) -> dict[tuple[str, str], list[RunEstimate]]:
    """The runs of each system and wavefunction, in the study's order."""
    found: dict[tuple[str, str], list[RunEstimate]] = {}
    for one in estimates:
        found.setdefault((one.run.system, one.run.ansatz_name), []).append(one)
    return found


def comparisons(cost: StudyCost) -> list[tuple[Published, float, int]]:
    """Published hours beside the prediction for the same systems, with the geometries in it.

    Only of runs with the paper's settings, one seed of each geometry.
    """
    found = []
    for published in PUBLISHED:
        runs = {
            one.run.geometry: one.cost
            for one in cost.runs
            if one.run.system == published.system and has_paper_settings(one.run)
        }
        hours = sum(one.total_s for one in runs.values() if one) / HOUR
        if runs:
            found.append((published, hours, len(runs)))
    return found
