"""What several commands share: the parser, types of values, common options, the choice of a run."""

import argparse
import difflib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferminet.errors import InputError

if TYPE_CHECKING:
    from ferminet.config import RunConfig

Action = Callable[[argparse.Namespace], int | None]
# Adds a command (name, action, help text) and returns its parser; see `main.make_parser`.
AddCommand = Callable[..., "Parser"]


class Parser(argparse.ArgumentParser):
    """A parser whose usage errors are one sentence, like all other errors."""

    def error(self, message: str) -> Any:
        """Exit with code 2 and one sentence."""
        self.exit(2, f"ferminet: {message}; `{self.prog} --help` lists what is allowed.\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Report a misspelt option first; otherwise another one might seem to be missing."""
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


def positive_int(text: str) -> int:
    """Convert a whole number above zero."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"a positive whole number is needed, got {text!r}")
    return int(text)


def positive_float(text: str) -> float:
    """Convert a finite number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a positive number is needed, got {text!r}")
    return value


def add_run_options(parser: Parser) -> None:
    """Add the options that choose one run of a study; `load_selected_run` reads them."""
    parser.add_argument(
        "--config", type=Path, required=True, help="a study (.yaml) or a resolved run (.json)"
    )
    parser.add_argument("--system", help="needed if the study has more than one")
    parser.add_argument("--geometry", help="label of the geometry; needed if there is a choice")
    parser.add_argument("--ansatz", help="name of the wavefunction; needed if there is a choice")
    parser.add_argument("--seed", type=int, help="training seed; needed if there is a choice")
    parser.add_argument("--expect-hash", help="stop if the configuration has another hash")


def load_selected_run(options: argparse.Namespace) -> "RunConfig":
    """Load the run that the options of `add_run_options` choose.

    Raises:
        InputError: the choice is not clear, or the run's hash is not the expected one.
    """
    from ferminet.config import load_run

    run = load_run(
        options.config,
        system=options.system,
        geometry=options.geometry,
        ansatz=options.ansatz,
        seed=options.seed,
    )
    if options.expect_hash not in (None, run.config_hash()):
        raise InputError(
            f"{options.config} now describes another run ({run.config_hash()}) than the one "
            f"asked for ({options.expect_hash}); start the workflow again to compute the new one."
        )
    return run


def add_distributed(parser: Parser) -> None:
    """Add the option for a run by several processes."""
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="share the walkers with the other processes of this command, started by srun, mpirun "
        "or with JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID set",
    )


def add_retry(parser: Parser) -> None:
    """Add the option to ignore the record of an earlier failure."""
    parser.add_argument(
        "--retry-failed",
        action="store_true",
        help="try even if the last attempt left a failed.json and nothing has changed since",
    )


def add_time_limit(parser: Parser) -> None:
    """Add the option for a job of limited time."""
    parser.add_argument(
        "--time-limit-minutes",
        type=positive_float,
        help="save and stop (exit code 75) before the next step would exceed this time",
    )


def add_log(parser: Parser) -> None:
    """Add `--log`."""
    parser.add_argument("--log", type=Path, help="also write the progress to this file")


def add_paths(parser: Parser, **paths: str) -> None:
    """Add required options that are paths, and `--log`."""
    for name, text in paths.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=Path, required=True, help=text)
    add_log(parser)
