"""Measure one system: compilation, parts of an iteration, memory, other algorithms.

    python -m bench.measure '{"system": "LiH", "walkers": 256, ...}'

prints one line of JSON. ``python -m bench`` runs it for each system.
"""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

BEGAN = float(os.environ.get("BENCH_BEGAN", time.time()))

from ferminet.runtime.environment import prepare_environment  # noqa: E402

prepare_environment()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from ferminet.ansatz import ferminet  # noqa: E402
from ferminet.ansatz.base import Ansatz, AnsatzSpec, Array, Nuclei, count_parameters  # noqa: E402
from ferminet.config import OptimizerConfig, SamplerConfig, TrainConfig  # noqa: E402
from ferminet.config.study import molecules_directory  # noqa: E402
from ferminet.errors import FermiNetError  # noqa: E402
from ferminet.runtime.provenance import provenance  # noqa: E402
from ferminet.systems.files import find_system  # noqa: E402
from ferminet.systems.molecule import Molecule  # noqa: E402
from ferminet.vmc.cost.programs import trace  # noqa: E402
from ferminet.vmc.devices import (  # noqa: E402
    check_products,
    replicate,
    shard_walkers,
)
from ferminet.vmc.hamiltonian import (  # noqa: E402
    batched_local_energy,
    forward_laplacian_kinetic,
    local_energy,
)
from ferminet.vmc.optimizers.base import gradient_of_energy  # noqa: E402
from ferminet.vmc.programs import Problem  # noqa: E402
from ferminet.vmc.sampling import batched_logabs, init_walkers  # noqa: E402
from ferminet.vmc.train import Trainer, TrainSettings, TrainState  # noqa: E402

GEMM_SIZE = 2048


def column_loop_kinetic(ansatz: Ansatz) -> Callable:
    """-1/2 (nabla^2 psi) / psi by a loop over the columns of the Hessian, as most codes have it."""

    def kinetic(params, electrons: Array, nuclei: Nuclei) -> Array:
        def logabs(flat: Array) -> Array:
            return ansatz.apply(params, flat.reshape(electrons.shape), nuclei).logabs

        flat = electrons.reshape(-1)
        eye = jnp.eye(flat.size, dtype=flat.dtype)
        slope, derivative = jax.linearize(jax.grad(logabs), flat)
        trace = jax.lax.fori_loop(
            0, flat.size, lambda i, total: total + derivative(eye[i])[i], jnp.zeros((), flat.dtype)
        )
        return -0.5 * (trace + jnp.sum(slope**2))

    return kinetic


class Stopwatch:
    """First and following calls of programs, in wall time and in the process's CPU time."""

    def __init__(self, repeats: int):
        self.repeats, self.rows = repeats, []

    def time(self, part: str, function: Callable[[], Any], flops: float | None = None) -> Any:
        """Add a row with the first call and the median of those that follow, if there are any.

        Returns:
            The result of the last call.
        """
        wall, cpu = [], []
        for _ in range(self.repeats + 1):
            began = time.perf_counter(), time.process_time()
            result = jax.block_until_ready(function())
            wall.append(time.perf_counter() - began[0])
            cpu.append(time.process_time() - began[1])
        median = statistics.median(wall[1:]) if self.repeats else None
        self.rows.append(
            {
                "part": part,
                "first_s": wall[0],
                "median_s": median,
                "median_cpu_s": statistics.median(cpu[1:]) if self.repeats else None,
                "gflop": None if flops is None else flops / 1e9,
                "gflop_per_s": flops / 1e9 / median if flops and median else None,
            }
        )
        return result


def make_trainer(
    system: str, walkers: int, options: dict[str, Any], steps: int, optimizer: str = "kfac"
) -> tuple[Trainer, TrainState, Molecule]:
    """Return the programs of a training run, and its state before the first iteration."""
    molecule = next(iter(find_system(system, molecules_directory()).geometries.values()))
    dtype = jnp.float32
    nuclei = Nuclei(jnp.asarray(molecule.coords, dtype), jnp.asarray(molecule.charges, dtype))
    n_up, n_down = molecule.spins
    ansatz = ferminet.build(AnsatzSpec(n_up, n_down, len(molecule.symbols)), **options)
    sampler = SamplerConfig(walkers=walkers, burn_in=2, decorrelation_steps=steps)
    chosen = OptimizerConfig(name=optimizer)
    settings = TrainSettings(sampler, chosen, TrainConfig(), 1)
    trainer = Trainer(Problem(ansatz, nuclei, n_up, n_down), settings)
    params = jax.jit(ansatz.init)(jax.random.key(0), nuclei)
    electrons = init_walkers(jax.random.key(1), nuclei, n_up, n_down, walkers)
    state = trainer.init(replicate(params), shard_walkers(electrons))
    return trainer, state, molecule


def time_parts(watch: Stopwatch, trainer: Trainer, state: TrainState, steps: int) -> None:
    """Measure an iteration and its parts."""
    ansatz, nuclei = trainer.problem.ansatz, trainer.problem.nuclei
    params, electrons, key = state.params, state.electrons, jax.random.key(2)
    logabs = lambda p: batched_logabs(ansatz, p, nuclei)  # noqa: E731
    forward = products(lambda p, e: logabs(p)(e), params, electrons)
    moving = (key, params, electrons, state.step_size, nuclei)
    watch.time("sampling", lambda: trainer.sweep(*moving, steps), (steps + 1) * forward)
    arguments = (params, electrons, nuclei)
    work = products(batched_local_energy(local_energy(ansatz)), *arguments)
    watch.time("local energy", lambda: trainer.energies(*arguments), work)
    weights = trainer.sample(*moving)[2]
    gradient = jax.jit(partial(gradient_of_energy, ansatz))
    watch.time("gradient", lambda: gradient(*arguments, weights))
    updating = (key, weights, state.optimizer, params, state.average, electrons, nuclei)
    work = products(trainer.update, *updating, jnp.int32(0))
    watch.time("gradient and optimiser", lambda: trainer.update(*updating, jnp.int32(0)), work)
    watch.time("iteration", lambda: trainer.step(state, 1))


def products(function: Callable, *args: Any) -> float:
    """Count the operations of a program's matrix products."""
    return trace(function, *args).work.products


def time_general_algorithms(watch: Stopwatch, trainer: Trainer, state: TrainState) -> None:
    """Measure the local energy by general algorithms on the same walkers."""
    ansatz, nuclei = trainer.problem.ansatz, trainer.problem.nuclei
    for name, kinetic in (
        ("local energy, loop over Hessian columns", column_loop_kinetic(ansatz)),
        ("local energy, folx", forward_laplacian_kinetic(ansatz)),
    ):
        energies = jax.jit(batched_local_energy(local_energy(ansatz, kinetic)))
        watch.time(name, lambda run=energies: run(state.params, state.electrons, nuclei))


def measure(
    system: str,
    walkers: int,
    options: dict[str, Any],
    steps: int,
    repeats: int,
    general: bool,
    optimizer: str,
) -> dict[str, Any]:
    """Return all numbers of one system.

    Args:
        system: name of a molecule's file.
        walkers: walkers.
        options: of the FermiNet.
        steps: Metropolis steps per iteration.
        repeats: calls that a median is taken of; 0 runs one iteration and nothing else.
        general: also the local energy by the algorithms that know nothing of the network.
        optimizer: name in the registry, with its own defaults.
    """
    jax.config.update("jax_default_matmul_precision", "highest")
    product_error = check_products("float32")
    trainer, state, molecule = make_trainer(system, walkers, options, steps, optimizer)
    once = Stopwatch(0)
    _, info = once.time("first iteration", lambda: trainer.step(state, 0))
    if not bool(jnp.isfinite(info.energy)):
        raise SystemExit(f"The energy of {system} is not finite, so its times mean nothing.")
    first_iteration_s = time.time() - BEGAN

    watch = Stopwatch(repeats)
    if repeats:
        time_parts(watch, trainer, state, steps)
    peak = _peak_gib()
    if general:
        time_general_algorithms(watch, trainer, state)
    matrix = jnp.ones((GEMM_SIZE, GEMM_SIZE), jnp.float32)
    product = jax.jit(jnp.matmul)
    watch.time("matrix product", lambda: product(matrix, matrix), 2 * GEMM_SIZE**3)
    return {
        "system": system,
        "n_electrons": molecule.n_electrons,
        "walkers": walkers,
        "metropolis_steps": steps,
        "parameters": count_parameters(state.params),
        "options": options,
        "optimizer": optimizer,
        "devices": len(jax.devices()),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "matrix_product_error": product_error,
        "time_to_first_iteration_s": first_iteration_s,
        "peak_gib": peak,
        **provenance(jax.devices()[0].device_kind),
        "parts": once.rows + watch.rows,
    }


def _peak_gib() -> float:
    """Return the largest memory so far: of the device if it keeps count, else of the process."""
    statistics_of_device = jax.devices()[0].memory_stats() or {}
    peak = statistics_of_device.get("peak_bytes_in_use")
    return (peak or 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 2**30


if __name__ == "__main__":
    try:
        print(json.dumps(measure(**json.loads(sys.argv[1]))))
    except FermiNetError as error:
        raise SystemExit(f"bench: {error}") from None
