"""Progress: log records at intervals, more often where a terminal shows them."""

import io
import logging
import sys

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
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    return now


@pytest.fixture
def records(caplog):
    caplog.set_level(logging.INFO, logger="ferminet")
    return caplog


def test_lines_come_at_intervals_and_at_the_end(clock, records):
    report = Progress("train H", 100)
    for done in range(1, 101):
        clock[0] += 1.0
        report(done, f"E = {-0.5 + 1 / done:.4f} Eh")
    lines = records.messages
    assert [line.split()[2] for line in lines] == ["30/100", "60/100", "90/100", "100/100"]
    assert lines[0] == "[train H] 30/100 E = -0.4667 Eh (1 min 10 s left)"
    assert lines[-1].endswith("(100 s)")
    assert [record.fraction for record in records.records] == [0.3, 0.6, 0.9, 1.0]


def test_a_terminal_gets_more_lines_but_not_too_many(clock, records, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    report = Progress("train H", 1000)
    for done in range(1, 100):
        clock[0] += 0.01
        report(done, "E")
    assert len(records.messages) == 1


def test_time_left_of_a_resumed_run_counts_only_what_was_done_now(clock, records):
    report = Progress("train H", 1000, start=900)
    clock[0] += 40.0
    report(920, "E")
    assert "(2 min 40 s left)" in records.text  # 80 more at 2 s each


def test_long_runs_are_given_in_hours(clock, records):
    report = Progress("train H", 1000)
    clock[0] += 100.0
    report(10, "E")
    assert "(2 h 45 min left)" in records.text


def test_a_message_is_reported_at_once(clock, records):
    Progress("scf H", 1).log("E = -0.5 Eh")
    assert records.messages == ["[scf H] E = -0.5 Eh"]


def test_only_the_first_of_several_processes_reports(clock, records, monkeypatch):
    monkeypatch.setattr(progress, "is_first", lambda: False)
    Progress("train H", 1)(1, "E")
    assert records.messages == []


def test_another_program_gets_more_lines_which_no_log_file_keeps(clock, records, monkeypatch):
    monkeypatch.setenv(progress.INTERVAL_VARIABLE, "0.5")
    report = Progress("train H", 100)
    for done in range(1, 101):
        clock[0] += 1.0
        report(done, "E")
    assert len(records.messages) == 100
    kept = [r.getMessage().split()[2] for r in records.records if not hasattr(r, "passing")]
    assert kept == ["30/100", "60/100", "90/100", "100/100"]
