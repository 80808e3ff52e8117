"""The command `ferminet`: its parser, its exit codes, and how errors become sentences.

Each file of this folder holds the arguments and the actions of one group of commands. Heavy
libraries are imported inside the actions, so that `ferminet --help` answers at once.
"""

import argparse
import io
import re
import sys
import traceback
from pathlib import Path

from ferminet import __version__
from ferminet.cli import ansatz, doctor, imports, inspect, leaderboard, results, stages
from ferminet.cli.output import ResultStream, command_output, log_to_file
from ferminet.cli.parser import Action, Parser
from ferminet.errors import FermiNetError, InputError, ResourceError
from ferminet.runtime.environment import prepare_environment
from ferminet.runtime.files import check_output
from ferminet.runtime.processes import join_processes

EXIT_CODES = (
    "exit codes: 0 success; 1 a bug; 2 the input is wrong; 3 not converged or not finite; "
    "4 a resource of the machine is missing; 5 a file is corrupt; compare: 10 worse, 11 undecided; "
    "75 interrupted, run again to continue; "
    "130 stopped by the keyboard, 143 by SIGTERM, with nothing to save."
)
# What a shell reports for a program that was ended with Ctrl-C.
EXIT_KEYBOARD = 130
# XLA reports every kind of error as a RuntimeError.
_OUT_OF_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|[Oo]ut of memory")


def main(arguments: list[str] | None = None) -> int:
    """Run one command, given its words without the program's name, and return its exit code.

    A bug raises its exception, so that the traceback is shown.
    """
    with command_output() as (output, logger):
        try:
            options = _parse(arguments, output)
            _check_outputs(options)
            if getattr(options, "log", None) is not None:
                log_to_file(logger, options.log)
            prepare_environment()
            if getattr(options, "distributed", False):
                join_processes()
            code = options.action(options) or 0
            output.require_complete()
            return code
        except (Exception, KeyboardInterrupt) as error:
            failure = _failure(error)
            if failure is None:
                raise
            code, sentence = failure
            logger.error("ferminet: %s", sentence)
            return code


def _parse(arguments: list[str] | None, output: ResultStream) -> argparse.Namespace:
    try:
        return make_parser().parse_args(arguments)
    except SystemExit as stop:
        if not stop.code:  # --help and --version, whose text is the result
            output.require_complete()
        raise


def _check_outputs(options: argparse.Namespace) -> None:
    """Raise InputError if an output cannot be a file, or is also an input or another output."""
    taken: dict[Path, str] = {}
    outputs = ("out", "history", "log")
    for name, value in sorted(vars(options).items(), key=lambda item: item[0] in outputs):
        values = value if isinstance(value, list) else [value]
        if name == "target":  # a builder, file.py:function
            values = [Path(str(value).partition(":")[0])]
        if name in ("out", "history") and isinstance(value, Path):
            check_output(value)  # not the log, which may be a device
        for path in {path.resolve() for path in values if isinstance(path, Path)}:
            if name in outputs and path in taken:
                raise InputError(
                    f"--{name} {path} is also given as {taken[path]}, which would be overwritten; "
                    "choose another path."
                )
            if name in outputs and any(taken.get(parent) == "run" for parent in path.parents):
                raise InputError(
                    f"--{name} {path} lies in the run that is read; choose a path outside of it."
                )
            taken[path] = name


def _failure(error: BaseException) -> tuple[int, str] | None:
    """Return the exit code and the sentence for an error; None for a bug."""
    if isinstance(error, FermiNetError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt):
        return EXIT_KEYBOARD, "stopped by the keyboard; run the same command again."
    if isinstance(error, OSError) and not isinstance(error, io.UnsupportedOperation):
        return ResourceError.exit_code, _system_sentence(error)
    if isinstance(error, RuntimeError) and "initialize backend" in str(error):
        return ResourceError.exit_code, f"JAX finds no device: {error}."
    out_of_memory = isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error))
    if isinstance(error, MemoryError) or out_of_memory:
        reason = str(error).partition("\n")[0][:200].rstrip(".") or "an allocation failed"
        return ResourceError.exit_code, (
            f"There is not enough memory ({reason}): run fewer jobs at once, use a device with "
            "more memory or more devices, or use fewer walkers, which makes it another run."
        )
    return None


def _system_sentence(error: OSError) -> str:
    """Describe an unforeseen error of the operating system: the file, and where in the code.

    The cause is nearly always the machine (a failing network disk, too many open files); if it is
    a bug, the line of code leads to it.
    """
    files = " and ".join(str(name) for name in (error.filename, error.filename2) if name)
    reason = error.strerror or str(error) or type(error).__name__
    package = Path(__file__).parents[1]
    file, line = [
        (Path(frame.filename), frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(package)
    ][-1]
    return (
        f"{files}{': ' if files else ''}{reason} (reported by the operating system at "
        f"{file.relative_to(package.parent)}, line {line}); check the file and the disk, and run "
        "the same command again."
    )


def make_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(prog="ferminet", description="FermiNet benchmarks.", epilog=EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"ferminet {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, action: Action, text: str, *, json: bool = False) -> Parser:
        sub = commands.add_parser(name, help=text, description=text, epilog=EXIT_CODES)
        sub.set_defaults(action=action, name=name)
        if json:
            sub.add_argument("--json", action="store_true", help="print JSON")
        return sub

    for group in (doctor, inspect, ansatz, stages, results, imports, leaderboard):
        group.add_commands(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
