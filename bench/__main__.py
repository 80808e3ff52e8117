"""Seconds per training iteration and its parts, medians of several calls, one process.

    python -m bench [--systems LiH N2] [--walkers 256] [--paper] [--json FILE]

Run it on an otherwise idle machine. Compilation is timed apart.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ferminet.environment import prepare_environment

prepare_environment()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from ferminet.ansatz import ferminet  # noqa: E402
from ferminet.ansatz.base import AnsatzSpec, Nuclei, count_parameters  # noqa: E402
from ferminet.config import OptimizerConfig, SamplerConfig, TrainConfig  # noqa: E402
from ferminet.config.study import molecules_directory  # noqa: E402
from ferminet.molecule import find_system  # noqa: E402
from ferminet.vmc.programs import Problem  # noqa: E402
from ferminet.vmc.sampling import init_walkers  # noqa: E402
from ferminet.vmc.train import Trainer, TrainSettings  # noqa: E402

REPEATS = 7
SMALL = {
    "layers": 3,
    "one_electron_width": 32,
    "two_electron_width": 8,
    "determinants": 4,
    "full_determinant": True,
    "envelope": "isotropic",
}
PAPER = {**SMALL, "layers": 4, "one_electron_width": 256, "two_electron_width": 32}
PAPER = {**PAPER, "determinants": 16}


def timed(function: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the first call (with compilation) and the median of the following ones."""
    seconds = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - began)
    return seconds[0], statistics.median(seconds[1:])


def measure(system: str, walkers: int, options: dict[str, Any]) -> dict[str, Any]:
    """Times the programs of one training iteration of one system."""
    molecule = find_system(system, molecules_directory()).geometries["eq"]
    nuclei = Nuclei(jnp.asarray(molecule.coords, "f4"), jnp.asarray(molecule.charges, "f4"))
    n_up, n_down = molecule.spins
    ansatz = ferminet.build(AnsatzSpec(n_up, n_down, len(molecule.symbols)), **options)
    settings = TrainSettings(
        SamplerConfig(walkers=walkers, burn_in=10), OptimizerConfig(), TrainConfig(), 1, "bench", {}
    )
    trainer = Trainer(Problem(ansatz, nuclei, n_up, n_down), settings)
    params = ansatz.init(jax.random.key(0), nuclei)
    state = trainer.start(params, init_walkers(jax.random.key(1), nuclei, n_up, n_down, walkers))
    key = jax.random.key(2)
    moving = (key, state.params, state.electrons, state.step_size, nuclei)
    *_, gradient, _ = trainer.sample(*moving)
    n_steps = settings.sampler.decorrelation_steps
    energies = trainer.energies(state.params, state.electrons, nuclei).total
    parts = {
        "sweep": lambda: trainer.sweep(*moving, n_steps),
        "local energy": lambda: trainer.energies(state.params, state.electrons, nuclei),
        "gradient": lambda: trainer.gradient(state.params, state.electrons, energies, nuclei),
        "optimiser": lambda: trainer.update(
            key, gradient, *state[2:3], *state[:2], state.electrons, nuclei, jnp.int32(0)
        ),
        "iteration": lambda: trainer.step(state, 1),
    }
    first, median = {}, {}
    for name, function in parts.items():
        first[name], median[name] = timed(function)
    return {
        "system": system,
        "walkers": walkers,
        "parameters": count_parameters(params),
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "first_call_s": first,
        "median_s": median,
    }


def main() -> None:
    """Prints a table and, if asked to, writes all numbers as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--systems", nargs="+", default=["LiH", "N2"])
    parser.add_argument("--walkers", type=int, default=256)
    parser.add_argument("--paper", action="store_true", help="the paper's widths")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for system in options.systems:
        result = measure(system, options.walkers, PAPER if options.paper else SMALL)
        results.append(result)
        print(f"{system}, {options.walkers} walkers, {result['parameters']} parameters, ms:")
        for name, seconds in result["median_s"].items():
            first = result["first_call_s"][name]
            print(f"  {name:<34}{1e3 * seconds:9.1f}   first call {first:6.1f} s")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
