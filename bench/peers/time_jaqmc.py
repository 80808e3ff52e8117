"""CPU seconds of a training iteration of bytedance/jaqmc, in its own training loop.

    python time_jaqmc.py LiH|N2 WALKERS

Run with the Python of that code's environment (README.md).
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import jaqmc.app.molecule.workflow  # noqa: F401 - registers the command
import jax
import numpy as np
from jaqmc.app.cli import cli
from jaqmc.workflow.stage.vmc import VMCWorkStage

ATOMS = {
    "LiH": "[{symbol: Li, coords: [0, 0, 0]}, {symbol: H, coords: [0, 0, 3.015]}]",
    "N2": "[{symbol: N, coords: [0, 0, 0]}, {symbol: N, coords: [0, 0, 2.068]}]",
}
# The paper's network, untrained; KFAC with covariances and inverses in every iteration.
SETTINGS = """
system: {{unit: bohr, atoms: {atoms}}}
workflow: {{batch_size: {walkers}, seed: 1, save_path: {folder}/run}}
sampler: {{steps: 10}}
wf:
  ndets: 16
  hidden_dims_single: [256, 256, 256, 256]
  hidden_dims_double: [32, 32, 32, 32]
pretrain:
  run: {{iterations: 0, burn_in: 0}}
train:
  run: {{iterations: 9, burn_in: 0}}
  optim: {{damping: 1.0e-3, norm_constraint: 1.0e-3, inverse_update_period: 1}}
"""


def main() -> None:
    """Print the median of the iterations after the first."""
    name, walkers = sys.argv[1], int(sys.argv[2])
    folder = tempfile.mkdtemp(prefix="jaqmc_bench_")
    config = Path(folder, "bench.yml")
    config.write_text(SETTINGS.format(atoms=ATOMS[name], walkers=walkers, folder=folder))
    seconds, losses = [], []
    loop, has_nan = VMCWorkStage.loop, VMCWorkStage._has_nan

    def watched(self, stats):
        losses.append(float(stats["loss"]))
        return has_nan(self, stats)

    def timed(self, state, initial_step, rngs):
        steps = loop(self, state, initial_step, rngs)
        while True:
            began = time.process_time()
            try:
                result = jax.block_until_ready(next(steps))
            except StopIteration:
                return
            seconds.append(time.process_time() - began)
            yield result

    VMCWorkStage.loop, VMCWorkStage._has_nan = timed, watched
    try:
        cli(["molecule", "train", "--yml", str(config)], standalone_mode=False)
    except SystemExit as leaving:
        if leaving.code:
            raise
    finite = "" if losses and np.isfinite(losses).all() else ", energies NOT finite"
    median = statistics.median(seconds[1:])
    print(f"jaqmc, jax {jax.__version__}, {name}, {walkers}: {median:.3f} s{finite}")


if __name__ == "__main__":
    main()
