"""Shared parts of commands: the parser, types of values, common options, the choice of a run."""

import argparse
import difflib
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferminet.errors import InputError

if TYPE_CHECKING:
    from ferminet.config import RunConfig

Action = Callable[[argparse.Namespace], int | None]
# Adds a command (name, action, help text) and returns its parser; see `main.make_parser`.
AddCommand = Callable[..., "Parser"]

# The options that choose one run of a study; `load_selected_run` reads them.
RUN_OPTIONS = ("config", "system", "geometry", "ansatz", "seed", "expect-hash")


class Parser(argparse.ArgumentParser):
    """A parser whose usage errors are one sentence, like all other errors."""

    def error(self, message: str) -> Any:
        """Exit with code 2 and one sentence."""
        try:
            self.exit(2, f"ferminet: {message}; `{self.prog} --help` lists what is allowed.\n")
        except OSError:  # a full device; later versions of Python ignore it
            self.exit(2)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Report a misspelt option first; otherwise another one might seem to be missing."""
        options = list(self._option_string_actions)
        for word in () if args is None or self._subparsers else args:
            option = word.partition("=")[0]
            if option == "--":
                break
            if option.startswith("--") and not any(name.startswith(option) for name in options):
                near = difflib.get_close_matches(option, options, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                self.error(f"there is no option {option}{hint}")
        return super().parse_known_args(args, namespace)


def positive_int(text: str) -> int:
    """Convert a whole number above zero that 64 bits can hold."""
    if not text.isdecimal() or len(text) > 18 or int(text) == 0:
        raise argparse.ArgumentTypeError(f"a positive whole number is needed, got {text!r}")
    return int(text)


def positive_float(text: str) -> float:
    """Convert a finite number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a positive number is needed, got {text!r}")
    return value


def some_path(text: str) -> Path:
    """Convert a path, which must not be empty."""
    if not text:
        raise argparse.ArgumentTypeError("a path is needed, got ''")
    return Path(text)


# Options of several commands: the name, and the arguments of `add_argument`.
_COMMON: dict[str, dict[str, Any]] = {
    "config": {
        "type": some_path,
        "required": True,
        "help": "a study (.yaml) or a resolved run (.json)",
    },
    "system": {"help": "needed if the study has more than one"},
    "geometry": {"help": "label of the geometry; needed if there is a choice"},
    "ansatz": {"help": "name of the wavefunction; needed if there is a choice"},
    "seed": {"type": int, "help": "training seed; needed if there is a choice"},
    "expect-hash": {"help": "stop if the configuration has another hash"},
    "distributed": {
        "action": "store_true",
        "help": "share the walkers with the other processes of this command, started by srun, "
        "mpirun or with JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID set",
    },
    "retry-failed": {
        "action": "store_true",
        "help": "try even if the last attempt left a failed.json and nothing has changed since",
    },
    "time-limit-minutes": {
        "type": positive_float,
        "help": "save and stop (exit code 75) before the next step would exceed this time",
    },
    "log": {"type": some_path, "help": "also write the progress to this file"},
}


def add_common(parser: Parser, *names: str) -> None:
    """Add options that several commands share."""
    for name in names:
        parser.add_argument(f"--{name}", **_COMMON[name])


def add_paths(parser: Parser, **paths: str) -> None:
    """Add required options that are paths, with their help texts, and `--log`."""
    for name, text in paths.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=some_path, required=True, help=text)
    add_common(parser, "log")


def values_of(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return the values of these options by their names."""
    return {name: getattr(options, name) for name in names}


def load_selected_run(options: argparse.Namespace) -> "RunConfig":
    """Load the run that `RUN_OPTIONS` choose.

    Raises:
        InputError: the choice is not clear, or the run's hash is not the expected one.
    """
    from ferminet.config import load_run

    selectors = values_of(options, "system", "geometry", "ansatz", "seed")
    run = load_run(options.config, **selectors)
    if options.expect_hash not in (None, run.config_hash()):
        raise InputError(
            f"{options.config} now describes another run ({run.config_hash()}) than the one "
            f"asked for ({options.expect_hash}); start the workflow again to compute the new one."
        )
    return run
