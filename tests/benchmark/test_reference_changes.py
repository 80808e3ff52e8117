import pytest

from ferminet.benchmark.reference_changes import judgement, judgement_changes
from ferminet.benchmark.references import References
from tests.helpers.references import reference

ROW = {"geometry": "a90", "parameter": 90.0}
FULL_CI = ("H4", "a90", "fci_cbs", -2.0153, 2e-4)


def test_a_judgement_names_the_bound_and_the_accuracy(make_vmc):
    low, high = (make_vmc("Be", energy, 1e-4) for energy in (-14.68, -14.65))
    exact = References([reference("Be", "eq", "exact", -14.667356)])
    assert judgement(low, exact) == "suspicious; beyond 1.6 mEh of exact, exact"
    assert judgement(high, exact) == "plausible; beyond 1.6 mEh of exact, exact"
    coupled = References([reference("Be", "eq", "ccsd_t_cbs", -14.65)])
    assert judgement(high, coupled) == "no bound; within 1.6 mEh of CCSD(T)/CBS, extrapolated"
    assert judgement(high, References()) == "no bound"


def test_only_rows_whose_judgement_changes_are_listed(make_vmc, make_baseline):
    sampled = make_vmc("H4", -2.0150, 1e-4, **ROW)
    below = make_vmc("H4", -2.0200, 1e-4, **ROW, seed=2)
    rows = [sampled, below, make_vmc("Be", -14.6, 1e-4), make_baseline("H4", "fci", -2.1, **ROW)]
    old, new = (References([reference(*FULL_CI, kind=k)]) for k in ("exact", "extrapolated"))
    changes = judgement_changes(rows, old, new)
    assert [change.row for change in changes] == [sampled.label, below.label]
    assert [change.before.split(";")[0] for change in changes] == ["plausible", "suspicious"]
    assert {change.after.split(";")[0] for change in changes} == {"no bound"}
    assert judgement_changes(rows, new, new) == []


@pytest.mark.parametrize(("older", "changed"), [(-14.6500, 1), (-14.6673, 0)])
def test_a_moved_value_changes_a_judgement_only_across_a_threshold(make_vmc, older, changed):
    rows = [make_vmc("Be", -14.6669, 1e-4)]
    old, new = (References([reference("Be", "eq", "exact", e)]) for e in (older, -14.667356))
    assert len(judgement_changes(rows, old, new)) == changed
