"""Exponential envelopes that make the orbitals decay at infinity.

Pfau et al. 2020, eq. 6: the anisotropic envelope sum_m pi_m exp(-|Sigma_m (r - R_m)|), with a 3x3
matrix Sigma per nucleus and orbital. Spencer et al. 2020 (arXiv:2011.07125) replace the matrix by
a number, the isotropic envelope. Only the number's absolute value counts here, like the vector's
norm above: otherwise an optimiser step across zero would make the orbital grow without bound.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from ferminet.ansatz.base import Array
from ferminet.ansatz.jets import Jet


def init_envelope(kind: str, charges: Array, columns: Array) -> dict[str, Array]:
    """Return parameters that start every orbital as sum_m exp(-zeta_m |r - R_m|).

    The paper starts with zeta = 1 everywhere. Here the first orbitals of a spin, as many as there
    are nuclei with a core, start as cores (zeta = Z), and orbitals on hydrogen and helium as 1s, so
    that the optimiser need not search decay lengths over three decades.

    `columns` (n_orbitals,) are the orbitals' indices among those of their spin; `charges` are
    (n_nuclei,), and `kind` is isotropic or anisotropic.
    """
    n_cores = jnp.sum(charges > 2)
    is_core = columns < n_cores  # (n_orbitals,)
    light = charges <= 2  # (n_nuclei,)
    decay = jnp.where(light[:, None] | is_core, charges[:, None], 1.0).astype(charges.dtype)
    weight = jnp.ones_like(decay)
    if kind == "isotropic":
        return {"weight": weight, "decay": decay}
    eye = jnp.eye(3, dtype=charges.dtype)
    return {"weight": weight, "decay": decay[..., None, None] * eye}


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

    The sum is written out: XLA's reductions on the CPU compute their exponentials one by one,
    which was three times slower for psi and ten times slower for its derivatives.
    """
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
    stretched = jnp.einsum("okl,il->iok", decay, displacements)
    return jnp.sqrt(jnp.sum(stretched**2, axis=-1))


def _term_jet(weight: Array, decay: Array, displacements: Array) -> Jet:
    if decay.ndim == 1:
        decay = jnp.abs(decay)
        lengths = jnp.linalg.norm(displacements, axis=-1)[:, None]
        slopes = decay * (displacements / lengths)[..., None]  # (n_electrons, 3, n_orbitals)
        exponents = decay * lengths
        squares, seconds = decay**2, 2.0 * decay / lengths
    else:
        stretched = jnp.einsum("okl,il->iok", decay, displacements)
        exponents = jnp.sqrt(jnp.sum(stretched**2, axis=-1))
        slopes = jnp.einsum("okl,iok->ilo", decay, stretched) / exponents[:, None]
        squares = jnp.sum(slopes**2, axis=1)
        seconds = (jnp.sum(decay**2, axis=(-2, -1)) - squares) / exponents
    value = weight * jnp.exp(-exponents)
    return Jet(value, -value[:, None] * slopes, value * (squares - seconds))
