import numpy as np
import pytest

from experiments.extrapolation import judge, pooled
from ferminet.benchmark.references import project_references
from ferminet.benchmark.zero_variance import Points

HELIUM = -2.903724


def points(end: float) -> Points:
    """Points on a line that ends at an energy."""
    variance = np.array([0.01, 0.02, 0.03])
    return Points(variance, end + variance, np.zeros(3), np.full(3, 1e-4))


def test_extrapolations_are_compared_with_the_exact_energy():
    references = project_references()
    cases = [points(HELIUM + shift) for shift in (0.0, 2e-3)]
    close = points(HELIUM)._replace(variance=np.array([0.5, 0.51, 0.52]))
    verdict = judge("He", [*cases, close], references)
    assert verdict.tried == 3
    np.testing.assert_allclose(verdict.differences, [0.0, 2.0], atol=1e-3)
    np.testing.assert_allclose(verdict.lowest, [10.0, 12.0], atol=1e-3)
    assert "| 50 % |" in verdict.line()
    everything = pooled([verdict, judge("N", [], references)])
    assert everything.tried == 3 and len(everything.bars) == 2
    with pytest.raises(ValueError, match="no exact energy"):
        judge("H4", [], references)
