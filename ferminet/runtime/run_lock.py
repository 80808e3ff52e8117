"""A lock on a run's checkpoint directory, so that one process at a time works on the run.

The operating system releases the lock when its process ends, but some network file systems keep
locks local to one machine or have none. There, files decide: `.owner` names the host, process and
job, and a second file holds a heartbeat, a counter that the owner increases every few seconds. The
run is taken over when the counter stops, and not because SLURM reports that the owner's job has
ended: a lost node may still compute. An owner that wakes up after a takeover finds another name in
`.owner`, or none, and stops before it writes anything more. A delayed heartbeat cannot overwrite
the new name, because it has a separate file. No clock is read, so clocks need not agree.
"""

import contextlib
import errno
import fcntl
import json
import logging
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
from ferminet.runtime.files import read_record
from ferminet.runtime.interrupts import StopRequest
from ferminet.runtime.processes import is_first, is_one_of_several
from ferminet.runtime.slurm import is_queued

HEARTBEAT_S = 10.0
# Seconds without a heartbeat before an owner counts as dead; fewer if its SLURM job has ended.
STILL_S = 6 * HEARTBEAT_S
GONE_S = 2.5 * HEARTBEAT_S
# A SLURM job waits this long for its predecessor (of an earlier workflow, or on a lost node).
PATIENCE_S = 1800.0
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_RECORD_BYTES = 512

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Owner:
    """The process that works on a run, with its SLURM job if any; it increases the counter."""

    host: str
    pid: int
    job: str
    counter: int

    def is_same(self, other: "Owner") -> bool:
        """Return whether both are the same process."""
        return replace(self, counter=other.counter) == other

    def beat_file(self, directory: Path) -> Path:
        """Return the file that holds this owner's counter."""
        host = re.sub(r"[^A-Za-z0-9.-]", "_", self.host)[:100]
        return directory / f".owner-{host}-{self.pid}"

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" + (f", job {self.job}" if self.job else "")


class _LockedError(ResourceError):
    def __init__(self, directory: Path, owner: Owner | None):
        command = f"Another command ({owner})" if owner else "Another command"
        super().__init__(
            f"{command} is working on the run in {directory}; wait until it ends, or stop it first."
        )


@contextlib.contextmanager
def run_lock(directory: Path, stop: StopRequest | None = None) -> Iterator[Callable[[], bool]]:
    """Keep other processes out of a checkpoint directory.

    A second process is refused with a ResourceError. Outside of SLURM, or if several processes
    compute the run together, this happens at once; a SLURM job waits up to half an hour first.

    Yields:
        `stop`, to be called before anything is written: it now raises a ResourceError if another
        process has taken the run over, which can happen if this one is suspended for a minute.
    """
    stop = stop or StopRequest()
    if not is_first():
        yield stop
        return
    own = Owner(socket.gethostname(), os.getpid(), os.environ.get("SLURM_JOB_ID", ""), 0)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = open(directory / ".lock", "wb")
    except OSError as error:
        raise ResourceError(
            f"Cannot write to {directory}: {error.strerror}; free space or choose another "
            "directory for the checkpoints."
        ) from error
    with lock:
        _acquire(lock, directory, own, stop)
        with _heartbeat(directory, own) as assert_still_owner:

            def should_stop() -> bool:
                assert_still_owner()
                return stop()

            yield should_stop


def read_owner(directory: Path) -> Owner | None:
    """Return the owner of a checkpoint directory; None if there is none or it cannot be read."""
    owner = read_record(directory / ".owner", Owner)
    beat = read_record(owner.beat_file(directory), Owner) if owner else None
    return beat if beat and owner and beat.is_same(owner) else owner


def is_abandoned(directory: Path) -> bool:
    """Return whether a directory was in use and its owner, if it was on this host, has ended."""
    if not (directory / ".lock").exists():  # it stays when the owner ends, unlike `.owner`
        return False
    owner = read_owner(directory)
    return owner is None or (owner.host == socket.gethostname() and not _is_alive(owner.pid))


def _acquire(lock: IO[bytes], directory: Path, own: Owner, stop: StopRequest) -> None:
    """Take the lock, waiting for an earlier owner if this is a SLURM job."""
    patience = PATIENCE_S if own.job and not is_one_of_several() else 0.0
    deadline = time.monotonic() + patience
    report = logger.info
    while True:
        try:
            _refuse_living_owner(directory, own, _try_lock(lock, directory), stop)
            return
        except _LockedError as error:
            if time.monotonic() >= deadline:
                raise
            report("waiting for up to %g minutes: %s", patience / 60, error)
            report = logger.debug  # once is enough
        _sleep(HEARTBEAT_S / 2, stop)


def _try_lock(lock: IO[bytes], directory: Path) -> bool:
    """Lock the file; return False where the file system has no locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _LockedError(directory, read_owner(directory)) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            text = f"Cannot lock {directory}: {error.strerror}; check its file system."
            raise ResourceError(text) from error
        return False
    return True


def _refuse_living_owner(directory: Path, own: Owner, has_lock: bool, stop: StopRequest) -> None:
    owner = read_owner(directory)
    if owner is None:
        return
    # A living owner on this host would hold the lock; without locks, see whether its process runs.
    if owner.host != own.host or (not has_lock and _is_alive(owner.pid)):
        # Watch its counter until it changes, or for long enough to count as dead.
        job_ended = owner.job and (owner.job == own.job or not is_queued(owner.job))
        deadline = time.monotonic() + (GONE_S if job_ended else STILL_S)
        while time.monotonic() < deadline:
            _sleep(HEARTBEAT_S / 10, stop)
            seen = read_owner(directory)
            if seen not in (None, owner):
                raise _LockedError(directory, seen)
    with contextlib.suppress(OSError):
        owner.beat_file(directory).unlink(missing_ok=True)


def _sleep(seconds: float, stop: StopRequest) -> None:
    if stop.signalled:
        raise InterruptedRunError("Stopped before it began; run the same command again.")
    time.sleep(seconds)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # the process of another user
        return True
    except (ProcessLookupError, OverflowError):  # no process can have so large a number
        return False
    return True


@contextlib.contextmanager
def _heartbeat(directory: Path, own: Owner) -> Iterator[Callable[[], None]]:
    """Write the owner's name, and its counter while the block runs; remove both at the end.

    Yields a function that raises a ResourceError if another process has taken the run over.
    """
    path, beat_file = directory / ".owner", own.beat_file(directory)
    is_written = _write(path, own)
    _write(beat_file, own)
    done = threading.Event()

    def beat() -> None:
        owner = own
        while not done.wait(HEARTBEAT_S):
            owner = replace(owner, counter=owner.counter + 1)
            _write(beat_file, owner)

    def assert_still_owner() -> None:
        owner = read_record(path, Owner)
        is_removed = owner is None and is_written and not path.exists()
        if is_removed or (owner is not None and not owner.is_same(own)):
            raise ResourceError(
                f"This run was taken over by {owner or 'another process'} because this process "
                "was suspended for too long; it writes nothing more here."
            )

    thread = threading.Thread(target=beat, name="ferminet-owner", daemon=True)
    thread.start()
    try:
        yield assert_still_owner
    finally:
        done.set()
        thread.join()
        owner = read_record(path, Owner)
        with contextlib.suppress(OSError):
            beat_file.unlink(missing_ok=True)
            if owner is not None and owner.is_same(own):
                path.unlink(missing_ok=True)


def _write(path: Path, owner: Owner) -> bool:
    """Overwrite the fixed-size record in place; return False if the write failed."""
    text = json.dumps(asdict(owner)).ljust(_RECORD_BYTES).encode()
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666), "wb", buffering=0) as stream:
            return stream.write(text) > 0
    except OSError:
        return False
