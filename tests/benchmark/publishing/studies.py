"""A small study with rows that nobody computed, to be published."""

from pathlib import Path

import numpy as np

from ferminet import METHOD_VERSION
from ferminet.benchmark.records import write_rows, write_table
from ferminet.benchmark.schema import EnergyRow, row
from ferminet.cli.main import main
from ferminet.config import RunConfig, expand_runs, layout, load_study
from ferminet.runtime.checkpoint import save_arrays
from ferminet.runtime.files import file_sha256

ROOT = Path(__file__).parents[3]
ENERGIES = Path("results/smoke/energies.parquet")
SUITE = Path("results/published/smoke")
STUDY = "seeds: [1]\nsystems: [He, {name: H4, geometries: [a90]}]\nplots: {formats: [svg]}\n"
RUNS = {run.system: run for run in expand_runs(load_study(ROOT / "workflow/config/smoke.yaml"))}
COMMAND = "snakemake --cores 2 runs/energy.parquet --configfile study.yaml"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def trained_file(run: RunConfig) -> Path:
    return layout.path_of(layout.TRAINED, run)


def make_row(run: RunConfig, energy: float, **fields) -> EnergyRow:
    """What `ferminet evaluate` would have written of a run, its trained file lying there."""
    file = trained_file(run)
    if not file.exists():
        header = {"stage": "train", "config_hash": run.config_hash(), "run": run.model_dump(),
                  "iterations": run.train.iterations}  # fmt: skip
        save_arrays(file, {"average.x": np.arange(40.0)}, header)
        steps = np.arange(1000)
        history = {"iteration": steps, "energy": -2.9 + 1.0 / (1 + steps), "variance": 0.1 + steps,
                   "acceptance": 0.5 + 0 * steps}  # fmt: skip
        write_table(file.with_name("history.parquet"), history)
    molecule = run.molecule
    values = {
        "study": run.study, "system": run.system, "geometry": run.geometry, "method": "vmc",
        "ansatz": run.ansatz_name, "config_hash": run.config_hash(), "seed": run.seed,
        "energy": energy, "stderr": 3e-4, "status": "complete", "n_electrons": molecule.n_electrons,
        "unpaired_electrons": molecule.unpaired_electrons, "iterations": run.train.iterations,
        "parameter": molecule.parameter, "parameter_name": molecule.parameter_name,
        "git_commit": COMMIT, "package_versions": {"jax": "0.10.2"}, "device": "cpu",
        "created_utc": "2026-01-31T12:00:00Z", "method_version": METHOD_VERSION,
        "details": {"trained_sha256": file_sha256(file), "configuration": run.model_dump(),
                    "command": COMMAND},
    }  # fmt: skip
    return row(**(values | fields))


def hartree_fock(one: EnergyRow, energy: float) -> EnergyRow:
    fields = {"method": "hf", "basis": "cc-pvdz", "reference": "rhf", "ansatz": None}
    none = {"config_hash": None, "seed": None, "stderr": None, "details": None, "iterations": None}
    return one.replace(**fields, **none, energy=energy)


def tree(directory: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def again(rows: list[EnergyRow], *arguments: str) -> int:
    write_rows(ENERGIES, rows)
    return main(["bless", "--energies", str(ENERGIES), *arguments])
