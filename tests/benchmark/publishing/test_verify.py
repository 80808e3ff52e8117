"""Released suites: every changed byte is found; tables show released rows next to a user's."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ferminet.benchmark.publishing import publish
from ferminet.benchmark.publishing import suite as suites
from ferminet.benchmark.publishing.suite import Suite, write_suite
from ferminet.benchmark.records import write_rows
from ferminet.benchmark.schema import EnergyRow
from ferminet.cli.main import main
from ferminet.config import expand_runs, layout, load_study
from ferminet.errors import InputError, ResourceError
from ferminet.runtime.checkpoint import save_arrays
from ferminet.stages import results
from tests.benchmark.publishing.studies import ENERGIES, RUNS, STUDY, SUITE, trained_file


@pytest.mark.parametrize("file", ["energies.parquet", "histories.parquet", "manifest.json", "c"])
@pytest.mark.parametrize("where", [0.1, 0.5, 0.99])
def test_a_flipped_bit_is_found(blessed: list[EnergyRow], file: str, where: float, capsys) -> None:
    path = next((SUITE / "configurations").iterdir()) if file == "c" else SUITE / file
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)
    assert main(["verify", str(SUITE)]) == 5
    captured = capsys.readouterr()
    assert captured.err.startswith(f"ferminet: {path} differs: ")
    assert captured.err.count("\n") == 1 and captured.out == ""


def test_a_changed_configuration_is_found_by_its_hash(blessed: list[EnergyRow], capsys) -> None:
    """Also where the manifest and all names were made anew to fit it."""
    content = blessed[0].details.model_dump(exclude_unset=True)["configuration"]
    content["optimizer"]["learning_rate"] *= 2
    forged = blessed[0].replace(
        details=blessed[0].details.model_copy(update={"configuration": content})
    )
    write_suite(SUITE, Suite([forged], pd.DataFrame()))
    assert main(["verify"]) == 5
    error = capsys.readouterr().err
    assert suites.stored_configuration(forged)[0] in error and "has the hash" in error


def test_an_unexpected_or_missing_file_is_found(blessed: list[EnergyRow], capsys) -> None:
    (SUITE / "configurations" / "more.json").write_text("{}")
    assert main(["verify"]) == 5
    assert "more.json belongs to no row" in capsys.readouterr().err
    (SUITE / "configurations" / "more.json").unlink()
    (SUITE / "histories.parquet").unlink()
    assert main(["verify"]) == 5
    assert "histories.parquet differs" in capsys.readouterr().err


def test_the_trained_file_is_compared_with_the_measured_one(
    blessed: list[EnergyRow], capsys
) -> None:
    file = trained_file(RUNS["He"])
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert main(["verify"]) == 5
    assert str(file) in capsys.readouterr().err
    # Trained anew by a reader: the same path, other bits, and no damage,
    save_arrays(file, {"x": np.zeros(3)}, {})
    assert main(["verify"]) == 0
    assert "1 of their trained wavefunctions are here and agree, 1 were trained anew here" in (
        capsys.readouterr().out
    )
    # unless the row next to it is the released one.
    write_rows(file.with_name("energy.parquet"), [blessed[0]])
    assert main(["verify"]) == 5
    assert f"{file} differs" in capsys.readouterr().err


def test_verify_continues_after_a_damaged_suite(blessed: list[EnergyRow], capsys) -> None:
    shutil.copytree(SUITE, "results/published/alpha")  # its manifest says another name
    assert main(["verify"]) == 5
    captured = capsys.readouterr()
    assert captured.out.startswith("smoke: 3 rows") and "alpha/manifest.json" in captured.err


def test_nothing_to_verify_or_to_bless(place: Path, capsys) -> None:
    for arguments in (["verify"], ["verify", "results/published/none"], ["bless"]):
        assert main(arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["bless", "--energies", "no.parquet"]) == 2
    write_rows(ENERGIES, [])
    assert main(["bless", "--energies", str(ENERGIES)]) == 2
    assert main(["bless", "--suite", "../up", "--remove", "x"]) == 2
    assert "not the name of a folder" in capsys.readouterr().err


def test_a_suite_below_a_file_is_refused(rows: list[EnergyRow]) -> None:
    Path("results/published").write_text("a file")
    with pytest.raises(InputError, match=rf"{SUITE}/manifest.json .* results/published is a file"):
        publish.bless(ENERGIES)


def test_a_suite_that_cannot_be_written_is_reported(rows: list[EnergyRow], monkeypatch) -> None:
    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)  # permissions do not bind the superuser
    with pytest.raises(ResourceError, match=r"Cannot write .*: Permission denied"):
        publish.bless(ENERGIES)
    assert not Path("results/published").exists()


def test_tables_show_released_rows_next_to_a_users(
    blessed: list[EnergyRow], place: Path, monkeypatch, capsys
) -> None:
    (place / "smoke.yaml").write_text(STUDY + "published: [smoke]\n")
    mine = blessed[0].replace(energy=-2.9000)  # the same study and key, on another machine
    write_rows(ENERGIES, [mine, blessed[2].replace(energy=-2.0090)])
    study = load_study("smoke.yaml")
    files = [str(file) for file in layout.published_files(study)]
    assert files == ["results/published/smoke/energies.parquet"]
    arguments = ["--energies", str(ENERGIES), "--published", *files]
    assert main(["tables", *arguments, "--out-dir", "tables"]) == 0
    atoms = pd.read_csv("tables/atoms.csv")
    assert dict(zip(atoms.study, atoms.energy_hartree, strict=True)) == {
        "published/smoke": -2.9030, "smoke": -2.9000
    }  # fmt: skip
    assert atoms.set_index("study").hf_hartree["published/smoke"] == -2.8552
    assert "| published/smoke | He" in Path("tables/atoms.md").read_text()
    assert set(pd.read_csv("tables/h4.csv").study) == {"published/smoke", "smoke"}
    assert "| study " in Path("tables/runs.md").read_text()
    monkeypatch.setattr(results.targets, "figure_names", lambda study: [])  # they take seconds
    results.write_report(study, ENERGIES, Path("report.html"))
    page = Path("report.html").read_text()
    assert "published/smoke" in page and "<h1>Energies with error bars: smoke<" in page
    capsys.readouterr()
    assert main(["tables", *arguments, "--show"]) == 0
    printed = capsys.readouterr().out
    assert "published/smoke" in printed and "2 runs: " in printed
    # Only places that the study has.
    write_rows(ENERGIES, [mine])
    results.write_tables(ENERGIES, Path("few"), published_files=[Path(files[0])])
    assert not Path("few/h4.csv").exists()
    assert len(pd.read_csv("few/runs.csv")) == 2


def test_a_study_that_names_a_missing_suite_is_refused(
    blessed: list[EnergyRow], place: Path
) -> None:
    (place / "mine.yaml").write_text(STUDY + "published: [desktop]\n")
    with pytest.raises(InputError, match=r"no suite 'desktop' in results/published; .*: smoke\."):
        layout.published_files(load_study("mine.yaml"))
    (place / "mine.yaml").write_text(STUDY + "published: [../smoke]\n")
    with pytest.raises(InputError, match="is not the name of a folder"):
        load_study("mine.yaml")


def test_the_key_published_changes_no_hash(place: Path) -> None:
    texts = []
    for more in ("", "published: [smoke]\n"):
        (place / "mine.yaml").write_text(STUDY + more)
        runs = expand_runs(load_study("mine.yaml"))
        stages = ("scf", "pretrain", "train", "evaluate")
        texts.append([(run.config_hash(), *map(run.stage_params, stages)) for run in runs])
    assert texts[0] == texts[1]
