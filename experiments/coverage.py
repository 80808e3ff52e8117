"""Measure the coverage of the 95 % intervals of evaluations whose mean is known.

    python -m experiments.coverage [--systems H He LiH] [--evaluations 1000] [--out-dir DIR]

Three imperfect wavefunctions are sampled by the package's sampler: an exponential of the wrong
decay for hydrogen (zeta = 0.8, whose energy is zeta^2/2 - zeta) and for helium (zeta = 27/16:
zeta^2 - 27/8 zeta), and for LiH the Hartree-Fock determinant with the cusps of nuclei and
electrons, whose energy is that of another run with a tenth of the error of the longest evaluation.
Sampling is in float32, as for rows; means are in float64. Very many walkers are divided into
evaluations; each gives an energy and the standard error that a row would have. The script
counts how often mean +- t SE contains the true energy, for evaluations of 2 to 1,000
autocorrelation times, and compares the width of the intervals with the true scatter.
"""

import argparse
import csv
import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from ferminet.ansatz import hydrogenic, slater_jastrow
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.benchmark.figures.style import GREY, SERIES_COLOURS, render, style
from ferminet.chemistry.scf import run_scf
from ferminet.config.study import molecules_directory
from ferminet.runtime.files import write_bytes
from ferminet.systems.files import find_system
from ferminet.vmc.programs import Problem, make_energies, make_sweep
from ferminet.vmc.sampling import init_walkers
from ferminet.vmc.statistics import Estimate, autocorrelation_time, walker_estimate, z_score

# Walkers of an evaluation -> its lengths in autocorrelation times. The laptop's studies have 512;
# in long evaluations, means of few walkers are as normal as means of many walkers in short ones.
LENGTHS = {512: (2, 5, 10), 64: (30,), 8: (100, 300, 1000)}
CONFIDENCE = 0.95
ALLOWED = (93.0, 97.0)  # percent of intervals
WIDEST = 1.2
PILOT = 400  # samples from which the autocorrelation time is known
BURN_IN = 20  # autocorrelation times
PILOT_WALKERS = 2000
EXCHANGES = 0.1
REFERENCE = 100  # longest evaluations whose mean is the energy where none is known


@dataclass(frozen=True)
class Case:
    """A wavefunction, its energy (hartree) if that is known, and a step size (bohr)."""

    problem: Problem
    energy: float | None
    step_size: float


@dataclass(frozen=True)
class Coverage:
    """One wavefunction and length: how often intervals held the energy, and their width."""

    system: str
    walkers: int
    length: float  # in autocorrelation times
    samples: int
    evaluations: int
    percent: float
    error: float  # of the percentage
    width: float  # mean standard error over the scatter of the energies
    bias_z: float  # mean of all evaluations minus the energy, in the errors of both


def hydrogen() -> Case:
    """Hydrogen with zeta = 0.8."""
    zeta = 0.8
    nuclei = Nuclei(jnp.zeros((1, 3)), jnp.ones(1))
    ansatz = hydrogenic.build(AnsatzSpec(1, 0, 1), zeta=zeta)
    return Case(Problem(ansatz, nuclei, 1, 0), zeta**2 / 2 - zeta, 0.6)


def helium() -> Case:
    """Helium with the best product of exponentials."""
    zeta = 27 / 16
    nuclei = Nuclei(jnp.zeros((1, 3)), 2.0 * jnp.ones(1))
    ansatz = hydrogenic.build(AnsatzSpec(1, 1, 1), zeta=zeta)
    return Case(Problem(ansatz, nuclei, 1, 1), zeta**2 - 27 / 8 * zeta, 0.45)


def lithium_hydride() -> Case:
    """The Hartree-Fock determinant of LiH with all cusps, nothing optimised."""
    molecule = find_system("LiH", molecules_directory()).geometries["eq"]
    nuclei = Nuclei(
        jnp.asarray(molecule.coords, jnp.float32), jnp.asarray(molecule.charges, jnp.float32)
    )
    orbitals = run_scf(molecule, "cc-pvdz").orbitals
    ansatz = slater_jastrow.build(AnsatzSpec(2, 2, 2, orbitals), order=0)
    return Case(Problem(ansatz, nuclei, 2, 2), None, 0.25)


CASES = {"H": hydrogen, "He": helium, "LiH": lithium_hydride}


def measure(
    name: str, case: Case, evaluations: int, sizes: Collection[int], seed: int = 1
) -> list[Coverage]:
    """Sample one wavefunction; shorter evaluations are beginnings of the longest of their size."""
    problem, nuclei = case.problem, case.problem.nuclei
    params = problem.ansatz.init(jax.random.key(seed), nuclei)
    sweep, energies = make_sweep(problem, EXCHANGES), make_energies(problem)
    step = jnp.asarray(case.step_size, jnp.float32)

    def start(key: jax.Array, n_walkers: int, n_steps: int) -> jax.Array:
        electrons = init_walkers(key, nuclei, problem.n_up, problem.n_down, n_walkers)
        return sweep(key, params, electrons, step, nuclei, n_steps)[0]

    def sample(key: jax.Array, electrons: jax.Array, steps: int) -> tuple[jax.Array, jax.Array]:
        moved, _ = sweep(key, params, electrons, step, nuclei, steps)
        return moved, energies(params, moved, nuclei).total

    key_pilot, key_reference, *keys = jax.random.split(jax.random.key(seed), 2 + len(LENGTHS))

    def autocorrelation(key: jax.Array, steps: int) -> float:
        """Of ``PILOT`` samples, in samples."""
        electrons, energies_of = start(key, PILOT_WALKERS, PILOT), []
        for one in jax.random.split(key, PILOT):
            electrons, values = sample(one, electrons, steps)
            energies_of.append(values)
        return autocorrelation_time(np.stack(energies_of))

    # As in evaluations, energies are measured every few steps: about an autocorrelation time.
    steps = max(1, round(autocorrelation(key_pilot, 1)))
    tau = autocorrelation(key_pilot, steps)
    print(f"{name}: autocorrelation time {tau:.1f} samples of {steps} steps each", flush=True)

    def walker_means(key: jax.Array, n_walkers: int, stops: set[int]):
        """Return the means of single walkers after each number of samples."""
        electrons, total = start(key, n_walkers, BURN_IN * steps), np.zeros(n_walkers)
        for index in range(max(stops)):
            electrons, values = sample(jax.random.fold_in(key, index), electrons, steps)
            total += np.asarray(values)
            if index + 1 in stops:
                yield index + 1, total / (index + 1)

    energy = Estimate(case.energy or 0.0, 0.0)
    if case.energy is None:
        walkers = min(LENGTHS)
        n_samples = round(LENGTHS[walkers][-1] * tau)
        ((_, means),) = walker_means(key_reference, REFERENCE * walkers, {n_samples})
        energy = walker_estimate(means[None])
        print(f"{name}: E = {energy.mean:.6f} ± {energy.error:.6f} Eh", flush=True)
    found = []
    for key, (walkers, lengths) in zip(keys, LENGTHS.items(), strict=True):
        if walkers not in sizes:
            continue
        stops = {max(2, round(length * tau)): length for length in lengths}
        for n_samples, means in walker_means(key, walkers * evaluations, set(stops)):
            parted = means.reshape(evaluations, walkers)
            found.append(_coverage(name, stops[n_samples], n_samples, parted, energy))
            print(_line(found[-1]), flush=True)
    return found


def _coverage(
    system: str, length: float, samples: int, means: np.ndarray, energy: Estimate
) -> Coverage:
    """Return counts from the means of single walkers, (evaluations, walkers)."""
    estimates = [walker_estimate(one[None]) for one in means]
    limit = float(stats.t.ppf(0.5 + 0.5 * CONFIDENCE, means.shape[1] - 1))
    inside = np.mean([abs(z_score(one, energy.mean)) < limit for one in estimates])
    energies = np.array([one.mean for one in estimates])
    scatter = energies.std(ddof=1)
    error = float(np.hypot(scatter / np.sqrt(len(energies)), energy.error))
    pooled = Estimate(float(energies.mean()), error)
    return Coverage(
        system,
        means.shape[1],
        length,
        samples,
        len(estimates),
        100 * float(inside),
        100 * float(np.sqrt(inside * (1 - inside) / len(estimates))),
        float(np.sqrt(np.mean([one.error**2 for one in estimates])) / scatter),
        z_score(pooled, energy.mean),
    )


def _line(one: Coverage) -> str:
    return (
        f"{one.system:4} {one.walkers} walkers, {one.length:5} tau: {one.percent:.1f} ± "
        f"{one.error:.1f} % of {one.evaluations}, width {one.width:.3f}, bias {one.bias_z:+.1f} SE"
    )


def draw(found: list[Coverage]) -> Figure:
    """Draw coverage and width against the length of an evaluation."""
    with style():
        figure = Figure(figsize=(8.6, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.axhspan(*ALLOWED, color=GREY, alpha=0.12, linewidth=0)
        left.axhline(100 * CONFIDENCE, color=GREY, linewidth=1)
        right.axhspan(1 / WIDEST, WIDEST, color=GREY, alpha=0.12, linewidth=0)
        right.axhline(1.0, color=GREY, linewidth=1)
        for number, system in enumerate(dict.fromkeys(one.system for one in found)):
            points = [one for one in found if one.system == system]
            shift = 1.06 ** (number - 1)
            x = [shift * one.length for one in points]
            colour = SERIES_COLOURS[number]
            left.errorbar(
                x, [one.percent for one in points], yerr=[one.error for one in points], fmt="o",
                color=colour, label=system,
            )  # fmt: skip
            # The scatter of n energies is known to 1 / sqrt(2 n).
            bars = [one.width / (2 * one.evaluations) ** 0.5 for one in points]
            right.errorbar(x, [one.width for one in points], yerr=bars, fmt="o", color=colour)
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_xlabel("length of the evaluation / autocorrelation times")
        left.set_ylim(90, 100)
        left.set_ylabel("intervals that hold the energy / %")
        left.set_title("95 % intervals", loc="left")
        right.set_ylim(0.75, 1.3)
        right.set_ylabel("stated error / true scatter")
        right.set_title("Standard errors", loc="left")
        left.legend(loc="lower left", ncols=3)
        return figure


def write(found: list[Coverage], folder: Path) -> None:
    """Write coverage.csv and coverage.png."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(list(vars(found[0])))
    writer.writerows(list(vars(one).values()) for one in found)
    write_bytes(folder / "coverage.csv", sink.getvalue().encode())
    write_bytes(folder / "coverage.png", render(draw(found), "png"))


def main() -> int:
    """Measure and print; write coverage.csv and coverage.png if requested."""
    parser = argparse.ArgumentParser(prog="python -m experiments.coverage", description=__doc__)
    parser.add_argument("--systems", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument(
        "--walkers", nargs="+", type=int, choices=LENGTHS, default=list(LENGTHS),
        help="the evaluations of these numbers of walkers alone",
    )  # fmt: skip
    parser.add_argument("--out-dir", type=Path)
    options = parser.parse_args()
    found: list[Coverage] = []
    for name in options.systems:
        found += measure(name, CASES[name](), options.evaluations, options.walkers)
        if options.out_dir is not None:
            write(found, options.out_dir)
    low, high = ALLOWED
    missed = [one for one in found if not low <= one.percent <= high or one.width > WIDEST]
    print(f"{len(missed)} of {len(found)} outside {low:g} to {high:g} % or wider than {WIDEST}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
