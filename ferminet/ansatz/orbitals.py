"""The last step of a network: linear maps of an electron's features, times envelopes.

Each spin has a separate map. Block determinants have as many columns as electrons of the spin; the
columns of a full determinant are the spin-up orbitals and then the spin-down ones.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import AnsatzSpec, Array, LayerInputs, Params
from ferminet.ansatz.envelopes import apply_envelope, init_envelope
from ferminet.ansatz.jastrow import init_jastrow
from ferminet.ansatz.layers import DenseLayer, init_dense
from ferminet.ansatz.options import NetworkOptions

# Orbitals start as nearly smooth envelopes. With weights of order one they would start as noise:
# pretraining of the same length (H4, 600 iterations) then leaves ten times the error and an energy
# 70 mEh higher.
ORBITAL_SCALE = 0.1


class OrbitalInputs(NamedTuple):
    """Inputs of the orbitals, a row for each electron."""

    features: Array  # (electrons, width)
    displacements: Array  # electron minus nucleus, (electrons, n_nuclei, 3), bohr
    distances: Array  # their lengths, (electrons, n_nuclei), bohr

    def rows(self, electrons: slice) -> "OrbitalInputs":
        """Return the rows of some electrons."""
        return jax.tree.map(lambda x: x[electrons], self)


def init_orbitals(
    keys: Iterator[Array], spec: AnsatzSpec, options: NetworkOptions, width: int, charges: Array
) -> dict[str, Params]:
    """Return random maps and envelopes for each spin with electrons, and the Jastrow factor if any.

    One key is taken per spin. `width` is the number of features of an electron; the parameters have
    the dtype of the nuclear charges (n_nuclei,).
    """
    orbital_layers, envelopes = [], []
    for n_spin in filter(None, (spec.n_up, spec.n_down)):
        n_columns = spec.n_up + spec.n_down if options.full_determinant else n_spin
        n_orbitals = options.determinants * n_columns
        layer = init_dense(next(keys), width, n_orbitals, charges.dtype, ORBITAL_SCALE)
        orbital_layers.append(layer)
        column = jnp.repeat(jnp.arange(n_columns), options.determinants)
        if options.full_determinant:
            column = jnp.where(column < spec.n_up, column, column - spec.n_up)
        envelopes.append(init_envelope(options.envelope, charges, column))
    params: dict[str, Params] = {"orbitals": orbital_layers, "envelopes": envelopes}
    if options.jastrow != "none":
        params["jastrow"] = init_jastrow(charges.dtype)
    return params


def orbitals_of_channel(
    params: Params,
    spin_channel: int,
    inputs: OrbitalInputs,
    determinants: int,
    layer_of: DenseLayer,
) -> Array:
    """Return one spin channel's orbitals at some electrons, (electrons, columns, determinants).

    The channel is an index among the spins that have electrons. Determinants are the last axis, so
    that XLA processes all of them at once.
    """
    values = layer_of(params["orbitals"][spin_channel], LayerInputs(inputs.features))
    envelopes = params["envelopes"][spin_channel]
    values = values * apply_envelope(envelopes, inputs.displacements, inputs.distances)
    return values.reshape(values.shape[0], -1, determinants)


def orbitals_of_spins(
    params: Params,
    spec: AnsatzSpec,
    options: NetworkOptions,
    inputs: OrbitalInputs,
    layer_of: DenseLayer,
) -> tuple[Array, Array]:
    """Return the orbitals of each spin at its electrons, (n_spin, columns, determinants) each.

    The arguments are those of `orbitals_of_channel`, for all electrons. (The spins are joined only
    when the rows are done; if they were joined earlier, XLA would make one loop with branches.)
    """
    n_electrons = spec.n_up + spec.n_down

    def of_spin(spin_channel: int, spin: slice) -> Array:
        if spin.start == spin.stop:
            columns = n_electrons if options.full_determinant else 0
            return jnp.zeros((0, columns, options.determinants), inputs.features.dtype)
        rows = inputs.rows(spin)
        return orbitals_of_channel(params, spin_channel, rows, options.determinants, layer_of)

    return (
        of_spin(0, slice(0, spec.n_up)),
        of_spin(len(params["orbitals"]) - 1, slice(spec.n_up, n_electrons)),
    )
