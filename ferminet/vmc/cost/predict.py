"""The predicted cost of a run: device-hours of pretraining, training and evaluation, and memory.

Work is counted from the traced programs (`counts`). Seconds follow from two rates of a CPU core,
fitted to measured iterations (tests/vmc/cost/measured_runs.csv, made by `python -m bench.cost`).
For an A100 they are projected from published hours (`REPORTED`).
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from ferminet.ansatz.options import FermiNetOptions
from ferminet.config import RunConfig
from ferminet.config.blocks import FERMINET
from ferminet.errors import InputError
from ferminet.methods import DEVICES, DeviceName
from ferminet.vmc.cost.counts import RunCounts, StageWork, Work, find_counts

VmcStage = Literal["pretrain", "train", "evaluate"]
STAGES: tuple[VmcStage, ...] = get_args(VmcStage)


class Device(NamedTuple):
    """The rates of a device."""

    name: DeviceName
    unit: str  # of the hours that are printed
    measured: bool  # whether the rates are fitted to runs of this package, or projected
    seconds_per_product: float  # per floating-point operation of matrix products
    seconds_per_value: float  # per value that is expensive to compute
    start_s: float  # from the start of a job to its first iteration, compilation included

    def seconds(self, work: Work) -> float:
        """Return how long some work takes."""
        return self.seconds_per_product * work.products + self.seconds_per_value * work.values


# An AMD EPYC core (AVX-512) reaches 60 Gflop/s in matrix products if others share its processor,
# and 94 to 106 alone. Predicted and measured seconds differ by a factor of at most 1.25.
_CPU_CORE = Device("cpu-core", "core-hours", True, 1.0 / 55e9, 2.3e-9, 10.0)
# The geometric mean over H4, H10 and N2 of counted products per published hour (`REPORTED`). It
# assumes that this package is no faster than the published code.
_A100 = Device("a100", "A100-hours, projected, unmeasured", False, 1.0 / 1.175e12, 0.0, 60.0)
_GPU_FILE = Path("/dev/nvidia0")

_PROCESS_GB = 1.0
# Memory per byte of the traced peak; XLA orders the program differently. The factor comes from one
# measured peak (15.3 GiB, bicyclobutane, 4,096 walkers), so memory is less certain than time.
_PER_TRACED_BYTE = 1.32


def device_of(name: DeviceName) -> Device:
    """Return the device of this name."""
    return {"cpu-core": _CPU_CORE, "a100": _A100}[name]


def default_device() -> DeviceName:
    """Return the device to predict for if none is named.

    The environment variable FERMINET_DEVICE decides. Without it, an NVIDIA GPU (recognised by its
    device file, without JAX) selects the A100; other machines get a CPU core.

    Raises:
        InputError: the variable names an unknown device.
    """
    named = os.environ.get("FERMINET_DEVICE")
    if named is None:
        return "a100" if _GPU_FILE.exists() else "cpu-core"
    for name in DEVICES:
        if name == named:
            return name
    raise InputError(
        f"FERMINET_DEVICE is {named!r}; set it to {' or '.join(DEVICES)}, or unset it."
    )


def export_device() -> DeviceName:
    """Return the default device and set FERMINET_DEVICE for all child processes.

    Jobs on other machines then see the same predictions, and hence the same time limits.
    """
    os.environ["FERMINET_DEVICE"] = device = default_device()
    return device


class RunCost(NamedTuple):
    """The predicted seconds of one run on one device, and its memory."""

    start_s: float  # of each job, before its first iteration
    before_s: dict[VmcStage, float]  # outside the iterations (burn-in, checks)
    iteration_s: dict[VmcStage, float]
    iterations: dict[VmcStage, int]
    memory_gb: float  # the most that training holds, on a CPU

    def seconds(self, stage: VmcStage) -> float:
        """Return the seconds of one stage, from its start to its end."""
        loop = self.iterations[stage] * self.iteration_s[stage]
        return self.start_s + self.before_s[stage] + loop

    @property
    def total_s(self) -> float:
        """The seconds of all stages."""
        return sum(self.seconds(stage) for stage in STAGES)


def predict_runs(
    runs: Iterable[RunConfig], device: DeviceName = "cpu-core"
) -> list[RunCost | None]:
    """Predict the cost of runs on a device.

    Returns:
        One prediction per run, None where the wavefunction's programs cannot be traced.
    """
    runs = list(runs)
    return [
        None if counts is None else _cost(run, counts, device_of(device))
        for run, counts in zip(runs, find_counts(runs), strict=True)
    ]


def _cost(run: RunConfig, counts: RunCounts, device: Device) -> RunCost:
    # Registers and memory bandwidth hold half as many numbers in double precision.
    slower = 2.0 if run.precision == "float64" else 1.0
    work: dict[VmcStage, StageWork] = {stage: getattr(counts, stage) for stage in STAGES}
    return RunCost(
        start_s=device.start_s,
        before_s={stage: slower * device.seconds(w.once) for stage, w in work.items()},
        iteration_s={stage: slower * device.seconds(w.iteration) for stage, w in work.items()},
        iterations={
            "pretrain": run.pretrain.iterations,
            "train": run.train.iterations,
            "evaluate": run.evaluate.all_iterations,
        },
        memory_gb=_PROCESS_GB + _PER_TRACED_BYTE * 1e-9 * counts.peak_bytes,
    )


# Pfau et al., Phys. Rev. Research 2, 033429 (2020).
_PAPER_WALKERS, _PAPER_STEPS, _PAPER_ITERATIONS = 4096, 10, 200_000


class ReportedHours(NamedTuple):
    """Reported device-hours of all geometries of one system."""

    system: str  # name of a file in molecules/
    hours: float  # of all geometries
    unit: str
    geometries: int  # the published grids are in molecules/
    determinants: int
    source: str  # publication, and which code it used
    fitted: bool  # whether the A100's rate is fitted to it


_PESNET = "arXiv:2110.05064 (PESNet), Table 1: the authors' JAX FermiNet on one A100"
_PAPER = "Pfau et al. 2020, TensorFlow: about {}"
REPORTED = (
    ReportedHours("H4", 163.0, "A100-hours", 11, 16, _PESNET, True),
    ReportedHours("H10", 820.0, "A100-hours", 10, 16, _PESNET, True),
    ReportedHours("N2_curve", 4196.0, "A100-hours", 38, 32, _PESNET, True),
    ReportedHours("ethene", 384.0, "V100-hours", 1, 16, _PAPER.format("2 days on 8 V100"), False),
    ReportedHours(
        "bicyclobutane", 11520.0, "GPU-hours", 1, 16, _PAPER.format("a month on 16"), False
    ),
)


def has_paper_settings(run: RunConfig) -> bool:
    """Return whether a run has the paper's network, walkers, Metropolis steps and iterations."""
    defaults = FermiNetOptions().model_dump()
    return (
        run.ansatz.build == FERMINET
        and defaults | run.ansatz.options == defaults
        and run.sampler.walkers == _PAPER_WALKERS
        and run.sampler.decorrelation_steps == _PAPER_STEPS
        and run.train.iterations == _PAPER_ITERATIONS
    )
