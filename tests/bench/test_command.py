"""What the bench is asked for: refused in one sentence before anything is measured."""

import argparse
import sys

import pytest

from bench.__main__ import at_least, job, main


def test_a_system_and_its_walkers():
    assert job("LiH:256") == ("LiH", 256)
    assert job("N2") == ("N2", 64)


@pytest.mark.parametrize("text", ["LiH:0", "LiH:-4", "LiH:abc", "LiH:1.5", "LiH:8:8", "LiF:8", ""])
def test_impossible_systems_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        job(text)


def test_whole_numbers_have_a_smallest_one():
    assert at_least(0)("0") == 0
    with pytest.raises(argparse.ArgumentTypeError, match="got '-1'; give a whole number"):
        at_least(0)("-1")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--repeats", "0", "--scaling"], "--repeats must be at least 1 with --scaling"),
        (["--systems", "H:8", "--out", "/proc/bench"], "--out /proc/bench: Cannot write"),
        (["--systems"], "expected at least one argument"),
    ],
)
def test_what_cannot_be_done_ends_before_measuring(arguments, sentence, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as leaving:
        main()
    assert leaving.value.code == 2
    assert sentence in capsys.readouterr().err
