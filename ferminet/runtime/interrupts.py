"""Requests to stop: SIGTERM, SIGINT, SIGUSR1, and the end of a job's time limit.

Work that can be saved notes a signal and stops between two blocks; for other work it is an error.
Near a time limit no signal is needed: the pace so far predicts when the next block may not fit.
"""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from ferminet.errors import InterruptedRunError

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

# The end of a time limit is kept free: a tenth of it, at most five minutes. The job began before
# this process did, and its last checkpoint has to be written.
_RESERVE_SHARE, _RESERVE_S = 0.1, 300.0
# In units of the longest recent block: one may still be on the device when the next is requested,
# then that next one, and half as much again because times vary.
_BLOCKS = 3.0
_REMEMBERED = 5

# A scheduler may send the same SIGTERM to a process twice, directly and through its parent.
_ECHO_S = 5.0


class TimeLimit:
    """A limit in minutes, reached when the next block of a loop may not fit into the time left.

    The time from the start to the first call includes compilation and does not count as a block.
    """

    def __init__(self, minutes: float | None, clock: Callable[[], float] = time.monotonic):
        self.minutes, self.clock = minutes, clock
        self.began = clock()
        self.last: float | None = None
        self.blocks: deque[float] = deque(maxlen=_REMEMBERED)
        self.reached = False

    def __call__(self) -> bool:
        """Return whether it is time to stop; to be called between blocks."""
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
    """Whether the work should stop, by a signal or a time limit."""

    def __init__(self, limit: TimeLimit | None = None):
        self.limit = limit or TimeLimit(None)
        self.signalled = False
        self._first_s: float | None = None

    def __call__(self) -> bool:
        """Return whether to stop; to be called once between blocks."""
        return self.limit() or self.signalled

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note a first signal; end the process at a second one.

        SIGUSR1 only warns of a time limit and never counts as the second, nor does an echo.
        """
        del frame
        self.signalled = True
        if number == signal.SIGUSR1:
            return
        now = time.monotonic()
        if self._first_s is None:
            self._first_s = now
        elif number != signal.SIGTERM or now - self._first_s >= _ECHO_S:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


@contextmanager
def stop_requested(limit: TimeLimit | None = None) -> Iterator[StopRequest]:
    """Note signals within the block; its InterruptedRunError names the time limit, if reached."""
    request = StopRequest(limit)
    try:
        with _signals_handled_by(request.handle):
            yield request
    except InterruptedRunError as error:
        if not request.limit.reached:
            raise
        minutes = f"{request.limit.minutes:g} minutes"
        raise InterruptedRunError(
            f"The next step may not fit into the time limit of {minutes}. {error}"
        ) from None


@contextmanager
def ended_by_signals(name: str) -> Iterator[None]:
    """Raise an InterruptedRunError at a signal within the block, so that its clean-up runs."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        del frame
        raise InterruptedRunError(
            f"{name} was stopped by {signal.Signals(number).name} and keeps nothing; run the same "
            "command again."
        )

    with _signals_handled_by(stop):
        yield


@contextmanager
def _signals_handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Install a signal handler within the block; only the main thread can."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in SIGNALS if is_main}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
