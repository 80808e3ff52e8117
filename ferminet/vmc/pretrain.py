"""Pretraining: the network's orbitals are matched to Hartree-Fock orbitals.

Pfau et al. 2020, sec. III.D: the squared difference is minimised over walkers, half of them from
the target and half from the network, so that both distributions are covered. The target is the
Hartree-Fock determinant, or for broken bonds a short sum of determinants (`chemistry.expansion`).
The authors use Adam. The default is the method of Levenberg and Marquardt (`least_squares`), which
has no learning rate, for differences relative to the local density. The host loop is
`stages.pretraining`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ferminet.ansatz import slater
from ferminet.ansatz.base import AnsatzSpec, Array, Nuclei, Params
from ferminet.chemistry.gto import ScfOrbitals, eval_terms
from ferminet.config import PretrainConfig, SamplerConfig
from ferminet.vmc import least_squares
from ferminet.vmc.devices import fetch, replicate, shard_walkers
from ferminet.vmc.least_squares import Fit
from ferminet.vmc.programs import Problem, burn_in, make_energies, make_sweep
from ferminet.vmc.sampling import Moves, batched_logabs, init_walkers, sweep
from ferminet.vmc.statistics import Estimate

STEPS_PER_ITERATION = 2  # Metropolis steps between two updates
PRETRAIN_EXCHANGE = 0.1
PRETRAIN_STEP_SIZE = 0.15  # bohr; the walkers need only be representative
ENERGY_SWEEPS = 20  # of the energy measured at the end
CORRELATION_MARGIN = 1.5
# Per cubic bohr. The surface of an atom is where its density is about so low (Bader et al., J. Am.
# Chem. Soc. 109, 7968 (1987)); outside, differences count less, because Gaussians decay too fast.
OUTSIDE = 1e-3


class PretrainState(NamedTuple):
    """Everything that the next iteration depends on, apart from its number."""

    params: Params
    optimizer: Any  # of the fit
    electrons: Array  # walkers of the network, (n_walkers / 2, n_electrons, 3), bohr
    scf_electrons: Array  # walkers of the target, of the same shape


def determinant_targets(
    scf: ScfOrbitals, electrons: Array, nuclei_coords: Array, network: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Return the target orbitals of each determinant of one walker, in the network's shapes.

    Determinant d gets term d of the SCF sum of determinants. If the network has more determinants
    than the sum has terms, the terms repeat, and their coefficients are divided. With full
    determinants the target is block diagonal: orbitals vanish at electrons of the other spin.
    `network` holds the network's orbitals, (determinants, n_spin, columns) for each spin; lengths
    are in bohr.
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


def orbital_residuals(
    problem: Problem,
    scf: ScfOrbitals,
    params: Params,
    electrons: Array,
    nuclei: Nuclei,
    is_local: bool,
) -> Array:
    """Return all orbitals' weighted differences from their targets, (n_walkers, n_values).

    With `is_local` the squares have the weight 1 / density of the target at their electron, so that
    a share missing near a light nucleus counts as much as near a heavy one, as it does in
    log |psi|; otherwise all weights are 1, as in the paper. The sum of the weighted squares over
    all walkers (n_walkers, n_electrons, 3), bohr, is divided by that of the targets.
    """
    orbitals = problem.ansatz.orbitals
    assert orbitals is not None

    def of_spin(network: Array, target: Array) -> tuple[Array, Array]:
        density = jnp.mean(jnp.sum(target**2, axis=2), axis=0)  # (n_spin,), per cubic bohr
        weight = 1.0 / (density + OUTSIDE) if is_local else jnp.ones_like(density)
        differences = jnp.sqrt(weight)[:, None] * (network - target)
        return differences.ravel(), target.shape[0] * jnp.sum(weight * density)

    def of_walker(walker: Array) -> tuple[Array, Array]:
        network = orbitals(params, walker, nuclei)
        targets = determinant_targets(scf, walker, nuclei.coords, network)
        (up, up_norm), (down, down_norm) = map(of_spin, network, targets)
        return jnp.concatenate([up, down]), up_norm + down_norm

    differences, norms = jax.vmap(of_walker)(electrons)
    return differences / jnp.sqrt(jnp.sum(norms))


class Pretrainer:
    """The compiled programs of one pretraining: `init` makes a state and `step` advances it."""

    def __init__(
        self,
        problem: Problem,
        scf: ScfOrbitals,
        config: PretrainConfig,
        sampler: SamplerConfig,
        seed: int,
    ):
        self.problem, self.scf, self.sampler = problem, scf, sampler
        self.half = -(-(config.walkers or sampler.walkers) // 2)
        self.is_adam = config.method == "adam"
        self.fit = _adam(config) if self.is_adam else least_squares.METHOD
        self.keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), 5)
        self._advance = jax.jit(self._updated)

    def init(self) -> PretrainState:
        """Return random parameters, and both sets of walkers near the nuclei."""
        problem, (key_params, key_walkers, key_scf, _, _) = self.problem, self.keys
        params = replicate(problem.ansatz.init(key_params, problem.nuclei))
        electrons, scf_electrons = (
            shard_walkers(
                init_walkers(key, problem.nuclei, problem.n_up, problem.n_down, self.half)
            )
            for key in (key_walkers, key_scf)
        )
        return PretrainState(params, self.fit.init(params), electrons, scf_electrons)

    def step(self, state: PretrainState, iteration: int) -> tuple[PretrainState, Array]:
        """Do one iteration; return the new state and the relative squared error, shape ()."""
        key = jax.random.fold_in(self.keys[3], iteration)
        return self._advance(key, state, self.problem.nuclei, self.scf)

    def _updated(
        self, key: Array, state: PretrainState, nuclei: Nuclei, scf: ScfOrbitals
    ) -> tuple[PretrainState, Array]:
        problem, params = self.problem, state.params
        spec = AnsatzSpec(problem.n_up, problem.n_down, nuclei.charges.shape[0], scf)
        key_network, key_scf = jax.random.split(key)

        def move(key, ansatz, ansatz_params, electrons):
            logabs = batched_logabs(ansatz, ansatz_params, nuclei)
            size = jnp.asarray(PRETRAIN_STEP_SIZE, electrons.dtype)
            moves = Moves(nuclei, size, problem.n_up, PRETRAIN_EXCHANGE)
            walkers, _ = sweep(key, electrons, logabs, moves, STEPS_PER_ITERATION)
            return walkers.electrons

        electrons = move(key_network, problem.ansatz, params, state.electrons)
        scf_electrons = move(key_scf, slater.build_terms(spec), {}, state.scf_electrons)
        both = jnp.concatenate([electrons, scf_electrons])

        def residuals(p: Params) -> Array:
            return orbital_residuals(problem, scf, p, both, nuclei, is_local=not self.is_adam)

        params, optimizer, loss = self.fit.step(residuals, params, state.optimizer)
        return PretrainState(params, optimizer, electrons, scf_electrons), loss

    def measure_energy(self, state: PretrainState) -> tuple[Array, Estimate]:
        """Return as many equilibrated walkers as the sampler has, and their mean local energy.

        Lengths are in bohr, the energy is in hartree and not clipped.
        """
        problem, sampler, params = self.problem, self.sampler, state.params
        nuclei, n_steps, n_walkers = problem.nuclei, sampler.decorrelation_steps, sampler.walkers
        # Copies of a walker separate during the equilibration.
        electrons = jnp.tile(state.electrons, (-(-n_walkers // self.half), 1, 1))[:n_walkers]
        electrons = shard_walkers(electrons)
        sweep_once = make_sweep(problem, *sampler.shares())
        energies = make_energies(problem)
        key_burn, key_measure = jax.random.split(self.keys[4])
        keys = jax.random.split(key_burn, 2 * ENERGY_SWEEPS)
        step_size = jnp.asarray(PRETRAIN_STEP_SIZE, electrons.dtype)
        electrons, step_size = burn_in(
            sweep_once, sampler, keys, params, electrons, step_size, nuclei
        )
        means = []
        for key in jax.random.split(key_measure, ENERGY_SWEEPS):
            electrons, _ = sweep_once(key, params, electrons, step_size, nuclei, n_steps)
            total = fetch(energies(params, electrons, nuclei).total)
            means.append(float(np.mean(total, dtype=float)))
        # The error is the spread of the nearly independent sweeps, with a margin.
        error = CORRELATION_MARGIN * float(np.std(means, ddof=1)) / np.sqrt(ENERGY_SWEEPS)
        return electrons, Estimate(float(np.mean(means)), error)


def _adam(config: PretrainConfig) -> Fit:
    """Make Adam with a cosine schedule (Pfau et al. keep the rate constant)."""
    transform = optax.adam(
        optax.cosine_decay_schedule(config.learning_rate, max(config.iterations, 1))
    )

    def step(residuals, params, state):
        loss, gradient = jax.value_and_grad(lambda p: jnp.sum(residuals(p) ** 2))(params)
        updates, state = transform.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, loss

    return Fit(transform.init, step)
