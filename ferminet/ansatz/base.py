"""The contract between a wavefunction and everything that uses it.

A wavefunction is a pair of pure functions of one walker (batching is done outside by `jax.vmap`).
Electrons are given as an array of shape (n_electrons, 3) in bohr, spin-up electrons first. The
nuclei are an argument and not a constant, so that all geometries of a curve share one compiled
program.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from ferminet.chemistry.gto import ScfOrbitals

Array = jax.Array
Params = Any  # a pytree of arrays


class LogPsi(NamedTuple):
    """A wavefunction's value as sign and logarithm, which neither overflow nor underflow."""

    sign: Array  # (), +1 or -1 (0 on a node)
    logabs: Array  # (), log|psi|


class Nuclei(NamedTuple):
    """The clamped nuclei."""

    coords: Array  # (n_nuclei, 3), bohr
    charges: Array  # (n_nuclei,), units of the elementary charge


class AnsatzSpec(NamedTuple):
    """What a wavefunction's builder may know of the system: static numbers and SCF orbitals."""

    n_up: int
    n_down: int
    n_nuclei: int
    scf: ScfOrbitals | None = None  # of those that say `needs_scf`, and Slater determinants


class LayerInputs(NamedTuple):
    """What a dense layer multiplies by its weights, one row (of an electron, of a pair) each.

    Some features may be the same for a whole group of rows, as averages over electrons are. Row i
    of group g is then (own_i[:before], shared_g, own_i[before:]), in the order of the weights.
    """

    own: Array  # (..., d_own)
    shared: Array | None = None  # (groups, d_shared); own is then (rows, d_own)
    groups: tuple[int, ...] = ()  # rows of each group, in this order
    before: int = 0


# (outputs, {"weight", "bias"}, inputs) -> the same outputs, which thereby become those of a layer.
Register = Callable[[Array, dict[str, Array], LayerInputs], Array]


class Ansatz(NamedTuple):
    """A wavefunction of one walker as pure functions.

    Attributes:
        init: `(key, nuclei) -> params`.
        apply: `(params, electrons (n_electrons, 3), nuclei) -> LogPsi`.
        orbitals: `(params, electrons, nuclei) -> (up, down)` with `up` of shape
            (determinants, n_up, columns) and `down` (determinants, n_down, columns). Block
            determinants have as many columns as electrons of that spin, full determinants
            n_up + n_down columns in both. `None`: no orbital pretraining.
        kinetic: `(params, electrons, nuclei) -> -1/2 (nabla^2 psi) / psi` in hartree, shape (),
            for a wavefunction that knows a faster way than the general forward Laplacian.
        layered: `(params, electrons, nuclei, register) -> LogPsi`: `apply` that passes the
            outputs of every dense layer, which may occur once, through `register`. KFAC learns
            the layers from it. `None`: KFAC looks for the pattern `x @ weight + bias`.
        needs_scf: it is made of the SCF orbitals. They are then part of the files of a run, and
            pretraining, which would have to match them, has nothing to fit. Without them in its
            specification a builder checks its options, and the functions raise `InputError`.
    """

    init: Callable[[Array, Nuclei], Params]
    apply: Callable[[Params, Array, Nuclei], LogPsi]
    orbitals: Callable[[Params, Array, Nuclei], tuple[Array, Array]] | None = None
    kinetic: Callable[[Params, Array, Nuclei], Array] | None = None
    layered: Callable[[Params, Array, Nuclei, Register], LogPsi] | None = None
    needs_scf: bool = False


def count_parameters(params: Params) -> int:
    """Return the number of real parameters of a wavefunction."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
