import pytest

from ferminet.benchmark.references import Reference, References, load_references
from ferminet.errors import InputError

HEADER = "system,geometry,quantity,energy_hartree,uncertainty_hartree,confidence,source\n"
GOOD = 'LiH,eq,exact,-8.070548,0.0000005,verified,"a paper, ferminet#94"\n'


def _write(folder, text):
    path = folder / "molecules.csv"
    path.write_text(text)
    return path


def test_a_file_with_comments_and_commas_is_read(tmp_path):
    path = _write(tmp_path, f"# a comment, with commas\n{HEADER}# more\n{GOOD}\n")
    references = load_references(path)
    assert len(references) == len(load_references(tmp_path)) == 1
    found = references.lookup("LiH", "eq", "exact")
    assert found == Reference(
        "LiH", "eq", "exact", -8.070548, 5e-7, "a paper, ferminet#94", "verified"
    )
    assert references.lookup("LiH", "r2.0000", "exact") is None


def test_an_empty_uncertainty_is_none(tmp_path):
    path = _write(tmp_path, HEADER + "H4,a85,ccsd_t_cbs,-2.02,,verified,x\n")
    found = load_references(path).lookup("H4", "a85", "ccsd_t_cbs")
    assert found is not None
    assert found.uncertainty is None
    assert found.label == "CCSD(T)/CBS"


def test_the_best_quantity_comes_first():
    entries = [
        Reference("N2", "eq", name, -109.0, None, "x", "verified")
        for name in ("ccsd_t_cbs", "exact")
    ]
    best = References(entries).best("N2", "eq")
    assert best is not None
    assert best.quantity == "exact"
    assert References(entries).best("N2", "eq", ["fci_cbs"]) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEADER + GOOD.replace("verified", "recalled(low)"), "only recalled"),
        (HEADER + GOOD + GOOD, "given twice"),
        (HEADER + GOOD.replace("-8.070548", "about eight"), "finite number in hartree"),
        (HEADER + GOOD.replace("-8.070548", "nan"), "finite number in hartree"),
        (HEADER + GOOD.replace("-8.070548", ""), "finite number in hartree"),
        (HEADER + GOOD.replace("0.0000005", "-1"), "must not be negative"),
        (HEADER + GOOD.replace('"a paper, ferminet#94"', ""), "has no source"),
        (HEADER + GOOD.replace('"', ""), "too many cells"),
        (HEADER + "LiH,eq\n", "too few"),
        (HEADER + GOOD.replace("exact", "Exact value"), "written like ccsd_t_cbs"),
        (GOOD, "is missing or unknown"),
        (HEADER.replace("source", "origin") + GOOD, "is missing or unknown"),
        ("", "is missing or unknown"),
    ],
)
def test_wrong_files_are_refused(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence):
        load_references(_write(tmp_path, text))


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="Cannot read"):
        load_references(tmp_path / "nothing.csv")
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="Cannot read"):
        load_references(path)
