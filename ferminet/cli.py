"""The command ``ferminet``: its arguments, its stages, its exit codes.

Heavy libraries are imported by the command that needs them, so that ``ferminet --help`` answers at
once. Each stage is one job of the workflow and can be run by hand.
"""

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from ferminet import __version__
from ferminet.environment import prepare_environment
from ferminet.errors import FermiNetError, InputError, ResourceError
from ferminet.methods import DEVICES, METHODS, PROTOCOLS, REFERENCES
from ferminet.processes import join_processes

EXIT_CODES = (
    "exit codes: 0 success; 1 a bug; 2 the input is wrong; 3 not converged or not finite; "
    "4 the machine lacks something; 5 a file is corrupt; compare: 10 worse, 11 undecided; "
    "75 interrupted, run again to continue; "
    "130 stopped by the keyboard with nothing to save."
)
# What a shell reports of a program that was ended with Ctrl-C.
EXIT_KEYBOARD = 130

Command = Callable[[argparse.Namespace], int | None]


class _Parser(argparse.ArgumentParser):
    """Errors of usage are one sentence, like all others."""

    def error(self, message: str) -> Any:
        self.exit(2, f"ferminet: {message}; `{self.prog} --help` lists what is allowed.\n")


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: of the command line, without the program's name.

    Returns:
        The exit code; a bug passes as its exception, with the traceback.
    """
    options = make_parser().parse_args(arguments)
    log = None
    try:
        log = options.log_stream = _open_log(getattr(options, "log", None))
        prepare_environment()
        if getattr(options, "distributed", False):
            join_processes()
        return options.command(options) or 0
    except FermiNetError as error:
        _say(f"ferminet: {error}", log)
        return error.exit_code
    except KeyboardInterrupt:
        _say("ferminet: stopped by the keyboard; run the same command again.", log)
        return EXIT_KEYBOARD
    except BrokenPipeError:  # `ferminet status | head`
        sys.stderr.close()
        return 0
    finally:
        if log is not None:
            log.close()


def _say(text: str, log: TextIO | None) -> None:
    print(text, file=sys.stderr)
    if log is not None:
        print(text, file=log)


def _open_log(path: Path | None) -> TextIO | None:
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a", encoding="utf-8")
    except OSError as error:
        kind = InputError if path.is_dir() else ResourceError
        raise kind(
            f"the log {path} cannot be written ({error.strerror}); choose another place."
        ) from error


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"a positive whole number is needed, got {text!r}")
    return int(text)


def _positive_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a positive number is needed, got {text!r}")
    return value


def _late(module: str, function: str) -> Command:
    """A command whose module is imported when it is run."""

    def command(options: argparse.Namespace) -> int | None:
        return getattr(importlib.import_module(module), function)(options)

    return command


def _stage(function: str) -> Command:
    return _late("ferminet.commands", function)


def _query(function: str) -> Command:
    return _late("ferminet.queries", function)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = _Parser(prog="ferminet", description="FermiNet benchmarks.", epilog=EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"ferminet {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Command, text: str, *, json: bool = False) -> _Parser:
        sub = commands.add_parser(name, help=text, description=text, epilog=EXIT_CODES)
        sub.set_defaults(command=command, name=name)
        if json:
            sub.add_argument("--json", action="store_true", help="print JSON")
        return sub

    _add_queries(add)
    _add_ansatz(add)
    _add_stages(add)
    _add_results(add)
    _add_published(add)
    _add_compare(add)
    return parser


def _add_queries(add: Callable[..., _Parser]) -> None:
    add(
        "doctor",
        _late("ferminet.doctor", "doctor"),
        "Show versions and devices, and say what is wrong.",
        json=True,
    )

    molecules = add("molecules", _query("molecules"), "List and check molecule files.", json=True)
    molecules.add_argument("files", nargs="*", type=Path, help="YAML or xyz files; else molecules/")
    molecules.add_argument("--charge", type=int, help="of an xyz file")
    molecules.add_argument("--unpaired-electrons", type=int, help="N_up - N_down of an xyz file")
    molecules.add_argument("--unit", help="bohr or angstrom, of an xyz file")
    # Refused with the converted value, because codes disagree on what the words mean.
    for name in ("--spin", "--multiplicity"):
        molecules.add_argument(name, type=int, help=argparse.SUPPRESS, default=argparse.SUPPRESS)

    resolve = add("resolve", _query("resolve"), "Print the full configuration of one run as JSON.")
    _add_selectors(resolve)
    resolve.add_argument("--out", type=Path, help="write to this file instead")

    for name, text in (
        ("cost", "Predict device-hours, memory and scratch of a study, and what is left of them."),
        ("status", "Show how far the runs of a study are, and the time that is left."),
    ):
        study = add(name, _late("ferminet.study_queries", name), text, json=True)
        study.add_argument("--config", type=Path, required=True, help="the study")
        study.add_argument(
            "--device",
            choices=DEVICES,
            help="whose hours are predicted; else FERMINET_DEVICE, else what this machine has",
        )


def _add_ansatz(add: Callable[..., _Parser]) -> None:
    check = add(
        "check-ansatz",
        _late("ferminet.ansatz_commands", "check_ansatz"),
        "Check a wavefunction against its contract.",
        json=True,
    )
    check.add_argument(
        "target", help="module:function, file.py:function or an entry point of ferminet.ansatz"
    )
    check.add_argument(
        "--options", nargs="+", default=[], metavar="KEY=VALUE", help="of the builder; or JSON"
    )
    check.add_argument("--no-times", action="store_true", help="leave the comparison of times out")
    check.add_argument("--out", type=Path, help="also write the findings here, as JSON")
    _add_log(check)

    new = add(
        "new-ansatz",
        _late("ferminet.ansatz_commands", "new_ansatz"),
        "Write a template of a wavefunction, which works as it stands.",
    )
    new.add_argument("path", type=Path, help="the new file, for example my_net.py")


def _add_selectors(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, required=True, help="a study (.yaml) or a resolved run (.json)"
    )
    parser.add_argument("--system", help="needed where the study has more than one")
    parser.add_argument("--geometry", help="label of the geometry; likewise")
    parser.add_argument("--ansatz", help="name of the wavefunction; likewise")
    parser.add_argument("--seed", type=int, help="training seed; likewise")
    parser.add_argument("--expect-hash", help="stop if the configuration has another hash")


def _add_distributed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="share the walkers with the other processes of this command, which srun or mpirun has "
        "started or JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID tell of",
    )


def _add_log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log", type=Path, help="also write the progress to this file")


def _add_paths(parser: argparse.ArgumentParser, **paths: str) -> None:
    """Adds required options that are paths, ``--log``, and nothing else."""
    for name, text in paths.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=Path, required=True, help=text)
    _add_log(parser)


def _add_stages(add: Callable[..., _Parser]) -> None:
    scf = add("scf", _stage("scf"), "Hartree-Fock orbitals for pretraining.")
    scf.add_argument("--config", type=Path, required=True, help="a study or a resolved run")
    scf.add_argument("--system", help="needed where the study has more than one")
    scf.add_argument("--geometry", help="label of the geometry; likewise")
    _add_paths(scf, out="orbitals (.safetensors)")

    pretrain = add("pretrain", _stage("pretrain"), "Match the orbitals to Hartree-Fock's.")
    _add_selectors(pretrain)
    _add_distributed(pretrain)
    _add_paths(pretrain, scf="orbitals of `ferminet scf`", out="parameters and walkers")

    train = add("train", _stage("train"), "Minimise the energy; the same command again continues.")
    _add_selectors(train)
    _add_distributed(train)
    _add_paths(
        train,
        initial="result of `ferminet pretrain`",
        checkpoint_dir="folder of checkpoints",
        out="parameters and walkers",
        history="energy of each iteration (.parquet)",
    )

    evaluate = add("evaluate", _stage("evaluate"), "Measure the energy, parameters frozen.")
    _add_selectors(evaluate)
    _add_distributed(evaluate)
    _add_paths(
        evaluate,
        trained="result of `ferminet train`",
        checkpoint_dir="folder of checkpoints",
        out="one row (.parquet)",
    )

    density = add("density", _stage("density"), "Measure the one-electron density, beside HF's.")
    _add_selectors(density)
    _add_distributed(density)
    _add_paths(
        density, trained="of `ferminet train`", scf="of `ferminet scf`", out="bins (.parquet)"
    )

    baseline = add("baseline", _stage("baseline"), "One conventional calculation of a study.")
    for name in ("system", "geometry", "basis"):
        baseline.add_argument(f"--{name}", required=True)
    baseline.add_argument("--method", required=True, choices=METHODS)
    baseline.add_argument("--reference", default="auto", choices=REFERENCES)
    baseline.add_argument(
        "--memory-mb", type=_positive, help="memory that it may use; else all of the machine's"
    )
    _add_paths(baseline, config="the study", out="rows (.parquet)")

    limit = add("limit", _stage("limit"), "Extrapolate to the basis-set limit.")
    for name in ("system", "geometry"):
        limit.add_argument(f"--{name}", required=True)
    limit.add_argument("--protocol", required=True, choices=PROTOCOLS)
    limit.add_argument(
        "rows", nargs="*", type=Path, help="the members' rows; else those of the study"
    )
    _add_paths(limit, config="the study", out="rows (.parquet)")


def _add_results(add: Callable[..., _Parser]) -> None:
    collect = add("collect", _stage("collect"), "Join rows into one file of energies.")
    collect.add_argument("rows", nargs="*", type=Path, help="files of rows")
    collect.add_argument("--config", type=Path, help="a study: all its rows")
    collect.add_argument("--part", help="with --config: of the systems of one table or curve only")
    collect.add_argument(
        "--unfinished",
        action="store_true",
        help="with --config: what there is so far, runs that still train by their histories",
    )
    _add_paths(collect, out="energies (.parquet)")

    tables = add("tables", _stage("tables"), "Write tables as Markdown, CSV, LaTeX and Parquet.")
    tables.add_argument("--only", help="one table; all if left out")
    _add_paths(tables, energies="result of `ferminet collect`")
    where = tables.add_mutually_exclusive_group(required=True)
    where.add_argument("--out-dir", type=Path, help="folder for the tables")
    where.add_argument("--show", action="store_true", help="print the main table instead")
    tables.add_argument(
        "--published", nargs="+", type=Path, default=[], help="energies of published suites, beside"
    )

    figures = add("figures", _stage("figures"), "Draw figures.")
    figures.add_argument("--only", help="one figure; all if left out")
    _add_paths(
        figures,
        config="the study",
        energies="result of `ferminet collect`",
        out_dir="folder for the figures",
    )

    report = add("report", _stage("report"), "Write one page with all tables and figures.")
    _add_paths(
        report, config="the study", energies="result of `ferminet collect`", out="page (.html)"
    )


def _add_published(add: Callable[..., _Parser]) -> None:
    bless = add(
        "bless", _stage("bless"), "Copy rows into a published suite, with their provenance."
    )
    bless.add_argument("--energies", type=Path, help="result of `ferminet collect`")
    bless.add_argument("--suite", help="folder of results/published; the study's name if left out")
    bless.add_argument("--only", nargs="+", metavar="SYSTEM", help="systems; all if left out")
    bless.add_argument(
        "--remove",
        action="append",
        metavar="KEY",
        help="a published row, as the difference shows it",
    )
    bless.add_argument("--dry-run", action="store_true", help="show the difference alone")

    verify = add("verify", _stage("verify"), "Recompute all hashes of published suites.")
    verify.add_argument("suites", nargs="*", type=Path, help="folders; all of them if left out")


def _add_compare(add: Callable[..., _Parser]) -> None:
    compare = add(
        "compare",
        _late("ferminet.commands_compare", "compare"),
        "Say whether a wavefunction is better than another, worse, equivalent, or undecided.",
        json=True,
    )
    compare.add_argument(
        "results",
        nargs="+",
        type=Path,
        help="NEW BASELINE: folders of results, published suites, or files of energies",
    )
    compare.add_argument("--ansatz", help="wavefunction of NEW, if it has several")
    compare.add_argument("--baseline-ansatz", help="wavefunction of BASELINE, likewise")
    compare.add_argument(
        "--margin", type=_positive_number, default=0.5, help="differences that do not matter (mEh)"
    )
    compare.add_argument(
        "--plan",
        type=_positive,
        metavar="SEEDS",
        help="with BASELINE alone: the differences that so many seeds can tell",
    )
    compare.add_argument("--out-dir", type=Path, help="folder for Markdown, JSON and the figure")
    compare.add_argument(
        "--always-succeed", action="store_true", help="exit with 0 whatever the verdict is"
    )
    _add_log(compare)


if __name__ == "__main__":
    sys.exit(main())
