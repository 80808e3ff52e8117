"""A comparison lists every setting in which its two sides differ, and no other."""

import copy
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from ferminet.benchmark.comparison.arms import Arm, choose_arm
from ferminet.benchmark.comparison.compare import compare
from ferminet.benchmark.comparison.files import read_arm
from ferminet.benchmark.comparison.report import as_json, markdown
from ferminet.benchmark.comparison.settings import differing_settings, tuned_note
from ferminet.config import resolve_run
from ferminet.config.ablations import flat
from ferminet.config.study import Study
from ferminet.systems.validation import validate
from tests.benchmark.comparison.conftest import NAMES, arm_rows

STUDY = {"seeds": [1], "systems": list(NAMES), "optimizer": {"learning_rate": 0.3}}


def settings_of(system: str) -> dict[str, Any]:
    study = validate(Study, copy.deepcopy(STUDY))
    return resolve_run(study, system, "eq", "ferminet", 1).settings()


def arm(changes: dict[str, dict[str, Any]] | None = None, **others: Any) -> Arm:
    """Rows of FermiNet with settings (block.key -> value) changed, for some systems or all."""
    rows = []
    for row in arm_rows(1, 2, "ferminet"):
        settings = copy.deepcopy(settings_of(row.system))
        for key, value in {**others, **(changes or {}).get(row.system, {})}.items():
            block, _, name = key.rpartition(".")
            (settings[block] if block else settings)[name] = value
        details = {**row.details.model_dump(exclude_unset=True), "settings": settings}
        rows.append(row.replace(details=details))
    return choose_arm(rows, "rows")


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + "x" if isinstance(value, str) else (value or 0) + 3


@pytest.mark.parametrize("key", [key for key in flat(settings_of("He")) if key != "build"])
def test_any_setting_that_differs_is_the_only_one_listed(key: str) -> None:
    changed = {key: other(flat(settings_of("Be"))[key])}
    found, notes = differing_settings(arm({"Be": changed}), arm(), [(n, "eq") for n in NAMES])
    walkers = {"pretrain.walkers"} if key == "sampler.walkers" else set()  # as many by default
    assert {each.key for each in found} == {key} | walkers
    assert all(each.geometries == [("Be", "eq")] for each in found)
    assert not notes


def test_equal_settings_give_an_empty_list(references) -> None:
    found = compare(arm(), arm(), references)
    assert found.settings == []
    assert "No recorded setting differs." in markdown(found, references)


def test_options_of_one_side_only_have_a_dash(references) -> None:
    mine = arm(build=["0123456789abcdef", "build"], options={"width": 64})
    found = compare(mine, arm(), references)
    text = markdown(found, references)
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.count("|") == 5}
    cells = {key: [cell.strip() for cell in line.split("|")[2:5]] for key, line in lines.items()}
    assert cells["options.width"] == ["64", "–", "all"]  # noqa: RUF001
    assert cells["options.determinants"][:2] == ["–", "16"]  # noqa: RUF001
    assert cells["build"][0] == "build of file 01234567"
    listed = {each["key"]: each for each in as_json(found, references)["settings"]}
    assert listed["options.width"]["systems"] == [(name, "eq") for name in NAMES]
    assert set(cells) >= set(listed)


def test_walkers_of_pretraining_are_those_of_the_sampler_by_default() -> None:
    explicit = {"pretrain.walkers": 4096, "sampler.walkers": 4096}
    assert differing_settings(arm(**explicit), arm(), [("He", "eq")]) == ([], [])


def test_seeds_trained_for_different_iterations_are_listed() -> None:
    new = arm()
    first, second = new.rows["He", "eq"]
    settings = {**first.details.settings, "train": {**first.details.settings["train"]}}
    settings["train"]["iterations"] = 500
    new.rows["He", "eq"] = [first.replace(details={"settings": settings}), second]
    (found,), _ = differing_settings(new, arm(), [("He", "eq")])
    assert (found.key, found.new, found.control) == ("train.iterations", "500, 200000", "200000")


def test_rows_without_settings_are_named(references) -> None:
    bare = choose_arm(arm_rows(2, 2, "ferminet"), "bare")
    _, notes = differing_settings(arm(), bare, [("He", "eq"), ("Li", "eq")])
    assert notes == ["Settings are not recorded for He, Li."]


def test_what_was_tuned_for_ferminet_is_computed_from_the_control(references) -> None:
    tuned = arm({"Be": {"optimizer.learning_rate": 0.2}, "Li": {"options.determinants": 8}})
    (note,) = tuned_note(tuned)
    assert "system by system for optimizer.learning_rate, options.determinants." in note
    (note,) = tuned_note(arm())
    assert "system by system" not in note
    assert tuned_note(arm(build=["0123456789abcdef", "build"])) == []
    assert any("chosen for FermiNet" in note for note in compare(arm(), tuned, references).notes)


def test_the_control_without_spin_symmetry_differs_in_that_only(root: Path) -> None:
    plain, suite = (
        read_arm(root / "results" / "published" / name)
        for name in ("regression-plain", "regression")
    )
    (found,), notes = differing_settings(plain, suite, plain.rows)
    assert (found.key, found.new, found.control) == ("options.spin_symmetric", "no", "yes")
    assert found.geometries == [("H4", "a90")]
    assert not notes
    (energies,) = ([row.energy for row in rows] for rows in plain.rows.values())
    spin_symmetric = [row.energy for row in suite.rows["H4", "a90"]]
    assert 0.0 < fmean(energies) - fmean(spin_symmetric) < 5e-4
