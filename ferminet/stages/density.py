"""The stage of the one-electron density, of the trained wavefunction and of Hartree-Fock."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from ferminet.benchmark.records import write_table
from ferminet.config import RunConfig
from ferminet.runtime.progress import Progress
from ferminet.stages.runs import load_orbitals, run_name
from ferminet.stages.wavefunction import (
    build_problem,
    load_of_run,
    params_template,
    prepare_device,
    stored_orbitals,
)
from ferminet.vmc.density.bins import Bins, Quantity, frame_of, make_bins, quantities
from ferminet.vmc.density.hartree_fock import hartree_fock_in_bins
from ferminet.vmc.density.sampling import Counts, Sampling, electrons_in_bins, sample_density
from ferminet.vmc.precision import check_products
from ferminet.vmc.programs import make_sweep
from ferminet.vmc.trees import arrays_to_tree

# Name of a column -> weights of spin up and spin down.
SPINS = {"up": (1, 0), "down": (0, 1), "total": (1, 1), "spin": (1, -1)}
COLUMN_UNITS = {
    "first_low": "bohr",
    "first_high": "bohr",
    "second_low": "bohr",
    "second_high": "bohr",
    "extent": "bohr",
}


def run_density(run: RunConfig, trained: Path, scf_path: Path, out: Path) -> None:
    """Measure the density of the averaged parameters, the same that are evaluated.

    Args:
        run: the configuration.
        trained: the result of `run_train`.
        scf_path: the result of `run_scf`.
        out: Parquet, one row per bin and quantity; see `density_table`.
    """
    prepare_device(run)
    check_products(run.precision)
    arrays, _ = load_of_run(trained, run, "train")
    problem = build_problem(run, stored_orbitals(arrays))
    orbitals, scf = load_orbitals(run, scf_path)
    molecule = run.molecule
    bins = make_bins(
        frame_of(molecule.coords, molecule.charges), run.density.bins, run.density.extent
    )
    progress = Progress(f"density {run_name(run)}", run.density.iterations)
    counts = sample_density(
        make_sweep(problem, run.sampler.exchange_probability),
        problem.nuclei,
        problem.n_up,
        bins,
        Sampling(
            run.density.iterations,
            run.evaluate.burn_in,
            run.evaluate.decorrelation_steps,
            run.evaluation_seed,
        ),
        arrays_to_tree(arrays, params_template(problem), "average"),
        jnp.asarray(arrays["electrons"]),
        jnp.asarray(arrays["step_size"]),
        progress,
    )
    hartree_fock = hartree_fock_in_bins(orbitals, molecule.coords, bins)
    table = density_table(bins, counts, hartree_fock)
    n_rows = len(table["unit"])
    table["walkers"] = [len(arrays["electrons"])] * n_rows
    table["iterations"] = [run.density.iterations] * n_rows
    table["extent"] = [run.density.extent] * n_rows
    table["hf_reference"] = [scf["reference"]] * n_rows
    table["hf_basis"] = [scf["basis"]] * n_rows
    write_table(out, table, COLUMN_UNITS)
    progress.say(_summary(bins, counts, hartree_fock))


def density_table(bins: Bins, counts: Counts, hartree_fock: np.ndarray) -> dict[str, list[Any]]:
    """Return the columns of the file of densities.

    `quantity` names the profile or map that a row belongs to (`vmc.density.bins.quantities`), and
    `unit` is the unit of its values: `up`, `down`, `total` and `spin` (up minus down), each with
    its `_error`, and `hf_up` and `hf_down` of Hartree-Fock. They are means over the bin from
    `first_low` to `first_high` (in a map also `second_low` to `second_high`); `measure` times the
    value is the number of electrons in the bin. A row named `..._outside` has the electrons outside
    all bins of a quantity, so that the electrons of a quantity add up to N.

    Args:
        bins: the bins.
        counts: electrons counted in them.
        hartree_fock: electrons in them, (2, n_bins).
    """
    values = {f"hf_{name}": electrons for name, electrons in zip(SPINS, hartree_fock, strict=False)}
    for name, weights in SPINS.items():
        means = electrons_in_bins(counts, weights)
        values |= {name: means.mean, f"{name}_error": means.error}
    table: dict[str, list[Any]] = {}
    for quantity in quantities(bins):
        for key, column in _lines(quantity, values).items():
            table.setdefault(key, []).extend(column)
    return table


def _lines(quantity: Quantity, values: dict[str, np.ndarray]) -> dict[str, list[Any]]:
    """Return one row per bin, and one for the electrons outside."""
    n_bins, outside = len(quantity.places), float("nan")
    return {
        "quantity": [quantity.name] * n_bins + [f"{quantity.name}_outside"],
        "unit": [quantity.unit] * n_bins + ["electrons"],
        "first_low": [*quantity.first[:, 0], outside],
        "first_high": [*quantity.first[:, 1], outside],
        "second_low": [*quantity.second[:, 0], outside],
        "second_high": [*quantity.second[:, 1], outside],
        "measure": [*quantity.measure, 1.0],
        **{
            name: [*(electrons[quantity.places] / quantity.measure), electrons[quantity.outside]]
            for name, electrons in values.items()
        },
    }


def _summary(bins: Bins, counts: Counts, hartree_fock: np.ndarray) -> str:
    """Return a sentence on the electrons outside the bins."""
    total = electrons_in_bins(counts, (1, 1))
    n_electrons = total.mean[: bins.n_profile + 1].sum()
    return (
        f"{n_electrons:.6f} electrons, {total.mean[bins.n_profile]:.2g} of them outside of the "
        f"bins (Hartree-Fock: {hartree_fock[:, : bins.n_profile + 1].sum():.6f}, "
        f"{hartree_fock[:, bins.n_profile].sum():.2g})"
    )
