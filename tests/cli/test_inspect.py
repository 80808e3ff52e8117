"""Commands that look at systems and studies: molecules, status and cost."""

import json
from pathlib import Path

import pytest

from ferminet.cli.main import main
from tests.helpers.reliability import MOLECULE


def test_molecules_lists_every_system(in_root: Path, capsys) -> None:
    assert main(["molecules", "--json"]) == 0
    systems = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert systems["LiH"]["nearest_bohr"] == pytest.approx(3.015)
    assert "a90" in systems["H4"]["geometries"]
    assert main(["molecules"]) == 0
    assert "bicyclobutane" in capsys.readouterr().out


def test_molecules_reads_an_xyz_file(tmp_path: Path, capsys) -> None:
    path = tmp_path / "mine.xyz"
    path.write_text("2\nlithium hydride\nLi 0 0 0\nH 0 0 1.595\n")
    flags = ["--charge", "0", "--unpaired-electrons", "0"]
    assert main(["molecules", str(path), *flags]) == 0
    assert "3.014 bohr" in capsys.readouterr().out
    assert capsys.readouterr().err == ""
    assert main(["molecules", str(path)]) == 2
    assert "add `--charge 0 --unpaired-electrons 0`" in capsys.readouterr().err
    assert main(["molecules", str(path), "--charge", "0", "--multiplicity", "1"]) == 2
    assert "unpaired_electrons: 0" in capsys.readouterr().err


def test_molecules_warns_of_a_doubtful_unit_on_standard_error(
    tmp_path: Path, in_root, capsys
) -> None:
    path = tmp_path / "H2.yaml"
    atoms = "[[H, [0, 0, 0]], [H, [0, 0, 0.74]]]"
    text = MOLECULE.replace("[[Li, [0.0, 0.0, 0.0]], [H, [0.0, 0.0, 3.015]]]", atoms)
    path.write_text(text)
    assert main(["molecules", str(path)]) == 0
    assert "angstrom was read as bohr" in capsys.readouterr().err
    path.write_text(text.replace("bohr", "angstrom"))
    assert main(["molecules", str(path)]) == 0
    assert main(["molecules"]) == 0
    assert capsys.readouterr().err == ""


def test_status_reads_the_end_of_a_history(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "study.yaml").write_text("seeds: [1]\nsystems: [He]\ntrain: {iterations: 5000}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["status", "--config", "study.yaml", "--json"]) == 0
    (before,) = json.loads(capsys.readouterr().out)["runs"]
    assert (before["state"], before["iteration"], before["energy"]) == ("waiting", 0, None)
    folder = tmp_path / "results" / "checkpoints" / before["config_hash"] / "seed1"
    folder.mkdir(parents=True)
    rows = [f"{i},{-2.9 + (-1) ** i * 1e-3},0.1" for i in range(4000)]
    # The last line is still being written.
    (folder / "history.csv").write_text("\n".join(["iteration,energy,variance", *rows, "4000,-1"]))
    assert main(["status", "--config", "study.yaml", "--json"]) == 0
    (after,) = json.loads(capsys.readouterr().out)["runs"]
    assert (after["state"], after["iteration"]) == ("training", 4000)
    assert after["energy"] == pytest.approx(-2.9)
    assert after["stderr"] == pytest.approx(1e-4, rel=0.02)


def test_cost_predicts_every_calculation_the_longest_last(in_root: Path, capsys) -> None:
    assert main(["cost", "--config", "workflow/config/limits.yaml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["baselines"]
    hours = [one["cpu_hours"] for one in found]
    assert len(found) == 64 and hours == sorted(hours) and 0.3 < sum(hours) < 2
    assert found[-1]["memory_gb"] > 5
    assert main(["cost", "--config", "workflow/config/limits.yaml"]) == 0
    assert "64 calculations, about" in capsys.readouterr().out


def test_references_lists_values_and_disputes(in_root: Path, capsys) -> None:
    assert main(["references", "Ne", "H4"]) == 0
    out = capsys.readouterr().out
    assert "Ne/eq/exact/chakravorty-1993" in out
    assert "Be/eq/exact" not in out
    assert "lies 0.34 mEh below this value" in out
    assert out.count("At all eleven angles") == 1
    assert main(["references", "Ne", "--json"]) == 0
    values = {value["id"]: value for value in json.loads(capsys.readouterr().out)}
    assert values["Ne/eq/exact/chakravorty-1993"]["uncertainty_kind"] == "estimate"
    assert main(["references", "Neon"]) == 2
    assert "did you mean Ne" in capsys.readouterr().err


def test_references_lists_released_rows_that_older_values_judge_differently(
    in_root: Path, tmp_path: Path, capsys
) -> None:
    header = "system,geometry,quantity,energy_hartree,uncertainty_hartree,confidence,source"
    text = f"{header}\nH4,a90,fci_cbs,-2.015251,2e-4,verified,a figure\n"
    (tmp_path / "old.csv").write_text(text)
    assert main(["references", "H4", "--against", str(tmp_path), "--json"]) == 0
    changes = json.loads(capsys.readouterr().out)
    judgements = {(c["before"], c["after"]) for c in changes if "/H4/a90/" in c["row"]}
    # `sharing` has one that is 5 mEh high, because it was trained for a ninth of the iterations.
    assert judgements == {
        (
            f"plausible; {place} 1.6 mEh of FCI/CBS, exact",
            f"no bound; {place} 1.6 mEh of FCI/CBS, extrapolated",
        )
        for place in ("within", "beyond")
    }
    assert main(["references", "--against", "molecules/reference"]) == 0
    assert "0 of " in capsys.readouterr().out


def test_references_needs_released_rows_to_judge(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    old = Path(__file__).parents[2] / "molecules" / "reference"
    assert main(["references", "--against", str(old)]) == 2
    assert "there are no released rows in" in capsys.readouterr().err
