"""The small systems that a wavefunction is checked on, and its programs for each of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Ansatz, AnsatzSpec, Array, LogPsi, Nuclei, Params
from ferminet.ansatz.registry import build_ansatz
from ferminet.config.plugins import load_object
from ferminet.conformance.guard import PluginError, guarded, source_of
from ferminet.errors import InputError
from ferminet.vmc.hamiltonian import EnergyParts, LocalEnergy, local_energy
from ferminet.vmc.laplacian import hessian_kinetic
from ferminet.vmc.sampling import init_walkers

WALKERS = 4  # of each check, not counting those at special positions
BATCH = 16  # walkers of one call of a program, so that each program is compiled once
# Parameters are moved by this much from their initial values: what starts at zero (a Jastrow
# factor, a last layer) would hide its mistakes.
SHIFT = 0.05


class System(NamedTuple):
    """A system to check on; a wavefunction has to treat any."""

    name: str
    n_up: int
    n_down: int
    coords: tuple[tuple[float, float, float], ...]  # bohr
    charges: tuple[float, ...]
    symbols: tuple[str, ...]
    charge: int = 0

    @property
    def described(self) -> str:
        """The system in words."""
        nuclei = "one nucleus" if len(self.charges) == 1 else f"{len(self.charges)} nuclei"
        return f"{self.name} ({self.n_up} up, {self.n_down} down, {nuclei})"


PAIR = ((0.1, -0.2, -1.3), (-0.1, 0.3, 1.4))
SYSTEMS = (
    System("Li", 2, 1, ((0.1, -0.2, 0.3),), (3.0,), ("Li",)),
    System("Li2+", 3, 2, PAIR, (3.0, 3.0), ("Li", "Li"), 1),
    System("H", 1, 0, ((0.1, -0.2, 0.3),), (1.0,), ("H",)),
)
# For a wavefunction that refuses open shells by itself.
CLOSED_SHELLS = (
    System("LiH", 2, 2, PAIR, (3.0, 1.0), ("Li", "H")),
    System("He", 1, 1, ((0.1, -0.2, 0.3),), (2.0,), ("He",)),
)


class Outcome(NamedTuple):
    """What a check measured; it passes if `failure` is empty.

    Attributes:
        measured: the value, with its unit.
        limit: the allowed value.
        failure: what was expected and where to look, one sentence.
        details: numbers for `--json`.
    """

    measured: str
    limit: str = ""
    failure: str = ""
    details: Mapping[str, Any] = {}


def judge(passes: bool, measured: str, limit: str, failure: str) -> Outcome:
    """Return an outcome that holds the sentence only if the check fails."""
    return Outcome(measured, limit, "" if passes else failure)


def largest(name: str, deviations: dict[str, float], limit: float, failure: str) -> Outcome:
    """Judge the largest of several deviations; NaN is larger than any number.

    Args:
        name: what the deviations are of.
        deviations: deviation by position.
        limit: largest deviation allowed.
        failure: sentence, in which `{where}` and `{value}` are filled in.
    """
    if not deviations:
        return Outcome(f"{name}: nothing to compare")
    where, value = max(deviations.items(), key=lambda item: (item[1] != item[1], item[1]))
    text = "" if value <= limit else failure.format(where=where, value=f"{value:.2g}")
    return Outcome(f"{name} {value:.1e}", f"{limit:.1e}", text, {"at": deviations})


@dataclass(frozen=True)
class Case:
    """A wavefunction of one system, its parameters and walkers, everything in float64."""

    system: System
    ansatz: Ansatz
    home: Path | None
    energy: Callable[[Ansatz], LocalEnergy]
    programs: dict[str, Callable[..., Any]] = field(default_factory=dict)

    @property
    def n_electrons(self) -> int:
        """Number of electrons of both spins."""
        return self.system.n_up + self.system.n_down

    @property
    def spins(self) -> tuple[range, range]:
        """Indices of the electrons of each spin."""
        return range(self.system.n_up), range(self.system.n_up, self.n_electrons)

    @property
    def same_spin_pairs(self) -> list[tuple[int, int]]:
        """Every pair of electrons of one spin."""
        return [(i, j) for spin in self.spins for i in spin for j in spin if i < j]

    @cached_property
    def nuclei(self) -> Nuclei:
        """The nuclei of the system."""
        return Nuclei(jnp.asarray(self.system.coords), jnp.asarray(self.system.charges))

    @cached_property
    def moved_nuclei(self) -> Nuclei:
        """Another geometry of the same shape."""
        noise = np.random.default_rng(5).normal(size=self.nuclei.coords.shape)
        return self.nuclei._replace(coords=jnp.asarray(self.system.coords + 0.3 * noise))

    @cached_property
    def initial(self) -> Params:
        """The parameters as `init` makes them."""
        with guarded("init(key, nuclei)", self.home):
            return self.ansatz.init(jax.random.key(1), self.nuclei)

    @cached_property
    def params(self) -> Params:
        """The parameters moved a little, as by an optimiser."""
        rng = np.random.default_rng(2)

        def moved(leaf: Any) -> Array:
            leaf = np.asarray(leaf)
            if np.issubdtype(leaf.dtype, np.floating):
                leaf = leaf + (SHIFT * rng.normal(size=leaf.shape)).astype(leaf.dtype)
            return jnp.asarray(leaf)

        return jax.tree.map(moved, self.initial)

    @cached_property
    def walkers(self) -> np.ndarray:
        """Electrons as the sampler starts them, (WALKERS, n_electrons, 3).

        A NumPy array, in which moving an electron compiles nothing.
        """
        up, down = self.system.n_up, self.system.n_down
        return np.asarray(init_walkers(jax.random.key(3), self.nuclei, up, down, WALKERS))

    def values(self, walkers: np.ndarray, nuclei: Nuclei | None = None) -> LogPsi:
        """Return sign and log|psi| of walkers (n, n_electrons, 3)."""
        return self.run("apply(params, electrons, nuclei)", self.ansatz.apply, walkers, nuclei)

    def gradients(self, walkers: np.ndarray) -> tuple[Params, np.ndarray]:
        """Return the derivatives of log|psi| by parameters and by electrons."""

        def both(params: Params, electrons: Array, nuclei: Nuclei) -> tuple[Params, Array]:
            def logabs(params: Params, electrons: Array) -> Array:
                return self.ansatz.apply(params, electrons, nuclei).logabs

            return jax.grad(logabs, argnums=(0, 1))(params, electrons)

        return self.run("the gradient of log|psi|", both, walkers)

    def energies(self, walkers: np.ndarray, nuclei: Nuclei | None = None) -> EnergyParts:
        """Return the local energies as runs compute them, hartree."""
        return self.run("the local energy", self.energy(self.ansatz), walkers, nuclei)

    def brute_kinetic(self, walkers: np.ndarray, nuclei: Nuclei | None = None) -> np.ndarray:
        """Return the kinetic energies by all second derivatives, hartree."""
        brute = hessian_kinetic(self.ansatz)
        return self.run("the second derivatives of log|psi|", brute, walkers, nuclei)

    def run(
        self,
        doing: str,
        function: Callable[[Params, Array, Nuclei], Any],
        walkers: np.ndarray,
        nuclei: Nuclei | None = None,
    ) -> Any:
        """Evaluate a function of one walker for many, `BATCH` at a time.

        Args:
            doing: name of the function in error messages; its program is kept under it.
            function: what to evaluate.
            walkers: (n, n_electrons, 3), bohr.
            nuclei: another geometry.
        """
        program = self.programs.setdefault(doing, jax.jit(jax.vmap(function, (None, 0, None))))
        missing = -len(walkers) % BATCH
        padded = np.concatenate([walkers, np.repeat(walkers[-1:], missing, axis=0)])
        with guarded(doing, self.home):
            parts = [
                program(self.params, padded[start : start + BATCH], nuclei or self.nuclei)
                for start in range(0, len(padded), BATCH)
            ]
            return jax.tree.map(lambda *each: np.concatenate(each)[: len(walkers)], *parts)


@dataclass(frozen=True)
class Subject:
    """A wavefunction under examination: its builder and options."""

    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    energy: Callable[[Ansatz], LocalEnergy] = local_energy
    refused: dict[str, str] = field(default_factory=dict)  # system -> the builder's sentence

    @cached_property
    def home(self) -> Path | None:
        """The file of the builder.

        Raises:
            InputError: there is no such builder.
            PluginError: importing it raised something.
        """
        with guarded("importing it", None, inputs_pass=True):
            return source_of(load_object(self.target))

    @cached_property
    def cases(self) -> list[Case]:
        """The systems that the wavefunction is for, smallest with two spins first.

        Raises:
            InputError: the name or the options are wrong, or it is for no system at all.
            PluginError: the builder raised something.
        """
        cases = self._built(SYSTEMS)
        if not any(case.same_spin_pairs for case in cases):
            cases = self._built(CLOSED_SHELLS) + cases
        if not cases:
            raise InputError(next(iter(self.refused.values())))
        return cases

    @property
    def first(self) -> Case:
        """The case for checks that need one system only."""
        return self.cases[0]

    @property
    def widest(self) -> Case:
        """The case with the most electrons."""
        return max(self.cases, key=lambda case: case.n_electrons)

    def _built(self, systems: tuple[System, ...]) -> list[Case]:
        """Build the wavefunction for each system; record those that the builder refuses."""
        cases = []
        for system in systems:
            try:
                cases.append(Case(system, self._build(system), self.home, self.energy))
            except PluginError:
                raise
            except InputError as error:
                self.refused[system.described] = str(error)
        return cases

    def _build(self, system: System) -> Ansatz:
        spec = AnsatzSpec(system.n_up, system.n_down, len(system.charges))
        with guarded("build(spec, **options)", self.home, inputs_pass=True):
            try:
                return build_ansatz(self.target, self.options, spec)
            except InputError as error:
                if "SCF orbitals" not in str(error):
                    raise
            return build_ansatz(self.target, self.options, spec._replace(scf=_scf_orbitals(system)))


def _scf_orbitals(system: System):
    """Compute Hartree-Fock orbitals, for wavefunctions that need them."""
    from ferminet.chemistry.scf import run_scf
    from ferminet.systems.molecule import Molecule

    molecule = Molecule(
        name=system.name,
        geometry="eq",
        symbols=system.symbols,
        coords=np.asarray(system.coords),
        charge=system.charge,
        unpaired_electrons=system.n_up - system.n_down,
        source="a conformance check",
        kind="atom" if len(system.symbols) == 1 else "molecule",
    )
    return run_scf(molecule, "sto-3g").orbitals
