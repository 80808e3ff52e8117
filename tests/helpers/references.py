"""Literature values for tests."""

from typing import Any

from scipy import stats

from ferminet.benchmark.references import Reference

_KINDS = {"exact": "exact", "fci_cbs": "extrapolated", "ccsd_t_cbs": "extrapolated"}


def reference(
    system: str,
    geometry: str,
    quantity: str,
    energy: float,
    uncertainty: float | None = None,
    **fields: Any,
) -> Reference:
    """Return a literature value of the kind that its quantity usually has."""
    values = {
        "id": f"{system}/{geometry}/{quantity}/test",
        "system": system,
        "geometry": geometry,
        "quantity": quantity,
        "kind": _KINDS.get(quantity, "upper bound"),
        "energy_hartree": energy,
        "uncertainty_hartree": uncertainty,
        "uncertainty_kind": "estimate" if uncertainty else None,
        "confidence": "verified",
        "source": "a paper",
    }
    return Reference.model_validate(values | fields)


def student(n_seeds: int) -> float:
    """Return how much wider an interval of 95 % is whose spread was estimated from n seeds."""
    return stats.t.ppf(0.975, n_seeds - 1) / stats.norm.ppf(0.975)
