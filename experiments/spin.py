"""Measure how often the flag of a wrong spin is raised, for sound and for contaminated states.

    python -m experiments.spin [--systems O Ne N2] [--evaluations 60] [--iterations 1500]

Hartree-Fock determinants in cc-pVDZ have a definite spin S. To them a share (0 and 5 %) of a
state of spin S + 1 is added, which is made by the lowering operator from the determinant with two
more parallel spins, so that <S^2> is known. The package's sampler and estimator measure it, with as
many walkers as the evaluation of a row with 512 walkers would measure; the script counts the
evaluations that `benchmark.diagnostics` flags.
"""

import argparse
import csv
import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz import slater
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.benchmark.diagnostics import flags
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import EnergyRow
from ferminet.chemistry.gto import ScfOrbitals
from ferminet.chemistry.scf import run_scf
from ferminet.config.study import molecules_directory
from ferminet.runtime.files import write_bytes
from ferminet.systems.files import find_system
from ferminet.systems.molecule import Molecule
from ferminet.vmc.evaluate import MEASURE_INTERVAL, spin_stride
from ferminet.vmc.observables import spin_squared
from ferminet.vmc.sampling import Moves, batched_logabs, init_walkers, sweep
from ferminet.vmc.statistics import walker_estimate

SHARES = (0.0, 0.05)
WALKERS, STEPS = 512, 5
BURN_IN, STEP_SIZE, EXCHANGES = 40, 0.2, 0.1


def contaminated(molecule: Molecule, basis: str, share: float) -> tuple[ScfOrbitals, float]:
    """Return sqrt(1 - share) |S> + sqrt(share) |S + 1> as a sum of determinants, and its <S^2>.

    The second state is S_- of the determinant in which 2 S + 2 electrons are unpaired:
    one term for each of these orbitals, whose electron is turned.
    """
    n_up, n_down = molecule.spins
    spin = 0.5 * (n_up - n_down)
    scf = run_scf(molecule, basis, "rohf" if n_up != n_down else "rhf")
    orbitals = np.asarray(scf.mean_field.mo_coeff)
    closed, open_shell = list(range(n_down - 1)), list(range(n_down - 1, n_up + 1))
    terms = [(np.sqrt(1.0 - share), list(range(n_up)), list(range(n_down)))]
    for index, turned in enumerate(open_shell):
        others = open_shell[:index] + open_shell[index + 1 :]
        sign = (-1.0) ** index
        weight = sign * np.sqrt(share / len(open_shell))
        terms.append((weight, closed + others, [*closed, turned]))
    up = np.stack([orbitals[:, columns] for _, columns, _ in terms])
    up[:, :, 0] *= np.asarray([weight for weight, _, _ in terms])[:, None]
    down = np.stack([orbitals[:, columns] for _, _, columns in terms])
    exact = (1.0 - share) * spin * (spin + 1) + share * (spin + 1) * (spin + 2)
    return scf.orbitals._replace(terms_up=up, terms_down=down), exact


def sample(
    molecule: Molecule, orbitals: ScfOrbitals, walkers: int, iterations: int, seed: int = 1
) -> np.ndarray:
    """Return local values of S^2, (n_measurements, walkers), sampled in float32."""
    n_up, n_down = molecule.spins
    as_float = lambda values: jnp.asarray(values, jnp.float32)  # noqa: E731
    nuclei = Nuclei(as_float(molecule.coords), as_float(molecule.charges))
    ansatz = slater.build_terms(AnsatzSpec(n_up, n_down, len(molecule.symbols), orbitals))
    moves = Moves(nuclei, jnp.float32(STEP_SIZE), n_up, EXCHANGES)
    logabs = batched_logabs(ansatz, {}, nuclei)

    def measure(electrons, key):
        moved, _ = sweep(key, electrons, logabs, moves, MEASURE_INTERVAL * STEPS)
        spin = lambda walker: spin_squared(ansatz, {}, walker, nuclei, n_up)  # noqa: E731
        return moved.electrons, jax.vmap(spin)(moved.electrons)

    @jax.jit
    def run(key):
        key_start, key_moves = jax.random.split(key)
        electrons = init_walkers(key_start, nuclei, n_up, n_down, walkers)
        keys = jax.random.split(key_moves, BURN_IN + iterations // MEASURE_INTERVAL)
        return jax.lax.scan(measure, electrons, keys)[1][BURN_IN:]

    return np.asarray(run(jax.random.key(seed)), np.float64)


def flagged(molecule: Molecule, values: np.ndarray) -> tuple[bool, float, float]:
    """Return whether an evaluation with these values is flagged, <S^2> and its error."""
    spin = walker_estimate(values)
    row = EnergyRow(
        study="spin", system=molecule.name, geometry="eq", method="vmc", ansatz="hf",
        config_hash="00000000", seed=1, status="complete", energy=0.0, stderr=1e-3,
        n_electrons=sum(molecule.spins), unpaired_electrons=molecule.unpaired_electrons,
        s2=spin.mean, s2_stderr=spin.error,
    )  # fmt: skip
    return any(flag.startswith("spin") for flag in flags(row, References())), *spin


def main() -> None:
    """Count flags and print one line for each system and share."""
    parser = argparse.ArgumentParser(prog="python -m experiments.spin")
    parser.add_argument("--systems", nargs="+", default=["O", "Ne", "N2"])
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--iterations", type=int, default=1500, help="of an evaluation")
    parser.add_argument("--out", type=Path, help="also write the table to this file (.csv)")
    options = parser.parse_args()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = "system share s2_exact s2_mean s2_error walkers evaluations flagged_percent".split()
    writer.writerow(head)
    print(*head)
    for name in options.systems:
        molecule = find_system(name, molecules_directory()).geometries["eq"]
        walkers = -(-WALKERS // spin_stride(WALKERS, *molecule.spins, STEPS))
        for share in SHARES:
            orbitals, exact = contaminated(molecule, "cc-pvdz", share)
            values = sample(molecule, orbitals, walkers * options.evaluations, options.iterations)
            results = [flagged(molecule, part) for part in np.split(values, options.evaluations, 1)]
            line = [
                name, f"{share:g}", f"{exact:g}", f"{np.mean([r[1] for r in results]):.5f}",
                f"{np.mean([r[2] for r in results]):.5f}", walkers, len(results),
                f"{100 * np.mean([r[0] for r in results]):.1f}",
            ]  # fmt: skip
            writer.writerow(line)
            print(*line, flush=True)
    if options.out:
        write_bytes(options.out, text.getvalue().encode())


if __name__ == "__main__":
    main()
