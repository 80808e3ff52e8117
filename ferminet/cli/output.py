"""The output of a command: results on standard output, log records on standard error and in a file.

A result that cannot be written is an error. A log record that cannot be written is not.
"""

import contextlib
import errno
import functools
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from ferminet.errors import InputError, ResourceError

BAR_WIDTH = 20
# The `extra` of a record for log files only, because standard output shows its text already.
PRINTED = {"printed": True}
_CLEAR_LINE = "\r\x1b[2K"


class ResultStream(io.TextIOBase):
    """Standard output that remembers a failed write instead of raising it.

    A reader that goes away (`| head`) thus changes neither the files that a command writes nor its
    exit code. The stream is None if standard output was closed before the start.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._error: OSError | None = None

    def _attempt(self, action: Callable[[], object]) -> None:
        """Do something to the stream, unless an earlier attempt failed."""
        if self._error is None:
            try:
                action()
            except OSError as error:
                self._error = error

    def write(self, text: str, /) -> int:
        """Write text, unless an earlier write failed."""
        if self._stream is None:
            self._error = OSError(errno.EBADF, os.strerror(errno.EBADF))
        else:
            self._attempt(functools.partial(self._stream.write, text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream, unless an earlier write failed."""
        if self._stream is not None:
            self._attempt(self._stream.flush)

    def fileno(self) -> int:
        """Return the file descriptor, for child processes."""
        return super().fileno() if self._stream is None else self._stream.fileno()

    def require_complete(self) -> None:
        """Flush the stream.

        Raises:
            ResourceError: a write failed, and not because the reader went away.
        """
        self.flush()
        if self._error is not None and not isinstance(self._error, BrokenPipeError):
            raise ResourceError(
                f"The output cannot be written ({_reason(self._error)}) and is incomplete; free "
                "space or redirect it elsewhere, and run the same command again."
            )


class BestEffortHandler(logging.StreamHandler):
    """Write log records to a stream; a record that cannot be written is dropped.

    On a terminal, a record with a `fraction` (the finished share of a loop) becomes a bar that
    rewrites itself. When this handler loses its first record, it sends `other` one remark with the
    name of the stream.
    """

    terminator = ""

    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream)
        self.label = name
        self.other: BestEffortHandler | None = None
        self._is_reported = self._bar_is_open = False

    def format(self, record: logging.LogRecord) -> str:
        """Return the line to write, with its end."""
        line = super().format(record)
        fraction = getattr(record, "fraction", None)
        start = _CLEAR_LINE if self._bar_is_open else ""
        self._bar_is_open = False
        if fraction is None or not self.stream.isatty():
            return f"{start}{line}\n"
        self._bar_is_open = fraction < 1
        bar = "#" * int(BAR_WIDTH * fraction)
        return f"{_CLEAR_LINE}|{bar:.<{BAR_WIDTH}}| {line}" + "\n" * (not self._bar_is_open)

    def handleError(self, record: logging.LogRecord) -> None:
        """Report the first record that was lost to the other handler."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif self.other is not None and not self._is_reported:
            self._is_reported = True
            text = (
                f"ferminet: remark: {self.label} cannot be written ({_reason(error)}); the command "
                "continues without it."
            )
            self.other.handle(logging.makeLogRecord({"msg": text, "levelno": logging.WARNING}))


@contextlib.contextmanager
def command_output() -> Iterator[tuple[ResultStream, logging.Logger]]:
    """Redirect standard output to a `ResultStream` and send log records to standard error.

    When the block ends, neither stream holds text that Python would fail to write at its exit.

    Yields:
        The result stream and the package's logger.
    """
    logger = logging.getLogger("ferminet")
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False  # absl (of kfac-jax) and plug-ins give the root logger handlers
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without Unicode shows \xc5 for Å
            stream.reconfigure(errors="backslashreplace")
    if sys.stderr is not None:
        screen = BestEffortHandler(sys.stderr, "standard error")
        screen.addFilter(lambda record: not hasattr(record, "printed"))
        logger.addHandler(screen)
    results = ResultStream(sys.stdout)
    try:
        with contextlib.redirect_stdout(results):
            yield results, logger
    finally:
        logger.setLevel(level)
        logger.propagate = propagate
        for handler in _handlers(logger):
            logger.removeHandler(handler)
            if handler.stream is not sys.stderr:
                with contextlib.suppress(OSError):
                    handler.stream.close()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                _flush_or_discard(stream)


def log_to_file(logger: logging.Logger, path: Path) -> None:
    """Append log records to a file too, until `command_output` ends.

    Raises:
        InputError: the path is a directory.
        ResourceError: the file cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = open(path, "a", encoding="utf-8")
    except OSError as error:
        kind = InputError if path.is_dir() else ResourceError
        raise kind(
            f"the log {path} cannot be written ({error.strerror}); choose another path."
        ) from error
    handler = BestEffortHandler(stream, f"the log {path}")
    handler.addFilter(lambda record: not hasattr(record, "passing"))
    for screen in _handlers(logger):
        screen.other, handler.other = handler, screen
    # First, so that the remark about a lost record precedes the record on standard error.
    logger.handlers.insert(0, handler)


def _handlers(logger: logging.Logger) -> list[BestEffortHandler]:
    return [handler for handler in logger.handlers if isinstance(handler, BestEffortHandler)]


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _flush_or_discard(stream: TextIO) -> None:
    """Flush a stream; if that fails, discard its text, or Python would exit with 120."""
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as devnull:
            os.dup2(devnull.fileno(), stream.fileno())
