import math

import numpy as np
import pytest

from ferminet.benchmark.estimates import (
    basis_label,
    basis_rank,
    choose_baseline,
    combine_seeds,
    correlation_recovered,
)
from tests.helpers.references import reference

HF = reference("LiH", "eq", "hf_cbs", -7.98737, 1e-5)
EXACT = reference("LiH", "eq", "exact", -8.070548, 2e-5)


def test_one_seed_is_shown_as_it_is(make_vmc):
    found = combine_seeds([make_vmc("LiH", -8.07, 2e-4, seed=7)])
    assert (found.energy, found.error, found.seeds) == (-8.07, 2e-4, (7,))


def test_the_larger_of_propagated_error_and_spread_counts(make_vmc):
    def error(step, stderr):
        energies = [-8.07 + step * k for k in (-1, 0, 1)]
        rows = [make_vmc("LiH", e, stderr, seed=k) for k, e in enumerate(energies)]
        found = combine_seeds(rows)
        assert found.energy == pytest.approx(-8.07)
        return found.error

    # Two degrees of freedom: 4.303 instead of 1.960 standard errors cover 95 %.
    assert error(1e-3, 1e-5) == pytest.approx(4.302653 / 1.959964 * 1e-3 / math.sqrt(3))
    assert error(1e-6, 3e-4) == pytest.approx(3e-4 / math.sqrt(3))


@pytest.mark.parametrize("n_seeds", [2, 3, 4, 16])
def test_the_error_of_few_seeds_covers_the_mean_in_95_percent(make_vmc, n_seeds):
    """Where training scatters by far more than sampling; 1.96 times the plain error covers less."""
    trials = 1000
    energies = np.random.default_rng(n_seeds).normal(-8.0, 1e-3, size=(trials, n_seeds))
    covered = 0
    for seeds in energies:
        found = combine_seeds([make_vmc("LiH", e, 1e-6, seed=k) for k, e in enumerate(seeds)])
        covered += abs(found.energy + 8.0) < 1.959964 * found.error
    z = (covered - 0.95 * trials) / math.sqrt(0.95 * 0.05 * trials)
    assert abs(z) < 3.5


def test_unfinished_rows_count_only_without_finished_ones(make_vmc):
    done = make_vmc("LiH", -8.07, 1e-4, seed=1)
    part = make_vmc("LiH", -8.0, 1e-4, seed=2, status="unfinished")
    dead = make_vmc("LiH", None, None, seed=3, status="failed")
    found = combine_seeds([done, part, dead])
    assert (found.energy, found.status, found.seeds) == (-8.07, "complete", (1,))
    assert found.reason == "seed 2 unfinished; seed 3 failed"
    assert combine_seeds([part, dead]).status == "unfinished"
    nothing = combine_seeds([dead])
    assert (nothing.energy, nothing.status) == (None, "failed")
    assert combine_seeds([]).status == "missing"


def test_a_suspicious_seed_stays_in_and_marks_the_mean(make_vmc):
    rows = [make_vmc("LiH", -8.07, 1e-4), make_vmc("LiH", -8.09, 1e-4, seed=2, status="suspicious")]
    found = combine_seeds(rows)
    assert found.energy == pytest.approx(-8.08)
    assert found.status == "suspicious"


def test_seeds_of_unequal_length_are_reported(make_vmc):
    rows = [make_vmc("LiH", -8.07, 1e-4, seed=s, iterations=100 * s) for s in (1, 2)]
    assert "100, 200 iterations" in combine_seeds(rows).reason


def test_the_error_of_the_percentage_agrees_with_sampling_all_three():
    energy, error = -8.0684, 3e-5
    found = correlation_recovered(energy, error, 4, HF, EXACT)
    rng = np.random.default_rng(0)
    n = 200_000
    hf = HF.energy + 1e-5 * rng.standard_normal(n)
    exact = EXACT.energy + 2e-5 * rng.standard_normal(n)
    sampled = 100 * (hf - (energy + error * rng.standard_normal(n))) / (hf - exact)
    assert found.percent == pytest.approx(sampled.mean(), abs=1e-3)
    assert found.error == pytest.approx(sampled.std(), rel=0.01)
    assert (found.hf_source, found.reference_source) == ("HF/CBS", "exact")


def test_no_percentage_where_it_means_nothing(make_baseline):
    hydrogen = reference("H", "eq", "exact", -0.5, 0.0)
    assert "one electron" in correlation_recovered(-0.5, 1e-6, 1, hydrogen, hydrogen).reason
    assert correlation_recovered(None, None, 4, HF, EXACT).percent is None
    assert "no reference" in correlation_recovered(-8.0, 1e-4, 4, HF, None).reason
    assert "Hartree-Fock" in correlation_recovered(-8.0, 1e-4, 4, None, EXACT).reason
    failed = choose_baseline([make_baseline("LiH", "hf", None, status="not_converged")], "hf")
    assert "Hartree-Fock" in correlation_recovered(-8.0, 1e-4, 4, failed, EXACT).reason
    assert "below" in correlation_recovered(-8.0, 1e-4, 4, EXACT, HF).reason


def test_an_own_hartree_fock_row_is_named_with_its_basis(make_baseline):
    own = choose_baseline([make_baseline("LiH", "hf", -7.98)], "hf")
    assert correlation_recovered(-8.07, 1e-4, 4, own, EXACT).hf_source == "HF/cc-pVDZ"


def test_the_largest_converged_basis_is_chosen(make_baseline):
    rows = [
        make_baseline("LiH", "ccsd_t", -8.01, basis="cc-pvdz"),
        make_baseline("LiH", "ccsd_t", -8.04, basis="aug-cc-pcvtz"),
        make_baseline("LiH", "ccsd_t", None, basis="cc-pv5z", status="not_converged"),
    ]
    assert choose_baseline(rows, "ccsd_t").source == "CCSD(T)/aug-cc-pCVTZ"
    chosen = choose_baseline(rows[2:], "ccsd_t")
    assert (chosen.energy, chosen.reason) == (None, "CCSD(T)/cc-pV5Z not converged")
    assert choose_baseline(rows, "fci").status == "missing"


def test_basis_sets_are_ordered_and_written_as_usual():
    names = ["sto-3g", "cc-pvdz", "aug-cc-pvdz", "cc-pvtz", "aug-cc-pcvqz", "cbs(cc-pvtz,cc-pvqz)"]
    assert sorted(reversed(names), key=basis_rank) == names
    assert basis_label("aug-cc-pcvqz") == "aug-cc-pCVQZ"
    assert basis_label("cc-pwcvtz") == "cc-pwCVTZ"
    assert basis_label("sto-3g") == "STO-3G"
