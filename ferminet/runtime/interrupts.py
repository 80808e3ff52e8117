"""Requests to stop, SIGTERM, SIGINT and SIGUSR1: noted by what can save, an error for the rest.

A job with a time limit needs no signal: its own pace says when the next block does not fit.
"""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from ferminet.errors import InterruptedRunError

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

# At the end of a time limit this much is left alone: a tenth of it, at most five minutes. The job
# began before this process did, and its last checkpoint has to be written.
_RESERVE_SHARE, _RESERVE_S = 0.1, 300.0
# In units of the longest of the last blocks: one may still be on the device when the next one is
# asked for, and then that one; half as much again for what varies.
_BLOCKS = 3.0
_REMEMBERED = 5

# A scheduler may send the same SIGTERM to a process twice, directly and through its parent.
_ECHO_S = 5.0


class TimeLimit:
    """Says, called between the blocks of a loop, when the next may not fit into the time left.

    The time from the start to the first call holds compilation and says nothing of a block.

    Args:
        minutes: what the scheduler allows the job from now on; None: there is no limit.
        clock: seconds, of any beginning.
    """

    def __init__(self, minutes: float | None, clock: Callable[[], float] = time.monotonic):
        self.minutes, self.clock = minutes, clock
        self.began = clock()
        self.last: float | None = None
        self.blocks: deque[float] = deque(maxlen=_REMEMBERED)
        self.reached = False

    def __call__(self) -> bool:
        """Whether it is time to stop; once it was, it stays so."""
        now = self.clock()
        if self.last is not None:
            self.blocks.append(now - self.last)
        self.last = now
        if self.minutes is not None:
            seconds = 60.0 * self.minutes
            left = self.began + seconds - min(_RESERVE_SHARE * seconds, _RESERVE_S) - now
            self.reached |= left < _BLOCKS * max(self.blocks, default=0.0)
        return self.reached


class StopRequest:
    """Whether to stop, to be called once between blocks of the work.

    Args:
        limit: of the job's time.
        received: the signals so far, in a list that grows.
    """

    def __init__(self, limit: TimeLimit | None = None, received: Sequence[int] = ()):
        self._limit, self._received = limit, received

    def __call__(self) -> bool:
        """Whether a signal has come, or the next block may not fit into the time left."""
        reached = self._limit is not None and self._limit()
        return reached or self.signalled

    @property
    def signalled(self) -> bool:
        """Whether a signal has come; between blocks or not."""
        return bool(self._received)


@contextmanager
def stop_requested(limit: TimeLimit | None = None) -> Iterator[StopRequest]:
    """Within the block, a first signal is only noted; a second one ends the process at once.

    SIGUSR1, the warning of a time limit, does not count, nor does a SIGTERM that is repeated within
    seconds.

    Args:
        limit: of the job's time, which is a reason to stop too.

    Yields:
        What says whether to stop.

    Raises:
        InterruptedRunError: the block raised it; of a time limit its text says so.
    """
    within = limit or TimeLimit(None)
    try:
        with _signals_noted() as received:
            yield StopRequest(within, received)
    except InterruptedRunError as error:
        if not within.reached:
            raise
        raise InterruptedRunError(
            f"What comes next may not fit the time limit of {within.minutes:g} minutes. {error}"
        ) from None


@contextmanager
def _signals_noted() -> Iterator[list[int]]:
    received: list[int] = []
    asked: list[float] = []  # when the end was asked for; SIGUSR1 only warns of it
    if threading.current_thread() is not threading.main_thread():
        yield received  # only the main thread may install handlers
        return

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        received.append(number)
        if number == signal.SIGUSR1:
            return
        asked.append(time.monotonic())
        echo = number == signal.SIGTERM and asked[-1] - asked[0] < _ECHO_S
        if len(asked) > 1 and not echo:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    with _handled_by(note):
        yield received


@contextmanager
def ended_by_signals(name: str) -> Iterator[None]:
    """Within the block a signal is an error, so that what must be cleaned up is.

    Args:
        name: of the calculation.

    Raises:
        InterruptedRunError: a signal has come.
    """

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        del frame
        raise InterruptedRunError(
            f"{name} was stopped by {signal.Signals(number).name}; nothing is kept of it, run the "
            "same command again."
        )

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled_by(stop):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
