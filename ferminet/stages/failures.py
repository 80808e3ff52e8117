"""Records of failures that would recur, next to a run's checkpoints.

A scheduler restarts a failed job whatever the reason. If the input is wrong, a calculation does not
converge or a file is damaged, the next attempt would fail in the same way. It therefore ends at
once with the same message, as long as everything that the stage reads is unchanged.

The record is not an output of the workflow, because the workflow deletes a failed job's outputs.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ferminet import METHOD_VERSION
from ferminet.config import RunConfig
from ferminet.config.runs import digest
from ferminet.errors import (
    CorruptError,
    FermiNetError,
    InputError,
    NotConvergedError,
    ResourceError,
)
from ferminet.runtime.files import file_sha256, read_record, write_bytes
from ferminet.runtime.processes import is_first
from ferminet.runtime.provenance import created_utc, git_commit, package_versions

NAME = "failed.json"
# Exit code -> error. Other failures may not recur: an interruption, a missing resource, a bug.
_RECORDED = {kind.exit_code: kind for kind in (InputError, NotConvergedError, CorruptError)}
# Files in the checkpoint directory that a training or an evaluation reads.
_STATE = ("history.csv", "checkpoint-*", "*-*/checkpoint-*")


@dataclass(frozen=True)
class Failure:
    """A recorded failure; `reads` maps the name of everything that the stage reads to a digest."""

    sentence: str
    exit_code: int
    failed_utc: str
    attempt: int
    host: str
    config_hash: str
    reads: dict[str, str]


def read_failure(directory: Path) -> Failure | None:
    """Return the failure recorded in a checkpoint directory, or None without a valid record."""
    failure = read_record(directory / NAME, Failure)
    return failure if failure is not None and failure.exit_code in _RECORDED else None


@contextlib.contextmanager
def record_failure(
    run: RunConfig, directory: Path | None, files: Iterable[Path], retry: bool = False
) -> Iterator[None]:
    """Record a failure of the block if it would recur; raise an earlier one again.

    With `retry` an earlier record is ignored. `files` are what the stage reads or writes besides
    its checkpoints in `directory`; without a directory nothing is recorded.
    """
    if directory is None:
        yield
        return
    path, files = directory / NAME, list(files)
    earlier = read_failure(directory)
    if earlier is not None and not retry and earlier.reads == _reads(run, directory, files):
        raise _RECORDED[earlier.exit_code](
            f"{earlier.sentence} (This failure dates from {earlier.failed_utc}, and nothing that "
            "the command reads has changed since, so it does not run again; to run it again, give "
            f"--retry-failed or remove {path}.)"
        )
    if is_first():
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    try:
        yield
    except tuple(_RECORDED.values()) as error:
        failure = Failure(
            sentence=str(error),
            exit_code=error.exit_code,
            failed_utc=created_utc(),
            attempt=1 if earlier is None else earlier.attempt + 1,
            host=socket.gethostname(),
            config_hash=run.config_hash(),
            reads=_reads(run, directory, files),
        )
        # Without a record the next attempt only takes longer to fail.
        with contextlib.suppress(FermiNetError):
            write_bytes(path, json.dumps(asdict(failure), indent=2).encode())
        raise


def _reads(run: RunConfig, directory: Path, files: list[Path]) -> dict[str, str]:
    """Return a digest of everything that can change the outcome: name -> digest."""
    # The number of GPUs decides how the walkers are divided; JAX is not imported to count them.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = "all" if visible is None else len(visible.split(","))
    names = ("JAX_PLATFORMS", "JAX_NUM_PROCESSES", "XLA_FLAGS")
    state = [path for pattern in _STATE for path in sorted(directory.glob(pattern))]
    return {
        "configuration": digest(run.model_dump()),
        "code": digest([METHOD_VERSION, git_commit(), package_versions()]),
        "devices": digest([gpus, *(os.environ.get(name, "-") for name in names)]),
        **{str(path): _digest(path) for path in (*files, *state)},
    }


def _digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except (InputError, ResourceError):
        return "a folder" if path.is_dir() else "missing"
