"""A share of the certification of verdicts and error bars; bounds follow from its size."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from experiments import coverage
from experiments.gate import (
    TYPICAL,
    Rates,
    against_bank,
    as_rows,
    certify,
    cost_of_defect,
    draw_rates,
    normal,
    resampled,
    synthetic,
    table,
)
from ferminet.benchmark.figures.style import render
from ferminet.benchmark.schema import Rows
from ferminet.errors import InputError
from ferminet.vmc.statistics import Estimate

TRIALS = 400


def test_equals_are_hardly_ever_worse_and_mostly_equivalent() -> None:
    found = synthetic("A", TYPICAL, TRIALS, key=7)
    # Nominal 1 %: more than the bound would happen once in 1,000 times.
    assert found.counts["worse"] <= stats.binom.ppf(0.999, TRIALS, 0.01)
    # At least 80 % are asked for; fewer than the bound would happen once in 1,000 times.
    assert found.counts["equivalent"] >= stats.binom.ppf(0.001, TRIALS, 0.80)


def test_a_millihartree_is_found() -> None:
    found = synthetic("A", TYPICAL, TRIALS, defect=1e-3, key=8)
    assert found.counts["worse"] >= stats.binom.ppf(0.001, TRIALS, 0.90)


def test_a_defect_is_judged_where_the_bank_has_its_system() -> None:
    rng = np.random.default_rng(9)

    def seeds(mean: float) -> Rows:
        return as_rows([mean + 1e-4 * rng.normal() for _ in range(8)], 1e-4)

    bank = {"Be": seeds(-14.667), "He": seeds(-2.9037)}
    defect = {"Be": seeds(-14.664), "Li": seeds(0.0)}
    found = against_bank("defect", defect, bank, 50)
    assert found.counts["worse"] == 50
    assert cost_of_defect(defect, bank).startswith(("Be +3.0", "Be +2.9", "Be +3.1"))
    with pytest.raises(InputError, match="no system"):
        against_bank("defect", {"Li": seeds(0.0)}, bank, 1)


def test_a_bank_is_split_without_replacement() -> None:
    """Seeds that all differ by far: a seed on both sides would pull the means together."""
    rows = as_rows(range(12), 1e-9)
    found = resampled("bank", {"He": rows, "Li": rows}, 30, seeds=(4, 8))
    assert found.trials == 30
    assert found.counts["equivalent"] == 0


def test_bounds_are_clopper_and_pearsons() -> None:
    rate, low, high = Rates("x", {"worse": 3, "undecided": 0, "better": 0, "equivalent": 97}).rate(
        "worse"
    )
    exact = stats.binomtest(3, 100).proportion_ci(0.90, method="exact")
    assert (rate, low, high) == pytest.approx((0.03, exact.low, exact.high))


def test_the_table_and_the_figure_have_all_kinds() -> None:
    rng = np.random.default_rng(1)
    bank = {
        name: as_rows([spread * float(normal(rng, 1)[0]) for _ in range(16)], stderr)
        for name, (spread, stderr) in TYPICAL.items()
    }
    found = certify(bank, 3, 3)
    assert len(table(found).splitlines()) == 1 + len(found) == 8
    assert render(draw_rates(found), "png").startswith(b"\x89PNG")


def test_coverage_counts_what_it_says() -> None:
    """Means of walkers drawn from a normal distribution of known mean: 95 % within 4 sigma."""
    rng, n = np.random.default_rng(2), 400
    found = coverage._coverage("x", 10, 100, rng.normal(1.0, 0.3, (n, 32)), Estimate(1.0, 0.0))
    assert abs(found.percent - 95.0) < 4 * 100 * (0.95 * 0.05 / n) ** 0.5
    # The scatter of 400 means is known to 1 / sqrt(800).
    assert abs(found.width - 1.0) < 4 / (2 * n) ** 0.5
    assert abs(found.bias_z) < 4
    biased = coverage._coverage("x", 10, 100, rng.normal(1.2, 0.3, (n, 32)), Estimate(1.0, 0.0))
    assert biased.percent < 10


def test_the_cases_energies_are_those_of_their_wavefunctions() -> None:
    """<H> of exp(-zeta r): zeta^2/2 - Z zeta per electron, and 5 zeta / 8 of repulsion."""
    assert coverage.hydrogen().energy == pytest.approx(0.8**2 / 2 - 0.8)
    zeta = 27 / 16
    assert coverage.helium().energy == pytest.approx(zeta**2 - 4 * zeta + 5 / 8 * zeta)


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_coverage_from_walkers_to_its_files(known: bool, monkeypatch, tmp_path) -> None:
    """Hydrogen with the energy told, and with the energy of a run of its own."""
    monkeypatch.setattr(coverage, "LENGTHS", {64: (2,), 8: (10,)})
    monkeypatch.setattr(coverage, "PILOT", 100)
    case = coverage.hydrogen()
    if not known:
        case = dataclasses.replace(case, energy=None)
    found = coverage.measure("H", case, 100, sizes=[64, 8])
    assert [(one.walkers, one.length, one.evaluations) for one in found] == [
        (64, 2, 100), (8, 10, 100),
    ]  # fmt: skip
    for one in found:
        # The means of few walkers are skew (docs/results/statistics.md): 88 % were seen at worst.
        assert one.percent > 88.0 - 4 * 100 * (0.88 * 0.12 / 100) ** 0.5
        assert abs(one.bias_z) < 4
    coverage.write(found, tmp_path)
    assert len((tmp_path / "coverage.csv").read_text().splitlines()) == 3
    assert coverage.measure("H", case, 10, sizes=[8])[0].walkers == 8
