"""The Psiformer of von Glehn, Spencer and Pfau.

"A Self-Attention Ansatz for Ab-initio Quantum Chemistry", ICLR 2023, arXiv:2211.13672. Electrons
attend to each other: each layer adds to an electron's features what multi-head self-attention
gathers from those of all electrons (eq. 8), and then the output of a tanh layer (eq. 9). Pairs of
electrons have no features; a Jastrow factor provides their cusps (eq. 6). Linear maps of the last
features times envelopes are the orbitals, and psi is a sum of their determinants.

Here each map has a bias, including those of the attention, whose biases start at zero.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ferminet.ansatz.base import Ansatz, AnsatzSpec, Array, Nuclei, Params
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.ansatz.envelopes import OrbitalInputs, init_orbitals, orbitals_of_spins
from ferminet.ansatz.jastrow import multiply_by_jastrow
from ferminet.ansatz.layers import (
    dense,
    dense_of_groups,
    electron_nucleus_features,
    init_dense,
    rescale,
)
from ferminet.ansatz.options import PsiformerOptions

# Added to the variance of an electron's features in a layer normalisation.
SMALLEST_VARIANCE = 1e-5


def build(spec: AnsatzSpec, **options: Any) -> Ansatz:
    """Build a Psiformer with the options of `PsiformerOptions`, whose defaults are the paper's."""
    settings = PsiformerOptions.read(options, spec.n_up, spec.n_down)

    def orbitals(params, electrons, nuclei):
        up, down = _orbital_rows(spec, settings, params, electrons, nuclei)
        return jnp.moveaxis(up, -1, 0), jnp.moveaxis(down, -1, 0)

    def apply(params, electrons, nuclei):
        psi = sum_of_determinants(*orbitals(params, electrons, nuclei))
        return multiply_by_jastrow(psi, params, electrons, spec.n_up)

    return Ansatz(init=partial(_init, spec, settings), apply=apply, orbitals=orbitals)


def _init(spec: AnsatzSpec, options: PsiformerOptions, key: Array, nuclei: Nuclei) -> Params:
    """Draw random weights, with envelopes that decay as the nuclear charges suggest."""
    dtype, width = nuclei.coords.dtype, options.width
    keys = iter(jax.random.split(key, 3 * options.layers + 3))
    embedding = _init_map(next(keys), 4 * spec.n_nuclei + 1, width, dtype)
    layers = [
        {
            "query_key_value": _init_map(next(keys), width, 3 * width, dtype),
            "output": _init_map(next(keys), width, width, dtype),
            "tanh": init_dense(next(keys), width, width, dtype),
        }
        for _ in range(options.layers)
    ]
    orbitals = init_orbitals(keys, spec, options, width, nuclei.charges)
    return {"embedding": embedding, "layers": layers, **orbitals}


def _init_map(key: Array, n_in: int, n_out: int, dtype: DTypeLike) -> dict[str, Array]:
    """Return a dense layer whose bias starts at zero."""
    return init_dense(key, n_in, n_out, dtype) | {"bias": jnp.zeros(n_out, dtype)}


def _orbital_rows(
    spec: AnsatzSpec, options: PsiformerOptions, params: Params, electrons: Array, nuclei: Nuclei
) -> tuple[Array, Array]:
    """Return the rows of both spins, (n_spin, columns, determinants) each."""
    displacements, distances = electron_nucleus_features(electrons, nuclei)
    one = rescale(jnp.concatenate([displacements, distances[..., None]], axis=-1))
    spins = jnp.where(jnp.arange(len(electrons)) < spec.n_up, 1.0, -1.0).astype(electrons.dtype)
    inputs = jnp.concatenate([one.reshape(len(electrons), -1), spins[:, None]], axis=-1)
    features = dense(params["embedding"], inputs)  # (n_electrons, width)
    for weights in params["layers"]:
        features = features + _attention(weights, _normalise(features, options), options)
        features = features + jnp.tanh(dense(weights["tanh"], _normalise(features, options)))
    orbital_inputs = OrbitalInputs(features, displacements, distances)
    return orbitals_of_spins(params, spec, options, orbital_inputs, dense_of_groups)


def _normalise(features: Array, options: PsiformerOptions) -> Array:
    if not options.layer_norm:
        return features
    centred = features - jnp.mean(features, axis=-1, keepdims=True)
    variance = jnp.mean(centred**2, axis=-1, keepdims=True)
    return centred / jnp.sqrt(variance + SMALLEST_VARIANCE)


def _attention(weights: Params, features: Array, options: PsiformerOptions) -> Array:
    """Return multi-head self-attention, (n_electrons, width) -> (n_electrons, width); eq. 7 and 8.

    Queries, keys and values of all heads form one dense layer, hence one block of KFAC.
    """
    n_electrons, width = features.shape
    joined = dense(weights["query_key_value"], features)
    joined = joined.reshape(n_electrons, 3, options.heads, options.head_width)
    queries, keys, values = joined[:, 0], joined[:, 1], joined[:, 2]
    overlaps = jnp.einsum("ihd,jhd->hij", queries, keys) / options.head_width**0.5
    gathered = jnp.einsum("hij,jhd->ihd", jax.nn.softmax(overlaps, axis=-1), values)
    return dense(weights["output"], gathered.reshape(n_electrons, width))
