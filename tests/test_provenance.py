import re
import subprocess
import sys

import pytest

from ferminet.provenance import UNKNOWN, created_utc, git_commit, package_versions, provenance


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
def test_what_makes_a_tree_dirty(repository, path, dirty):
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
    code = "import sys, ferminet.provenance; print(sorted({'jax', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
