import csv
import io

import pytest

from ferminet.benchmark.figures.curves import curve
from ferminet.benchmark.references import (
    FIELDS,
    References,
    load_references,
    project_references,
    reference_notes,
)
from ferminet.benchmark.report import render_report
from ferminet.benchmark.tables.build import build_table
from ferminet.benchmark.tables.formatting import to_markdown
from ferminet.errors import InputError
from tests.helpers.references import reference

GOOD = {
    "id": "LiH/eq/exact/a",
    "system": "LiH",
    "geometry": "eq",
    "quantity": "exact",
    "kind": "exact",
    "energy_hartree": "-8.070548",
    "uncertainty_hartree": "0.0000005",
    "uncertainty_kind": "rounding",
    "confidence": "verified",
    "source": "a paper, ferminet#94",
}
OLD_HEADER = "system,geometry,quantity,energy_hartree,uncertainty_hartree,confidence,source\n"


def _text(*changes):
    file = io.StringIO()
    writer = csv.DictWriter(file, FIELDS)
    writer.writeheader()
    writer.writerows(GOOD | change for change in changes)
    return file.getvalue()


def _write(folder, text):
    path = folder / "molecules.csv"
    path.write_text(text)
    return path


def test_a_file_with_comments_and_commas_is_read(tmp_path):
    header, line = _text({}).splitlines()
    path = _write(tmp_path, f"# a comment, with commas\n{header}\n# more\n{line}\n\n")
    references = load_references(path)
    assert len(references) == len(load_references(tmp_path)) == 1
    entry = references.lookup("LiH", "eq", "exact")
    assert entry is not None
    assert (entry.energy, entry.uncertainty) == (-8.070548, 5e-7)
    assert (entry.kind, entry.uncertainty_kind) == ("exact", "rounding")
    assert (entry.source, entry.dispute, entry.determinants) == ("a paper, ferminet#94", "", None)
    assert references.lookup("LiH", "r2.0000", "exact") is None


def test_a_file_saved_by_a_spreadsheet_is_read(tmp_path):
    path = tmp_path / "molecules.csv"
    path.write_bytes(b"\xef\xbb\xbf" + _text({}).replace("\n", "\r\n").encode())
    assert load_references(path).lookup("LiH", "eq", "exact") is not None


def test_an_empty_uncertainty_is_none(tmp_path):
    change = {"id": "LiH/eq/ccsd_t_cbs/a", "quantity": "ccsd_t_cbs", "kind": "extrapolated"}
    blank = dict.fromkeys(("uncertainty_hartree", "uncertainty_kind"), "")
    entry = load_references(_write(tmp_path, _text(change | blank))).best("LiH", "eq")
    assert entry is not None
    assert entry.uncertainty is None
    assert entry.label == "CCSD(T)/CBS"


def test_the_best_quantity_comes_first():
    entries = [reference("N2", "eq", name, -109.0) for name in ("ccsd_t_cbs", "exact")]
    best = References(entries).best("N2", "eq")
    assert best is not None
    assert best.quantity == "exact"
    assert References(entries).best("N2", "r2") is None


def test_a_newer_value_supersedes_an_older_one(tmp_path):
    newer = {"id": "LiH/eq/exact/b", "supersedes": GOOD["id"], "energy_hartree": "-8.0706"}
    references = load_references(_write(tmp_path, _text(newer, {})))
    entry = references.lookup("LiH", "eq", "exact")
    assert entry is not None
    assert (entry.id, len(references)) == ("LiH/eq/exact/b", 1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (_text({"confidence": "recalled(low)"}), "only recalled"),
        (_text({"source": "a paper; last digit recalled"}), "only recalled"),
        (_text({"confidence": "certain"}), "confidence is 'certain'; it must be verified, "),
        (_text({"kind": "best"}), "kind is 'best'; it must be exact, lower bound, "),
        (_text({"uncertainty_kind": "guess"}), "it must be statistical, rounding or estimate"),
        (_text({}, {}), "given twice"),
        (_text({}, {"id": "LiH/eq/exact/b"}), "let one supersede the other"),
        (_text({"supersedes": "LiH/eq/exact/c"}), "no other value of the same system"),
        (_text({"supersedes": GOOD["id"]}), "no other value of the same system"),
        (_text({"id": "LiH/eq/hf_cbs/a"}), "must be SYSTEM/GEOMETRY/QUANTITY/VERSION"),
        (_text({"energy_hartree": "about eight"}), "energy_hartree is 'about eight'; it must be"),
        (_text({"energy_hartree": "nan"}), "must be a finite number"),
        (_text({"energy_hartree": ""}), "energy_hartree is missing"),
        (_text({"energy_hartree": "8.07"}), "a total energy must be negative"),
        (_text({"uncertainty_hartree": "-1"}), "must be at least 0"),
        (_text({"uncertainty_kind": ""}), "needs an uncertainty_kind"),
        (_text({"uncertainty_hartree": ""}), "needs an uncertainty_kind"),
        (_text({"source": ""}), "source is missing; where the value comes from"),
        (_text({}).replace('"', ""), "too many cells"),
        (_text({}) + "LiH/eq\n", "too few"),
        (_text({"quantity": "Exact value"}), "written like ccsd_t_cbs"),
        (_text({}).replace("kind", "sort"), "is missing or unknown"),
        (_text({}).splitlines()[1], "is missing or unknown"),
        ("", "is missing or unknown"),
        (_text({"id": ""}), "id is missing; a name SYSTEM/GEOMETRY"),
        (_text({"source": "long" * 40000}), "field larger than field limit"),
        (_text({}).rstrip() + '"', "unexpected end of data|expected after"),
        (
            _text(
                {"supersedes": "LiH/eq/exact/b"}, {"id": "LiH/eq/exact/b", "supersedes": GOOD["id"]}
            ),
            "superseded by a value that it supersedes itself",
        ),
    ],
)
def test_wrong_files_are_refused(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence):
        load_references(_write(tmp_path, text))


def test_an_unknown_system_is_refused_with_the_nearest_name(tmp_path):
    path = _write(tmp_path, _text({"id": "LiHH/eq/exact/a", "system": "LiHH"}))
    with pytest.raises(InputError, match="unknown system LiHH; did you mean LiH"):
        load_references(path, ["LiH", "N2"])


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no literature values"):
        load_references(tmp_path)
    with pytest.raises(InputError, match="Cannot read"):
        load_references(tmp_path / "nothing.csv")
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="Cannot read"):
        load_references(path)


def test_files_up_to_version_0_2_are_judged_as_that_version_did(tmp_path):
    lines = [
        "H4,a90,fci_cbs,-2.015251,2e-4,verified (decoded from a vector figure),a figure",
        "H4,a90,ferminet_paper,-2.01529,,verified (decoded from a vector figure),a figure",
    ]
    references = load_references(_write(tmp_path, OLD_HEADER + "\n".join(lines)))
    assert len(references) == 2
    bound = references.bound("H4", "a90")
    assert bound is not None
    assert bound.quantity == "fci_cbs"
    with pytest.raises(InputError, match="recalled"):
        load_references(_write(tmp_path, OLD_HEADER + "Be,eq,exact,-14.667,,recalled(low),x"))


def test_notes_name_kinds_uncertainties_and_each_dispute_once():
    full_ci = [
        reference("H4", angle, "fci_cbs", -2.0, u, dispute="FermiNet lies below it.")
        for angle, u in (("a85", 3e-4), ("a90", 2e-4))
    ]
    exact = reference("He", "eq", "exact", -2.9, 1e-9)
    assert reference_notes([exact, None, *full_ci]) == [
        "Kind of the reference: exact (He); extrapolated (H4).",
        "Uncertainty of the reference: H4 0.2 to 0.3 mEh (estimate); others are below 0.001 mEh or "
        "unknown.",
        "H4, FCI/CBS: FermiNet lies below it.",
    ]
    assert reference_notes([None]) == []


def test_tables_and_report_show_the_dispute_about_neon(make_vmc):
    references = project_references()
    neon = references.lookup("Ne", "eq", "exact")
    assert neon is not None
    rows = [make_vmc("Ne", -128.93, 1e-3)]
    table = build_table("atoms", rows, references)
    assert table.lines[0]["reference_id"] == "Ne/eq/exact/chakravorty-1993"
    assert table.lines[0]["reference_kind"] == "exact"
    for text in (to_markdown(table), render_report(rows, references, {})):
        assert neon.dispute in text
        assert "Ne 0.4 mEh (estimate)" in text


def test_the_curve_of_nitrogen_shows_both_potentials_and_the_dispute(make_vmc):
    references = project_references()
    curve_fields = {"parameter_name": "bond length", "parameter_unit": "bohr"}
    rows = [
        make_vmc("N2_curve", -109.19, 1e-3, geometry=x, parameter=float(x[1:]), **curve_fields)
        for x in ("r3.9504", "r4.0572")
    ]
    table = build_table("n2", rows, references)
    titles = [column.title for column in table.shown]
    assert {"MLR4(6,8) / hartree", "MLR3(9) / hartree"} <= set(titles)
    assert titles[-1] == "difference to MLR4(6,8) / mEh"
    assert table.lines[0]["mlr3_9_hartree"] == -109.202373
    figure = curve("N2_curve", rows, references)
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert {"MLR4(6,8)", "MLR3(9)"} <= set(labels)
    note = " ".join(figure._supxlabel.get_text().split())  # type: ignore[attr-defined]
    for text in (note, to_markdown(table)):
        assert "differ by up to 2.1 mEh" in text
        assert "fitted to experiment (N2_curve)" in text
    paper = to_markdown(build_table("paper", rows, references))
    assert "N2_curve: the paper's network has 32 determinants." in paper


@pytest.mark.parametrize(
    ("quantity", "label"),
    [
        ("ccsd_t_cbs", "CCSD(T)/CBS"),
        ("rccsd_cbs", "RCCSD/CBS"),
        ("hf_cbs", "HF/CBS"),
        ("mrci_q_f12_cbs", "MRCI+Q-F12/CBS"),
        ("ferminet_paper", "FermiNet (paper)"),
        ("my_method", "my method"),
    ],
)
def test_quantities_are_named_as_chemists_write_them(quantity, label):
    assert reference("N2", "eq", quantity, -109.0).label == label
