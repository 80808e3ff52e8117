"""Observables of one walker other than its energy."""

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Ansatz, Array, LogPsi, Nuclei, Params
from ferminet.ansatz.determinants import determinant_values
from ferminet.vmc.sampling import exchange


def scaling_sentinel(ansatz: Ansatz, params: Params, electrons: Array, nuclei: Nuclei) -> Array:
    """Return 3N + 2 sum_i r_i . grad_i log|psi|, shape (), whose mean over |psi|^2 is zero.

    It is the divergence of r |psi|^2 divided by |psi|^2 (a Stein identity). The mean differs from
    zero if the samples have another distribution (a stale log|psi|, a wrong acceptance, walkers out
    of equilibrium). The variance is finite, unlike that of many energies.
    """

    def logabs(positions: Array) -> Array:
        return ansatz.apply(params, positions, nuclei).logabs

    gradient = jax.grad(logabs)(electrons)
    return electrons.size + 2.0 * jnp.sum(electrons * gradient)


def spin_squared(
    ansatz: Ansatz,
    params: Params,
    electrons: Array,
    nuclei: Nuclei,
    n_up: int,
    batch_size: int | None = None,
) -> Array:
    """Return the local value (S^2 psi) / psi, shape (), whose mean over |psi|^2 is <S^2>.

    It is M (M + 1) + n_down - sum_{i up, j down} psi(exchanged ij) / psi with
    M = (n_up - n_down) / 2 (e.g. Huang, Filippi, Umrigar, J. Chem. Phys. 108, 8838 (1998)). With
    all pairs its variance is zero if psi has a definite spin; a sum that is estimated by one random
    pair has the standard deviation n_up n_down. The walker is (n_electrons, 3), bohr, spin-up
    electrons first; `batch_size` pairs are evaluated at once, by default one.
    """
    n_electrons = electrons.shape[0]
    n_down = n_electrons - n_up
    magnetic = 0.5 * (n_up - n_down)
    constant = magnetic * (magnetic + 1.0) + n_down
    if n_up == 0 or n_down == 0:
        return jnp.asarray(constant, electrons.dtype)
    psi = ansatz.apply(params, electrons, nuclei)

    def ratio(pair: Array) -> Array:
        up, down = pair
        exchanged = ansatz.apply(params, exchange(electrons, up, down), nuclei)
        return psi.sign * exchanged.sign * jnp.exp(exchanged.logabs - psi.logabs)

    pairs = jnp.indices((n_up, n_down)).reshape(2, -1).T + jnp.asarray([0, n_up])
    return constant - jnp.sum(jax.lax.map(ratio, pairs, batch_size=batch_size))


def spin_on_first_nucleus(electrons: Array, nuclei: Nuclei, n_up: int) -> Array:
    """Return N_up - N_down of the electrons nearest to the first nucleus, shape ().

    It shows whether walkers of separated atoms change their arrangement of spins.
    """
    distances = jnp.linalg.norm(electrons[:, None] - nuclei.coords, axis=-1)
    nearest = jnp.argmin(distances, axis=1) == 0
    spin = jnp.where(jnp.arange(electrons.shape[0]) < n_up, 1.0, -1.0)
    return jnp.sum(jnp.where(nearest, spin, 0.0)).astype(electrons.dtype)


def radius_squared(electrons: Array) -> Array:
    """Return the sum over electrons of r_i^2, bohr^2, shape ()."""
    return jnp.sum(electrons**2)


def effective_determinants(
    ansatz: Ansatz, params: Params, electrons: Array, nuclei: Nuclei
) -> Array:
    """Return the participation ratio (sum_d |D_d|)^2 / sum_d D_d^2 of the determinants, shape ().

    It is 1 if one determinant dominates, the number of determinants if all are equal, and nan for a
    wavefunction without orbitals.
    """
    if ansatz.orbitals is None:
        return jnp.asarray(jnp.nan, electrons.dtype)
    logabs = determinant_values(*ansatz.orbitals(params, electrons, nuclei)).log_magnitude()
    weights = jnp.exp(logabs - jnp.max(logabs))
    return jnp.sum(weights) ** 2 / jnp.sum(weights**2)


def kato_slopes(
    ansatz: Ansatz, params: Params, electrons: Array, nuclei: Nuclei, n_up: int, step: float = 0.03
) -> dict[str, Array]:
    """Return the slopes of the spherical average of psi at coalescence points, for one walker.

    Kato (1957): d log(psi_average)/dr is -Z at a nucleus and 1/2 at two electrons of opposite spin.
    The average is over the six directions of an octahedron, the derivative a one-sided difference
    of second order over `step`, bohr.

    Returns:
        `nucleus` (n_nuclei,), where the first electron of the walker (n_electrons, 3), bohr, is
        moved; if there are both spins, `nucleus_down` and `opposite_spin` (), where the first
        spin-down electron is moved.
    """
    eye = jnp.eye(3, dtype=electrons.dtype)
    directions = jnp.concatenate([eye, -eye])

    def slope(electron: int, position: Array) -> Array:
        def psi(shift: Array) -> LogPsi:
            return ansatz.apply(params, electrons.at[electron].set(position + shift), nuclei)

        centre = psi(jnp.zeros(3, electrons.dtype))

        def average(radius: float) -> Array:
            value = jax.vmap(lambda u: psi(radius * u))(directions)
            ratios = value.sign * centre.sign * jnp.exp(value.logabs - centre.logabs)
            return jnp.log(jnp.abs(jnp.mean(ratios)))

        return (4.0 * average(step) - average(2.0 * step)) / (2.0 * step)

    at_nuclei = jax.vmap(slope, (None, 0))
    result = {"nucleus": at_nuclei(0, nuclei.coords)}
    if 0 < n_up < electrons.shape[0]:
        result["nucleus_down"] = at_nuclei(n_up, nuclei.coords)
        result["opposite_spin"] = slope(n_up, electrons[0])
    return result


def same_spin_slope(
    ansatz: Ansatz, params: Params, electrons: Array, nuclei: Nuclei, step: float = 0.03
) -> Array:
    """Return the slope of log|psi / r| where the first two electrons meet; Kato requires 1/4.

    It is measured along one direction, in which psi is odd, so no other term is of first order.
    The arguments are those of `kato_slopes`.
    """
    middle, x = 0.5 * (electrons[0] + electrons[1]), jnp.eye(3, dtype=electrons.dtype)[0]

    def reduced(radius: float) -> Array:
        pair = jnp.stack([middle + 0.5 * radius * x, middle - 0.5 * radius * x])
        return ansatz.apply(params, electrons.at[:2].set(pair), nuclei).logabs - jnp.log(radius)

    # The one-sided difference of second order at zero, where the function itself is not defined.
    near, second, far = (reduced(factor * step) for factor in (1.0, 2.0, 3.0))
    return (-2.5 * near + 4.0 * second - 1.5 * far) / step
