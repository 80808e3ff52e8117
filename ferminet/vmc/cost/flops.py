"""Operations of a FermiNet: of one forward pass, one local energy, one step of the optimiser.

``products`` are the floating-point operations of all matrix products, a multiplication and an
addition being two; a test holds them to the traced programs (``bench/flops.py``). ``values`` are
the numbers that everything else (tanh, exponentials, averages, determinants) makes, roughly: on a
CPU they take as long as some tens of operations of a product each, and are most of the work of a
small network.

Per walker, with the structure that ``ansatz/ferminet_kinetic.py`` and
``vmc/optimizers/kfac_layers.py`` use: averages over spins enter once, pair features have three
derivatives, and a network of N electrons is carried with 3 N + 2 numbers per feature.
"""

import inspect
from dataclasses import dataclass
from typing import Any, NamedTuple

from ferminet.systems.molecule import Molecule

BUILDER = "ferminet.ansatz.ferminet:build"
# The defaults of the builder's options; a test holds them together.
DEFAULTS: dict[str, Any] = {
    "layers": 4,
    "one_electron_width": 256,
    "two_electron_width": 32,
    "determinants": 16,
    "full_determinant": False,
    "envelope": "anisotropic",
    "jastrow": "none",
    "spin_symmetric": False,
    "rescale_inputs": False,
}
LARGEST_EXPANDED = 4  # electrons whose determinant is expanded in minors, without a product
PAIR_NUMBERS = 5  # a pair feature's value, its three derivatives and their Laplacian


class Work(NamedTuple):
    """What a program does: operations of matrix products, and other values that it makes."""

    products: float
    values: float

    def __add__(self, other: "Work") -> "Work":  # pyright: ignore[reportIncompatibleMethodOverride]
        """The work of both."""
        return Work(self.products + other.products, self.values + other.values)

    def times(self, factor: float) -> "Work":
        """So many times this work."""
        return Work(factor * self.products, factor * self.values)


class Layer(NamedTuple):
    """A dense layer: rows with inputs of their own, groups of rows with inputs that they share."""

    rows: int
    own: int
    groups: int
    shared: int
    outputs: int

    @property
    def of_own(self) -> float:
        """Operations of the product with the rows' own inputs."""
        return 2.0 * self.rows * self.own * self.outputs

    @property
    def of_shared(self) -> float:
        """Operations of the product with what rows share."""
        return 2.0 * self.groups * self.shared * self.outputs

    @property
    def forward(self) -> float:
        """Operations of the layer."""
        return self.of_own + self.of_shared


@dataclass(frozen=True)
class Network:
    """The sizes of a FermiNet for one molecule."""

    n_up: int
    n_down: int
    n_nuclei: int
    layers: int
    one_electron_width: int
    two_electron_width: int
    determinants: int
    full_determinant: bool
    anisotropic: bool
    spin_symmetric: bool

    @classmethod
    def of(cls, molecule: Molecule, options: dict[str, Any]) -> "Network":
        """The network of a molecule with some options of the builder."""
        chosen = {**DEFAULTS, **options}
        n_up, n_down = molecule.spins
        names = inspect.signature(cls).parameters
        return cls(
            n_up,
            n_down,
            len(molecule.symbols),
            anisotropic=chosen["envelope"] == "anisotropic",
            **{name: chosen[name] for name in names if name in chosen},
        )

    @property
    def electrons(self) -> int:
        """All electrons."""
        return self.n_up + self.n_down

    @property
    def spins(self) -> list[int]:
        """Electrons of each spin that is present."""
        return [n for n in (self.n_up, self.n_down) if n]

    @property
    def blocks(self) -> list[int]:
        """Sizes of the determinants of one term."""
        return [self.electrons] if self.full_determinant else self.spins

    @property
    def terms(self) -> int:
        """Terms of the sum, mirror images counted."""
        return self.determinants * (2 if self.spin_symmetric else 1)

    @property
    def moves(self) -> int:
        """Coordinates, and with them numbers per feature: 3 N + 2."""
        return 3 * self.electrons + 2

    def one_electron(self) -> list[Layer]:
        """The layers of the one-electron stream."""
        n_spins, found = len(self.spins), []
        one, two = 4 * self.n_nuclei, 4
        for _ in range(self.layers):
            groups = 2 if self.spin_symmetric and n_spins == 2 else 1
            own, shared = one + n_spins * two, n_spins * one
            found.append(Layer(self.electrons, own, groups, shared, self.one_electron_width))
            one, two = self.one_electron_width, self.two_electron_width
        return found

    def two_electron(self) -> list[Layer]:
        """The layers of the two-electron stream."""
        widths = [4, *[self.two_electron_width] * (self.layers - 1)]
        return [Layer(self.electrons**2, n, 0, 0, self.two_electron_width) for n in widths[:-1]]

    def orbitals(self) -> list[Layer]:
        """The linear maps to the orbitals, one per spin."""
        layers = []
        for n in self.spins:
            columns = self.determinants * (self.electrons if self.full_determinant else n)
            rows = self.electrons if self.spin_symmetric else n
            layers.append(Layer(rows, self.one_electron_width, 0, 0, columns))
        return layers

    def dense(self) -> list[Layer]:
        """All layers."""
        return [*self.one_electron(), *self.two_electron(), *self.orbitals()]

    def parameters(self) -> int:
        """Numbers that are optimised, the two of a Jastrow factor left out."""
        dense = sum((one.own + one.shared + 1) * one.outputs for one in self.dense())
        columns = sum(one.outputs for one in self.orbitals())
        return dense + columns * self.n_nuclei * (10 if self.anisotropic else 2)


def forward(network: Network) -> Work:
    """log|psi|."""
    products = sum(one.forward for one in network.dense())
    return Work(products, _stream_values(network, 1, 1)) + _envelopes(network, 1)


def _stream_values(network: Network, per_electron: int, per_pair: int) -> float:
    """Values besides products, with so many numbers per feature of an electron and of a pair."""
    one = sum(layer.rows * layer.outputs for layer in network.one_electron())
    two = sum(layer.rows * layer.outputs for layer in network.two_electron())
    # The averages of pair features are seen by both spins in each layer.
    pairs = network.electrons**2 * (4 + network.two_electron_width * (network.layers - 1))
    orbitals = sum(layer.rows * layer.outputs for layer in network.orbitals())
    determinants = network.terms * sum(_determinant_values(n) for n in network.blocks)
    return per_electron * (one + orbitals) + per_pair * (two + pairs) + determinants


def _determinant_values(size: int) -> float:
    """Of one determinant: minors, or lines that are eliminated from the rest."""
    return 2.0**size if size <= LARGEST_EXPANDED else float(size**3)


def _envelopes(network: Network, numbers: int) -> Work:
    """Exponentials of all orbitals at all nuclei, with their matrices if they are anisotropic."""
    entries = network.n_nuclei * sum(one.rows * one.outputs for one in network.orbitals())
    matrices = 18.0 * entries * (1 if numbers == 1 else 2) if network.anisotropic else 0.0
    return Work(matrices, (3.0 if network.anisotropic else 1.0) * numbers * entries)


def local_energy(network: Network) -> Work:
    """(H psi) / psi by the forward Laplacian."""
    moves = network.moves
    # Two products of the even and the odd average do for both groups of mirrored spins.
    shared = sum(one.of_shared / max(one.groups, 1) for one in network.one_electron())
    own = sum(one.of_own for one in [*network.one_electron(), *network.orbitals()])
    pairs = PAIR_NUMBERS * sum(one.forward for one in network.two_electron())
    determinants = sum(_determinant_derivatives(network, n) for n in network.blocks)
    last = 2.0 * network.terms * moves
    products = moves * (own + shared) + pairs + network.terms * determinants + last
    values = _stream_values(network, moves, PAIR_NUMBERS)
    rows = sum(one.rows * one.outputs for one in network.orbitals())
    return Work(products, values + moves * rows) + _envelopes(network, PAIR_NUMBERS)


def _determinant_derivatives(network: Network, n: int) -> float:
    """Products of one determinant's derivatives by all coordinates (``ansatz/elimination.py``)."""
    if n <= LARGEST_EXPANDED:
        return 0.0
    k = 3 * network.electrons
    return 4.0 * n**3 * k + 4.0 * n**2 * k + 2.0 * n * k + 2.0 * n**3 + 2.0 * n**2


def kfac(network: Network, *, limited: bool = False) -> tuple[Work, Work]:
    """The gradient and KFAC's step: the work of each walker, and of each iteration besides.

    Args:
        network: sizes.
        limited: the influence of walkers is limited, which takes the gradient twice.
    """
    dense = network.dense()
    passed = sum(one.forward for one in dense)
    first = [network.one_electron()[0], *network.two_electron()[:1]]
    backward = passed - sum(one.forward for one in first)  # nothing is below the first layers
    gradients = 2 if limited else 1
    walker = passed + backward + 2 * gradients * passed + _cofactors(network)
    step = 0.0
    for one in dense:
        wide = one.own + 1
        walker += 2.0 * one.rows * (wide**2 + one.outputs**2)
        walker += 2.0 * one.groups * one.shared * (wide + one.shared)
        inputs, outputs = wide + one.shared, one.outputs
        step += (inputs**3 + outputs**3) / 3.0
        step += gradients * 2.0 * inputs * outputs * (inputs + outputs)
    values = forward(network).values * (3 + gradients)
    return Work(walker, values) + _envelopes(network, 3), Work(step, float(network.parameters()))


def _cofactors(network: Network) -> float:
    """Products of the determinants' derivatives by their entries."""
    blocks = [n for n in network.blocks if n > LARGEST_EXPANDED]
    return network.terms * sum(2.0 * n**3 + 2.0 * n**2 for n in blocks)


def gradient(network: Network) -> Work:
    """Forward and backward through log|psi|, to the parameters."""
    return forward(network).times(3.0) + Work(_cofactors(network), 0.0)


def spring_products(network: Network, walkers: int) -> float:
    """SPRING's Gram matrix of the walkers' derivatives, its factors, and two products with it."""
    parameters = network.parameters()
    return 2.0 * walkers**2 * parameters + walkers**3 / 3.0 + 4.0 * walkers * parameters
