"""The options of the package's wavefunctions: names, defaults, ranges and meaning, without JAX.

Builders, configuration, cost and the comparison with the paper all read these models. The defaults
are those of the papers.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from ferminet.config import RunConfig
from ferminet.config.blocks import FERMINET
from ferminet.errors import InputError
from ferminet.systems.validation import Block, validate

# No machine holds a larger network, so a larger number is a typing error.
LARGEST = 65_536
Size = Annotated[int, Field(ge=1, le=LARGEST)]
Layers = Annotated[int, Field(ge=1, le=1000)]
Order = Annotated[int, Field(ge=0, le=100)]
Determinants = Annotated[Size, Field(description="Determinants in the sum.")]
FullDeterminant = Annotated[
    bool, Field(description="One determinant over all electrons instead of one block per spin.")
]
Envelope = Annotated[
    Literal["isotropic", "anisotropic"],
    Field(description="Form of the decay of the orbitals around the nuclei."),
]
Jastrow = Annotated[
    Literal["none", "electron_cusp"],
    Field(description="Jastrow factor; FermiNet's paper has none, the Psiformer's electron_cusp."),
]


class AnsatzOptions(Block):
    """Options of a wavefunction; a subclass has a field for each option of its builder."""

    label: ClassVar[str]  # of the wavefunction, in messages

    @classmethod
    def read(cls, options: Mapping[str, Any], n_up: int, n_down: int) -> Self:
        """Return the options of a study with the defaults filled in.

        Raises:
            InputError: an option is unknown, out of range or does not fit the numbers of electrons.
        """
        try:
            checked = validate(cls, dict(options))
        except InputError as error:
            text = f"{cls.label} option {error}"
            raise InputError(text.replace("option unknown key", "has no option")) from None
        checked.check_electrons(n_up, n_down)
        return checked

    def check_electrons(self, n_up: int, n_down: int) -> None:
        """Reject options that do not fit the numbers of electrons; by default all fit."""


class FermiNetOptions(AnsatzOptions):
    """Options of `ferminet.ansatz.ferminet:build`."""

    label: ClassVar[str] = "FermiNet"

    layers: Layers = Field(
        default=4,
        description="Layers of the one-electron stream; the two-electron stream has one fewer, "
        "since nothing would read its last.",
    )
    one_electron_width: Size = Field(default=256, description="Features per electron.")
    two_electron_width: Size = Field(default=32, description="Features per pair of electrons.")
    determinants: Determinants = 16
    full_determinant: FullDeterminant = False
    envelope: Envelope = "anisotropic"
    jastrow: Jastrow = "none"
    spin_symmetric: bool = Field(
        default=False,
        description="Make psi even under the exchange of all spins, as a singlet is, which "
        "excludes the triplet (and every odd total spin). Features are averaged over the same and "
        "the opposite spin, and every determinant is followed by its mirror image. Off in the "
        "paper.",
    )
    rescale_inputs: bool = Field(
        default=False,
        description="Distances r enter the network as log(1 + r), and vectors are scaled to that "
        "length. Off in the paper.",
    )

    def check_electrons(self, n_up: int, n_down: int) -> None:
        """Reject spin symmetry if the numbers of spin-up and spin-down electrons differ."""
        if self.spin_symmetric and n_up != n_down:
            raise InputError(
                f"FermiNet option spin_symmetric needs as many spin-up as spin-down electrons, got "
                f"{n_up} and {n_down}; switch it off for this system."
            )

    def mirror_sign(self, n_up: int) -> float:
        """Return the sign of the mirror image of a determinant.

        Exchanging all spins exchanges the two blocks of rows of a full determinant; exchanging the
        blocks of columns as well restores the sign. Block determinants do not change sign.
        """
        return (-1.0) ** n_up if self.full_determinant else 1.0


class PsiformerOptions(AnsatzOptions):
    """Options of `ferminet.ansatz.psiformer:build`."""

    label: ClassVar[str] = "Psiformer"

    layers: Layers = Field(default=4, description="Pairs of a self-attention and a tanh layer.")
    heads: Size = Field(default=4, description="Heads of each self-attention.")
    head_width: Size = Field(
        default=64, description="Features of a head; an electron has heads * head_width features."
    )
    determinants: Determinants = 16
    full_determinant: FullDeterminant = True
    envelope: Envelope = "isotropic"
    jastrow: Jastrow = "electron_cusp"
    layer_norm: bool = Field(
        default=False,
        description="Normalise the features that enter each attention and each tanh layer, without "
        "trainable parameters. The paper has no normalisation; the authors' later code offers one.",
    )

    @property
    def width(self) -> int:
        """Features of an electron."""
        return self.heads * self.head_width


NetworkOptions = FermiNetOptions | PsiformerOptions


class SlaterJastrowOptions(AnsatzOptions):
    """Options of `ferminet.ansatz.slater_jastrow:build`."""

    label: ClassVar[str] = "Slater-Jastrow"

    order: Order = Field(
        default=6,
        description="Largest sum of exponents of a term of the Jastrow factor; with 0 or 1 the "
        "factor has only the electron-electron cusps.",
    )
    train_orbitals: bool = Field(
        default=False,
        description="Also optimise the coefficients of the orbitals, starting from the SCF. "
        "Otherwise they are constants of the program, which is compiled for each geometry.",
    )


class BackflowOptions(SlaterJastrowOptions):
    """Options of `ferminet.ansatz.slater_jastrow_backflow:build`."""

    label: ClassVar[str] = "Slater-Jastrow-backflow"

    backflow_order: Order = Field(
        default=3,
        description="Largest power in the two-body functions of the displacement; with 0 only the "
        "three-body functions remain.",
    )


class HydrogenicOptions(AnsatzOptions):
    """Options of `ferminet.ansatz.hydrogenic:build`."""

    label: ClassVar[str] = "Hydrogenic"

    zeta: float = Field(default=1.0, description="Initial exponent (1/bohr).")


# Builders of the package, by the names that studies use.
OPTIONS: dict[str, type[AnsatzOptions]] = {
    FERMINET: FermiNetOptions,
    "ferminet.ansatz.psiformer:build": PsiformerOptions,
    "ferminet.ansatz.slater_jastrow:build": SlaterJastrowOptions,
    "ferminet.ansatz.slater_jastrow_backflow:build": BackflowOptions,
    "ferminet.ansatz.hydrogenic:build": HydrogenicOptions,
}


def check_wavefunctions(runs: Iterable[RunConfig]) -> None:
    """Check the options of each kind of run, those of the package's wavefunctions without JAX.

    Raises:
        InputError: an option is out of range or does not fit a system; the message names both.
    """
    checked = set()
    for run in runs:
        kind = (run.ansatz.model_dump_json(), run.molecule.spins, len(run.molecule.symbols))
        if kind in checked:
            continue
        checked.add(kind)
        build, options, molecule = run.ansatz.build, run.ansatz.options, run.molecule
        try:
            if build in OPTIONS:
                OPTIONS[build].read(options, *molecule.spins)
                continue
            from ferminet.ansatz.base import AnsatzSpec, build_ansatz

            build_ansatz(build, options, AnsatzSpec(*molecule.spins, len(molecule.symbols)))
        except InputError as error:
            raise InputError(f"ansatz {run.ansatz_name} of {run.system}: {error}") from None
