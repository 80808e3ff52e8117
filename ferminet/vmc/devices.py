"""All devices of the process: the walkers are divided among them, all else is on each of them.

The programs are written as for one device. Told where their results belong, XLA divides the work
and adds up what a mean over walkers needs. Random numbers do not depend on the division.
"""

from functools import cache
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ferminet.errors import InputError

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
    return jax.device_put(electrons, place)


def copy_everywhere(tree: T) -> T:
    """A pytree of arrays on every device."""
    place = everywhere()
    return tree if place is None else jax.device_put(tree, place)
