"""Compare the optimisers alone: the walkers of a start stay where they are, in float64.

    python -m bench.peers.fixed_walkers PEER_PYTHON results/authors-code/seed1 [--iterations 10]

Without random moves both codes are deterministic, so their parameters must agree to rounding as
long as they do the same. The table shows the relative difference of each code's change of the
parameters since the start, and of the first local energies.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from bench.peers.authors import RESIDUAL, scale_orbitals
from bench.peers.runs import SCRIPT, read_params, read_run
from ferminet.runtime.checkpoint import Arrays
from ferminet.vmc.devices import tree_to_arrays
from ferminet.vmc.optimizers.base import gradient_weights, make_optimizer
from ferminet.vmc.programs import build_problem, make_energies


def main() -> None:
    """Print the differences of both arms of this package from the other code."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers.fixed_walkers")
    parser.add_argument("peer_python", type=Path)
    parser.add_argument("folder", type=Path, help="of a seed, with start.npz")
    parser.add_argument("--iterations", type=int, default=10)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    start_file = options.folder / "start.npz"
    start = {
        name: array.astype(np.float64) if array.dtype.kind == "f" else array
        for name, array in np.load(start_file).items()
    }
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "peer.npz")
        words = [SCRIPT, start_file, out, "--fixed-walkers", "--iterations", options.iterations]
        subprocess.run([options.peer_python, *map(str, words)], check=True)
        peer = dict(np.load(out))
    for arm in ("authors", "ferminet"):
        params, energies = optimise(arm, start, options.iterations)
        print(f"{arm}: local energies {relative(energies, peer['local_energies']):.1e}")
        for name in sorted(params):
            ours, theirs = params[name] - start[name], peer[name] - start[name]
            print(f"  {name:<36} {relative(ours, theirs):.1e}")


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the norm of the difference relative to that of the second argument."""
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def optimise(arm: str, start: Arrays, iterations: int) -> tuple[Arrays, np.ndarray]:
    """Return the parameters after some iterations, and the first local energies, hartree."""
    run = read_run(arm, 1).model_copy(update={"precision": "float64"})
    problem, electrons = build_problem(run), jnp.asarray(start["electrons"])
    energies, optimizer = make_energies(problem), make_optimizer(run.optimizer, problem.ansatz)
    params = read_params(read_run("ferminet", 1).model_copy(update={"precision": "float64"}), start)
    scale = RESIDUAL if arm == "authors" else 1.0
    params = scale_orbitals(params, scale)
    key, nuclei = jax.random.key(0), problem.nuclei
    state, first = optimizer.init(key, params, electrons, nuclei), None
    update = jax.jit(optimizer.update)
    for iteration in range(iterations):
        local = energies(params, electrons, nuclei).total
        first = local if first is None else first
        weights = gradient_weights(local, run.train.clip)
        params, state = update(
            key, weights, state, params, electrons, nuclei, jnp.asarray(iteration)
        )
    return tree_to_arrays(scale_orbitals(params, 1.0 / scale), "params"), np.asarray(first)


if __name__ == "__main__":
    main()
