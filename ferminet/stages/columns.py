"""The columns that rows of several stages share."""

from typing import Any

from ferminet import METHOD_VERSION
from ferminet.config import BaselineConfig, LimitConfig, RunConfig
from ferminet.runtime.provenance import provenance


def common_columns(config: RunConfig | BaselineConfig | LimitConfig, device: str) -> dict[str, Any]:
    """Return the columns of every row: what was computed, with which code, on which device."""
    molecule = config.molecule
    return {
        "study": config.study,
        "system": config.system,
        "geometry": config.geometry,
        "parameter": molecule.parameter,
        "parameter_name": molecule.parameter_name,
        "parameter_unit": molecule.parameter_unit,
        "n_electrons": molecule.n_electrons,
        "unpaired_electrons": molecule.unpaired_electrons,
        "deviations": config.deviations,
        "method_version": METHOD_VERSION,
        **provenance(device),
    }


def vmc_columns(run: RunConfig, device: str) -> dict[str, Any]:
    """Return the columns of a run's row that follow from its configuration."""
    return {
        **common_columns(run, device),
        "method": "vmc",
        "ansatz": run.ansatz_name,
        "config_hash": run.config_hash(),
        "seed": run.seed,
        "walkers": run.sampler.walkers,
        "precision": run.precision,
    }
