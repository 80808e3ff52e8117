"""The commands that only look: molecules, resolve, status, cost."""

import argparse
import csv
import json
import math
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from ferminet import layout
from ferminet.checkpoint import write_bytes
from ferminet.config import RunConfig, expand_baselines, expand_runs, load_run, load_study
from ferminet.config.study import molecules_directory
from ferminet.constants import BOHR_PER_UNIT
from ferminet.errors import InputError
from ferminet.molecule import Molecule, System, load_systems, read_system
from ferminet.molecule_checks import refuse_spin_keys

# Iterations whose mean `status` shows, and the bytes at the end of a history that hold them.
_RECENT = 100
_TAIL_BYTES = 32_768
_OF_A_BASELINE = ("system", "geometry", "method", "reference", "basis")


def molecules(options: argparse.Namespace) -> None:
    """Lists systems; a file that is not acceptable ends the command with its sentence."""
    refuse_spin_keys(vars(options))
    if options.files:
        xyz = {key: getattr(options, key) for key in ("charge", "unpaired_electrons", "unit")}
        # A YAML file states these itself; the options are for the xyz files among the files.
        for file in options.files:
            if file.suffix == ".xyz" and None in (xyz["charge"], xyz["unpaired_electrons"]):
                raise InputError(
                    f"{file}: an xyz file does not state its electrons; add `--charge 0 "
                    "--unpaired-electrons 0` with its own numbers (N_up - N_down are unpaired)."
                )
        systems = [read_system(f, **(xyz if f.suffix == ".xyz" else {})) for f in options.files]
    else:
        systems = list(load_systems(molecules_directory()).values())
    for remark in (remark for system in systems for remark in system.doubts()):
        print(f"ferminet: remark: {remark}", file=sys.stderr)
    described = [_describe(system) for system in systems]
    if options.json:
        print(json.dumps(described, indent=2, ensure_ascii=False))
        return
    columns = ("name", "kind", "geometries", "electrons", "unpaired_electrons", "charge", "nearest")
    titles = ("system", "kind", "geometries", "electrons", "unpaired", "charge", "nearest nuclei")
    _print_table(titles, [[_text(entry[column]) for column in columns] for entry in described])


def _describe(system: System) -> dict[str, Any]:
    geometries = list(system.geometries.values())
    first = geometries[0]
    nearest = min((_shortest(molecule) for molecule in geometries), default=math.inf)
    bohr = None if math.isinf(nearest) else round(nearest, 4)
    return {
        "name": system.name,
        "title": system.title,
        "kind": system.kind,
        "geometries": list(system.geometries),
        "electrons": first.n_electrons,
        "unpaired_electrons": first.unpaired_electrons,
        "charge": first.charge,
        "nearest_bohr": bohr,
        "nearest": None
        if bohr is None
        else f"{bohr:.3f} bohr = {bohr / BOHR_PER_UNIT['angstrom']:.3f} Å",
        "source": system.source,
    }


def _shortest(molecule: Molecule) -> float:
    """The shortest distance between two nuclei in bohr, infinite for an atom."""
    points = molecule.coords.tolist()
    pairs = ((a, b) for i, a in enumerate(points) for b in points[:i])
    return min((math.dist(a, b) for a, b in pairs), default=math.inf)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return value[0] if len(value) == 1 else f"{len(value)}: {value[0]} … {value[-1]}"
    return "-" if value is None else str(value)


def resolve(options: argparse.Namespace) -> None:
    """Prints or writes the full configuration of one run, which each stage takes by itself."""
    run = load_run(
        options.config,
        system=options.system,
        geometry=options.geometry,
        ansatz=options.ansatz,
        seed=options.seed,
    )
    if options.expect_hash not in (None, run.config_hash()):
        raise InputError(
            f"this run's hash is {run.config_hash()}, not {options.expect_hash}; "
            "something that changes its trajectory differs."
        )
    # Imports JAX, which no other query needs.
    from ferminet.wavefunction import check_wavefunctions

    check_wavefunctions([run])
    text = run.model_dump_json(indent=2) + "\n"
    if options.out is None:
        print(text, end="")
    else:
        write_bytes(options.out, text.encode())


def status(options: argparse.Namespace) -> None:
    """Shows how far each run is, from the presence of files and the ends of histories only."""
    runs = [_run_status(run) for run in expand_runs(load_study(options.config))]
    if options.json:
        print(json.dumps(runs, indent=2))
        return
    titles = ("system", "geometry", "ansatz", "hash", "seed", "state", "iteration", "energy / Eh")
    lines = []
    for run in runs:
        energy = "-"
        if run["energy"] is not None:
            energy = f"{run['energy']:.5f} ± {run['stderr']:.5f}"
        iteration = f"{run['iteration']}/{run['iterations']}"
        head = [str(run[key]) for key in ("system", "geometry", "ansatz", "config_hash", "seed")]
        lines.append([*head, run["state"], iteration, energy])
    _print_table(titles, lines)
    print("\nEnergies are means of the last iterations of training, not results.")


def _run_status(run: RunConfig) -> dict[str, Any]:
    fields = layout.run_fields(run)
    checkpoints = Path(layout.CHECKPOINTS.format(**fields))
    recent = _last_rows(checkpoints / "history.csv")
    iteration = int(recent[-1]["iteration"]) + 1 if recent else 0
    state = "waiting"
    for name, template in (
        ("pretrained", layout.PRETRAINED),
        ("trained", layout.TRAINED),
        ("evaluated", layout.ENERGY),
    ):
        if Path(template.format(**fields)).exists():
            state = name
    if state in ("waiting", "pretrained") and iteration:
        state = "training"
    energies = [float(row["energy"]) for row in recent]
    return {
        **fields,
        "seed": run.seed,
        "state": state,
        "iteration": iteration,
        "iterations": run.train.iterations,
        "energy": statistics.fmean(energies) if len(energies) > 1 else None,
        "stderr": statistics.stdev(energies) / math.sqrt(len(energies))
        if len(energies) > 1
        else None,
    }


def cost(options: argparse.Namespace) -> None:
    """Prints what the conventional calculations of a study will take, the longest last."""
    study = load_study(options.config)
    found = sorted(
        (
            {
                **{key: getattr(baseline, key) for key in _OF_A_BASELINE},
                "basis_functions": cost.n_basis,
                "cpu_hours": cost.seconds / 3600,
                "memory_gb": cost.memory_gb,
                "scratch_gb": cost.scratch_gb,
            }
            for baseline in expand_baselines(study)
            for cost in [baseline.cost()]
        ),
        key=lambda one: one["cpu_hours"],
    )
    if options.json:
        print(json.dumps(found, indent=2))
        return
    titles = (*_OF_A_BASELINE, "functions", "hours", "memory / GB", "scratch / GB")
    _print_table(
        titles,
        [
            [
                *(one[key] for key in _OF_A_BASELINE),
                str(one["basis_functions"]),
                f"{one['cpu_hours']:.3g}",
                f"{one['memory_gb']:.1f}",
                f"{one['scratch_gb']:.0f}",
            ]
            for one in found
        ],
    )
    hours = sum(one["cpu_hours"] for one in found)
    count = f"{len(found)} calculation" + ("s" if len(found) != 1 else "")
    print(f"\n{count}, about {hours:.3g} hours on one core, to a factor of 2.2.")


def _last_rows(path: Path) -> list[dict[str, str]]:
    """The last whole rows of a training history, none if there is no such file."""
    try:
        with open(path, "rb") as stream:
            header = stream.readline().decode()
            start = stream.tell()
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(start, size - _TAIL_BYTES))
            if size - _TAIL_BYTES > start:
                stream.readline()  # the first line of the tail is cut
            text = stream.read().decode()
    except OSError:
        return []
    # A line without its end is still being written.
    lines = text[: text.rfind("\n") + 1].splitlines()[-_RECENT:]
    return list(csv.DictReader([header, *lines]))


def _print_table(titles: tuple[str, ...], lines: list[list[str]]) -> None:
    rows = [list(titles), *lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(titles))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
