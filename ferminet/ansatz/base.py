"""The contract between a wavefunction and everything that uses it.

A wavefunction is a pair of pure functions of one walker (batching is done outside by ``jax.vmap``).
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
    scf: ScfOrbitals | None = None  # only the Slater determinant needs them


class Ansatz(NamedTuple):
    """A wavefunction of one walker as pure functions.

    Attributes:
        init: ``(key, nuclei) -> params``.
        apply: ``(params, electrons (n_electrons, 3), nuclei) -> LogPsi``.
        orbitals: ``(params, electrons, nuclei) -> (up, down)`` with ``up`` of shape
            (determinants, n_up, columns) and ``down`` (determinants, n_down, columns). Block
            determinants have as many columns as electrons of that spin, full determinants
            n_up + n_down columns in both. ``None``: no orbital pretraining.
        kinetic: ``(params, electrons, nuclei) -> -1/2 (nabla^2 psi) / psi`` in hartree, shape (),
            for a wavefunction that knows a faster way than the general forward Laplacian.
        layered: ``apply`` written so that every dense layer is ``x @ weight + bias``, for a
            wavefunction whose ``apply`` has a faster way: by this pattern KFAC finds the layers.
    """

    init: Callable[[Array, Nuclei], Params]
    apply: Callable[[Params, Array, Nuclei], LogPsi]
    orbitals: Callable[[Params, Array, Nuclei], tuple[Array, Array]] | None = None
    kinetic: Callable[[Params, Array, Nuclei], Array] | None = None
    layered: Callable[[Params, Array, Nuclei], LogPsi] | None = None


def count_parameters(params: Params) -> int:
    """Number of real parameters of a wavefunction."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
