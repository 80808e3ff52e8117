"""Failures that a repetition would only repeat, noted beside a run's checkpoints.

A scheduler starts a failed job again without asking why it failed. Where the input is wrong, a
calculation does not converge or a file is damaged, the next attempt would compute to say the same,
so it ends at once with the same sentence. It does so only as long as all that the stage reads is
the same: the configuration, the code, the devices, its files and its checkpoints.

The note is no output of the workflow, which deletes the outputs of a job that fails.
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
from ferminet.config.resolved import digest
from ferminet.errors import (
    CorruptError,
    FermiNetError,
    InputError,
    NotConvergedError,
    ResourceError,
)
from ferminet.runtime.files import file_sha256, write_bytes
from ferminet.runtime.json_files import read_record
from ferminet.runtime.processes import is_first
from ferminet.runtime.provenance import created_utc, git_commit, package_versions

NAME = "failed.json"
# What is not among them may pass: an interruption, a machine that lacks something, a bug.
_NOTED = (InputError, NotConvergedError, CorruptError)
# Of a training; in folders of their own, of an evaluation.
_STATE = ("history.csv", "checkpoint-*", "*-*/checkpoint-*")


@dataclass(frozen=True)
class Failure:
    """A failure as it is noted.

    Attributes:
        sentence: what the command said.
        exit_code: of the command.
        failed_utc: when.
        attempt: how often it has failed, whatever it read.
        host: the machine.
        config_hash: of the run.
        reads: names of all that the stage read, each with its digest.
    """

    sentence: str
    exit_code: int
    failed_utc: str
    attempt: int
    host: str
    config_hash: str
    reads: dict[str, str]


def read_failure(directory: Path) -> Failure | None:
    """The failure that is noted in a folder of checkpoints; None if there is none to be read."""
    found = read_record(directory / NAME, Failure)
    if found is None or found.exit_code not in [kind.exit_code for kind in _NOTED]:
        return None
    return found


@contextlib.contextmanager
def record_failure(
    run: RunConfig, directory: Path | None, files: Iterable[Path], retry: bool = False
) -> Iterator[None]:
    """Notes a failure of the block that a repetition would repeat; raises one that is noted.

    Args:
        run: the configuration.
        directory: the stage's checkpoints; None notes nothing.
        files: what the stage reads besides, and what it writes, which may be in its way.
        retry: try in spite of a note.

    Raises:
        FermiNetError: the noted failure, if nothing has changed since.
    """
    if directory is None:
        yield
        return
    path, files = directory / NAME, list(files)
    earlier = read_failure(directory)
    if earlier is not None and not retry and earlier.reads == _reads(run, directory, files):
        raise _Known(
            f"{earlier.sentence} (So it ended on {earlier.failed_utc}, and nothing that it reads "
            f"has changed: it is not tried again. --retry-failed does, or removing {path}.)",
            earlier.exit_code,
        )
    if is_first():
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    try:
        yield
    except _NOTED as error:
        failure = Failure(
            sentence=str(error),
            exit_code=error.exit_code,
            failed_utc=created_utc(),
            attempt=1 if earlier is None else earlier.attempt + 1,
            host=socket.gethostname(),
            config_hash=run.config_hash(),
            reads=_reads(run, directory, files),
        )
        # Without the note the next attempt finds out by itself.
        with contextlib.suppress(FermiNetError):
            write_bytes(path, json.dumps(asdict(failure), indent=2).encode())
        raise


class _Known(FermiNetError):
    """A failure that was found earlier."""

    def __init__(self, text: str, exit_code: int):
        super().__init__(text)
        self.exit_code = exit_code


def _reads(run: RunConfig, directory: Path, files: list[Path]) -> dict[str, str]:
    """All that the stage reads, each with its digest: name -> text."""
    code = [METHOD_VERSION, git_commit(), package_versions()]
    state = [path for pattern in _STATE for path in sorted(directory.glob(pattern))]
    return {
        "configuration": digest(run.model_dump()),
        "code": digest(code),
        "devices": _devices(),
        **{str(path): _content(path) for path in (*files, *state)},
    }


def _devices() -> str:
    """What decides among how many devices the walkers are divided; JAX is not asked."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = "all" if visible is None else str(len(visible.split(",")))
    names = ("JAX_PLATFORMS", "JAX_NUM_PROCESSES", "XLA_FLAGS")
    return " ".join([count, *(os.environ.get(name, "-") for name in names)])


def _content(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    try:
        return file_sha256(path)
    except (InputError, ResourceError):
        return "not there"
