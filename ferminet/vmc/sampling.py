"""Metropolis-Hastings sampling of |psi|^2 with all-electron moves and exchanges of spins.

Two proposals are mixed: a Gaussian displacement of all electrons, each in proportion to the local
length scale, and the exchange of the positions of one spin-up with one spin-down electron. The
second lets walkers of separated atoms change which atom holds which spin, which Gaussian moves
cannot do across empty space.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, Array, Nuclei, Params


class Walkers(NamedTuple):
    """Samples of |psi|^2."""

    electrons: Array  # (n_walkers, n_electrons, 3), bohr
    logabs: Array  # (n_walkers,), log|psi| of the parameters they were last moved with


class Moves(NamedTuple):
    """How walkers are moved."""

    nuclei: Nuclei
    step_size: Array  # (), bohr: standard deviation of a move where the local length is 1 bohr
    n_up: int
    exchange_probability: float


class MoveInfo(NamedTuple):
    """What a sweep reports; shape () each."""

    acceptance: Array  # of the Gaussian moves
    exchange_acceptance: Array  # of the exchange moves (1 where none was proposed)


LogProbability = Callable[[Array], Array]  # (n_walkers, n_electrons, 3) -> log|psi| (n_walkers,)


def batched_logabs(ansatz: Ansatz, params: Params, nuclei: Nuclei) -> LogProbability:
    """Make `electrons -> log|psi|` of many walkers, from which a sweep samples."""
    return jax.vmap(lambda electrons: ansatz.apply(params, electrons, nuclei).logabs)


def assign_electrons(key: Array, charges: Array, n_up: int, n_down: int) -> Array:
    """Draw the nucleus at which each electron of one walker starts.

    Every nucleus gets about as many electrons as its charge, every arrangement of the spins over
    the nuclei being equally likely: the spins of the electrons are a random permutation.

    Args:
        key: random key.
        charges: (n_nuclei,).
        n_up: spin-up electrons.
        n_down: spin-down electrons.

    Returns:
        Indices of nuclei, (n_up + n_down,), the spin-up electrons first.
    """
    n_electrons = n_up + n_down
    key_order, key_tie = jax.random.split(key)
    # The first floor(Z) seats of each nucleus come before any extra seat (anions), and a random
    # subset stays empty in cations: seat s of a nucleus has priority s / Z plus a random tie-break.
    n_seats = n_electrons
    seats = jnp.arange(n_seats)[None, :]
    tie = jax.random.uniform(key_tie, (charges.shape[0], n_seats))
    priority = jnp.floor((seats + 0.5) / jnp.maximum(charges, 1.0)[:, None]) * 2.0 + tie
    nearest = jnp.argsort(priority.reshape(-1))[:n_electrons] // n_seats
    return jax.random.permutation(key_order, nearest)


def init_walkers(
    key: Array, nuclei: Nuclei, n_up: int, n_down: int, n_walkers: int, width: float = 0.8
) -> Array:
    """Start walkers around the nuclei, over all assignments of the spins.

    Args:
        key: random key.
        nuclei: where to start.
        n_up: spin-up electrons.
        n_down: spin-down electrons.
        n_walkers: walkers.
        width: standard deviation of the Gaussian cloud, bohr.

    Returns:
        (n_walkers, n_up + n_down, 3), bohr.
    """
    key_assign, key_noise = jax.random.split(key)
    assign = jax.vmap(lambda one: assign_electrons(one, nuclei.charges, n_up, n_down))
    home = assign(jax.random.split(key_assign, n_walkers))
    noise = jax.random.normal(key_noise, (*home.shape, 3), nuclei.coords.dtype)
    return nuclei.coords[home] + width * noise


def local_lengths(electrons: Array, nuclei: Nuclei) -> Array:
    """Return the length over which |psi|^2 changes at each electron, bohr.

    min_I (|r - R_I| + 1/Z_I): short in the cores, long in the tails. Moves in proportion to it
    decorrelate sum r^2 of LiH, Be and N2 7 to 15 times faster than moves of one size, at the same
    acceptance (docs/explanation/physics.md).
    """
    distances = jnp.linalg.norm(electrons[..., None, :] - nuclei.coords, axis=-1)
    return jnp.min(distances + 1.0 / nuclei.charges, axis=-1)


class Proposal(NamedTuple):
    """Where each walker might go."""

    electrons: Array  # (n_walkers, n_electrons, 3), bohr
    log_ratio: Array  # (n_walkers,), log of q(back) / q(there)
    is_exchange: Array  # (n_walkers,), bool


def propose_displacement(
    key: Array, electrons: Array, nuclei: Nuclei, step_size: Array
) -> tuple[Array, Array]:
    """Propose a Gaussian move of all electrons, each in proportion to its local length.

    Returns:
        Proposed electrons (n_walkers, n_electrons, 3) and log q(back) / q(there) (n_walkers,),
        which is not zero because the way back is drawn with the lengths at the new place.
    """
    noise = jax.random.normal(key, electrons.shape, electrons.dtype)
    there = step_size * local_lengths(electrons, nuclei)  # (n_walkers, n_electrons)
    proposed = electrons + there[..., None] * noise
    back = step_size * local_lengths(proposed, nuclei)
    squares = jnp.sum(noise**2, axis=-1)
    log_ratio = 3.0 * jnp.log(there / back) + 0.5 * squares * (1.0 - (there / back) ** 2)
    return proposed, jnp.sum(log_ratio, axis=-1)


def propose(
    key: Array,
    electrons: Array,
    nuclei: Nuclei,
    step_size: Array,
    n_up: int,
    exchange_probability: float,
) -> Proposal:
    """Propose a displacement or an exchange (its own reverse) for each walker."""
    n_walkers, n_electrons, _ = electrons.shape
    key_gauss, key_kind, key_up, key_down = jax.random.split(key, 4)
    displaced, log_ratio = propose_displacement(key_gauss, electrons, nuclei, step_size)
    if exchange_probability == 0.0 or n_up == 0 or n_up == n_electrons:
        return Proposal(displaced, log_ratio, jnp.zeros(n_walkers, bool))
    up = jax.random.randint(key_up, (n_walkers,), 0, n_up)
    down = jax.random.randint(key_down, (n_walkers,), n_up, n_electrons)
    exchanged = jax.vmap(exchange)(electrons, up, down)
    is_exchange = jax.random.bernoulli(key_kind, exchange_probability, (n_walkers,))
    return Proposal(
        jnp.where(is_exchange[:, None, None], exchanged, displaced),
        jnp.where(is_exchange, 0.0, log_ratio),
        is_exchange,
    )


def exchange(electrons: Array, first: Array, second: Array) -> Array:
    """Exchange the positions of two electrons of one walker (n_electrons, 3)."""
    return electrons.at[first].set(electrons[second]).at[second].set(electrons[first])


def metropolis_step(
    key: Array, walkers: Walkers, logabs: LogProbability, moves: Moves
) -> tuple[Walkers, MoveInfo]:
    """Do one Metropolis-Hastings step of every walker; reject what is not finite."""
    key_propose, key_accept = jax.random.split(key)
    proposal = propose(key_propose, walkers.electrons, *moves)
    proposed_logabs = logabs(proposal.electrons)
    log_uniform = jnp.log(
        jax.random.uniform(key_accept, proposed_logabs.shape, proposed_logabs.dtype)
    )
    log_ratio = 2.0 * (proposed_logabs - walkers.logabs) + proposal.log_ratio
    accepted = log_ratio > log_uniform
    electrons = jnp.where(accepted[:, None, None], proposal.electrons, walkers.electrons)
    new = Walkers(electrons, jnp.where(accepted, proposed_logabs, walkers.logabs))
    return new, MoveInfo(
        _fraction(accepted, ~proposal.is_exchange, walkers.logabs.dtype),
        _fraction(accepted, proposal.is_exchange, walkers.logabs.dtype),
    )


def _fraction(accepted: Array, among: Array, dtype) -> Array:
    """Return the fraction of `among` that was accepted; 1 where there was none."""
    total = jnp.sum(among)
    fraction = jnp.sum(accepted & among) / jnp.maximum(total, 1)
    return jnp.where(total > 0, fraction, 1.0).astype(dtype)


def sweep(
    key: Array, electrons: Array, logabs: LogProbability, moves: Moves, n_steps: Array | int
) -> tuple[Walkers, MoveInfo]:
    """Do `n_steps` Metropolis steps, with log|psi| recomputed first.

    The parameters have moved since the last sweep: a stale log|psi| would let walkers stay where
    the wavefunction no longer is.

    Args:
        key: random key.
        electrons: (n_walkers, n_electrons, 3), bohr.
        logabs: log|psi| of many walkers.
        moves: how walkers are moved.
        n_steps: Metropolis steps; under `jit` it may be an argument.

    Returns:
        The walkers and the acceptances averaged over the steps.
    """

    def step(index: Array, state: tuple[Walkers, MoveInfo]) -> tuple[Walkers, MoveInfo]:
        walkers, total = state
        walkers, info = metropolis_step(jax.random.fold_in(key, index), walkers, logabs, moves)
        return walkers, jax.tree.map(jnp.add, total, info)

    start = Walkers(electrons, logabs(electrons))
    zero = jnp.zeros((), start.logabs.dtype)
    walkers, total = jax.lax.fori_loop(0, n_steps, step, (start, MoveInfo(zero, zero)))
    return walkers, jax.tree.map(lambda x: x / n_steps, total)


def adapt_step_size(step_size: Array, acceptance: Array, target: float, rate: float) -> Array:
    """Move the step size towards its target acceptance (Robbins-Monro on its logarithm).

    Used in burn-in and training only; an evaluation keeps the step size it is given.
    """
    return step_size * jnp.exp(rate * (acceptance - target)).astype(step_size.dtype)
