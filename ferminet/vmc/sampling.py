"""Metropolis-Hastings sampling of |psi|^2 with all-electron moves, exchanges and hops.

Three proposals are mixed: a Gaussian displacement of all electrons, each in proportion to the local
length scale; the exchange of one spin-up with one spin-down electron; and the hop of one electron
from the nearest nucleus to another one. Gaussian moves hardly cross the empty space between
separated atoms: there exchanges swap the spins of atoms, and hops change their charges.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, Array, Nuclei, Params
from ferminet.vmc.geometries import map_walkers

CLOUD_WIDTH = 0.8  # bohr, standard deviation of initial walkers


class Walkers(NamedTuple):
    """Samples of |psi|^2."""

    electrons: Array  # (n_walkers, n_electrons, 3), bohr
    logabs: Array  # (n_walkers,), log|psi| with the parameters of the last move


class Moves(NamedTuple):
    """The parameters of the moves."""

    nuclei: Nuclei
    step_size: Array  # (), bohr: standard deviation of a move where the local length is 1 bohr
    n_up: int
    exchange_probability: float
    hop_probability: float = 0.0


class MoveInfo(NamedTuple):
    """Acceptances of a sweep; shape () each, 1 if no such move was proposed."""

    acceptance: Array  # of the Gaussian moves
    exchange_acceptance: Array  # of the exchanges


LogProbability = Callable[[Array], Array]  # (n_walkers, n_electrons, 3) -> log|psi| (n_walkers,)


def batched_logabs(ansatz: Ansatz, params: Params, nuclei: Nuclei) -> LogProbability:
    """Make `electrons -> log|psi|` for many walkers."""

    def logabs(nuclei: Nuclei, electrons: Array) -> Array:
        return ansatz.apply(params, electrons, nuclei).logabs

    return partial(map_walkers, logabs, nuclei)


def assign_electrons(key: Array, charges: Array, n_up: int, n_down: int) -> Array:
    """Draw the nucleus at which each electron starts, (n_up + n_down,), spin-up electrons first.

    Every nucleus gets about as many electrons as its charge; every arrangement of the spins over
    the nuclei is equally likely.
    """
    n_electrons = n_up + n_down
    key_order, key_tie = jax.random.split(key)
    # The first floor(Z) seats of each nucleus come before any extra seat (anions), and a random
    # subset stays empty in cations: seat s of a nucleus has priority s / Z plus a random tie-break.
    seats = jnp.arange(n_electrons)[None, :]
    tie = jax.random.uniform(key_tie, (charges.shape[0], n_electrons))
    priority = jnp.floor((seats + 0.5) / jnp.maximum(charges, 1.0)[:, None]) * 2.0 + tie
    nearest = jnp.argsort(priority.reshape(-1))[:n_electrons] // n_electrons
    return jax.random.permutation(key_order, nearest)


def init_walkers(key: Array, nuclei: Nuclei, n_up: int, n_down: int, n_walkers: int) -> Array:
    """Draw walkers (n_walkers, n_up + n_down, 3), bohr, from Gaussian clouds around the nuclei."""
    key_assign, key_noise = jax.random.split(key)
    assign = jax.vmap(lambda k: assign_electrons(k, nuclei.charges, n_up, n_down))
    home = assign(jax.random.split(key_assign, n_walkers))
    noise = jax.random.normal(key_noise, (*home.shape, 3), nuclei.coords.dtype)
    return nuclei.coords[home] + CLOUD_WIDTH * noise


def local_lengths(electrons: Array, nuclei: Nuclei) -> Array:
    """Return the length over which |psi|^2 changes at each electron, bohr.

    min_I (|r - R_I| + 1/Z_I) is short in the cores and long in the tails. Moves in proportion to it
    decorrelate sum r^2 of LiH, Be and N2 7 to 15 times faster than moves of one size at the same
    acceptance (docs/explanation/physics.md).
    """
    distances = jnp.linalg.norm(electrons[..., None, :] - nuclei.coords, axis=-1)
    return jnp.min(distances + 1.0 / nuclei.charges, axis=-1)


class Proposal(NamedTuple):
    """A proposed move of each walker."""

    electrons: Array  # (n_walkers, n_electrons, 3), bohr
    log_ratio: Array  # (n_walkers,), log of q(reverse move) / q(move)
    is_displacement: Array  # (n_walkers,), bool
    is_exchange: Array  # (n_walkers,), bool


def propose_displacement(
    key: Array, electrons: Array, nuclei: Nuclei, step_size: Array
) -> tuple[Array, Array]:
    """Propose a Gaussian move of all electrons, each in proportion to its local length.

    Returns (n_walkers, n_electrons, 3), and log q(reverse) / q(move) (n_walkers,), which is not
    zero because the reverse move uses the lengths at the new positions.
    """
    noise = jax.random.normal(key, electrons.shape, electrons.dtype)
    width = step_size * local_lengths(electrons, nuclei)  # (n_walkers, n_electrons)
    proposed = electrons + width[..., None] * noise
    reverse = step_size * local_lengths(proposed, nuclei)
    squares = jnp.sum(noise**2, axis=-1)
    log_ratio = 3.0 * jnp.log(width / reverse) + 0.5 * squares * (1.0 - (width / reverse) ** 2)
    return proposed, jnp.sum(log_ratio, axis=-1)


def propose(key: Array, electrons: Array, moves: Moves) -> Proposal:
    """Propose a displacement, an exchange (which is self-inverse) or a hop for each walker."""
    n_walkers, n_electrons, _ = electrons.shape
    key_gauss, key_kind, key_up, key_down = jax.random.split(key, 4)
    proposed, log_ratio = propose_displacement(key_gauss, electrons, moves.nuclei, moves.step_size)
    n_up, exchanges = moves.n_up, moves.exchange_probability
    if n_up in (0, n_electrons):
        exchanges = 0.0
    is_exchange = is_hop = jnp.zeros(n_walkers, bool)
    if exchanges > 0.0:
        up = jax.random.randint(key_up, (n_walkers,), 0, n_up)
        down = jax.random.randint(key_down, (n_walkers,), n_up, n_electrons)
        exchanged = jax.vmap(exchange)(electrons, up, down)
        is_exchange = jax.random.bernoulli(key_kind, exchanges, (n_walkers,))
        proposed = jnp.where(is_exchange[:, None, None], exchanged, proposed)
        log_ratio = jnp.where(is_exchange, 0.0, log_ratio)
    if moves.hop_probability > 0.0 and len(moves.nuclei.charges) > 1:
        # The first four numbers that are folded into a key give the keys of its split.
        key_hop, key_kind = (jax.random.fold_in(key, number) for number in (4, 5))
        hopped, hop_ratio = propose_hop(key_hop, electrons, moves.nuclei)
        # The share of the hops among the moves that are no exchanges.
        share = moves.hop_probability / (1.0 - exchanges)
        is_hop = jax.random.bernoulli(key_kind, share, (n_walkers,)) & ~is_exchange
        proposed = jnp.where(is_hop[:, None, None], hopped, proposed)
        log_ratio = jnp.where(is_hop, hop_ratio, log_ratio)
    return Proposal(proposed, log_ratio, ~(is_exchange | is_hop), is_exchange)


def propose_hop(key: Array, electrons: Array, nuclei: Nuclei) -> tuple[Array, Array]:
    """Propose to move one electron of each walker from its nucleus to another one.

    An electron whose nearest nucleus is A moves by R_B - R_A, with a probability of B in proportion
    to 1 / |R_A - R_B|^4. The move is refused unless B is the nearest nucleus of the new position:
    the reverse move could not be proposed. Returns (n_walkers, n_electrons, 3), bohr, and
    log q(reverse) / q(move) (n_walkers,).
    """
    key_electron, key_nucleus = jax.random.split(key)
    n_walkers, n_electrons, _ = electrons.shape
    index = jax.random.randint(key_electron, (n_walkers,), 0, n_electrons)
    chosen = (jnp.arange(n_electrons) == index[:, None])[..., None]
    position = jnp.sum(jnp.where(chosen, electrons, 0.0), axis=1)  # (n_walkers, 3)
    squares = jnp.sum((nuclei.coords[:, None] - nuclei.coords) ** 2, axis=-1)
    itself = jnp.eye(len(squares), dtype=bool)
    weights = jnp.where(itself, -jnp.inf, -2.0 * jnp.log(jnp.where(itself, 1.0, squares)))
    log_probability = jax.nn.log_softmax(weights, axis=1)

    def nearest(positions: Array) -> Array:
        return jnp.argmin(jnp.sum((positions[:, None] - nuclei.coords) ** 2, axis=-1), axis=1)

    old = nearest(position)
    new = jax.random.categorical(key_nucleus, log_probability[old])
    shift = nuclei.coords[new] - nuclei.coords[old]
    log_ratio = log_probability[new, old] - log_probability[old, new]
    log_ratio = jnp.where(nearest(position + shift) == new, log_ratio, -jnp.inf)
    return electrons + jnp.where(chosen, shift[:, None], 0.0), log_ratio


def exchange(electrons: Array, first: Array, second: Array) -> Array:
    """Exchange the positions of two electrons of one walker (n_electrons, 3)."""
    return electrons.at[first].set(electrons[second]).at[second].set(electrons[first])


def metropolis_step(
    key: Array, walkers: Walkers, logabs: LogProbability, moves: Moves
) -> tuple[Walkers, MoveInfo]:
    """Do one Metropolis-Hastings step of every walker; reject moves to non-finite values."""
    key_propose, key_accept = jax.random.split(key)
    proposal = propose(key_propose, walkers.electrons, moves)
    proposed_logabs = logabs(proposal.electrons)
    uniform = jax.random.uniform(key_accept, proposed_logabs.shape, proposed_logabs.dtype)
    # Zero stands for all numbers below the smallest; its logarithm would accept any move.
    log_uniform = jnp.log(jnp.maximum(uniform, 0.5 * jnp.finfo(uniform.dtype).eps))
    log_ratio = 2.0 * (proposed_logabs - walkers.logabs) + proposal.log_ratio
    accepted = log_ratio > log_uniform
    electrons = jnp.where(accepted[:, None, None], proposal.electrons, walkers.electrons)
    new = Walkers(electrons, jnp.where(accepted, proposed_logabs, walkers.logabs))
    return new, MoveInfo(
        _fraction(accepted, proposal.is_displacement, walkers.logabs.dtype),
        _fraction(accepted, proposal.is_exchange, walkers.logabs.dtype),
    )


def _fraction(accepted: Array, among: Array, dtype) -> Array:
    """Return the accepted fraction of the moves in `among`; 1 if there are none."""
    total = jnp.sum(among)
    fraction = jnp.sum(accepted & among) / jnp.maximum(total, 1)
    return jnp.where(total > 0, fraction, 1.0).astype(dtype)


def sweep(
    key: Array, electrons: Array, logabs: LogProbability, moves: Moves, n_steps: Array | int
) -> tuple[Walkers, MoveInfo]:
    """Do `n_steps` Metropolis steps of walkers (n_walkers, n_electrons, 3), bohr.

    log|psi| is computed first: the parameters have changed since the last sweep, and a stale value
    would keep walkers where the wavefunction has become small. Under `jit`, `n_steps` may be an
    argument. Acceptances are averaged over the steps.
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

    Only burn-in and training use it; an evaluation keeps its step size.
    """
    return step_size * jnp.exp(rate * (acceptance - target)).astype(step_size.dtype)
