"""Failures that are recorded, and attempts that end at once because of them."""

import json
from pathlib import Path

import pytest

from ferminet.cli.main import main
from ferminet.config import RunConfig, load_run
from ferminet.errors import (
    CorruptError,
    FermiNetError,
    InputError,
    InterruptedRunError,
    NotConvergedError,
    ResourceError,
)
from ferminet.runtime.checkpoint import save_checkpoint
from ferminet.stages import failures
from ferminet.stages.failures import NAME, read_failure, record_failure
from tests.helpers.tiny_study import tiny_study

STUDY = tiny_study(
    "H",
    """\
sampler: {walkers: 16, decorrelation_steps: 2, burn_in: 2}
optimizer: {name: adam, learning_rate: 0.001}
train: {iterations: 40, checkpoint_interval: 20}
""",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "molecules").symlink_to(root / "molecules")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(failures, "git_commit", lambda: "commit")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> RunConfig:
    return load_run(folder / "study.yaml")


class Stage:
    """A stage that fails, and how often it was started."""

    def __init__(self, run: RunConfig, error: Exception | None):
        self.run, self.error, self.begun = run, error, 0
        self.input = Path("start.safetensors")

    def __call__(self, retry: bool = False) -> None:
        with record_failure(self.run, Path("checkpoints"), [self.input], retry):
            self.begun += 1
            if self.error is not None:
                raise self.error


def attempt(stage: Stage, retry: bool = False) -> tuple[str, int]:
    with pytest.raises(FermiNetError) as caught:
        stage(retry)
    return str(caught.value), caught.value.exit_code


@pytest.mark.parametrize("kind", [InputError, NotConvergedError, CorruptError])
def test_a_second_attempt_ends_at_once_with_the_same_sentence(run: RunConfig, kind) -> None:
    stage = Stage(run, kind("It is not finite."))
    assert attempt(stage) == ("It is not finite.", kind.exit_code)
    for _ in range(2):
        sentence, code = attempt(stage)
        assert sentence.startswith("It is not finite. (")
        assert code == kind.exit_code
        assert f"--retry-failed or remove checkpoints/{NAME}" in sentence
    assert stage.begun == 1
    note = json.loads(Path("checkpoints", NAME).read_text())
    assert note["sentence"] == "It is not finite." and note["exit_code"] == kind.exit_code
    assert note["config_hash"] == run.config_hash()
    assert note["attempt"] == 1 and note["host"] and note["failed_utc"].endswith("Z")


@pytest.mark.parametrize(
    "error",
    [ResourceError("full"), InterruptedRunError("stopped"), FermiNetError("?"), ValueError()],
)
def test_failures_that_may_pass_are_not_recorded(run: RunConfig, error: Exception) -> None:
    stage = Stage(run, error)
    for _ in range(2):
        with pytest.raises(type(error)):
            stage()
    assert stage.begun == 2
    assert not Path("checkpoints", NAME).exists()


def test_another_attempt_can_be_requested(run: RunConfig) -> None:
    stage = Stage(run, NotConvergedError("no"))
    attempt(stage)
    assert attempt(stage, retry=True) == ("no", 3)
    assert stage.begun == 2
    note = read_failure(Path("checkpoints"))
    assert note is not None and note.attempt == 2
    Path("checkpoints", NAME).unlink()
    attempt(stage)
    assert stage.begun == 3


def test_success_removes_the_record(run: RunConfig) -> None:
    stage = Stage(run, NotConvergedError("no"))
    attempt(stage)
    stage.error = None
    stage(retry=True)
    assert read_failure(Path("checkpoints")) is None


def change_configuration(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    # Part of no hash: when a bad start is given up.
    pretrain = stage.run.pretrain.model_copy(update={"tolerance": 9.0})
    stage.run = stage.run.model_copy(update={"pretrain": pretrain})


def change_input(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    stage.input.write_text("now it is there")


def change_checkpoint(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    save_checkpoint(Path("checkpoints/average-0123abcd"), 5, {}, {})


def change_method(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(failures, "METHOD_VERSION", "1000")


def change_code(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(failures, "git_commit", lambda: "a later one")


def change_devices(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")


@pytest.mark.parametrize(
    "change",
    [
        change_configuration,
        change_input,
        change_checkpoint,
        change_method,
        change_code,
        change_devices,
    ],
)
def test_any_change_of_what_is_read_allows_another_attempt(
    run: RunConfig, change, monkeypatch
) -> None:
    stage = Stage(run, NotConvergedError("no"))
    attempt(stage)
    attempt(stage)
    assert stage.begun == 1
    change(stage, monkeypatch)
    attempt(stage)
    assert stage.begun == 2


def test_other_gpus_of_the_same_number_change_nothing(run: RunConfig, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    stage = Stage(run, NotConvergedError("no"))
    attempt(stage)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    attempt(stage)
    assert stage.begun == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sentence": "no"}', "null"])
def test_a_broken_record_stops_nothing(run: RunConfig, text: str) -> None:
    Path("checkpoints").mkdir()
    Path("checkpoints", NAME).write_text(text)
    Stage(run, None)()
    assert not Path("checkpoints", NAME).exists()


def test_without_a_folder_nothing_is_recorded(run: RunConfig) -> None:
    with pytest.raises(InputError), record_failure(run, None, []):
        raise InputError("no")


def test_the_command_and_the_status(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A training without its start: reported, reported again at once, shown, and repaired."""
    run = load_run(folder / "study.yaml")
    place = Path("results", "checkpoints", run.config_hash(), "seed1")
    words = ["train", "--config", "study.yaml", "--initial", "start.safetensors"]
    words += ["--checkpoint-dir", str(place), "--out", "trained.safetensors"]
    words += ["--history", "history.parquet", "--time-limit-minutes", "10"]
    assert main(words) == 2
    first = capsys.readouterr().err.strip()
    assert "start.safetensors does not exist" in first
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"{first} (This failure dates from ")
    assert main(["status", "--config", "study.yaml", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["runs"][0]["state"], shown["runs"][0]["exit_code"]) == ("failed", 2)
    assert f"ferminet: {shown['runs'][0]['failure']}" == first
    assert (shown["totals"]["failed"], shown["totals"]["waiting"]) == (1, 0)
    assert main(["status", "--config", "study.yaml"]) == 0
    assert "H eq ferminet 1 failed (exit code 2): start.safetensors" in capsys.readouterr().out
    # Now there is a start, but a damaged one: another sentence, not the old one.
    Path("start.safetensors").write_text("no")
    assert main(words) == 5
    assert "(This failure dates from" not in capsys.readouterr().err
    assert main(words) == 5
    assert "(This failure dates from" in capsys.readouterr().err
    assert main([*words, "--retry-failed"]) == 5
    assert "(This failure dates from" not in capsys.readouterr().err
