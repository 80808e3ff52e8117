"""The stages that PySCF computes: files in, files out.

They are separate from `runs` because they need neither the wavefunctions nor the optimisers, whose
import would take longer than most of these calculations.
"""

import logging
from pathlib import Path

from ferminet.benchmark.records import write_rows
from ferminet.benchmark.schema import row
from ferminet.chemistry import baseline, scf
from ferminet.chemistry.gto import to_arrays
from ferminet.config import BaselineConfig, RunConfig
from ferminet.runtime.checkpoint import save_arrays
from ferminet.stages.columns import common_columns

logger = logging.getLogger(__name__)


def run_scf(run: RunConfig, out: Path) -> None:
    """Compute Hartree-Fock orbitals for a run's geometry; the file's header has their energy."""
    result = scf.run_scf(run.molecule, run.scf.basis)
    header = {
        "stage": "scf",
        "identity": run.stage_params("scf"),
        "energy": result.energy,
        "reference": result.scf_reference,
        "basis": result.basis,
        "s2": result.s2,
        "stable": result.stable,
        "details": {**result.details, "expansion_energy": result.expansion_energy},
    }
    save_arrays(out, to_arrays(result.orbitals), header)
    logger.info(
        "[scf %s %s] %s/%s E = %.6f Eh, <S^2> = %.3f",
        *(run.system, run.geometry, result.scf_reference.upper()),
        *(result.basis, result.energy, result.s2),
    )


def run_baseline(
    config: BaselineConfig, out: Path, memory_mb: int | None = None, command: str = ""
) -> None:
    """Do one conventional calculation; write its row and those of methods on the way to it.

    An energy that did not converge is null. By default it may use all memory of the machine. The
    rows store `command`, the command line that reproduces them.
    """
    result = baseline.run_baseline(
        *(config.molecule, config.method, config.basis, config.reference),
        *(config.active_space, memory_mb),
    )
    details = {**result.details, "molecule_hash": config.molecule_hash()}
    common = {
        **common_columns(config, "cpu"),
        "reference": result.scf_reference,
        "basis": config.basis,
        "s2": result.s2,
        "precision": "float64",
        "wall_s": result.details["wall_s"],
        "details": details | ({"command": command} if command else {}),
    }
    rows = []
    for method, energy in {**result.passed, config.method: result.energy}.items():
        status = result.status if energy is None else "complete"
        rows.append(row(**common, method=method, energy=energy, status=status))
    write_rows(out, rows)
    text = "no energy" if result.energy is None else f"E = {result.energy:.6f} Eh"
    name = f"{config.method} {config.system} {config.geometry}"
    logger.info("[%s] %s: %s (%s)", name, config.basis, text, result.status)
