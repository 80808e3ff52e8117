"""The training history: neither gaps nor duplicates, whatever happened to its file."""

import os

import numpy as np
import pytest

from ferminet.errors import CorruptError
from ferminet.stages.history import append_history, history_path, read_history, truncate_history
from ferminet.vmc.train import IterationInfo


def row(iteration: int) -> tuple[float, ...]:
    return (iteration, -0.5 - 1e-17 * iteration, *(0.1 for _ in IterationInfo._fields[1:]))


def test_history_has_neither_gaps_nor_duplicates_after_a_cut(tmp_path):
    append_history(history_path(tmp_path), [row(i) for i in range(5)])
    truncate_history(history_path(tmp_path), 3)
    append_history(history_path(tmp_path), [row(i) for i in range(3, 6)])
    np.testing.assert_array_equal(read_history(history_path(tmp_path))["iteration"], np.arange(6))


def test_half_a_line_is_cut_off(tmp_path):
    append_history(history_path(tmp_path), [row(i) for i in range(3)])
    with open(history_path(tmp_path), "a") as stream:
        stream.write("3,-0.5,0.")  # the process was killed here
    truncate_history(history_path(tmp_path), 3)
    append_history(history_path(tmp_path), [row(3)])
    np.testing.assert_array_equal(read_history(history_path(tmp_path))["iteration"], np.arange(4))


def test_history_keeps_every_digit(tmp_path):
    values = np.random.default_rng(0).normal(size=len(IterationInfo._fields))
    append_history(history_path(tmp_path), [(0.0, *map(float, values))])
    history = read_history(history_path(tmp_path))
    for name, value in zip(IterationInfo._fields, values, strict=True):
        assert history[name][0] == value


@pytest.mark.parametrize("kept", [[0, 1, 3], [0, 1, 1, 2]], ids=["gap", "duplicate"])
def test_a_broken_history_is_refused(tmp_path, kept):
    append_history(history_path(tmp_path), [row(i) for i in kept])
    with pytest.raises(CorruptError, match="gaps or duplicates"):
        read_history(history_path(tmp_path))
    with pytest.raises(CorruptError, match="gaps or duplicates"):
        truncate_history(history_path(tmp_path), 4)


def test_history_without_a_file_is_empty(tmp_path):
    truncate_history(history_path(tmp_path), 0)
    assert len(read_history(history_path(tmp_path))["iteration"]) == 0
    assert os.listdir(tmp_path) == []
