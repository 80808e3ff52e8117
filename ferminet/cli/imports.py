"""The command that makes rows of the runs of other codes."""

import argparse

from ferminet.cli.parser import AddCommand, add_paths, positive_float, positive_int, some_path
from ferminet.errors import InputError

CODES = ("ferminet", "jaqmc", "deepqmc")


def add_commands(add: AddCommand) -> None:
    """Add import."""
    text = "Make a row of a run of another code, finished or not; its files are only read."
    parser = add("import", import_run, text)
    parser.add_argument("run", type=some_path, help="folder that the code wrote")
    text = "ferminet is google-deepmind/ferminet"
    parser.add_argument("--code", required=True, choices=CODES, help=text)
    parser.add_argument("--system", required=True, help="a system of molecules/, or its file")
    parser.add_argument("--geometry", help="label of the geometry; needed if there is a choice")
    text = "what the energies are of; needed where the folder does not state it"
    parser.add_argument("--averaged", choices=("training", "inference"), help=text)
    text = "share of a training's iterations that is averaged; default 0.125"
    parser.add_argument("--tail", type=positive_float, help=text)
    text = "number of the run; needed where the code does not record its seed"
    parser.add_argument("--seed", type=int, help=text)
    parser.add_argument("--walkers", type=positive_int, help="number of walkers, if not recorded")
    parser.add_argument("--code-version", help="version or commit of the code")
    parser.add_argument("--wall-s", type=positive_float, help="wall time of the run in seconds")
    text = "name that the row has as its study; default: imported"
    parser.add_argument("--study", default="imported", help=text)
    add_paths(parser, out="row (.parquet)")


def import_run(options: argparse.Namespace) -> None:
    """Write the row, and print its energy, what was averaged, and all doubts."""
    from ferminet.benchmark.diagnostics import flags
    from ferminet.benchmark.imports.rows import import_row
    from ferminet.benchmark.numbers import difference_meh, format_value, geometry_name
    from ferminet.benchmark.records import write_rows
    from ferminet.benchmark.references import project_references
    from ferminet.config.study import molecules_directory
    from ferminet.systems.files import find_system, read_system
    from ferminet.systems.validation import among

    if options.tail is not None and options.tail > 1:
        raise InputError(f"--tail is a share between 0 and 1, got {options.tail:g}.")
    if options.system.endswith(".yaml"):
        system = read_system(options.system)
    else:
        system = find_system(options.system, molecules_directory())
    if options.geometry is None and len(system.geometries) > 1:
        raise InputError(f"--geometry is needed for {system.name}; {among(system.geometries)}")
    references = project_references()
    row = import_row(
        options.run,
        options.code,
        system.geometry(options.geometry or next(iter(system.geometries))),
        references,
        averaged=options.averaged,
        tail=options.tail,
        study=options.study,
        seed=options.seed,
        walkers=options.walkers,
        version=options.code_version,
        wall_s=options.wall_s,
    )
    write_rows(options.out, [row])
    name, energy = geometry_name(*row.geometry_key), row.energy or 0.0
    print(f"{name}, {row.ansatz}: {format_value(energy, row.stderr)} hartree, {row.details.note}.")
    if (best := references.best(*row.geometry_key)) is None:
        print(f"There is no literature value of {name}: nothing checked whether this is plausible.")
    else:
        difference = format_value(*difference_meh(energy, row.stderr, best))
        print(f"difference from {best.label}: {difference} mEh")
    for doubt in flags(row, references):
        print(f"doubtful: {doubt}.")
