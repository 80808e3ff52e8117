"""The parts of the network: input features, averages over spins, dense layers.

A dense layer is plain `x @ weight + bias`, independent of any optimiser; `LayerInputs`
stores inputs that many rows share only once.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ferminet.ansatz.base import Array, LayerInputs, Nuclei, Register
from ferminet.ansatz.jets import Jet, add_slices

# (weights, inputs) -> outputs of a dense layer, registered.
DenseLayer = Callable[[dict[str, Array], LayerInputs], Array]
Features = TypeVar("Features", Array, Jet)


def init_dense(
    key: Array, n_in: int, n_out: int, dtype: DTypeLike, scale: float = 1.0
) -> dict[str, Array]:
    """Return weights of variance scale^2 / n_in and normally distributed biases."""
    key_weight, key_bias = jax.random.split(key)
    weight = jax.random.normal(key_weight, (n_in, n_out), dtype)
    weight = weight * jnp.asarray(scale / n_in**0.5, dtype)
    return {"weight": weight, "bias": jax.random.normal(key_bias, (n_out,), dtype)}


def dense(params: dict[str, Array], inputs: Array) -> Array:
    """Apply a dense layer, (..., n_in) -> (..., n_out)."""
    return inputs @ params["weight"] + params["bias"]


def dense_of_groups(params: dict[str, Array], inputs: LayerInputs) -> Array:
    """Apply a dense layer to rows, multiplying the inputs that they share only once."""
    if inputs.shared is None:
        return dense(params, inputs.own)
    start, stop = inputs.shared_offset, inputs.shared_offset + inputs.shared.shape[-1]
    first, shared, last = jnp.split(params["weight"], [start, stop])
    products = inputs.shared @ shared
    groups = zip(products, inputs.groups, strict=True)
    rows = [jnp.broadcast_to(group, (n, group.size)) for group, n in groups]
    return inputs.own @ jnp.concatenate([first, last]) + jnp.concatenate(rows) + params["bias"]


def unregistered(outputs: Array, params: dict[str, Array], inputs: LayerInputs) -> Array:
    """Return the outputs without registering the layer."""
    del params, inputs
    return outputs


def registered_dense(register: Register) -> DenseLayer:
    """Return `dense_of_groups` with its outputs passed through `register`."""
    return lambda weights, inputs: register(dense_of_groups(weights, inputs), weights, inputs)


def residual(previous: Features, new: Features) -> Features:
    """Add the input of a layer to its output where the widths agree."""
    return previous + new if previous.shape == new.shape else new


def present_spins(n_up: int, n_electrons: int) -> list[slice]:
    """Return the electrons of each spin that has any."""
    return [spin for spin in (slice(0, n_up), slice(n_up, n_electrons)) if spin.start < spin.stop]


def same_spin(n_electrons: int, n_up: int) -> Array:
    """Return whether two electrons have the same spin, (n_electrons, n_electrons)."""
    is_up = jnp.arange(n_electrons) < n_up
    return is_up[:, None] == is_up


def electron_nucleus_features(electrons: Array, nuclei: Nuclei) -> tuple[Array, Array]:
    """Return displacements (n_electrons, n_nuclei, 3) and distances to the nuclei, bohr."""
    displacements = electrons[:, None] - nuclei.coords
    return displacements, jnp.linalg.norm(displacements, axis=-1)


def electron_electron_features(electrons: Array) -> Array:
    """Return (r_i - r_j, |r_i - r_j|) of every ordered pair, (n_electrons, n_electrons, 4), bohr.

    The diagonal is zero; it is kept away from the square root, whose derivative is infinite there.
    """
    displacements = electrons[:, None] - electrons
    diagonal = jnp.eye(electrons.shape[0], dtype=electrons.dtype)
    squares = jnp.sum(displacements**2, axis=-1) + diagonal
    distances = jnp.sqrt(squares) * (1.0 - diagonal)
    return jnp.concatenate([displacements, distances[..., None]], axis=-1)


def rescale(features: Array) -> Array:
    """Turn (r, |r|) into (r log(1 + |r|) / |r|, log(1 + |r|)); (..., 4), bohr.

    The features are unchanged near the origin, where the cusps are, and grow slowly far from it.
    `rescale_inputs` in the authors' JAX code (google-deepmind/ferminet) does the same.
    """
    vectors, lengths = features[..., :3], features[..., 3:]
    new = jnp.log1p(lengths)
    return jnp.concatenate([vectors * (new / jnp.where(lengths > 0.0, lengths, 1.0)), new], axis=-1)


def one_electron_inputs(
    one_electron: Array, two_electron: Array, n_up: int, same_opposite: bool = False
) -> LayerInputs:
    """Return the inputs f_i of a layer of the one-electron stream (Pfau et al. 2020, eq. 3).

    f_i = (h_i, mean_up h, mean_down h, mean_{j up} h_ij, mean_{j down} h_ij). A spin without
    electrons has no means. All electrons share the second and the third part. The features h_i are
    (n_electrons, d_1) and h_ij (n_electrons, n_electrons, d_2). With `same_opposite` the averages
    are ordered as (same spin, opposite spin) of electron i instead of (up, down); only electrons of
    the same spin then share the second and the third part.
    """
    n_electrons, width = one_electron.shape
    spins = present_spins(n_up, n_electrons)
    means = [
        add_slices(of_spin, 0) / len(of_spin) for of_spin in map(one_electron.__getitem__, spins)
    ]
    pair_means = [add_slices(two_electron[:, spin], 1) / (spin.stop - spin.start) for spin in spins]
    if same_opposite and len(spins) == 2:
        shared = jnp.stack([jnp.concatenate(means), jnp.concatenate(means[::-1])])
        groups = (n_up, n_electrons - n_up)
        up, down = pair_means
        pair_means = [
            jnp.concatenate([up[:n_up], down[n_up:]]),
            jnp.concatenate([down[:n_up], up[n_up:]]),
        ]
    else:
        shared, groups = jnp.concatenate(means)[None], (n_electrons,)
    own = jnp.concatenate([one_electron, *pair_means], axis=-1)
    return LayerInputs(own, shared, groups, width)
