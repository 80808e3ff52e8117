"""FermiNet's parameters in the layout of this package and in that of google-deepmind/ferminet.

With two layers both codes can represent the same function; these conventions differ:

* features of a pair, or of an electron and a nucleus: here (x, y, z, r), there (r, x, y, z);
* columns of the orbitals: here determinants are the last axis, there the first;
* a layer with a residual connection: here h + tanh(...), there (h + tanh(...)) / sqrt(2). Only the
  last layer has one if there are two (and the first is wider than its inputs), so that weights of
  the orbitals that are larger by sqrt(2) undo the difference. With more layers the two networks
  are different functions.

The module needs NumPy alone, because it runs in the environments of both codes.
"""

from typing import Any

import numpy as np

# Arrays by the path of `ferminet.vmc.devices`, as this package's files hold them.
Arrays = dict[str, np.ndarray]

_TO_THEIRS, _TO_OURS = [3, 0, 1, 2], [1, 2, 3, 0]  # order of the features of a group of four
_RESIDUAL = 2.0**0.5
_SPINS = (0, 1)


def to_theirs(arrays: Arrays, determinants: int) -> dict[str, Any]:
    """Return the parameters of google-deepmind/ferminet that give the same wavefunction.

    Args:
        arrays: the parameters of this package, with paths that begin with `params`.
        determinants: number of (full) determinants.
    """

    def dense(path: str) -> dict[str, np.ndarray]:
        return {"w": arrays[f"params{path}['weight']"], "b": arrays[f"params{path}['bias']"]}

    def first(path: str) -> dict[str, np.ndarray]:
        layer = dense(path)
        return layer | {"w": _reorder(layer["w"], _TO_THEIRS)}

    def orbitals(path: str) -> dict[str, np.ndarray]:
        layer = {name: _swap(array, determinants) for name, array in dense(path).items()}
        return layer | {"w": layer["w"] * _RESIDUAL}

    def envelope(spin: int) -> dict[str, np.ndarray]:
        names = {"pi": "weight", "sigma": "decay"}
        path = f"params['envelopes'][{spin}]"
        return {n: _swap(arrays[f"{path}['{ours}']"], determinants) for n, ours in names.items()}

    streams = [
        {"single": first("['one_electron'][0]"), "double": first("['two_electron'][0]")},
        {"single": dense("['one_electron'][1]")},
    ]
    return {
        "layers": {"input": {}, "streams": streams},
        "envelope": [envelope(spin) for spin in _SPINS],
        "orbital": [orbitals(f"['orbitals'][{spin}]") for spin in _SPINS],
    }


def to_ours(theirs: dict[str, Any], determinants: int) -> Arrays:
    """Return the parameters of this package that give the same wavefunction; see `to_theirs`."""
    arrays = {}

    def put(path: str, weight: np.ndarray, bias: np.ndarray) -> None:
        arrays[f"params{path}['weight']"], arrays[f"params{path}['bias']"] = weight, bias

    (first, second), n_columns = theirs["layers"]["streams"], _columns(theirs, determinants)
    put("['one_electron'][0]", _reorder(first["single"]["w"], _TO_OURS), first["single"]["b"])
    put("['two_electron'][0]", _reorder(first["double"]["w"], _TO_OURS), first["double"]["b"])
    put("['one_electron'][1]", second["single"]["w"], second["single"]["b"])
    for spin in _SPINS:
        layer, envelope = theirs["orbital"][spin], theirs["envelope"][spin]
        weight = _swap(layer["w"], n_columns) / _RESIDUAL
        put(f"['orbitals'][{spin}]", weight, _swap(layer["b"], n_columns))
        path = f"params['envelopes'][{spin}]"
        arrays[f"{path}['weight']"] = _swap(envelope["pi"], n_columns)
        arrays[f"{path}['decay']"] = _swap(envelope["sigma"], n_columns)
    return arrays


def _columns(theirs: dict[str, Any], determinants: int) -> int:
    return theirs["orbital"][0]["b"].size // determinants


def _reorder(weight: np.ndarray, order: list[int]) -> np.ndarray:
    """Reorder the inputs of a layer, which come in groups of four features, (n_in, n_out)."""
    groups = weight.reshape(-1, len(order), weight.shape[-1])
    return groups[:, order].reshape(weight.shape)


def _swap(array: np.ndarray, n_last: int) -> np.ndarray:
    """Exchange the two indices that the last axis combines; the second has `n_last` values."""
    pairs = array.reshape(*array.shape[:-1], -1, n_last)
    return np.swapaxes(pairs, -1, -2).reshape(array.shape)
