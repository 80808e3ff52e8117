"""What a run will cost: hours of a device for pretraining, training and evaluation, and memory.

The work of an iteration is counted from the sizes of the network (``vmc_flops``). Seconds follow
from two rates of a CPU's core, fitted to iterations measured on one
(tests/vmc/cost/measured_runs.csv, made by ``python -m bench.cost``; docs/explanation/performance.md
has the fit), and for an A100 from hours that others have published, which is a projection. Only
FermiNet's own builder is counted: of another wavefunction nothing is predicted.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ferminet.config.runs import RunConfig
from ferminet.errors import InputError
from ferminet.methods import DEVICES, DeviceName
from ferminet.vmc.cost.flops import (
    BUILDER,
    Network,
    Work,
    forward,
    gradient,
    kfac,
    local_energy,
    spring_products,
)

VmcStage = Literal["pretrain", "train", "evaluate"]
STAGES: tuple[VmcStage, ...] = get_args(VmcStage)

# Of the programs themselves; vmc/ has these constants, which a test holds together.
PRETRAIN_STEPS = 2
ENERGY_SWEEPS = 20
BLOCK = 25
MEASURE_INTERVAL = 5
LAST_SHARE = 10
# Passes through log|psi| of what an evaluation measures besides the energy: a gradient, an
# exchanged walker, the determinants.
OBSERVABLE_PASSES = 6


@dataclass(frozen=True)
class Device:
    """What seconds follow from.

    Attributes:
        unit: of the hours that are printed.
        measured: fitted to runs of this package, and not projected.
        seconds_per_product: per floating-point operation of matrix products.
        seconds_per_value: per other value.
        start_s: from the start of a job to its first iteration, compilation included.
    """

    unit: str
    measured: bool
    seconds_per_product: float
    seconds_per_value: float
    start_s: float

    def seconds(self, work: Work) -> float:
        """How long some work takes."""
        return self.seconds_per_product * work.products + self.seconds_per_value * work.values


# Of a core of an AMD EPYC (AVX-512) beside other work; alone it makes 94 to 106.
BUSY_GFLOP_PER_S = 60.0
# The largest ratio of predicted and measured seconds of an iteration, over all that was measured.
WITHIN = 1.3
CPU_CORE = Device("core-hours", True, 1.0 / 55e9, 2.4e-9, 10.0)
# The geometric mean over H4, H10 and N2 of the products counted here by the hours that others
# report of these curves (published_cost.py): this package is assumed to be no faster there.
A100 = Device("A100-hours, projected, unmeasured", False, 1.0 / 1.175e12, 0.0, 60.0)
_GPU_FILE = Path("/dev/nvidia0")
_DEVICES = {"cpu-core": CPU_CORE, "a100": A100}


def device_of(name: DeviceName) -> Device:
    """The device of a name."""
    return _DEVICES[name]


def default_device() -> DeviceName:
    """The device that is meant if none is named.

    What the environment variable FERMINET_DEVICE says; else a GPU if this machine has one of NVIDIA
    (a file tells, JAX is not imported), else a CPU's core.

    Raises:
        InputError: the variable names something else.
    """
    named = os.environ.get("FERMINET_DEVICE")
    if named is None:
        return "a100" if _GPU_FILE.exists() else "cpu-core"
    for name in DEVICES:
        if name == named:
            return name
    raise InputError(
        f"FERMINET_DEVICE is {named!r}; set it to {' or '.join(DEVICES)}, or to nothing at all."
    )


def told_device() -> DeviceName:
    """The default device, of which all processes that this one starts are told.

    Jobs on other machines see the same predictions then, and hence the time limits they were given.
    """
    os.environ["FERMINET_DEVICE"] = device = default_device()
    return device


_PROCESS_GB = 1.0
_KEPT = 1.2  # numbers that the update keeps for each that log|psi| makes


@dataclass(frozen=True)
class RunCost:
    """A prediction of one run on one device, seconds.

    Attributes:
        start_s: of each job, before its first iteration.
        before_s: of each stage, what precedes its iterations (burn-in) or follows them.
        iteration_s: of each stage.
        iterations: of each stage.
        memory_gb: the most that training holds, on a CPU.
    """

    start_s: float
    before_s: dict[VmcStage, float]
    iteration_s: dict[VmcStage, float]
    iterations: dict[VmcStage, int]
    memory_gb: float

    def seconds(self, stage: VmcStage) -> float:
        """One stage, from its start to its end."""
        loop = self.iterations[stage] * self.iteration_s[stage]
        return self.start_s + self.before_s[stage] + loop

    @property
    def total_s(self) -> float:
        """All stages."""
        return sum(self.seconds(stage) for stage in STAGES)


def predict_run(run: RunConfig, device: DeviceName = "cpu-core") -> RunCost | None:
    """Predicts a run.

    Args:
        run: its configuration.
        device: cpu-core or a100.

    Returns:
        The prediction; None for a wavefunction that is not FermiNet's own builder, of which nothing
        is known.
    """
    if run.ansatz.build != BUILDER:
        return None
    network = Network.of(run.molecule, run.ansatz.options)
    walkers, steps = run.sampler.walkers, run.sampler.decorrelation_steps
    rate = device_of(device)
    # Two numbers take the place of one in a register and in the memory.
    slower = 2.0 if run.precision == "float64" else 1.0

    def seconds(work: Work) -> float:
        return slower * rate.seconds(work)

    one = forward(network)
    sweep = one.times(walkers * (steps + 1))
    energy = local_energy(network).times(walkers)
    sampled = one.times(walkers * (run.evaluate.decorrelation_steps + 1))
    observed = one.times(walkers * OBSERVABLE_PASSES / MEASURE_INTERVAL)
    checked = sweep.times(3 * ENERGY_SWEEPS) + energy.times(ENERGY_SWEEPS)
    return RunCost(
        start_s=rate.start_s,
        before_s={
            "pretrain": seconds(checked),
            "train": seconds(sweep.times(run.sampler.burn_in)),
            "evaluate": seconds(sampled.times(2 * run.evaluate.burn_in)),
        },
        iteration_s={
            "pretrain": seconds(_pretraining(run, one)),
            "train": seconds(sweep + energy + _update(run, network)),
            "evaluate": seconds(sampled + energy + observed),
        },
        iterations={
            "pretrain": run.pretrain.iterations,
            "train": run.train.iterations,
            "evaluate": evaluation_iterations(run),
        },
        memory_gb=memory_gb(run, network),
    )


def evaluation_iterations(run: RunConfig) -> int:
    """Of the averaged parameters and of the last ones, each in whole blocks."""
    last = max(run.evaluate.iterations // LAST_SHARE, 2 * BLOCK)
    return sum(BLOCK * math.ceil(n / BLOCK) for n in (run.evaluate.iterations, last))


def _pretraining(run: RunConfig, one: Work) -> Work:
    """Both sets of walkers in the squared difference, one of them moved by the network."""
    half = math.ceil((run.pretrain.walkers or run.sampler.walkers) / 2)
    return one.times(half * (3 * 2 + PRETRAIN_STEPS + 1))


def _update(run: RunConfig, network: Network) -> Work:
    """The optimiser's part of an iteration."""
    walkers, optimizer = run.sampler.walkers, run.optimizer
    if optimizer.name == "adam":
        return gradient(network).times(walkers)
    if optimizer.name == "spring":
        return gradient(network).times(walkers) + Work(spring_products(network, walkers), 0.0)
    of_walker, of_iteration = kfac(network, limited=optimizer.influence > 0.0)
    return of_walker.times(walkers) + of_iteration


def memory_gb(run: RunConfig, network: Network) -> float:
    """Memory of a training on a CPU: the process, and what the update keeps of every walker.

    By one measured peak (bicyclobutane, 4,096 walkers), so rougher than the times.
    """
    size = 8 if run.precision == "float64" else 4
    kept = run.sampler.walkers * forward(network).values
    return _PROCESS_GB + _KEPT * size * kept * 1e-9
