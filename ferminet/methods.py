"""The conventional methods, and the names that configuration, command line and workflow accept.

To add a method, write one file in `ferminet/chemistry` and add one entry to `METHODS`. This module
imports nothing from the package: an entry names its functions, which are imported on use.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

ScfReference = Literal["auto", "rhf", "uhf", "rohf"]
Protocol = Literal["paper", "small"]
DeviceName = Literal["cpu-core", "a100"]
SCF_REFERENCES: tuple[ScfReference, ...] = get_args(ScfReference)
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
DEVICES: tuple[DeviceName, ...] = get_args(DeviceName)


@dataclass(frozen=True)
class Look:
    """How figures draw a method: a colour from `benchmark.figures.style`, a line and a marker."""

    colour: str
    line: str
    marker: str


@dataclass(frozen=True)
class ConventionalMethod:
    """One method of conventional quantum chemistry.

    `solver` and `cost` are `module:function`. The solver takes a converged `ScfResult` and a
    `Task` and returns a `BaselineResult`; the cost takes a `Task` and returns a predicted `Cost`.
    """

    label: str  # in tables and figures
    solver: str
    cost: str
    look: Look
    uhf_look: Look | None = None  # on unrestricted orbitals, where a second curve is customary
    # SCF references that it may start from; empty if it chooses its own orbitals.
    scf_references: tuple[ScfReference, ...] = ()
    breaks_symmetry: bool = False  # whether `auto` means UHF for a molecule with `broken_symmetry`
    needs_active_space: bool = False
    # Labels, by name, of the methods whose energies the calculation also yields.
    passed_methods: Mapping[str, str] = field(default_factory=dict)
    in_system_tables: bool = False  # whether tables of systems and ionisation show it

    @property
    def chooses_orbitals(self) -> bool:
        """Whether the result does not depend on the SCF reference."""
        return not self.scf_references


METHODS: dict[str, ConventionalMethod] = {
    "hf": ConventionalMethod(
        label="HF",
        solver="ferminet.chemistry.scf:hartree_fock",
        cost="ferminet.chemistry.cost:hartree_fock_cost",
        look=Look("grey", ":", "s"),
        uhf_look=Look("grey", "--", "x"),
        scf_references=("rhf", "uhf", "rohf"),
        breaks_symmetry=True,
        in_system_tables=True,
    ),
    "ccsd_t": ConventionalMethod(
        label="CCSD(T)",
        solver="ferminet.chemistry.coupled_cluster:ccsd_t",
        cost="ferminet.chemistry.cost:coupled_cluster_cost",
        look=Look("orange", "--", "^"),
        uhf_look=Look("purple", "--", "<"),
        # PySCF would turn ROHF orbitals into unrestricted ones that are not canonical.
        scf_references=("rhf", "uhf"),
        passed_methods={"hf": "HF", "mp2": "MP2", "ccsd": "CCSD"},
        in_system_tables=True,
    ),
    "nevpt2": ConventionalMethod(
        label="NEVPT2",
        solver="ferminet.chemistry.multireference:nevpt2",
        cost="ferminet.chemistry.cost:nevpt2_cost",
        look=Look("green", ":", "P"),
        needs_active_space=True,
    ),
    "fci": ConventionalMethod(
        label="FCI",
        solver="ferminet.chemistry.full_ci:full_ci",
        cost="ferminet.chemistry.cost:full_ci_cost",
        look=Look("green", "--", "v"),
    ),
}

# Pydantic reads the names at run time; a type checker sees `str`.
if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Literal[tuple(METHODS)]

# Name and label of each conventional energy that a row may hold.
ENERGY_LABELS: dict[str, str] = {
    name: label
    for method, entry in METHODS.items()
    for name, label in {**entry.passed_methods, method: entry.label}.items()
}
SYSTEM_TABLE_METHODS: tuple[str, ...] = tuple(
    name for name, entry in METHODS.items() if entry.in_system_tables
)


def load_function(name: str) -> Callable[..., Any]:
    """Import the function that an entry names as `module:function`."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
