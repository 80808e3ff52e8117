"""The predicted cost of a run: device-hours of pretraining, training and evaluation, and memory.

Work is counted from the traced programs (`programs.py`). Counts of the shipped studies are part of
the package (`counts.json`, written by `python -m ferminet.vmc.cost`). Other runs are counted once,
in a separate process, and their counts are kept in the user's cache; this module needs no JAX.

Seconds follow from two rates of a CPU core, fitted to measured iterations
(tests/vmc/cost/measured_runs.csv, made by `python -m bench.cost`). For an A100 they are projected
from published hours (`REPORTED`).
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic import TypeAdapter

from ferminet.config import RunConfig
from ferminet.config.ablations import flat
from ferminet.config.blocks import FERMINET
from ferminet.config.runs import digest
from ferminet.errors import InputError
from ferminet.methods import DEVICES, DeviceName
from ferminet.vmc.recipes import recipes

SHIPPED = Path(__file__).with_name("counts.json")


class Work(NamedTuple):
    """The work of a program: operations in matrix products, and expensive values."""

    products: float
    values: float

    def __add__(self, other: "Work") -> "Work":  # pyright: ignore[reportIncompatibleMethodOverride]
        return Work(self.products + other.products, self.values + other.values)

    def times(self, factor: float) -> "Work":
        """Return `factor` times this work."""
        return Work(factor * self.products, factor * self.values)


class StageWork(NamedTuple):
    """The work of one stage: outside its iterations (burn-in, checks), and of each iteration."""

    once: Work
    iteration: Work


class RunCounts(NamedTuple):
    """The work of a run's three stages, and the most bytes that an iteration of training holds."""

    pretrain: StageWork
    train: StageWork
    evaluate: StageWork
    peak_bytes: int


def program_key(run: RunConfig) -> str:
    """Return a hash of everything that the traced programs of a run depend on.

    It leaves out rates, seeds and the lengths of loops that run on the host.
    """
    molecule, optimizer = run.molecule, run.optimizer
    content = {
        "build": _identity(run.ansatz.build, run.plugin_digest),
        "options": run.ansatz.options,
        "precision": run.precision,
        "symbols": molecule.symbols,
        "spins": molecule.spins,
        "basis": run.scf.basis,
        "sampler": [run.sampler.walkers, run.sampler.decorrelation_steps, run.sampler.burn_in],
        "pretrain": [run.pretrain.iterations > 0, run.pretrain.walkers, run.pretrain.method],
        "optimizer": [_identity(optimizer.name, run.optimizer_digest), optimizer.influence > 0.0],
        **({"solve": optimizer.cg_iterations} if optimizer.name == "natural" else {}),
        **({"optimizer_options": optimizer.options} if optimizer.options else {}),
        "evaluate": [run.evaluate.decorrelation_steps, run.evaluate.burn_in],
    }
    return digest(content)[:12]


def _identity(target: str, file_digest: str | None) -> Any:
    """Return what identifies a function: its name, and for a plug-in the digest of its file."""
    return [file_digest, target.rpartition(":")[2]] if file_digest else target


def find_counts(runs: Iterable[RunConfig]) -> list[RunCounts | None]:
    """Return the counts of each run; new programs are counted now.

    Returns:
        One entry per run, None where its programs cannot be traced. The reason is written to
        standard error.
    """
    by_key = [(program_key(run), run) for run in runs]
    counts = read_counts(SHIPPED)
    if not counts.keys() >= dict(by_key).keys():
        counts |= read_counts(cache_file())
    if missing := {key: run for key, run in by_key if key not in counts}:
        counted = _count_in_process(missing)
        # If the cache cannot be written, the runs are counted again next time.
        with contextlib.suppress(OSError):
            write_counts(cache_file(), read_counts(cache_file()) | counted)
        counts |= counted
    return [counts.get(key) for key, _ in by_key]


def read_counts(path: Path) -> dict[str, RunCounts]:
    """Return the counts in a file, or none if it is missing or damaged."""
    try:
        return TypeAdapter(dict[str, RunCounts]).validate_json(path.read_bytes())
    except (OSError, ValueError):
        return {}


def write_counts(path: Path, counts: Mapping[str, RunCounts]) -> None:
    """Write a file of counts atomically, one line per entry."""
    lines = (f"{json.dumps(key)}: {json.dumps(counts[key])}" for key in sorted(counts))
    path.parent.mkdir(parents=True, exist_ok=True)
    sibling = path.with_name(f".{path.name}.{os.getpid()}.part")
    sibling.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    sibling.replace(path)


def cache_file() -> Path:
    """Return the file in the user's cache for counts of the present code."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "ferminet" / f"counts-{_code_digest()}.json"


@cache
def _code_digest() -> str:
    """Return a hash of the code that is traced."""
    package = Path(__file__).parents[2]
    sources = sorted(path for part in ("ansatz", "vmc") for path in (package / part).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def _count_in_process(runs: Mapping[str, RunConfig]) -> dict[str, RunCounts]:
    """Count runs in another process: it may import plug-ins, and it allocates no GPU memory."""
    with tempfile.TemporaryDirectory() as folder:
        request, out = Path(folder, "runs.json"), Path(folder, "counts.json")
        content = {key: run.model_dump(mode="json") for key, run in runs.items()}
        request.write_text(json.dumps(content))
        subprocess.run(
            [sys.executable, "-m", "ferminet.vmc.cost", "--runs", str(request), "--out", str(out)],
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        return read_counts(out)


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
    # Of a training that several geometries share, each has its part.
    whole = run.training_run() == run
    parts = {
        stage: 1.0 if whole or stage == "evaluate" else len(run.curve or ()) for stage in STAGES
    }

    def seconds(stage: VmcStage, work: Work) -> float:
        return slower * device.seconds(work) / parts[stage]

    return RunCost(
        start_s=device.start_s,
        before_s={stage: seconds(stage, w.once) for stage, w in work.items()},
        iteration_s={stage: seconds(stage, w.iteration) for stage, w in work.items()},
        iterations={
            "pretrain": run.pretrain.iterations,
            "train": run.train.iterations,
            "evaluate": run.evaluate.all_iterations,
        },
        memory_gb=_PROCESS_GB + _PER_TRACED_BYTE * 1e-9 * counts.peak_bytes,
    )


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
    paper = recipes()["paper"].settings_for(run.system, run.molecule.n_electrons)
    costly = ("options.", "sampler.walkers", "sampler.decorrelation_steps", "train.iterations")
    settings = flat(run.settings())
    return run.ansatz.build == FERMINET and all(
        settings[key] == value for key, (value, _) in paper.items() if key.startswith(costly)
    )
