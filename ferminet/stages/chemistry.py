"""The stages that PySCF computes: files in, files out.

They are apart from ``stages`` because they need neither the wavefunctions nor their optimisers,
whose import would take longer than most of these calculations.
"""

from pathlib import Path
from typing import TextIO

from ferminet.benchmark.records import write_rows
from ferminet.benchmark.schema import row
from ferminet.chemistry import baseline, scf
from ferminet.chemistry.gto import to_arrays
from ferminet.config import BaselineConfig, RunConfig
from ferminet.runtime.checkpoint import save_arrays
from ferminet.runtime.progress import Progress
from ferminet.stages.columns import common_columns


def run_scf(run: RunConfig, out: Path, log: TextIO | None = None) -> None:
    """Hartree-Fock orbitals of a run's geometry.

    Args:
        run: the configuration.
        out: orbitals, with energy and reference in the header.
        log: gets the progress lines too.
    """
    result = scf.run_scf(run.molecule_object(), run.scf.basis)
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
    Progress(f"scf {run.system} {run.geometry}", 1, log=log).say(
        f"{result.scf_reference.upper()}/{result.basis} E = {result.energy:.6f} Eh, "
        f"<S^2> = {result.s2:.3f}"
    )


def run_baseline(
    config: BaselineConfig,
    out: Path,
    log: TextIO | None = None,
    memory_mb: int | None = None,
    command: str = "",
) -> None:
    """One conventional calculation: its row, and those of the methods that it passed.

    Args:
        config: the calculation.
        out: rows; the energy of what did not converge is null.
        log: gets the progress lines too.
        memory_mb: memory that it may use; all of the machine's if not given.
        command: the command line that makes the rows again, which they carry.
    """
    molecule = config.molecule_object()
    result = baseline.run_baseline(
        molecule, config.method, config.basis, config.reference, config.active_space, memory_mb
    )
    common = {
        **common_columns(config, molecule, "cpu"),
        "reference": result.scf_reference,
        "basis": result.basis,
        "s2": result.s2,
        "precision": "float64",
        "wall_s": result.details["wall_s"],
        "details": {
            **result.details,
            "molecule_hash": config.molecule_hash(),
            **({"command": command} if command else {}),
        },
    }
    energies = {**result.passed, config.method: result.energy}
    rows = [
        row(
            **common,
            method=method,
            energy=energy,
            status="complete" if energy is not None else result.status,
        )
        for method, energy in energies.items()
    ]
    write_rows(out, rows)
    energy = "no energy" if result.energy is None else f"E = {result.energy:.6f} Eh"
    Progress(f"{config.method} {config.system} {config.geometry}", 1, log=log).say(
        f"{config.basis}: {energy} ({result.status})"
    )
