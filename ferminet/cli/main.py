"""The command ``ferminet``: its arguments, its stages, its exit codes.

Heavy libraries are imported by the command that needs them, so that ``ferminet --help`` answers at
once. Each stage is one job of the workflow and can be run by hand.
"""

import argparse
import io
import re
import sys
import traceback
from pathlib import Path

from ferminet import __version__
from ferminet.cli import arguments_queries, arguments_stages
from ferminet.cli.parser import Command, Parser
from ferminet.cli.streams import Dispensable, Unbroken, standard_streams
from ferminet.errors import FermiNetError, InputError, ResourceError
from ferminet.runtime.environment import prepare_environment
from ferminet.runtime.processes import join_processes

EXIT_CODES = (
    "exit codes: 0 success; 1 a bug; 2 the input is wrong; 3 not converged or not finite; "
    "4 the machine lacks something; 5 a file is corrupt; compare: 10 worse, 11 undecided; "
    "75 interrupted, run again to continue; "
    "130 stopped by the keyboard, 143 by SIGTERM, with nothing to save."
)
# What a shell reports of a program that was ended with Ctrl-C.
EXIT_KEYBOARD = 130
# How XLA says it, whose errors are RuntimeErrors of every kind.
_OUT_OF_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|[Oo]ut of memory")


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: of the command line, without the program's name.

    Returns:
        The exit code; a bug passes as its exception, with the traceback.
    """
    with standard_streams() as (output, remarks):
        return _run(arguments, output, remarks)


def _run(arguments: list[str] | None, output: Unbroken, remarks: Dispensable) -> int:
    log = None
    try:
        options = _parse(arguments, output)
        log = options.log_stream = _open_log(getattr(options, "log", None), remarks)
        prepare_environment()
        if getattr(options, "distributed", False):
            join_processes()
        code = options.command(options) or 0
        output.finish()
        return code
    except FermiNetError as error:
        _say(f"ferminet: {error}", log)
        return error.exit_code
    except io.UnsupportedOperation:  # an OSError by name, a bug by nature
        raise
    except OSError as error:
        _say(f"ferminet: {_system_sentence(error)}", log)
        return ResourceError.exit_code
    except (RuntimeError, MemoryError) as error:
        if not (isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error))):
            raise
        _say(f"ferminet: {_memory_sentence(error)}", log)
        return ResourceError.exit_code
    except KeyboardInterrupt:
        _say("ferminet: stopped by the keyboard; run the same command again.", log)
        return EXIT_KEYBOARD
    finally:
        if log is not None:
            log.end()


def _parse(arguments: list[str] | None, output: Unbroken) -> argparse.Namespace:
    try:
        return make_parser().parse_args(arguments)
    except SystemExit as stop:
        if not stop.code:  # of --help and --version, whose text is the result
            output.finish()
        raise


def _system_sentence(error: OSError) -> str:
    """What the operating system refused that nobody expected: of which file, and where in the code.

    It is the machine's doing nearly always (a network disk that fails, too many open files); where
    it is a bug, the place tells.
    """
    files = " and ".join(str(name) for name in (error.filename, error.filename2) if name)
    reason = error.strerror or str(error) or type(error).__name__
    what = f"{files}: {reason}" if files else reason
    own = Path(__file__).parents[1]
    frames = traceback.extract_tb(error.__traceback__)
    place = [frame for frame in frames if Path(frame.filename).is_relative_to(own)][-1]
    file = Path(place.filename).relative_to(own.parent)
    return (
        f"{what} (told by the operating system at {file}, line {place.lineno}); see to the file or "
        "the disk and run the same command again."
    )


def _memory_sentence(error: Exception) -> str:
    reason = (str(error).splitlines() or [""])[0][:200].rstrip(".")
    return (
        f"The memory is not enough ({reason or 'no more could be had'}): let fewer jobs run at "
        "once, take a device with more memory or more devices, or fewer walkers, which are another "
        "run."
    )


def _say(text: str, log: Dispensable | None) -> None:
    # The log first: if it fails, the remark of it comes before the sentence and not after.
    for stream in (log, sys.stderr):
        if stream is not None:
            print(text, file=stream)


def _open_log(path: Path | None, remarks: Dispensable) -> Dispensable | None:
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = open(path, "a", encoding="utf-8", buffering=1)
    except OSError as error:
        kind = InputError if path.is_dir() else ResourceError
        raise kind(
            f"the log {path} cannot be written ({error.strerror}); choose another place."
        ) from error
    log = remarks.other = Dispensable(stream, f"the log {path}", remarks)
    return log


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = Parser(prog="ferminet", description="FermiNet benchmarks.", epilog=EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"ferminet {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Command, text: str, *, json: bool = False) -> Parser:
        sub = commands.add_parser(name, help=text, description=text, epilog=EXIT_CODES)
        sub.set_defaults(command=command, name=name)
        if json:
            sub.add_argument("--json", action="store_true", help="print JSON")
        return sub

    arguments_queries.add_queries(add)
    arguments_queries.add_ansatz(add)
    arguments_stages.add_stages(add)
    arguments_stages.add_results(add)
    arguments_queries.add_published(add)
    arguments_queries.add_compare(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
