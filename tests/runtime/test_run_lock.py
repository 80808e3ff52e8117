"""One process has a run: by its lock and, where locks mean nothing, by its heartbeat."""

import json
import os
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path

import pytest

from ferminet.errors import InterruptedRunError, ResourceError
from ferminet.runtime import run_lock as module
from ferminet.runtime.interrupts import StopRequest, TimeLimit
from ferminet.runtime.run_lock import Owner, read_owner, run_lock

HOLDER = (
    "import sys, pathlib; from ferminet.runtime.run_lock import run_lock\n"
    "with run_lock(pathlib.Path(sys.argv[1])):\n"
    "    print('in', flush=True); sys.stdin.read()"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch) -> Path:
    """A checkpoint directory, and short waits."""
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(module, "STILL_S", 0.3)
    monkeypatch.setattr(module, "GONE_S", 0.1)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def leave(run: Path, host: str = "n7", pid: int = 12, job: str = "", counter: int = 5) -> Owner:
    """Leave the files of an owner that was killed."""
    owner = Owner(host, pid, job, counter)
    (run / ".owner").write_text(json.dumps(asdict(owner)))
    return owner


def without_locks(monkeypatch) -> None:
    def flock(*arguments) -> None:
        raise OSError(module.errno.ENOLCK, "no locks")

    monkeypatch.setattr(module.fcntl, "flock", flock)


def test_a_directory_has_one_process_at_a_time(run: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(run)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"in\n"
        with pytest.raises(ResourceError, match="working on") as refused, run_lock(run):
            pass
        assert f"process {other.pid} on {socket.gethostname()}" in str(refused.value)
        other.kill()
    assert read_owner(run) is not None
    with run_lock(run):  # a killed process has no lock
        owner = read_owner(run)
        assert owner is not None
        assert owner.pid == os.getpid()
    assert read_owner(run) is None


def test_the_counter_increases(run: Path) -> None:
    with run_lock(run):
        seen = set()
        while len(seen) < 3:
            owner = read_owner(run)
            seen |= {owner.counter} if owner else set()
    assert not (run / ".owner").exists()


def test_an_owner_on_another_host_is_taken_over_if_its_counter_stands_still(run: Path) -> None:
    """Refused while its counter increases, taken over when it stands still."""
    leave(run)
    with run_lock(run):
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "read_owner", Beating())
        with pytest.raises(ResourceError, match="process 12 on n7"), run_lock(run):
            pass


class Beating:
    """A living owner on another host."""

    def __init__(self, job: str = "") -> None:
        self.count, self.job = 0, job

    def __call__(self, directory: Path) -> Owner:
        self.count += 1
        return Owner("n7", 12, self.job, self.count)


def test_an_owner_whose_job_has_ended_counts_as_dead_sooner(run: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "STILL_S", 1e6)
    leave(run, job="77")
    monkeypatch.setenv("SLURM_JOB_ID", "77")  # requeued: the same job, elsewhere
    with run_lock(run):
        pass
    leave(run, job="78")
    monkeypatch.setattr(module, "is_queued", lambda job: False)
    with run_lock(run):
        pass


def test_a_lost_node_may_still_compute(run: Path, monkeypatch) -> None:
    """SLURM has requeued the job while its first process still runs, out of sight."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setattr(module, "read_owner", Beating(job="77"))
    with pytest.raises(ResourceError, match="process 12 on n7, job 77"), run_lock(run):
        pass


def test_an_owner_that_was_taken_over_writes_nothing_more(run: Path) -> None:
    """A process that stood still finds that another has the run, and leaves it alone."""
    with pytest.raises(ResourceError, match="taken over by process 12 on n7"):
        with run_lock(run) as should_stop:
            assert not should_stop()
            other = leave(run)
            time.sleep(4 * module.HEARTBEAT_S)  # its counter increases and changes no name
            assert read_owner(run) == other
            should_stop()
    assert read_owner(run) == other
    assert sorted(path.name for path in run.iterdir()) == [".lock", ".owner"]


def test_an_owner_notices_a_successor_that_has_ended(run: Path) -> None:
    with pytest.raises(ResourceError, match="taken over by another process"):
        with run_lock(run) as should_stop:
            (run / ".owner").unlink()
            should_stop()


def test_an_owner_file_that_cannot_be_read_or_written_stops_nothing(run: Path, monkeypatch) -> None:
    with run_lock(run) as should_stop:
        (run / ".owner").write_text("")
        assert not should_stop()
    monkeypatch.setattr(module, "_write", lambda path, owner: False)
    (run / ".owner").unlink()
    with run_lock(run) as should_stop:
        assert not should_stop()


def test_a_machine_may_change_its_host_name(run: Path, monkeypatch) -> None:
    with run_lock(run) as should_stop:
        monkeypatch.setattr(module.socket, "gethostname", lambda: "elsewhere")
        assert not should_stop()
    assert read_owner(run) is None


@pytest.mark.parametrize("pid", [10**30, 2**31, 0, -1])
def test_a_pid_that_no_process_has_is_no_owner(run: Path, monkeypatch, pid: int) -> None:
    without_locks(monkeypatch)
    leave(run, host=socket.gethostname(), pid=pid)
    with run_lock(run):
        pass


def test_a_host_name_cannot_lead_out_of_the_directory(run: Path) -> None:
    owner = leave(run, host="../../n7/" + 300 * "x")
    assert owner.beat_file(run).parent == run
    assert len(owner.beat_file(run).name) < 150


def test_a_job_waits_for_its_predecessor(run: Path, monkeypatch) -> None:
    messages: list[str] = []
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    command = [sys.executable, "-c", HOLDER, str(run)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"in\n"

        def info(text: str, *values: object) -> None:
            messages.append(text % values)
            other.terminate()

        monkeypatch.setattr(module.logger, "info", info)
        with run_lock(run):
            owner = read_owner(run)
            assert owner is not None
            assert owner.pid == os.getpid()
    assert len(messages) == 1
    assert messages[0].startswith("waiting for up to 30 minutes: Another command (process ")


def test_a_waiting_job_can_be_stopped(run: Path, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setattr(module, "read_owner", Beating())
    stop = StopRequest()
    stop.signalled = True
    with pytest.raises(InterruptedRunError), run_lock(run, stop):
        pass
    # Also while it watches a counter that stands still.
    monkeypatch.undo()
    leave(run)
    with pytest.raises(InterruptedRunError), run_lock(run, stop):
        pass


def test_waiting_does_not_count_as_a_block(run: Path, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    leave(run)
    now = 0.0
    limit = TimeLimit(10.0, lambda: now)
    with run_lock(run, StopRequest(limit)) as should_stop:
        now = 170.0  # waited, compiled, and computed a first block
        assert not should_stop()
    assert limit.blocks == deque()


def test_one_of_several_processes_does_not_wait(run: Path, monkeypatch) -> None:
    """The others would start without it."""
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setattr(module, "is_one_of_several", lambda: True)
    monkeypatch.setattr(module, "read_owner", Beating())
    with pytest.raises(ResourceError, match="working on"), run_lock(run):
        pass


def test_without_locks_the_process_decides(run: Path, monkeypatch) -> None:
    without_locks(monkeypatch)
    here = socket.gethostname()
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as other:
        # Its pid was given to another process: its counter stands still.
        leave(run, host=here, pid=other.pid)
        with run_lock(run):
            pass
        other.kill()
    leave(run, host=here, pid=other.pid)
    monkeypatch.setattr(module, "STILL_S", 1e6)
    with run_lock(run):
        pass


def test_without_locks_the_counter_decides(run: Path, monkeypatch) -> None:
    without_locks(monkeypatch)
    with run_lock(run):
        monkeypatch.setattr(module, "_is_alive", lambda pid: True)
        with pytest.raises(ResourceError, match="working on"), run_lock(run):
            pass


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", '{"host": "n7"}', "\0" * 512, "[" * 100_000, "9" * 2_000_000,
        '{"host": "n7", "pid": "12", "job": "", "counter": 1}',
    ],
)  # fmt: skip
def test_a_damaged_owner_file_stops_nothing(run: Path, text: str) -> None:
    (run / ".owner").write_text(text)
    with run_lock(run):
        pass


def test_a_directory_that_cannot_be_written_to_is_an_error() -> None:
    with pytest.raises(ResourceError, match="Cannot write to /proc"), run_lock(Path("/proc/run")):
        pass
