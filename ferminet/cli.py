"""The command ``ferminet``: its arguments, its stages, its exit codes.

Heavy libraries are imported by the command that needs them, so that ``ferminet --help`` answers at
once. Each stage is one job of the workflow and can be run by hand.
"""

import argparse
import contextlib
import re
import sys
from pathlib import Path
from typing import TextIO

from ferminet import __version__, arguments_queries, arguments_stages
from ferminet.arguments import Command, Parser
from ferminet.environment import prepare_environment
from ferminet.errors import FermiNetError, InputError, ResourceError
from ferminet.processes import join_processes
from ferminet.streams import Unbroken

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
    options = make_parser().parse_args(arguments)
    log = None
    try:
        log = options.log_stream = _open_log(getattr(options, "log", None))
        prepare_environment()
        if getattr(options, "distributed", False):
            join_processes()
        with contextlib.redirect_stdout(Unbroken(sys.stdout)) as out:
            code = options.command(options) or 0
            out.flush()
        return code
    except FermiNetError as error:
        _say(f"ferminet: {error}", log)
        return error.exit_code
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
            log.close()


def _memory_sentence(error: Exception) -> str:
    reason = (str(error).splitlines() or [""])[0][:200].rstrip(".")
    return (
        f"The memory is not enough ({reason or 'no more could be had'}): let fewer jobs run at "
        "once, take a device with more memory or more devices, or fewer walkers, which are another "
        "run."
    )


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
