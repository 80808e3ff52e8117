"""Measure the errors of local energies of a trained wavefunction in single precision.

    python -m bench.accuracy results/quickstart/runs/LiH/eq/ferminet-.../seed1 [--walkers 256]

It prints the errors of FermiNet's own kinetic energy and of automatic differentiation, both in
single precision, against double precision on the same walkers, and the bias of the mean.
"""

import argparse
from pathlib import Path

from ferminet.runtime.environment import prepare_environment

prepare_environment()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import ferminet  # noqa: E402
from ferminet.config import RunConfig  # noqa: E402
from ferminet.errors import FermiNetError  # noqa: E402
from ferminet.runtime.checkpoint import load_arrays  # noqa: E402
from ferminet.vmc.hamiltonian import (  # noqa: E402
    batched_local_energy,
    hessian_kinetic,
    local_energy,
)
from ferminet.vmc.programs import build_problem  # noqa: E402

QUANTILES = (0.5, 0.9, 0.99, 1.0)


def main() -> None:
    """Print the table of one run."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--walkers", type=int, default=256)
    options = parser.parse_args()
    if options.walkers < 2:
        parser.error(f"--walkers must be at least 2, got {options.walkers}")
    try:
        wavefunction = ferminet.load(options.run)
        _, header = load_arrays(options.run / "trained.safetensors")
    except FermiNetError as error:
        parser.error(str(error))
    # The header's builder is one of the package: `load` has refused all others.
    ansatz = build_problem(RunConfig.model_validate(header["run"])).ansatz
    jax.config.update("jax_enable_x64", True)
    place = (wavefunction.params, wavefunction.walkers[: options.walkers], wavefunction.nuclei)

    def energies(kinetic, dtype) -> np.ndarray:
        # The full Hessian runs one walker at a time: XLA's program for chunks of 64 is wrong in
        # single precision (docs/results/precision.md). Our own is measured as training runs it.
        chunk = None if kinetic is None else 1
        function = jax.jit(batched_local_energy(local_energy(ansatz, kinetic), chunk))
        typed = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), place)
        return np.asarray(function(*typed).total, np.float64)

    exact = energies(None, jnp.float64)
    brute = energies(hessian_kinetic(ansatz), jnp.float64)
    print(f"{header['run']['system']}, {len(exact)} walkers, errors in hartree")
    print(f"double precision, own against the Hessian: largest {np.abs(exact - brute).max():.1e}")
    print(f"{'single precision':<20}" + "".join(f"{f'quantile {q}':>16}" for q in QUANTILES))
    for name, kinetic in (("own", None), ("differentiation", hessian_kinetic(ansatz))):
        difference = energies(kinetic, jnp.float32) - exact
        cells = "".join(f"{np.quantile(np.abs(difference), q):16.1e}" for q in QUANTILES)
        error = difference.std() / len(difference) ** 0.5
        print(f"{name:<20}{cells}   bias {1e3 * difference.mean():.4f} ± {1e3 * error:.4f} mEh")


if __name__ == "__main__":
    main()
