"""The last step of a network: linear maps of an electron's features, times envelopes.

Each spin has its own map. Block determinants have as many columns as electrons of the spin; the
columns of a full determinant are the spin-up orbitals and then the spin-down ones.
"""

from collections.abc import Callable, Iterator

import jax.numpy as jnp

from ferminet.ansatz.base import AnsatzSpec, Array, LayerInputs, Params
from ferminet.ansatz.envelopes import apply_envelope, init_envelope
from ferminet.ansatz.layers import init_dense
from ferminet.ansatz.options import OrbitalSizes

# Orbitals start as nearly smooth envelopes. With weights of order one they start as noise, which
# leaves ten times the error after pretraining of the same length (H4, 600 iterations) and 70 mEh
# more energy.
ORBITAL_SCALE = 0.1

# (weights, inputs) -> outputs of a dense layer, registered.
DenseLayer = Callable[[dict[str, Array], LayerInputs], Array]


def init_orbitals(
    keys: Iterator[Array], spec: AnsatzSpec, sizes: OrbitalSizes, width: int, charges: Array
) -> dict[str, Params]:
    """Return random maps and envelopes of each spin that is present.

    Args:
        keys: one is taken per spin.
        spec: numbers of electrons.
        sizes: determinants and envelope.
        width: features of an electron.
        charges: of the nuclei, (n_nuclei,); their type is that of the parameters.
    """
    orbital_layers, envelopes = [], []
    for n_spin in (spec.n_up, spec.n_down):
        if n_spin:
            n_columns = spec.n_up + spec.n_down if sizes.full_determinant else n_spin
            n_orbitals = sizes.determinants * n_columns
            orbital_layers.append(
                init_dense(next(keys), width, n_orbitals, charges.dtype, ORBITAL_SCALE)
            )
            column = jnp.repeat(jnp.arange(n_columns), sizes.determinants)
            if sizes.full_determinant:
                column = jnp.where(column < spec.n_up, column, column - spec.n_up)
            envelopes.append(init_envelope(sizes.envelope, charges, column))
    return {"orbitals": orbital_layers, "envelopes": envelopes}


def orbitals_of_channel(
    params: Params,
    spin_channel: int,
    features: Array,
    displacements: Array,
    distances: Array,
    determinants: int,
    layer_of: DenseLayer,
) -> Array:
    """Return the orbitals of one spin channel at some electrons.

    Args:
        params: with the entries of `init_orbitals`.
        spin_channel: place among the spins that are present.
        features: of these electrons, (electrons, width).
        displacements: electron minus nucleus, (electrons, n_nuclei, 3), bohr.
        distances: their lengths, (electrons, n_nuclei), bohr.
        determinants: of the sum.
        layer_of: the dense layer, registered.

    Returns:
        (electrons, columns, determinants). Determinants stand last, in which order XLA works
        through all of them at once.
    """
    values = layer_of(params["orbitals"][spin_channel], LayerInputs(features))
    values = values * apply_envelope(params["envelopes"][spin_channel], displacements, distances)
    return values.reshape(values.shape[0], -1, determinants)


def orbitals_of_spins(
    params: Params,
    spec: AnsatzSpec,
    sizes: OrbitalSizes,
    features: Array,
    displacements: Array,
    distances: Array,
    layer_of: DenseLayer,
) -> tuple[Array, Array]:
    """Return the orbitals of each spin at its own electrons, (n_spin, columns, determinants) each.

    The arguments are those of `orbitals_of_channel`, for all electrons. (The spins are not joined
    before the rows are done, which would make one loop with branches of it all.)
    """
    n_electrons = spec.n_up + spec.n_down

    def of_spin(spin_channel: int, here: slice) -> Array:
        if here.start == here.stop:
            columns = n_electrons if sizes.full_determinant else 0
            return jnp.zeros((0, columns, sizes.determinants), features.dtype)
        return orbitals_of_channel(
            params,
            spin_channel,
            features[here],
            displacements[here],
            distances[here],
            sizes.determinants,
            layer_of,
        )

    return (
        of_spin(0, slice(0, spec.n_up)),
        of_spin(len(params["orbitals"]) - 1, slice(spec.n_up, n_electrons)),
    )
