"""Pytrees of arrays as dictionaries of named arrays, for checkpoints."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.errors import CorruptError
from ferminet.vmc.devices import fetch


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
