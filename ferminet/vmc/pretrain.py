"""Pretraining: the network's orbitals are matched to Hartree-Fock orbitals.

Pfau et al. 2020, sec. III.D: a squared difference is minimised over walkers of which half sample
the target and half the network, so that both where the target lives and where the network strays
are seen. The target is the Hartree-Fock determinant, or where bonds are broken a short sum of
determinants (``chemistry.expansion``).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ferminet.ansatz import slater
from ferminet.ansatz.base import AnsatzSpec, Array, Nuclei, Params
from ferminet.chemistry.gto import ScfOrbitals, eval_terms
from ferminet.config import PretrainConfig, SamplerConfig
from ferminet.errors import InputError, NotConvergedError
from ferminet.runtime.progress import Progress
from ferminet.vmc.devices import copy_everywhere, divide_walkers, fetch
from ferminet.vmc.programs import Problem, burn_in, make_energies, make_sweep
from ferminet.vmc.sampling import Moves, batched_logabs, init_walkers, sweep
from ferminet.vmc.statistics import Estimate

STEPS_PER_ITERATION = 2  # Metropolis steps between two updates
PRETRAIN_EXCHANGE = 0.1
PRETRAIN_STEP_SIZE = 0.15  # bohr; the walkers need only be representative here
ENERGY_SWEEPS = 20  # of the check at the end
CORRELATION_MARGIN = 1.5


class PretrainResult(NamedTuple):
    """Where training starts: parameters, the network's walkers, and the energy found."""

    params: Params
    electrons: Array  # (n_walkers, n_electrons, 3), bohr
    loss: float  # mean squared difference of orbitals at the end
    energy: Estimate  # of the pretrained network, hartree


def determinant_targets(
    scf: ScfOrbitals, electrons: Array, nuclei_coords: Array, network: tuple[Array, Array]
) -> tuple[Array, Array]:
    """The orbitals that each determinant of one walker is matched to.

    Determinant d gets term d of the sum of determinants that comes with the SCF orbitals. Where a
    network has more determinants than the sum has terms, it begins again; a term's coefficient is
    divided among those that share it. With full determinants the target is block diagonal: orbitals
    of one spin vanish at the electrons of the other.

    Args:
        scf: orbitals with their sum of determinants.
        electrons: (n_electrons, 3), bohr.
        nuclei_coords: (n_nuclei, 3), bohr.
        network: the network's orbitals, for their shapes (determinants, n_spin, columns).

    Returns:
        Two arrays of the network's shapes.
    """
    n_determinants = network[0].shape[0]
    n_terms = min(scf.terms_up.shape[0], n_determinants)
    term = np.arange(n_determinants) % n_terms
    sharing = np.bincount(term)[term]
    scale = (sharing.min() / sharing) ** (1.0 / electrons.shape[0])
    up, down = (
        values[term] * jnp.asarray(scale, values.dtype)[:, None, None]
        for values in eval_terms(scf, electrons, nuclei_coords)
    )
    n_up, n_down = up.shape[1], down.shape[1]
    if network[0].shape[2] == n_up + n_down:
        up = jnp.pad(up, ((0, 0), (0, 0), (0, n_down)))
    if network[1].shape[2] == n_up + n_down:
        down = jnp.pad(down, ((0, 0), (0, 0), (n_up, 0)))
    return up, down


def orbital_loss(
    problem: Problem, scf: ScfOrbitals, params: Params, electrons: Array, nuclei: Nuclei
) -> Array:
    """Mean squared difference of all orbitals of all determinants over walkers, shape ()."""
    orbitals = problem.ansatz.orbitals
    assert orbitals is not None

    def one(walker: Array) -> Array:
        network = orbitals(params, walker, nuclei)
        target = determinant_targets(scf, walker, nuclei.coords, network)
        squares = [jnp.sum((n - t) ** 2) for n, t in zip(network, target, strict=True)]
        return (squares[0] + squares[1]) / (network[0].size + network[1].size)

    return jnp.mean(jax.vmap(one)(electrons))


def _make_step(
    problem: Problem, config: PretrainConfig
) -> tuple[Callable, optax.GradientTransformation]:
    """The jitted update of parameters, optimiser state and both sets of walkers, and its Adam."""
    schedule = optax.cosine_decay_schedule(config.learning_rate, config.iterations)
    transform = optax.adam(schedule)
    spec = AnsatzSpec(problem.n_up, problem.n_down, problem.nuclei.charges.shape[0])

    @jax.jit
    def step(key, params, state, network_walkers, scf_walkers, nuclei, scf):
        target = slater.build_terms(spec._replace(scf=scf))
        key_network, key_scf = jax.random.split(key)

        def move(key, ansatz, ansatz_params, electrons):
            logabs = batched_logabs(ansatz, ansatz_params, nuclei)
            size = jnp.asarray(PRETRAIN_STEP_SIZE, electrons.dtype)
            moves = Moves(nuclei, size, problem.n_up, PRETRAIN_EXCHANGE)
            walkers, _ = sweep(key, electrons, logabs, moves, STEPS_PER_ITERATION)
            return walkers.electrons

        network_walkers = move(key_network, problem.ansatz, params, network_walkers)
        scf_walkers = move(key_scf, target, {}, scf_walkers)
        both = jnp.concatenate([network_walkers, scf_walkers])
        loss, gradient = jax.value_and_grad(lambda p: orbital_loss(problem, scf, p, both, nuclei))(
            params
        )
        updates, state = transform.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, network_walkers, scf_walkers, loss

    return step, transform


def pretrain(
    problem: Problem,
    scf: ScfOrbitals,
    reference_energy: float,
    config: PretrainConfig,
    sampler: SamplerConfig,
    seed: int,
    progress: Progress,
) -> PretrainResult:
    """Fits the network's orbitals and checks the energy that they give.

    A wavefunction that is made of the SCF orbitals has none to fit: it gets its walkers only, and
    its energy is not judged (a Jastrow factor may raise it before it is trained).

    Args:
        problem: wavefunction and system.
        scf: the target orbitals.
        reference_energy: their SCF energy, hartree.
        config: length, learning rate, tolerance.
        sampler: number of walkers and moves.
        seed: of the initial parameters and all random numbers here.
        progress: called with the number of finished iterations.

    Raises:
        NotConvergedError: the energy lies further above the reference than the tolerance.
    """
    nuclei, n_up, n_down = problem.nuclei, problem.n_up, problem.n_down
    if problem.ansatz.needs_scf and config.iterations:
        progress.say("the wavefunction is made of the SCF orbitals: nothing to fit")
        config = config.model_copy(update={"iterations": 0})
    if config.iterations and problem.ansatz.orbitals is None:
        raise InputError(
            "This wavefunction offers no orbitals to pretrain; set pretrain.iterations to 0."
        )
    key_params, key_walkers, key_scf, key_steps, key_check = jax.random.split(
        jax.random.fold_in(jax.random.key(seed), 1), 5
    )
    params = copy_everywhere(problem.ansatz.init(key_params, nuclei))
    half = -(-(config.walkers or sampler.walkers) // 2)
    electrons = divide_walkers(init_walkers(key_walkers, nuclei, n_up, n_down, half))
    loss = jnp.asarray(jnp.nan)
    if config.iterations:
        scf_walkers = divide_walkers(init_walkers(key_scf, nuclei, n_up, n_down, half))
        step, transform = _make_step(problem, config)
        state = transform.init(params)
        for iteration in range(config.iterations):
            key = jax.random.fold_in(key_steps, iteration)
            params, state, electrons, scf_walkers, loss = step(
                key, params, state, electrons, scf_walkers, nuclei, scf
            )
            if (iteration + 1) % 20 == 0 or iteration + 1 == config.iterations:
                progress(iteration + 1, f"orbital mean squared error {float(loss):.2e}")
    # Copies part during the equilibration that follows.
    electrons = jnp.tile(electrons, (-(-sampler.walkers // half), 1, 1))[: sampler.walkers]
    electrons = divide_walkers(electrons)
    electrons, energy = _check_energy(key_check, problem, params, electrons, sampler)
    excess = energy.mean - reference_energy
    progress.say(
        f"E = {energy.mean:.4f} ± {energy.error:.4f} Eh, SCF reference {reference_energy:.4f} Eh"
    )
    if config.iterations and not excess - 3 * energy.error < config.tolerance_hartree:
        raise NotConvergedError(
            f"After pretraining the energy {energy.mean:.4f} ± {energy.error:.4f} Eh is "
            f"{1000 * excess:.0f} mEh above its SCF reference {reference_energy:.4f} Eh (allowed: "
            f"{1000 * config.tolerance_hartree:.0f} mEh); raise pretrain.iterations, change its "
            "learning rate, or allow more with pretrain.tolerance_hartree and leave it to training."
        )
    return PretrainResult(params, electrons, float(loss), energy)


def _check_energy(
    key: Array,
    problem: Problem,
    params: Params,
    electrons: Array,
    sampler: SamplerConfig,
) -> tuple[Array, Estimate]:
    """Equilibrates the network's walkers and averages their local energies, unclipped."""
    sweep_once = make_sweep(problem, sampler.exchange_probability)
    energies = make_energies(problem)
    nuclei, n_steps = problem.nuclei, sampler.decorrelation_steps
    key_burn, key_measure = jax.random.split(key)
    electrons, step_size, _ = burn_in(
        sweep_once,
        sampler,
        jax.random.split(key_burn, 2 * ENERGY_SWEEPS),
        params,
        electrons,
        jnp.asarray(PRETRAIN_STEP_SIZE, electrons.dtype),
        nuclei,
    )
    means = []
    for one in jax.random.split(key_measure, ENERGY_SWEEPS):
        electrons, _ = sweep_once(one, params, electrons, step_size, nuclei, n_steps)
        means.append(float(np.mean(fetch(energies(params, electrons, nuclei).total), dtype=float)))
    # The sweeps are nearly independent: their spread gives the error, with a margin for the rest.
    error = CORRELATION_MARGIN * float(np.std(means, ddof=1)) / np.sqrt(ENERGY_SWEEPS)
    return electrons, Estimate(float(np.mean(means)), error)
