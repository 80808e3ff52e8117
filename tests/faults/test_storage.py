"""Full disks, read-only disks, damaged checkpoints: each is reported, and runs continue."""

import contextlib
import os
import random
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferminet.runtime.checkpoint import list_checkpoints, load_newest_checkpoint
from tests.faults.killing import STAGES, Job

N_BYTES = 40
SEED = 8128
# A file system that no user can write to.
READ_ONLY = Path("/proc/self/fdinfo")
# A file on a disk without any room.
FULL = Path("/dev/full")


def size_of_checkpoint(job: Job) -> int:
    return list_checkpoints(job.folder / job.files["train"])[0][1].stat().st_size


def limited(job: Job, stage: str, size: int) -> subprocess.CompletedProcess[str]:
    """Runs a stage where no file may be larger than `size` bytes."""
    return job.python(
        *("-m", "ferminet", *job.arguments(stage)),
        prepare=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )


@pytest.mark.slow
def test_a_full_disk_stops_a_training_that_continues_later(environment, start, whole, tmp_path):
    """Each stage where a file that it writes does not fit, and again where it does."""
    job = Job(tmp_path / "run", environment)
    job.start_from(start)
    history = whole.folder / whole.files["train"] / "history.csv"
    sizes = {
        "train": [size_of_checkpoint(whole), history.stat().st_size],
        "evaluate": [(whole.folder / whole.files["energy"]).stat().st_size],
        "collect": [(whole.folder / whole.files["collect"]).stat().st_size],
    }
    for stage in STAGES:
        for size in sorted(sizes[stage]):
            done = limited(job, stage, size // 2)
            assert done.returncode == 4, (stage, size, done.stderr)
            assert done.stderr.splitlines()[-1].startswith("ferminet: Cannot write ")
            assert "Traceback" not in done.stderr
            assert not list(job.folder.rglob(".*.part"))
            job.look()
        job.finish(stage)
    assert job.results() == whole.results()


@pytest.mark.long
def test_a_full_file_system(environment, start, whole, tmp_path):
    """The real thing, where this process may mount one."""
    with small_disk(tmp_path / "disk", kilobytes=8192) as disk:
        job = Job(tmp_path / "run", environment)
        job.start_from(start)
        (job.folder / "results" / "checkpoints").symlink_to(disk)
        fill(disk / "filler", leave=3 * size_of_checkpoint(whole) // 2)
        done = limited(job, "train", resource.RLIM_INFINITY)
        assert done.returncode == 4, done.stderr
        assert "No space left on device" in done.stderr
        job.look()
        (disk / "filler").unlink()
        for stage in STAGES:
            job.finish(stage)
        assert job.results() == whole.results()


@pytest.mark.long
def test_a_full_disk_of_logs_costs_no_result(environment, start, whole, tmp_path):
    """The log, standard error, and both: all that is lost is what they would have said."""
    job = Job(tmp_path / "run", environment)
    job.start_from(start)
    for stage, has_log, has_screen in zip(
        STAGES, (False, True, False), (True, False, False), strict=True
    ):
        log = str(tmp_path / f"{stage}.log") if has_log else str(FULL)
        done = job.python(
            *("-m", "ferminet", *job.arguments(stage), "--log", log),
            prepare=None if has_screen else lead_standard_error_to_full,
        )
        assert done.returncode == 0, (stage, done.stderr)
        text = done.stderr if has_screen else Path(log).read_text() if has_log else ""
        assert text.count("remark: ") == (has_log or has_screen), text
    assert job.results() == whole.results()


def lead_standard_error_to_full() -> None:
    os.dup2(os.open(FULL, os.O_WRONLY), 2)


def fill(path: Path, leave: int) -> None:
    """Writes a file until its disk is full, and gives back `leave` bytes."""
    with open(path, "wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(4096))
    os.truncate(path, path.stat().st_size - leave)


@contextlib.contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Path]:
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this process may not mount a file system: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_read_only_file_system_is_reported(environment, start, tmp_path):
    job = Job(tmp_path / "run", environment)
    job.start_from(start)
    job.files["train"] = str(READ_ONLY / "checkpoints")
    done = limited(job, "train", resource.RLIM_INFINITY)
    assert done.returncode == 4, done.stderr
    assert done.stderr.count("\n") == 1
    assert str(READ_ONLY) in done.stderr


@pytest.mark.slow
def test_a_byte_anywhere_in_the_newest_checkpoint(environment, start, tmp_path):
    job = Job(tmp_path / "run", environment)
    job.start_from(start)
    job.finish("train")
    folder = job.folder / job.files["train"]
    (newest, path), (older, _) = list_checkpoints(folder)[:2]
    whole = path.read_bytes()
    config_hash = folder.parent.name
    rng = random.Random(SEED)
    for part in range(N_BYTES):
        low, high = (len(whole) * edge // N_BYTES for edge in (part, part + 1))
        place = rng.randrange(low, high)
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged if part % 2 else whole[:place])
        found = load_newest_checkpoint(folder, config_hash)
        assert found is not None
        assert found[1]["iteration"] == older, place
        path.with_name(path.name + ".corrupt").unlink()
    path.write_bytes(whole)
    found = load_newest_checkpoint(folder, config_hash)
    assert found is not None
    assert found[1]["iteration"] == newest
