"""The commands that compute, each of which is one job of the workflow.

JAX and PySCF are imported after the configuration is read, so that bad input is reported at once.
"""

import argparse
import os
import shlex
from pathlib import Path
from typing import Any

from ferminet.cli.parser import (
    RUN_OPTIONS,
    AddCommand,
    add_common,
    add_paths,
    load_selected_run,
    positive_int,
    some_path,
    values_of,
)
from ferminet.methods import METHODS, PROTOCOLS, SCF_REFERENCES
from ferminet.runtime.interrupts import TimeLimit

# Options that concern how a command is run, not what it computes.
_NOT_REPEATED = ("action", "name", "log", "retry_failed", "time_limit_minutes", "rows")


def add_commands(add: AddCommand) -> None:
    """Add the stages of a run and the conventional calculations."""
    parser = add("scf", scf, "Compute Hartree-Fock orbitals for pretraining.")
    add_common(parser, "config", "system", "geometry")
    add_paths(parser, out="orbitals (.safetensors)")

    parser = add("pretrain", pretrain, "Fit the wavefunction's orbitals to Hartree-Fock's.")
    add_common(parser, *RUN_OPTIONS, "distributed", "retry-failed")
    parser.add_argument(
        "--checkpoint-dir", type=some_path, help="folder for the record of a failure; default: none"
    )
    add_paths(parser, scf="orbitals of `ferminet scf`", out="parameters and walkers")

    parser = add("train", train, "Minimise the energy; run it again to continue.")
    add_common(parser, *RUN_OPTIONS, "distributed", "retry-failed", "time-limit-minutes")
    add_paths(
        parser,
        initial="result of `ferminet pretrain`",
        checkpoint_dir="folder of checkpoints",
        out="parameters and walkers",
        history="energy of each iteration (.parquet)",
    )

    parser = add("split", split, "Take one geometry out of the training that a curve shares.")
    add_common(parser, *RUN_OPTIONS)
    add_paths(
        parser,
        trained="result of `ferminet train --geometry shared`",
        histories="its energies of each iteration (.parquet)",
        out="parameters and walkers",
        history="energy of each iteration (.parquet)",
    )

    trained = "result of `ferminet train`"
    parser = add("evaluate", evaluate, "Measure the energy with frozen parameters.")
    add_common(parser, *RUN_OPTIONS, "distributed", "retry-failed", "time-limit-minutes")
    add_paths(
        parser, trained=trained, checkpoint_dir="folder of checkpoints", out="one row (.parquet)"
    )

    parser = add("density", density, "Measure the one-electron density, and Hartree-Fock's.")
    add_common(parser, *RUN_OPTIONS, "distributed")
    add_paths(parser, trained=trained, scf="orbitals of `ferminet scf`", out="bins (.parquet)")

    parser = add("inspect", inspect, "Measure local energies, cusps and isotropy.")
    add_common(parser, *RUN_OPTIONS, "distributed")
    add_paths(parser, trained=trained, out="bins and numbers (.parquet)")

    _add_conventional(add)


def _add_conventional(add: AddCommand) -> None:
    parser = add("baseline", baseline, "Run one conventional calculation of a study.")
    for name in ("system", "geometry", "basis"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--method", required=True, choices=METHODS)
    parser.add_argument("--reference", default="auto", choices=SCF_REFERENCES)
    parser.add_argument(
        "--memory-mb", type=positive_int, help="memory that it may use; default: the machine's"
    )
    add_paths(parser, config="the study", out="rows (.parquet)")

    parser = add("limit", limit, "Extrapolate to the basis-set limit.")
    for name in ("system", "geometry"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--protocol", required=True, choices=PROTOCOLS)
    parser.add_argument(
        "rows", nargs="*", type=some_path, help="the members' rows; default: those of the study"
    )
    add_paths(parser, config="the study", out="rows (.parquet)")


def scf(options: argparse.Namespace) -> None:
    """Compute the orbitals that pretraining matches."""
    from ferminet.config import load_run

    run = load_run(options.config, **values_of(options, "system", "geometry"), any_run=True)
    from ferminet.stages.chemistry import run_scf

    run_scf(run, options.out)


def pretrain(options: argparse.Namespace) -> None:
    """Fit the wavefunction's orbitals to Hartree-Fock's."""
    from ferminet.stages.failures import record_failure

    run = load_selected_run(options)
    files = [options.scf, options.out]
    with record_failure(run, options.checkpoint_dir, files, options.retry_failed):
        from ferminet.stages.runs import run_pretrain

        run_pretrain(run, options.scf, options.out)


def train(options: argparse.Namespace) -> None:
    """Minimise the energy, or resume."""
    from ferminet.stages.failures import record_failure

    limit = TimeLimit(options.time_limit_minutes)
    run = load_selected_run(options)
    initial, folder = options.initial, options.checkpoint_dir
    out, history = options.out, options.history
    with record_failure(run, folder, [initial, out, history], options.retry_failed):
        from ferminet.stages.runs import run_train

        run_train(run, initial, folder, out, history, limit=limit)


def split(options: argparse.Namespace) -> None:
    """Take one geometry out of the results of a shared training."""
    run = load_selected_run(options)
    from ferminet.stages.runs import run_split

    run_split(run, options.trained, options.histories, options.out, options.history)


def evaluate(options: argparse.Namespace) -> None:
    """Measure the energy of the trained wavefunction: one row."""
    from ferminet.config.layout import ENERGY, path_of
    from ferminet.config.study import references_directory
    from ferminet.stages.failures import record_failure

    limit = TimeLimit(options.time_limit_minutes)
    run = load_selected_run(options)
    command = command_line(options, path_of(ENERGY, run))
    trained, folder, out = options.trained, options.checkpoint_dir, options.out
    files = [trained, out, *sorted(references_directory().glob("*.csv"))]
    with record_failure(run, folder, files, options.retry_failed):
        from ferminet.stages.runs import run_evaluate

        run_evaluate(run, trained, folder, out, command=command, limit=limit)


def density(options: argparse.Namespace) -> None:
    """Measure the one-electron density of the trained wavefunction, and Hartree-Fock's."""
    run = load_selected_run(options)
    from ferminet.stages.density import run_density

    run_density(run, options.trained, options.scf, options.out)


def inspect(options: argparse.Namespace) -> None:
    """Measure local energies, cusps and isotropy of the trained wavefunction."""
    run = load_selected_run(options)
    from ferminet.stages.inspection import run_inspect

    run_inspect(run, options.trained, options.out)


def baseline(options: argparse.Namespace) -> None:
    """Run one conventional calculation and write its row; ccsd_t also yields MP2 and CCSD."""
    from ferminet.config import load_baseline
    from ferminet.config.layout import BASELINE, path_of

    names = ("system", "geometry", "method", "basis", "reference")
    config = load_baseline(options.config, **values_of(options, *names))
    command = command_line(options, path_of(BASELINE, config))
    from ferminet.stages.chemistry import run_baseline

    run_baseline(config, options.out, memory_mb=options.memory_mb, command=command)


def limit(options: argparse.Namespace) -> None:
    """Extrapolate finished calculations to the basis-set limit."""
    from ferminet.cli.results import require_computed
    from ferminet.config import load_limit
    from ferminet.config.layout import LIMIT, member_files, path_of
    from ferminet.stages.limits import run_limit

    config = load_limit(options.config, **values_of(options, "system", "geometry", "protocol"))
    rows = options.rows or require_computed(member_files(config), options.config)
    command = command_line(options, path_of(LIMIT, config))
    run_limit(config, rows, options.out, command=command)


def command_line(options: argparse.Namespace, layout_path: Path) -> str:
    """Return the command that reproduces a row, quoted for a shell, with relative paths.

    If the row is written where the workflow writes it, the command is the workflow's, which also
    computes what the row depends on.
    """
    config, out = Path(options.config), os.path.relpath(options.out)
    if config.suffix == ".yaml" and out == os.path.normpath(layout_path):
        # The file before --configfile, which takes all words that follow it for studies.
        words = ["snakemake", "--cores", "2", out, "--configfile", os.path.relpath(config)]
        return shlex.join(words)
    words = ["ferminet", options.name]
    for name, value in vars(options).items():
        if name not in _NOT_REPEATED and value not in (None, False, []):
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [_word(value)])]
    return shlex.join([*words, *map(_word, getattr(options, "rows", []))])


def _word(value: Any) -> str:
    return os.path.relpath(value) if isinstance(value, Path) else str(value)
