"""Train with google-deepmind/ferminet from the parameters and walkers of this package.

    python train_ferminet.py START OUT [--iterations 2000] [--seed 1] [--fixed-walkers]

Run with the Python of that code's environment (README.md). START is written by runs.py; OUT (.npz)
gets energy, variance and acceptance of every iteration and the last parameters and walkers. The
code itself is unchanged: it resumes from a checkpoint of its own format before the first iteration.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ferminet.utils import system
from parameters import to_ours, to_theirs

from ferminet import base_config, checkpoint, networks, train

MOVE_WIDTH = 0.15  # bohr; about half of the first moves are accepted


def main() -> None:
    """Train, and write what was watched."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("start", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--fixed-walkers", action="store_true", help="no moves, float64: the optimiser alone"
    )
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", options.fixed_walkers)
    dtype = np.float64 if options.fixed_walkers else np.float32
    start = {name: _cast(array, dtype) for name, array in np.load(options.start).items()}
    config = settings(start, options)
    params = to_theirs(start, config.network.determinants)
    with tempfile.TemporaryDirectory(prefix="ferminet_start_") as folder:
        config.log.restore_path, config.log.save_path = folder, f"{folder}/run"
        save_start(folder, params, start)
        watched = watch(options.seed)
        train.train(config)
    partial = options.out.with_suffix(".part.npz")
    np.savez(partial, **watched.results(config.network.determinants))
    partial.replace(options.out)


def _cast(array: np.ndarray, dtype: type) -> np.ndarray:
    return array.astype(dtype) if array.dtype.kind == "f" else array


def settings(start: dict[str, np.ndarray], options: argparse.Namespace):
    """Return the configuration: the code's defaults, apart from what lih.yaml sets too."""
    config = base_config.default()
    config.debug.deterministic = True
    config.system.electrons = tuple(int(n) for n in start["spins"])
    config.system.molecule = [
        system.Atom(str(symbol), tuple(map(float, place)))
        for symbol, place in zip(start["symbols"], start["coords"], strict=True)
    ]
    config.batch_size = len(start["electrons"])
    config.pretrain.method, config.pretrain.iterations = None, 0
    config.mcmc.move_width = MOVE_WIDTH
    config.optim.clip_median = True
    config.optim.iterations = options.iterations
    network = config.network
    network.determinants = int(start["determinants"])
    network.ferminet.hidden_dims = tuple(tuple(map(int, pair)) for pair in start["hidden_dims"])
    network.bias_orbitals, network.full_det, network.jastrow = True, True, "none"
    if options.fixed_walkers:
        config.mcmc.burn_in, config.mcmc.steps = 0, 0
    return config


def save_start(folder: str, params: dict[str, Any], start: dict[str, np.ndarray]) -> None:
    """Write the parameters and walkers as a checkpoint after -1 iterations, for one device."""
    electrons, (n_up, n_down) = start["electrons"], start["spins"]
    of_walkers = lambda array: np.broadcast_to(array, (1, len(electrons), *array.shape))  # noqa: E731
    data = networks.FermiNetData(
        positions=electrons.reshape(1, len(electrons), -1),
        spins=of_walkers(np.repeat([1.0, -1.0], [n_up, n_down]).astype(electrons.dtype)),
        atoms=of_walkers(start["coords"]),
        charges=of_walkers(start["charges"]),
    )
    on_device = jax.tree.map(lambda array: array[None], params)
    width = np.full(1, MOVE_WIDTH, electrons.dtype)
    checkpoint.save(folder, -1, data, on_device, None, width)


@dataclasses.dataclass
class Watched:
    """What the training loop computed, read next to it."""

    energy: list[float]
    variance: list[float]
    acceptance: list[float]
    last: Any = None  # what the last iteration returned
    local_energies: Any = None  # of the first iteration, (n_walkers,), hartree

    def results(self, determinants: int) -> dict[str, np.ndarray]:
        """Return arrays by name; parameters in the layout of this package."""
        data, params, *_ = jax.device_get(self.last)
        params = jax.tree.map(lambda array: np.asarray(array[0]), params)
        curves = ("energy", "variance", "acceptance")
        return to_ours(params, determinants) | {
            "electrons": data.positions.reshape(data.positions.shape[1], -1, 3),
            "local_energies": self.local_energies,
            **{name: np.asarray(getattr(self, name)) for name in curves},
        }


def watch(seed: int) -> Watched:
    """Read every iteration of the code's training loop, and draw its random numbers by `seed`."""
    watched, make = Watched([], [], []), train.make_kfac_training_step

    def watched_step(*args, **more):
        step = make(*args, **more)

        def one(data, params, state, key, width):
            key = jax.vmap(jax.random.fold_in, (0, None))(key, seed)
            watched.last = step(data, params, state, key, width)
            *_, energy, auxiliary, acceptance = watched.last
            if watched.local_energies is None:
                watched.local_energies = np.asarray(auxiliary.local_energy[0])
            watched.energy.append(float(energy[0]))
            watched.variance.append(float(auxiliary.variance[0]))
            watched.acceptance.append(float(acceptance[0]))
            if len(watched.energy) % 100 == 0:
                print(len(watched.energy), watched.energy[-1], watched.variance[-1], flush=True)
            return watched.last

        return one

    train.make_kfac_training_step = watched_step
    return watched


if __name__ == "__main__":
    main()
