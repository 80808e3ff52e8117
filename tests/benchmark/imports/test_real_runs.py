"""Rows of real runs of other codes (runs/README.md), against the raw series read independently."""

import csv
import math
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest

from ferminet.benchmark.imports.rows import import_row
from ferminet.benchmark.references import project_references
from ferminet.benchmark.schema import EnergyRow
from ferminet.systems.files import find_system

RUNS = Path(__file__).parent / "runs"
ROOT = Path(__file__).parents[3]


class Case(NamedTuple):
    code: str
    system: str
    averaged: str
    steps: int | None  # Metropolis steps between two energies, as the code's settings state them
    walkers: int | None
    status: str = "complete"
    seed: int | None = None  # where the files have none


CASES = {
    "ferminet-he": Case("ferminet", "He", "training", None, None, seed=1),
    "ferminet-lih": Case("ferminet", "LiH", "inference", None, None, seed=1),
    "jaqmc-he": Case("jaqmc", "He", "training", 10, 256),
    "jaqmc-lih": Case("jaqmc", "LiH", "inference", 10, 256, seed=1),
    "deepqmc-he": Case("deepqmc", "He", "training", 30, 64, "unfinished"),
    "deepqmc-lih": Case("deepqmc", "LiH", "inference", None, 64, seed=1),
}
TAIL = 0.5


def raw_energies(name: str) -> list[float]:
    """The energies that are to be averaged, read without the package."""
    folder, case = RUNS / name, CASES[name]
    table = folder / "train_stats.csv"
    if table.exists():
        with open(table) as stream:
            column = "energy" if case.code == "ferminet" else "total_energy"
            energies = [float(line[column]) for line in csv.DictReader(stream)]
    elif case.code == "jaqmc":
        with h5py.File(folder / "evaluation_stats.h5") as stream:
            energies = [float(energy) for energy in stream["total_energy"]]
    else:
        (file,) = folder.glob("*/result.h5")
        with h5py.File(file, swmr=True) as stream:
            energies = [float(energy) for energy in stream["local_energy/mean"][:, 0, 0]]
    return energies[-math.ceil(TAIL * len(energies)) :] if case.averaged == "training" else energies


def imported(name: str) -> EnergyRow:
    case = CASES[name]
    return import_row(
        RUNS / name,
        case.code,
        find_system(case.system, ROOT / "molecules").geometry("eq"),
        project_references(),
        averaged=case.averaged if case.code == "ferminet" else None,
        tail=TAIL if case.averaged == "training" else None,
        study="imported",
        seed=case.seed,
    )


def error_of_blocks(energies: list[float], length: int) -> float:
    """The standard error of the mean from blocks of a length, without the rest of the series."""
    blocks = [
        math.fsum(energies[i : i + length]) / length
        for i in range(0, len(energies) - len(energies) % length, length)
    ]
    mean = math.fsum(blocks) / len(blocks)
    squares = math.fsum((block - mean) ** 2 for block in blocks)
    return math.sqrt(squares / (len(blocks) - 1) / len(blocks))


def reblocked_error(energies: list[float]) -> float:
    """The error at the least length B = 2^k with B^3 > 2 n (s_B / s_1)^4, Lee et al. (2011)."""
    first, length = error_of_blocks(energies, 1), 1
    while length**3 <= 2 * len(energies) * (error_of_blocks(energies, length) / first) ** 4:
        length *= 2
    return error_of_blocks(energies, length)


def time_of_autocorrelation(energies: list[float]) -> float:
    """1 + 2 sum of the correlations, cut at the first lag beyond five times the running sum."""
    n, mean = len(energies), math.fsum(energies) / len(energies)
    beyond = [energy - mean for energy in energies]
    covariance = [
        math.fsum(a * b for a, b in zip(beyond, beyond[lag:], strict=False)) / (n - lag)
        for lag in range(n // 2)
    ]
    tau = 1.0
    for lag in range(1, n // 2):
        tau += 2.0 * covariance[lag] / covariance[0]
        if lag >= 5.0 * tau:
            break
    return max(tau, 1.0)


@pytest.mark.parametrize("name", CASES)
def test_mean_error_and_autocorrelation_are_those_of_the_raw_series(name: str) -> None:
    row, energies, case = imported(name), raw_energies(name), CASES[name]
    assert row.energy == pytest.approx(math.fsum(energies) / len(energies), abs=1e-12)
    assert row.stderr == pytest.approx(reblocked_error(energies), rel=1e-9)
    tau = time_of_autocorrelation(energies)
    assert row.details.samples_per_tau == pytest.approx(len(energies) / tau, rel=1e-6)
    if case.steps is not None:
        assert row.tau == pytest.approx(tau * case.steps, rel=1e-6)
    # Two estimators of one error: with 200 energies or more and these tau, each has a relative
    # standard deviation of at most a third.
    assert 0.5 < row.stderr / (np.std(energies, ddof=1) * math.sqrt(tau / len(energies))) < 2.0


@pytest.mark.parametrize("name", CASES)
def test_a_row_states_what_was_averaged(name: str) -> None:
    row, case = imported(name), CASES[name]
    source = row.details.imported
    assert source is not None
    n = len(raw_energies(name))
    assert (row.method, row.system, row.geometry) == ("imported", case.system, "eq")
    assert row.ansatz == source.code
    assert row.walkers == case.walkers
    assert row.status == case.status
    if case.averaged == "training":
        assert source.averaged == "training tail"
        assert source.window.startswith(f"the last {n} of {2 * n} energies of the training (50 %,")
        assert row.iterations is not None and row.iterations >= 2 * n
        assert row.details.convergence is not None
    else:
        assert source.averaged == "inference"
        assert source.window == f"all {n} energies of an inference run with frozen parameters"
        assert (row.iterations, row.evaluation_iterations) == (None, n)
        assert row.details.convergence is None


@pytest.mark.parametrize("name", CASES)
def test_the_energies_are_those_of_the_systems(name: str) -> None:
    """Short runs end tens of mEh above the exact energies, and not significantly below."""
    row = imported(name)
    best = project_references().best(row.system, row.geometry)
    assert row.energy is not None and best is not None
    assert -4 * row.stderr < row.energy - best.energy < 0.1


@pytest.mark.parametrize("name", ["deepqmc-he", "deepqmc-lih"])
def test_the_variance_of_deepqmc_is_that_of_the_single_walkers(name: str) -> None:
    (file,) = (RUNS / name).glob("*/result.h5")
    with h5py.File(file, swmr=True) as stream:
        samples = np.asarray(stream["local_energy/samples"], np.float64)[:, 0, 0, 0]
    used = samples[-len(raw_energies(name)) :]
    assert imported(name).variance == pytest.approx(np.median(used.var(axis=1)), rel=1e-4)
    assert used.mean() == pytest.approx(imported(name).energy, abs=1e-5)
