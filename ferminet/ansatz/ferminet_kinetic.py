"""The kinetic energy of FermiNet, faster than by a general forward Laplacian.

It exploits the structure of the network:

* the averages over spins are the same for all electrons and are multiplied by their weights once;
* a feature of a pair depends on r_i - r_j alone: it needs three derivatives instead of 3 n, up to
  the point where it enters the one-electron stream;
* a determinant is a polynomial in its orbitals, and psi is a sum of determinants: psi and its
  derivatives are carried as numbers (times a common scale), not as logarithms, so a determinant
  that vanishes where psi does not needs no special case;
* nabla^2 psi / psi = tr(Phi^-1 nabla^2 Phi) + sum_k (tr M_k)^2 - tr M_k^2 for one determinant, with
  M_k = Phi^-1 d_k Phi (Jacobi's formula, twice).
"""

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz import jets
from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.ansatz.determinants import LARGEST_EXPANDED, LARGEST_EXPONENT, expand_determinant
from ferminet.ansatz.elimination import eliminate, first_and_second_derivatives
from ferminet.ansatz.envelopes import envelope_jet
from ferminet.ansatz.jastrow import jastrow_jet
from ferminet.ansatz.jets import Jet
from ferminet.ansatz.layers import present_spins, residual
from ferminet.ansatz.options import FermiNetOptions


def kinetic_energy(
    n_up: int, options: FermiNetOptions, params: Params, electrons: Array, nuclei: Nuclei
) -> Array:
    """Return -1/2 (nabla^2 psi) / psi of one walker (n_electrons, 3), hartree, shape ()."""
    n = electrons.shape[0]
    spins = present_spins(n_up, n)
    displacements = electrons[:, None] - nuclei.coords
    to_nuclei = jets.vector_and_length(displacements)
    apart = 1.0 - jnp.eye(n, dtype=electrons.dtype)
    pairs = jets.vector_and_length(electrons[:, None] - electrons, apart)
    inputs = (to_nuclei, pairs)
    if options.rescale_inputs:
        inputs = (jets.rescale(to_nuclei), jets.rescale(pairs))
    one = one_electron_stream(params, *inputs, spins, options.spin_symmetric)
    rows = orbital_jets(params, one, displacements, spins, options)
    psi = sum_of_determinants(rows, [1.0, options.mirror_sign(n_up)][: len(rows)])
    drift = psi.gradient / psi.value  # (3 n,)
    laplacian = psi.laplacian / psi.value
    if "jastrow" in params:
        factor = jets.sum_pairs(jastrow_jet(params["jastrow"], pairs, n_up))
        # log J = -1/2 sum_ij; each pair occurs twice in the sum over i of the sums over j.
        gradient = 0.5 * jnp.sum(factor.gradient, axis=0)[:, 0]
        laplacian += (
            0.5 * jnp.sum(factor.laplacian) + jnp.sum(gradient**2) + 2.0 * jnp.sum(gradient * drift)
        )
    return -0.5 * laplacian


def one_electron_stream(
    params: Params, to_nuclei: Jet, pairs: Jet, spins: list[slice], same_opposite: bool
) -> Jet:
    """Return the last features of the electrons (Pfau et al. 2020, eqs. 3 to 5) as jets.

    `to_nuclei` and `pairs` are (r_i - R_I, |r_i - R_I|) and (r_i - r_j, |r_i - r_j|) or rescaled,
    with gradients (n, n_nuclei, 3, 4) and (n, n, 3, 4). With `same_opposite`, averages are ordered
    as same and opposite spin instead of up and down.
    """
    one = jets.embed_one_electron(_join_nuclei(to_nuclei))
    for layer, weights in enumerate(params["one_electron"]):
        width = one.value.shape[-1]
        of_one, of_means, of_pairs = jnp.split(
            weights["weight"], [width, (1 + len(spins)) * width], axis=0
        )
        inputs = jets.concatenate([one, _pair_means(pairs, spins, same_opposite)], axis=-1)
        linear = jets.linear(jnp.concatenate([of_one, of_pairs]), inputs)
        linear += _weighted_means(of_means, one, spins, same_opposite)
        one = residual(one, jets.tanh(jets.add_constant(linear, weights["bias"])))
        if layer < len(params["one_electron"]) - 1:
            weights = params["two_electron"][layer]
            linear = jets.add_constant(jets.linear(weights["weight"], pairs), weights["bias"])
            pairs = residual(pairs, jets.tanh(linear))
    return one


def _join_nuclei(to_nuclei: Jet) -> Jet:
    """Join the features of all nuclei in one axis, nucleus by nucleus: (n, 4 n_nuclei)."""
    n = to_nuclei.value.shape[0]
    return Jet(
        to_nuclei.value.reshape(n, -1),
        jnp.swapaxes(to_nuclei.gradient, 1, 2).reshape(n, 3, -1),
        to_nuclei.laplacian.reshape(n, -1),
    )


def _weighted_means(weights: Array, one: Jet, spins: list[slice], same_opposite: bool) -> Jet:
    """Return, for every electron, the weighted averages of all electrons over each spin.

    The weights are in the order of `layers.one_electron_inputs`.
    """
    means = [jets.mean(one[spin]) for spin in spins]
    parts = jnp.split(weights, len(spins))
    if same_opposite and len(spins) == 2:
        # W_same up + W_opposite down and its mirror image, from two products instead of four.
        same, opposite = parts
        up, down = means
        even = jets.linear(0.5 * (same + opposite), up + down)
        odd = jets.linear(0.5 * (same - opposite), up - down)
        sums = [even + odd, even - odd]
    else:
        terms = [jets.linear(part, mean) for part, mean in zip(parts, means, strict=True)]
        sums = len(spins) * [sum(terms[1:], terms[0])]
    return jets.concatenate(
        [
            jax.tree.map(lambda x, n=spin.stop - spin.start: jnp.broadcast_to(x, (n, *x.shape)), to)
            for to, spin in zip(sums, spins, strict=True)
        ]
    )


def _pair_means(pairs: Jet, spins: list[slice], same_opposite: bool) -> Jet:
    """Return, for every electron i, the averages of h_ij over the electrons j of each spin.

    `pairs` has the value (n, n, d) and the gradient (n, n, 3, d) by r_i - r_j; the result has
    the value (n, spins d) and the gradient (n, 3 n, spins d).
    """
    n, width = pairs.value.shape[0], pairs.value.shape[-1]
    share = np.zeros((n, n, len(spins)))
    for i, spin_i in enumerate(spins):
        for j, spin_j in enumerate(spins):
            column = (j - i) % 2 if same_opposite else j
            share[spin_i, spin_j, column] = 1.0 / (spin_j.stop - spin_j.start)
    share = jnp.asarray(np.repeat(share, width, axis=-1), pairs.value.dtype)  # (n, n, spins d)
    repeated = jax.tree.map(lambda x: jnp.concatenate(len(spins) * [x], axis=-1), pairs)
    value, gradient, laplacian = repeated
    return jets.sum_pairs(Jet(share * value, share[:, :, None] * gradient, share * laplacian))


def orbital_jets(
    params: Params, one: Jet, displacements: Array, spins: list[slice], options: FermiNetOptions
) -> list[list[Jet]]:
    """Return the orbital rows of the spins that are present: value (n_spin, columns, determinants).

    The first list is for the determinants; `spin_symmetric` adds one for their mirror images.
    """

    def evaluate(spin_channel: int, spin: slice) -> Jet:
        weights = params["orbitals"][spin_channel]
        linear = jets.add_constant(jets.linear(weights["weight"], one[spin]), weights["bias"])
        envelope = envelope_jet(params["envelopes"][spin_channel], displacements[spin])
        product = jets.multiply_one_electron(linear, envelope, spin)

        def split_columns(x: Array) -> Array:
            """Split (columns determinants) into two axes; columns follow the electrons."""
            return jnp.moveaxis(x.reshape(*x.shape[:-1], -1, options.determinants), -2, 1)

        return jax.tree.map(split_columns, product)

    rows = [[evaluate(channel, spin) for channel, spin in enumerate(spins)]]
    if options.spin_symmetric:
        rows.append([evaluate(1 - channel, spin) for channel, spin in enumerate(spins)])
    return rows


def sum_of_determinants(rows: list[list[Jet]], signs: list[float]) -> Jet:
    """Return psi times a positive number: value (), gradient (3 n,), laplacian ().

    The rows are from `orbital_jets`, with gradients (n_spin, columns, 3 n, determinants); the signs
    are those of the determinants and of their mirror images.
    """
    terms = []
    for blocks, sign in zip(rows, signs, strict=True):
        if len(blocks) == 2 and blocks[0].value.shape[0] < blocks[0].value.shape[1]:
            blocks = [jets.concatenate(blocks)]
        determinant, log_scale = determinant_jet(blocks[0])
        for block in blocks[1:]:
            other, other_scale = determinant_jet(block)
            determinant, log_scale = determinant * other, log_scale + other_scale
        terms.append((determinant, log_scale, sign))
    shift = jnp.max(jnp.stack([scale + jnp.log(jnp.abs(jet.value)) for jet, scale, _ in terms]))
    shift = jnp.where(jnp.isfinite(shift), shift, 0.0)
    psi: list[Jet] = []
    for determinant, log_scale, sign in terms:
        weights = sign * jnp.exp(jnp.minimum(log_scale - shift, LARGEST_EXPONENT))
        psi.append(jets.linear(weights, determinant))
    return sum(psi[1:], psi[0])


def determinant_jet(orbitals: Jet) -> tuple[Jet, Array]:
    """Return the scaled determinants, a jet with value (determinants,), and log(scale)."""
    size = orbitals.value.shape[0]
    # The scale is a constant: it divides value, gradient and Laplacian alike.
    scale = jnp.max(jnp.abs(orbitals.value), axis=1)  # (n, determinants): largest of each row
    scale = jnp.where(scale > 0.0, scale, 1.0)
    rows, blocks = scale[:, None], scale[:, None, None]
    scaled = Jet(orbitals.value / rows, orbitals.gradient / blocks, orbitals.laplacian / rows)
    log_scale = jnp.sum(jnp.log(scale), axis=0)
    if size <= LARGEST_EXPANDED:
        entries = [[scaled[i, j] for j in range(size)] for i in range(size)]
        return expand_determinant(entries), log_scale
    # Elimination stays finite where the determinant vanishes.
    factors = eliminate(scaled.value)
    first, second = first_and_second_derivatives(factors, scaled.gradient, scaled.laplacian)
    return Jet(factors.determinant(), first, second), log_scale + factors.log_scale()
