"""Orbitals of networks: linear maps of an electron's features, times exponential envelopes.

Each spin has a separate map. Block determinants have as many columns as electrons of the spin; the
columns of a full determinant are the spin-up orbitals and then the spin-down ones.

Pfau et al. 2020, eq. 6: the anisotropic envelope sum_m pi_m exp(-|Sigma_m (r - R_m)|), with a 3x3
matrix Sigma per nucleus and orbital. Spencer et al. 2020 (arXiv:2011.07125) replace the matrix by
a number, the isotropic envelope. Only the number's absolute value counts here, like the vector's
norm above: otherwise an optimiser step across zero would make the orbital grow without bound.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import AnsatzSpec, Array, LayerInputs, Params
from ferminet.ansatz.jastrow import init_jastrow
from ferminet.ansatz.jets import Jet
from ferminet.ansatz.layers import DenseLayer, init_dense
from ferminet.ansatz.options import NetworkOptions


def init_envelope(kind: str, charges: Array, columns: Array) -> dict[str, Array]:
    """Return parameters that start every orbital as sum_m exp(-zeta_m |r - R_m|).

    The paper starts with zeta = 1 everywhere. Here the first orbitals of a spin, as many as there
    are nuclei with a core, start as cores (zeta = Z), orbitals on hydrogen and helium as 1s, and
    all others with the exponents of the valence by Slater's rules, so that the optimiser need not
    search decay lengths over three decades.

    `columns` (n_orbitals,) are the orbitals' indices among those of their spin; `charges` are
    (n_nuclei,), and `kind` is isotropic or anisotropic.
    """
    n_cores = jnp.sum(charges > 2)
    is_core = columns < n_cores  # (n_orbitals,)
    light = charges <= 2  # (n_nuclei,)
    decay = jnp.where(
        light[:, None] | is_core, charges[:, None], valence_exponents(charges)[:, None]
    )
    weight = jnp.ones_like(decay)
    if kind == "isotropic":
        return {"weight": weight, "decay": decay}
    eye = jnp.eye(3, dtype=charges.dtype)
    return {"weight": weight, "decay": decay[..., None, None] * eye}


def valence_exponents(charges: Array) -> Array:
    """Return the exponents of the s and p valence orbitals of neutral atoms, 1/bohr.

    Slater, Phys. Rev. 36, 57 (1930): an electron is screened by 0.35 by each other one of its
    shell, by 0.85 by each of the shell below and by 1 by each further inside; the difference is
    divided by the effective quantum number. `charges` are (n_nuclei,); d shells count as s and p.
    """
    exponents = charges  # of hydrogen and helium without screening
    shells = ((0, 2, 2.0), (2, 10, 3.0), (10, 18, 3.7), (18, 36, 4.0), (36, 54, 4.2))
    for inner, core, quantum_number in shells:
        screening = inner + 0.85 * (core - inner) + 0.35 * (charges - core - 1)
        exponents = jnp.where(charges > core, (charges - screening) / quantum_number, exponents)
    return exponents


def apply_envelope(params: dict[str, Array], displacements: Array, distances: Array) -> Array:
    """Return the envelope of every orbital at every electron, (n_electrons, n_orbitals).

    `displacements` are electron minus nucleus, (n_electrons, n_nuclei, 3), and `distances` their
    lengths, bohr.
    """
    term = lambda weight, decay, *place: weight * jnp.exp(-_exponents(decay, *place))  # noqa: E731
    return _sum_over_nuclei(term, params, displacements, distances)


def envelope_jet(params: dict[str, Array], displacements: Array) -> Jet:
    """Return the envelopes as functions of their electron's position, (n_electrons, n_orbitals).

    With q = |Sigma (r - R)|: nabla q = Sigma^T Sigma (r - R) / q,
    nabla^2 q = (tr Sigma^T Sigma - |nabla q|^2) / q, and
    nabla^2 e^-q = e^-q (|nabla q|^2 - nabla^2 q). The arguments are those of `apply_envelope`.
    """
    return _sum_over_nuclei(_term_jet, params, displacements)


def _sum_over_nuclei(term: Callable, params: dict[str, Array], *positions: Array) -> Any:
    """Return the sum of `term(weight, decay, *positions)` of each nucleus.

    On a CPU the sum is written out: XLA's reductions there compute their exponentials one by one,
    which was three times slower for psi and ten times slower for its derivatives. On a GPU all
    nuclei share a few kernels.
    """
    if jax.default_backend() != "cpu":
        over_nuclei = jax.vmap(term, (0, 0, *(1 for _ in positions)))
        terms = over_nuclei(params["weight"], params["decay"], *positions)
        return jax.tree.map(lambda part: jnp.sum(part, axis=0), terms)
    weights_and_decays = list(zip(params["weight"], params["decay"], strict=True))
    terms = [
        term(weight, decay, *(position[:, nucleus] for position in positions))
        for nucleus, (weight, decay) in enumerate(weights_and_decays)
    ]
    return sum(terms[1:], terms[0])


def _exponents(decay: Array, displacements: Array, distances: Array) -> Array:
    """Return |Sigma (r - R)| of one nucleus, (n_electrons, n_orbitals)."""
    if decay.ndim == 1:
        return jnp.abs(decay) * distances[:, None]
    return jnp.sqrt(jnp.sum(_stretched(decay, displacements) ** 2, axis=-1))


def _stretched(decay: Array, displacements: Array) -> Array:
    """Return Sigma (r - R) of one nucleus, (n_electrons, n_orbitals, 3)."""
    if jax.default_backend() == "cpu":
        return jnp.einsum("okl,il->iok", decay, displacements)
    # Written out it needs no memory: XLA computes it where it is used.
    terms = [decay[..., axis] * displacements[:, axis, None, None] for axis in range(3)]
    return terms[0] + terms[1] + terms[2]


def _term_jet(weight: Array, decay: Array, displacements: Array) -> Jet:
    if decay.ndim == 1:
        decay = jnp.abs(decay)
        lengths = jnp.linalg.norm(displacements, axis=-1)[:, None]
        slopes = decay * (displacements / lengths)[..., None]  # (n_electrons, 3, n_orbitals)
        exponents = decay * lengths
        squares, seconds = decay**2, 2.0 * decay / lengths
    else:
        stretched = _stretched(decay, displacements)
        exponents = jnp.sqrt(jnp.sum(stretched**2, axis=-1))
        slopes = jnp.einsum("okl,iok->ilo", decay, stretched) / exponents[:, None]
        squares = jnp.sum(slopes**2, axis=1)
        seconds = (jnp.sum(decay**2, axis=(-2, -1)) - squares) / exponents
    value = weight * jnp.exp(-exponents)
    return Jet(value, -value[:, None] * slopes, value * (squares - seconds))


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
