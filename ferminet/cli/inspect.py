"""The commands that only look at configurations: molecules, resolve."""

import argparse
import json
import logging
import math
from typing import Any

from ferminet.ansatz.option_checks import check_wavefunctions
from ferminet.config import load_run
from ferminet.config.study import molecules_directory
from ferminet.errors import InputError
from ferminet.runtime.files import write_bytes
from ferminet.systems.checks import refuse_spin_keys
from ferminet.systems.molecule import Molecule, System, load_systems, read_system
from ferminet.units import BOHR_PER_UNIT

logger = logging.getLogger(__name__)


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
        logger.warning("ferminet: remark: %s", remark)
    described = [_describe(system) for system in systems]
    if options.json:
        print(json.dumps(described, indent=2, ensure_ascii=False))
        return
    columns = ("name", "kind", "geometries", "electrons", "unpaired_electrons", "charge", "nearest")
    titles = ("system", "kind", "geometries", "electrons", "unpaired", "charge", "nearest nuclei")
    print_table(titles, [[_text(entry[column]) for column in columns] for entry in described])


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
    check_wavefunctions([run])
    text = run.model_dump_json(indent=2) + "\n"
    if options.out is None:
        print(text, end="")
    else:
        write_bytes(options.out, text.encode())


def print_table(titles: tuple[str, ...], lines: list[list[str]]) -> None:
    """Prints columns as wide as their widest cell."""
    rows = [list(titles), *lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(titles))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
