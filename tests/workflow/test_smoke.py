"""The whole workflow for real: every rule once, with networks too small to be accurate."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ferminet.benchmark.publishing import publish
from ferminet.benchmark.records import read_rows, write_rows
from ferminet.benchmark.schema import row
from ferminet.runtime.provenance import DIRTY
from tests.helpers.compilation import quick_environment
from tests.helpers.walk import rows_of, sha256, walk

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "workflow" / "config" / "smoke.yaml"


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(folder / STUDY.name)]
    command += ["--profile", str(ROOT / "workflow" / "profiles" / "default"), "--cores", "2"]
    # Compiled programs are kept between test runs; OMP_NUM_THREADS is set by each rule.
    environment = quick_environment()
    for name in ("NPROC", "OMP_NUM_THREADS"):
        environment.pop(name, None)
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, env=environment
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with the finished study."""
    folder = tmp_path_factory.mktemp("smoke")
    (folder / STUDY.name).write_text(STUDY.read_text())
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return folder / "results" / "smoke"


@pytest.mark.slow
def test_rows(finished: Path) -> None:
    rows = read_rows(finished / "energies.parquet")
    sampled = [one for one in rows if one.method == "vmc"]
    assert sorted(one.system for one in sampled) == ["H", "H4", "He", "LiH"]
    for one in sampled:
        assert one.energy is not None and one.stderr is not None and one.stderr > 0
        for column in ("git_commit", "package_versions", "device", "deviations", "created_utc"):
            assert getattr(one, column) is not None, column
    energies = {(one.system, one.method): one.energy for one in rows}
    assert -0.5 < energies["H", "hf"] < -0.499
    assert abs(energies["H4", "fci"] - -2.00836) < 1e-4  # measured with PySCF, cc-pVDZ, two roots


@pytest.mark.slow
def test_tables_figures_and_report(finished: Path) -> None:
    for table in ("atoms", "molecules", "h4"):
        for ending in ("md", "csv", "tex", "parquet"):
            assert (finished / "tables" / f"{table}.{ending}").stat().st_size > 0
    assert "He" in set(pd.read_csv(finished / "tables" / "atoms.csv").system)
    for figure in ("correlation", "errors", "h4", "training"):
        assert (finished / "figures" / f"{figure}.png").read_bytes()[:4] == b"\x89PNG"
    page = (finished / "report.html").read_text()
    assert "data:image/svg+xml" in page
    assert 'src="http' not in page and 'href="http' not in page


@pytest.mark.slow
def test_each_number_is_followed_back_to_its_run(finished: Path, monkeypatch, capsys) -> None:
    """From tables to rows, and through the blessed suite to checkpoint and configuration."""
    monkeypatch.chdir(finished.parents[1])
    monkeypatch.setattr(publish, "local_changes", lambda folders: [])
    rows = read_rows(finished / "energies.parquet")
    # Tests run on code that is being changed; its rows are not for publishing.
    clean = []
    for one in rows:
        values = one.stored()
        values |= {name: values[name].replace(DIRTY, "") for name in ("git_commit", "details")}
        clean.append(row(**values))
    write_rows("clean.parquet", clean)
    publish.bless(Path("clean.parquet"))
    suite = Path("results/published/smoke")
    walked = 0
    for table in ("atoms", "molecules", "h4"):
        for _, line in pd.read_parquet(finished / "tables" / f"{table}.parquet").iterrows():
            for energies in (finished / "energies.parquet", suite / "energies.parquet"):
                (found,) = rows_of(line, energies)
            assert sha256(walk(found, suite)) == json.loads(found["details"])["trained_sha256"]
            walked += 1
    assert walked == 4
    for one in rows:
        words = shlex.split(one.details.command)
        assert words[:3] == ["snakemake", "--cores", "2"]
        # The command names the file that has the energy.
        assert one.energy in {found.energy for found in read_rows(words[3])}
    again = [*words[1:], "--snakefile", str(ROOT / "Snakefile"), "-n"]  # the last one, as it stands
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *again], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Nothing to be done" in done.stdout + done.stderr
    capsys.readouterr()
    publish.verify([suite])
    assert "4 of their trained wavefunctions are here and agree" in capsys.readouterr().out
    assert sum(file.stat().st_size for file in suite.rglob("*")) < 100_000


@pytest.mark.slow
def test_nothing_is_repeated(finished: Path) -> None:
    folder = finished.parents[1]
    again = snakemake(folder, "-n")
    assert "Nothing to be done" in again.stdout + again.stderr
    (folder / STUDY.name).write_text(STUDY.read_text().replace("dpi: 80", "dpi: 90"))
    plotted = snakemake(folder, "-n", "--quiet", "rules")
    text = plotted.stdout + plotted.stderr
    assert plotted.returncode == 0, text
    assert "figure_h4" in text
    assert "train " not in text and "pretrain" not in text and "evaluate" not in text
