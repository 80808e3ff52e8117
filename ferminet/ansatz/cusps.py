"""Gaussian orbitals with corrected cusps at the nuclei.

Kato (1957) requires d log(psi)/dr = -Z of the spherical average of psi at a nucleus of charge Z.
Gaussians are flat there. Following Ma, Towler, Drummond and Needs (J. Chem. Phys. 122, 224322
(2005)), the s part of an orbital is replaced within a radius of a nucleus by a function with that
slope; the contribution of all other functions at the nucleus is treated as a constant. They fit
the function to the local energy of each orbital; here a polynomial is fitted to the orbital's s
part. The fit is linear, so it is done once for the atomic orbitals (as Manten and Luechow did,
J. Chem. Phys. 115, 5362 (2001)): every linear combination of them, trained or not, has the cusp.
"""

from functools import cache

import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Array, Nuclei
from ferminet.chemistry.gto import GtoBasis, eval_gto

# The radius is this number over Z (bohr), the largest that Ma et al. use. With it and this degree
# the local energies of the one-electron problem spread by 0.13 (He) and 0.29 hartree (Be, core) in
# cc-pvtz, mostly due to the other electrons; with bare Gaussians they spread by 0.89 and 2.41.
RADIUS_TIMES_CHARGE = 1.0
DEGREE = 4
N_NODES = 24


@cache
def _fit() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the fit of p(x) = a_0 + a_1 x + ... to s(x) on 0 < x <= 1, with x = r / radius.

    The fit is weighted by the volume, x^2, and fulfils p'(0) = -Z radius (p(0) + eta), where eta is
    the constant of the other functions: p(x) = a_0 (1 - c x) + sum_{n > 1} a_n x^n - c eta x.

    Returns:
        Nodes (N_NODES,), the map from s at the nodes to a (DEGREE + 1, N_NODES), and a for s = 0
        and eta = 1 (DEGREE + 1,).
    """
    slope = RADIUS_TIMES_CHARGE
    points, weights = np.polynomial.legendre.leggauss(N_NODES)
    nodes, weights = 0.5 * (points + 1.0), 0.5 * weights
    powers = np.arange(2, DEGREE + 1)
    columns = np.concatenate([(1.0 - slope * nodes)[:, None], nodes[:, None] ** powers], axis=1)
    root = nodes * np.sqrt(weights)
    solve = np.linalg.pinv(columns * root[:, None]) * root  # (DEGREE, N_NODES)
    expand = np.zeros((DEGREE + 1, DEGREE))
    expand[0, 0], expand[1, 0] = 1.0, -slope
    expand[powers, powers - 1] = 1.0
    of_constant = expand @ (solve @ (slope * nodes))
    of_constant[1] -= slope
    return nodes, expand @ solve, of_constant


def eval_with_cusps(basis: GtoBasis, electrons: Array, nuclei: Nuclei) -> Array:
    """Return atomic orbitals whose linear combinations all have the cusps at the nuclei.

    Shape (n_electrons, n_ao) and order are those of `eval_gto`. The values differ only within
    `RADIUS_TIMES_CHARGE` / Z bohr of a nucleus; two derivatives are continuous at that radius.
    """
    values = eval_gto(basis, electrons, nuclei.coords)
    own = _is_own_s(basis, len(nuclei.charges)).astype(values.dtype)
    corrected = values
    for nucleus, polynomial in enumerate(_polynomials(basis, own, nuclei)):
        radius = RADIUS_TIMES_CHARGE / nuclei.charges[nucleus]
        distances = jnp.linalg.norm(electrons - nuclei.coords[nucleus], axis=-1)
        x = jnp.minimum(distances / radius, 1.0)[:, None]
        # 1 at the nucleus and 0 at the radius, with two vanishing derivatives at both.
        window = 1.0 - x**3 * (10.0 - 15.0 * x + 6.0 * x**2)
        replaced = jnp.broadcast_to(polynomial[DEGREE], values.shape)
        for power in range(DEGREE - 1, -1, -1):
            replaced = replaced * x + polynomial[power]
        corrected = corrected + window * (replaced - own[nucleus] * values)
    return corrected


def _is_own_s(basis: GtoBasis, n_nuclei: int) -> Array:
    """Return which atomic orbitals are s functions of each nucleus, (n_nuclei, n_ao)."""
    shells = basis.shells[0]
    centre_of = jnp.repeat(jnp.asarray(shells.centres), shells.coefficients.shape[-1])
    order = jnp.asarray(basis.order)  # s functions are the first of the concatenation
    centre = jnp.where(
        order < len(centre_of), centre_of[jnp.minimum(order, len(centre_of) - 1)], -1
    )
    return centre == jnp.arange(n_nuclei)[:, None]


def _polynomials(basis: GtoBasis, own: Array, nuclei: Nuclei) -> Array:
    """Return the polynomials that replace the s parts, (n_nuclei, DEGREE + 1, n_ao)."""
    nodes, of_values, of_constant = (jnp.asarray(part, nuclei.coords.dtype) for part in _fit())
    radii = RADIUS_TIMES_CHARGE / nuclei.charges
    steps = nodes[:, None] * jnp.array([0.0, 0.0, 1.0], nodes.dtype)
    positions = nuclei.coords[:, None] + radii[:, None, None] * steps
    s_parts = eval_gto(basis, positions, nuclei.coords) * own[:, None]  # (n_nuclei, N_NODES, n_ao)
    constants = eval_gto(basis, nuclei.coords, nuclei.coords) * (1.0 - own)
    fitted = jnp.einsum("pn,Ina->Ipa", of_values, s_parts)
    return fitted + of_constant[:, None] * constants[:, None]
