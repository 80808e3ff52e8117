"""Rows of two wavefunctions whose true difference is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ferminet.benchmark.records import write_rows
from ferminet.benchmark.schema import Rows
from tests.benchmark.conftest import SYSTEMS, vmc

NAMES = ("He", "Li", "Be", "LiH")


def arm_rows(
    seed: int,
    seeds: int,
    ansatz: str,
    shift: dict[str, float] | None = None,
    spread: float = 1.5e-4,
    **fields,
) -> Rows:
    """Seeds 3 mEh above the exact energies, with shifts in hartree for some systems."""
    rng = np.random.default_rng(seed)
    details = {"train_wall_s": 100.0, "devices": 1, "drift_z": 0.3, **fields.pop("details", {})}
    rows = []
    for system in NAMES:
        for number in range(1, seeds + 1):
            energy = SYSTEMS[system][3] + 3e-3 + (shift or {}).get(system, 0.0)
            energy += spread * rng.normal()
            values = {"seed": number, "ansatz": ansatz, "study": ansatz, "details": details}
            rows.append(vmc(system, float(energy), 8e-5, **(values | fields)))
    return rows


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, Rows], str]:
    def write(name: str, rows: Rows) -> str:
        folder = tmp_path / name
        folder.mkdir()
        write_rows(folder / "energies.parquet", rows)
        return str(folder)

    return write
