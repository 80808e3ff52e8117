"""Checks of the device and its compiler before a run relies on them.

A device, a driver or an environment variable may override the requested precision: TensorFloat-32
keeps 10 bits of 23, too few for local energies, which are differences of large terms. Compilers
have bugs too: XLA's program for a Hessian in chunks of 64 walkers was wrong for the last 8
walkers of each chunk (docs/explanation/performance.md).
"""

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.errors import ResourceError
from ferminet.vmc.devices import fetch, shard_walkers
from ferminet.vmc.programs import Energies

SIZE, CHECKED = 256, 16
# A product's error relative to its root mean square: float32 has 1e-7, TF32 3e-4, bfloat16 3e-3.
LARGEST_ERROR = {"float32": 1e-5, "float64": 1e-13}
# Change of a local energy relative to |T| + |V|, and the share of walkers that may exceed it.
LARGEST_DIFFERENCE, LARGEST_SHARE = 1e-3, 0.01


def check_products(precision: str) -> float:
    """Return the relative error of a matrix product in float32 or float64 on this device.

    Raises:
        ResourceError: the error is too large for the precision.
    """
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, SIZE, SIZE)).astype(precision)
    exact = left[:CHECKED].astype(np.longdouble) @ right[:, :CHECKED].astype(np.longdouble)
    product = jax.jit(jnp.matmul)(jnp.asarray(left), jnp.asarray(right))
    product = np.asarray(product[:CHECKED, :CHECKED], np.longdouble)
    error = float(np.sqrt(np.mean((product - exact) ** 2) / np.mean(exact**2)))
    if not error < LARGEST_ERROR[precision]:
        raise ResourceError(
            f"Matrix products on this {jax.devices()[0].device_kind} have a relative error of "
            f"{error:.1e}, too much for {precision} (at most {LARGEST_ERROR[precision]:.0e}): they "
            "are rounded to TF32 or less. Unset JAX_DEFAULT_MATMUL_PRECISION and "
            "NVIDIA_TF32_OVERRIDE."
        )
    return error


def check_order(energies: Energies, params: Params, electrons: Array, nuclei: Nuclei) -> None:
    """Check that the run's program for local energies does not depend on the order of the walkers.

    The program runs again on the walkers (n_walkers, n_electrons, 3) in reversed order. Rounding
    may differ near nodes, where it is magnified, but only for up to one per cent of the walkers.

    Raises:
        ResourceError: the program is wrong.
    """
    forward = fetch(energies(params, electrons, nuclei))
    reversed_ = shard_walkers(jnp.asarray(fetch(electrons)[::-1]))
    backward = jax.tree.map(lambda part: part[::-1], fetch(energies(params, reversed_, nuclei)))
    with np.errstate(invalid="ignore"):  # the run itself rejects non-finite energies
        scale = np.abs(forward.kinetic) + np.abs(forward.potential)
        same = np.abs(forward.total - backward.total) <= LARGEST_DIFFERENCE * scale
    same |= ~np.isfinite(forward.total) & ~np.isfinite(backward.total)
    wrong = int(np.sum(~same))
    if wrong > LARGEST_SHARE * len(same):
        raise ResourceError(
            f"{wrong} of {len(same)} local energies change when the walkers are given in reversed "
            f"order: the program that XLA (jax {jax.__version__}) compiled for this "
            f"{jax.devices()[0].device_kind} is wrong. Install another version of jax, or choose "
            "another precision or number of walkers (sampler.walkers)."
        )
