"""Exponential envelopes that make the orbitals decay at infinity.

Pfau et al. 2020, eq. 6: the anisotropic envelope sum_m pi_m exp(-|Sigma_m (r - R_m)|), with a 3x3
matrix Sigma per nucleus and orbital. Spencer et al. 2020 (arXiv:2011.07125) replace the matrix by
a number, the isotropic envelope.
"""

import jax.numpy as jnp

from ferminet.ansatz.base import Array

ENVELOPES = ("isotropic", "anisotropic")


def init_envelope(kind: str, charges: Array, columns: Array) -> dict[str, Array]:
    """Parameters that start every orbital as sum_m exp(-zeta_m |r - R_m|).

    The paper starts with zeta = 1 everywhere; here the first orbitals of a spin, as many as there
    are nuclei with a core, start as cores (zeta = Z), and orbitals on hydrogen and helium as 1s,
    which saves the optimiser from having to find three decades of decay lengths.

    Args:
        kind: ``isotropic`` or ``anisotropic``.
        charges: of the nuclei, (n_nuclei,).
        columns: index of each orbital among those of its spin, (n_orbitals,).
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
    """The envelope of every orbital at every electron.

    Args:
        params: from ``init_envelope``.
        displacements: electron minus nucleus, (n_electrons, n_nuclei, 3), bohr.
        distances: their lengths, (n_electrons, n_nuclei), bohr.

    Returns:
        (n_electrons, n_orbitals).
    """
    if params["decay"].ndim == 2:
        exponents = params["decay"] * distances[:, :, None]  # (n_electrons, n_nuclei, n_orbitals)
    else:
        stretched = jnp.einsum("mokl,iml->imok", params["decay"], displacements)
        exponents = jnp.sqrt(jnp.sum(stretched**2, axis=-1))
    return jnp.sum(params["weight"] * jnp.exp(-exponents), axis=1)
