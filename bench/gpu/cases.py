"""The cases that are compiled, and the numbers of their programs."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from bench.gpu import hlo
from bench.gpu.programs import pretended, programs
from bench.gpu.targets import LAUNCH_S, TARGETS
from ferminet.config import RunConfig, expand_runs, load_study
from ferminet.config.runs import expand_trainings

# What JAX must find in the environment when it starts. Its plug-in must not look for a GPU. To
# choose between kernels for a product it would want one, so cuBLAS computes all products.
FLAGS = "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false"
ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS}
ITERATION = ("sweep", "energies", "statistics", "update")
# The paper's network and number of walkers, but for the curve that shares a wavefunction.
STUDIES, WALKERS = {"H10": "desktop"}, {"H10": 4000}


class Case(NamedTuple):
    """A run's programs on some GPUs."""

    system: str  # of `paper`, or H10 for the shared curve of `desktop`
    optimizer: str
    gpu: str
    devices: int
    programs: tuple[str, ...]

    def name(self, program: str) -> str:
        """Return the name of a program in the budgets."""
        return f"{self.system} {self.optimizer} {self.gpu}x{self.devices} {program}"


def cases(systems: list[str], gpus: list[str]) -> Iterator[Case]:
    """Return the cases: every program on the first GPU, an iteration on the others and on four."""
    for system in systems:
        for gpu in gpus:
            first = gpu == gpus[0]
            yield Case(system, "kfac", gpu, 1, (*ITERATION, *(["pretraining"] if first else [])))
            if first:
                yield Case(system, "natural", gpu, 1, ("update",))
                yield Case(system, "kfac", gpu, 4, ITERATION)
                yield Case(system, "natural", gpu, 4, ("update",))


def compile_case(case: Case) -> list[dict[str, Any]]:
    """Compile the programs of a case, in a process with `ENVIRONMENT`; return their numbers."""
    jax.config.update("jax_default_matmul_precision", "highest")
    jax.config.update("jax_enable_compilation_cache", False)
    target, run, found = TARGETS[case.gpu], run_of(case), []
    with pretended(target, case.devices) as layout:
        compilers = programs(run, layout)
        for name in case.programs:
            began = time.process_time()
            compiled = compilers[name]()
            program = hlo.read(compiled.as_text(), run.optimizer.cg_iterations)
            seconds = program.seconds(target.float32, target.bandwidth, LAUNCH_S)
            found.append(
                {
                    "name": case.name(name),
                    "walkers": run.sampler.walkers,
                    "launches": program.launches,
                    "library_calls": sum(program.library_calls().values()),
                    "waits": sum(wait.times for wait in program.waits),
                    "temporary_gib": compiled.memory_analysis().temp_size_in_bytes / 2**30,
                    "moved_gb": program.bytes / 1e9,
                    "tflop": program.flops / 1e12,
                    "ms": 1e3 * seconds,
                    "collectives": program.collectives(),
                    "libraries": dict(program.library_calls()),
                    "sources": dict(program.by_source().most_common(20)),
                    "compile_cpu_s": time.process_time() - began,
                    "jax": jax.__version__,
                }
            )
    return found


def run_of(case: Case) -> RunConfig:
    """Return the run of a case."""
    study = load_study(Path(f"workflow/config/{STUDIES.get(case.system, 'paper')}.yaml"))
    run = next(
        run
        for run in [*expand_trainings(study), *expand_runs(study)]
        if run.system == case.system and run.ansatz_name == "ferminet"
    )
    changes = {
        "optimizer": run.optimizer.model_copy(update={"name": case.optimizer}),
        "sampler": run.sampler.model_copy(update={"walkers": WALKERS.get(case.system, 4096)}),
    }
    return run.model_copy(update=changes)
