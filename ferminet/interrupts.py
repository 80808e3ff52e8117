"""Requests to stop that leave a long loop time to save: SIGTERM, SIGINT, SIGUSR1."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

    def note(number: int, frame: object) -> None:
        del frame
        received.append(number)
        if len(received) > 1:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
