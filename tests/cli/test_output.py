"""The output of a command: readers that go away, disks that are full, bars on a terminal."""

import contextlib
import errno
import io
import logging
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from ferminet.cli.main import main
from ferminet.cli.output import BestEffortHandler, ResultStream
from ferminet.errors import ResourceError
from ferminet.runtime.progress import Progress
from tests.helpers.reliability import MOLECULE, STUDY

FULL = Path("/dev/full")
REFUSED = "train --config no.yaml --initial a --checkpoint-dir b --out c --history d".split()

on_linux = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")


class Disk(io.RawIOBase):
    """Takes what is written as long as there is room."""

    def __init__(self) -> None:
        self.taken, self.is_full = b"", False

    def writable(self) -> bool:
        return True

    def write(self, data, /) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.taken += bytes(data)
        return len(data)

    def file(self) -> io.TextIOWrapper:
        """As ``open`` gives it."""
        return io.TextIOWrapper(io.BufferedWriter(self), encoding="utf-8", line_buffering=True)


def run_command(folder: Path, *arguments: str, **streams) -> subprocess.CompletedProcess[str]:
    (folder / "study.yaml").write_text(STUDY)
    (folder / "mine.yaml").write_text(MOLECULE)
    return subprocess.run(
        [sys.executable, "-m", "ferminet", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        text=True,
        timeout=120,
        check=False,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )


def test_a_reader_that_goes_away_changes_nothing_else(tmp_path: Path) -> None:
    """`ferminet ... | true` does all that it would have done, with the same exit code."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = run_command(tmp_path, "resolve", "--config", "study.yaml", stdout=closed)
    assert (done.returncode, done.stderr) == (0, "")


def test_printing_continues_after_the_reader_has_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    closed = os.fdopen(writing, "w", buffering=1)
    with redirect_stdout(ResultStream(closed)) as out:
        print("this has no reader")
        sys.stdout.flush()
        print("nor has this")
        out.require_complete()
    with contextlib.suppress(BrokenPipeError):
        closed.close()


@on_linux
@pytest.mark.parametrize(
    "arguments",
    ["resolve --config study.yaml", "molecules mine.yaml --json", "molecules mine.yaml", "--help"],
)
def test_a_result_that_does_not_fit_is_no_success(tmp_path: Path, arguments: str) -> None:
    with open(FULL, "w") as full:
        done = run_command(tmp_path, *arguments.split(), stdout=full)
    assert done.returncode == 4
    assert done.stderr.startswith("ferminet: The output cannot be written (No space left on")
    assert done.stderr.count("\n") == 1


def test_files_are_written_although_the_output_does_not_fit(tmp_path: Path) -> None:
    disk = Disk()
    disk.is_full = True
    out = ResultStream(disk.file())
    with redirect_stdout(out):
        print("a result")
        (tmp_path / "file").write_text("another")
    disk.is_full = False
    with pytest.raises(ResourceError, match="incomplete"):  # whatever there is room for by now
        out.require_complete()


@on_linux
def test_a_full_log_does_not_change_the_error_of_a_command(tmp_path: Path) -> None:
    done = run_command(tmp_path, *REFUSED, "--log", str(FULL))
    assert done.returncode == 2
    remark, sentence = done.stderr.splitlines()
    assert remark.startswith(f"ferminet: remark: the log {FULL} cannot be written (No space left")
    assert sentence.startswith("ferminet: no.yaml: cannot be read")


@on_linux
@pytest.mark.parametrize("arguments", [REFUSED, ["status", "--confg", "x"]], ids=["study", "usage"])
def test_exit_codes_do_not_depend_on_standard_error(tmp_path: Path, arguments: list[str]) -> None:
    with open(FULL, "w") as full:
        assert run_command(tmp_path, *arguments, stderr=full).returncode == 2


@on_linux
def test_the_log_holds_what_standard_error_cannot_take(tmp_path: Path, monkeypatch) -> None:
    log = tmp_path / "train.log"
    with open(FULL, "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert main([*REFUSED, "--log", str(log)]) == 2
    sentence, remark = log.read_text().splitlines()
    assert sentence.startswith("ferminet: no.yaml: cannot be read")
    assert remark.startswith("ferminet: remark: standard error cannot be written (No space left")


def test_a_closed_standard_error_does_not_change_the_exit_code(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    log = tmp_path / "train.log"
    assert main([*REFUSED, "--log", str(log)]) == 2
    assert log.read_text().count("\n") == 1


def test_a_closed_standard_output_is_an_error_if_there_is_a_result(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["molecules", "molecules/LiH.yaml"]) == 4
    assert "The output cannot be written" in capsys.readouterr().err
    assert main(REFUSED) == 2  # which prints nothing there


def handlers_for(disk: io.TextIOBase, screen: io.TextIOBase) -> list[BestEffortHandler]:
    log, terminal = BestEffortHandler(disk, "the log a.log"), BestEffortHandler(screen, "screen")
    log.other, terminal.other = terminal, log
    return [log, terminal]


@pytest.fixture
def attach(monkeypatch):
    """Give the package's logger these handlers and no others."""
    logger = logging.getLogger("ferminet")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()
    yield lambda handlers: monkeypatch.setattr(logger, "handlers", handlers)
    logger.manager._clear_cache()


def test_progress_continues_where_nothing_can_be_written(attach) -> None:
    """With room again, later lines are there; the remark comes once."""
    disk, screen = Disk(), Disk()
    attach(handlers_for(disk.file(), screen.file()))
    report = Progress("train H", 500)
    report.log("begins")
    disk.is_full = screen.is_full = True
    for _ in range(1000):
        report.log("more than what Python holds for a file that cannot be written")
    screen.is_full = False
    report.log("continues")
    disk.is_full = False
    report(500, "ends")
    for taken in (disk.taken, screen.taken):
        lines = taken.decode().splitlines()
        assert lines[0] == "[train H] begins"
        assert lines[-1].startswith("[train H] 500/500 ends")
        assert len(lines) < 500
        assert sum(line.startswith("ferminet: remark: ") for line in lines) <= 1
    assert "[train H] continues" in screen.taken.decode()


def test_the_remark_about_a_log_comes_once(attach) -> None:
    disk, screen = Disk(), io.StringIO()
    disk.is_full = True
    attach(handlers_for(disk.file(), screen))
    for _ in range(3):
        Progress("a", 1).log("line")
    remark = (
        "ferminet: remark: the log a.log cannot be written (No space left on device); the command "
        "continues without it.\n"
    )
    assert screen.getvalue() == remark + 3 * "[a] line\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_that_is_rewritten(attach, monkeypatch) -> None:
    screen, log = Terminal(), io.StringIO()
    attach(handlers_for(log, screen))
    monkeypatch.setattr(sys, "stderr", screen)
    report = Progress("train H", 4)
    report.interval = 0.0
    for done in range(1, 5):
        report(done, "E")
    text = screen.getvalue()
    assert text.count("\r") == 4
    assert text.count("\n") == 1 and text.endswith("\n")
    assert "|#####...............| [train H] 1/4 E" in text
    assert "|####################|" in text
    assert "\r" not in log.getvalue()  # the log keeps plain lines
    assert len(log.getvalue().splitlines()) == 4


def test_a_message_replaces_an_unfinished_bar(attach) -> None:
    screen = Terminal()
    attach([BestEffortHandler(screen, "screen")])
    logging.getLogger("ferminet").info("bar", extra={"fraction": 0.5})
    logging.getLogger("ferminet").info("a message")
    assert screen.getvalue().endswith("| bar\r\x1b[2Ka message\n")
