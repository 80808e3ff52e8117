"""Training: resumed runs are identical, nothing that is not finite is kept, nothing is lost."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz.base import Ansatz, LogPsi
from ferminet.errors import CorruptError, InputError, InterruptedRunError, NotConvergedError
from ferminet.runtime import provenance
from ferminet.runtime.checkpoint import checkpoint_path, list_checkpoints, load_arrays, save_arrays
from ferminet.stages import training
from ferminet.stages.history import history_path, read_history
from ferminet.stages.training import RunIdentity, train
from ferminet.vmc import train as vmc_train
from ferminet.vmc.devices import tree_to_arrays


@pytest.fixture
def compiled_once(monkeypatch, small_network):
    """Lets runs of one test module share their compiled programs, which is all a Trainer holds."""
    real = training.Trainer

    def trainer(problem, settings):
        train = settings.train.model_copy(update={"iterations": 1, "checkpoint_interval": 1})
        key = (id(problem), settings._replace(train=train))
        if problem is not small_network:
            return real(problem, settings)
        shared = TRAINERS.setdefault(str(key), real(problem, settings))
        shared.settings = settings
        return shared

    monkeypatch.setattr(training, "Trainer", trainer)


TRAINERS: dict[str, vmc_train.Trainer] = {}


@pytest.fixture(scope="module")
def run(small_network, hydrogen_walkers):
    """``run(settings, directory, progress, **more)`` from one fixed start."""
    params = small_network.ansatz.init(jax.random.key(1), small_network.nuclei)

    def call(settings, directory, progress, problem=small_network, config_hash="0123abcd", **more):
        identity = RunIdentity(config_hash, {})
        electrons = hydrogen_walkers(settings.sampler.walkers, 1.0, 4)
        return train(problem, settings, identity, params, electrons, directory, progress, **more)

    return call


def assert_same(first, second):
    ours, theirs = (tree_to_arrays(result.state, "") for result in (first, second))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].tobytes() == theirs[name].tobytes(), name
    for name, column in first.histories[0].items():
        np.testing.assert_array_equal(column, second.histories[0][name])


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["kfac", "natural", "adam"])
def test_a_continued_run_is_identical_to_an_uninterrupted_one(
    run, small_settings, quiet, tmp_path, optimizer
):
    whole = run(small_settings(optimizer, 12), tmp_path / "whole", quiet)
    # Also the distance between checkpoints may change; neither belongs to the trajectory.
    run(small_settings(optimizer, 6, interval=2), tmp_path / "parts", quiet)
    continued = run(small_settings(optimizer, 12, interval=5), tmp_path / "parts", quiet)
    assert_same(continued, whole)
    assert continued.attempts == 2
    np.testing.assert_array_equal(continued.histories[0]["iteration"], np.arange(12))
    assert float(whole.state.params["zeta"]) != 1.3  # the run did something


@pytest.mark.usefixtures("compiled_once")
def test_a_finished_run_is_read_back_without_work(run, small_settings, quiet, tmp_path):
    first = run(small_settings("adam", 4), tmp_path, quiet)
    written = {path: path.stat().st_mtime_ns for _, path in list_checkpoints(tmp_path)}
    again = run(small_settings("adam", 4), tmp_path, quiet)
    assert_same(again, first)
    assert {path: path.stat().st_mtime_ns for _, path in list_checkpoints(tmp_path)} == written


@pytest.fixture
def computed_by(monkeypatch):
    """``computed_by(commit)``: what follows is as if it were computed by the code of a commit."""

    def pretend(commit: str) -> None:
        monkeypatch.setattr(provenance, "git_commit", lambda: commit)

    pretend("first")
    return pretend


def segments(result) -> list[tuple[int, str]]:
    return [(one["first_iteration"], one["git_commit"]) for one in result.trained_by]


@pytest.mark.usefixtures("compiled_once")
def test_a_changed_environment_is_reported_and_changes_no_digit(
    run, small_settings, quiet, caplog, tmp_path, computed_by
):
    whole = run(small_settings("adam", 9), tmp_path / "whole", quiet)
    (only,) = whole.trained_by
    now = provenance.execution_environment(jax.devices()[0].device_kind, len(jax.devices()))
    assert only == {"first_iteration": 0, **now}
    assert {"device", "devices", "git_commit", "package_versions"} == set(now)
    parts = tmp_path / "parts"
    for total, commit in ((3, "first"), (4, "first"), (6, "second+dirty"), (9, "first")):
        computed_by(commit)
        continued = run(small_settings("adam", total), parts, quiet)
    expected = [(0, "first"), (4, "second+dirty"), (6, "first")]
    assert segments(continued) == expected
    assert load_arrays(list_checkpoints(parts)[0][1])[1]["trained_by"] == continued.trained_by
    assert_same(continued, whole)
    lines = caplog.messages
    assert [line.partition(" resumed at ")[2] for line in lines if "resumed" in line] == [
        "iteration 3",
        'iteration 4; git_commit was "first", now "second+dirty"',
        'iteration 6; git_commit was "second+dirty", now "first"',
    ]
    # Whoever reads a finished run computes none of it.
    computed_by("third")
    assert segments(run(small_settings("adam", 9), parts, quiet)) == expected


@pytest.mark.usefixtures("compiled_once")
def test_an_attempt_that_saved_nothing_leaves_no_trace(
    run, small_settings, quiet, tmp_path, computed_by, monkeypatch
):
    run(small_settings("adam", 3), tmp_path, quiet)
    computed_by("second")
    with monkeypatch.context() as broken:
        broken.setattr(training, "save_checkpoint", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(small_settings("adam", 6), tmp_path, quiet)
    computed_by("third")
    found = run(small_settings("adam", 6), tmp_path, quiet)
    assert segments(found) == [(0, "first"), (3, "third")]


@pytest.mark.usefixtures("compiled_once")
def test_checkpoints_without_their_environment_are_continued(
    run, small_settings, quiet, tmp_path, computed_by
):
    run(small_settings("adam", 3), tmp_path, quiet)
    _, newest = list_checkpoints(tmp_path)[0]
    arrays, header = load_arrays(newest)
    del header["trained_by"]
    save_arrays(newest, arrays, header)
    assert segments(run(small_settings("adam", 3), tmp_path, quiet)) == [(0, "unknown")]
    found = run(small_settings("adam", 6), tmp_path, quiet)
    assert segments(found) == [(0, "unknown"), (3, "first")]


@pytest.mark.usefixtures("compiled_once")
def test_fewer_iterations_than_are_saved_are_refused(run, small_settings, quiet, tmp_path):
    run(small_settings("adam", 4), tmp_path, quiet)
    with pytest.raises(InputError, match="already holds 4 iterations"):
        run(small_settings("adam", 3), tmp_path, quiet)


@pytest.mark.usefixtures("compiled_once")
def test_a_corrupt_newest_checkpoint_costs_iterations_but_no_digit(
    run, small_settings, quiet, caplog, tmp_path
):
    whole = run(small_settings("adam", 9), tmp_path / "whole", quiet)
    run(small_settings("adam", 6), tmp_path / "parts", quiet)
    newest = checkpoint_path(tmp_path / "parts", 6)
    newest.write_bytes(newest.read_bytes()[:-7])
    continued = run(small_settings("adam", 9), tmp_path / "parts", quiet)
    assert_same(continued, whole)
    assert "an older checkpoint is used" in caplog.text
    assert "resumed at iteration 3" in caplog.text


@pytest.mark.usefixtures("compiled_once")
def test_a_history_without_its_checkpoints_is_not_restarted(run, small_settings, quiet, tmp_path):
    run(small_settings("adam", 4), tmp_path, quiet)
    for _, path in list_checkpoints(tmp_path):
        path.unlink()
    before = history_path(tmp_path).read_bytes()
    for _ in range(2):
        with pytest.raises(CorruptError, match="history of 4 iterations but no checkpoint"):
            run(small_settings("adam", 4), tmp_path, quiet)
    assert history_path(tmp_path).read_bytes() == before


@pytest.mark.parametrize(
    ("altered", "message"),
    [
        (lambda text: text.replace(b"0.1", b"0.1x", 1), "is damaged"),
        (lambda text: text.replace(b"0.1", b"\xff", 1), "is damaged"),
        (lambda text: text.replace(b",0.1", b"", 1), "gaps or duplicates"),
        (lambda text: text[: text.index(b"\n3,")], "has 3 of the 5 iterations"),
        (lambda text: b"", "has 0 of the 5 iterations"),
    ],
    ids=["no number", "no text", "short line", "cut", "empty"],
)
def test_a_damaged_history_is_refused_before_the_run_continues(
    run, small_settings, quiet, tmp_path, altered, message
):
    settings = small_settings("adam", 5, interval=5)
    run(settings, tmp_path, quiet)
    path = history_path(tmp_path)
    before = altered(path.read_bytes())
    path.write_bytes(before)
    longer = small_settings("adam", 8, interval=5)
    with pytest.raises(CorruptError, match=message):
        run(longer, tmp_path, quiet)
    assert path.read_bytes() == before
    assert [iteration for iteration, _ in list_checkpoints(tmp_path)] == [5, 0]


@pytest.mark.usefixtures("compiled_once")
def test_another_configurations_directory_is_refused(run, small_settings, quiet, tmp_path):
    run(small_settings("adam", 3), tmp_path, quiet)
    with pytest.raises(InputError, match=r"0123abcd.*ffffffff"):
        run(small_settings("adam", 3), tmp_path, quiet, config_hash="ffffffff")


@pytest.mark.usefixtures("compiled_once")
def test_a_request_to_stop_saves_the_run_and_it_continues_later(
    run, small_settings, quiet, tmp_path
):
    whole = run(small_settings("adam", 9), tmp_path / "whole", quiet)
    asked = itertools.count()
    with pytest.raises(InterruptedRunError, match=r"iteration 6 of 9.*again to continue"):
        run(
            small_settings("adam", 9),
            tmp_path / "parts",
            quiet,
            should_stop=lambda: next(asked) == 1,  # after the second block of three iterations
        )
    assert list_checkpoints(tmp_path / "parts")[0][0] == 6
    assert_same(run(small_settings("adam", 9), tmp_path / "parts", quiet), whole)


@pytest.mark.usefixtures("compiled_once")
def test_a_request_to_stop_after_the_last_iteration_changes_nothing(
    run, small_settings, quiet, tmp_path
):
    result = run(small_settings("adam", 3), tmp_path, quiet, should_stop=lambda: True)
    assert len(result.histories[0]["iteration"]) == 3


@pytest.mark.usefixtures("compiled_once")
def test_a_resumed_run_estimates_its_end_from_what_it_did_itself(
    run, small_settings, quiet, tmp_path
):
    run(small_settings("adam", 3), tmp_path, quiet)
    assert quiet.start == 0
    run(small_settings("adam", 6), tmp_path, quiet)
    assert quiet.start == 3


def test_every_iteration_draws_its_own_numbers(small_network, small_settings):
    trainer = vmc_train.Trainer(small_network, small_settings("adam", 5))
    keys = []

    def record(key):
        keys.append(tuple(np.asarray(jax.random.key_data(key)).tolist()))

    def sample(key, params, electrons, step_size, nuclei):
        record(key)
        return electrons, step_size, None, None

    def update(key, gradient, optimizer, params, average, electrons, nuclei, iteration):
        record(key)
        return params, average, optimizer

    trainer.sample, trainer.update = sample, update
    for iteration in range(5):
        trainer.step(vmc_train.TrainState(None, None, None, None, None), iteration)  # type: ignore[arg-type]
    assert len(set(keys)) == len(keys) == 10
    # They depend on the iteration alone, which is why a resumed run draws the same.
    trainer.step(vmc_train.TrainState(None, None, None, None, None), 3)  # type: ignore[arg-type]
    assert keys[10:] == keys[6:8]


def brittle(small_network):
    """A wavefunction that is not a number once zeta has left 1.3 by 0.05."""

    def apply(params, electrons, nuclei):
        psi = small_network.ansatz.apply(params, electrons, nuclei)
        near = jnp.abs(params["zeta"] - 1.3) < 0.05
        return LogPsi(psi.sign, psi.logabs * jnp.where(near, 1.0, jnp.nan))

    return small_network._replace(ansatz=Ansatz(small_network.ansatz.init, apply))


def test_energies_that_are_not_finite_end_the_run_with_a_finite_checkpoint(
    run, small_network, small_settings, quiet, tmp_path
):
    settings = small_settings("adam", 50, interval=2, learning_rate=0.012)
    with pytest.raises(NotConvergedError) as stopped:
        run(settings, tmp_path, quiet, problem=brittle(small_network))
    text = str(stopped.value)
    assert "not finite" in text
    assert str(tmp_path) in text
    assert "learning rate" in text
    iteration, newest = list_checkpoints(tmp_path)[0]
    assert 2 <= iteration < 50
    for name, array in load_arrays(newest)[0].items():
        assert np.all(np.isfinite(array)), name
    assert np.all(np.isfinite(read_history(history_path(tmp_path))["energy"]))
    # Run again, it stops again, and does not continue with something else.
    with pytest.raises(NotConvergedError):
        run(settings, tmp_path, quiet, problem=brittle(small_network))


def test_parameters_that_are_not_finite_never_reach_a_checkpoint(
    run, small_settings, quiet, tmp_path, monkeypatch
):
    real = vmc_train.make_update

    def poisoned(optimizer, averaging):
        update = real(optimizer, averaging)

        def one(*args):
            params, average, state = update(*args)
            if int(args[-1]) == 4:
                params = {**params, "zeta": jnp.asarray(jnp.nan)}
            return params, average, state

        return one

    monkeypatch.setattr(vmc_train, "make_update", poisoned)
    # The block of iterations ends with the bad one: its energies are all still finite.
    with pytest.raises(NotConvergedError, match=r"parameters \['zeta'\] are not finite"):
        run(small_settings("adam", 5, interval=2), tmp_path, quiet)
    assert [iteration for iteration, _ in list_checkpoints(tmp_path)] == [4, 2]
