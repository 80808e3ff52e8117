"""A row from a run of another code: which energies are averaged, their error, whether they fit."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from ferminet.benchmark.details import plain
from ferminet.benchmark.diagnostics import R_HAT_LIMIT, marked
from ferminet.benchmark.imports.codes import INFERENCE, READERS, TRAINING, ForeignRun
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import IMPORTED, EnergyRow, row
from ferminet.config.runs import digest
from ferminet.errors import InputError, NotConvergedError
from ferminet.runtime.provenance import created_utc
from ferminet.systems.molecule import Molecule
from ferminet.units import ELECTRONVOLT_PER_HARTREE
from ferminet.vmc.statistics import (
    LEAST_WINDOW,
    Estimate,
    autocorrelation_time,
    reblock,
    series_estimate,
    split_r_hat,
    training_trend,
    z_score,
)

TAIL = 1 / 8  # of the iterations; the share that this package averages for unfinished trainings
LARGEST_ENERGY = 1e6  # hartree
# Means outside of these multiples of the literature value are of something else: even Hartree-Fock
# energies lie within a tenth of the exact ones.
PLAUSIBLE = (0.5, 1.1)
LARGEST_SHIFT = 0.01  # bohr, between distances of the run and of the system
LAST_ITERATION = 10**12
AVERAGED = {TRAINING: "training tail", INFERENCE: "inference"}


def import_row(
    folder: Path,
    code: str,
    molecule: Molecule,
    references: References,
    *,
    averaged: str | None = None,
    tail: float | None = None,
    **given: Any,
) -> EnergyRow:
    """Return the row of a run of another code; its files are only read.

    Args:
        folder: the folder that the code wrote.
        code: a key of `READERS`.
        molecule: the geometry that the run is of.
        references: literature values, with which the energy must be compatible.
        averaged: `training` or `inference`, where the folder does not state it.
        tail: share of the iterations of a training that is averaged, `TAIL` by default.
        **given: `study`, and what the run may not record: `seed`, `walkers`, `version`, `wall_s`.

    Raises:
        InputError: the files are missing, damaged, too short, or of something else.
        NotConvergedError: an energy is not finite.
        ResourceError: the file is locked by the process that writes it.
    """
    run = READERS[code](folder, averaged)
    _check_nuclei(run, molecule)
    if tail is not None and run.averaged == INFERENCE:
        raise InputError("--tail is a share of a training; an inference run counts as a whole.")
    first, window = _window(run, tail)
    energies = _checked(run, first, molecule, references)
    # What the user states comes before what the run records.
    stated = {name: value for name, value in given.items() if value is not None}
    known = {name: getattr(run, name) for name in ("seed", "walkers", "version", "wall_s")} | stated
    if known["seed"] is None:
        raise InputError(
            f"{run.file.parent} does not record the training's seed; number your runs with --seed."
        )
    version = known.pop("version")
    imported = {"code": run.code, "version": version, "settings": run.settings or None}
    imported |= {"averaged": AVERAGED[run.averaged or TRAINING], "window": window}
    imported |= {"file": str(run.file.relative_to(folder)), "sha256": run.sha256}
    numbers, details = _numbers(run, energies, first)
    made = row(
        **_identity(molecule),
        **known,
        **_length(run, len(energies)),
        ansatz=run.code,
        config_hash=_hash(run, version, tail),
        package_versions={run.code: version} if version else None,
        created_utc=created_utc(),
        details={"imported": imported, "note": window, **details},
        **numbers,
    )
    return marked(made, references)


def _identity(molecule: Molecule) -> dict[str, Any]:
    """Return the columns that follow from the system."""
    same = ("parameter", "parameter_name", "parameter_unit", "n_electrons", "unpaired_electrons")
    columns = {name: getattr(molecule, name) for name in ("geometry", *same)}
    return {"method": IMPORTED, "system": molecule.name, **columns}


def _length(run: ForeignRun, used: int) -> dict[str, Any]:
    """Return the columns of iterations, and whether a training has done all that were planned."""
    if run.averaged == INFERENCE:
        seed = run.evaluation_seed
        return {"evaluation_iterations": used, "evaluation_seed": seed, "status": "complete"}
    done = int(run.iterations[-1]) + 1
    unfinished = run.planned is not None and done < run.planned
    return {"iterations": done, "status": "unfinished" if unfinished else "complete"}


def _window(run: ForeignRun, tail: float | None) -> tuple[int, str]:
    """Return the first value that is averaged, and which ones these are, as a phrase."""
    n = len(run.energies)
    if run.averaged == INFERENCE:
        return 0, f"all {n} energies of an inference run with frozen parameters"
    share, reason = tail or TAIL, "chosen by hand"
    if tail is None:
        reason = "the share that this package averages of its own unfinished trainings"
    used = math.ceil(share * n)
    return n - used, (
        f"the last {used} of {n} energies of the training ({100 * share:.3g} %, {reason}); the "
        "parameters still changed"
    )


def _checked(run: ForeignRun, first: int, molecule: Molecule, references: References) -> np.ndarray:
    """Return the energies to average; refuse those that no run of this molecule can have."""
    energies = run.energies[first:]
    if len(energies) < LEAST_WINDOW:
        raise InputError(
            f"{run.file} has {len(energies)} energies to average, an error bar needs at least "
            f"{LEAST_WINDOW}; wait until there are more"
            + (", or give a larger share with --tail." if run.averaged == TRAINING else ".")
        )
    numbers = run.iterations
    if (
        not (np.isfinite(numbers) & (numbers >= 0) & (numbers < LAST_ITERATION)).all()
        or ((np.diff(numbers) <= 0) | (np.diff(numbers) % 1 != 0)).any()
    ):
        raise InputError(
            f"{run.file}: the numbers of the iterations do not increase; it holds several runs, or "
            "lines are missing."
        )
    if bad := int((~np.isfinite(energies)).sum()):
        raise NotConvergedError(
            f"{bad} of the {len(energies)} energies of {run.file} to average are not finite; no "
            "energy is reported."
        )
    _check_plausible(run.file, energies, molecule, references)
    return energies


def _check_plausible(
    file: Path, energies: np.ndarray, molecule: Molecule, references: References
) -> None:
    """Refuse energies of another system or in another unit."""
    mean, best = float(np.mean(energies)), references.best(molecule.name, molecule.geometry)
    low, high = PLAUSIBLE
    impossible = np.abs(energies).max() > LARGEST_ENERGY
    if impossible or (best and not low < mean / best.energy < high):
        known = f" {molecule.name} {molecule.geometry} has {best.energy:.4f}." if best else ""
        raise InputError(
            f"{file}: the mean energy {mean:.6g} is not that of this system in hartree."
            f"{known} Check --system and --geometry; energies in other units (1 hartree = "
            f"{ELECTRONVOLT_PER_HARTREE:.4f} eV) or with pseudopotentials are not imported."
        )


def _check_nuclei(run: ForeignRun, molecule: Molecule) -> None:
    """Refuse a run that states other nuclei or electrons; distances are compared, not places."""
    if run.nuclei is None:
        return
    charges, coords, n_electrons = run.nuclei
    name = f"{molecule.name} {molecule.geometry}"
    if n_electrons not in (None, molecule.n_electrons):
        raise InputError(
            f"{run.file.parent} is a run with {n_electrons} electrons, {name} has "
            f"{molecule.n_electrons}; check --system."
        )
    known = None if charges is None else molecule.charges
    ours, theirs = _distances(known, molecule.coords), _distances(charges, coords)
    if [pair for pair, _ in ours] != [pair for pair, _ in theirs]:
        raise InputError(
            f"{run.file.parent} is a run with other nuclei than {name}; check --system."
        )
    for (_, here), (_, other) in zip(ours, theirs, strict=True):
        if abs(here - other) > LARGEST_SHIFT:
            raise InputError(
                f"{run.file.parent} is a run of another geometry than {name}: a distance is "
                f"{other:.4f} instead of {here:.4f} bohr; check --geometry."
            )


def _distances(
    charges: np.ndarray | None, coords: np.ndarray
) -> list[tuple[tuple[float, ...], float]]:
    """Return the distances of all pairs, by the pairs' charges; each nucleus is a pair too."""
    labels = np.zeros(len(coords)) if charges is None else charges
    return sorted(
        (
            tuple(sorted((float(labels[i]), float(labels[j])))),
            float(np.linalg.norm(coords[i] - coords[j])),
        )
        for i in range(len(coords))
        for j in range(i, len(coords))
    )


def _numbers(
    run: ForeignRun, energies: np.ndarray, first: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns and details that follow from the energies that are averaged."""
    estimate, tau = series_estimate(energies), autocorrelation_time(energies[:, None])
    halves = [series_estimate(half) for half in np.array_split(energies, 2)]
    shift = Estimate(halves[1].mean - halves[0].mean, math.hypot(*(half.error for half in halves)))
    stride = float(np.median(np.diff(run.iterations[first:])))
    variance, acceptance = (
        None if values is None or not np.isfinite(values[first:]).all() else values[first:]
        for values in (run.variances, run.acceptance)
    )
    details: dict[str, Any] = {
        "stderr_reblocked": reblock(energies).error,
        "samples_per_tau": len(energies) / tau,
        "drift_z": z_score(shift, 0.0),
    }
    if run.averaged == TRAINING:
        unknown = np.full(len(run.energies), np.nan)
        variances = unknown if run.variances is None else run.variances
        history = {"energy": run.energies, "variance": variances}
        details["convergence"] = training_trend(history)
    columns = {
        "energy": estimate.mean,
        "stderr": estimate.error,
        # A mean of squares minus a square of means may be negative in single precision.
        "variance": None if variance is None else max(float(np.median(variance)), 0.0),
        "acceptance": None if acceptance is None else float(np.mean(acceptance)),
        "tau": None if run.steps is None else tau * stride * run.steps,
        "r_hat": None if run.walker_energies is None else _r_hat(run.walker_energies(first), tau),
    }
    return columns, details


def _r_hat(walkers: np.ndarray, tau: float) -> float | None:
    """Return split R-hat over single walkers (n_iterations, n_walkers), if it is known well enough.

    Blocks are as long as `tau`, the autocorrelation time of the mean over the walkers: that of
    single walkers grows if they disagree, which is what R-hat has to show. With w walkers and h
    blocks per half, R-hat has the standard deviation 1 / (2 h sqrt(w)); four of them have to fit
    below `R_HAT_LIMIT`.
    """
    if not np.isfinite(walkers).all():
        return None
    block = math.ceil(tau)
    n_blocks, n_walkers = len(walkers) // block, walkers.shape[1]
    half = n_blocks // 2
    if half < 2 or 1 / (2 * half * math.sqrt(n_walkers)) > (R_HAT_LIMIT - 1) / 4:
        return None
    blocks = walkers[len(walkers) - n_blocks * block :].reshape(n_blocks, block, n_walkers)
    return split_r_hat(blocks.mean(axis=1))


def _hash(run: ForeignRun, version: str | None, tail: float | None) -> str:
    """Return eight digits of what was run and averaged, without seed and paths."""
    content = [run.code, version, run.averaged, tail, _without_places(plain(run.settings))]
    return digest(content)[:8]


def _without_places(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ends = ("seed", "path", "dir", "chkpt")
    return {key: _without_places(v) for key, v in value.items() if not str(key).endswith(ends)}
