"""Where a row of results comes from: commit, versions, time. Imports no heavy library."""

import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "ferminet", "jax", "jaxlib", "folx", "optax", "pyscf", "numpy", "scipy", "pandas",
    "pyarrow",
)  # fmt: skip
DIRTY = "+dirty"
UNKNOWN = "unknown"
# Key of the training segments, in the headers of checkpoints and in the details of rows.
TRAINED_BY = "trained_by"
_PACKAGE_FOLDER = Path(__file__).parents[1]
_TIMEOUT_S = 10


def provenance(device: str) -> dict[str, Any]:
    """Return the provenance columns of a row; the device is `cpu`, `NVIDIA H100`, ..."""
    return {
        "git_commit": git_commit(),
        "package_versions": package_versions(),
        "device": device,
        "created_utc": created_utc(),
    }


def execution_environment(device: str, devices: int) -> dict[str, Any]:
    """Return what can change the last digits; `devices` counts those of all processes together."""
    columns = provenance(device)
    del columns["created_utc"]
    return {**columns, "devices": devices}


def training_segments(header: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the segments of a training from the header of its checkpoint or wavefunction.

    Each has its `first_iteration` and its `execution_environment`, which is unknown for files of
    versions that kept no such list.
    """
    unknown = {"device": UNKNOWN, "devices": None, "git_commit": UNKNOWN, "package_versions": {}}
    return header.get(TRAINED_BY, [{"first_iteration": 0, **unknown}])


def extend_history(
    segments: list[dict[str, Any]], iteration: int, environment: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the segments of a resumed training, with a new one if the environment has changed."""
    if segments and all(segments[-1].get(name) == value for name, value in environment.items()):
        return segments
    return [*segments, {"first_iteration": iteration, **environment}]


def git_commit(folder: str | Path = _PACKAGE_FOLDER) -> str:
    """Return the commit of the package's folder, with `+dirty` if the code has local changes.

    Changes of tracked files count, and new files inside the folder. Other new files, for example a
    user's study, do not change what runs. Outside of a git repository it is `unknown`.
    """
    folder = Path(folder)
    commit = _git(folder, "rev-parse", "HEAD")
    # An installed copy may lie inside another repository: only a tracked folder counts.
    if commit is None or not _git(folder, "ls-files", "--", "."):
        return UNKNOWN
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    new = _git(folder, "ls-files", "--others", "--exclude-standard", "--", ".")
    return commit + (DIRTY if changed or new or changed is None else "")


def local_changes(folders: Sequence[str], root: Path = _PACKAGE_FOLDER.parent) -> list[str] | None:
    """Return the files in these folders that differ from the commit, including new ones.

    All are relative to the root; None if the project is not in a git repository.
    """
    if not _git(root, "ls-files", "--", *folders):
        return None
    changed = _git(root, "diff", "--name-only", "--relative", "HEAD", "--", *folders)
    new = _git(root, "ls-files", "--others", "--exclude-standard", "--", *folders)
    if changed is None or new is None:
        return None
    return sorted({*changed.splitlines(), *new.splitlines()})


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that the results depend on."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def created_utc() -> str:
    """Return the current time in UTC as ISO 8601, to the second: `2026-01-31T12:00:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, or None if git is missing, fails or takes too long."""
    command = ["git", "--no-optional-locks", *arguments]
    try:
        return subprocess.check_output(
            command, cwd=folder, text=True, timeout=_TIMEOUT_S, stderr=subprocess.DEVNULL
        ).strip()
    except (OSError, subprocess.SubprocessError):
        return None
