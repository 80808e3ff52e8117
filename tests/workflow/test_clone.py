"""The workflow in a project folder, and by a Python, whose paths have a blank and an umlaut."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.same_bits import linked_environment
from tests.helpers.stand_in import prepare, snakemake


@pytest.fixture(scope="module")
def clone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the project, with the files of the working tree."""
    if not (root / ".git").exists():
        pytest.skip("the project is not a git repository, so nothing can be cloned")
    clone = tmp_path_factory.mktemp("ein Ordner") / "für Läufe"
    subprocess.run(["git", "clone", "--quiet", "--shared", str(root), str(clone)], check=True)
    tracked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(tracked, cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        file = root / name
        if file.is_file() and not file.is_symlink() and not name.startswith("results/"):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, clone / name)
    linked_environment(clone / ".venv")
    return clone


@pytest.mark.slow
def test_all_jobs_run_in_a_clone_at_such_a_path(clone: Path) -> None:
    folder = clone / "meine Läufe"
    folder.mkdir()
    python = clone / ".venv" / "bin" / "python"
    prepare(folder, python)
    snakemake(folder, root=clone, python=python)
    assert (folder / "results" / "study" / "report.html").exists()
    assert "Nothing to be done" in snakemake(folder, "--dry-run", root=clone, python=python)


def test_the_package_runs_in_a_clone_at_such_a_path(clone: Path) -> None:
    words = ["resolve", "--config", "workflow/config/smoke.yaml", "--system", "He"]
    done = subprocess.run(
        [clone / ".venv" / "bin" / "ferminet", *words],
        cwd=clone,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(clone)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert '"system": "He"' in done.stdout
