"""My wavefunction: a small equivariant network times envelopes, in determinants.

    ferminet check-ansatz my_net.py:build --options layers=1

The contract is in ferminet/ansatz/base.py: pure functions of one walker; electrons (n_electrons, 3)
in bohr, spin-up first; nuclei are an argument, and every array has the dtype of its inputs.
"""

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, AnsatzSpec
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.ansatz.envelopes import apply_envelope, init_envelope
from ferminet.ansatz.layers import (
    dense,
    electron_electron_features,
    electron_nucleus_features,
    init_dense,
)
from ferminet.errors import InputError


def build(spec: AnsatzSpec, *, layers: int = 2, width: int = 16, determinants: int = 2) -> Ansatz:
    """Build the wavefunction; the arguments after `*` are the options of a study.

    Args:
        spec: static numbers: n_up, n_down, n_nuclei (never coordinates).
        layers: layers of the network.
        width: features of an electron.
        determinants: determinants in the sum.

    Raises:
        InputError: an option is out of range; one sentence for the author of the study.
    """
    if min(layers, width, determinants) < 1:
        raise InputError("layers, width and determinants must be at least 1.")
    n_electrons = spec.n_up + spec.n_down
    # Slice and number of the electrons of each spin that has any; spin up is never empty.
    present = [(slice(0, spec.n_up), spec.n_up), (slice(spec.n_up, n_electrons), spec.n_down)]
    present = present[: 1 + (spec.n_down > 0)]

    def init(key, nuclei):
        """Return random parameters: any pytree of arrays with shapes set by spec and options."""
        dtype = nuclei.coords.dtype
        keys = iter(jax.random.split(key, layers + len(present)))
        n_features = 4 * spec.n_nuclei + 4 * len(present)
        network = []
        for _ in range(layers):
            n_inputs = n_features * (1 + len(present))  # of the electron, and a mean per spin
            network.append(init_dense(next(keys), n_inputs, width, dtype))
            n_features = width
        orbital_layers = [
            init_dense(next(keys), width, determinants * n, dtype, 0.1) for _, n in present
        ]
        envelopes = [
            init_envelope("isotropic", nuclei.charges, jnp.arange(determinants * number) % number)
            for _, number in present
        ]
        return {"network": network, "orbitals": orbital_layers, "envelopes": envelopes}

    def orbitals(params, electrons, nuclei):
        """Return (determinants, n_up, n_up) and (determinants, n_down, n_down), for pretraining."""
        spins = [spin for spin, _ in present]
        rows = features_of(params["network"], electrons, nuclei, spins)
        vectors, distances = electron_nucleus_features(electrons, nuclei)
        matrices = [jnp.zeros((determinants, 0, 0), electrons.dtype)] * 2
        parts = zip(present, params["orbitals"], params["envelopes"], strict=True)
        for index, ((where, number), layer, envelope) in enumerate(parts):
            decay = apply_envelope(envelope, vectors[where], distances[where])
            matrix = dense(layer, rows[where]) * decay
            matrices[index] = matrix.reshape(number, determinants, number).swapaxes(0, 1)
        return matrices[0], matrices[1]

    def apply(params, electrons, nuclei):
        """Return sign and log|psi|."""
        return sum_of_determinants(*orbitals(params, electrons, nuclei))

    # Two more functions are possible, and only save time (ferminet/ansatz/base.py):
    # kinetic: a faster -1/2 (nabla^2 psi)/psi than the general forward Laplacian;
    # layered: declares the inputs of dense layers that many electrons share.
    return Ansatz(init, apply, orbitals)


def features_of(network, electrons, nuclei, spins):
    """Return one row per electron. Exchanging two of the same spin exchanges their rows."""
    vectors, distances = electron_nucleus_features(electrons, nuclei)
    to_nuclei = jnp.concatenate([vectors, distances[..., None]], axis=-1)
    pairs = electron_electron_features(electrons)  # (n_electrons, n_electrons, 4)
    to_electrons = [jnp.mean(pairs[:, spin], axis=1) for spin in spins]
    rows = jnp.concatenate([to_nuclei.reshape(len(electrons), -1), *to_electrons], axis=-1)
    for weights in network:
        means = [jnp.mean(rows[spin], axis=0) for spin in spins]
        shared = jnp.tile(jnp.concatenate(means), (len(electrons), 1))
        new = jnp.tanh(dense(weights, jnp.concatenate([rows, shared], axis=-1)))
        rows = rows + new if rows.shape == new.shape else new
    return rows
