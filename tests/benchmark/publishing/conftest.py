"""Where rows are published, before and after."""

from pathlib import Path

import pytest

from ferminet.benchmark.publishing import publish
from ferminet.benchmark.records import write_rows
from ferminet.benchmark.schema import EnergyRow
from ferminet.cli.main import main
from ferminet.config import layout
from tests.benchmark.publishing.studies import ENERGIES, ROOT, RUNS, hartree_fock, make_row


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """A working directory; the code counts as committed, the project has published nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(publish, "local_changes", lambda folders: [])
    monkeypatch.setattr(layout, "PROJECT", tmp_path)
    (tmp_path / "molecules").symlink_to(ROOT / "molecules")
    return tmp_path


@pytest.fixture
def rows(place: Path) -> list[EnergyRow]:
    """Helium and H4, with Hartree-Fock, collected and not yet published."""
    helium = make_row(RUNS["He"], -2.9030)
    found = [helium, hartree_fock(helium, -2.8552), make_row(RUNS["H4"], -2.0100)]
    write_rows(ENERGIES, found)
    return found


@pytest.fixture
def blessed(rows: list[EnergyRow], capsys) -> list[EnergyRow]:
    assert main(["bless", "--energies", str(ENERGIES)]) == 0
    capsys.readouterr()
    return rows
