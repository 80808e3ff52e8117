"""The small systems that a wavefunction is checked on, and its programs for each of them."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Ansatz, AnsatzSpec, Array, LogPsi, Nuclei, Params, build_ansatz
from ferminet.config.plugins import PluginError, guarded, load_object
from ferminet.errors import InputError
from ferminet.systems.molecule import Molecule
from ferminet.vmc.hamiltonian import EnergyParts, LocalEnergy, hessian_kinetic, local_energy
from ferminet.vmc.sampling import init_walkers

Program = Callable[[Params, Array, Nuclei], Any]
SAME_SPIN = "the same spin"
WALKERS = 4  # of each check, not counting those at special positions
BATCH = 16  # walkers of one call of a program, so that each program is compiled once
# Parameters are moved by this much from their initial values: a mistake in what starts at zero (a
# Jastrow factor, a last layer) would stay hidden.
SHIFT = 0.05


def small_system(
    name: str, symbols: tuple[str, ...], coords: list[list[float]], unpaired: int, charge: int = 0
) -> Molecule:
    """Return a system to check on; coordinates are in bohr."""
    kind = "atom" if len(symbols) == 1 else "molecule"
    return Molecule(
        name=name, geometry="eq", symbols=symbols, coords=np.array(coords), charge=charge,
        unpaired_electrons=unpaired, source="a conformance check", kind=kind, allow_close=True,
    )  # fmt: skip


POINT, PAIR = [[0.1, -0.2, 0.3]], [[0.1, -0.2, -1.3], [-0.1, 0.3, 1.4]]
SYSTEMS = (
    small_system("Li", ("Li",), POINT, unpaired=1),
    small_system("Li2+", ("Li", "Li"), PAIR, unpaired=1, charge=1),
    small_system("H", ("H",), POINT, unpaired=1),
)
# For a wavefunction that refuses open shells.
CLOSED_SHELLS = (
    small_system("LiH", ("Li", "H"), PAIR, unpaired=0),
    small_system("He", ("He",), POINT, unpaired=0),
)


def describe(system: Molecule) -> str:
    """Return a system's name and its numbers of electrons and nuclei."""
    n_nuclei, (n_up, n_down) = len(system.symbols), system.spins
    nuclei = "one nucleus" if n_nuclei == 1 else f"{n_nuclei} nuclei"
    return f"{system.name} ({n_up} up, {n_down} down, {nuclei})"


class Finding(NamedTuple):
    """What a check measured; it passes if `sentence` is empty."""

    measured: str  # the value, with its unit
    limit: str = ""  # the allowed value
    sentence: str = ""  # after a failure: what was expected and where to look
    details: Mapping[str, Any] = {}  # numbers for `--json`
    name: str = ""  # of the check
    status: str = ""  # passed, failed, reported, or not run


def largest(name: str, deviations: dict[str, float], limit: float, failure: str) -> Finding:
    """Judge the largest of several deviations (by position); NaN counts as the largest.

    `failure` is the message, in which `{where}` and `{value}` are filled in.
    """
    if not deviations:
        return Finding(f"{name}: nothing to compare")
    where, value = max(deviations.items(), key=lambda item: (item[1] != item[1], item[1]))
    text = "" if value <= limit else failure.format(where=where, value=f"{value:.2g}")
    return Finding(f"{name} {value:.1e}", f"{limit:.1e}", text, {"at": deviations})


@dataclass(frozen=True)
class Case:
    """A wavefunction for one system with its parameters and walkers, all in float64."""

    system: Molecule
    ansatz: Ansatz
    home: Path | None
    energy: Callable[[Ansatz], LocalEnergy]
    programs: dict[str, Callable[..., Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the system with its numbers of electrons and nuclei, for messages."""
        return describe(self.system)

    @property
    def spins(self) -> tuple[range, range]:
        """Indices of the electrons of each spin."""
        n_up = self.system.spins[0]
        return range(n_up), range(n_up, self.system.n_electrons)

    @property
    def same_spin_pairs(self) -> list[tuple[int, int]]:
        """Every pair of electrons of one spin."""
        return [pair for spin in self.spins for pair in combinations(spin, 2)]

    @property
    def partners(self) -> dict[str, int]:
        """An electron that can meet electron 0, by the spins of the two."""
        up, down = self.spins
        same = {SAME_SPIN: 1} if len(up) > 1 else {}
        return same | ({"opposite spin": down[0]} if up and down else {})

    @cached_property
    def nuclei(self) -> Nuclei:
        """The nuclei of the system."""
        return Nuclei(jnp.asarray(self.system.coords), jnp.asarray(self.system.charges))

    @cached_property
    def moved_nuclei(self) -> Nuclei:
        """Another geometry of the same shape."""
        noise = np.random.default_rng(5).normal(size=self.nuclei.coords.shape)
        return self.nuclei._replace(coords=jnp.asarray(self.system.coords + 0.3 * noise))

    def init(self, seed: int) -> Params:
        """Return parameters as `init` makes them."""
        with guarded("init(key, nuclei)", self.home):
            return self.ansatz.init(jax.random.key(seed), self.nuclei)

    @cached_property
    def initial(self) -> Params:
        """The parameters of seed 1."""
        return self.init(1)

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

        They are a NumPy array, so that moving an electron compiles nothing.
        """
        return np.asarray(init_walkers(jax.random.key(3), self.nuclei, *self.system.spins, WALKERS))

    def logabs(self, params: Params, electrons: Array, nuclei: Nuclei) -> Array:
        """Return log|psi| of one walker."""
        return self.ansatz.apply(params, electrons, nuclei).logabs

    def values(self, walkers: np.ndarray, nuclei: Nuclei | None = None) -> LogPsi:
        """Return sign and log|psi| of walkers (n, n_electrons, 3)."""
        return self.run("apply(params, electrons, nuclei)", self.ansatz.apply, walkers, nuclei)

    def gradients(self, walkers: np.ndarray) -> tuple[Params, np.ndarray]:
        """Return the derivatives of log|psi| with respect to parameters and electrons."""
        gradient = jax.grad(self.logabs, argnums=(0, 1))
        return self.run("the gradient of log|psi|", gradient, walkers)

    def energies(self, walkers: np.ndarray, nuclei: Nuclei | None = None) -> EnergyParts:
        """Return the local energies as runs compute them, hartree."""
        return self.run("the local energy", self.energy(self.ansatz), walkers, nuclei)

    def brute_kinetic(self, walkers: np.ndarray, nuclei: Nuclei | None = None) -> np.ndarray:
        """Return the kinetic energies from all second derivatives, hartree."""
        brute = hessian_kinetic(self.ansatz)
        return self.run("the second derivatives of log|psi|", brute, walkers, nuclei)

    def run(
        self, action: str, function: Program, walkers: np.ndarray, nuclei: Nuclei | None = None
    ) -> Any:
        """Evaluate a function of one walker for walkers (n, n_electrons, 3), `BATCH` at a time.

        `action` names the function in error messages and is the key of its compiled program.
        """
        program = self.programs.setdefault(action, jax.jit(jax.vmap(function, (None, 0, None))))
        missing = -len(walkers) % BATCH
        padded = np.concatenate([walkers, np.repeat(walkers[-1:], missing, axis=0)])
        with guarded(action, self.home):
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
    refused: dict[str, str] = field(default_factory=dict)  # system -> the builder's message

    @cached_property
    def home(self) -> Path | None:
        """The file of the builder; raises an `InputError` if there is no such builder."""
        with guarded("importing it", None, inputs_pass=True):
            builder = inspect.unwrap(load_object(self.target))
        try:
            file = inspect.getsourcefile(builder)
            return Path(file) if file else None
        except TypeError:  # built into Python
            return None

    @cached_property
    def cases(self) -> list[Case]:
        """The systems that the builder accepts, the smallest with two spins first.

        Raises:
            InputError: the name or the options are wrong, or the builder accepts no system.
        """
        cases = self._build_all(SYSTEMS)
        if not any(case.same_spin_pairs for case in cases):
            cases = self._build_all(CLOSED_SHELLS) + cases
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
        return max(self.cases, key=lambda case: case.system.n_electrons)

    def _build_all(self, systems: tuple[Molecule, ...]) -> list[Case]:
        """Build the wavefunction for each system; record those that the builder refuses."""
        cases = []
        for system in systems:
            try:
                cases.append(Case(system, self._build(system), self.home, self.energy))
            except PluginError:
                raise
            except InputError as error:
                self.refused[describe(system)] = str(error)
        return cases

    def _build(self, system: Molecule) -> Ansatz:
        spec = AnsatzSpec(*system.spins, len(system.symbols))
        with guarded("build(spec, **options)", self.home, inputs_pass=True):
            try:
                return build_ansatz(self.target, self.options, spec)
            except InputError as error:
                if "SCF orbitals" not in str(error):
                    raise
            from ferminet.chemistry.scf import run_scf  # PySCF, which few wavefunctions need

            spec = spec._replace(scf=run_scf(system, "sto-3g").orbitals)
            return build_ansatz(self.target, self.options, spec)
