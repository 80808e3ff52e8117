"""The parts of the network: input features, averages over spins, dense layers.

A dense layer is plainly ``x @ weight + bias``, with no optimiser in sight: KFAC finds such layers
by their pattern. ``dense_of_inputs`` computes the same with fewer operations, for all other uses.
"""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ferminet.ansatz.base import Array, Nuclei


def init_dense(
    key: Array, n_in: int, n_out: int, dtype: DTypeLike, scale: float = 1.0
) -> dict[str, Array]:
    """Weights of variance scale^2 / n_in and normally distributed biases."""
    key_weight, key_bias = jax.random.split(key)
    weight = jax.random.normal(key_weight, (n_in, n_out), dtype)
    weight = weight * jnp.asarray(scale / n_in**0.5, dtype)
    return {"weight": weight, "bias": jax.random.normal(key_bias, (n_out,), dtype)}


def dense(params: dict[str, Array], inputs: Array) -> Array:
    """(..., n_in) -> (..., n_out)."""
    return inputs @ params["weight"] + params["bias"]


def residual(previous: Array, new: Array) -> Array:
    """Adds the input of a layer to its output where the widths agree."""
    return previous + new if previous.shape == new.shape else new


def electron_nucleus_features(electrons: Array, nuclei: Nuclei) -> tuple[Array, Array]:
    """Displacements (n_electrons, n_nuclei, 3) and distances (n_electrons, n_nuclei), bohr."""
    displacements = electrons[:, None] - nuclei.coords
    return displacements, jnp.linalg.norm(displacements, axis=-1)


def electron_electron_features(electrons: Array) -> Array:
    """(r_i - r_j, |r_i - r_j|) of every ordered pair, (n_electrons, n_electrons, 4), bohr.

    The diagonal is zero; it is kept away from the square root, whose derivative is infinite there.
    """
    displacements = electrons[:, None] - electrons
    diagonal = jnp.eye(electrons.shape[0], dtype=electrons.dtype)
    squares = jnp.sum(displacements**2, axis=-1) + diagonal
    distances = jnp.sqrt(squares) * (1.0 - diagonal)
    return jnp.concatenate([displacements, distances[..., None]], axis=-1)


def rescale(features: Array) -> Array:
    """From (r, |r|) to (r log(1 + |r|) / |r|, log(1 + |r|)); (..., 4), bohr.

    Unchanged near the origin, where the cusps are, and growing slowly far from it. The option of
    this name in the authors' JAX code (google-deepmind/ferminet) does the same.
    """
    vectors, lengths = features[..., :3], features[..., 3:]
    new = jnp.log1p(lengths)
    return jnp.concatenate([vectors * (new / jnp.where(lengths > 0.0, lengths, 1.0)), new], axis=-1)


def spin_averages(features: Array, n_up: int, relative: bool) -> list[Array]:
    """Means over the electrons of each spin, for every electron that sees them.

    Args:
        features: what is averaged, over axis 0, for the electron of axis 1, (n, n, d); or the same
            for all of them, (n, 1, d).
        n_up: spin-up electrons.
        relative: order the means as (same spin, opposite spin) of the electron of axis 1 instead of
            (up, down).

    Returns:
        One array (n, d) per spin; an empty spin has none.
    """
    n_electrons = features.shape[0]
    spins = [spin for spin in (features[:n_up], features[n_up:]) if spin.shape[0]]
    means = [jnp.mean(spin, axis=0) for spin in spins]
    means = [jnp.broadcast_to(mean, (n_electrons, mean.shape[-1])) for mean in means]
    if relative and len(means) == 2:
        up, down = means
        same = jnp.concatenate([up[:n_up], down[n_up:]])
        opposite = jnp.concatenate([down[:n_up], up[n_up:]])
        return [same, opposite]
    return means


def one_electron_inputs(
    one_electron: Array, two_electron: Array, n_up: int, relative: bool = False
) -> Array:
    """The vector f_i that feeds a layer of the one-electron stream (Pfau et al. 2020, eq. 3).

    Args:
        one_electron: h_i, (n_electrons, d_1).
        two_electron: h_ij, (n_electrons, n_electrons, d_2).
        n_up: number of spin-up electrons.
        relative: see ``spin_averages``.

    Returns:
        (h_i, mean_up h, mean_down h, mean_{j up} h_ij, mean_{j down} h_ij) of every electron,
        (n_electrons, d_1 + spins (d_1 + d_2)) with ``spins`` the number of spins present.
    """
    means = spin_averages(one_electron[:, None], n_up, relative)
    # Axis 0 is the averaged electron: mean over j of h_ij, so i goes to axis 1.
    pair_means = spin_averages(jnp.swapaxes(two_electron, 0, 1), n_up, relative)
    return jnp.concatenate([one_electron, *means, *pair_means], axis=-1)


def dense_of_inputs(
    params: dict[str, Array], one_electron: Array, two_electron: Array, n_up: int, relative: bool
) -> Array:
    """``dense(params, one_electron_inputs(...))``, the averages of h being multiplied once.

    They are the same for all electrons that see them; two thirds of the inputs are such averages.
    """
    width = one_electron.shape[-1]
    n_down = one_electron.shape[0] - n_up
    means = [jnp.mean(h, axis=0) for h in (one_electron[:n_up], one_electron[n_up:]) if h.shape[0]]
    n_spins = len(means)
    of_one, of_means, of_pairs = jnp.split(params["weight"], [width, (1 + n_spins) * width])
    orders = [means, means[::-1]] if relative and n_spins == 2 else [means, means]
    up, down = (jnp.concatenate(order) @ of_means for order in orders)
    seen = jnp.concatenate(
        [jnp.broadcast_to(up, (n_up, up.size)), jnp.broadcast_to(down, (n_down, up.size))]
    )
    pair_means = spin_averages(jnp.swapaxes(two_electron, 0, 1), n_up, relative)
    own = jnp.concatenate([one_electron, *pair_means], axis=-1)
    return own @ jnp.concatenate([of_one, of_pairs]) + seen + params["bias"]
