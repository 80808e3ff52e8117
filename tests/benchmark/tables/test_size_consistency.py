"""Size consistency: the energy of a distant pair minus twice that of one, with its error."""

import pytest

from ferminet.benchmark.references import References
from ferminet.benchmark.registry import pairs
from ferminet.benchmark.tables.build import build_table, table_names
from ferminet.benchmark.tables.formatting import to_markdown


@pytest.fixture
def both(make_vmc):
    return [make_vmc("H2", -1.1740, 3e-4), make_vmc("H2_pair", -2.3460, 8e-4)]


def test_a_pair_belongs_to_the_system_of_its_name() -> None:
    assert pairs(["H2", "Be", "H2_pair", "He_pair"]) == ["H2"]


def test_the_difference_has_the_errors_of_both(both) -> None:
    (line,) = build_table("size_consistency", both, References()).lines
    assert line["twice_hartree"] == pytest.approx(-2.3480)
    assert line["difference_mEh"] == pytest.approx(2.0)
    # Twice 0.3 and 0.8, in quadrature.
    assert line["difference_error_mEh"] == pytest.approx(1.0)
    assert line["z"] == pytest.approx(2.0)


def test_seeds_and_wavefunctions_are_compared_with_their_own(both, make_vmc) -> None:
    rows = [make_vmc("H2", -1.1742, 3e-4, seed=2), *both]
    rows += [make_vmc("H2", -1.16, 1e-3, ansatz="other")]
    table = build_table("size_consistency", rows, References())
    first, second = table.lines
    assert first["seeds"] == "1 2" or first["seeds"] == "2 1"
    assert first["difference_mEh"] == pytest.approx(2.2)
    assert second["ansatz"] == "other" and second["difference_mEh"] is None
    assert "H2_pair, other: not run." in to_markdown(table)


def test_the_difference_of_an_unfinished_training_is_marked(both) -> None:
    rows = [both[0], both[1].replace(status="unfinished")]
    text = to_markdown(build_table("size_consistency", rows, References()))
    assert "2(1)*" in text and "training has not finished" in text
    assert "*" not in to_markdown(build_table("size_consistency", both, References())).replace(
        "**", ""
    )


def test_systems_without_a_pair_have_no_such_table(both) -> None:
    assert "size_consistency" in table_names(both)
    assert "size_consistency" not in table_names(both[:1])
    assert "size_consistency" not in table_names(both[1:])
