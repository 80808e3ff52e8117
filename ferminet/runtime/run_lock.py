"""One process at a time has a run: a lock, and beside it a file that says whose it is.

The lock ends with its process, however that ends, but some network file systems keep locks to one
machine or have none. There the files count: ``.owner`` names host, process and job, and a file of
the owner's own holds a counter that goes on every few seconds. Somebody else takes over when the
counter stands still, however gone the owner is said to be: a node that the scheduler has lost may
still compute. An owner that was taken for gone and comes back finds another's name, or none, and
stops before it writes anything more; a write of the counter that hung meanwhile changes no name.
No clock is read, so none needs to agree with another.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from ferminet.errors import InterruptedRunError, ResourceError
from ferminet.runtime.interrupts import StopRequest
from ferminet.runtime.json_files import read_record
from ferminet.runtime.processes import is_first, is_one_of_several
from ferminet.runtime.slurm import in_the_queue

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

    def beat_file(self, directory: Path) -> Path:
        """Where its counter is."""
        host = re.sub(r"[^A-Za-z0-9.-]", "_", self.host)[:100]
        return directory / f".owner-{host}-{self.pid}"

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
    asked: StopRequest | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Callable[[], bool]]:
    """Keeps every other process out of a checkpoint directory, whose history both would write.

    Outside of a scheduler's job a second process is refused at once; a job waits half an hour. (One
    of several processes does not, which the others would not know of.)

    Args:
        directory: the run's checkpoints.
        asked: whether to stop.
        say: told that it waits.

    Yields:
        ``asked``, to be called before anything is written: now it raises a ResourceError if another
        process has taken the run over, which happens to one that stood still for a minute.

    Raises:
        ResourceError: another process is at work there, or it cannot be written to.
        InterruptedRunError: a signal came while it waited.
    """
    asked = StopRequest() if asked is None else asked
    if not is_first():
        yield asked
        return
    own = Owner(socket.gethostname(), os.getpid(), os.environ.get("SLURM_JOB_ID", ""), 0)
    with _lock_file(directory) as lock:
        _wait_for_the_run(lock, directory, own, asked, say)
        with _heartbeat(directory, own) as make_sure:

            def should_stop() -> bool:
                make_sure()
                return asked()

            yield should_stop


def _wait_for_the_run(
    lock: IO[bytes], directory: Path, own: Owner, asked: StopRequest, say: Callable[[str], None]
) -> None:
    patience = PATIENCE_S if own.job and not is_one_of_several() else 0.0
    deadline, told = time.monotonic() + patience, False
    while True:
        try:
            _refuse_a_living_owner(directory, own, _lock(lock, directory), asked)
            return
        except _AtWorkError as error:
            if time.monotonic() >= deadline:
                raise
            if not told:
                say(f"waits for up to {patience / 60:g} minutes: {error}")
            told = True
        _pause(HEARTBEAT_S / 2, asked)


def _pause(seconds: float, asked: StopRequest) -> None:
    if asked.signalled:
        raise InterruptedRunError("Stopped before it began; run the same command again.")
    time.sleep(seconds)


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
    owner = read_record(directory / ".owner", Owner)
    if owner is None:
        return None
    beat = read_record(owner.beat_file(directory), Owner)
    return beat if beat is not None and beat.is_same(owner) else owner


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


def _refuse_a_living_owner(directory: Path, own: Owner, locked: bool, asked: StopRequest) -> None:
    owner = read_owner(directory)
    if owner is None:
        return
    # Here, a living owner would have its lock; without locks, its process tells.
    here = owner.host == own.host and (locked or not _is_alive(owner.pid))
    if not here and _is_beating(directory, owner, own, asked):
        raise _AtWorkError(directory, read_owner(directory) or owner)
    with contextlib.suppress(OSError):
        owner.beat_file(directory).unlink(missing_ok=True)


def _is_beating(directory: Path, owner: Owner, own: Owner, asked: StopRequest) -> bool:
    gone = owner.job and (owner.job == own.job or not in_the_queue(owner.job))
    deadline = time.monotonic() + (GONE_S if gone else STILL_S)
    while time.monotonic() < deadline:
        _pause(HEARTBEAT_S / 10, asked)
        seen = read_owner(directory)
        if seen is not None and seen != owner:
            return True
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    except OverflowError:  # no process has such a number
        return False
    return True


@contextlib.contextmanager
def _heartbeat(directory: Path, own: Owner) -> Iterator[Callable[[], None]]:
    """Writes whose the run is, and a counter while the body runs; removes both at the end.

    Yields:
        A function that raises a ResourceError if the run is somebody else's by now.
    """
    path, beats = directory / ".owner", own.beat_file(directory)
    claimed = _write(path, own)
    _write(beats, own)
    done = threading.Event()

    def beat() -> None:
        owner = own
        while not done.wait(HEARTBEAT_S):
            owner = replace(owner, counter=owner.counter + 1)
            _write(beats, owner)

    def make_sure() -> None:
        owner = read_record(path, Owner)
        gone = owner is None and claimed and not path.exists()
        if not gone and (owner is None or owner.is_same(own)):
            return
        raise ResourceError(
            f"This run was taken over by {owner or 'another process'}, because this one stood "
            "still for too long; nothing more is written here."
        )

    thread = threading.Thread(target=beat, name="ferminet-owner", daemon=True)
    thread.start()
    try:
        yield make_sure
    finally:
        done.set()
        thread.join()
        owner = read_record(path, Owner)
        with contextlib.suppress(OSError):
            beats.unlink(missing_ok=True)
            if owner is not None and owner.is_same(own):
                path.unlink(missing_ok=True)


def _write(path: Path, owner: Owner) -> bool:
    """In place and of one length; a full disk is told by what matters more."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            os.pwrite(descriptor, json.dumps(asdict(owner)).ljust(_SIZE).encode(), 0)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True
