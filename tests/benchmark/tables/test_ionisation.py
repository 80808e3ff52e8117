"""Ionisation potentials and electron affinities: differences, errors, gaps."""

import csv
import io

import numpy as np
import pytest
import scipy.constants

from ferminet.benchmark.figures import FIGURES
from ferminet.benchmark.figures.systems import correlation, errors
from ferminet.benchmark.references import References
from ferminet.benchmark.registry import find_target
from ferminet.benchmark.report import (
    PAPER_IONS,
    figure_details,
    not_covered,
    render_report,
    summary_text,
)
from ferminet.benchmark.tables import formatting
from ferminet.benchmark.tables.build import build_table, contents_of, table_names
from ferminet.benchmark.tables.ionisation import ionisation_table
from ferminet.benchmark.tables.systems import kind_of
from ferminet.config.layout import TABLE_FORMATS
from ferminet.systems.elements import has_ionisation, ionisation_pairs
from ferminet.units import ELECTRONVOLT_PER_HARTREE
from tests.helpers.references import reference as literature
from tests.helpers.references import student

ENERGIES = {"Li": -7.4779, "Li+": -7.2797, "Li-": -7.5001}


def reference(system, quantity, energy, uncertainty=None):
    return literature(system, "eq", quantity, energy, uncertainty)


@pytest.fixture
def ion_rows(make_vmc, make_baseline):
    rows = []
    for number, (system, energy) in enumerate(ENERGIES.items()):
        electrons = {"n_electrons": 3 - number % 3, "unpaired_electrons": 1 - min(number, 1)}
        for seed, shift in ((1, -2e-4), (2, 2e-4)):
            hashes = {"config_hash": f"aaaaaaa{number}"}  # it covers the nuclei and electrons
            rows.append(make_vmc(system, energy + shift, 1e-4, seed=seed, **hashes, **electrons))
        for method, off in (("hf", 0.04), ("ccsd_t", 0.002)):
            for basis, error in (("aug-cc-pvdz", 0.1), ("aug-cc-pvtz", 0.05)):
                shift = off + error + 1e-3 * number * error
                rows.append(make_baseline(system, method, energy + shift, basis=basis, **electrons))
    return rows


def lines_of(rows, references=None):
    lines = ionisation_table(rows, references or References()).lines
    return {line["ion"]: line for line in lines}


def test_ions_are_recognised_by_their_names():
    assert ionisation_pairs(["C", "C+", "C++", "C-", "CO", "CO+", "Xx+"]) == {
        "C+": "C", "C++": "C+", "C-": "C"
    }  # fmt: skip
    assert has_ionisation(["Li", "F-", "F"])
    assert not has_ionisation(["Li", "F-", "C++", "C"])


def test_potentials_and_affinities_are_differences(ion_rows):
    lines = lines_of(ion_rows)
    assert list(lines) == ["Li+", "Li-"]
    assert lines["Li+"]["vmc_mEh"] == pytest.approx(198.2)
    assert lines["Li-"]["vmc_mEh"] == pytest.approx(22.2)
    assert lines["Li-"]["vmc_eV"] == pytest.approx(0.0222 * 27.2114, abs=1e-6)
    hartree = scipy.constants.physical_constants["Hartree energy in eV"][0]
    assert pytest.approx(hartree, rel=1e-9) == ELECTRONVOLT_PER_HARTREE
    quantities = [line["quantity"] for line in lines.values()]
    assert quantities == ["ionisation potential", "electron affinity"]
    assert lines["Li+"]["config_hash_ion"] == "aaaaaaa1"
    assert lines["Li+"]["seeds_atom"] == lines["Li+"]["seeds_ion"] == "1 2"


def test_the_error_is_that_of_many_repetitions(make_vmc):
    """Three seeds each, whose errors of sampling are larger than their spread, drawn anew."""
    random = np.random.default_rng(3)
    stderr = {"Li": 3e-4, "Li+": 1e-4}
    seeds, repeats = 3, 20_000
    means = {
        name: random.normal(ENERGIES[name], error, (repeats, seeds)).mean(axis=1)
        for name, error in stderr.items()
    }
    brute = 1e3 * np.std(means["Li+"] - means["Li"], ddof=1)
    rows = [
        make_vmc(name, ENERGIES[name], error, seed=seed)
        for name, error in stderr.items()
        for seed in range(seeds)
    ]
    line = lines_of(rows)["Li+"]
    # A standard deviation of n draws is uncertain by 1/sqrt(2 n): 0.5 %, five of which are allowed.
    assert line["vmc_error_mEh"] == pytest.approx(brute, rel=5 / np.sqrt(2 * repeats))
    ratio = line["vmc_error_eV"] / line["vmc_error_mEh"]
    assert ratio == pytest.approx(1e-3 * ELECTRONVOLT_PER_HARTREE)


def test_the_spread_of_seeds_counts(ion_rows):
    spread = 1e3 * np.hypot(2e-4, 2e-4)  # of two seeds 0.4 mEh apart: sqrt(2) 0.2 / sqrt(2), twice
    assert lines_of(ion_rows)["Li+"]["vmc_error_mEh"] == pytest.approx(student(2) * spread)


def test_both_baselines_have_the_same_basis(ion_rows, make_baseline):
    line = lines_of(ion_rows)["Li+"]
    assert line["ccsd_t_basis"] == line["hf_basis"] == "aug-cc-pVTZ"
    assert line["ccsd_t_mEh"] == pytest.approx(198.2 + 0.05)
    # The atom alone in a larger one changes nothing; a limit of both does, with its error.
    larger = make_baseline("Li", "ccsd_t", -9.9, basis="aug-cc-pvqz", n_electrons=3)
    assert lines_of([*ion_rows, larger])["Li+"]["ccsd_t_mEh"] == line["ccsd_t_mEh"]
    limits = [
        make_baseline(name, "ccsd_t", energy, basis="cbs-small", stderr=stderr, n_electrons=2)
        for name, energy, stderr in (("Li", -7.478, 3e-4), ("Li+", -7.28, 4e-4))
    ]
    line = lines_of([*ion_rows, *limits])["Li+"]
    assert line["ccsd_t_basis"] == "CBS (small)"
    assert line["ccsd_t_mEh"] == pytest.approx(198.0)
    assert line["ccsd_t_error_mEh"] == pytest.approx(0.5)
    assert line["hf_error_mEh"] is None
    text = formatting.to_markdown(ionisation_table([*ion_rows, *limits], References()))
    assert "198.0(5)" in text


def test_bases_that_differ_are_not_subtracted(make_baseline):
    rows = [
        make_baseline("Li", "hf", -7.43, basis="aug-cc-pvdz"),
        make_baseline("Li+", "hf", -7.23, basis="aug-cc-pvtz"),
    ]
    table = ionisation_table(rows, References())
    assert table.lines[0]["hf_mEh"] is None
    assert any("no basis set in common" in note for note in table.notes)


@pytest.mark.parametrize("missing", ["Li", "Li+"])
def test_a_gap_is_a_dash_with_its_reason(ion_rows, make_vmc, missing):
    rows = [
        row
        for row in ion_rows
        if row.system in ("Li", "Li+") and (row.system != missing or row.method == "hf")
    ]
    table = ionisation_table(rows, References())
    (line,) = table.lines
    assert line["vmc_mEh"] is line["vmc_eV"] is line["ccsd_t_mEh"] is None
    assert line["hf_mEh"] == pytest.approx(198.25)
    text = formatting.to_markdown(table)
    assert f"IP of Li, FermiNet: {missing} not run." in text
    assert f"IP of Li, CCSD(T): {missing} not run." in text
    assert "nan" not in text.lower().replace("quantity", "")
    failed = make_vmc(missing, None, None, status="not_converged", n_electrons=3)
    text = formatting.to_markdown(ionisation_table([*rows, failed], References()))
    assert f"{missing} seed 1 not converged" in text


def test_ambiguous_settings_are_not_subtracted(ion_rows, make_vmc):
    more = make_vmc("Li", -7.47, 1e-4, config_hash="bbbbbbbb", n_electrons=3)
    table = ionisation_table([*ion_rows, more], References())
    assert all(line["vmc_mEh"] is None for line in table.lines)
    assert any("Li has 2 settings" in note for note in table.notes)


def test_doubt_about_one_of_the_two_is_shown(ion_rows):
    rows = [r.replace(status="suspicious") if r.system == "Li+" else r for r in ion_rows]
    text = formatting.to_markdown(ionisation_table(rows, References()))
    assert "198(2)!" in text
    assert "22(2)!" not in text


def test_literature_values_and_differences_to_them_are_shown(ion_rows):
    published = References(
        [
            reference("Li", "exact", -7.47806, 3e-5),
            reference("Li+", "exact", -7.279913, 4e-5),
            reference("Li+", "ionisation_experiment", 0.1981419),
            reference("Li-", "ionisation_experiment", 0.0227),
            reference("Li+", "ionisation_ferminet_paper", 0.19811, 2e-5),
        ]
    )
    lines = lines_of(ion_rows, published)
    potential, affinity = lines["Li+"], lines["Li-"]
    assert potential["exact_mEh"] == pytest.approx(198.147)
    assert potential["exact_uncertainty_mEh"] == pytest.approx(0.05)
    assert potential["difference_mEh"] == pytest.approx(198.2 - 198.147)
    assert potential["difference_error_mEh"] == pytest.approx(
        np.hypot(0.05, student(2) * 0.2 * 2**0.5)
    )
    assert potential["paper_mEh"] == pytest.approx(198.11)
    assert affinity["exact_mEh"] is affinity["paper_mEh"] is None
    text = formatting.to_markdown(ionisation_table(ion_rows, published))
    assert "No source was seen for the paper's values of Li (EA)." in text
    assert "198.1419" in text
    # 198.1419 measured, 198.147(50) exact; 22.7 of the anion has nothing to be compared with.
    assert "Measured minus exact, in mEh: Li -0.01(5)." in text


def test_a_measured_value_is_never_a_difference_with_an_error(ion_rows):
    """It contains relativity, which no sampling error covers."""
    measured = References(
        [
            reference("Li+", "ionisation_experiment", 0.1981419),
            reference("Li", "exact", -7.47806, 3e-5),
        ]
    )
    line = lines_of(ion_rows, measured)["Li+"]
    assert line["experiment_mEh"] == pytest.approx(198.1419)
    assert line["exact_mEh"] is line["difference_mEh"] is line["difference_error_mEh"] is None
    text = formatting.to_markdown(ionisation_table(ion_rows, measured))
    assert "include relativity and the motion of the nuclei" in text
    assert "Measured minus exact" not in text


def test_ions_have_their_own_table_and_appear_in_no_other(ion_rows, rows, references):
    both = [*rows, *(row for row in ion_rows if row.system != "Li")]
    assert table_names(both) == [
        "atoms", "molecules", "h4", "h4_derived", "h4_parallelity", "ionisation", "paper",
        "zero_variance", "runs",
    ]  # fmt: skip
    assert "ionisation" not in table_names([r for r in both if r.system != "Li"])
    assert {kind_of(row) for row in ion_rows} == {"atom", "ion"}
    for name in ("atoms", "molecules"):
        assert build_table(name, both, references) == build_table(name, rows, references)
    details = [
        figure_details(target, given)
        for given in (both, rows)
        if (target := find_target("errors", FIGURES, contents_of(given)))
    ]
    assert len(details) == 2 and details[0] == details[1]
    for draw in (correlation, errors):
        axes = draw(both, references).axes[-1]
        assert not any("+" in text.get_text() for text in axes.get_xticklabels())
    # Their total energies are not lost, though.
    assert {"Li+", "Li-"} <= {line.split()[0] for line in summary_text(both, references).split("\n")
                              if line}  # fmt: skip
    page = render_report(both, references, {})
    assert "Ionisation potentials and electron affinities" in page
    assert "electron affinity" in page


@pytest.mark.parametrize("ending", TABLE_FORMATS)
def test_every_format_is_written(tmp_path, ion_rows, ending):
    table = ionisation_table(ion_rows, References())
    formatting.write(table, tmp_path / f"ionisation.{ending}")
    if ending == "csv":
        text = (tmp_path / "ionisation.csv").read_text()
        first = next(csv.DictReader(io.StringIO(text)))
        assert float(first["vmc_eV"]) == table.lines[0]["vmc_eV"]
        assert first["exact_mEh"] == ""
    if ending == "tex":
        assert (tmp_path / "ionisation.tex").read_text().isascii()


def test_ions_of_the_paper_that_rows_do_not_cover_are_listed(ion_rows, references):
    def part(rows):
        return [text for text in not_covered(rows, references) if "ionisation" in text]

    baselines = [row for row in ion_rows if row.method != "vmc"]
    whole = "ionisation potentials and electron affinities of the atoms"
    assert part(baselines) == [whole]
    (some,) = part(ion_rows)
    assert some == f"{whole}: {', '.join(i for i in PAPER_IONS if i[:-1] != 'Li')}"
    everything = [
        row.replace(system=name + row.system.removeprefix("Li"))
        for name in ("Li", "Be", "B", "C", "N", "O", "F", "Ne")
        for row in ion_rows
    ]
    assert part(everything) == []
