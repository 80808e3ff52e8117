"""The command line: bad input ends with one sentence and exit code 2, and help is quick."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ferminet.benchmark.records import write_rows
from ferminet.benchmark.schema import row
from ferminet.cli.main import main
from ferminet.config import expand_runs, load_study
from ferminet.runtime.checkpoint import save_arrays
from tests.helpers.reliability import MOLECULE, STUDY

TRAIN_PATHS = ["--initial", "a", "--checkpoint-dir", "b", "--out", "c", "--history", "d"]


def run_command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ferminet", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_bad_input_ends_with_one_sentence_and_code_2(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    done = run_command("train", "--config", "study.yaml", *TRAIN_PATHS, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ferminet: ")
    assert done.stderr.count("\n") == 1


def test_a_file_of_other_settings_names_those_that_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "mine.yaml").write_text(MOLECULE)
    (run,) = expand_runs(load_study("study.yaml"))
    settings = run.trajectory()
    walkers = settings["sampler"]["walkers"]
    settings["sampler"] = {**settings["sampler"], "walkers": 2 * walkers}
    header = {"stage": "pretrain", "config_hash": "00000000", "settings": settings}
    save_arrays(tmp_path / "a", {}, header)
    assert main(["train", "--config", "study.yaml", *TRAIN_PATHS]) == 2
    error = capsys.readouterr().err
    assert f"; sampler.walkers was {2 * walkers}, now {walkers}; run `ferminet pretrain`" in error


def test_processes_that_cannot_be_joined_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    arguments = ("train", "--config", "study.yaml", *TRAIN_PATHS, "--distributed")
    done = run_command(*arguments, cwd=tmp_path, JAX_NUM_PROCESSES="two", JAX_PROCESS_ID="0")
    assert done.returncode == 2
    assert "must be whole numbers, got 'two' and '0'" in done.stderr
    done = run_command(*arguments, cwd=tmp_path)
    assert done.returncode == 4
    assert "cannot be joined" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status", "--confg", "x"], "no option --confg; did you mean --config?"),
        (["compare", "a", "b", "--margn=2"], "no option --margn; did you mean --margin?"),
        (["cost", "--config", "x", "--zzz"], "no option --zzz; `ferminet cost --help`"),
    ],
)
def test_a_misspelt_option_is_reported_by_its_name(arguments, words: str, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_resolved_run_resolves_to_itself(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "mine.yaml").write_text(MOLECULE)
    done = run_command("resolve", "--config", "study.yaml", "--out", "run.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    again = run_command("resolve", "--config", "run.json", cwd=tmp_path)
    assert again.stdout == (tmp_path / "run.json").read_text()
    assert json.loads(again.stdout)["molecule"]["coords"][1] == [0.0, 0.0, 3.015]


def test_help_imports_nothing_heavy() -> None:
    """Half a second is promised; what takes time is importing, so that is what is tested."""
    code = (
        "import sys, ferminet.cli.main as c\n"
        "try: c.main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('jax', 'numpy', 'pandas', 'pyscf', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.rstrip().endswith("[]"), done.stdout[-300:] + done.stderr[-300:]
    assert "75 interrupted" in done.stdout


@pytest.mark.parametrize("arguments", [[], ["fly"], ["train"], ["status", "--config"]])
def test_wrong_usage_ends_with_one_sentence(capsys, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("ferminet: ")
    assert message.count("\n") == 1


def test_an_unexpected_hash_is_refused(in_root: Path, capsys) -> None:
    selectors = ["--config", "workflow/config/smoke.yaml", "--system", "He"]
    assert main(["resolve", *selectors, "--expect-hash", "00000000"]) == 2
    assert "00000000" in capsys.readouterr().err


def test_errors_also_reach_the_log(tmp_path: Path, capsys) -> None:
    log = tmp_path / "deep" / "train.log"
    assert main(["train", "--config", "no.yaml", *TRAIN_PATHS, "--log", str(log)]) == 2
    assert log.read_text() == capsys.readouterr().err


def test_an_option_out_of_its_range_is_refused_by_resolve(tmp_path: Path, capsys) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("seeds: [1]\nsystems: [He]\nansatz: {mine: {options: {envelope: foo}}}\n")
    assert main(["resolve", "--config", str(study)]) == 2
    text = "ferminet: ansatz mine of He: FermiNet option envelope is 'foo'"
    assert capsys.readouterr().err.startswith(text)


def test_a_log_that_cannot_be_written_is_reported(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    log = tmp_path / "file" / "train.log"
    assert main(["train", "--config", "no.yaml", *TRAIN_PATHS, "--log", str(log)]) == 4
    message = capsys.readouterr().err
    assert message.startswith(f"ferminet: the log {log} cannot be written")
    assert message.count("\n") == 1


def test_collecting_before_the_runs_names_the_command_that_computes_them(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    (tmp_path / "study.yaml").write_text("seeds: [1]\nsystems: [He]\n")
    monkeypatch.chdir(tmp_path)
    assert main(["collect", "--config", "study.yaml", "--out", "all.parquet"]) == 2
    message = capsys.readouterr().err
    assert "1 of 1 energies of study.yaml are not computed yet" in message
    assert "snakemake --cores 2 --configfile study.yaml" in message


def test_energies_of_another_study_are_refused(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "study.yaml").write_text("seeds: [1]\nsystems: [He]\n")
    monkeypatch.chdir(tmp_path)
    text = {"geometry": "eq", "method": "hf", "reference": "rhf", "basis": "cc-pvdz"}
    numbers = {"energy": -2.855, "n_electrons": 2, "unpaired_electrons": 0}
    one = row(study="other", system="He", status="complete", **text, **numbers)
    write_rows(Path("all.parquet"), [one])
    arguments = ["--config", "study.yaml", "--energies", "all.parquet"]
    assert main(["figures", *arguments, "--out-dir", "figures"]) == 2
    assert main(["report", *arguments, "--out", "report.html"]) == 2
    assert capsys.readouterr().err.count("has rows of other and none of study") == 2


@pytest.mark.parametrize("memory", ["0", "-1", "4GB"])
def test_memory_must_be_a_positive_number_of_megabytes(memory: str, capsys) -> None:
    arguments = "baseline --config a --system b --geometry c --basis d --method hf --out e".split()
    with pytest.raises(SystemExit) as stop:
        main([*arguments, f"--memory-mb={memory}"])
    assert stop.value.code == 2
    assert f"a positive whole number is needed, got {memory!r}" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--log"])
def test_an_output_that_is_also_the_input_is_refused(tmp_path, option, capsys) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("systems: [H]\nseeds: [1]\n")
    words = ["resolve", "--config", str(study), option, str(study)]
    if option == "--log":
        words = ["scf", "--config", str(study), "--out", str(tmp_path / "scf"), option, str(study)]
    assert main(words) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert study.read_text() == "systems: [H]\nseeds: [1]\n"


def test_a_device_is_not_replaced_by_a_result(tmp_path, capsys) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "study.yaml").write_text("systems: [H]\nseeds: [1]\n")
    words = ["resolve", "--config", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "pipe")]
    assert main(words) == 2
    assert "device or a pipe" in capsys.readouterr().err
    assert (tmp_path / "pipe").is_fifo()


OPTIONS = """\
import pydantic
class Options(pydantic.BaseModel):
    @pydantic.model_validator(mode="before")
    def check(cls, values):
        return values["missing"]
def make(spec, **options): ...
"""


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ("ansatz: {net: {build: 'exits.py:build'}}", "exits.py:2: importing it raised SystemExit"),
        ("ansatz: {net: {build: 'other.py:build'}}", "other.py:1: importing it raised KeyError"),
        ("ansatz: {net: {build: 'fails.py:build'}}", "fails.py:3: build(spec, **options) raised"),
        ("ansatz: {net: {build: 'builtins:dict'}}", "builtins:dict has no signature"),
        ("ansatz: {net: {build: '..:build'}}", "'..:build' does not name a function"),
        ("optimizer: {name: 'builtins:dict'}", "builtins:dict has no signature"),
        ("optimizer: {name: 'options.py:make'}", "options.py:5: checking its options raised"),
        ("ansatz: {net: {options: {layers: .nan}}}", "layers is nan; it must be a finite number"),
        ("ansatz: {net: {options: {layers: !!set {}}}}", "it must be a finite number, text"),
    ],
)
def test_bad_wavefunctions_are_one_sentence(tmp_path, monkeypatch, capsys, block, sentence) -> None:
    monkeypatch.chdir(tmp_path)
    Path("exits.py").write_text("import sys\nsys.exit(0)\n")
    Path("other.py").write_text("{}['x']\n")
    # The annotation has no meaning, and the option has the name of a method of pydantic.
    Path("fails.py").write_text(
        "\ndef build(spec, *, a: 'no such' = 1, json=2):\n    return 1 / 0\n"
    )
    Path("options.py").write_text(OPTIONS)
    Path("study.yaml").write_text(f"systems: [{{path: H.yaml}}]\nseeds: [1]\n{block}\n")
    Path("H.yaml").write_text(MOLECULE)
    assert main(["resolve", "--config", "study.yaml"]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("check-ansatz ferminet --options layers=1 layers=2", "--options has layers twice"),
        ("check-ansatz ferminet --options layers=1 --options layers=2", "has layers twice"),
        ("molecules --charge 1", "--charge is for xyz files"),
        ("molecules Lih", "did you mean LiH?"),
        ("resolve --config absent.yaml", "absent.yaml: cannot be read"),
        ("resolve --config s.yaml --out s.yaml/run.json", "since s.yaml is a file"),
        ("resolve --config s.yaml --log s.yaml/log", "option --log"),
        ("tables --energies s.parquet --show --only nope", "leave --only out"),
        ("collect --config s.yaml --part nope --out o.parquet", "there is none to choose from"),
        ("status --config s.yaml", "determinants is 0"),
        ("cost --config s.yaml", "determinants is 0"),
    ],
)
def test_words_that_cannot_be_meant_are_refused(
    tmp_path, monkeypatch, capsys, words: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    options = "{options: {determinants: 0}}"
    Path("s.yaml").write_text(f"systems: [H]\nseeds: [1]\nansatz: {{net: {options}}}\n")
    with contextlib.suppress(SystemExit):
        assert main(words.split()) == 2
    assert sentence in capsys.readouterr().err


def test_a_path_must_not_be_empty(capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["tables", "--energies", "e.parquet", "--out-dir", ""])
    assert "argument --out-dir: a path is needed, got ''" in capsys.readouterr().err


def test_training_refuses_impossible_outputs_before_it_starts(tmp_path, capsys) -> None:
    words = ["train", "--config", "s.yaml", "--initial", "i", "--checkpoint-dir", "c"]
    assert main([*words, "--out", str(tmp_path / "out"), "--history", str(tmp_path)]) == 2
    assert "is a directory; name a file" in capsys.readouterr().err
