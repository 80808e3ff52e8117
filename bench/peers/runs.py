"""Train LiH with this package and with google-deepmind/ferminet from the same starts.

    python -m bench.peers.runs PEER_PYTHON [--seeds 1 2 3] [--arms peer authors]

PEER_PYTHON is the Python of that code's environment (README.md). Each seed is pretrained once, by
this package; all arms start from these parameters and walkers. The same command continues what was
interrupted. The last parameters of every run are measured with this package's sampler. The curves
and energies are written to bench/peers/results; those of other arms and seeds stay there.
"""

import argparse
import csv
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.peers.authors import RESIDUAL, scale_orbitals
from ferminet.ansatz.base import Params
from ferminet.config import RunConfig
from ferminet.config.load import load_run
from ferminet.runtime.checkpoint import Arrays, load_arrays
from ferminet.runtime.progress import Progress
from ferminet.stages.chemistry import run_scf
from ferminet.stages.evaluation import evaluate
from ferminet.stages.runs import run_pretrain
from ferminet.stages.training import RunIdentity, train
from ferminet.stages.wavefunction import params_template
from ferminet.vmc.devices import arrays_to_tree, tree_to_arrays
from ferminet.vmc.evaluate import make_evaluator
from ferminet.vmc.programs import build_problem
from ferminet.vmc.statistics import walker_estimate
from ferminet.vmc.train import TrainSettings

HERE = Path(__file__).parent
STUDY, SCRIPT, RESULTS = HERE / "lih.yaml", HERE / "train_ferminet.py", HERE / "results"
# google-deepmind/ferminet, and the wavefunctions of lih.yaml.
ARMS = ("peer", "ferminet", "authors", "relaxed")
BIN = 20  # iterations that a line of curves.csv averages
CURVE_COLUMNS = ("arm", "seed", "iteration", "energy", "log10_variance", "acceptance")
ENERGY_COLUMNS = ("arm", "seed", "energy", "stderr", "variance")
EVALUATION_STEP_SIZE = 0.15  # as after the burn-in of these runs


def main() -> None:
    """Do what is missing, and write the curves and energies of all seeds."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers.runs", description=__doc__)
    parser.add_argument("peer_python", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--out", type=Path, default=Path("results/authors-code"))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    jax.config.update("jax_default_matmul_precision", "highest")
    curves, energies = [], []
    for seed in options.seeds:
        folder = options.out / f"seed{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        prepare_start(seed, folder)
        for arm in options.arms:
            result = folder / f"{arm}.npz"
            if not result.exists():
                if arm == "peer":
                    train_peer(options.peer_python, seed, folder)
                else:
                    train_here(arm, seed, folder)
            arrays = dict(np.load(result))
            curves += curve_lines(arm, seed, arrays)
            energies.append((arm, seed, *measure(arm, seed, arrays, folder)))
        update_csv(RESULTS / "curves.csv", CURVE_COLUMNS, curves)
        update_csv(RESULTS / "energies.csv", ENERGY_COLUMNS, energies)


def prepare_start(seed: int, folder: Path) -> None:
    """Pretrain with this package, and write the start in a form that both codes read."""
    run, pretrained, start = read_run("ferminet", seed), folder / "start", folder / "start.npz"
    if start.exists():
        return
    run_scf(run, folder / "scf.safetensors")
    run_pretrain(run, folder / "scf.safetensors", pretrained)
    arrays, _ = load_arrays(pretrained)
    save_npz(start, arrays | description(run))


def description(run: RunConfig) -> dict[str, Any]:
    """Return the system and the network as arrays for train_ferminet.py."""
    molecule, options = run.molecule, run.ansatz.options
    widths = (options["one_electron_width"], options["two_electron_width"])
    return {
        "symbols": np.array(molecule.symbols),
        "coords": np.array(molecule.coords, np.float64),
        "charges": np.array(molecule.charges, np.float64),
        "spins": np.array(molecule.spins),
        "hidden_dims": np.array([widths] * options["layers"]),
        "determinants": options["determinants"],
    }


def read_run(arm: str, seed: int) -> RunConfig:
    """Return the configuration of an arm of this package."""
    return load_run(STUDY, ansatz=arm, seed=seed)


def read_params(run: RunConfig, arrays: Arrays) -> Params:
    """Return the parameters of this package's FermiNet, whose paths begin with `params`."""
    return arrays_to_tree(arrays, params_template(build_problem(run)), "params")


def train_peer(python: Path, seed: int, folder: Path) -> None:
    """Train with google-deepmind/ferminet; an interrupted training starts again."""
    iterations = read_run("ferminet", seed).train.iterations
    words = [SCRIPT, folder / "start.npz", folder / "peer.npz", "--iterations", iterations]
    subprocess.run([python, *map(str, words), "--seed", str(seed)], check=True)


def train_here(arm: str, seed: int, folder: Path) -> None:
    """Train with this package, from the newest checkpoint if there is one."""
    run, start = read_run(arm, seed), dict(np.load(folder / "start.npz"))
    params = read_params(run, start)
    if arm == "authors":
        params = scale_orbitals(params, RESIDUAL)
    result = train(
        build_problem(run),
        TrainSettings(run.sampler, run.optimizer, run.train, seed),
        RunIdentity(run.config_hash(), run.trajectory()),
        params,
        jnp.asarray(start["electrons"]),
        folder / arm,
        Progress(f"{arm} seed {seed}", run.train.iterations),
    )
    last = result.state.params
    if arm == "authors":
        last = scale_orbitals(last, 1.0 / RESIDUAL)
    arrays = tree_to_arrays(last, "params") | {"electrons": np.asarray(result.state.electrons)}
    names = ("energy", "variance", "acceptance")
    save_npz(folder / f"{arm}.npz", arrays | {name: result.histories[0][name] for name in names})


def curve_lines(arm: str, seed: int, arrays: Arrays) -> Iterator[tuple]:
    """Return the means over each bin of iterations; the variance has a long tail, so its log."""
    columns = (arrays["energy"], np.log10(arrays["variance"]), arrays["acceptance"])
    for first in range(0, len(arrays["energy"]), BIN):
        means = (f"{np.mean(column[first : first + BIN]):.6f}" for column in columns)
        yield (arm, seed, first, *means)


def measure(arm: str, seed: int, arrays: Arrays, folder: Path) -> tuple[str, ...]:
    """Return energy, its standard error and the variance of the last parameters of a run."""
    run = read_run("ferminet", seed)
    problem = build_problem(run)
    result = evaluate(
        make_evaluator(problem, run.sampler.exchange_probability, 10),
        run.evaluate,
        read_params(run, arrays),
        jnp.asarray(arrays["electrons"]),
        jnp.asarray(EVALUATION_STEP_SIZE, run.precision),
        run.evaluation_seed,
        f"{arm} seed {seed}",
        folder / f"evaluate-{arm}",
        Progress(f"evaluate {arm} seed {seed}", run.evaluate.iterations),
    )
    energy = walker_estimate(result.trace.block_means.energy)
    variance = np.mean(result.trace.step_variance)
    return f"{energy.mean:.6f}", f"{energy.error:.6f}", f"{variance:.6f}"


def save_npz(path: Path, arrays: dict[str, Any]) -> None:
    """Replace a file atomically."""
    partial = path.with_suffix(".part.npz")
    np.savez(partial, **arrays)
    partial.replace(path)


def update_csv(path: Path, columns: tuple[str, ...], lines: list[tuple]) -> None:
    """Write lines that begin with arm and seed, and keep those of other arms and seeds."""
    new = {(arm, str(seed)) for arm, seed, *_ in lines}
    kept: list[tuple] = []
    if path.exists():
        with open(path, newline="") as stream:
            kept = [tuple(line) for line in csv.reader(stream)][1:]
    kept = [line for line in kept if line[:2] not in new]
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(sorted([*kept, *lines], key=lambda line: (int(line[1]), line[0])))


if __name__ == "__main__":
    main()
