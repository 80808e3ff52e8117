"""What the arguments of all commands share: the parser, types of values, commands imported late."""

import argparse
import difflib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[[argparse.Namespace], int | None]


class Parser(argparse.ArgumentParser):
    """Errors of usage are one sentence, like all others."""

    def error(self, message: str) -> Any:
        """Ends with the usage's exit code and one sentence."""
        self.exit(2, f"ferminet: {message}; `{self.prog} --help` lists what is allowed.\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Tells a misspelt option first: without it another one may seem to be missing."""
        for word in () if args is None or self._subparsers else args:
            option = word.partition("=")[0]
            if option == "--":
                break
            known = list(self._option_string_actions)
            if option.startswith("--") and not any(name.startswith(option) for name in known):
                near = difflib.get_close_matches(option, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                self.error(f"there is no option {option}{hint}")
        return super().parse_known_args(args, namespace)


def positive(text: str) -> int:
    """A whole number above zero."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"a positive whole number is needed, got {text!r}")
    return int(text)


def positive_number(text: str) -> float:
    """A finite number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a positive number is needed, got {text!r}")
    return value


def late(module: str, function: str) -> Command:
    """A command whose module is imported when it is run."""

    def command(options: argparse.Namespace) -> int | None:
        return getattr(importlib.import_module(module), function)(options)

    return command


def stage(function: str) -> Command:
    """A command that computes, of ``ferminet.cli.stages``."""
    return late("ferminet.cli.stages", function)


def query(function: str) -> Command:
    """A command that answers a question, of ``ferminet.cli.inspect``."""
    return late("ferminet.cli.inspect", function)


def add_selectors(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose one run of a study."""
    parser.add_argument(
        "--config", type=Path, required=True, help="a study (.yaml) or a resolved run (.json)"
    )
    parser.add_argument("--system", help="needed where the study has more than one")
    parser.add_argument("--geometry", help="label of the geometry; likewise")
    parser.add_argument("--ansatz", help="name of the wavefunction; likewise")
    parser.add_argument("--seed", type=int, help="training seed; likewise")
    parser.add_argument("--expect-hash", help="stop if the configuration has another hash")


def add_distributed(parser: argparse.ArgumentParser) -> None:
    """Adds the option of a run by several processes."""
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="share the walkers with the other processes of this command, which srun or mpirun has "
        "started or JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID tell of",
    )


def add_attempt(parser: argparse.ArgumentParser) -> None:
    """Adds what an attempt at a run is told: whether to try at all."""
    parser.add_argument(
        "--retry-failed",
        action="store_true",
        help="try even if the last attempt left a failed.json and nothing has changed since",
    )


def add_time_limit(parser: argparse.ArgumentParser) -> None:
    """Adds the option of a job whose time is limited."""
    parser.add_argument(
        "--time-limit-minutes",
        type=positive_number,
        help="save and stop (exit code 75) before what comes next takes longer than this in all",
    )


def add_log(parser: argparse.ArgumentParser) -> None:
    """Adds ``--log``."""
    parser.add_argument("--log", type=Path, help="also write the progress to this file")


def add_paths(parser: argparse.ArgumentParser, **paths: str) -> None:
    """Adds required options that are paths, ``--log``, and nothing else."""
    for name, text in paths.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=Path, required=True, help=text)
    add_log(parser)
