"""Memory and temporary files: refused before, bounded while, removed after a calculation."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyscf.cc.ccsd
import pyscf.cc.uccsd
import pyscf.lib
import pytest

from ferminet.chemistry import baseline
from ferminet.chemistry.baseline import run_baseline
from ferminet.chemistry.cost import Cost
from ferminet.errors import InterruptedRunError, ResourceError
from ferminet.systems.files import load_systems
from tests.helpers.molecules import atom

ROOT = Path(__file__).parents[2]
LITHIUM_HYDRIDE = load_systems(ROOT / "molecules")["LiH"].geometries["eq"]
HELIUM = atom("He", 0)
SMALL = Cost(30, 60.0, 0.2, 0.2, 0.0)


@pytest.fixture
def scratch(monkeypatch, tmp_path):
    """An empty folder for temporary files."""
    monkeypatch.setenv("PYSCF_TMPDIR", str(tmp_path))
    return tmp_path


def test_a_calculation_has_a_folder_and_a_limit_that_end_with_it(scratch):
    before = pyscf.lib.param.TMPDIR, pyscf.lib.param.MAX_MEMORY
    with baseline.calculation("test", SMALL, 2000):
        folder = Path(pyscf.lib.param.TMPDIR)
        assert folder.parent == scratch
        assert pyscf.lib.param.MAX_MEMORY == 1700
        (folder / "integrals.h5").write_text("large")
    assert not list(scratch.iterdir())
    assert (pyscf.lib.param.TMPDIR, pyscf.lib.param.MAX_MEMORY) == before


def test_temporary_files_are_removed_after_an_error_and_after_a_signal(scratch):
    with pytest.raises(RuntimeError), baseline.calculation("test", SMALL):
        raise RuntimeError("anything")
    with (
        pytest.raises(InterruptedRunError, match="test was stopped by SIGTERM"),
        baseline.calculation("test", SMALL),
    ):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert not list(scratch.iterdir())
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_the_next_calculation_removes_the_files_of_a_killed_one(scratch):
    program = (
        "import os, signal\n"
        "from ferminet.chemistry.baseline import calculation\n"
        "from ferminet.chemistry.cost import Cost\n"
        "with calculation('test', Cost(30, 60.0, 0.2, 0.2, 0.0)):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = scratch.iterdir()
    with baseline.calculation("one", SMALL):
        assert not left.exists()
        own = Path(pyscf.lib.param.TMPDIR)
        with baseline.calculation("two", SMALL):
            assert own.exists()  # the first calculation still runs


def test_a_calculation_that_cannot_fit_is_refused_with_the_prediction(scratch):
    huge = Cost(900, 9e5, 5e4, 4e3, 2e3)
    with pytest.raises(
        ResourceError, match=r"900 basis functions, about 250\.0 hours .* 4000\.0 GB"
    ):
        baseline.require_resources("test", huge, 100.0, scratch)
    on_disk = Cost(900, 9e5, 5e4, 4.0, 1e9)
    with pytest.raises(ResourceError, match=r"1000000000\.0 GB of temporary files.* set TMPDIR"):
        baseline.require_resources("test", on_disk, 100.0, scratch)


def test_a_folder_that_does_not_exist_is_refused(scratch, monkeypatch):
    monkeypatch.setenv("PYSCF_TMPDIR", str(scratch / "missing"))
    with pytest.raises(ResourceError, match=r"No such file .*; set PYSCF_TMPDIR or TMPDIR"):
        run_baseline(HELIUM, "hf", "sto-3g")


def test_full_ci_that_does_not_fit_is_refused():
    nitrogen = load_systems(ROOT / "molecules")["N2"].geometries["eq"]
    with pytest.raises(ResourceError, match=r"fci of N2 .* needs at least .* GB of memory"):
        run_baseline(nitrogen, "fci", "cc-pvtz")


@pytest.mark.parametrize("reference", ["rhf", "uhf"])
def test_little_memory_costs_time_and_no_digit(scratch, reference, monkeypatch):
    enough = run_baseline(LITHIUM_HYDRIDE, "ccsd_t", "cc-pvdz", reference)
    monkeypatch.setattr(baseline, "_SHARE_FOR_PYSCF", 1e-4)
    calls = []
    for module in (pyscf.cc.ccsd, pyscf.cc.uccsd):
        real = module._make_eris_outcore
        outcore = lambda *arguments, real=real: calls.append(1) or real(*arguments)  # noqa: E731
        monkeypatch.setattr(module, "_make_eris_outcore", outcore)
    little = run_baseline(LITHIUM_HYDRIDE, "ccsd_t", "cc-pvdz", reference, memory_mb=1000)
    assert len(calls) == 1, "the integrals were in files"
    assert little.energy == pytest.approx(enough.energy, abs=1e-9)
    assert not list(scratch.iterdir())


def test_a_full_disk_is_reported_in_one_sentence(scratch, monkeypatch):
    def full(*arguments, **settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ferminet.chemistry.coupled_cluster.ccsd_t", full)
    with pytest.raises(ResourceError, match=r"No space left on device\); about .* Set TMPDIR"):
        run_baseline(HELIUM, "ccsd_t", "sto-3g")
    assert not list(scratch.iterdir())


def test_a_write_that_really_fails_is_understood(scratch):
    """No file may be larger than a kilobyte: the errors of PySCF and HDF5 are understood."""
    program = f"""
import resource, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from ferminet.chemistry import baseline
from ferminet.chemistry.baseline import run_baseline
from ferminet.errors import ResourceError
from ferminet.systems.files import load_systems
molecule = load_systems(Path({str(ROOT)!r}) / "molecules")["LiH"].geometries["eq"]
baseline._SHARE_FOR_PYSCF = 1e-4
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    run_baseline(molecule, "ccsd_t", "cc-pvdz", memory_mb=1000)
except ResourceError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert "cannot be written (File too large)" in done.stdout, done.stdout + done.stderr
    assert not list(scratch.iterdir())


def test_a_calculation_reports_its_time_and_memory():
    result = run_baseline(HELIUM, "hf", "sto-3g")
    assert result.details["cpu_s"] > 0
    assert 0.05 < result.details["peak_gb"] <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert any("openblas" in library.lower() for library in result.details["blas"])
    assert result.details["predicted"]["memory_gb"] < 1
