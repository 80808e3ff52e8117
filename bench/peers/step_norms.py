"""Compare the two norms that limit a step: KFAC's estimate, and the norm over the walkers.

    python -m bench.peers.step_norms results/authors-code/seed1

This package trains with the authors' residual connection and limit, from the start and from the
last parameters of the arm `authors`. The table shows the ratio of the squared Fisher norm over the
walkers to the estimate d^T g, every tenth of 120 iterations.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from bench.peers.authors import RESIDUAL, scale_orbitals
from bench.peers.runs import read_params, read_run
from ferminet.config import OptimizerConfig
from ferminet.vmc.optimizers.base import FISHER, gradient_weights
from ferminet.vmc.optimizers.kfac import make_curvature
from ferminet.vmc.programs import build_problem
from ferminet.vmc.train import Trainer, TrainSettings

ITERATIONS, INTERVAL = 120, 10


def main() -> None:
    """Print the ratios at the beginning and at the end of training."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers.step_norms", description=__doc__)
    parser.add_argument("folder", type=Path, help="of a seed that runs.py has finished")
    options = parser.parse_args()
    jax.config.update("jax_default_matmul_precision", "highest")
    done = read_run("authors", 1).train.iterations
    for name, first in (("start", 0), ("authors", done)):
        found = ratios(dict(np.load(options.folder / f"{name}.npz")), first)
        print(
            f"from iteration {first}: median {np.median(found):.0f};", *np.round(found).astype(int)
        )


def ratios(arrays: dict[str, np.ndarray], first: int) -> list[float]:
    """Return norm over the walkers / estimate of some steps, starting at iteration `first`."""
    run = read_run("authors", 1)
    problem = build_problem(run)
    ansatz, nuclei = problem.ansatz, problem.nuclei
    assert ansatz.layered
    settings = OptimizerConfig(damping=run.optimizer.damping)
    _, curvature = make_curvature(ansatz, settings)

    @jax.jit
    def ratio(params, electrons, energies, factors, iteration):
        weights = gradient_weights(energies, run.train.clip)
        maps, _ = curvature(factors, params, electrons, nuclei, iteration)
        change = maps.change(maps.divide(maps.gradient(weights)))
        return FISHER * jnp.var(change) / (weights @ change)

    trainer = Trainer(problem, TrainSettings(run.sampler, run.optimizer, run.train, seed=1))
    params = scale_orbitals(read_params(read_run("ferminet", 1), arrays), RESIDUAL)
    state, found = trainer.init(params, jnp.asarray(arrays["electrons"])), []
    for iteration in range(first, first + ITERATIONS):
        state, _ = trainer.step(state, iteration)
        if (iteration + 1) % INTERVAL == 0:
            energies = trainer.energies(state.params, state.electrons, nuclei).total
            given = (state.params, state.electrons, energies, state.optimizer, iteration)
            found.append(float(ratio(*given)))
    return found


if __name__ == "__main__":
    main()
