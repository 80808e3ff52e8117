"""Comparing at equal device time: which systems are compared, and which are left out."""

import pytest

from ferminet.benchmark.comparison.arms import Arm, choose_arm
from ferminet.benchmark.comparison.compare import compare
from ferminet.cli.main import main
from ferminet.errors import InputError
from tests.benchmark.comparison.conftest import arm_rows


def timed(seed: int, seconds: dict[str, float] | None = None, **fields) -> Arm:
    """Four seeds per system, trained for 100 s or the given time; one seed is ten times slower."""
    rows = []
    for row in arm_rows(seed, 4, "ferminet", **fields):
        time = (seconds or {}).get(row.system, 100.0) * (10.0 if row.seed == 1 else 1.0)
        details = {**row.details.model_dump(exclude_unset=True), "train_wall_s": time}
        rows.append(row.replace(details=details))
    return choose_arm(rows, "rows")


def test_only_systems_of_equal_training_time_are_compared(references) -> None:
    """The one that took twice the time would otherwise make the verdict."""
    new = timed(1, {"Be": 200.0, "Li": 109.0}, shift={"Be": -2e-3})
    assert compare(new, timed(2), references).verdict == "better"
    found = compare(new, timed(2), references, equal_device_time=True)
    assert [each.geometry_key[0] for each in found.systems] == ["He", "Li", "LiH"]
    assert found.verdict == "equivalent"
    (note,) = [note for note in found.notes if "unequal" in note]
    # 2,000 iterations in 200 s; the control trained for 100 s.
    assert "Be (200 s against 100 s; set its train.iterations to about 1000)" in note
    assert "He" not in note and "Li" not in note


def test_a_slower_or_a_faster_training_is_unequal(references) -> None:
    for seconds in (89.0, 112.0):
        found = compare(timed(1, {"He": seconds}), timed(2), references, equal_device_time=True)
        assert "He" not in [each.geometry_key[0] for each in found.systems]


def test_times_of_several_devices_are_added(references) -> None:
    rows = [row for group in timed(1).rows.values() for row in group]
    details = [{**row.details.model_dump(exclude_unset=True), "devices": 2} for row in rows]
    pairs = zip(rows, details, strict=True)
    new = choose_arm([row.replace(details=value) for row, value in pairs], "two")
    with pytest.raises(InputError, match="No system is left"):
        compare(new, timed(2), references, equal_device_time=True)


@pytest.mark.parametrize("fields", [{"device": "NVIDIA H100"}, {"details": {"train_wall_s": None}}])
def test_times_that_cannot_be_compared_are_refused(fields, references) -> None:
    new = choose_arm(arm_rows(1, 4, "mine", **fields), "mine")
    with pytest.raises(InputError, match="other device, or times not recorded"):
        compare(new, timed(2), references, equal_device_time=True)


def test_the_command_compares_at_equal_device_time(written, capsys) -> None:
    arms = {"new": timed(1, {"Be": 200.0}), "base": timed(2)}
    folders = [
        written(name, [row for group in arm.rows.values() for row in group])
        for name, arm in arms.items()
    ]
    assert main(["compare", *folders, "--equal-device-time"]) == 0
    assert "Compared at equal device time" in capsys.readouterr().out
    assert main(["compare", *folders]) == 0
    assert "equal device time" not in capsys.readouterr().out
