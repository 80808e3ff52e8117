"""Slater-Jastrow: the conventional wavefunction of variational Monte Carlo.

It is the determinant of the SCF orbitals, or for broken bonds their short sum of determinants,
times a Jastrow factor. Its nodes are those of Hartree-Fock, and they are its only error when the
factor is flexible enough (e.g. Foulkes, Mitas, Needs and Rajagopal, Rev. Mod. Phys. 73, 33 (2001)).
All cusps are exact for any parameters: those of the electrons by `log_jastrow`, those of the nuclei
by `eval_with_cusps`. The rest of the factor (`log_boys_handy`) and backflow do not change them.

Cusps: Kato (1957) requires d log(psi)/dr = -Z of the spherical average of psi at a nucleus;
Gaussians are flat there. Following Ma, Towler, Drummond and Needs (J. Chem. Phys. 122, 224322
(2005)), the s part of an orbital is replaced within a radius of a nucleus by a function with that
slope, here a polynomial fitted to the s part; all other functions count as a constant. The fit is
linear, so it is done once for the atomic orbitals (as Manten and Luechow did, J. Chem. Phys. 115,
5362 (2001)): every linear combination of them, trained or not, has the cusp.

Backflow: x_i = r_i + xi_i, where xi_i is a sum of displacements from electrons and nuclei times
functions of distances. The two-body functions are by Feynman and Cohen; Kwon, Ceperley and Martin
applied them to electrons (Phys. Rev. B 48, 12037 (1993)); Lopez Rios, Ma, Drummond, Towler and
Needs extended them to nuclei and three bodies (Phys. Rev. E 74, 066701 (2006), eq. 8 to 12). xi_i
is the same function for all electrons of a spin: psi stays antisymmetric. The functions are
polynomials in t = 1 / (1 + (r / length)^2), even in r, so they leave all cusps unchanged. At a
nucleus the displacement vanishes as r^2, which keeps the cusps of the orbitals (ibid., eq. 14).
"""

import itertools
from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Ansatz, AnsatzSpec, Array, LogPsi, Nuclei, Params
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.ansatz.jastrow import init_boys_handy, init_jastrow, log_boys_handy, log_jastrow
from ferminet.ansatz.layers import electron_electron_features, electron_nucleus_features, same_spin
from ferminet.ansatz.options import BackflowOptions, SlaterJastrowOptions
from ferminet.ansatz.slater import scf_orbitals
from ferminet.chemistry.gto import ArrayLike, GtoBasis, ScfOrbitals, by_spin, eval_gto


def build(spec: AnsatzSpec, **options: Any) -> Ansatz:
    """Build a Slater-Jastrow wavefunction with the options of `SlaterJastrowOptions`.

    Without SCF orbitals in `spec` its functions raise `InputError` when called.
    """
    return build_correlated(spec, SlaterJastrowOptions.read(options, spec.n_up, spec.n_down))


def build_correlated(spec: AnsatzSpec, options: SlaterJastrowOptions) -> Ansatz:
    """Build the wavefunction, with backflow if the options are `BackflowOptions`."""

    def init(key, nuclei):
        del key
        scf, dtype = scf_orbitals(spec), nuclei.coords.dtype
        params = {
            "cusp": init_jastrow(dtype),
            "jastrow": init_boys_handy(options.order, spec.n_nuclei, dtype),
        }
        if options.train_orbitals:
            params["coefficients"] = {
                spin: jnp.asarray(coefficients, dtype)
                for spin, coefficients in _coefficients(scf).items()
            }
        if isinstance(options, BackflowOptions):
            params["backflow"] = init_backflow(options.backflow_order, nuclei)
        return params

    def orbitals(params, electrons, nuclei):
        scf = scf_orbitals(spec)
        if "backflow" in params:
            electrons = displaced(params["backflow"], electrons, nuclei, spec.n_up)
        atomic = eval_with_cusps(scf.basis, electrons, nuclei)
        coefficients = params.get("coefficients", _coefficients(scf))
        return by_spin(atomic, coefficients["up"], coefficients["down"])

    def apply(params, electrons, nuclei):
        psi = sum_of_determinants(*orbitals(params, electrons, nuclei))
        _, to_nuclei = electron_nucleus_features(electrons, nuclei)
        to_electrons = electron_electron_features(electrons)[..., 3]
        logabs = log_jastrow(params["cusp"], to_electrons, spec.n_up)
        logabs += log_boys_handy(
            params["jastrow"], options.order, to_nuclei, to_electrons, spec.n_up
        )
        return LogPsi(psi.sign, psi.logabs + logabs)

    return Ansatz(init, apply, orbitals, needs_scf=True)


def _coefficients(scf: ScfOrbitals) -> dict[str, ArrayLike]:
    """Return the coefficients of the sum of determinants; a closed shell has one determinant."""
    terms = {"up": scf.terms_up, "down": scf.terms_down}
    if all(np.array_equal(spin, np.broadcast_to(spin[:1], spin.shape)) for spin in terms.values()):
        return {name: spin[:1] for name, spin in terms.items()}
    return terms


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


# Powers of t_ij, t_iI and t_jI in the three-body functions.
_THREE_BODY = [(k, m, n) for k, m, n in itertools.product((1, 2), (0, 1), (0, 1)) if m + n > 0]


def init_backflow(order: int, nuclei: Nuclei) -> Params:
    """Return zero coefficients, which displace nothing, and initial lengths (bohr).

    Axes of length 2 hold pairs of the same spin, then pairs of opposite spin.
    """
    dtype, n_nuclei = nuclei.coords.dtype, len(nuclei.charges)
    three = (len(_THREE_BODY), 2, n_nuclei)
    return {
        "nucleus_length": jnp.ones(n_nuclei, dtype),
        "pair_length": jnp.ones(2, dtype),
        "cutoff_length": 1.0 / nuclei.charges,
        "nucleus": jnp.zeros((order, n_nuclei), dtype),
        "pair": jnp.zeros((order, 2), dtype),
        "along_pair": jnp.zeros(three, dtype),
        "along_nucleus": jnp.zeros(three, dtype),
    }


def displaced(params: Params, electrons: Array, nuclei: Nuclei, n_up: int) -> Array:
    """Return the coordinates at which orbitals are evaluated, (n_electrons, 3), bohr."""
    from_nuclei, to_nuclei = electron_nucleus_features(electrons, nuclei)
    pairs = electron_electron_features(electrons)
    n_electrons = len(electrons)
    same = same_spin(n_electrons, n_up)
    apart = 1.0 - jnp.eye(n_electrons, dtype=electrons.dtype)
    of_pairs = _decaying(pairs[..., 3], jnp.where(same, *params["pair_length"]))
    of_nuclei = _decaying(to_nuclei, params["nucleus_length"])
    along_pair = jnp.zeros_like(of_pairs)  # eta and Phi, (n_electrons, n_electrons)
    along_nucleus = jnp.zeros_like(of_nuclei)  # mu and Theta, (n_electrons, n_nuclei)
    for power, (of_pair, of_nucleus) in enumerate(
        zip(params["pair"], params["nucleus"], strict=True), start=1
    ):
        along_pair += jnp.where(same, *of_pair) * of_pairs**power
        along_nucleus += of_nucleus * of_nuclei**power
    for (k, m, n), phi, theta in zip(
        _THREE_BODY, params["along_pair"], params["along_nucleus"], strict=True
    ):
        product = (apart * of_pairs**k)[..., None] * (of_nuclei[:, None] ** m * of_nuclei**n)
        along_pair += jnp.sum(jnp.where(same[..., None], *phi) * product, axis=-1)
        along_nucleus += jnp.sum(jnp.where(same[..., None], *theta) * product, axis=1)
    displacement = jnp.sum((apart * along_pair)[..., None] * pairs[..., :3], axis=1)
    displacement += jnp.sum(along_nucleus[..., None] * from_nuclei, axis=1)
    return electrons + _cutoff(params, to_nuclei)[:, None] * displacement


def _decaying(distances: Array, lengths: Array) -> Array:
    """Return t of distances (bohr), which falls from 1 to 0."""
    return 1.0 / (1.0 + (distances / lengths) ** 2)


def _cutoff(params: Params, to_nuclei: Array) -> Array:
    """Return a factor that is 0 at each nucleus and 1 beyond all cut-offs, (n_electrons,)."""
    x = jnp.minimum(to_nuclei / jnp.abs(params["cutoff_length"]), 1.0)
    return jnp.prod(x**2 * (6.0 - 8.0 * x + 3.0 * x**2), axis=-1)
