"""Requests to stop, SIGTERM, SIGINT and SIGUSR1: noted by what can save, an error for the rest."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from ferminet.errors import InterruptedRunError

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Within the block, a first signal is only noted; a second one ends the process at once.

    Yields:
        A function that says whether a signal has come.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # only the main thread may install handlers
        return

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        received.append(number)
        if len(received) > 1:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    with _handled_by(note):
        yield lambda: bool(received)


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
