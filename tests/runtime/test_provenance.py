import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from ferminet.benchmark.records import read_rows
from ferminet.config import load_run
from ferminet.runtime import provenance as provenance_module
from ferminet.runtime.checkpoint import save_arrays
from ferminet.runtime.provenance import (
    UNKNOWN,
    created_utc,
    git_commit,
    package_versions,
    provenance,
)
from ferminet.stages.runs import run_evaluate, run_train


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True
        )

    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (tmp_path / "study.yaml").write_text("")
    git("init", "-q")
    git("add", "package", "study.yaml")
    git("commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_tree_gives_its_commit(repository):
    assert re.fullmatch(r"[0-9a-f]{40}", git_commit(repository / "package"))


@pytest.mark.parametrize(
    ("path", "dirty"),
    [("package/__init__.py", True), ("study.yaml", True), ("package/new.py", True),
     ("users_study.yaml", False)],
)  # fmt: skip
def test_changes_of_the_code_make_a_tree_dirty(repository, path, dirty):
    (repository / path).write_text("changed = True\n")
    assert git_commit(repository / "package").endswith("+dirty") is dirty


def test_code_outside_of_git_is_unknown(tmp_path, repository):
    installed = repository / "site-packages"
    installed.mkdir()
    assert git_commit(installed) == UNKNOWN
    assert git_commit(tmp_path.parent) == UNKNOWN or (tmp_path.parent / ".git").exists()


def test_without_git_the_commit_is_unknown(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_commit(repository / "package") == UNKNOWN


def test_versions_time_and_device_are_there():
    assert {"python", "jax", "numpy", "pyscf"} <= set(package_versions())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created_utc())
    found = provenance("cpu")
    assert set(found) == {"git_commit", "package_versions", "device", "created_utc"}
    assert found["device"] == "cpu"


def test_it_imports_no_heavy_library():
    code = "import sys, ferminet.runtime.provenance\n"
    code += "print(sorted({'jax', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


STUDY = """\
seeds: [1]
systems: [H]
ansatz: {exact: {build: ferminet.ansatz.hydrogenic:build}}
sampler: {walkers: 16, decorrelation_steps: 2, burn_in: 2}
optimizer: {name: adam, learning_rate: 0.001}
train: {iterations: ITERATIONS}
evaluate: {iterations: 50, decorrelation_steps: 2, burn_in: 2}
"""


def test_a_row_lists_what_trained_its_wavefunction(tmp_path, monkeypatch):
    """Commit, versions and devices of training may differ from those of the evaluation."""
    start, trained, out = (tmp_path / name for name in ("start", "trained", "energy.parquet"))
    electrons = np.random.default_rng(1).normal(size=(16, 1, 3)).astype(np.float32)
    arrays = {"params['zeta']": np.array(0.9, np.float32), "electrons": electrons}

    def computed_by(commit, jax_version):
        monkeypatch.setattr(provenance_module, "git_commit", lambda: commit)
        monkeypatch.setattr(provenance_module, "package_versions", lambda: {"jax": jax_version})

    for iterations, commit, version in ((2, "a", "1"), (4, "a", "2"), (6, "b", "2")):
        (tmp_path / "study.yaml").write_text(STUDY.replace("ITERATIONS", str(iterations)))
        run = load_run(tmp_path / "study.yaml")
        save_arrays(start, arrays, {"stage": "pretrain", "config_hash": run.config_hash()})
        computed_by(commit, version)
        run_train(run, start, tmp_path / "checkpoints", trained, tmp_path / "history.parquet")
    computed_by("c", "3")
    run_evaluate(run, trained, tmp_path / "evaluation", out)
    (row,) = read_rows(out)
    assert (row.git_commit, row.package_versions) == ("c", {"jax": "3"})
    devices = {"device": jax.devices()[0].device_kind, "devices": len(jax.devices())}
    assert row.details.trained_by == [
        {"first_iteration": 0, "git_commit": "a", "package_versions": {"jax": "1"}, **devices},
        {"first_iteration": 2, "git_commit": "a", "package_versions": {"jax": "2"}, **devices},
        {"first_iteration": 4, "git_commit": "b", "package_versions": {"jax": "2"}, **devices},
    ]
