"""Devices: walkers are divided among all of them, and everything else is copied to each.

Programs are written as if for one device. XLA divides the work according to the sharding of their
results. Random numbers do not depend on the division.

Devices and compilers are checked before a run relies on them. A device, a driver or an environment
variable may override the requested precision: TensorFloat-32 keeps 10 bits of 23, too few for local
energies, which are differences of large terms. XLA's program for a Hessian in chunks of 64 walkers
was wrong for the last 8 walkers of each chunk (docs/explanation/performance.md).
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.ansatz.elimination import determinants
from ferminet.errors import CorruptError, InputError, ResourceError
from ferminet.vmc.geometries import is_curve

# All processes must call these functions in the same order, since they wait for each other.
T = TypeVar("T")
AXIS = "walkers"


@cache
def mesh() -> Mesh | None:
    """Return a mesh of all devices, or None for a single device, which needs no sharding."""
    devices = jax.devices()
    return Mesh(np.array(devices), (AXIS,)) if len(devices) > 1 else None


def sharding(*axes: str) -> NamedSharding | None:
    """Return the sharding over `AXIS` of an array of walkers, without axes that of a copy."""
    devices = mesh()
    return None if devices is None else NamedSharding(devices, PartitionSpec(*axes))


def shard_walkers(electrons: jax.Array) -> jax.Array:
    """Divide walkers (n_walkers, n_electrons, 3) among the devices.

    Raises:
        InputError: the number of walkers is not a multiple of the number of devices.
    """
    divided = sharding(AXIS)
    if divided is None:
        return electrons
    n_devices = len(jax.devices())
    if len(electrons) % n_devices:
        raise InputError(
            f"{len(electrons)} walkers cannot be divided among {n_devices} devices; make "
            f"sampler.walkers (and pretrain.walkers) a multiple of {2 * n_devices}, or make "
            "fewer devices visible to the process."
        )
    return jax.device_put(_on_host(electrons), divided)


def replicate(tree: T) -> T:
    """Copy a pytree of arrays to every device."""
    copied = sharding()
    if copied is None:
        return tree
    return jax.tree.map(lambda array: jax.device_put(_on_host(array), copied), tree)


def _on_host(array: jax.Array) -> jax.Array | np.ndarray:
    """Return the array in a form that can be put on the devices of other processes."""
    several = jax.process_count() > 1
    return np.asarray(array) if several and array.is_fully_addressable else array


def fetch(tree: Any) -> Any:
    """Convert a pytree to NumPy arrays, including those divided among processes."""

    def fetch_leaf(leaf):
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable:
            return jax.device_get(leaf)
        if leaf.is_fully_replicated:
            return np.asarray(leaf.addressable_data(0))
        return multihost_utils.process_allgather(leaf, tiled=True)

    return jax.tree.map(fetch_leaf, tree)


def any_process(flag: bool) -> bool:
    """Return whether the flag is set in any of the processes."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.array([flag]))))


def wait_for_processes(name: str) -> None:
    """Wait until all processes have called this."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def tree_to_arrays(tree: Any, prefix: str) -> dict[str, np.ndarray]:
    """Return the leaves by path, for example `params['orbitals'][0]['weight']`."""
    leaves = jax.tree_util.tree_flatten_with_path(fetch(tree))[0]
    return {prefix + jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def arrays_to_tree(arrays: dict[str, np.ndarray], template: Any, prefix: str) -> Any:
    """Fill a template's leaves with the arrays of the same paths.

    Raises:
        CorruptError: an array is missing, or its shape or type differs from the template's leaf.
    """

    def leaf(path, like):
        name = prefix + jax.tree_util.keystr(path)
        if name not in arrays:
            raise CorruptError(f"The checkpoint has no {name}; it was written by another version.")
        array = arrays[name]
        like_dtype = np.dtype(jnp.result_type(like))
        if array.shape != jnp.shape(like) or array.dtype != like_dtype:
            raise CorruptError(
                f"The checkpoint's {name} is {array.dtype}{array.shape}, but this run needs "
                f"{like_dtype}{jnp.shape(like)}; it was written by another version."
            )
        return jnp.asarray(array)

    return jax.tree_util.tree_map_with_path(leaf, template)


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


def check_determinants(precision: str) -> None:
    """Check the kernel that eliminates matrices on a GPU against NumPy.

    Raises:
        ResourceError: a determinant is wrong.
    """
    if jax.default_backend() != "gpu":
        return
    matrices = np.random.default_rng(0).normal(size=(7, 7, CHECKED)).astype(precision)
    values, log_scale = jax.jit(lambda array: determinants(array))(jnp.asarray(matrices))
    exact = np.linalg.det(np.moveaxis(matrices.astype(np.float64), -1, 0))
    errors = np.abs(np.asarray(values * jnp.exp(log_scale), np.float64) / exact - 1.0)
    # Cancellation magnifies the rounding of a product.
    if not np.max(errors) < 100 * LARGEST_ERROR[precision]:
        raise ResourceError(
            f"The determinants of 7 x 7 matrices on this {jax.devices()[0].device_kind} have a "
            f"relative error of {np.max(errors):.1e}: the kernel that jax {jax.__version__} "
            "compiled for it is wrong. Install another version of jax."
        )


def check_order(energies: Callable, params: Params, electrons: Array, nuclei: Nuclei) -> None:
    """Check that the run's program for local energies does not depend on the order of the walkers.

    The program runs again on the walkers (n_walkers, n_electrons, 3) in reversed order. Rounding
    may differ near nodes, where it is magnified, but only for up to one per cent of the walkers.

    Raises:
        ResourceError: the program is wrong.
    """
    forward = fetch(energies(params, electrons, nuclei))
    reversed_ = shard_walkers(jnp.asarray(fetch(electrons)[::-1]))
    if is_curve(nuclei):  # whose walkers belong to the geometries in turn
        nuclei = nuclei._replace(coords=nuclei.coords[::-1])
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
