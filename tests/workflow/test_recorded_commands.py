"""The committed rows: every hash is recomputed, and each number of a table is followed back."""

from pathlib import Path

import pandas as pd
import pytest

from ferminet.benchmark.publishing import publish
from ferminet.stages.results import write_tables
from tests.helpers.walk import rows_of, walk

ROOT = Path(__file__).parents[2]
SUITES = sorted((ROOT / "results" / "published").glob("*/"))


def species_of(table: pd.DataFrame, species: str) -> pd.DataFrame:
    """The atoms or the ions of the table of ionisation potentials as lines of total energies."""
    columns = {species: "system", f"{species}_hartree": "energy_hartree"}
    columns |= {f"{name}_{species}": name for name in ("seeds", "config_hash")}
    lines = table[["study", "ansatz", *columns]].rename(columns=columns)
    return lines.assign(geometry="eq")


@pytest.mark.parametrize("suite", SUITES, ids=[suite.name for suite in SUITES])
def test_committed_rows(suite: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)  # somebody who has the suite and nothing else
    publish.verify([suite])
    assert capsys.readouterr().out.startswith(f"{suite.name}: ")
    assert sum(path.stat().st_size for path in suite.rglob("*")) < 1_000_000
    write_tables(suite / "energies.parquet", tmp_path / "tables")
    walked = set()  # more than one table may have a run
    for table in map(pd.read_parquet, sorted((tmp_path / "tables").glob("*.parquet"))):
        if "seeds_ion" in table:
            table = pd.concat([species_of(table, species) for species in ("atom", "ion")])
        if "seeds" not in table:
            continue
        for _, line in table[table.energy_hartree.notna()].iterrows():
            for row in rows_of(line, suite / "energies.parquet"):
                walk(row, suite)
                walked.add((row["system"], row["geometry"], row["config_hash"], row["seed"]))
    runs = pd.read_parquet(suite / "energies.parquet").query("method == 'vmc'")
    assert len(walked) == runs.energy.notna().sum()
