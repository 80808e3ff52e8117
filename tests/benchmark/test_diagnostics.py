import math

import pytest

from ferminet.benchmark import diagnostics as judge
from ferminet.benchmark.references import Reference

EXACT = Reference("Be", "eq", "exact", -14.66736, 1e-4, "x", "verified")


@pytest.mark.parametrize(
    ("below", "stderr", "expected"),
    [(3.9e-4, 0.0, False), (4.1e-4, 0.0, True), (8.0e-4, 2e-4, False), (1.0e-3, 2e-4, True)],
)
def test_suspicious_is_more_than_four_combined_errors_below(make_vmc, below, stderr, expected):
    row = make_vmc("Be", EXACT.energy - below, stderr)
    assert judge.suspicious(row, EXACT) is expected


def test_only_sampled_energies_against_exact_ones_are_suspicious(make_vmc, make_baseline):
    low = EXACT.energy - 1.0
    coupled_cluster = Reference("Be", "eq", "ccsd_t_cbs", -14.66, 1e-4, "x", "verified")
    assert not judge.suspicious(make_vmc("Be", low, 1e-5), coupled_cluster)
    assert not judge.suspicious(make_vmc("Be", low, 1e-5), None)
    assert not judge.suspicious(make_baseline("Be", "ccsd_t", low), EXACT)
    assert not judge.suspicious(make_vmc("Be", None, None, status="failed"), EXACT)
    full = Reference("H4", "a90", "fci_cbs", -2.0153, 2e-4, "x", "verified")
    assert judge.suspicious(make_vmc("H4", -2.0353, 1e-4, geometry="a90"), full)


def test_z_without_any_error_is_infinite_not_a_crash():
    exact = Reference("H", "eq", "exact", -0.5, None, "x", "verified")
    assert judge.z_score(-0.5, 0.0, exact) == 0.0
    assert judge.z_score(-0.6, 0.0, exact) == -math.inf


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"s2": 0.10}, "spin"),
        ({"r_hat": 1.02}, "R-hat"),
        ({"stein_z": -5.0}, "sentinel"),
        ({"acceptance": 0.97}, "acceptance"),
        ({"status": "unfinished"}, "unfinished"),
        ({"status": "suspicious"}, "suspicious"),
        ({"details": {"n_nonfinite": 2}}, "not finite"),
        ({"energy": -14.7}, "suspicious"),
    ],
)
def test_each_doubt_is_named(make_vmc, references, fields, word):
    values = {"energy": -14.66, "stderr": 1e-4} | fields
    assert judge.flags(make_vmc("Be", **values), references)
    assert word in judge.flags(make_vmc("Be", **values), references)[0]


def test_sound_rows_and_null_diagnostics_have_no_flags(make_vmc, references):
    assert judge.flags(make_vmc("Be", -14.66, 1e-4), references) == []
    blank = {"s2": None, "r_hat": None, "stein_z": None, "acceptance": None}
    assert judge.flags(make_vmc("Li", -7.47, 1e-4, **blank), references) == []
