"""The Fermionic Neural Network of Pfau, Spencer, Matthews and Foulkes.

Phys. Rev. Research 2, 033429 (2020). Two streams of features, one per electron and one per pair of
electrons, pass through tanh layers; each layer of the first sees the averages of both over each
spin, which makes its outputs equivariant under exchange of electrons of the same spin. Linear
maps of the last features times envelopes are the orbitals; the wavefunction is a sum of their
determinants. No other symmetry is built in.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, AnsatzSpec, Array, LayerInputs, Nuclei, Params, Register
from ferminet.ansatz.determinants import determinant_values, sum_of_terms
from ferminet.ansatz.ferminet_kinetic import kinetic_energy
from ferminet.ansatz.jastrow import init_jastrow, log_jastrow
from ferminet.ansatz.layers import (
    dense_of_groups,
    electron_electron_features,
    electron_nucleus_features,
    init_dense,
    one_electron_inputs,
    rescale,
    residual,
    unregistered,
)
from ferminet.ansatz.options import FermiNetOptions
from ferminet.ansatz.orbitals import init_orbitals, orbitals_of_channel, orbitals_of_spins


def build(spec: AnsatzSpec, **options: Any) -> Ansatz:
    """Build a FermiNet with the options of `FermiNetOptions`, whose defaults are the paper's.

    Raises:
        InputError: an option is unknown, out of its range or does not fit the electrons.
    """
    return build_ferminet(spec, FermiNetOptions.read(options, spec.n_up, spec.n_down))


def build_ferminet(spec: AnsatzSpec, options: FermiNetOptions) -> Ansatz:
    """Build a FermiNet from checked options."""

    def orbitals(params, electrons, nuclei):
        rows = _orbital_rows(spec, options, unregistered, params, electrons, nuclei)
        return _as_contract(rows, spec, options)

    def evaluate(params, electrons, nuclei, register=unregistered):
        rows = _orbital_rows(spec, options, register, params, electrons, nuclei)
        values = [determinant_values(*(jnp.moveaxis(x, -1, 0) for x in pair)) for pair in rows]
        if options.spin_symmetric:
            mirrored = values[1].value * _mirror_sign(spec, options)
            values[1] = values[1]._replace(value=mirrored)
        psi = sum_of_terms(jax.tree.map(lambda *parts: jnp.concatenate(parts), *values))
        if options.jastrow == "none":
            return psi
        distances = electron_electron_features(electrons)[..., 3]
        return psi._replace(
            logabs=psi.logabs + log_jastrow(params["jastrow"], distances, spec.n_up)
        )

    return Ansatz(
        init=partial(_init, spec, options),
        apply=evaluate,
        orbitals=orbitals,
        kinetic=partial(
            kinetic_energy,
            n_up=spec.n_up,
            determinants=options.determinants,
            spin_symmetric=options.spin_symmetric,
            rescale_inputs=options.rescale_inputs,
            mirror_sign=_mirror_sign(spec, options),
        ),
        layered=evaluate,
    )


def _init(spec: AnsatzSpec, options: FermiNetOptions, key: Array, nuclei: Nuclei) -> Params:
    """Draw random weights, with envelopes that decay as the nuclear charges suggest."""
    n_spins = sum(n > 0 for n in (spec.n_up, spec.n_down))
    layers = options.layers
    dtype = nuclei.coords.dtype
    keys = iter(jax.random.split(key, 2 * layers + 2))
    one_width, two_width = 4 * spec.n_nuclei, 4
    one_stream, two_stream = [], []
    for layer in range(layers):
        n_in = one_width + n_spins * (one_width + two_width)
        one_stream.append(init_dense(next(keys), n_in, options.one_electron_width, dtype))
        one_width = options.one_electron_width
        if layer < layers - 1:
            two_stream.append(init_dense(next(keys), two_width, options.two_electron_width, dtype))
            two_width = options.two_electron_width
    params = {
        "one_electron": one_stream,
        "two_electron": two_stream,
        **init_orbitals(keys, spec, options.orbitals, one_width, nuclei.charges),
    }
    return params if options.jastrow == "none" else params | {"jastrow": init_jastrow(dtype)}


def _orbital_rows(
    spec: AnsatzSpec,
    options: FermiNetOptions,
    register: Register,
    params: Params,
    electrons: Array,
    nuclei: Nuclei,
) -> list[tuple[Array, Array]]:
    """Return the rows of both spins, (n_spin, columns, determinants) each.

    One pair for the determinants and, with `spin_symmetric`, one for their mirror images, which
    are not joined before the rows are done (`orbitals_of_spins` says why).
    """
    n_electrons = spec.n_up + spec.n_down
    displacements, distances = electron_nucleus_features(electrons, nuclei)
    one = jnp.concatenate([displacements, distances[..., None]], axis=-1)
    two = electron_electron_features(electrons)
    if options.rescale_inputs:
        one, two = rescale(one), rescale(two)
    one = one.reshape(n_electrons, -1)  # (n_electrons, 4 n_nuclei)

    def layer_of(weights: dict[str, Array], inputs: LayerInputs) -> Array:
        return register(dense_of_groups(weights, inputs), weights, inputs)

    for layer, weights in enumerate(params["one_electron"]):
        inputs = one_electron_inputs(one, two, spec.n_up, options.spin_symmetric)
        one = residual(one, jnp.tanh(layer_of(weights, inputs)))
        if layer < options.layers - 1:
            new = layer_of(params["two_electron"][layer], LayerInputs(two))
            two = residual(two, jnp.tanh(new))

    if not options.spin_symmetric:
        places = (one, displacements, distances)
        return [orbitals_of_spins(params, spec, options.orbitals, *places, layer_of)]
    # Each spin_channel is evaluated once, at all electrons: KFAC knows no layer that is used twice.
    first, second = (
        orbitals_of_channel(
            params, spin_channel, one, displacements, distances, options.determinants, layer_of
        )
        for spin_channel in (0, 1)
    )
    up, down = slice(0, spec.n_up), slice(spec.n_up, n_electrons)
    return [(first[up], second[down]), (second[up], first[down])]


def _mirror_sign(spec: AnsatzSpec, options: FermiNetOptions) -> float:
    """Return the sign of a mirror image.

    Exchanging all spins exchanges the blocks of rows of a full determinant; exchanging the blocks
    of columns as well takes the sign back. (Of a block there is only one.)
    """
    return (-1.0) ** spec.n_up if options.full_determinant else 1.0


def _as_contract(
    rows: list[tuple[Array, Array]], spec: AnsatzSpec, options: FermiNetOptions
) -> tuple[Array, Array]:
    """Return the rows in the form of `Ansatz.orbitals`, (determinants, n_spin, columns).

    Each mirror image stands behind its own determinant, with its columns in the order of the
    sign +1.
    """
    if not options.spin_symmetric:
        up, down = rows[0]
        return jnp.moveaxis(up, -1, 0), jnp.moveaxis(down, -1, 0)
    shift = spec.n_up if options.full_determinant else 0

    def join(direct: Array, mirrored: Array) -> Array:
        both = jnp.stack([direct, jnp.roll(mirrored, shift, axis=1)], axis=-1)
        return jnp.moveaxis(both.reshape(*direct.shape[:-1], -1), -1, 0)

    (up, down), (mirrored_up, mirrored_down) = rows
    return join(up, mirrored_up), join(down, mirrored_down)
