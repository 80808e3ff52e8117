"""What a study selects: systems, conventional methods, densities, comparisons and figures."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ferminet.config.blocks import WIDEST_MARGIN_HARTREE, Count, CountOrZero, SuiteName
from ferminet.methods import MethodName, Protocol, ScfReference
from ferminet.systems.validation import Block


class SystemSelection(Block):
    """One system of the study; a plain name stands for all its geometries."""

    name: str | None = None
    """A system of the folder molecules/."""
    path: str | None = None
    """Instead of name: your own YAML or xyz file."""
    geometries: list[str] | None = Field(default=None, min_length=1)
    """Labels of geometries, e.g. [a85, a90]; all if left out."""
    charge: int | None = None
    """Charge, for an xyz file."""
    unpaired_electrons: CountOrZero | None = None
    """N_up - N_down, for an xyz file."""
    unit: Literal["bohr", "angstrom"] | None = None
    """Unit of the coordinates, for an xyz file."""


_Systems = Annotated[
    list[str],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
]
_EVERY_SYSTEM = Field(
    default=["all"],
    min_length=1,
    description="all, or the names of some of the study's systems.",
)


class BaselineSelection(Block):
    """A conventional method to compare with."""

    method: MethodName
    """Name of a conventional method; ccsd_t yields hf, MP2 and CCSD too."""
    basis: str
    """Gaussian basis set, by its Basis Set Exchange name."""
    reference: ScfReference = "auto"
    """auto: rhf for closed shells, uhf for open ones; uhf for hf where bonds break."""
    active_space: list[Count] | None = Field(default=None, min_length=2, max_length=2)
    """[electrons, orbitals] of CASSCF, for a method that needs them (nevpt2)."""
    systems: _Systems = _EVERY_SYSTEM


class LimitSelection(Block):
    """Hartree-Fock and CCSD(T) at the basis-set limit; its members are computed too."""

    protocol: Protocol
    """paper or small: the basis sets and the formulas (docs/explanation/baselines.md)."""
    systems: _Systems = _EVERY_SYSTEM


class DensityConfig(Block):
    """The one-electron density of some systems; asking for it repeats nothing else."""

    systems: _Systems = Field(default=[])
    """all, or the names of some of the study's systems; [] computes no density."""
    iterations: Annotated[int, Field(ge=2, le=2**31 - 1)] = 2000
    """Samples per walker, after the evaluation's burn_in and with its decorrelation_steps between
    them."""
    bins: Annotated[int, Field(ge=4, le=1000)] = 120
    """Bins of a profile; a map has half as many in each of its two directions."""
    extent: Annotated[float, Field(gt=0, le=100)] = 8.0
    """How far the bins reach beyond the outermost nuclei (bohr); electrons further out are counted
    together."""


class ComparisonConfig(Block):
    """A verdict on the study's wavefunctions; changing it trains nothing."""

    baseline: SuiteName | None = None
    """The suite of results/published that each wavefunction is compared with; null compares
    nothing."""
    baseline_ansatz: str | None = None
    """The suite's wavefunction, if it has several."""
    margin_hartree: Annotated[float, Field(gt=0.0, le=WIDEST_MARGIN_HARTREE)] = 5e-4
    """Differences below this do not matter (hartree, not mEh)."""


class PlotsConfig(Block):
    """How figures are written; changing it trains nothing."""

    formats: list[Literal["png", "svg"]] = Field(default=["png", "svg"], min_length=1)
    """File formats of the figures: png, svg or both."""
    dpi: Annotated[int, Field(ge=50, le=1200)] = 150
    """Resolution of png files."""
