"""Where a row of results comes from: commit, versions, time. Imports no heavy library."""

import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "ferminet", "jax", "jaxlib", "kfac-jax", "folx", "optax", "pyscf", "numpy", "scipy", "pandas",
    "pyarrow",
)  # fmt: skip
DIRTY = "+dirty"
UNKNOWN = "unknown"
# Of a wavefunction, in the headers of its checkpoints and in the details of its rows.
TRAINED_BY = "trained_by"
_PACKAGE_FOLDER = Path(__file__).parents[1]
_TIMEOUT_S = 10


def provenance(device: str) -> dict[str, Any]:
    """Returns the provenance columns of a row.

    Args:
        device: what the calculation ran on, e.g. `cpu` or `NVIDIA H100`; it is passed in because
            asking for it would import jax.

    Returns:
        `git_commit`, `package_versions` (dictionary), `device` and `created_utc`.
    """
    return {
        "git_commit": git_commit(),
        "package_versions": package_versions(),
        "device": device,
        "created_utc": created_utc(),
    }


def circumstances(device: str, devices: int) -> dict[str, Any]:
    """Returns what a calculation is computed by, and what changes its last digits or more.

    Args:
        device: kind of device.
        devices: how many there are, in all processes together.

    Returns:
        `device`, `devices`, `git_commit` and `package_versions`.
    """
    known = provenance(device)
    del known["created_utc"]
    return {**known, "devices": devices}


def stretches(header: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns what computed a training: an entry for each stretch under the same circumstances.

    Args:
        header: of a checkpoint or of the trained wavefunction. Versions that kept no such list give
            one entry, of unknown circumstances.

    Returns:
        In the order of time, each with its `first_iteration` and what `circumstances` returns.
    """
    unknown = {"device": UNKNOWN, "devices": None, "git_commit": UNKNOWN, "package_versions": {}}
    return header.get(TRAINED_BY, [{"first_iteration": 0, **unknown}])


def go_on(
    before: list[dict[str, Any]], iteration: int, now: dict[str, Any]
) -> list[dict[str, Any]]:
    """Returns the stretches of a training that goes on: with one more if circumstances changed.

    Args:
        before: the stretches so far.
        iteration: the next one.
        now: what `circumstances` returns.
    """
    if before and all(before[-1].get(name) == value for name, value in now.items()):
        return before
    return [*before, {"first_iteration": iteration, **now}]


def git_commit(folder: str | Path = _PACKAGE_FOLDER) -> str:
    """Returns the commit of the code, with `+dirty` behind it if the code has local changes.

    Changed files that git tracks count, and new files inside the package's folder; other new files,
    a user's study for instance, do not change what runs.

    Args:
        folder: folder of the package.

    Returns:
        The commit's hash, or `unknown` where the code is not in a git repository.
    """
    folder = Path(folder)
    commit = _git(folder, "rev-parse", "HEAD")
    # An installed copy may lie inside somebody else's repository: only a tracked folder counts.
    if commit is None or not _git(folder, "ls-files", "--", "."):
        return UNKNOWN
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    new = _git(folder, "ls-files", "--others", "--exclude-standard", "--", ".")
    return commit + (DIRTY if changed or new or changed is None else "")


def local_changes(folders: Sequence[str], root: Path = _PACKAGE_FOLDER.parent) -> list[str] | None:
    """Returns the files of these folders that differ from the commit, new ones included.

    Args:
        folders: seen from the root.
        root: the project's folder.

    Returns:
        Paths seen from the root, or None where git does not know the project.
    """
    if not _git(root, "ls-files", "--", *folders):
        return None
    changed = _git(root, "diff", "--name-only", "--relative", "HEAD", "--", *folders)
    new = _git(root, "ls-files", "--others", "--exclude-standard", "--", *folders)
    if changed is None or new is None:
        return None
    return sorted({*changed.splitlines(), *new.splitlines()})


def package_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that the results depend on.

    A package that is not installed is left out.
    """
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def created_utc() -> str:
    """Returns the time now, in UTC to the second, as ISO 8601: `2026-01-31T12:00:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _git(folder: Path, *arguments: str) -> str | None:
    """Returns what git prints, or None if git is missing, fails or takes too long."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
