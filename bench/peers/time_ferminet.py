"""CPU seconds of a training iteration of google-deepmind/ferminet, in its own training loop.

    python time_ferminet.py LiH|N2 WALKERS default|folx

Run with the Python of that code's environment (README.md).
"""

import statistics
import sys
import tempfile
import time

import jax
import numpy as np
from ferminet.utils import system

from ferminet import base_config, train

SYSTEMS = {
    "LiH": ([("Li", (0, 0, 0)), ("H", (0, 0, 3.015))], (2, 2)),
    "N2": ([("N", (0, 0, 0)), ("N", (0, 0, 2.068))], (7, 7)),
}


def settings(name: str, walkers: int, laplacian: str):
    """Return the paper's settings: KFAC with covariances and inverses in every iteration."""
    config = base_config.default()
    atoms, config.system.electrons = SYSTEMS[name]
    config.system.molecule = [system.Atom(symbol, place) for symbol, place in atoms]
    config.batch_size = walkers
    config.pretrain.method, config.pretrain.iterations = None, 0
    config.mcmc.burn_in, config.mcmc.steps = 0, 10
    config.optim.iterations, config.optim.laplacian = 9, laplacian
    kfac = config.optim.kfac
    kfac.invert_every = kfac.cov_update_every = 1
    kfac.damping = kfac.norm_constraint = 1e-3
    config.network.full_det, config.network.determinants = True, 16
    config.network.jastrow = "none"
    config.network.ferminet.hidden_dims = ((256, 32),) * 4
    config.log.save_path = tempfile.mkdtemp(prefix="ferminet_bench_")
    config.debug.deterministic = True
    return config


def main() -> None:
    """Print the median of the iterations after the first."""
    name, walkers, laplacian = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    seconds, losses = [], []
    make = train.make_kfac_training_step

    def timed(*args, **more):
        step = make(*args, **more)

        def one(*state):
            began = time.process_time()
            result = jax.block_until_ready(step(*state))
            seconds.append(time.process_time() - began)
            losses.append(float(result[3][0]))
            return result

        return one

    train.make_kfac_training_step = timed
    train.train(settings(name, walkers, laplacian))
    finite = "" if np.isfinite(losses).all() else ", energies NOT finite"
    median = statistics.median(seconds[1:])
    print(f"ferminet {laplacian}, jax {jax.__version__}, {name}, {walkers}: {median:.3f} s{finite}")


if __name__ == "__main__":
    main()
