"""Each kind of error ends with its exit code and one sentence; only bugs show a traceback."""

import errno
import io
from types import SimpleNamespace

import pytest

from ferminet import errors
from ferminet.cli import doctor
from ferminet.cli.main import main


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InputError, 2),
        (errors.NotConvergedError, 3),
        (errors.ResourceError, 4),
        (errors.CorruptError, 5),
        (errors.InterruptedRunError, 75),
        (KeyboardInterrupt, 130),
    ],
)
def test_each_kind_of_error_has_its_exit_code(
    monkeypatch, capsys, error: type[BaseException], code: int
) -> None:
    def fail(options: object) -> int:
        raise error("something happened.")

    monkeypatch.setattr(doctor, "doctor", fail)
    assert main(["doctor"]) == code
    captured = capsys.readouterr()
    assert captured.err.startswith("ferminet: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("stop", [ZeroDivisionError, io.UnsupportedOperation])
def test_bugs_keep_their_traceback(monkeypatch, stop: type[Exception]) -> None:
    def fail(options: object) -> int:
        raise stop("not expected")

    monkeypatch.setattr(doctor, "doctor", fail)
    with pytest.raises(stop):
        main(["doctor"])


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.EIO, "Input/output error", "a/history.csv"), "a/history.csv: Input/output"),
        (OSError(errno.ESTALE, "Stale file handle", "a", None, "b"), "a and b: Stale file handle"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (OSError("the file cannot be opened"), "the file cannot be opened"),
    ],
    ids=["a file", "two files", "no file", "of a library"],
)
def test_errors_of_the_operating_system_name_file_and_line(
    monkeypatch, capsys, error: OSError, text: str
) -> None:
    def command(options: object) -> int:
        raise error

    monkeypatch.setattr(doctor, "doctor", command)
    assert main(["doctor"]) == 4
    message = capsys.readouterr().err
    assert message.startswith(f"ferminet: {text}")
    assert "(reported by the operating system at ferminet/cli/main.py, line " in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nmore"), MemoryError()],
    ids=["of the device", "of the machine"],
)
def test_too_little_memory_is_a_missing_resource(monkeypatch, capsys, error: Exception) -> None:
    def command(options) -> None:
        raise error

    monkeypatch.setattr(
        "ferminet.cli.main.make_parser",
        lambda: SimpleNamespace(parse_args=lambda _: SimpleNamespace(action=command)),
    )
    assert main(["molecules"]) == 4
    message = capsys.readouterr().err
    assert message.startswith("ferminet: There is not enough memory (")
    assert message.count("\n") == 1
    assert "allocating 9 bytes)" in message or isinstance(error, MemoryError)
