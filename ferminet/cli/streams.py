"""The streams of a command, whose reader may go away or whose disk may be full.

Standard output carries the result. Standard error and the log only say how it goes, and no result
is given up for them.
"""

import abc
import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from ferminet.errors import ResourceError


class _Outlet(io.TextIOBase):
    """Writes to a stream and raises nothing where the system cannot; who inherits it, decides.

    Args:
        stream: where to write; None if there is none, as where it was closed before the start.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        """Writes text, if that is possible."""
        self._try(lambda stream: stream.write(text))
        return len(text)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor, for other processes."""
        return super().fileno() if self._stream is None else self._stream.fileno()

    def flush(self) -> None:
        """Hands on what is written."""
        self._try(lambda stream: stream.flush())

    def _try(self, write: Callable[[TextIO], object]) -> None:
        if self._stream is None:
            return
        try:
            write(self._stream)
        except OSError as error:
            self._failed(self._stream, error)

    @abc.abstractmethod
    def _failed(self, stream: TextIO, error: OSError) -> None:
        """A write was refused."""


class Unbroken(_Outlet):
    """Standard output: after the first write that fails, everything goes nowhere.

    What a command does besides printing does not depend on it, and neither does its exit code on
    `| head`. Whether all could be written is asked at the end.
    """

    _error: OSError | None = None
    _gone = False  # after a write that failed

    def write(self, text: str, /) -> int:
        """Writes text, if that is possible."""
        if self._stream is None and not self._gone:  # closed before the start
            self._error = OSError(errno.EBADF, os.strerror(errno.EBADF))
        return super().write(text)

    def finish(self) -> None:
        """Hands on the rest.

        Raises:
            ResourceError: not all could be written, and there may be a reader.
        """
        self.flush()
        if self._error is not None:
            raise ResourceError(
                f"The output cannot be written ({_reason(self._error)}), and what there is of it "
                "is not whole; free space or send it elsewhere, and run the same command again."
            )

    def _failed(self, stream: TextIO, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            self._error = error
        _lead_nowhere(stream)
        self._stream, self._gone = None, True


class Dispensable(_Outlet):
    """Standard error or a log: what cannot be written is left out, and later text is tried again.

    Args:
        stream: where to write.
        name: of the stream, in the one remark that something is missing.
        other: gets that remark.
    """

    def __init__(self, stream: TextIO | None, name: str, other: "Dispensable | None" = None):
        super().__init__(stream)
        self.name, self.other = name, other
        self._told = False

    def finish(self) -> None:
        """Hands on the rest, or drops it."""
        if self._stream is None:
            return
        try:
            self._stream.flush()
        except OSError:
            _lead_nowhere(self._stream)

    def end(self) -> None:
        """Closes the stream, whether or not the rest can be written."""
        # Not called close, which Python calls of what nobody uses any more: the screen stays open.
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()

    def _failed(self, stream: TextIO, error: OSError) -> None:
        if self._told or self.other is None:
            return
        self._told = True
        self.other.write(
            f"ferminet: remark: {self.name} cannot be written ({_reason(error)}); the command goes "
            "on without it.\n"
        )


@contextlib.contextmanager
def standard_streams() -> Iterator[tuple[Unbroken, Dispensable]]:
    """Within the block, standard output and standard error are the two that are yielded.

    After it they hold nothing that Python would write, and fail on, when it ends.
    """
    with (
        contextlib.redirect_stdout(Unbroken(sys.stdout)) as output,
        contextlib.redirect_stderr(Dispensable(sys.stderr, "standard error")) as remarks,
    ):
        try:
            yield output, remarks
        finally:
            output.flush()
            remarks.finish()


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _lead_nowhere(stream: TextIO) -> None:
    """Python writes what a stream still holds when it ends; a failure would be its exit code."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
