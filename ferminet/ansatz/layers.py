"""The parts of the network: input features, averages over spins, dense layers.

A dense layer is plainly ``x @ weight + bias``, with no optimiser in sight: KFAC finds such layers
by their pattern.
"""

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Array, Nuclei


def init_dense(key: Array, n_in: int, n_out: int, dtype) -> dict[str, Array]:
    """Weights of variance 1/n_in and normally distributed biases."""
    key_weight, key_bias = jax.random.split(key)
    weight = jax.random.normal(key_weight, (n_in, n_out), dtype) / jnp.sqrt(n_in).astype(dtype)
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


def spin_averages(features: Array, n_up: int) -> list[Array]:
    """Means over the spin-up and over the spin-down electrons of axis 0; an empty spin has none."""
    spins = (features[:n_up], features[n_up:])
    return [jnp.mean(spin, axis=0) for spin in spins if spin.shape[0]]


def one_electron_inputs(one_electron: Array, two_electron: Array, n_up: int) -> Array:
    """The vector f_i that feeds a layer of the one-electron stream (Pfau et al. 2020, eq. 3).

    Args:
        one_electron: h_i, (n_electrons, d_1).
        two_electron: h_ij, (n_electrons, n_electrons, d_2).
        n_up: number of spin-up electrons.

    Returns:
        (h_i, mean_up h, mean_down h, mean_{j up} h_ij, mean_{j down} h_ij) of every electron,
        (n_electrons, d_1 + spins (d_1 + d_2)) with ``spins`` the number of spins present.
    """
    n_electrons = one_electron.shape[0]
    means = [
        jnp.broadcast_to(mean, (n_electrons, mean.shape[-1]))
        for mean in spin_averages(one_electron, n_up)
    ]
    # Axis 0 is the averaged electron: mean over j of h_ji, of which h_ij is the mirror image.
    pair_means = spin_averages(jnp.swapaxes(two_electron, 0, 1), n_up)
    return jnp.concatenate([one_electron, *means, *pair_means], axis=-1)
