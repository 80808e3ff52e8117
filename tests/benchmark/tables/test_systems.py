import csv
import io
import math
import re

import numpy as np
import pytest

from ferminet.benchmark import records
from ferminet.benchmark.curves import curve_series
from ferminet.benchmark.numbers import format_value
from ferminet.benchmark.references import References
from ferminet.benchmark.tables import formatting
from ferminet.benchmark.tables.build import build_table, table_names
from ferminet.benchmark.tables.systems import runs_table
from ferminet.config.layout import TABLE_FORMATS
from ferminet.errors import InputError
from tests.helpers.references import reference, student


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-8.0705123, 0.00004, "-8.07051(4)"),
        (-109.5388, 0.0001, "-109.5388(1)"),
        (1.2345, 0.0096, "1.23(1)"),
        (97.51, 0.26, "97.5(3)"),
        (12.3, 1.7, "12(2)"),
        (1234.5, 17.0, "1234(17)"),
        (-0.00004, 0.001, "0.000(1)"),
        (-0.5, 1e-12, "-0.50000000(1)"),
        (-0.5, 0.0, "-0.500000"),
        (-0.5, None, "-0.500000"),
        (-0.5, float("nan"), "-0.500000"),
    ],
)
def test_numbers_carry_their_error_in_the_last_digit(value, error, text):
    assert format_value(value, error) == text


def test_all_tables_are_named_and_built(rows, references):
    assert table_names(rows) == [
        "atoms",
        "molecules",
        "h4",
        "h4_derived",
        "h4_parallelity",
        "paper",
        "zero_variance",
        "runs",
    ]
    for name in table_names(rows):
        table = build_table(name, rows, references)
        assert table.name == name
        assert all(tuple(line) == table.columns or set(line) == set(table.columns)
                   for line in table.lines)  # fmt: skip
    with pytest.raises(InputError, match="No table 'h5'; these rows give atoms"):
        build_table("h5", rows, references)


def test_the_atoms_are_in_order_and_complete(rows, references):
    table = build_table("atoms", rows, references)
    lines = {line["system"]: line for line in table.lines}
    assert list(lines) == ["H", "He", "Li", "Be"]
    assert lines["H"]["percent"] is None
    assert lines["Li"]["percent"] == pytest.approx(99.1, abs=0.02)
    assert lines["Li"]["percent_hf_source"] == "HF/CBS"
    assert lines["Li"]["percent_reference_source"] == "exact"
    assert lines["Li"]["seeds"] == "1 2 3"
    assert lines["He"]["paper_hartree"] is None
    difference = 1e3 * (lines["Be"]["energy_hartree"] - lines["Be"]["exact_hartree"])
    assert lines["Be"]["difference_mEh"] == pytest.approx(difference)
    assert lines["Be"]["difference_error_mEh"] > 0.1  # the reference's uncertainty is in it
    text = formatting.to_markdown(table)
    assert "one electron has no correlation energy" in text
    assert re.search(r"\| He .*\| +– \|", text)  # noqa: RUF001


def test_a_gap_is_a_dash_with_its_reason(references, make_vmc, make_baseline):
    rows = [
        make_vmc("LiH", None, None, status="not_converged"),
        make_baseline("LiH", "hf", -7.98),
        make_baseline("LiH", "ccsd_t", None, status="not_converged"),
    ]
    table = build_table("molecules", rows, references)
    (line,) = table.lines
    assert line["energy_hartree"] is None
    assert line["percent"] is None
    assert (line["status"], line["ccsd_t_status"]) == ("not_converged", "not_converged")
    text = formatting.to_markdown(table)
    assert "CCSD(T)/cc-pVDZ not converged" in text
    assert "seed 1 not converged" in text
    assert "nan" not in text.lower().replace("determinant", "")


def test_a_system_without_any_reference_still_has_a_line(make_vmc, make_baseline):
    rows = [
        make_vmc("benzene_x", -1.0, 1e-4, n_electrons=42),
        make_baseline("benzene_x", "hf", -0.9, n_electrons=42),
    ]
    (line,) = build_table("molecules", rows, References()).lines
    assert line["energy_hartree"] == -1.0
    assert line["difference_mEh"] is None
    assert "no reference energy" in formatting.to_markdown(
        build_table("molecules", rows, References())
    )


def test_two_wavefunctions_or_settings_are_never_averaged(references, make_vmc):
    rows = [
        make_vmc("LiH", -8.07, 1e-4),
        make_vmc("LiH", -8.06, 1e-4, ansatz="mine", config_hash="ffffffff"),
        make_vmc("LiH", -8.05, 1e-4, config_hash="eeeeeeee"),
    ]
    table = build_table("molecules", rows, references)
    assert sorted(line["energy_hartree"] for line in table.lines) == [-8.07, -8.06, -8.05]
    headers = [column.header for column in table.shown]
    assert "ansatz" in headers
    assert "settings" in headers


def test_doubtful_energies_are_marked(references, make_vmc):
    rows = [make_vmc("LiH", -8.09, 1e-4, status="suspicious")]
    text = formatting.to_markdown(build_table("molecules", rows, references))
    assert "-8.0900(1)!" in text
    assert "suspicious" in text


def test_the_curve_shows_differences_and_no_percentage(rows, references):
    table = build_table("h4", rows, references)
    assert [line["parameter"] for line in table.lines] == [85, 88, 90, 92, 95]
    assert all(line["reference"] == "FCI/CBS" for line in table.lines)
    assert table.lines[2]["difference_mEh"] == pytest.approx(0.8, abs=0.01)
    assert not any("percent" in name for name in table.columns)
    headers = " ".join(column.header for column in table.shown)
    for name in ("FermiNet", "FCI/cc-pVDZ", "CCSD(T)/CBS", "FermiNet (paper)", "HF/cc-pVDZ"):
        assert name in headers


def test_the_curvature_of_h4_has_its_sign_and_error(rows, references):
    lines = {line["series"]: line for line in build_table("h4_derived", rows, references).lines}
    assert lines["FermiNet"]["curvature_mEh"] == pytest.approx(2.05, abs=0.01)
    assert lines["FCI/CBS"]["curvature_mEh"] == pytest.approx(2.051, abs=0.001)
    assert lines["CCSD(T)/CBS"]["curvature_mEh"] == pytest.approx(-5.726, abs=0.001)
    single = student(3) * 1e-4 / 3**0.5
    assert lines["FermiNet"]["curvature_error_mEh"] == pytest.approx(1e3 * single * 1.5**0.5)
    assert lines["FermiNet"]["spread_a85_a95_mEh"] == pytest.approx(-0.1, abs=1e-6)
    assert lines["FermiNet"]["spread_a85_a95_error_mEh"] == pytest.approx(1e3 * single * 2**0.5)
    assert lines["FCI/cc-pVDZ"]["curvature_error_mEh"] is None
    assert "E(90°)" in formatting.to_markdown(build_table("h4", rows, references))


def test_how_parallel_the_curve_is(rows, references):
    table = build_table("h4_parallelity", rows, references)
    lines = {line["series"]: line for line in table.lines}
    assert "FCI/CBS" not in lines  # the reference
    curve = build_table("h4", rows, references).lines
    errors = np.array([line["difference_mEh"] for line in curve])
    sigma = np.array([1e3 * line["energy_error_hartree"] for line in curve])
    found = lines["FermiNet"]
    assert found["points"] == 5
    assert found["mean_mEh"] == pytest.approx(errors.mean())
    assert found["mean_error_mEh"] == pytest.approx(np.sqrt(np.sum(sigma**2)) / 5)
    assert found["nonparallelity_mEh"] == pytest.approx(np.ptp(errors))
    deviations = np.abs(errors - errors.mean())
    assert found["deviation_mEh"] == pytest.approx(deviations.mean())
    # Errors by finite differences.
    for name, function in {
        "nonparallelity": np.ptp,
        "deviation": lambda e: np.mean(np.abs(e - e.mean())),
    }.items():
        step = 1e-7 * np.eye(5)
        slopes = np.array([function(errors + d) - function(errors - d) for d in step]) / 2e-7
        expected = np.sqrt(np.sum((slopes * sigma) ** 2))
        assert found[f"{name}_error_mEh"] == pytest.approx(expected, rel=1e-5)
    # Coupled cluster has the wrong shape.
    assert lines["CCSD(T)/CBS"]["nonparallelity_mEh"] > 5 * found["nonparallelity_mEh"]
    one = [row for row in rows if row.geometry in ("a90", "eq")]
    (line,) = build_table("h4_parallelity", one, references).lines
    assert line["mean_mEh"] is None


def test_a_missing_angle_is_a_gap_not_a_crash(rows, references):
    incomplete = [row for row in rows if row.geometry != "a90" or row.method != "vmc"]
    table = build_table("h4", incomplete, references)
    assert table.lines[2]["energy_hartree"] is None
    lines = {line["series"]: line for line in table.appendix.lines}
    assert lines["FermiNet"]["curvature_mEh"] is None


def test_two_references_of_one_method_are_two_series(rows, references, make_baseline):
    curve = {"geometry": "a90", "parameter": 90.0, "parameter_name": "angle"}
    more = [*rows, make_baseline("H4", "hf", -1.9, reference="uhf", **curve)]
    labels = [series.label for series in curve_series("H4", more, references)]
    assert "HF/cc-pVDZ (RHF)" in labels
    assert "HF/cc-pVDZ (UHF)" in labels


@pytest.mark.parametrize(
    "name",
    ["atoms", "molecules", "h4", "h4_derived", "h4_parallelity", "paper", "zero_variance", "runs"],
)
def test_every_format_is_written(tmp_path, rows, references, name):
    table = build_table(name, rows, references)
    for ending in TABLE_FORMATS:
        formatting.write(table, tmp_path / f"{name}.{ending}")
    lines = list(csv.DictReader(io.StringIO((tmp_path / f"{name}.csv").read_text())))
    frame = records.read_table(tmp_path / f"{name}.parquet")
    assert len(lines) == len(frame) == len(table.lines)
    for key in table.columns:
        if key.endswith("_hartree"):
            assert frame.attrs["units"][key] == "hartree"
            for line, full in zip(lines, table.lines, strict=True):
                read = float(line[key]) if line[key] else None
                assert read == full[key]  # all digits


def test_a_table_without_rows_has_its_columns(tmp_path, references):
    table = build_table("atoms", [], references)
    for ending in TABLE_FORMATS:
        formatting.write(table, tmp_path / f"atoms.{ending}")
    assert (tmp_path / "atoms.csv").read_text().startswith("study,system,geometry")
    assert "No rows." in (tmp_path / "atoms.md").read_text()


def test_latex_is_escaped_and_aligned(references, make_vmc):
    rows = [
        make_vmc("my_50%_mol#1&", -8.0701234, 4e-5, n_electrons=4),
        make_vmc("BH", -18.07, 1e-4),
    ]
    text = formatting.to_latex(build_table("molecules", rows, references))
    assert r"{my\_50\%\_mol\#1\&}" in text
    assert r"\toprule" in text
    assert "S[table-format=-2.5(1)]" in text
    assert re.search(r"& -8\.07012\(4\) &", text)
    assert "{--}" in text
    assert text.isascii()
    for line in text.splitlines():
        if line.endswith(r" \\"):
            assert len(re.findall(r"(?<!\\)&", line)) == 7


def test_the_depth_of_a_well_is_at_the_references_minimum(make_vmc) -> None:
    """The lowest point is chosen by the reference, not by our noise; errors are propagated."""
    curve = {"parameter_name": "bond length", "parameter_unit": "bohr"}
    ours = {"r1": (-1.20, 1e-3), "r2": (-1.19, 2e-3), "r8": (-1.00, 4e-3)}
    rows = [
        make_vmc("X2", energy, error, geometry=label, parameter=float(label[1:]), **curve)
        for label, (energy, error) in ours.items()
    ]
    references = References(
        reference("X2", label, "exact", energy, 1e-4)
        for label, energy in (("r1", -1.19), ("r2", -1.21), ("r8", -1.0), ("r9", -0.99))
    )
    table = build_table("x2_derived", rows, references)
    lines = {line["series"]: line for line in table.lines}
    assert lines["FermiNet"]["depth_mEh"] == pytest.approx(190.0)
    assert lines["FermiNet"]["depth_error_mEh"] == pytest.approx(1e3 * math.hypot(2e-3, 4e-3))
    assert lines["exact"]["depth_mEh"] == pytest.approx(210.0)
    assert "between r2" in table.notes[0] and "and r8" in table.notes[0]


def test_the_table_of_atoms_has_conventional_monte_carlo(rows) -> None:
    references = References(
        [
            reference("Be", "eq", "exact", -14.66736, 1e-4),
            reference("Be", "eq", "vmc_literature", -14.66719, 1e-5),
        ]
    )
    table = build_table("atoms", rows, references)
    titles = [column.title for column in table.shown]
    assert "VMC (literature) / hartree" in titles
    assert "DMC (literature) / hartree" not in titles
    (beryllium,) = (line for line in table.lines if line["system"] == "Be")
    assert beryllium["vmc_hartree"] == -14.66719


def test_the_table_of_runs_has_the_virial_ratio_where_it_should_be_two(make_vmc, references):
    energies = {"kinetic": 2.9, "potential": -5.8058}
    new = make_vmc("He", -2.9, 1e-4, details={**energies, "virial_ratio_error": 3e-4})
    old = make_vmc("LiH", -8.07, 1e-4, details=energies)
    curve = {"geometry": "a90", "parameter": 90.0, "parameter_name": "angle"}
    stretched = make_vmc("H4", -2.01, 1e-4, details=energies, parameter_unit="degree", **curve)
    table = runs_table([new, old, stretched], references)
    shown = [column.header for column in table.shown]
    column = [line[shown.index("−⟨V⟩/⟨T⟩")] for line in table.cells()]  # noqa: RUF001
    assert column == ["2.0020(3)", "2.002", "–"]  # noqa: RUF001
    assert any("its own energy is lowest" in note for note in table.notes)
    without = runs_table([stretched], references)
    assert not any("virial" in note for note in without.notes)
