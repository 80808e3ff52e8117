"""The options of the package's wavefunctions: names, defaults, ranges and meaning, without JAX.

Builders, configuration, predicted cost and the comparison with the paper all read these models. The
defaults are those of the papers.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field

from ferminet.config.blocks import FERMINET
from ferminet.errors import InputError
from ferminet.systems.validation import Block, validate

# Larger networks fit no machine: such a number is a typing error.
LARGEST = 65_536
Size = Annotated[int, Field(ge=1, le=LARGEST)]
Layers = Annotated[int, Field(ge=1, le=1000)]
Order = Annotated[int, Field(ge=0, le=100)]


class AnsatzOptions(Block):
    """Options of a wavefunction; a subclass has a field for each option of its builder."""

    label: ClassVar[str]  # of the wavefunction, in messages

    @classmethod
    def read(cls, options: Mapping[str, Any], n_up: int, n_down: int) -> Self:
        """Return the options of a study with the defaults filled in.

        Args:
            options: the options that differ from the defaults.
            n_up: spin-up electrons.
            n_down: spin-down electrons.

        Raises:
            InputError: an option is unknown, out of range or does not fit the electrons.
        """
        try:
            known = validate(cls, dict(options))
        except InputError as error:
            text = f"{cls.label} option {error}"
            raise InputError(text.replace("option unknown key", "has no option")) from None
        known.check_electrons(n_up, n_down)
        return known

    def check_electrons(self, n_up: int, n_down: int) -> None:
        """Refuse options that do not fit the numbers of electrons; by default all fit."""


class OrbitalSizes(NamedTuple):
    """How many determinants of which kind are made of the features, and under which envelope."""

    determinants: int
    full_determinant: bool
    envelope: str


class FermiNetOptions(AnsatzOptions):
    """Options of `ferminet.ansatz.ferminet:build`."""

    label: ClassVar[str] = "FermiNet"

    layers: Layers = Field(
        default=4,
        description="Layers of the one-electron stream; the two-electron stream has one fewer, "
        "since nothing would read its last.",
    )
    one_electron_width: Size = Field(default=256, description="Features of an electron.")
    two_electron_width: Size = Field(default=32, description="Features of a pair of electrons.")
    determinants: Size = Field(default=16, description="Determinants in the sum.")
    full_determinant: bool = Field(
        default=False,
        description="One determinant over all electrons instead of one block per spin.",
    )
    envelope: Literal["isotropic", "anisotropic"] = Field(
        default="anisotropic", description="Form of the decay of the orbitals around the nuclei."
    )
    jastrow: Literal["none", "electron_cusp"] = Field(
        default="none", description="Jastrow factor, which the paper does not have."
    )
    spin_symmetric: bool = Field(
        default=False,
        description="Make psi even under the exchange of all spins, as a singlet is, which "
        "excludes the triplet (and every odd total spin). Features are averaged over the same and "
        "the opposite spin, and every determinant is followed by its mirror image. Off in the "
        "paper.",
    )
    rescale_inputs: bool = Field(
        default=False,
        description="Distances r enter the network as log(1 + r), and vectors with such lengths. "
        "Off in the paper.",
    )

    @property
    def orbitals(self) -> OrbitalSizes:
        """The options of the orbitals."""
        return OrbitalSizes(self.determinants, self.full_determinant, self.envelope)

    def check_electrons(self, n_up: int, n_down: int) -> None:
        """Refuse spin symmetry of a system that is not a singlet's."""
        if self.spin_symmetric and n_up != n_down:
            raise InputError(
                f"FermiNet option spin_symmetric needs as many spin-up as spin-down electrons, got "
                f"{n_up} and {n_down}; switch it off for this system."
            )


class PsiformerOptions(AnsatzOptions):
    """Options of `ferminet.ansatz.psiformer:build`."""

    label: ClassVar[str] = "Psiformer"

    layers: Layers = Field(default=4, description="Pairs of a self-attention and a tanh layer.")
    heads: Size = Field(default=4, description="Heads of each self-attention.")
    head_width: Size = Field(
        default=64,
        description="Features of a head; an electron has heads * head_width features.",
    )
    determinants: Size = Field(default=16, description="Determinants in the sum.")
    full_determinant: bool = Field(
        default=True,
        description="One determinant over all electrons instead of one block per spin.",
    )
    envelope: Literal["isotropic", "anisotropic"] = Field(
        default="isotropic", description="Form of the decay of the orbitals around the nuclei."
    )
    jastrow: Literal["none", "electron_cusp"] = Field(
        default="electron_cusp", description="Jastrow factor; the paper has electron_cusp."
    )
    layer_norm: bool = Field(
        default=False,
        description="Normalise the features that enter each attention and each tanh layer (before "
        "the map, and without parameters of its own). The paper has none; the authors' later code "
        "offers one.",
    )

    @property
    def width(self) -> int:
        """Features of an electron."""
        return self.heads * self.head_width

    @property
    def orbitals(self) -> OrbitalSizes:
        """The options of the orbitals."""
        return OrbitalSizes(self.determinants, self.full_determinant, self.envelope)


class SlaterJastrowOptions(AnsatzOptions):
    """Options of `ferminet.ansatz.slater_jastrow:build`."""

    label: ClassVar[str] = "Slater-Jastrow"

    order: Order = Field(
        default=6,
        description="Largest sum of exponents of a term of the Jastrow factor; with 0 or 1 it has "
        "the electrons' cusps alone.",
    )
    train_orbitals: bool = Field(
        default=False,
        description="Optimise the coefficients of the orbitals too, from those of the SCF. "
        "Otherwise they are constants of the program, which is compiled for each geometry.",
    )


class BackflowOptions(AnsatzOptions):
    """Options of `ferminet.ansatz.slater_jastrow_backflow:build`."""

    label: ClassVar[str] = "Slater-Jastrow-backflow"

    order: Order = Field(default=6, description="Order of the Jastrow factor (`slater_jastrow`).")
    backflow_order: Order = Field(
        default=3,
        description="Largest power in the displacement's functions of two bodies; 0 leaves those "
        "of three bodies alone.",
    )
    train_orbitals: bool = Field(
        default=False, description="Optimise the coefficients of the orbitals (`slater_jastrow`)."
    )


class HydrogenicOptions(AnsatzOptions):
    """Options of `ferminet.ansatz.hydrogenic:build`."""

    label: ClassVar[str] = "Hydrogenic"

    zeta: float = Field(default=1.0, description="Exponent at the start (1/bohr).")


# The builders of the package, as studies name them.
OPTIONS: dict[str, type[AnsatzOptions]] = {
    FERMINET: FermiNetOptions,
    "ferminet.ansatz.psiformer:build": PsiformerOptions,
    "ferminet.ansatz.slater_jastrow:build": SlaterJastrowOptions,
    "ferminet.ansatz.slater_jastrow_backflow:build": BackflowOptions,
    "ferminet.ansatz.hydrogenic:build": HydrogenicOptions,
}
