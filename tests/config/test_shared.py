"""A training that the geometries of a curve share: its runs, their hashes, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from ferminet.config import expand_runs, expand_trainings, layout, load_run, load_study
from ferminet.config.runs import SHARED, stored_hash
from ferminet.errors import InputError
from ferminet.vmc.cost.predict import predict_runs

LABELS = ["a85", "a90", "a95"]
CURVE = {
    "systems": [{"name": "H4", "geometries": LABELS}, "He"],
    "sampler": {"walkers": 96},
    "overrides": {"H4": {"train": {"shared": True}}},
}


def test_one_training_serves_all_geometries(write) -> None:
    study = load_study(write(**CURVE))
    runs = [run for run in expand_runs(study) if run.system == "H4"]
    (training,) = expand_trainings(study)
    assert [run.geometry for run in runs] == LABELS
    assert all(run.training_run() == training for run in [*runs, training])
    assert training.geometry == SHARED
    np.testing.assert_array_equal(training.molecule.coords, runs[1].molecule.coords)
    # Every geometry has files of its own after training, as if trained by itself.
    assert len({run.config_hash() for run in [*runs, training]}) == 4
    assert layout.path_of(layout.TRAINED, training).parts[3:5] == ("H4", SHARED)
    names = {layout.history_csv(run).name for run in runs}
    assert names == {f"history-{label}.csv" for label in LABELS}
    assert {layout.history_csv(run).parent for run in runs} == {
        layout.path_of(layout.CHECKPOINTS, training)
    }
    (helium,) = (run for run in expand_runs(study) if run.system == "He")
    assert helium.curve is None and helium.training_run() is helium


def test_the_hash_covers_the_curve_and_how_it_spreads(write) -> None:
    def hash_of(name: str, labels=LABELS, **train) -> str:
        changes = {
            "systems": [{"name": "H4", "geometries": labels}],
            "overrides": {"H4": {"train": {"shared": True, **train}}},
        }
        study = load_study(write(name, **{**CURVE, **changes}))
        return expand_runs(study)[0].config_hash()

    first = hash_of("first")
    assert hash_of("again") == first == hash_of("longer", iterations=777)
    others = [hash_of("start", spread_start=3), hash_of("pace", spread_iterations=3)]
    others += [hash_of("curve", ["a85", "a90", "a92"]), hash_of("order", ["a85", "a95", "a90"])]
    assert len({first, *others}) == 5


def test_runs_that_share_nothing_keep_their_hash_and_their_jobs(write) -> None:
    run = load_run(write(**{**CURVE, "overrides": {}}), system="H4", geometry="a90")
    contents = run.model_dump(), run.settings(), json.loads(run.stage_params("train"))
    for content in contents:
        assert "curve" not in content
        assert not {"shared", "spread_start", "spread_iterations"} & content["train"].keys()


def test_a_stored_run_of_a_curve_is_read_back(write, tmp_path: Path) -> None:
    study = write(**CURVE)
    run = load_run(study, system="H4", geometry="a95", ansatz="ferminet", seed=1)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run.model_dump(mode="json")))
    assert load_run(path) == run
    assert stored_hash(run.model_dump(), run.common_params()["method_version"]) == run.config_hash()
    # From the file of one geometry, too, the common training can be repeated.
    training = load_run(study, system="H4", geometry=SHARED)
    assert load_run(path, geometry=SHARED) == training == run.training_run()
    assert run.settings()["train"]["shared"] is True


def test_a_geometry_has_its_part_of_the_predicted_cost(write) -> None:
    study = load_study(write(**CURVE))
    (training,) = expand_trainings(study)
    runs = [run for run in expand_runs(study) if run.system == "H4"]
    whole, *parts = predict_runs([training, *runs])
    assert whole is not None
    for part in parts:
        assert part is not None
        assert part.iteration_s["train"] == pytest.approx(whole.iteration_s["train"] / 3)
        assert part.iteration_s["evaluate"] == whole.iteration_s["evaluate"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sampler": {"walkers": 97}}, "the 97 walkers of H4 cannot be divided among 3 geometries"),
        ({"overrides": {"He": {"train": {"shared": True}}}}, "He has one geometry"),
        (
            {"train": {"iterations": 399}},
            "have spread after iteration 400, but .* is 399; raise it",
        ),
        ({"train": {"spread_start": 3}}, "spread_start has no effect without shared: true"),
    ],
    ids=["walkers", "one geometry", "too short", "no effect"],
)
def test_what_cannot_be_shared_is_refused(write, changes, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        expand_runs(load_study(write(**{**CURVE, **changes})))


def test_the_label_of_a_shared_training_means_nothing_elsewhere(write) -> None:
    with pytest.raises(InputError, match="has no geometry 'shared'"):
        load_run(write(**CURVE), system="He", geometry=SHARED)
