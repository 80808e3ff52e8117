"""The Psiformer of von Glehn, Spencer and Pfau.

"A Self-Attention Ansatz for Ab-initio Quantum Chemistry", ICLR 2023, arXiv:2211.13672. Electrons
attend to each other: each layer adds to an electron's features what multi-head self-attention
gathers from those of all electrons (eq. 8), and then a tanh layer of itself (eq. 9). Pairs of
electrons have no features; their cusps are a Jastrow factor's (eq. 6). Linear maps of the last
features times envelopes are the orbitals, and psi is a sum of their determinants.

Each map has a bias here, also those of the attention, which start at zero: a bias of the queries
and keys is one more number that the attention can use, those of the outputs shift features.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ferminet.ansatz.base import (
    Ansatz,
    AnsatzSpec,
    Array,
    LayerInputs,
    LogPsi,
    Nuclei,
    Params,
    Register,
)
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.ansatz.jastrow import init_jastrow, log_jastrow
from ferminet.ansatz.layers import (
    dense_of_groups,
    electron_electron_features,
    electron_nucleus_features,
    init_dense,
    rescale,
    unregistered,
)
from ferminet.ansatz.options import PsiformerOptions
from ferminet.ansatz.orbitals import DenseLayer, init_orbitals, orbitals_of_spins

# Of a layer normalisation: added to the variance of an electron's features.
SMALLEST_VARIANCE = 1e-5


def build(spec: AnsatzSpec, **options: Any) -> Ansatz:
    """Build a Psiformer with the options of `PsiformerOptions`, whose defaults are the paper's.

    Raises:
        InputError: an option is unknown or out of its range.
    """
    return build_psiformer(spec, PsiformerOptions.read(options, spec.n_up, spec.n_down))


def build_psiformer(spec: AnsatzSpec, options: PsiformerOptions) -> Ansatz:
    """Build a Psiformer from checked options."""

    def orbitals(params, electrons, nuclei, register=unregistered):
        up, down = _rows(spec, options, register, params, electrons, nuclei)
        return jnp.moveaxis(up, -1, 0), jnp.moveaxis(down, -1, 0)

    def evaluate(params, electrons, nuclei, register=unregistered):
        psi = sum_of_determinants(*orbitals(params, electrons, nuclei, register))
        if options.jastrow == "none":
            return psi
        distances = electron_electron_features(electrons)[..., 3]
        return LogPsi(psi.sign, psi.logabs + log_jastrow(params["jastrow"], distances, spec.n_up))

    return Ansatz(
        init=partial(_init, spec, options), apply=evaluate, orbitals=orbitals, layered=evaluate
    )


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
    orbitals = init_orbitals(keys, spec, options.orbitals, width, nuclei.charges)
    params = {"embedding": embedding, "layers": layers, **orbitals}
    return params if options.jastrow == "none" else params | {"jastrow": init_jastrow(dtype)}


def _init_map(key: Array, n_in: int, n_out: int, dtype: DTypeLike) -> dict[str, Array]:
    """Return a dense layer whose bias starts at zero."""
    return init_dense(key, n_in, n_out, dtype) | {"bias": jnp.zeros(n_out, dtype)}


def _rows(
    spec: AnsatzSpec,
    options: PsiformerOptions,
    register: Register,
    params: Params,
    electrons: Array,
    nuclei: Nuclei,
) -> tuple[Array, Array]:
    """Return the rows of both spins, (n_spin, columns, determinants) each."""
    displacements, distances = electron_nucleus_features(electrons, nuclei)

    def layer_of(weights: dict[str, Array], inputs: LayerInputs) -> Array:
        return register(dense_of_groups(weights, inputs), weights, inputs)

    seen = rescale(jnp.concatenate([displacements, distances[..., None]], axis=-1))
    spins = jnp.where(jnp.arange(len(electrons)) < spec.n_up, 1.0, -1.0).astype(electrons.dtype)
    inputs = jnp.concatenate([seen.reshape(len(electrons), -1), spins[:, None]], axis=-1)
    features = layer_of(params["embedding"], LayerInputs(inputs))  # (n_electrons, width)
    for weights in params["layers"]:
        features = features + _attention(weights, _entering(features, options), options, layer_of)
        entering = LayerInputs(_entering(features, options))
        features = features + jnp.tanh(layer_of(weights["tanh"], entering))
    return orbitals_of_spins(
        params, spec, options.orbitals, features, displacements, distances, layer_of
    )


def _entering(features: Array, options: PsiformerOptions) -> Array:
    """Return the features that enter a layer, normalised over each electron if asked for."""
    if not options.layer_norm:
        return features
    centred = features - jnp.mean(features, axis=-1, keepdims=True)
    variance = jnp.mean(centred**2, axis=-1, keepdims=True)
    return centred / jnp.sqrt(variance + SMALLEST_VARIANCE)


def _attention(
    weights: Params, features: Array, options: PsiformerOptions, layer_of: DenseLayer
) -> Array:
    """Return multi-head self-attention, (n_electrons, width) -> (n_electrons, width); eq. 7 and 8.

    Queries, keys and values of all heads are one dense layer, hence one block of KFAC.
    """
    n_electrons, width = features.shape
    joined = layer_of(weights["query_key_value"], LayerInputs(features))
    joined = joined.reshape(n_electrons, 3, options.heads, options.head_width)
    queries, keys, values = joined[:, 0], joined[:, 1], joined[:, 2]
    overlaps = jnp.einsum("ihd,jhd->hij", queries, keys) / options.head_width**0.5
    gathered = jnp.einsum("hij,jhd->ihd", jax.nn.softmax(overlaps, axis=-1), values)
    return layer_of(weights["output"], LayerInputs(gathered.reshape(n_electrons, width)))
