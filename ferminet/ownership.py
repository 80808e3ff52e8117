"""One process at a time has a run: a lock, and beside it a file that says whose it is.

The lock ends with its process, however that ends, but some network file systems keep locks to one
machine or have none. There the file counts: its owner writes host, process, job and a counter that
goes on every few seconds. Somebody else takes over when the counter stands still, or at once when
the owner is known to be gone. No clock is read, so none needs to agree with another.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from ferminet.errors import ResourceError
from ferminet.processes import is_first

HEARTBEAT_S = 10.0
# So long a counter must stand still before its owner is given up.
STILL_S = 6 * HEARTBEAT_S
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_SIZE = 512  # of the file, which is overwritten in place


@dataclass(frozen=True)
class Owner:
    """Who is at work on a run.

    Attributes:
        host: name of the machine.
        pid: the process there.
        job: of the scheduler, empty without one.
        counter: goes on while the process lives.
    """

    host: str
    pid: int
    job: str
    counter: int

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" + (f", job {self.job}" if self.job else "")


@contextlib.contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Keeps every other process out of a checkpoint directory, whose history both would write.

    Raises:
        ResourceError: another process is at work there, or it cannot be written to.
    """
    if not is_first():
        yield
        return
    with _lock_file(directory) as lock:
        locked = _lock(lock, directory)
        _refuse_a_living_owner(directory, locked)
        with _heartbeat(directory / ".owner"):
            yield


def _lock_file(directory: Path) -> IO[bytes]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return open(directory / ".lock", "wb")
    except OSError as error:
        raise ResourceError(
            f"Cannot write to {directory}: {error.strerror}; free space, or choose another place "
            "for the checkpoints."
        ) from error


def _lock(lock: IO[bytes], directory: Path) -> bool:
    """Whether this process has the lock; false where the file system knows none."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _at_work(directory, read_owner(directory)) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def _at_work(directory: Path, owner: Owner | None) -> ResourceError:
    who = f"Another command ({owner})" if owner else "Another command"
    return ResourceError(
        f"{who} is at work on this run, in {directory}; wait for its end or stop it first."
    )


def read_owner(directory: Path) -> Owner | None:
    """The owner of a checkpoint directory; None if there is none or it cannot be read."""
    try:
        return Owner(**json.loads((directory / ".owner").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def is_left(directory: Path) -> bool:
    """Whether whoever was at work in a checkpoint directory has gone, as far as can be seen here.

    The file that is locked stays; that of the owner goes with it, or names a process.
    """
    if not (directory / ".lock").exists():
        return False
    owner = read_owner(directory)
    if owner is None:
        return True
    return owner.host == socket.gethostname() and not _is_alive(owner.pid)


def _refuse_a_living_owner(directory: Path, locked: bool) -> None:
    owner, own = read_owner(directory), _this_process()
    if owner is None:
        return
    if owner.host == own.host:
        # With its lock it would have been refused; without locks, its process tells.
        if not locked and owner.pid != own.pid and _is_alive(owner.pid):
            raise _at_work(directory, owner)
        return
    if owner.job and (owner.job == own.job or not _in_the_queue(owner.job)):
        return  # requeued, or its job has ended
    deadline = time.monotonic() + STILL_S
    while time.monotonic() < deadline:
        time.sleep(HEARTBEAT_S / 10)
        if read_owner(directory) != owner:
            raise _at_work(directory, read_owner(directory) or owner)


def _this_process() -> Owner:
    return Owner(socket.gethostname(), os.getpid(), os.environ.get("SLURM_JOB_ID", ""), 0)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _in_the_queue(job: str) -> bool:
    """Whether SLURM still has a job, as far as it can be asked."""
    if shutil.which("squeue") is None:
        return True
    command = ["squeue", "--noheader", "--format=%T", f"--jobs={job}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return True
    if done.returncode:  # of a job that it has forgotten it says that the id is not valid
        return "Invalid job id" not in done.stderr
    return bool(done.stdout.strip())


@contextlib.contextmanager
def _heartbeat(path: Path) -> Iterator[None]:
    """Writes the owner's file, and its counter while the body runs; removes it at the end."""
    done = threading.Event()
    _write(path, _this_process())

    def beat() -> None:
        owner = _this_process()
        while not done.wait(HEARTBEAT_S):
            owner = replace(owner, counter=owner.counter + 1)
            _write(path, owner)

    thread = threading.Thread(target=beat, name="ferminet-owner", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _write(path: Path, owner: Owner) -> None:
    """In place and of one length; a full disk is told by what matters more."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            os.pwrite(descriptor, json.dumps(asdict(owner)).ljust(_SIZE).encode(), 0)
        finally:
            os.close(descriptor)
