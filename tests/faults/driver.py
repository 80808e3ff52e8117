"""Runs one command of ``ferminet``, and kills its process at one event.

Usage: ``python driver.py RECORD EVENT COMMAND [ARGUMENT ...]``. Each iteration of training, each
block of an evaluation, each write to a file, each fsync and each rename is an event; they are
counted from the start of the process, and at number EVENT (0: never) SIGKILL comes in the middle of
it: a write has put down half of its data, an fsync or rename has not happened yet. RECORD gets a
line ``saved FILE`` for each checkpoint that is in place, and at the end ``killed KIND`` or
``events KIND KIND ...`` of a whole run.
"""

import builtins
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ferminet.runtime.environment import prepare_environment

prepare_environment()

from ferminet.cli.main import main  # noqa: E402
from ferminet.runtime import files  # noqa: E402
from ferminet.stages import evaluation, history  # noqa: E402
from ferminet.vmc import train  # noqa: E402


class Events:
    """Counts, and kills the process at one event."""

    def __init__(self, record: Path, fatal: int):
        self.record, self.fatal = record, fatal
        self.kinds: list[str] = []

    def note(self, line: str) -> None:
        with builtins.open(self.record, "a") as stream:
            stream.write(line + "\n")

    def happen(self, kind: str, half: Callable[[], Any] = lambda: None) -> None:
        """Counts one event; if it is the fatal one, half of it is done and the process ends."""
        self.kinds.append(kind)
        if len(self.kinds) == self.fatal:
            half()
            self.note(f"killed {kind}")
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, function: Callable, kind: str) -> Callable:
        """The function, with the process killed instead of its fatal call."""

        def wrapped(*args, **kwargs):
            self.happen(kind)
            return function(*args, **kwargs)

        return wrapped

    def open(self, path: Path, *args: Any, **kwargs: Any) -> "Stream":
        """As the built-in ``open``."""
        return Stream(builtins.open(path, *args, **kwargs), self)

    def fsync(self, descriptor: int) -> None:
        """As ``os.fsync``."""
        self.happen("fsync of " + name_of(Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
        _fsync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """As ``os.replace``."""
        self.happen("rename of " + name_of(target))
        _replace(source, target)
        if name_of(target) == "checkpoint":
            self.note(f"saved {target}")


class Stream:
    """A file whose fatal write puts down only half."""

    def __init__(self, stream, events: Events):
        self.stream, self.events = stream, events

    def write(self, data):
        def half() -> None:
            self.stream.write(data[: len(data) // 2])
            self.stream.flush()

        self.events.happen("write of " + name_of(Path(self.stream.name)), half)
        return self.stream.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.stream.close()

    def __getattr__(self, name):
        return getattr(self.stream, name)


def name_of(path: Path) -> str:
    """What a file is, the same for all checkpoints and for what is written aside."""
    name = path.name.removeprefix(".")
    if name.startswith("checkpoint-"):
        return "checkpoint"
    if path.is_dir():
        return "folder"
    return name.split(".part")[0].rsplit(".", 1)[0] if name.endswith(".part") else name


_fsync, _replace = os.fsync, os.replace

if __name__ == "__main__":
    events = Events(Path(sys.argv[1]), int(sys.argv[2]))
    for module in (files, history):
        setattr(module, "open", events.open)  # noqa: B010
    os.fsync, os.replace = events.fsync, events.replace
    train.Trainer.step = events.before(train.Trainer.step, "iteration")
    evaluation.sample_block = events.before(evaluation.sample_block, "block")
    code = main(sys.argv[3:])
    events.note("events " + ",".join(events.kinds))
    sys.exit(code)
