"""The contract between a wavefunction and everything that uses it.

A wavefunction is a pair of pure functions of one walker (batching is done outside by `jax.vmap`).
Electrons are given as an array of shape (n_electrons, 3) in bohr, spin-up electrons first. The
nuclei are an argument and not a constant, so that all geometries of a curve share one compiled
program.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax

from ferminet.chemistry.gto import ScfOrbitals
from ferminet.config.plugins import load_object, plugin_call
from ferminet.errors import InputError

Array = jax.Array
Params = Any  # a pytree of arrays
Built = TypeVar("Built")


class LogPsi(NamedTuple):
    """The sign and logarithm of a wavefunction, which neither overflow nor underflow."""

    sign: Array  # (), +1 or -1 (0 on a node)
    logabs: Array  # (), log|psi|


class Nuclei(NamedTuple):
    """The clamped nuclei; in the training of a curve those of all its geometries."""

    coords: Array  # (n_nuclei, 3), bohr; of a curve (n_geometries, n_nuclei, 3)
    charges: Array  # (n_nuclei,), units of the elementary charge


class AnsatzSpec(NamedTuple):
    """What a builder knows of the system: the numbers of particles and the SCF orbitals."""

    n_up: int
    n_down: int
    n_nuclei: int
    scf: ScfOrbitals | None = None  # for an `Ansatz` with `needs_scf`, and Slater determinants


class LayerInputs(NamedTuple):
    """The inputs of a dense layer, a row for each electron or pair.

    Some features may be the same for a whole group of rows, for example averages over electrons.
    With k = shared_offset, row i of group g is then (own_i[:k], shared_g, own_i[k:]).
    """

    own: Array  # (..., d_own)
    shared: Array | None = None  # (groups, d_shared); own is then (rows, d_own)
    groups: tuple[int, ...] = ()  # rows of each group, in this order
    shared_offset: int = 0
    input_axes: tuple[int, ...] = (0,)  # axes of the weight that meet the inputs


# (outputs, {"weight", "bias"}, inputs) -> outputs: marks them as the outputs of a dense layer. A
# layer may have no bias. Weights that several calls name are one layer with the rows of all.
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
            if there is a faster way than the general forward Laplacian.
        layered: `(params, electrons, nuclei, register) -> LogPsi`: like `apply`, but it
            passes the outputs of every dense layer through `register`, and declares inputs that
            many rows share, which saves time. `None`: the optimisers search `apply` for its layers.
        needs_scf: the wavefunction uses the SCF orbitals. They are stored with the run, and
            there is no pretraining. Given a specification without them, a builder only checks
            its options, and the functions raise `InputError` when called.
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


def call_builder(
    target: str, action: str, kind: type[Built], spec: Any, options: Mapping[str, Any]
) -> Built:
    """Call the function that a study names as `function(spec, **options)`; `action` describes it.

    Raises:
        InputError: it is no such function, rejects its arguments or raises an error.
    """
    contract = f"write {action} that returns a {kind.__module__}.{kind.__name__}"
    function = load_object(target)
    try:
        inspect.signature(function).bind(spec, **options)
    except (TypeError, ValueError) as error:
        raise InputError(f"{target} cannot be called ({error}); {contract}.") from None
    with plugin_call(target, action):
        built = function(spec, **options)
    if not isinstance(built, kind):
        raise InputError(f"{target} returned {type(built).__name__}; {contract}.")
    return built


def build_ansatz(target: str, options: Mapping[str, Any], spec: AnsatzSpec) -> Ansatz:
    """Call the builder that a study names, see `call_builder`."""
    return call_builder(target, "build(spec, **options)", Ansatz, spec, options)
