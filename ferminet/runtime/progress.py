"""Progress of long loops as log records, which `ferminet.cli.output` draws as a bar."""

import logging
import os
import sys
import time
from typing import Any

from ferminet.runtime.processes import is_first

INTERVAL_TERMINAL = 0.5  # seconds between redraws
INTERVAL_PLAIN = 30.0  # seconds between lines
# Seconds between lines on standard error, if another program draws them.
INTERVAL_VARIABLE = "FERMINET_PROGRESS_SECONDS"
# The `extra` of a record that no log file needs, because the interval of lines has not passed.
PASSING = {"passing": True}

logger = logging.getLogger(__name__)


class Progress:
    """Report a loop of `total` iterations; call it with the number of finished ones.

    An earlier process did the first `start`. Of several processes only the first reports.
    """

    def __init__(self, label: str, total: int, start: int = 0) -> None:
        self.label, self.total, self.start = label, max(total, 1), start
        self.began = self.shown = self.logged = time.monotonic()
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        asked = float(os.environ.get(INTERVAL_VARIABLE, INTERVAL_PLAIN))
        self.interval = INTERVAL_TERMINAL if is_terminal else asked

    def __call__(self, done: int, text: str) -> None:
        """Report the state after `done` iterations if the interval has passed, or at the end."""
        now = time.monotonic()
        if now - self.shown < self.interval and done < self.total:
            return
        self.shown = now
        is_due = now - self.logged >= INTERVAL_PLAIN or done >= self.total
        self.logged = now if is_due else self.logged
        line = f"{done}/{self.total} {text} {self._time_left(done, now)}"
        self.log(line, fraction=done / self.total, **({} if is_due else PASSING))

    def log(self, text: str, **extra: Any) -> None:
        """Report one line now."""
        if is_first():
            logger.info("[%s] %s", self.label, text, extra=extra)

    def _time_left(self, done: int, now: float) -> str:
        fresh = done - self.start
        if fresh <= 0 or done >= self.total:
            return f"({now - self.began:.0f} s)"
        return f"({clock((now - self.began) / fresh * (self.total - done))} left)"


def clock(seconds: float) -> str:
    """Return a time as text.

    >>> clock(9900), clock(70.5), clock(5)
    ('2 h 45 min', '1 min 10 s', '5 s')
    """
    hours, minutes = divmod(int(seconds) // 60, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {int(seconds) % 60} s" if minutes else f"{int(seconds)} s"
