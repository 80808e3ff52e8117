"""Rows with energies near the exact values, as a small study would give them."""

from collections.abc import Callable
from typing import Any

import pytest

from ferminet.benchmark.references import References
from ferminet.benchmark.schema import EnergyRow, Rows, row
from tests.helpers.references import reference

# system: (electrons, unpaired, HF limit, exact, uncertainty, HF and CCSD(T) in a basis)
SYSTEMS: dict[str, tuple[int, int, float, float, float, float, float]] = {
    "H": (1, 1, -0.5, -0.5, 0.0, -0.499278, -0.499278),
    "He": (2, 0, -2.86168, -2.903724, 0.0, -2.855160, -2.887595),
    "Li": (3, 1, -7.432747, -7.478060, 0.0, -7.432420, -7.432637),
    "Be": (4, 0, -14.57301, -14.66736, 1e-4, -14.572338, -14.617409),
    "LiH": (4, 0, -7.98737, -8.070548, 0.0, -7.983650, -8.014730),
}
H4_FCI_CBS = {85: -2.017302, 88: -2.015558, 90: -2.015251, 92: -2.015558, 95: -2.017302}
H4_CCSDT_CBS = {85: -2.022926, 88: -2.025502, 90: -2.028652, 92: -2.025502, 95: -2.022926}
H4_PAPER = {85: -2.017449, 88: -2.015639, 90: -2.015290, 92: -2.015648, 95: -2.017470}
RECOVERED = {"H": 1.0, "He": 0.998, "Li": 0.991, "Be": 0.978, "LiH": 0.975}


def base(**fields: Any) -> EnergyRow:
    """Columns that every row of the demonstration has."""
    common = {
        "study": "demo",
        "geometry": "eq",
        "status": "complete",
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "package_versions": {"jax": "0.10.2", "pyscf": "2.13.0", "python": "3.11.9"},
        "device": "cpu",
        "wall_s": 12.0,
        "created_utc": "2026-01-31T12:00:00Z",
        "method_version": "1",
    }
    return row(**(common | fields))


def vmc(system: str, energy: float | None, stderr: float | None, **fields: Any) -> EnergyRow:
    """A row of method vmc."""
    electrons, unpaired = SYSTEMS[system][:2] if system in SYSTEMS else (4, 0)
    spin = unpaired / 2
    values = {
        "system": system, "method": "vmc", "ansatz": "ferminet", "config_hash": "1a2b3c4d",
        "seed": 1, "energy": energy, "stderr": stderr, "n_electrons": electrons,
        "unpaired_electrons": unpaired, "walkers": 512, "iterations": 2000, "parameters": 10_000,
        "variance": 0.01, "tau": 8.0, "r_hat": 1.001, "s2": spin * (spin + 1), "s2_stderr": 0.001,
        "stein_z": 0.4, "acceptance": 0.52, "evaluation_seed": 77, "evaluation_iterations": 1000,
        "precision": "float32", "deviations": ["a tuned step size"], "wall_s": 180.0,
    }  # fmt: skip
    return base(**(values | fields))


def baseline(system: str, method: str, energy: float | None, **fields: Any) -> EnergyRow:
    """A row of a method of quantum chemistry."""
    electrons, unpaired = SYSTEMS[system][:2] if system in SYSTEMS else (4, 0)
    values = {
        "system": system, "method": method, "energy": energy, "basis": "cc-pvdz",
        "reference": "uhf" if unpaired else "rhf", "n_electrons": electrons,
        "unpaired_electrons": unpaired,
    }  # fmt: skip
    return base(**(values | fields))


def study_rows(seeds: tuple[int, ...] = (1, 2, 3)) -> Rows:
    """Rows of a whole study: four atoms, LiH and H4, all methods."""
    rows = []
    for system, (_, _, hf_limit, exact, _, hf, ccsdt) in SYSTEMS.items():
        for seed in seeds:
            shift = 4e-5 * (seed - 2) * (system != "H")
            energy = hf_limit + RECOVERED[system] * (exact - hf_limit) + shift
            error = 1e-6 if system == "H" else 8e-5
            rows.append(vmc(system, energy, error, seed=seed))
        rows.append(baseline(system, "hf", hf))
        rows.append(baseline(system, "ccsd_t", ccsdt))
    for angle, exact in H4_FCI_CBS.items():
        curve = {
            "geometry": f"a{angle}", "parameter": angle, "parameter_name": "angle",
            "parameter_unit": "degree",
        }  # fmt: skip
        for seed in seeds:
            energy = exact + 8e-4 + 1e-4 * (seed - 2) + 1e-5 * (angle - 90)
            rows.append(vmc("H4", energy, 1.5e-4, seed=seed, config_hash=f"h4{angle:06d}", **curve))
        fci = exact + 0.0612
        cusp = H4_CCSDT_CBS[angle] + 0.0575
        rows.append(baseline("H4", "hf", fci + 0.28, **curve))
        rows.append(baseline("H4", "ccsd_t", cusp, **curve))
        rows.append(baseline("H4", "fci", fci, **curve))
    return rows


def study_references() -> References:
    """Published energies of the study's systems."""
    entries = []
    for system, (_, _, hf_limit, exact, uncertainty, *_) in SYSTEMS.items():
        entries.append(reference(system, "eq", "exact", exact, uncertainty))
        entries.append(reference(system, "eq", "hf_cbs", hf_limit, 1e-5))
    entries.append(reference("Li", "eq", "ferminet_paper", -7.47798, 1e-5))
    entries.append(reference("Be", "eq", "ferminet_paper", -14.66733, 3e-5))
    entries.append(reference("LiH", "eq", "ferminet_paper", -8.0705, 1e-5))
    entries.append(reference("N2", "eq", "ferminet_paper", -109.5388, 1e-4))
    for quantity, curve in (
        ("fci_cbs", H4_FCI_CBS), ("ccsd_t_cbs", H4_CCSDT_CBS), ("ferminet_paper", H4_PAPER)
    ):  # fmt: skip
        for angle, energy in curve.items():
            entries.append(reference("H4", f"a{angle}", quantity, energy, 2e-4))
    return References(entries)


@pytest.fixture
def rows() -> Rows:
    """Rows of the demonstration."""
    return study_rows()


@pytest.fixture
def references() -> References:
    """Published energies of the demonstration."""
    return study_references()


@pytest.fixture
def make_vmc() -> Callable[..., EnergyRow]:
    """Makes a row of method vmc: (system, energy, stderr, **fields)."""
    return vmc


@pytest.fixture
def make_baseline() -> Callable[..., EnergyRow]:
    """Makes a row of a baseline: (system, method, energy, **fields)."""
    return baseline
