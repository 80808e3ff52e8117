"""The streams of a command: readers that go away, disks that are full."""

import errno
import io
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from ferminet.cli.main import main
from ferminet.cli.streams import Dispensable, Unbroken
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


def test_text_goes_on_after_the_reader() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as closed, redirect_stdout(Unbroken(closed)) as out:
        print("nobody reads this")
        sys.stdout.flush()
        print("nor this")
        out.finish()


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


def test_files_are_written_though_the_output_does_not_fit(tmp_path: Path) -> None:
    disk = Disk()
    disk.is_full = True
    out = Unbroken(disk.file())
    with redirect_stdout(out):
        print("a result")
        (tmp_path / "file").write_text("another")
    disk.is_full = False
    with pytest.raises(ResourceError, match="not whole"):  # whatever there is room for by now
        out.finish()


@on_linux
def test_a_full_log_of_a_refused_command(tmp_path: Path) -> None:
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
def test_what_standard_error_cannot_take_is_in_the_log(tmp_path: Path, monkeypatch) -> None:
    log = tmp_path / "train.log"
    with open(FULL, "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert main([*REFUSED, "--log", str(log)]) == 2
    sentence, remark = log.read_text().splitlines()
    assert sentence.startswith("ferminet: no.yaml: cannot be read")
    assert remark.startswith("ferminet: remark: standard error cannot be written (No space left")


def test_standard_error_that_was_closed_before_the_start(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    log = tmp_path / "train.log"
    assert main([*REFUSED, "--log", str(log)]) == 2
    assert log.read_text().count("\n") == 1


def test_standard_output_that_was_closed_before_the_start(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["molecules", "molecules/LiH.yaml"]) == 4
    assert "The output cannot be written" in capsys.readouterr().err
    assert main(REFUSED) == 2  # which prints nothing there


def test_progress_goes_on_where_nothing_can_be_written() -> None:
    """With room again, what is said then is there; the remark comes once."""
    disk, screen = Disk(), Disk()
    remarks = Dispensable(screen.file(), "standard error")
    log = remarks.other = Dispensable(disk.file(), "the log", remarks)
    report = Progress("train H", 500, stream=remarks, log=log)
    report.say("begins")
    disk.is_full = screen.is_full = True
    for _ in range(1000):
        report.say("more than what Python holds for a file that cannot be written")
    screen.is_full = False
    report.say("goes on")
    disk.is_full = False
    report(500, "ends")
    for taken in (disk.taken, screen.taken):
        lines = taken.decode().splitlines()
        assert lines[0] == "[train H] begins"
        assert lines[-1].startswith("[train H] 500/500 ends")
        assert len(lines) < 500
        assert sum(line.startswith("ferminet: remark: ") for line in lines) <= 1
    assert "[train H] goes on" in screen.taken.decode()
    disk.is_full = True
    log.write("lost\n")
    log.end()  # raises nothing


def test_remark_of_a_log_comes_once() -> None:
    disk, screen = Disk(), io.StringIO()
    disk.is_full = True
    log = Dispensable(disk.file(), "the log a.log", Dispensable(screen, "standard error"))
    for _ in range(3):
        print("a line", file=log, flush=True)
    assert screen.getvalue() == (
        "ferminet: remark: the log a.log cannot be written (No space left on device); the command "
        "goes on without it.\n"
    )
