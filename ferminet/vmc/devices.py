"""All devices of the process: the walkers are divided among them, all else is on each of them.

The programs are written as for one device. Told where their results belong, XLA divides the work
and adds up what a mean over walkers needs. Random numbers do not depend on the division.
"""

from functools import cache
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ferminet.errors import InputError

# All processes must call each of the functions below at the same place: they wait for each other.
T = TypeVar("T")
AXIS = "walkers"


@cache
def mesh() -> Mesh | None:
    """All devices in a row; None if there is one, for which nothing needs to be said."""
    devices = jax.devices()
    return Mesh(np.array(devices), (AXIS,)) if len(devices) > 1 else None


def of_walkers() -> NamedSharding | None:
    """The place of an array whose first axis counts walkers."""
    return _sharding(PartitionSpec(AXIS))


def everywhere() -> NamedSharding | None:
    """The place of parameters, statistics and keys."""
    return _sharding(PartitionSpec())


def _sharding(spec: PartitionSpec) -> NamedSharding | None:
    found = mesh()
    return None if found is None else NamedSharding(found, spec)


def divide_walkers(electrons: jax.Array) -> jax.Array:
    """Walkers (n_walkers, n_electrons, 3), divided among the devices.

    Raises:
        InputError: their number is not a multiple of the devices'.
    """
    place = of_walkers()
    if place is None:
        return electrons
    n_devices = len(jax.devices())
    if len(electrons) % n_devices:
        raise InputError(
            f"{len(electrons)} walkers cannot be divided among {n_devices} devices; make "
            f"sampler.walkers (and pretrain.walkers) a multiple of {2 * n_devices}, or show the "
            "process fewer devices."
        )
    return jax.device_put(_on_host(electrons), place)


def copy_everywhere(tree: T) -> T:
    """A pytree of arrays on every device."""
    place = everywhere()
    if place is None:
        return tree
    return jax.tree.map(lambda array: jax.device_put(_on_host(array), place), tree)


def _on_host(array: jax.Array) -> jax.Array | np.ndarray:
    """What can be put on the devices of other processes: an array of none, or of all of them."""
    several = jax.process_count() > 1
    return np.asarray(array) if several and array.is_fully_addressable else array


def fetch(tree: Any) -> Any:
    """A pytree of arrays as NumPy's, also those that are divided among processes."""

    def one(leaf):
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable:
            return jax.device_get(leaf)
        if leaf.is_fully_replicated:
            return np.asarray(leaf.addressable_data(0))
        return multihost_utils.process_allgather(leaf, tiled=True)

    return jax.tree.map(one, tree)


def any_of_processes(flag: bool) -> bool:
    """Whether the flag is set in any of the processes."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.array([flag]))))


def wait_for_processes(name: str) -> None:
    """Until all processes are here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
