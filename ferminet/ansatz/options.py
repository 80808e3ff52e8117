"""The options of the package's wavefunctions and their checks, without JAX.

A workflow refuses with them what no job could use, before anything slow is imported. Each refusal
is one sentence with the option's name and value.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

from ferminet.errors import InputError

ENVELOPES = ("isotropic", "anisotropic")
JASTROWS = ("none", "electron_cusp")


# More than any network that fits a machine: what is above is a slip of the keyboard.
LARGEST = 65_536
LARGEST_OF = {"layers": 1000, "order": 100, "backflow_order": 100}


def check_whole_number(ansatz: str, name: str, value: Any, smallest: int = 1) -> None:
    """Refuses what is not a whole number from ``smallest`` to the largest that makes sense.

    Raises:
        InputError: with the wavefunction's and the option's name.
    """
    largest = LARGEST_OF.get(name, LARGEST)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not smallest <= value <= largest:
        raise InputError(
            f"{ansatz} option {name} is {value!r}; it must be a whole number from {smallest} to "
            f"{largest}."
        )


def check_flag(ansatz: str, name: str, value: Any) -> None:
    """Refuses what is neither true nor false.

    Raises:
        InputError: with the wavefunction's and the option's name.
    """
    if not isinstance(value, bool):
        raise InputError(f"{ansatz} option {name} is {value!r}; it must be true or false.")


def check_choice(ansatz: str, name: str, value: Any, allowed: Collection[str]) -> None:
    """Refuses what is not one of the allowed names.

    Raises:
        InputError: with the wavefunction's and the option's name.
    """
    if value not in allowed:
        raise InputError(
            f"{ansatz} option {name} is {value!r}; choose one of {', '.join(allowed)}."
        )


class OrbitalSizes(NamedTuple):
    """How many determinants of which kind are made of the features, and under which envelope."""

    determinants: int
    full_determinant: bool
    envelope: str


class FermiNetOptions(NamedTuple):
    """Options of ``ferminet.ansatz.ferminet:build``, which says what each means."""

    layers: int
    one_electron_width: int
    two_electron_width: int
    determinants: int
    full_determinant: bool
    envelope: str
    jastrow: str
    spin_symmetric: bool
    rescale_inputs: bool

    @property
    def orbitals(self) -> OrbitalSizes:
        """What the orbitals' parts need to know."""
        return OrbitalSizes(self.determinants, self.full_determinant, self.envelope)

    def check(self, n_up: int, n_down: int) -> None:
        """Refuses options of the wrong type, out of range, or that do not fit the system."""
        for name in ("layers", "one_electron_width", "two_electron_width", "determinants"):
            check_whole_number("FermiNet", name, getattr(self, name))
        for name in ("full_determinant", "spin_symmetric", "rescale_inputs"):
            check_flag("FermiNet", name, getattr(self, name))
        for name, allowed in (("envelope", ENVELOPES), ("jastrow", JASTROWS)):
            check_choice("FermiNet", name, getattr(self, name), allowed)
        if self.spin_symmetric and n_up != n_down:
            raise InputError(
                f"FermiNet option spin_symmetric needs as many spin-up as spin-down electrons, got "
                f"{n_up} and {n_down}; switch it off for this system."
            )


class PsiformerOptions(NamedTuple):
    """Options of ``ferminet.ansatz.psiformer:build``, which says what each means."""

    layers: int
    heads: int
    head_width: int
    determinants: int
    full_determinant: bool
    envelope: str
    jastrow: str
    layer_norm: bool

    @property
    def width(self) -> int:
        """Features of an electron."""
        return self.heads * self.head_width

    @property
    def orbitals(self) -> OrbitalSizes:
        """What the orbitals' parts need to know."""
        return OrbitalSizes(self.determinants, self.full_determinant, self.envelope)

    def check(self, n_up: int, n_down: int) -> None:
        """Refuses options of the wrong type or out of range."""
        del n_up, n_down
        for name in ("layers", "heads", "head_width", "determinants"):
            check_whole_number("Psiformer", name, getattr(self, name))
        for name in ("full_determinant", "layer_norm"):
            check_flag("Psiformer", name, getattr(self, name))
        for name, allowed in (("envelope", ENVELOPES), ("jastrow", JASTROWS)):
            check_choice("Psiformer", name, getattr(self, name), allowed)


class SlaterJastrowOptions(NamedTuple):
    """Options of ``ferminet.ansatz.slater_jastrow:build``, which says what each means."""

    order: int
    train_orbitals: bool

    def check(self, n_up: int, n_down: int) -> None:
        """Refuses options of the wrong type or out of range."""
        del n_up, n_down
        check_whole_number("Slater-Jastrow", "order", self.order, 0)
        check_flag("Slater-Jastrow", "train_orbitals", self.train_orbitals)


class BackflowOptions(NamedTuple):
    """Options of ``slater_jastrow_backflow:build``, which says what each means."""

    order: int
    backflow_order: int
    train_orbitals: bool

    def check(self, n_up: int, n_down: int) -> None:
        """Refuses options of the wrong type or out of range."""
        del n_up, n_down
        name = "Slater-Jastrow-backflow"
        check_whole_number(name, "order", self.order, 0)
        check_whole_number(name, "backflow_order", self.backflow_order, 0)
        check_flag(name, "train_orbitals", self.train_orbitals)


# The wavefunctions of the package that studies are made for, as these name them.
OPTIONS = {
    "ferminet.ansatz.ferminet:build": FermiNetOptions,
    "ferminet.ansatz.psiformer:build": PsiformerOptions,
    "ferminet.ansatz.slater_jastrow:build": SlaterJastrowOptions,
    "ferminet.ansatz.slater_jastrow_backflow:build": BackflowOptions,
}
