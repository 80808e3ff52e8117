"""What the folders of other codes hold: series of energies, and what is known about the run.

google-deepmind/ferminet 0ce3411 writes `train_stats.csv`, in training and in inference, and no
settings. JaQMC 07e01a7 writes `train_stats.csv` and `train_stats.h5`, in an evaluation
`evaluation_stats.h5`, and its settings in `train_config.yaml` or `evaluation_config.yaml`. DeepQMC
1.3.0 writes `training/result.h5` or `evaluation/result.h5`, with its settings in
`.hydra/config.yaml` next to it, and its version and times in `deepqmc.log`. All energies are in
hartree.
"""

import contextlib
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from ferminet.benchmark.imports.files import MOST_VALUES, dataset, open_hdf5, read_csv
from ferminet.errors import InputError
from ferminet.runtime.files import file_sha256
from ferminet.systems.elements import NUCLEAR_CHARGE
from ferminet.systems.yaml import load_mapping, read_text
from ferminet.units import BOHR_PER_UNIT

TRAINING, INFERENCE = "training", "inference"


class Nuclei(NamedTuple):
    """The molecule that a run states."""

    charges: np.ndarray | None  # (n_nuclei,)
    coords: np.ndarray  # (n_nuclei, 3), bohr
    n_electrons: int | None


class ForeignRun(NamedTuple):
    """What a folder of another code holds; None for what it does not record."""

    code: str
    file: Path
    sha256: str
    iterations: np.ndarray  # (n,), numbers of the iterations
    energies: np.ndarray  # (n,), means over the walkers, hartree
    variances: np.ndarray | None = None  # (n,), over the walkers, hartree^2
    acceptance: np.ndarray | None = None  # (n,)
    averaged: str | None = None  # TRAINING or INFERENCE
    settings: dict[str, Any] | None = None
    planned: int | None = None  # iterations
    seed: int | None = None  # of the training
    evaluation_seed: int | None = None
    walkers: int | None = None
    steps: int | None = None  # Metropolis steps between two energies
    version: str | None = None
    wall_s: float | None = None
    nuclei: Nuclei | None = None
    # Returns the energies of single walkers from the n-th value on, (n_iterations, n_walkers).
    walker_energies: Callable[[int], np.ndarray] | None = None


def read_ferminet(folder: Path, averaged: str | None) -> ForeignRun:
    """Read a run of google-deepmind/ferminet, which does not record what was done.

    `ewvar` is the variance of the means over the walkers, not of the local energy, and is not used.
    """
    file, _ = _choose(folder, {averaged or TRAINING: ["train_stats.csv"]}, None)
    if averaged is None:
        raise InputError(
            f"{file} is of a training or of an inference run (config.optim.optimizer 'none'), and "
            f"does not state which; add --averaged {TRAINING} or --averaged {INFERENCE}."
        )
    columns, sha256 = read_csv(file, ("step", "energy"), ("pmove",))
    return ForeignRun(
        "google-deepmind/ferminet",
        file,
        sha256,
        columns["step"],
        columns["energy"],
        acceptance=columns.get("pmove"),
        averaged=averaged,
    )


def read_jaqmc(folder: Path, averaged: str | None) -> ForeignRun:
    """Read a run of JaQMC; of a training the CSV file, which it writes in every iteration."""
    names = {
        TRAINING: ["train_stats.csv", "train_stats.h5"],
        INFERENCE: ["evaluation_stats.h5", "evaluation_stats.csv"],
    }
    file, averaged = _choose(folder, names, averaged)
    energy, variance = "total_energy", "total_energy_var"
    if file.suffix == ".csv":
        columns, sha256 = read_csv(file, ("step", energy), (variance, "pmove"))
    else:
        columns, sha256 = {}, file_sha256(file)
        with open_hdf5(file) as stream:
            for name in (energy, variance, "pmove"):
                if (found := dataset(stream, name)) is not None and found.ndim == 1:
                    columns[name] = np.asarray(found, np.float64)
        if energy not in columns:
            raise InputError(
                f"{file} has no series {energy}: the run has just begun, or is not of a molecule."
            )
        shortest = min(map(len, columns.values()))  # a writer may be between two columns
        columns = {name: values[:shortest] for name, values in columns.items()}
        columns["step"] = np.arange(shortest)
    stage = "evaluation" if averaged == INFERENCE else "train"
    settings = _settings(folder / f"{stage}_config.yaml")
    trained = settings
    if averaged == INFERENCE:
        source = _at(settings, "workflow.source_path")
        trained = _settings(Path(str(source)) / "train_config.yaml")
    iterations = "run.iterations" if averaged == INFERENCE else "train.run.iterations"
    return ForeignRun(
        "JaQMC",
        file,
        sha256,
        columns["step"],
        columns[energy],
        columns.get(variance),
        columns.get("pmove"),
        averaged,
        settings,
        planned=_integer(settings, iterations),
        seed=_integer(trained, "workflow.seed"),
        evaluation_seed=None if trained is settings else _integer(settings, "workflow.seed"),
        walkers=_integer(settings, "workflow.batch_size"),
        steps=_integer(settings, "sampler.steps"),
        nuclei=_jaqmc_nuclei(settings),
    )


def read_deepqmc(folder: Path, averaged: str | None) -> ForeignRun:
    """Read a run of DeepQMC of one molecule and state; its file may still be open for writing."""
    inside = {"training": TRAINING, "evaluation": INFERENCE}
    names = {kind: [f"{name}/result.h5"] for name, kind in inside.items()}
    if folder.resolve().name in inside:
        names[inside[folder.resolve().name]].append("result.h5")
    file, averaged = _choose(folder, names, averaged)
    sha256, settings = file_sha256(file), _deepqmc_settings(file.parent)
    with open_hdf5(file) as stream:
        columns = {name: _one_state(stream, name) for name in ("mean", "std")}
        samples = dataset(stream, _SAMPLES)
        walkers = None if samples is None else math.prod(samples.shape[1:])
        recorded = 0 if samples is None else samples.shape[0]
        coords = np.asarray(stream.attrs.get("mol-0", np.empty(0)))
    energies, deviations = columns["mean"], columns["std"]
    if energies is None:
        raise InputError(
            f"{file} has no series local_energy/mean: the run has just begun, is of a version "
            "before 1.3, or h5_logger_constructor.keys_whitelist leaves it out."
        )
    with np.errstate(over="ignore"):  # a damaged value; what is not finite counts as unknown
        variances = None if deviations is None else deviations**2
    n = min(len(energies), recorded) if walkers else len(energies)
    version, wall_s = _deepqmc_log(file.parents[1] / "deepqmc.log")
    return ForeignRun(
        "DeepQMC",
        file,
        sha256,
        np.arange(n),
        energies[:n],
        None if variances is None else variances[:n],
        averaged=averaged,
        settings=settings,
        planned=_integer(settings, "task.steps"),
        seed=_integer(settings, "task.seed"),
        walkers=walkers or _integer(settings, "task.electron_batch_size"),
        steps=_deepqmc_steps(settings),
        version=version,
        wall_s=wall_s,
        nuclei=_deepqmc_nuclei(settings, coords),
        walker_energies=(lambda first: _samples(file, first, n)) if walkers else None,
    )


READERS: dict[str, Callable[[Path, str | None], ForeignRun]] = {
    "ferminet": read_ferminet,
    "jaqmc": read_jaqmc,
    "deepqmc": read_deepqmc,
}
_SAMPLES = "local_energy/samples"


def _choose(folder: Path, names: Mapping[str, list[str]], averaged: str | None) -> tuple[Path, str]:
    """Return the file with the series, and what it is of; InputError if that is not clear."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name the folder that the code wrote.")
    found = {
        kind: path
        for kind, files in names.items()
        for path in [folder / name for name in reversed(files)]
        if path.is_file() and averaged in (None, kind)
    }
    if len(found) > 1:
        raise InputError(
            f"{folder} has a training and an inference run; choose with --averaged {TRAINING} or "
            f"--averaged {INFERENCE}."
        )
    if not found:
        wanted = [files[0] for kind, files in names.items() if averaged in (None, kind)]
        raise InputError(
            f"{folder} has no {' and no '.join(wanted)}; check the folder, the code and --averaged."
        )
    return next((path, kind) for kind, path in found.items())


def _settings(file: Path) -> dict[str, Any]:
    """Return the settings that a code recorded; none if the file is missing."""
    return load_mapping(file) if file.exists() else {}


def _at(settings: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key, or None."""
    value: Any = settings
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _integer(settings: Mapping[str, Any], key: str) -> int | None:
    value = _at(settings, key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _jaqmc_nuclei(settings: Mapping[str, Any]) -> Nuclei | None:
    system = _at(settings, "system")
    try:
        scale = BOHR_PER_UNIT[system.get("unit", "bohr")]
        charges = [NUCLEAR_CHARGE[atom["symbol"]] for atom in system["atoms"]]
        coords = scale * np.array([atom["coords"] for atom in system["atoms"]], np.float64)
        return _nuclei(charges, coords, sum(charges) - system.get("total_charge", 0))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None  # another form of settings, such as `module: diatomic`


def _nuclei(charges: Any, coords: np.ndarray, n_electrons: int | None) -> Nuclei | None:
    """Return nuclei; None if the charges (n,), or None, and the coordinates (n, 3) do not fit."""
    fit = coords.dtype.kind == "f" and coords.ndim == 2 and coords.shape[1] == 3
    if not fit or not np.isfinite(coords).all():
        return None
    charges = None if charges is None else np.asarray(charges, np.float64)
    if charges is not None and charges.shape != coords.shape[:1]:
        return None
    return Nuclei(charges, coords, n_electrons)


def _deepqmc_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of a run; those of a restored one are in the folder that it names.

    The other blocks of a restored run's own file are defaults that were not used.
    """
    settings = _settings(folder / ".hydra" / "config.yaml")
    restored = _at(settings, "task.restdir")
    if restored is None:
        return settings
    earlier = _settings(Path(str(restored)) / ".hydra" / "config.yaml")
    return {**earlier, "task": {**(_at(earlier, "task") or {}), **settings["task"]}}


def _deepqmc_nuclei(settings: Mapping[str, Any], coords: np.ndarray) -> Nuclei | None:
    """Return the nuclei that the file states (n_nuclei, 3), with charges if the settings do."""
    molecule = _at(settings, "hamil.mol")
    try:
        charges = molecule["charges"]
        return _nuclei(charges, coords, sum(charges) - molecule.get("charge", 0))
    except (AttributeError, KeyError, TypeError, ValueError):
        return _nuclei(None, coords, None)


def _deepqmc_steps(settings: Mapping[str, Any]) -> int | None:
    samplers = _at(settings, "task.sampler_factory.elec_sampler.samplers")
    lengths = [_integer(one, "length") for one in samplers or [] if isinstance(one, Mapping)]
    return next((length for length in lengths if length), None)


def _deepqmc_log(file: Path) -> tuple[str | None, float | None]:
    """Return the version, and the seconds from the first to the last line of a completed run."""
    try:
        text = read_text(file) if file.exists() else ""
    except InputError:  # not the log, or a very long one
        return None, None
    version = re.search(r"Running with code version: deepqmc (\S+)", text)
    times = re.findall(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", text, re.M)
    wall_s = None
    with contextlib.suppress(ValueError):  # no date
        if "has been completed!" in text and times:
            first, last = (datetime.fromisoformat(time) for time in (times[0], times[-1]))
            wall_s = max((last - first).total_seconds(), 0.0)
    return version and version[1], wall_s


def _one_state(stream: h5py.File, name: str) -> np.ndarray | None:
    """Return a series (n,) stored as (n, n_molecules, n_states) of one molecule and state."""
    found = dataset(stream, f"local_energy/{name}")
    if found is None:
        return None
    if found.ndim != 3 or found.shape[1:] != (1, 1):
        raise InputError(
            f"{stream.filename}: local_energy/{name} has the shape {found.shape}, iterations x "
            "molecules x states; only runs of one molecule and one state are imported."
        )
    return np.asarray(found, np.float64)[:, 0, 0]


def _samples(file: Path, first: int, stop: int) -> np.ndarray:
    """Return energies of single walkers, of so many of each device that they fit into memory.

    The array is iterations x devices x molecules x states x walkers, of one molecule and state.
    """
    with open_hdf5(file) as stream:
        samples: Any = stream[_SAMPLES]
        others = (stop - first) * math.prod(samples.shape[1:-1])
        values = samples[first:stop, ..., : max(MOST_VALUES // max(others, 1), 1)]
        return np.asarray(values, np.float64).reshape(stop - first, -1)
