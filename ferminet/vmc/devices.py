"""Sharding: walkers are divided among all devices, and everything else is copied to each.

Programs are written as if for one device. XLA divides the work according to the sharding of their
results. Random numbers do not depend on the division.
"""

from functools import cache
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ferminet.errors import InputError

# All processes must call these functions in the same order, since they wait for each other.
T = TypeVar("T")
AXIS = "walkers"


@cache
def mesh() -> Mesh | None:
    """Return a mesh of all devices, or None for a single device, which needs no sharding."""
    devices = jax.devices()
    return Mesh(np.array(devices), (AXIS,)) if len(devices) > 1 else None


def walker_sharding() -> NamedSharding | None:
    """Return the sharding of an array whose first axis counts walkers."""
    return _sharding(AXIS)


def replicated_sharding() -> NamedSharding | None:
    """Return the sharding of parameters, statistics and keys."""
    return _sharding()


def _sharding(*axes: str) -> NamedSharding | None:
    devices = mesh()
    return None if devices is None else NamedSharding(devices, PartitionSpec(*axes))


def shard_walkers(electrons: jax.Array) -> jax.Array:
    """Divide walkers (n_walkers, n_electrons, 3) among the devices.

    Raises:
        InputError: the number of walkers is not a multiple of the number of devices.
    """
    sharding = walker_sharding()
    if sharding is None:
        return electrons
    n_devices = len(jax.devices())
    if len(electrons) % n_devices:
        raise InputError(
            f"{len(electrons)} walkers cannot be divided among {n_devices} devices; make "
            f"sampler.walkers (and pretrain.walkers) a multiple of {2 * n_devices}, or make "
            "fewer devices visible to the process."
        )
    return jax.device_put(_on_host(electrons), sharding)


def replicate(tree: T) -> T:
    """Copy a pytree of arrays to every device."""
    sharding = replicated_sharding()
    if sharding is None:
        return tree
    return jax.tree.map(lambda array: jax.device_put(_on_host(array), sharding), tree)


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
