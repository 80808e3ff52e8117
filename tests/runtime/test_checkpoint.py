"""Files that survive: atomic writes, checksums, falling back, keeping order."""

import builtins
import errno
import os

import numpy as np
import pytest

from ferminet.errors import CorruptError, InputError, ResourceError
from ferminet.runtime import checkpoint
from ferminet.runtime.checkpoint import (
    checkpoint_path,
    list_checkpoints,
    load_arrays,
    load_newest_checkpoint,
    read_header,
    save_arrays,
    save_checkpoint,
)
from ferminet.runtime.files import write_bytes

HASH = "0123abcd"


def arrays(value: float = 1.0) -> dict[str, np.ndarray]:
    return {
        "params['w']": np.full((3, 2), value, np.float32),
        "count": np.array(7, np.int32),
        "step": np.array(value),
        "transposed": np.arange(6.0).reshape(2, 3).T,
        "empty": np.zeros((0, 4)),
    }


def save(directory, iteration, value=None, config_hash=HASH):
    value = float(iteration) if value is None else value
    save_checkpoint(directory, iteration, arrays(value), {"config_hash": config_hash})


def test_arrays_come_back_as_they_were(tmp_path):
    path = tmp_path / "deep" / "er" / "a.safetensors"
    header = {"energy": -7.9, "text": "π, ä", "list": [1, None, True]}
    save_arrays(path, arrays(), header)
    loaded, loaded_header = load_arrays(path)
    assert loaded_header == header
    assert loaded.keys() == arrays().keys()
    for name, array in arrays().items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].shape == array.shape  # () stays ()
        np.testing.assert_array_equal(loaded[name], array)


def test_any_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    save_arrays(path, arrays(), {"energy": -7.9})
    whole = path.read_bytes()
    for position in range(len(whole)):
        broken = bytearray(whole)
        broken[position] ^= 1
        path.write_bytes(broken)
        with pytest.raises(CorruptError):
            load_arrays(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"not safetensors at all"])
def test_files_of_another_kind_are_refused_with_a_sentence(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptError, match=r"a\.safetensors"):
        load_arrays(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_arrays(tmp_path / "none.safetensors")


def test_a_directory_in_place_of_a_file_is_named(tmp_path):
    for use in (load_arrays, lambda path: write_bytes(path, b"")):
        with pytest.raises(InputError, match="is a directory"):
            use(tmp_path)


def test_safetensors_of_other_programs_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(checkpoint.safetensors_save({"x": np.zeros(3)}))
    with pytest.raises(CorruptError, match="not written by this package"):
        load_arrays(path)


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    write_bytes(path, b"old")
    with monkeypatch.context() as patch:
        if step == "open":
            patch.setattr(builtins, "open", full_disk)
        else:
            patch.setattr(checkpoint.os, step, full_disk)
        with pytest.raises(ResourceError, match="No space left") as failed:
            write_bytes(path, b"new")
    assert str(path) in str(failed.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]  # nothing half-written is left over
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


def test_data_reach_the_disk_before_the_name_does(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            checkpoint.os, name, lambda *a, n=name, r=real: (calls.append(n), r(*a))[1]
        )
    write_bytes(tmp_path / "file", b"data")
    assert calls == ["fsync", "replace", "fsync"]  # content, name, directory


def test_a_path_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot be written, since .*file is a file"):
        write_bytes(tmp_path / "file" / "deeper", b"data")


def test_the_newest_two_are_kept(tmp_path):
    for iteration in (5, 10, 15, 20):
        save(tmp_path, iteration)
    assert [iteration for iteration, _ in list_checkpoints(tmp_path)] == [20, 15]
    assert len(os.listdir(tmp_path)) == 2


def test_order_is_that_of_numbers_and_not_of_names_or_times(tmp_path):
    save(tmp_path, 1_000_000)
    save(tmp_path, 999_999)  # written later, and '9' > '1'
    os.utime(checkpoint_path(tmp_path, 1_000_000), (0, 0))
    assert [iteration for iteration, _ in list_checkpoints(tmp_path)] == [1_000_000, 999_999]
    found = load_newest_checkpoint(tmp_path, HASH)
    assert found is not None
    assert found[1]["iteration"] == 1_000_000
    # Digits beyond those of the padding still count as numbers.
    assert "checkpoint-000001000000.safetensors" in os.listdir(tmp_path)


def test_no_directory_and_no_checkpoint_are_a_fresh_start(tmp_path):
    assert load_newest_checkpoint(tmp_path / "none", HASH) is None
    assert load_newest_checkpoint(tmp_path, HASH) is None
    (tmp_path / ".checkpoint-000000000005.safetensors.123.part").write_bytes(b"half")
    (tmp_path / "history.csv").write_text("")
    assert load_newest_checkpoint(tmp_path, HASH) is None


def truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def empty(data: bytes) -> bytes:
    return b""


def flip(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 0x10]) + data[-4:]


@pytest.mark.parametrize("damage", [truncate, empty, flip])
def test_a_corrupt_newest_falls_back_and_is_set_aside(tmp_path, damage):
    save(tmp_path, 5)
    save(tmp_path, 10)
    newest = checkpoint_path(tmp_path, 10)
    newest.write_bytes(damage(newest.read_bytes()))
    found = load_newest_checkpoint(tmp_path, HASH)
    assert found is not None
    loaded, header = found
    assert header["iteration"] == 5
    assert float(loaded["step"]) == 5.0
    assert newest.name in header["set_aside"][0]
    assert sorted(os.listdir(tmp_path)) == [
        "checkpoint-000000000005.safetensors",
        "checkpoint-000000000010.safetensors.corrupt",
    ]
    # What was set aside is neither found again nor counted among the two that are kept.
    save(tmp_path, 10)
    assert [iteration for iteration, _ in list_checkpoints(tmp_path)] == [10, 5]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ESTALE])
def test_what_cannot_be_read_now_is_neither_missing_nor_damaged(tmp_path, monkeypatch, number):
    save(tmp_path, 5)
    save(tmp_path, 10)
    newest = checkpoint_path(tmp_path, 10)

    def refuse(path, mode):
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(checkpoint, "open", refuse, raising=False)
    with pytest.raises(ResourceError, match=os.strerror(number)):
        load_newest_checkpoint(tmp_path, HASH)
    assert newest.exists()  # not set aside
    assert read_header(newest) is None
    monkeypatch.undo()
    found = load_newest_checkpoint(tmp_path, HASH)
    assert found is not None
    assert found[1]["iteration"] == 10


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path, monkeypatch):
    """And not the end of the process, as it is for one that is mapped into memory."""
    save(tmp_path, 5)
    path = checkpoint_path(tmp_path, 5)
    monkeypatch.setattr(checkpoint, "safetensors_load", shrunk(path, checkpoint.safetensors_load))
    arrays, _ = load_arrays(path)
    assert float(arrays["step"]) == 5.0
    with pytest.raises(CorruptError, match="damaged"):
        load_arrays(path)


def shrunk(path, load):
    def one(data):
        os.truncate(path, 100)
        return load(data)

    return one


def test_a_renamed_checkpoint_is_not_taken_for_a_newer_one(tmp_path):
    save(tmp_path, 5)
    save(tmp_path, 10)
    checkpoint_path(tmp_path, 5).rename(checkpoint_path(tmp_path, 15))
    found = load_newest_checkpoint(tmp_path, HASH)
    assert found is not None
    assert found[1]["iteration"] == 10


def test_all_corrupt_is_refused_again_and_again(tmp_path):
    for iteration in (5, 10):
        save(tmp_path, iteration)
        checkpoint_path(tmp_path, iteration).write_bytes(b"")
    # A workflow starts a failed job again: also then nothing may start afresh silently.
    for _ in range(2):
        with pytest.raises(CorruptError, match=r"No checkpoint in .* can be read") as refused:
            load_newest_checkpoint(tmp_path, HASH)
        assert "remove" in str(refused.value)


def test_another_configurations_checkpoints_are_refused_with_both_hashes(tmp_path):
    save(tmp_path, 5, config_hash="ffff0000")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(InputError) as refused:
        load_newest_checkpoint(tmp_path, HASH)
    for part in (str(tmp_path), "ffff0000", HASH, "another checkpoint directory"):
        assert part in str(refused.value)
    assert sorted(os.listdir(tmp_path)) == before


def test_the_refusal_names_the_settings_that_differ(tmp_path):
    arrays = {"x": np.zeros(2)}
    stored = {"sampler": {"walkers": 64, "burn_in": 5}, "precision": "float32"}
    checkpoint.save_checkpoint(tmp_path, 5, arrays, {"config_hash": "ffff0000", "settings": stored})
    wanted = {"sampler": {"walkers": 128, "burn_in": 5}, "precision": "float32"}
    with pytest.raises(InputError) as refused:
        load_newest_checkpoint(tmp_path, HASH, wanted)
    assert "; sampler.walkers was 64, now 128; give" in str(refused.value)
    assert "burn_in" not in str(refused.value)


def test_what_a_killed_writer_left_behind_is_removed(tmp_path):
    leftover = tmp_path / ".checkpoint-000000000005.safetensors.4711.part"
    leftover.write_bytes(b"half")
    save(tmp_path, 10)
    assert not leftover.exists()
