"""The columns that every row has."""

from typing import Any

from ferminet import METHOD_VERSION
from ferminet.config import BaselineConfig, LimitConfig, RunConfig
from ferminet.runtime.provenance import provenance
from ferminet.systems.molecule import Molecule


def common_columns(
    config: RunConfig | BaselineConfig | LimitConfig, molecule: Molecule, device: str
) -> dict[str, Any]:
    """Returns the columns that every row has, whatever its method: what was computed, and by what.

    Args:
        config: of the calculation.
        molecule: its geometry.
        device: what the calculation ran on.
    """
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
