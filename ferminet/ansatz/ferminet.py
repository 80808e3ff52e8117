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
from ferminet.ansatz.envelopes import (
    OrbitalInputs,
    init_orbitals,
    orbitals_of_channel,
    orbitals_of_spins,
)
from ferminet.ansatz.ferminet_kinetic import kinetic_energy
from ferminet.ansatz.jastrow import multiply_by_jastrow
from ferminet.ansatz.layers import (
    electron_electron_features,
    electron_nucleus_features,
    init_dense,
    one_electron_inputs,
    registered_dense,
    rescale,
    residual,
    unregistered,
)
from ferminet.ansatz.options import FermiNetOptions


def build(spec: AnsatzSpec, **options: Any) -> Ansatz:
    """Build a FermiNet with the options of `FermiNetOptions`, whose defaults are the paper's."""
    settings = FermiNetOptions.read(options, spec.n_up, spec.n_down)

    def orbitals(params, electrons, nuclei):
        rows = _orbital_rows(spec, settings, unregistered, params, electrons, nuclei)
        return _interleave_mirror_images(rows, spec, settings)

    def evaluate(params, electrons, nuclei, register=unregistered):
        rows = _orbital_rows(spec, settings, register, params, electrons, nuclei)
        values = [determinant_values(*(jnp.moveaxis(x, -1, 0) for x in pair)) for pair in rows]
        if settings.spin_symmetric:
            mirrored = values[1].value * settings.mirror_sign(spec.n_up)
            values[1] = values[1]._replace(value=mirrored)
        psi = sum_of_terms(jax.tree.map(lambda *parts: jnp.concatenate(parts), *values))
        return multiply_by_jastrow(psi, params, electrons, spec.n_up)

    return Ansatz(
        init=partial(_init, spec, settings),
        apply=evaluate,
        orbitals=orbitals,
        kinetic=partial(kinetic_energy, spec.n_up, settings),
        layered=evaluate,
    )


def _init(spec: AnsatzSpec, options: FermiNetOptions, key: Array, nuclei: Nuclei) -> Params:
    """Draw random weights, with envelopes that decay as the nuclear charges suggest."""
    n_spins = sum(n > 0 for n in (spec.n_up, spec.n_down))
    dtype = nuclei.coords.dtype
    keys = iter(jax.random.split(key, 2 * options.layers + 2))
    one_width, two_width = 4 * spec.n_nuclei, 4
    one_stream, two_stream = [], []
    for layer in range(options.layers):
        n_in = one_width + n_spins * (one_width + two_width)
        one_stream.append(init_dense(next(keys), n_in, options.one_electron_width, dtype))
        one_width = options.one_electron_width
        if layer < options.layers - 1:
            two_stream.append(init_dense(next(keys), two_width, options.two_electron_width, dtype))
            two_width = options.two_electron_width
    orbitals = init_orbitals(keys, spec, options, one_width, nuclei.charges)
    return {"one_electron": one_stream, "two_electron": two_stream, **orbitals}


def _orbital_rows(
    spec: AnsatzSpec,
    options: FermiNetOptions,
    register: Register,
    params: Params,
    electrons: Array,
    nuclei: Nuclei,
) -> list[tuple[Array, Array]]:
    """Return the rows of both spins, (n_spin, columns, determinants) each.

    The first pair is for the determinants; `spin_symmetric` adds one for their mirror images.
    """
    displacements, distances = electron_nucleus_features(electrons, nuclei)
    one = jnp.concatenate([displacements, distances[..., None]], axis=-1)
    two = electron_electron_features(electrons)
    if options.rescale_inputs:
        one, two = rescale(one), rescale(two)
    one = one.reshape(spec.n_up + spec.n_down, -1)  # (n_electrons, 4 n_nuclei)
    layer_of = registered_dense(register)
    for layer, weights in enumerate(params["one_electron"]):
        inputs = one_electron_inputs(one, two, spec.n_up, options.spin_symmetric)
        one = residual(one, jnp.tanh(layer_of(weights, inputs)))
        if layer < options.layers - 1:
            new = layer_of(params["two_electron"][layer], LayerInputs(two))
            two = residual(two, jnp.tanh(new))

    inputs = OrbitalInputs(one, displacements, distances)
    if not options.spin_symmetric:
        return [orbitals_of_spins(params, spec, options, inputs, layer_of)]
    # Evaluate each channel once, at all electrons: KFAC cannot handle a layer that occurs twice.
    first, second = (
        orbitals_of_channel(params, spin_channel, inputs, options.determinants, layer_of)
        for spin_channel in (0, 1)
    )
    up, down = slice(0, spec.n_up), slice(spec.n_up, spec.n_up + spec.n_down)
    return [(first[up], second[down]), (second[up], first[down])]


def _interleave_mirror_images(
    rows: list[tuple[Array, Array]], spec: AnsatzSpec, options: FermiNetOptions
) -> tuple[Array, Array]:
    """Return the rows in the form of `Ansatz.orbitals`, (determinants, n_spin, columns).

    Each mirror image follows its determinant, with the columns ordered such that its sign is +1.
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
