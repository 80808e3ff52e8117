"""The time limit of a job, with a clock that the test sets."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ferminet.errors import InterruptedRunError
from ferminet.runtime.interrupts import TimeLimit, stop_requested


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def seconds_worked(minutes: float | None, start: float, block: float, at_most: int = 1000) -> float:
    """How long a loop of equal blocks works after a start that takes longer."""
    clock = Clock()
    limit = TimeLimit(minutes, clock)
    clock.now += start
    for _ in range(at_most):
        clock.now += block
        if limit():
            break
    return clock.now - 1000.0


@pytest.mark.parametrize("minutes", [10, 60, 1440])
@pytest.mark.parametrize("block", [1.0, 20.0, 60.0])
def test_two_more_blocks_and_the_reserve_fit(minutes: int, block: float) -> None:
    worked = seconds_worked(minutes, start=30.0, block=block, at_most=100_000)
    reserve = min(0.1 * 60 * minutes, 300.0)
    assert worked + 2 * block + reserve <= 60 * minutes
    assert worked + 4 * block + reserve >= 60 * minutes  # and not much is given away


def test_without_a_limit_it_continues() -> None:
    assert seconds_worked(None, start=5.0, block=100.0, at_most=50) == 5005.0


def test_a_long_start_is_not_taken_for_a_block() -> None:
    assert seconds_worked(60, start=1000.0, block=10.0) > 3200.0


def test_at_least_one_block_is_done_and_then_it_stops() -> None:
    assert seconds_worked(10, start=5.0, block=400.0) == 405.0 + 400.0
    assert seconds_worked(10, start=700.0, block=1.0) == 701.0


@pytest.mark.parametrize(("minutes", "stops"), [(70, True), (75, False)])
def test_the_longest_of_the_last_blocks_counts(minutes: int, stops: bool) -> None:
    clock = Clock()
    limit = TimeLimit(minutes, clock)
    for block in (10.0, 10.0, 1000.0):
        clock.now += block
        limit()
    assert limit.reached == stops  # three times 1000 s fit into 75 minutes, less 300 s, less 1020 s
    if not stops:
        for _ in range(250):
            clock.now += 10.0
            assert not limit()  # 3520 s: by now it is forgotten


def test_a_time_limit_stays_reached() -> None:
    clock = Clock()
    limit = TimeLimit(1, clock)
    clock.now += 59.0
    assert limit()
    assert limit()


def test_the_error_mentions_the_time_limit() -> None:
    clock = Clock()
    limit = TimeLimit(60, clock)
    with (
        pytest.raises(InterruptedRunError, match=r"time limit of 60 minutes\. Stopped at 3, saved"),
        stop_requested(limit) as should_stop,
    ):
        assert not should_stop()
        clock.now += 3590.0
        assert should_stop()
        raise InterruptedRunError("Stopped at 3, saved.")
    with pytest.raises(InterruptedRunError, match=r"^by a signal$"), stop_requested():
        raise InterruptedRunError("by a signal")


SIGNALLED = """
import os, signal, sys, time
from ferminet.runtime import interrupts
interrupts.time.monotonic = iter(map(float, sys.argv[2].split(","))).__next__
with interrupts.stop_requested(interrupts.TimeLimit(None, lambda: 0.0)) as should_stop:
    for name in sys.argv[1].split(","):
        os.kill(os.getpid(), getattr(signal, name))
    print(should_stop())
"""


@pytest.mark.parametrize(
    ("signals", "seconds", "ended_by"),
    [
        ("SIGUSR1", "0", None),
        ("SIGUSR1,SIGUSR1,SIGTERM", "0", None),
        ("SIGTERM,SIGTERM", "0,1", None),  # from srun, and from the node's daemon
        ("SIGTERM,SIGTERM", "0,30", signal.SIGTERM),
        ("SIGINT,SIGINT", "0,0.1", signal.SIGINT),
        ("SIGTERM,SIGUSR1,SIGINT", "0,1", signal.SIGINT),
    ],
)
def test_a_second_signal_ends_the_process_unless_it_is_an_echo_or_a_warning(
    signals: str, seconds: str, ended_by
) -> None:
    command = [sys.executable, "-c", SIGNALLED, signals, seconds]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == (0 if ended_by is None else -ended_by), done.stderr
    assert done.stdout == ("True\n" if ended_by is None else "")
