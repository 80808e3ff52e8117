"""An optimiser outside the package: one file, named in a study."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from ferminet.config import RunConfig, load_run
from ferminet.config.optimizers import OPTIMIZERS, check_name
from ferminet.config.plugins import load_object
from ferminet.config.runs import stored_hash
from ferminet.errors import InputError
from ferminet.runtime.checkpoint import load_arrays
from ferminet.stages.chemistry import run_scf
from ferminet.stages.runs import run_pretrain, run_train
from tests.helpers import gradient_descent
from tests.helpers.tiny_study import tiny_study

BLOCKS = """\
sampler: {{walkers: 16, decorrelation_steps: 2, burn_in: 2}}
optimizer: {optimizer}
train: {{iterations: {iterations}, checkpoint_interval: 2}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the plug-in."""
    shutil.copy(gradient_descent.__file__, tmp_path / "my_opt.py")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(folder: Path, optimizer: str, iterations: int = 3) -> RunConfig:
    path = folder / "mine.yaml"
    blocks = BLOCKS.format(optimizer=optimizer, iterations=iterations)
    path.write_text(tiny_study("H", blocks))
    return load_run(path)


def train(folder: Path, run: RunConfig, name: str) -> tuple[dict[str, np.ndarray], ...]:
    """Parameters before and after a training by the stages of the workflow."""
    paths = {part: folder / f"{name}.{part}" for part in ("scf", "start", "trained", "parquet")}
    run_scf(run, paths["scf"])
    run_pretrain(run, paths["scf"], paths["start"])
    run_train(run, paths["start"], folder / name, paths["trained"], paths["parquet"])
    before, after = (load_arrays(paths[part])[0] for part in ("start", "trained"))
    return tuple(
        {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}
        for arrays, prefix in ((before, "params"), (after, "last"))
    )


def test_gradient_descent_in_one_file_trains(folder: Path) -> None:
    slow = "{name: my_opt.py:make, learning_rate: 1.0e-3}"
    fast = "{name: my_opt.py:make, learning_rate: 1.0e-3, options: {factor: 2}}"
    before, once = train(folder, load(folder, slow, 1), "once")
    _, twice = train(folder, load(folder, fast, 1), "twice")
    assert max(np.max(np.abs(once[key] - before[key])) for key in before) > 1e-6
    for key in before:  # from the same walkers
        np.testing.assert_allclose(
            twice[key] - before[key], 2.0 * (once[key] - before[key]), rtol=1e-2, atol=3e-7
        )


def test_training_by_a_plugin_is_resumed(folder: Path) -> None:
    named = "{name: my_opt.py:make}"
    _, whole = train(folder, load(folder, named, 4), "whole")
    train(folder, load(folder, named, 2), "parts")
    _, continued = train(folder, load(folder, named, 4), "parts")
    assert all(np.array_equal(continued[key], whole[key]) for key in whole)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "p - (rate * g).astype(p.dtype)",
            "(p - rate * g).astype('float16')",
            r"returned float16.* for \['params'\].*, which was float32",
        ),
        (
            "gradient), state",
            "gradient)['orbitals'], state",
            r"returned nothing for \['params'\].*, which was float32",
        ),
        (
            "gradient), state",
            "gradient), (rate,)",
            r"returned float32\(\) for \['state'\]\[0\], which was nothing",
        ),
    ],
)
def test_a_plugin_keeps_the_form_of_parameters_and_state(
    folder: Path, old: str, new: str, words: str
) -> None:
    text = (folder / "my_opt.py").read_text()
    assert old in text
    (folder / "my_opt.py").write_text(text.replace(old, new))
    with pytest.raises(InputError, match=words):
        train(folder, load(folder, "{name: my_opt.py:make}"), "wrong")


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [
        ("{name: sprng}", "no optimiser 'sprng'; did you mean spring?"),
        ("{name: my_opt.py}", "A plug-in is named module:function or file.py:function"),
        ("{name: other.py:make}", "other.py does not exist"),
        ("{name: my_opt.py:mak}", "no function 'mak'; did you mean make?"),
        ("{name: my_opt.py:make, options: {facto: 2}}", "unknown key facto; did you mean factor?"),
        ("{name: my_opt.py:make, options: {factor: big}}", "factor is 'big'; it must be a number"),
        ("{name: my_opt.py:make, damping: 0.5}", "damping is not read by the plug-in my_opt.py"),
        (
            "{name: adam, options: {factor: 2.0}}",
            "options belong to plug-ins, and adam is not one",
        ),
    ],
)
def test_a_wrong_optimiser_is_refused_before_the_first_job(
    folder: Path, optimizer: str, words: str
) -> None:
    with pytest.raises(InputError) as refused:
        load(folder, optimizer)
    assert words in str(refused.value)


def test_a_plugin_may_export_a_model_of_its_options(folder: Path) -> None:
    text = (folder / "my_opt.py").read_text().replace("*, factor: float = 1.0", "**options")
    model = (
        "\n\nfrom pydantic import BaseModel, ConfigDict, PositiveFloat\n\n\n"
        "class Options(BaseModel):\n"
        "    model_config = ConfigDict(extra='forbid')\n"
        "    factor: PositiveFloat = 1.0\n"
    )
    (folder / "my_opt.py").write_text(text + model)
    assert load(folder, "{name: my_opt.py:make, options: {factor: 2.0}}").optimizer.options
    with pytest.raises(InputError, match=r"factor is -1\.0; it must be greater than 0"):
        load(folder, "{name: my_opt.py:make, options: {factor: -1.0}}")


@pytest.mark.parametrize(
    ("function", "action"), [("make", "make(spec, **options)"), ("update", "update")]
)
def test_an_error_of_a_plugin_is_one_sentence_with_its_line(
    folder: Path, function: str, action: str
) -> None:
    lines = (folder / "my_opt.py").read_text().splitlines()
    first = next(n for n, line in enumerate(lines, 1) if f"def {function}(" in line)
    while not lines[first - 1].rstrip().endswith(":"):
        first += 1
    indent = " " * (8 if function == "update" else 4)
    lines.insert(first, f"{indent}raise SystemExit('stop')")
    (folder / "my_opt.py").write_text("\n".join(lines))
    words = rf"my_opt\.py:{first + 1}: {re.escape(action)} raised SystemExit: stop"
    with pytest.raises(InputError, match=words):
        train(folder, load(folder, "{name: my_opt.py:make}", 1), "once")


def test_the_hash_depends_on_the_content_of_a_plugin(folder: Path) -> None:
    named = "{name: my_opt.py:make, options: {factor: 2.0}}"
    run = load(folder, named)
    assert stored_hash(run.model_dump(), "1") == stored_hash(run.model_dump(mode="json"), "1")
    hashes = {run.config_hash(), load(folder, "{name: my_opt.py:make}").config_hash()}
    shutil.copy(folder / "my_opt.py", folder / "moved.py")
    assert load(folder, named.replace("my_opt", "moved")).config_hash() == run.config_hash()
    with open(folder / "my_opt.py", "a") as stream:
        stream.write("# edited\n")
    edited = load(folder, named)
    hashes.add(edited.config_hash())
    assert len(hashes) == 3
    assert edited.stage_params("train") != run.stage_params("train")
    assert edited.stage_params("pretrain") == run.stage_params("pretrain")


def test_a_run_without_a_plugin_stores_no_plugin_keys(folder: Path) -> None:
    content = load(folder, "{name: spring, momentum: 0.9}").model_dump()
    assert "optimizer_digest" not in content
    assert "options" not in content["optimizer"]


def test_every_optimiser_of_the_package_is_made_by_its_entry() -> None:
    assert list(OPTIMIZERS) == ["kfac", "natural", "spring", "adam"]
    for name, entry in OPTIMIZERS.items():
        assert name == check_name(name)
        assert callable(load_object(entry.make))
