"""Compile the programs of an iteration for a GPU that need not be there.

XLA's CUDA plug-in compiles for a target that a text describes (`jax.experimental.topologies`). The
package asks `jax.default_backend()` and `jax.devices()` where it runs: here both answer with the
GPUs of the target.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import (
    AbstractDevice,
    AbstractMesh,
    AxisType,
    Mesh,
    NamedSharding,
    PartitionSpec,
    use_abstract_mesh,
)

from bench.gpu.targets import Target
from ferminet.chemistry.gto import ScfOrbitals
from ferminet.config import RunConfig
from ferminet.vmc import devices, hamiltonian
from ferminet.vmc.cost.programs import placeholder_orbitals
from ferminet.vmc.optimizers.base import make_optimizer
from ferminet.vmc.pretrain import Pretrainer, PretrainState
from ferminet.vmc.programs import (
    Problem,
    build_problem,
    gradient_weights_and_statistics,
    make_energies,
    make_sweep,
    make_update,
)

Compiled = Any  # jax.stages.Compiled
MEMORY_SHARE = 0.75  # of a GPU's memory that JAX reserves by default


class Layout(NamedTuple):
    """How arrays lie on the devices: walkers divided, everything else copied."""

    divided: NamedSharding
    copied: NamedSharding

    def copy(self, tree: Any) -> Any:
        """Return the shapes of a pytree that every device holds."""
        return jax.tree.map(partial(_shape, sharding=self.copied), tree)

    def divide(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return an array whose first axis counts walkers."""
        return jax.ShapeDtypeStruct(shape, dtype, sharding=self.divided)


def _shape(leaf: Any, sharding: NamedSharding) -> Any:
    return jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf), sharding=sharding)


@contextmanager
def pretended(target: Target, n_devices: int) -> Iterator[Layout]:
    """Let JAX report the devices of a target while programs are traced and compiled."""
    topology = topologies.get_topology_desc(
        platform="cuda", target_config=target.text(), topology=f"1x1x{n_devices}"
    )
    mesh = Mesh(topology.devices, (devices.AXIS,))
    real = jax.devices, jax.default_backend, hamiltonian.device_memory
    jax.devices, jax.default_backend = (lambda *_: list(topology.devices)), (lambda: "gpu")
    hamiltonian.device_memory = lambda: MEMORY_SHARE * target.memory_bytes
    devices.mesh.cache_clear()
    # Pallas asks this mesh for the kind of device. JAX 0.10 wants the arguments' mesh, without one.
    kind = AbstractDevice(f"NVIDIA {target.name.upper()}", target.cores, "cuda")
    abstract = AbstractMesh(
        (1,), (devices.AXIS,), axis_types=(AxisType.Auto,), abstract_device=kind
    )
    if jax.__version_info__ < (0, 11):
        abstract = mesh.abstract_mesh
    try:
        walkers, rest = PartitionSpec(devices.AXIS), PartitionSpec()
        with use_abstract_mesh(abstract) if n_devices == 1 else nullcontext():
            yield Layout(NamedSharding(mesh, walkers), NamedSharding(mesh, rest))
    finally:
        jax.devices, jax.default_backend, hamiltonian.device_memory = real
        devices.mesh.cache_clear()
        jax.clear_caches()


def programs(run: RunConfig, layout: Layout) -> dict[str, Callable[[], Compiled]]:
    """Return what compiles each program of a run: of an iteration, and pretraining's step."""
    scf = placeholder_orbitals(run.molecule, run.scf.basis)
    problem = build_problem(run, scf)
    dtype, sampler = jnp.dtype(run.precision), run.sampler
    key = layout.copy(jax.eval_shape(lambda: jax.random.key(0)))
    params = jax.eval_shape(problem.ansatz.init, jax.random.key(0), problem.nuclei)
    params, nuclei = layout.copy(params), _nuclei(run, problem, layout)
    walkers = layout.divide((sampler.walkers, run.molecule.n_electrons, 3), dtype)
    weights = layout.divide((sampler.walkers,), dtype)
    step_size = layout.copy(jax.ShapeDtypeStruct(nuclei.coords.shape[:-2], dtype))
    optimizer = make_optimizer(run.optimizer, problem.ansatz)
    sweep = make_sweep(problem, *sampler.shares())

    def compile_update() -> Compiled:
        state = jax.eval_shape(optimizer.init, jax.random.key(0), params, walkers, nuclei)
        number = layout.copy(jax.ShapeDtypeStruct((), jnp.int32))
        old = (layout.copy(state), params, params)
        update = make_update(optimizer, run.train.averaging)
        return update.lower(key, weights, *old, walkers, nuclei, number).compile()

    return {
        "sweep": lambda: sweep.lower(
            key, params, walkers, step_size, nuclei, n_steps=sampler.decorrelation_steps
        ).compile(),
        "energies": lambda: make_energies(problem).lower(params, walkers, nuclei).compile(),
        "statistics": lambda: gradient_weights_and_statistics.lower(
            weights, nuclei, clip=run.train.clip
        ).compile(),
        "update": compile_update,
        "pretraining": lambda: _compile_pretraining(run, problem, scf, layout, params),
    }


def _nuclei(run: RunConfig, problem: Problem, layout: Layout) -> Any:
    """Return the shapes of the nuclei; those of a curve have an axis for geometries."""
    nuclei = problem.nuclei
    if run.curve:
        shape = (len(run.curve), *nuclei.coords.shape)
        nuclei = nuclei._replace(coords=jax.ShapeDtypeStruct(shape, nuclei.coords.dtype))
    return layout.copy(nuclei)


def _compile_pretraining(
    run: RunConfig, problem: Problem, scf: ScfOrbitals, layout: Layout, params: Any
) -> Compiled:
    pretrainer = Pretrainer(problem, scf, run.pretrain, run.sampler, run.seed)
    shape = (pretrainer.half, run.molecule.n_electrons, 3)
    half = layout.divide(shape, jnp.dtype(run.precision))
    fit = layout.copy(jax.eval_shape(pretrainer.fit.init, params))
    state = PretrainState(params, fit, half, half)
    step = jax.jit(pretrainer.step)
    return step.lower(state, layout.copy(jax.ShapeDtypeStruct((), jnp.int32))).compile()
