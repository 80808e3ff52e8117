"""The density stage: one-electron densities of the trained wavefunction and of Hartree-Fock."""

from pathlib import Path

import numpy as np
import pandas as pd

from ferminet.benchmark.records import write_table
from ferminet.config import RunConfig
from ferminet.runtime.progress import Progress
from ferminet.stages.runs import load_orbitals, run_name
from ferminet.stages.wavefunction import load_frozen
from ferminet.vmc.density.bins import Bins, frame_of, make_bins, quantities
from ferminet.vmc.density.electrons import (
    Counts,
    electrons_in_bins,
    hartree_fock_in_bins,
    sample_density,
)

# Name of a column -> weights of spin up and spin down.
SPINS = {"up": (1, 0), "down": (0, 1), "total": (1, 1), "spin": (1, -1)}
_COORDINATES = ("first_low", "first_high", "second_low", "second_high", "extent")
COLUMN_UNITS = {name: "bohr" for name in _COORDINATES}


def run_density(run: RunConfig, trained: Path, scf_path: Path, out: Path) -> None:
    """Measure the density with the averaged parameters, which give the energy too.

    The file has one row per bin and quantity; see `density_table`.
    """
    molecule, settings = run.molecule, run.density
    frozen = load_frozen(run, trained, settings.iterations)
    orbitals, scf = load_orbitals(run, scf_path)
    bins = make_bins(frame_of(molecule.coords, molecule.charges), settings.bins, settings.extent)
    progress = Progress(f"density {run_name(run)}", settings.iterations)
    counts = sample_density(frozen, bins, progress)
    hartree_fock = hartree_fock_in_bins(orbitals, molecule.coords, bins)
    table = density_table(bins, counts, hartree_fock).assign(
        walkers=len(frozen.electrons),
        iterations=settings.iterations,
        extent=settings.extent,
        hf_reference=scf["reference"],
        hf_basis=scf["basis"],
    )
    write_table(out, table.to_dict("list"), COLUMN_UNITS)
    progress.log(_summary(bins, counts, hartree_fock))


def density_table(bins: Bins, counts: Counts, hartree_fock: np.ndarray) -> pd.DataFrame:
    """Return the table of densities: one row per bin, and one for the electrons outside.

    `quantity` names the profile or map that a row belongs to (`vmc.density.bins.quantities`), and
    `unit` is the unit of its values: `up`, `down`, `total` and `spin` (up minus down), each with
    its `_error`, and `hf_up` and `hf_down` of Hartree-Fock. They are means over the bin from
    `first_low` to `first_high` (in a map also `second_low` to `second_high`); `measure` times the
    value is the number of electrons in the bin. A row named `..._outside` counts the electrons
    outside all bins of a quantity, so that its electrons add up to N. `hartree_fock` are the
    Hartree-Fock electrons in the bins, (2, n_bins).
    """
    values = {"hf_up": hartree_fock[0], "hf_down": hartree_fock[1]}
    for name, weights in SPINS.items():
        means = electrons_in_bins(counts, weights)
        values |= {name: means.mean, f"{name}_error": means.error}
    tables = []
    for quantity in quantities(bins):
        inside = {name: x[quantity.bins] / quantity.measure for name, x in values.items()}
        columns = {
            "quantity": quantity.name,
            "unit": quantity.unit,
            "first_low": quantity.first[:, 0],
            "first_high": quantity.first[:, 1],
            "second_low": quantity.second[:, 0],
            "second_high": quantity.second[:, 1],
            "measure": quantity.measure,
        }
        outside = {name: x[quantity.outside] for name, x in values.items()}
        outside |= {"quantity": f"{quantity.name}_outside", "unit": "electrons", "measure": 1.0}
        tables += [pd.DataFrame(columns | inside), pd.DataFrame([outside])]
    return pd.concat(tables, ignore_index=True)


def _summary(bins: Bins, counts: Counts, hartree_fock: np.ndarray) -> str:
    """Return a sentence on the electrons outside the bins."""
    total = electrons_in_bins(counts, (1, 1)).mean[: bins.n_profile + 1]
    other = hartree_fock[:, : bins.n_profile + 1].sum(axis=0)
    return (
        f"{total.sum():.6f} electrons, {total[-1]:.2g} of them outside the bins (Hartree-Fock: "
        f"{other.sum():.6f}, {other[-1]:.2g})"
    )
