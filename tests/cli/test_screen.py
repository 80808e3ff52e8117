"""The screen of the workflow: what runs, energies, time left and failures, at any width."""

import io
import logging
import os
import pty
import re
import sys
import time

import pytest

from ferminet.cli import screen as module
from ferminet.cli.output import command_output, log_to_file
from ferminet.cli.screen import Screen, job_name
from ferminet.runtime.progress import PASSING

HE, LIH = (
    {"system": system, "geometry": "eq", "ansatz": "ferminet", "seed": "1"}
    for system in ("He", "LiH")
)
NAME = job_name(LIH)


def send(screen: Screen, event: str | None, message: str = "", **values) -> None:
    record = logging.makeLogRecord({"msg": message, "levelno": logging.INFO, **values})
    record.event = event
    screen.handle(record)


def begin(screen: Screen, number: int, rule: str, wildcards=None, message=None, log=()) -> None:
    values = {"rule_name": rule, "wildcards": wildcards, "rule_msg": message, "log": log}
    send(screen, "job_info", jobid=number, **values)


@pytest.fixture
def screen():
    """A screen without a terminal on which two trainings are waiting, LiH's the longer one."""
    made = Screen(io.StringIO())
    made.start(
        {("train", NAME): 30.0, ("train", job_name(HE)): 10.0},
        [("train", NAME), ("train", job_name(HE))],
    )
    return made


@pytest.fixture
def terminal(monkeypatch):
    """The side of a pseudo-terminal that a person sees, and the side to write to."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(module.INTERVAL_VARIABLE, "30")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    seen, written = pty.openpty()
    with open(written, "w", encoding="utf-8") as stream:
        yield seen, stream
    os.close(seen)


def read_until(descriptor: int, pattern: str) -> str:
    text, limit = "", time.monotonic() + 20
    while not re.search(pattern, text) and time.monotonic() < limit:
        text += os.read(descriptor, 65536).decode()
    assert re.search(pattern, text), text
    return text


def test_without_a_terminal_each_event_is_a_line(screen):
    begin(screen, 1, "train", LIH, "Training LiH: predicted 1 min; allowed 30 minutes")
    send(screen, "shellcmd", "ferminet train")
    send(screen, None, "Select jobs to execute...")
    send(screen, None, "Remark: two nuclei are close")
    send(screen, "job_finished", job_id=1)
    screen.close()
    text = re.sub(r"\d\d:\d\d:\d\d ", "", screen.stream.getvalue())
    assert text.splitlines() == [
        "Training LiH: predicted 1 min; allowed 30 minutes",
        "Remark: two nuclei are close",
        f"Finished training of {NAME} (1 of 2 jobs)",
        "1 of 2 jobs done in 0 s.",
    ]
    assert "\x1b" not in text


def test_a_failure_has_its_sentence_and_its_log(screen, tmp_path):
    log = tmp_path / "train.log"
    log.write_text("ferminet: remark: slow\nferminet: Not finite.\n[train x] 3/4 E (1 s left)\n")
    begin(screen, 1, "train", LIH, log=[str(log)])
    send(screen, "error", "CalledProcessError in file", exception="RuleException")
    send(screen, "job_error", jobid=1, rule_name="train", log=[str(log)])
    begin(screen, 2, "train", HE)
    send(screen, "job_error", jobid=2, rule_name="train", log=["no/such.log"])
    lines = screen.stream.getvalue().splitlines()
    assert f"Failed: training of {NAME}: Not finite." in lines
    assert f"    log: {log}" in lines
    assert any("left no message; it may have been killed" in line for line in lines)
    assert not any("CalledProcessError" in line for line in lines)
    assert (screen.failed, screen.done, screen.running) == (2, 0, {})


def test_an_interrupted_job_has_not_failed(screen, tmp_path):
    log = tmp_path / "train.log"
    log.write_text("ferminet: Stopped after 20 of 40 iterations; run the same command again.\n")
    begin(screen, 1, "train", LIH, log=[str(log)])
    send(screen, "job_error", jobid=1, rule_name="train", log=[str(log)])
    assert screen.stream.getvalue().splitlines()[-2].startswith("Stopped: training of LiH")
    assert screen.failed == 0


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_each_run_has_a_line_that_fits(screen, columns):
    begin(screen, 1, "train", LIH)
    begin(screen, 2, "evaluate", HE)
    text = "E = -8.06000 ± 0.00120 Eh, variance 0.0312, acceptance 0.30"
    screen.hear(f"[train {NAME}] 25/100 {text} (1 min 10 s left)")
    screen.hear(f"[evaluate {job_name(HE)}] E = -2.903000 ± 0.000100 Eh (complete)")
    lines = screen.lines(columns, 24)
    assert len(lines) == 5 and all(len(line) < columns for line in lines)
    assert lines[0].startswith("LiH  training ")
    if columns >= 80:
        assert "25%  E = -8.06000 ± 0.00120 Eh  1 min 10 s left" in lines[0]
        assert "variance" not in lines[0]
        assert ("|#####....." in lines[0]) == (columns == 160)
        assert lines[3] == "2 jobs: 0 done, 2 running, 0 waiting, 0 failed"
    assert lines[1].startswith("He   evaluation")
    assert lines[2] == "last result: He  E = -2.903000 ± 0.000100 Eh"[: columns - 1]


def test_the_bar_is_weighted_with_predictions_and_never_falls(screen):
    begin(screen, 1, "train", LIH)
    screen.running[1].began -= 1e6
    assert screen.share() == pytest.approx(0.9 * 30 / 40)  # no report yet: by the clock, up to 90 %
    screen.hear(f"[train {NAME}] resumed at iteration 50")
    screen.hear(f"[train {NAME}] 60/100 E (1 s left)")
    assert screen.running[1].share == pytest.approx(10 / 50)
    assert screen.share() == pytest.approx(0.9 * 30 / 40)
    send(screen, "job_finished", job_id=1)
    assert screen.share() == pytest.approx(30 / 40)


def test_many_runs_do_not_fill_the_screen():
    names = [{**HE, "seed": str(number)} for number in range(150)]
    screen = Screen(io.StringIO())
    screen.start({}, [("train", job_name(one)) for one in names])
    for number, one in enumerate(names[:120]):
        begin(screen, number, "train", one)
    assert len(screen.lines(80, 50)) == 14
    lines = screen.lines(80, 10)
    assert len(lines) <= 8 and lines[-3] == "and 116 more"
    assert lines[0].startswith("He seed 0  training")
    assert "150 jobs: 0 done, 120 running, 30 waiting" in lines[-2]


def test_a_terminal_is_redrawn_and_given_back(terminal):
    seen, stream = terminal
    screen = Screen(stream)
    screen.start({}, [("train", NAME)])
    assert os.environ[module.INTERVAL_VARIABLE] == str(module.DRAW_S)
    begin(screen, 1, "train", LIH)
    for text in (f"[train {NAME}] 50/100 E = -8.06000 Eh (3 s left)", "ferminet: Not finite."):
        os.write(stream.fileno(), f"{text}\n".encode())  # as a job does
    text = read_until(seen, r"LiH  training +50%  E = -8\.06000 Eh  3 s left(.|\n)*\| +50%")
    os.write(stream.fileno(), b"Killed\n")
    text += read_until(seen, r"\x1b\[2A\r\x1b\[JKilled\r\nLiH  training +50%(.|\n)*\| +50%")
    assert "[train" not in text and "Not finite" not in text
    screen.close()
    text = read_until(seen, r"0 of 1 jobs done")
    stream.write("afterwards\n")
    stream.flush()
    assert read_until(seen, "afterwards").endswith("afterwards\r\n")


def test_a_narrower_terminal_is_cleared_wholly(terminal, monkeypatch):
    seen, stream = terminal
    screen = Screen(stream)
    screen._write("", ["x" * 70, "y" * 70, "z" * 30])
    monkeypatch.setattr(screen, "_size", lambda: (40, 24))
    screen._write("", ["new"])  # the old lines now take 2 + 2 + 1 rows
    assert "\x1b[4A\r\x1b[Jnew" in read_until(seen, "new")


def test_a_terminal_that_moves_no_cursor_gets_plain_lines(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    seen, stream = terminal
    screen = Screen(stream)
    screen.start({}, [("train", NAME)])
    begin(screen, 1, "train", LIH)
    os.write(stream.fileno(), b"[train x] 1/2 E (1 s left)\n")
    text = read_until(seen, "left")
    screen.close()
    assert "\x1b" not in text + read_until(seen, "0 of 1 jobs done")


def test_passing_records_reach_no_log_file(tmp_path, capsys):
    with command_output() as (_, logger):
        log_to_file(logger, tmp_path / "log")
        logger.info("[train H] 1/2", extra=PASSING)
        logger.info("[train H] 2/2")
    assert (tmp_path / "log").read_text() == "[train H] 2/2\n"
    assert capsys.readouterr().err == "[train H] 1/2\n[train H] 2/2\n"
