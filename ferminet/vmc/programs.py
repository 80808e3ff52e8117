"""The jitted programs of pretraining, training and evaluation.

Each does one thing, so that later stages and processes with the same shapes find it in the
compilation cache.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from ferminet.ansatz.base import Ansatz, AnsatzSpec, Array, Nuclei, build_ansatz
from ferminet.chemistry.gto import ScfOrbitals
from ferminet.config import RunConfig, SamplerConfig
from ferminet.errors import InputError
from ferminet.vmc.devices import AXIS, mesh, sharding
from ferminet.vmc.geometries import by_geometry, is_curve, map_geometries
from ferminet.vmc.hamiltonian import LocalEnergy, batched_local_energy, local_energy
from ferminet.vmc.optimizers.base import (
    EnergyStatistics,
    Optimizer,
    energy_statistics,
    gradient_weights,
)
from ferminet.vmc.sampling import MoveInfo, Moves, adapt_step_size, batched_logabs, sweep

BURN_IN_RATE = 1.0  # of the adaptation of log(step size) per sweep


class Problem(NamedTuple):
    """A wavefunction and its system."""

    ansatz: Ansatz
    nuclei: Nuclei
    n_up: int
    n_down: int


def build_problem(run: RunConfig, orbitals: ScfOrbitals | None = None) -> Problem:
    """Build the wavefunction that a run names, for its system, in the run's precision."""
    molecule = run.molecule
    dtype = jnp.dtype(run.precision)
    nuclei = Nuclei(jnp.asarray(molecule.coords, dtype), jnp.asarray(molecule.charges, dtype))
    n_up, n_down = molecule.spins
    spec = AnsatzSpec(n_up, n_down, len(molecule.symbols), orbitals)
    ansatz = build_ansatz(run.ansatz.build, run.ansatz.options, spec)
    return Problem(ansatz, nuclei, n_up, n_down)


def average_weight(iteration: Array, exponent: float) -> Array:
    """Return the weight of the newest parameters in their polynomial-decay average.

    It is (k + 1) / (t + k) at t = `iteration` + 1 with exponent k (Shamir and Zhang, ICML 2013), so
    the average covers about the last 1/(k + 1) of all iterations. Exponent 0 gives the plain mean.
    """
    return (exponent + 1.0) / (iteration + 1.0 + exponent)


Sweep = Callable[..., tuple[Array, MoveInfo]]


def make_sweep(
    problem: Problem, exchange_probability: float, hop_probability: float = 0.0
) -> Sweep:
    """Make `(key, params, electrons, step_size, nuclei, n_steps) -> (electrons, MoveInfo)`.

    For a curve, step sizes and acceptances have the shape (n_geometries,).
    On a CPU the number of Metropolis steps is an argument of the program, so that training and
    evaluation share it. On other devices the host would have to read the loop's condition in every
    iteration, so each number gets a separate program.
    """
    static = () if jax.default_backend() == "cpu" else ("n_steps",)

    @partial(jax.jit, out_shardings=(sharding(AXIS), sharding()), static_argnames=static)
    def one_sweep(key, params, electrons, step_size, nuclei, n_steps):
        def of_geometry(nuclei, electrons, step_size, key):
            kinds = (exchange_probability, hop_probability)
            moves = Moves(nuclei, step_size, problem.n_up, *kinds)
            logabs = batched_logabs(problem.ansatz, params, nuclei)
            walkers, info = sweep(key, electrons, logabs, moves, n_steps)
            return walkers.electrons, info

        if not is_curve(nuclei):
            return of_geometry(nuclei, electrons, step_size, key)
        keys = jax.random.split(key, len(nuclei.coords))
        return map_geometries(of_geometry, nuclei, electrons, step_size, keys)

    return one_sweep


def make_energies(problem: Problem) -> LocalEnergy:
    """Make `(params, electrons, nuclei) -> EnergyParts`, each part of shape (n_walkers,)."""
    energies = batched_local_energy(local_energy(problem.ansatz))
    devices = mesh()
    if devices is not None:
        walkers, rest = PartitionSpec(AXIS), PartitionSpec()
        # JAX's check of what varies rejects a loop that starts from constants, such as that of the
        # determinants of five electrons or more.
        specs = {"in_specs": (rest, walkers, rest), "out_specs": walkers}
        energies = jax.shard_map(energies, mesh=devices, check_vma=False, **specs)
    return jax.jit(energies)


@partial(jax.jit, static_argnames="clip")
def gradient_weights_and_statistics(
    energies: Array, nuclei: Nuclei, clip: float
) -> tuple[Array, EnergyStatistics]:
    """Return the walkers' weights in the gradient, (n_walkers,), and the energies' statistics."""
    energies = by_geometry(energies, nuclei)
    return gradient_weights(energies, clip).reshape(-1), energy_statistics(energies)


adapted_step_size = jax.jit(adapt_step_size)


def burn_in(
    sweep_once: Sweep, sampler: SamplerConfig, keys: Array, params, electrons, step_size, nuclei
) -> tuple[Array, Array]:
    """Do one sweep per key, adapting the step size; return walkers and step size (), bohr."""
    target = sampler.target_acceptance
    for key in keys:
        electrons, info = sweep_once(
            key, params, electrons, step_size, nuclei, sampler.decorrelation_steps
        )
        step_size = adapted_step_size(step_size, info.acceptance, target, BURN_IN_RATE)
    return electrons, step_size


def make_update(optimizer: Optimizer, averaging: float) -> Callable:
    """Make the optimiser's step with the running average of the parameters.

    `(key, weights, optimizer_state, params, average, electrons, nuclei, iteration) ->
    (params, average, optimizer_state)`, with `weights` from `gradient_weights_and_statistics`. When
    traced, it raises `InputError` if the optimiser changes the form of parameters or state, which
    could not be resumed from a checkpoint.
    """

    @partial(jax.jit, out_shardings=sharding())
    def update(key, weights, optimizer_state, params, average, electrons, nuclei, iteration):
        before = {"params": params, "state": optimizer_state}
        params, optimizer_state = optimizer.update(
            key, weights, optimizer_state, params, electrons, nuclei, iteration
        )
        _require_same_form(before, {"params": params, "state": optimizer_state})
        weight = average_weight(iteration, averaging)
        average = jax.tree.map(lambda a, p: a + (weight * (p - a)).astype(a.dtype), average, params)
        return params, average, optimizer_state

    return update


def _require_same_form(before: Any, after: Any) -> None:
    """Raise InputError if an optimiser returned other names, shapes or types than it received."""
    old, new = _form(before), _form(after)
    for name in old | new:
        if old.get(name) != new.get(name):
            raise InputError(
                f"The optimiser's update returned {new.get(name, 'nothing')} for {name}, which was "
                f"{old.get(name, 'nothing')}; return parameters and state with the structure, "
                "shapes and types that it received."
            )


def _form(tree: Any) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(jax.eval_shape(lambda: tree))
    return {jax.tree_util.keystr(path): f"{leaf.dtype}{leaf.shape}" for path, leaf in leaves}
