"""The inspections of wavefunctions that lie next to the runs of rows."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ferminet.benchmark.publishing.rows import RUN_KEY
from ferminet.benchmark.records import read_table
from ferminet.benchmark.schema import EnergyRow, Rows
from ferminet.config import layout

_COLUMNS = ("quantity", "value", "error", "exact", "low", "high", "walkers", "iterations")


def inspection_file(row: EnergyRow) -> Path | None:
    """Return the file that `ferminet inspect` wrote for the run of a row, if it exists."""
    if row.method != "vmc":
        return None
    path = Path(layout.INSPECTION.format(**{name: getattr(row, name) for name in RUN_KEY}))
    return path if path.exists() else None


def inspections(rows: Rows) -> Iterator[tuple[EnergyRow, pd.DataFrame]]:
    """Yield the rows whose wavefunction was inspected, each with its inspection.

    Raises:
        CorruptError: a file is damaged, or is no inspection.
    """
    for row in rows:
        if path := inspection_file(row):
            yield row, read_table(path, _COLUMNS)
