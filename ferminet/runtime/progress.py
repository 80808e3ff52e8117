"""Progress of long loops: a bar that rewrites itself on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

from ferminet.runtime.processes import is_first

INTERVAL_TERMINAL = 0.5  # seconds between redraws
INTERVAL_PLAIN = 30.0  # seconds between lines
BAR_WIDTH = 20

Report = Callable[[int, str], None]


class Progress:
    """Reports a loop of known length; call it with the number of finished iterations.

    Args:
        label: what is running, e.g. ``train LiH eq ferminet seed 1``.
        total: iterations in all.
        start: iterations done before (a resumed run).
        stream: where to write.
        log: a second stream that gets every plain line.

    A stream that fails raises here; those of a command do not (``streams.py``).
    """

    def __init__(
        self,
        label: str,
        total: int,
        start: int = 0,
        stream: TextIO | None = None,
        log: TextIO | None = None,
    ):
        self.label, self.total, self.start = label, max(total, 1), start
        self.stream = sys.stderr if stream is None else stream
        self.log = log
        self.began = self.shown = time.monotonic()
        self.is_terminal = self.stream.isatty()

    def __call__(self, done: int, text: str) -> None:
        """Shows the state after ``done`` iterations, if it is time to, and always at the end."""
        if not is_first():
            return
        now = time.monotonic()
        interval = INTERVAL_TERMINAL if self.is_terminal else INTERVAL_PLAIN
        if now - self.shown < interval and done < self.total:
            return
        self.shown = now
        line = f"[{self.label}] {done}/{self.total} {text} {self._time_left(done, now)}"
        if self.is_terminal:
            filled = BAR_WIDTH * done // self.total
            bar = "#" * filled + "." * (BAR_WIDTH - filled)
            end = "\n" if done >= self.total else ""
            self.stream.write(f"\r\x1b[2K|{bar}| {line}{end}")
        else:
            self.stream.write(line + "\n")
        self.stream.flush()
        if self.log is not None:
            self.log.write(line + "\n")
            self.log.flush()

    def say(self, text: str) -> None:
        """One plain line, at once."""
        for stream in (self.stream, self.log) if is_first() else ():
            if stream is not None:
                stream.write(f"[{self.label}] {text}\n")
                stream.flush()

    def _time_left(self, done: int, now: float) -> str:
        fresh = done - self.start
        if fresh <= 0 or done >= self.total:
            return f"({now - self.began:.0f} s)"
        seconds = (now - self.began) / fresh * (self.total - done)
        hours, minutes = divmod(int(seconds) // 60, 60)
        clock = f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {int(seconds) % 60} s"
        return f"({clock} left)"
