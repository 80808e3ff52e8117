"""Submissions: the template passes after its blanks are filled; every fault gets one sentence."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ferminet.benchmark.records import write_rows
from ferminet.benchmark.schema import EnergyRow
from ferminet.cli.main import main
from ferminet.runtime.files import file_sha256
from tests.benchmark.publishing.studies import ENERGIES, RUNS, hartree_fock, make_row

FOLDER = Path("results/submissions/mine")
FILE = FOLDER / "submission.yaml"
BLANKS = {
    "model:\n": "model: MyNet\n",
    "  -\n": "  - A. Author\n",
    "source:\n": "source: 10.1103/PhysRevResearch.2.033429\n",
    "  name:\n": "  name: a core of a laptop\n",
}


def seed_row(seed: int, energy: float, **fields) -> EnergyRow:
    run = RUNS["He"].model_copy(update={"seed": seed})
    return make_row(run, energy, seed=seed, wall_s=1800.0, **fields)


def submit(rows: list[EnergyRow], changes: dict[str, str] | None = None) -> None:
    """Start a submission with rows and fill its blanks; `changes` replace texts of the YAML."""
    write_rows(ENERGIES, rows)
    assert main(["new-submission", "mine", "--energies", str(ENERGIES)]) == 0
    change(BLANKS | (changes or {}))


def change(changes: dict[str, str]) -> None:
    text = FILE.read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    FILE.write_text(text)


@pytest.fixture
def good(place: Path) -> list[EnergyRow]:
    return [seed_row(1, -2.9030), seed_row(2, -2.9032)]


@pytest.fixture
def refused(capsys) -> Callable[[int], str]:
    def verify(code: int) -> str:
        capsys.readouterr()
        assert main(["verify"]) == code
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        return captured.err

    return verify


def test_the_template_passes_after_its_blanks_are_filled(good, capsys) -> None:
    submit(good)
    text = FILE.read_text()
    assert "seeds: [1, 2]\n    hours: 0.5\n" in text and "unit: core" in text
    assert main(["verify"]) == 0
    assert "mine: a submission of 2 rows; all checks pass." in capsys.readouterr().out
    assert main(["verify", str(FOLDER)]) == 0
    assert main(["new-submission", "mine", "--energies", str(ENERGIES)]) == 2
    assert FILE.read_text() == text


def test_blanks_are_named(good, refused) -> None:
    write_rows(ENERGIES, good)
    assert main(["new-submission", "mine", "--energies", str(ENERGIES)]) == 0
    assert "fill in model, authors[0], source, hardware.name." in refused(2)


def test_a_wrong_hash_is_found(good, refused) -> None:
    submit(good)
    write_rows(FOLDER / "energies.parquet", [seed_row(1, -2.9031), good[1]])
    error = refused(5)
    assert "energies.parquet has the SHA-256" in error and file_sha256(ENERGIES) in error


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seeds: [1, 2]": "seeds: [1, 2, 3]"}, "He, ferminet has no row of seed 3"),
        ({"seeds: [1, 2]": "seeds: [1]"}, "He, ferminet has a row of seed 2"),
        ({'"He":': '"Hee":'}, "there is no system 'Hee'"),
        ({'"He":': "Ne:"}, "the rows have no Ne"),
        ({"hours: 0.5": "hours: -1"}, "systems.He.hours is -1; it must be greater than 0"),
        ({"model: MyNet": "modell: MyNet"}, "unknown key modell; did you mean model?"),
        ({"source: 10.1103/": "source: somewhere "}, "give a DOI"),
        ({"energies.parquet: ": "energy.parquet: "}, "files: lists no energies.parquet"),
    ],
)
def test_a_fault_of_the_description_gets_one_sentence(good, refused, changes, sentence) -> None:
    submit(good)
    change(changes)
    assert sentence in refused(2)


def test_an_energy_below_the_exact_one_is_refused(good, refused) -> None:
    """-2.9137 +- 0.0003 lies 33 standard errors below helium's -2.9037."""
    submit([good[0], seed_row(2, -2.9137)])
    assert "seed 2 lies 33.3 standard errors below the exact energy" in refused(3)


def test_a_mean_below_the_exact_one_is_refused(place, refused) -> None:
    """Three standard errors below in each of four seeds are six in their mean."""
    rows = [seed_row(seed, -2.903724 - 9e-4) for seed in (1, 2, 3, 4)]
    submit(rows)
    assert "the mean of He, ferminet lies significantly below" in refused(3)


def test_all_faults_are_told(good, capsys) -> None:
    submit([good[0], seed_row(2, -2.9137)])
    change({"seeds: [1, 2]": "seeds: [1, 2, 3]"})
    capsys.readouterr()
    assert main(["verify"]) == 3
    assert "refused: results/submissions/mine: He, ferminet has no row of seed 3" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"config_hash": "0badc0de"}, "does not agree with its configuration"),
        ({"git_commit": None}, "does not state its git_commit"),
        ({"status": "unfinished"}, "is unfinished"),
        ({"geometry": "r1"}, "has no geometry 'r1'"),
        ({"n_electrons": 1, "unpaired_electrons": 1}, "has other nuclei, charge or spin"),
    ],
)
def test_a_row_must_be_what_it_claims(good, refused, fields, sentence) -> None:
    write_rows(ENERGIES, [good[0], good[1].replace(**fields)])
    main(["new-submission", "mine", "--energies", str(ENERGIES)])
    change(BLANKS)
    assert sentence in refused(2)


def test_conventional_rows_are_not_submitted(good, capsys) -> None:
    write_rows(ENERGIES, [*good, hartree_fock(good[0], -2.8552)])
    assert main(["new-submission", "mine", "--energies", str(ENERGIES)]) == 2
    assert "no energies of wavefunctions" in capsys.readouterr().err and not FOLDER.exists()


def test_a_molecule_with_other_nuclei_is_refused(place, refused) -> None:
    """Hash and configuration agree, but the circle of H4 is one percent larger."""
    run = RUNS["H4"]
    molecule = run.molecule.model_copy(update={"coords": 1.01 * run.molecule.coords})
    submit([make_row(run.model_copy(update={"molecule": molecule}), -2.0150, wall_s=60.0)])
    assert "has other nuclei, charge or spin than molecules/H4.yaml" in refused(2)
