"""Folders as other codes write them, with made-up energies of helium."""

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from ferminet.benchmark.imports.rows import import_row
from ferminet.benchmark.references import project_references
from ferminet.benchmark.schema import EnergyRow
from ferminet.systems.files import find_system

MOLECULES = Path(__file__).parents[3] / "molecules"
EXACT = -2.903724  # hartree, helium
JAQMC_SETTINGS = """\
workflow: {seed: 7, batch_size: 128, save_path: runs/a}
system:
  unit: bohr
  atoms: [{symbol: He, coords: [0.0, 0.0, 1.0]}]
sampler: {steps: 10}
train: {run: {iterations: 400}}
run: {iterations: 400}
"""
DEEPQMC_SETTINGS = """\
task:
  steps: 400
  seed: 3
  electron_batch_size: 64
  sampler_factory: {elec_sampler: {samplers: [{length: 20}, {tau: 1.0}]}}
hamil: {mol: {charges: [2], coords: [[0.0, 0.0, 0.0]], charge: 0, spin: 0, unit: bohr}}
"""


def energies(n: int = 400, seed: int = 1) -> np.ndarray:
    """Independent energies (n,) around that of helium."""
    return EXACT + 0.002 + 0.003 * np.random.default_rng(seed).normal(size=n)


def write_ferminet(folder: Path, values: np.ndarray, header: str = "step,energy,pmove") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{step},{value!r},0.5" for step, value in enumerate(values.tolist())]
    (folder / "train_stats.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder


def write_jaqmc(folder: Path, values: np.ndarray, settings: str = JAQMC_SETTINGS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation_config.yaml").write_text(settings)
    with h5py.File(folder / "evaluation_stats.h5", "w") as stream:
        stream["total_energy"] = values.astype(np.float32)
        stream["total_energy_var"] = np.full(len(values), 0.04, np.float32)
    return folder


def write_deepqmc(
    folder: Path,
    walkers: np.ndarray,
    mode: str = "evaluation",
    settings: str = DEEPQMC_SETTINGS,
    coords: Sequence[Sequence[float]] = ((0.0, 0.0, 0.0),),
) -> Path:
    """Write energies of single walkers (n_iterations, n_walkers) and their means."""
    hydra = folder / mode / ".hydra"
    hydra.mkdir(parents=True)
    (hydra / "config.yaml").write_text(settings)
    with h5py.File(folder / mode / "result.h5", "w", libver="v110") as stream:
        stream.attrs["mol-0"] = np.array(coords, np.float32)  # bohr
        stream["local_energy/samples"] = walkers[:, None, None, None].astype(np.float32)
        stream["local_energy/mean"] = walkers.mean(axis=1)[:, None, None]
        stream["local_energy/std"] = walkers.std(axis=1)[:, None, None]
    return folder


@pytest.fixture
def load() -> Callable[..., EnergyRow]:
    """Import a run of helium: (folder, code, **options)."""

    def load(folder: Path, code: str, system: str = "He", **options) -> EnergyRow:
        molecule = find_system(system, MOLECULES).geometry(options.pop("geometry", "eq"))
        given = {"study": "imported", "seed": 1, **options}
        if code == "ferminet":
            given.setdefault("averaged", "inference")
        return import_row(folder, code, molecule, project_references(), **given)

    return load
