"""The kinetic energy of FermiNet, with the structure of the network used.

What a general forward Laplacian cannot see, and this one uses:

* the averages over spins are the same for all electrons and are multiplied by their weights once;
* an input feature depends on one electron, a feature of a pair on r_i - r_j alone: three
  derivatives instead of 3 n, up to the place where it enters the one-electron stream;
* a determinant is a polynomial in its orbitals, psi their sum: psi and its derivatives are carried
  as numbers (times a common scale) and not as logarithms, so that a determinant that vanishes
  where psi does not is nothing special;
* nabla^2 psi / psi = tr(Phi^-1 nabla^2 Phi) + sum_k (tr M_k)^2 - tr M_k^2 for one determinant, with
  M_k = Phi^-1 d_k Phi (Jacobi's formula, twice).
"""

import jax
import jax.numpy as jnp

from ferminet.ansatz import jets
from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.ansatz.determinants import LARGEST_EXPANDED, expand_determinant
from ferminet.ansatz.envelopes import envelope_jet
from ferminet.ansatz.jastrow import jastrow_jet
from ferminet.ansatz.jets import Jet


def kinetic_energy(
    params: Params,
    electrons: Array,
    nuclei: Nuclei,
    *,
    n_up: int,
    determinants: int,
    spin_symmetric: bool,
    rescale_inputs: bool,
) -> Array:
    """-1/2 (nabla^2 psi) / psi of one walker, hartree, shape ().

    Args:
        params: of ``ferminet.build``.
        electrons: (n_electrons, 3), bohr.
        nuclei: nuclei.
        n_up: spin-up electrons.
        determinants: as in ``ferminet.build``.
        spin_symmetric: as in ``ferminet.build``.
        rescale_inputs: as in ``ferminet.build``.
    """
    n = electrons.shape[0]
    spins = [spin for spin in (slice(0, n_up), slice(n_up, n)) if spin.start < spin.stop]
    displacements = electrons[:, None] - nuclei.coords
    own = jets.vector_and_length(displacements)
    apart = 1.0 - jnp.eye(n, dtype=electrons.dtype)
    pairs = jets.vector_and_length(electrons[:, None] - electrons, apart)
    inputs = (jets.rescale(own), jets.rescale(pairs)) if rescale_inputs else (own, pairs)
    one = one_electron_stream(params, *inputs, spins, spin_symmetric)
    up, down = orbital_jets(params, one, displacements, spins, determinants, spin_symmetric)
    psi = sum_of_determinants(up, down)
    drift = psi.gradient / psi.value  # (3 n,)
    laplacian = psi.laplacian / psi.value
    if "jastrow" in params:
        factor = jets.sum_of_pairs(jastrow_jet(params["jastrow"], pairs, n_up))
        # log J = -1/2 sum_ij; each pair stands twice in the sum over i of the sums over j.
        gradient = 0.5 * jnp.sum(factor.gradient, axis=0)[:, 0]
        laplacian += (
            0.5 * jnp.sum(factor.laplacian) + jnp.sum(gradient**2) + 2.0 * jnp.sum(gradient * drift)
        )
    return -0.5 * laplacian


def one_electron_stream(
    params: Params, own: Jet, pairs: Jet, spins: list[slice], relative: bool
) -> Jet:
    """The last features of the electrons (Pfau et al. 2020, eqs. 3 to 5), by all places.

    Args:
        params: of ``ferminet.build``.
        own: (r_i - R_I, |r_i - R_I|), rescaled or not; value (n, n_nuclei, 4), gradient
            (n, n_nuclei, 3, 4).
        pairs: (r_i - r_j, |r_i - r_j|), likewise; value (n, n, 4), gradient (n, n, 3, 4).
        spins: where the electrons of each spin are.
        relative: averages are ordered as same and opposite spin instead of up and down.
    """
    one = _side_by_side(own)
    last = len(params["one_electron"]) - 1
    for layer, weights in enumerate(params["one_electron"]):
        n_one, n_two = one.value.shape[-1], pairs.value.shape[-1]
        widths = [n_one, *len(spins) * [n_one], *len(spins) * [n_two]]
        ends = [sum(widths[: index + 1]) for index in range(len(widths))]
        parts = jnp.split(weights["weight"], ends[:-1], axis=0)
        of_means, of_pairs = parts[1 : 1 + len(spins)], parts[1 + len(spins) :]
        linear = jets.linear(parts[0], one)
        if layer == 0:  # the inputs of an electron depend on its own place
            linear, means = jets.of_all_electrons(linear), _means_of_own(one, spins)
        else:
            means = [jets.mean(one[spin]) for spin in spins]
        linear += _see_means(of_means, means, spins, relative)
        linear += _see_pairs(of_pairs, pairs, spins, relative)
        linear = linear._replace(value=linear.value + weights["bias"])
        one = jets.residual(one, jets.tanh(linear)) if layer else _first(one, jets.tanh(linear))
        if layer < last:
            of_two = params["two_electron"][layer]
            linear = jets.linear(of_two["weight"], pairs)
            linear = linear._replace(value=linear.value + of_two["bias"])
            pairs = jets.residual(pairs, jets.tanh(linear))
    return one


def _side_by_side(own: Jet) -> Jet:
    """Features of all nuclei in one axis, nucleus by nucleus: (n, 4 n_nuclei)."""
    n = own.value.shape[0]
    return Jet(
        own.value.reshape(n, -1),
        jnp.swapaxes(own.gradient, 1, 2).reshape(n, 3, -1),
        own.laplacian.reshape(n, -1),
    )


def _first(own: Jet, new: Jet) -> Jet:
    """``jets.residual`` of the first layer, whose input depends on one electron each."""
    if own.value.shape != new.value.shape:
        return new
    return jets.of_all_electrons(own) + new


def _means_of_own(own: Jet, spins: list[slice]) -> list[Jet]:
    """Means over each spin of functions of the electrons' own places: gradients (3 n, d)."""
    n = own.value.shape[0]
    means = []
    for spin in spins:
        share = jnp.zeros(n, own.value.dtype).at[spin].set(1.0 / (spin.stop - spin.start))
        means.append(
            Jet(
                share @ own.value,
                (share[:, None, None] * own.gradient).reshape(3 * n, -1),
                share @ own.laplacian,
            )
        )
    return means


def _weights_of(weights: list[Array], target: int, relative: bool) -> list[Array]:
    """The weights of each spin's average, for electrons of one spin that see it."""
    return weights[::-1] if relative and target == 1 else weights


def _see_means(weights: list[Array], means: list[Jet], spins: list[slice], relative: bool) -> Jet:
    """For every electron sum_s W_s mean_s, multiplied once per spin that sees it."""
    seen = []
    for target, spin in enumerate(spins):
        terms = [
            jets.linear(weight, mean)
            for weight, mean in zip(_weights_of(weights, target, relative), means, strict=True)
        ]
        total = sum(terms[1:], terms[0])
        count = spin.stop - spin.start
        seen.append(jax.tree.map(lambda x, c=count: jnp.broadcast_to(x, (c, *x.shape)), total))
    return jets.concatenate(seen)


def _see_pairs(weights: list[Array], pairs: Jet, spins: list[slice], relative: bool) -> Jet:
    """For every electron i: sum_s W_s mean_{j in s} h_ij."""
    rows = []
    for target, seeing in enumerate(spins):
        columns = [
            jets.linear(weight / (spin.stop - spin.start), pairs[seeing, spin])
            for weight, spin in zip(_weights_of(weights, target, relative), spins, strict=True)
        ]
        rows.append(jets.concatenate(columns, axis=1))
    return jets.sum_of_pairs(jets.concatenate(rows))


def orbital_jets(
    params: Params,
    one: Jet,
    displacements: Array,
    spins: list[slice],
    determinants: int,
    spin_symmetric: bool,
) -> tuple[Jet | None, Jet | None]:
    """The orbitals of each spin's electrons: value (n_spin, columns, determinants).

    A spin without electrons is ``None``.
    """

    def evaluate(role: int, here: slice) -> Jet:
        weights = params["orbitals"][role]
        linear = jets.linear(weights["weight"], one[here])
        linear = linear._replace(value=linear.value + weights["bias"])
        envelope = envelope_jet(params["envelopes"][role], displacements[here])
        product = jets.times_own(linear, envelope, here)
        # (determinant, column) in one axis becomes two, the determinants last.
        split = lambda x: jnp.moveaxis(x.reshape(*x.shape[:-1], determinants, -1), -1, 1)  # noqa: E731
        return jax.tree.map(split, product)

    if not spin_symmetric:
        found = [evaluate(role, here) for role, here in enumerate(spins)]
        if len(spins) == 2:
            return found[0], found[1]
        return (found[0], None) if spins[0].start == 0 else (None, found[0])
    up, down = spins
    full = params["orbitals"][0]["weight"].shape[-1] // determinants > up.stop
    shift = up.stop if full else 0

    def mirrored(first: Jet, second: Jet) -> Jet:
        rolled = jax.tree.map(lambda x: jnp.roll(x, shift, axis=1), second)
        return jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=-1), first, rolled)

    return (
        mirrored(evaluate(0, up), evaluate(1, up)),
        mirrored(evaluate(1, down), evaluate(0, down)),
    )


def sum_of_determinants(up: Jet | None, down: Jet | None) -> Jet:
    """Psi times some positive number: value (), gradient (3 n,), laplacian ().

    Args:
        up: orbitals at the spin-up electrons, value (n_up, columns, determinants), gradient
            (n_up, columns, 3 n, determinants).
        down: at the spin-down electrons.
    """
    blocks = [spin for spin in (up, down) if spin is not None]
    if len(blocks) == 2 and blocks[0].value.shape[0] < blocks[0].value.shape[1]:
        blocks = [jets.concatenate(blocks)]
    determinant, log_scale = determinant_jet(blocks[0])
    for block in blocks[1:]:
        other, other_scale = determinant_jet(block)
        determinant, log_scale = determinant * other, log_scale + other_scale
    magnitude = log_scale + jnp.log(jnp.abs(determinant.value))
    shift = jnp.max(magnitude)
    weights = jnp.exp(log_scale - jnp.where(jnp.isfinite(shift), shift, 0.0))
    return jax.tree.map(lambda x: x @ weights, determinant)


def determinant_jet(orbitals: Jet) -> tuple[Jet, Array]:
    """Determinants up to a positive scale: a jet with value (determinants,), and log(scale)."""
    size = orbitals.value.shape[0]
    # The scale is a constant: it multiplies value, gradient and Laplacian alike.
    scale = jnp.max(jnp.abs(orbitals.value), axis=1)  # (n, determinants): largest of each row
    scale = jnp.where(scale > 0.0, scale, 1.0)
    scaled = Jet(
        orbitals.value / scale[:, None],
        orbitals.gradient / scale[:, None, None],
        orbitals.laplacian / scale[:, None],
    )
    log_scale = jnp.sum(jnp.log(scale), axis=0)
    if size <= LARGEST_EXPANDED:
        return expand_determinant([[scaled[i, j] for j in range(size)] for i in range(size)]), (
            log_scale
        )
    return _determinant_by_inverse(scaled), log_scale


def _determinant_by_inverse(orbitals: Jet) -> Jet:
    """D, D tr M_k and D (tr(Phi^-1 nabla^2 Phi) + sum_k (tr M_k)^2 - tr M_k^2)."""
    matrices = jnp.moveaxis(orbitals.value, -1, 0)  # (determinants, n, n)
    sign, logabs = jnp.linalg.slogdet(matrices)
    value = sign * jnp.exp(logabs)
    inverse = jnp.linalg.inv(matrices)
    products = jnp.einsum("dcr,rbkd->dkcb", inverse, orbitals.gradient)
    traces = jnp.einsum("dkcc->kd", products)
    squares = jnp.einsum("dkcb,dkbc->d", products, products)
    second = jnp.einsum("dcr,rcd->d", inverse, orbitals.laplacian)
    return Jet(value, value * traces, value * (second + jnp.sum(traces**2, axis=0) - squares))
