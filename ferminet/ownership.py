"""One process at a time has a run: a lock, and beside it a file that says whose it is.

The lock ends with its process, however that ends, but some network file systems keep locks to one
machine or have none. There the file counts: its owner writes host, process, job and a counter that
goes on every few seconds. Somebody else takes over when the counter stands still, however gone the
owner is said to be: a node that the scheduler has lost may still compute. An owner that was taken
for gone and comes back finds another's name in the file, and stops before it writes anything more.
No clock is read, so none needs to agree with another.
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
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from ferminet.errors import InterruptedRunError, ResourceError
from ferminet.processes import is_first
from ferminet.small_files import read_record

HEARTBEAT_S = 10.0
# So long a counter must stand still before its owner is given up, and one whose job has ended.
STILL_S = 6 * HEARTBEAT_S
GONE_S = 2.5 * HEARTBEAT_S
# So long a job waits for the one before it, of an earlier head or on a lost node, which SLURM ends.
PATIENCE_S = 1800.0
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

    def is_same(self, other: "Owner") -> bool:
        """Whether both are one process."""
        return replace(self, counter=0) == replace(other, counter=0)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" + (f", job {self.job}" if self.job else "")


class _AtWorkError(ResourceError):
    """Another process has the run."""

    def __init__(self, directory: Path, owner: Owner | None):
        who = f"Another command ({owner})" if owner else "Another command"
        super().__init__(
            f"{who} is at work on this run, in {directory}; wait for its end or stop it first."
        )


@contextlib.contextmanager
def alone_in(
    directory: Path,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Callable[[], bool]]:
    """Keeps every other process out of a checkpoint directory, whose history both would write.

    Outside of a scheduler's job a second process is refused at once; a job waits half an hour.

    Args:
        directory: the run's checkpoints.
        should_stop: whether to stop.
        say: told that it waits.

    Yields:
        ``should_stop``, to be asked before anything is written: now it raises a ResourceError if
        another process has taken the run over, which happens to one that stood still for a minute.

    Raises:
        ResourceError: another process is at work there, or it cannot be written to.
        InterruptedRunError: ``should_stop`` said so.
    """
    if not is_first():
        yield should_stop
        return

    def guarded() -> bool:
        _make_sure(directory)
        return should_stop()

    with _lock_file(directory) as lock:
        _wait_for_the_run(lock, directory, should_stop, say)
        with _heartbeat(directory / ".owner"):
            yield guarded


def _wait_for_the_run(
    lock: IO[bytes], directory: Path, should_stop: Callable[[], bool], say: Callable[[str], None]
) -> None:
    patience = PATIENCE_S if _this_process().job else 0.0
    deadline, told = time.monotonic() + patience, False
    while True:
        try:
            _refuse_a_living_owner(directory, _lock(lock, directory))
            return
        except _AtWorkError as error:
            if time.monotonic() >= deadline:
                raise
            if not told:
                say(f"waits for up to {patience / 60:g} minutes: {error}")
            told = True
        if should_stop():
            raise InterruptedRunError("Stopped before it began; run the same command again.")
        time.sleep(HEARTBEAT_S / 2)


def _make_sure(directory: Path) -> None:
    owner = read_owner(directory)
    if owner is not None and not owner.is_same(_this_process()):
        raise ResourceError(
            f"This run was taken over by {owner}, because this process stood still for too long; "
            "nothing more is written here."
        )


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
        raise _AtWorkError(directory, read_owner(directory)) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise ResourceError(
                f"Cannot lock {directory}: {error.strerror}; is its file system well?"
            ) from error
        return False
    return True


def read_owner(directory: Path) -> Owner | None:
    """The owner of a checkpoint directory; None if there is none or it cannot be read."""
    return read_record(directory / ".owner", Owner)


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
    # Here, a living owner would have its lock; without locks, its process tells.
    if owner.host == own.host and (locked or not _is_alive(owner.pid)):
        return
    gone = owner.job and (owner.job == own.job or not _in_the_queue(owner.job))
    deadline = time.monotonic() + (GONE_S if gone else STILL_S)
    while time.monotonic() < deadline:
        time.sleep(HEARTBEAT_S / 10)
        if read_owner(directory) != owner:
            raise _AtWorkError(directory, read_owner(directory) or owner)


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
    done, own = threading.Event(), _this_process()
    _write(path, own)

    def still_here() -> bool:
        owner = read_owner(path.parent)
        return owner is None or owner.is_same(own)

    def beat() -> None:
        owner = own
        while not done.wait(HEARTBEAT_S) and still_here():
            owner = replace(owner, counter=owner.counter + 1)
            _write(path, owner)

    thread = threading.Thread(target=beat, name="ferminet-owner", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if still_here():
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
