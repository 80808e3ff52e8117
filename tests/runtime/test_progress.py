"""Progress: plain lines in files, one rewritten line on a terminal."""

import io

import pytest

from ferminet.runtime import progress
from ferminet.runtime.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves by hand: ``clock[0] += seconds``."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_plain_lines_come_at_intervals_and_at_the_end(clock):
    stream, log = io.StringIO(), io.StringIO()
    report = Progress("train H", 100, stream=stream, log=log)
    for done in range(1, 101):
        clock[0] += 1.0
        report(done, f"E = {-0.5 + 1 / done:.4f} Eh")
    lines = stream.getvalue().splitlines()
    assert [line.split()[2] for line in lines] == ["30/100", "60/100", "90/100", "100/100"]
    assert lines[0] == "[train H] 30/100 E = -0.4667 Eh (1 min 10 s left)"
    assert lines[-1].endswith("(100 s)")
    assert log.getvalue() == stream.getvalue()
    assert "\r" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_one_line_that_is_rewritten(clock):
    stream, log = Terminal(), io.StringIO()
    report = Progress("train H", 4, stream=stream, log=log)
    for done in range(1, 5):
        clock[0] += 1.0
        report(done, "E")
    text = stream.getvalue()
    assert text.count("\r") == 4
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert "|#####...............|" in text
    assert "|####################|" in text
    assert "\r" not in log.getvalue()  # the log keeps plain lines
    assert len(log.getvalue().splitlines()) == 4


def test_nothing_is_shown_too_often(clock):
    stream = Terminal()
    report = Progress("train H", 1000, stream=stream)
    for done in range(1, 100):
        clock[0] += 0.01
        report(done, "E")
    assert stream.getvalue().count("\r") == 1


def test_time_left_of_a_resumed_run_counts_only_what_was_done_now(clock):
    stream = io.StringIO()
    report = Progress("train H", 1000, start=900, stream=stream)
    clock[0] += 40.0
    report(920, "E")
    assert "(2 min 40 s left)" in stream.getvalue()  # 80 more at 2 s each


def test_long_runs_are_given_in_hours(clock):
    stream = io.StringIO()
    report = Progress("train H", 1000, stream=stream)
    clock[0] += 100.0
    report(10, "E")
    assert "(2 h 45 min left)" in stream.getvalue()


def test_say_writes_at_once(clock):
    stream, log = io.StringIO(), io.StringIO()
    Progress("scf H", 1, stream=stream, log=log).say("E = -0.5 Eh")
    assert stream.getvalue() == log.getvalue() == "[scf H] E = -0.5 Eh\n"
