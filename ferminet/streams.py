"""Standard output whose reader may go away."""

import contextlib
import io
import os
from collections.abc import Callable
from typing import TextIO


class Unbroken(io.TextIOBase):
    """Writes to a stream until nobody reads it any more, and then nowhere.

    What a command does besides printing, and its exit code, do not depend on `| head`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream

    def write(self, text: str, /) -> int:
        """Writes text, if somebody reads."""
        self._try(lambda stream: stream.write(text))
        return len(text)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def flush(self) -> None:
        """Hands on what is written."""
        self._try(lambda stream: stream.flush())

    def _try(self, write: Callable[[TextIO], object]) -> None:
        if self._stream is None:
            return
        try:
            write(self._stream)
        except BrokenPipeError:
            # Python writes what it still holds when it ends.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            self._stream = None
