"""The commands that only read: molecules, references, resolve, cost and status."""

import argparse
import json
import logging
import math
from itertools import combinations, starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferminet.cli.parser import (
    RUN_OPTIONS,
    AddCommand,
    add_common,
    load_selected_run,
    some_path,
    values_of,
)
from ferminet.errors import InputError
from ferminet.methods import DEVICES
from ferminet.units import BOHR_PER_UNIT

if TYPE_CHECKING:
    from ferminet.systems.molecule import System

# Options that an xyz file needs.
_XYZ = ("charge", "unpaired_electrons", "unit")
logger = logging.getLogger(__name__)


def add_commands(add: AddCommand) -> None:
    """Add molecules, references, resolve, cost and status."""
    parser = add("molecules", molecules, "List and check molecule files.", json=True)
    parser.add_argument(
        "files",
        nargs="*",
        type=some_path,
        help="YAML or xyz files, or names of systems; default: the folder molecules",
    )
    parser.add_argument("--charge", type=int, help="for xyz files")
    parser.add_argument("--unpaired-electrons", type=int, help="for xyz files: N_up - N_down")
    parser.add_argument("--unit", help="for xyz files: bohr or angstrom")
    # Refused with the converted value, because codes disagree on what the words mean.
    for name in ("--spin", "--multiplicity"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS, default=argparse.SUPPRESS)

    parser = add("references", references, "List literature values and disputes.", json=True)
    parser.add_argument("systems", nargs="*", help="names of systems; default: all")
    text = "list instead the released rows that older values, in this folder, judge differently"
    parser.add_argument("--against", type=Path, metavar="FOLDER", help=text)

    parser = add("resolve", resolve, "Print the full configuration of one run as JSON.")
    add_common(parser, *RUN_OPTIONS)
    parser.add_argument("--out", type=some_path, help="write to this file instead")
    parser.add_argument(
        "--recipe",
        choices=("paper", "paper-jax"),
        help="print instead where the chosen runs (default: all) depart from this published recipe",
    )

    for name, text in (
        ("cost", "Predict the total and remaining device-hours, memory and scratch of a study."),
        ("status", "Show the progress of a study's runs and the time left."),
    ):
        parser = add(name, print_study, text, json=True)
        parser.add_argument("--config", type=some_path, required=True, help="the study")
        parser.add_argument(
            "--device",
            choices=DEVICES,
            help="predict hours of this device; default: FERMINET_DEVICE, else this machine's",
        )


def molecules(options: argparse.Namespace) -> None:
    """List systems, or raise InputError for a wrong file."""
    from ferminet.config.study import molecules_directory
    from ferminet.systems.files import load_systems, refuse_spin_keys

    refuse_spin_keys(vars(options))
    given = [f"--{name.replace('_', '-')}" for name in _XYZ if getattr(options, name) is not None]
    if given and not any(file.suffix == ".xyz" for file in options.files):
        raise InputError(
            f"{given[0]} is for xyz files, and none is named; other files state their electrons."
        )
    systems = [_read(file, options) for file in options.files]
    if not options.files:
        systems = list(load_systems(molecules_directory()).values())
    for system in systems:
        for remark in system.doubts():
            logger.warning("ferminet: remark: %s", remark)
    described = [_describe(system) for system in systems]
    if options.json:
        print(json.dumps(described, indent=2, ensure_ascii=False))
        return
    columns = ("name", "kind", "geometries", "electrons", "unpaired_electrons", "charge", "nearest")
    titles = ("system", "kind", "geometries", "electrons", "unpaired", "charge", "nearest nuclei")
    print_table(titles, [[_text(entry[column]) for column in columns] for entry in described])


def _read(file: Path, options: argparse.Namespace) -> "System":
    """Read a system by its file or its name; the options state the electrons of an xyz file."""
    from ferminet.config.study import molecules_directory
    from ferminet.systems.files import find_system, read_system

    if not file.suffix:
        return find_system(str(file), molecules_directory())
    if file.suffix != ".xyz":
        return read_system(file)
    if None in (options.charge, options.unpaired_electrons):
        raise InputError(
            f"{file}: an xyz file does not state its electrons; add `--charge 0 "
            "--unpaired-electrons 0` with its own numbers (N_up - N_down are unpaired)."
        )
    return read_system(file, **values_of(options, *_XYZ))


def _describe(system: "System") -> dict[str, Any]:
    geometries = list(system.geometries.values())
    pairs = (pair for one in geometries for pair in combinations(one.coords.tolist(), 2))
    bohr = round(min(starmap(math.dist, pairs), default=math.inf), 4)
    angstrom = bohr / BOHR_PER_UNIT["angstrom"]
    return {
        "name": system.name,
        "title": system.title,
        "kind": system.kind,
        "geometries": list(system.geometries),
        "electrons": geometries[0].n_electrons,
        "unpaired_electrons": geometries[0].unpaired_electrons,
        "charge": geometries[0].charge,
        "nearest_bohr": None if bohr == math.inf else bohr,
        "nearest": None if bohr == math.inf else f"{bohr:.3f} bohr = {angstrom:.3f} Å",
        "source": system.source,
    }


def _text(value: Any) -> str:
    if isinstance(value, list):
        return value[0] if len(value) == 1 else f"{len(value)}: {value[0]} … {value[-1]}"
    return "-" if value is None else str(value)


def references(options: argparse.Namespace) -> None:
    """List literature values, or the released rows that older values judge differently."""
    from ferminet.benchmark.records import read_rows
    from ferminet.benchmark.reference_changes import judgement_changes
    from ferminet.benchmark.references import disputes, load_references, project_references
    from ferminet.config.layout import PUBLISHED
    from ferminet.systems.validation import nearest

    literature = project_references()
    known = {entry.system for entry in literature}
    for name in options.systems:
        if name not in known:
            raise InputError(f"there are no literature values of {name}; {nearest(name, known)}")
    chosen = options.systems or known
    if options.against is None:
        entries = [entry for entry in literature if entry.system in chosen]
        described = [entry.model_dump(by_alias=True) for entry in entries]
        titles = ("id", "energy", "uncertainty", "uncertainty_kind", "kind", "confidence")
        lines = [[_text(getattr(entry, name)) for name in titles] for entry in entries]
        remarks = ["", *disputes(entries)]
    else:
        files = sorted(Path(PUBLISHED).glob("*/energies.parquet"))
        if not files:
            raise InputError(
                f"there are no released rows in {Path(PUBLISHED).absolute()}; run this command in "
                "a clone of the project."
            )
        rows = read_rows(files)
        rows = [row for row in rows if row.system in chosen]
        changes = judgement_changes(rows, load_references(options.against), literature)
        described = [change._asdict() for change in changes]
        titles, lines = ("row", "before", "now"), [list(change) for change in changes]
        remarks = [f"{len(changes)} of {len(rows)} released rows are judged differently."]
    if options.json:
        print(json.dumps(described, indent=2, ensure_ascii=False))
        return
    print_table(titles, lines)
    print(*remarks, sep="\n")


def resolve(options: argparse.Namespace) -> None:
    """Print or write the full configuration of one run; every stage accepts it as `--config`."""
    from ferminet.ansatz.options import check_wavefunctions
    from ferminet.runtime.files import write_bytes

    if options.recipe and options.out:
        raise InputError(
            f"--out {options.out} is for the configuration; redirect what --recipe prints instead."
        )
    if options.recipe:
        return print_deviations(options)
    run = load_selected_run(options)
    check_wavefunctions([run])
    text = run.model_dump_json(indent=2) + "\n"
    if options.out is None:
        print(text, end="")
    else:
        write_bytes(options.out, text.encode())


def print_deviations(options: argparse.Namespace) -> None:
    """Print where the runs of a study, or those chosen, depart from a published recipe."""
    from ferminet.ansatz.options import check_wavefunctions
    from ferminet.config import expand_runs, load_run, load_study
    from ferminet.vmc.recipes import deviations, recipes

    recipe, path = recipes()[options.recipe], options.config
    chosen = {"system": "system", "geometry": "geometry", "ansatz": "ansatz_name", "seed": "seed"}
    runs = [
        run
        for run in ([load_run(path)] if path.suffix == ".json" else expand_runs(load_study(path)))
        if all(getattr(options, o) in (None, getattr(run, name)) for o, name in chosen.items())
    ]
    if not runs:
        given = [f"--{o} {getattr(options, o)}" for o in chosen if getattr(options, o) is not None]
        raise InputError(
            f"{path} has no such run ({' '.join(given) or 'of any wavefunction'}); choose one of "
            "those that `ferminet cost` lists."
        )
    check_wavefunctions(runs)
    groups: dict[tuple[Any, ...], dict[str, None]] = {}
    for run in runs:
        n_electrons = run.molecule.n_electrons
        differ = deviations(recipe, run.settings(), run.system, n_electrons, run.ansatz_name)
        groups.setdefault(tuple(differ), {})[f"{run.system} ({run.ansatz_name})"] = None
    for differ, names in groups.items():
        print(f"{', '.join(names)}: departures from {options.recipe} ({recipe.label})\n")
        lines = [[d.name, d.here, d.there, d.source] for d in differ]
        print_table(("setting or choice", "here", options.recipe, "source"), lines, width=38)
        print()


def print_study(options: argparse.Namespace) -> None:
    """Print what a study will need (`cost`), or the progress of its runs (`status`)."""
    from ferminet.cli import study_tables

    {"cost": study_tables.cost, "status": study_tables.status}[options.name](options)


def print_table(titles: tuple[str, ...], lines: list[list[str]], width: int | None = None) -> None:
    """Print aligned columns, whose cells are wrapped at a width."""
    from tabulate import tabulate

    print(tabulate(lines, titles, tablefmt="plain", disable_numparse=True, maxcolwidths=width))
