"""The commands for published suites: bless, verify."""

import argparse
from pathlib import Path

from ferminet.cli.parser import AddCommand
from ferminet.errors import InputError


def add_commands(add: AddCommand) -> None:
    """Add bless and verify."""
    parser = add("bless", bless, "Copy rows into a published suite, with their provenance.")
    option = parser.add_argument
    option("--energies", type=Path, help="result of `ferminet collect`")
    option("--suite", help="folder in results/published; default: the name of the study")
    option("--only", nargs="+", metavar="SYSTEM", help="systems; default: all")
    text = "a published row, as the difference shows it"
    option("--remove", action="append", metavar="KEY", help=text)
    option("--dry-run", action="store_true", help="only show the difference")

    parser = add("verify", verify, "Recompute all hashes of published suites.")
    parser.add_argument("suites", nargs="*", type=Path, help="folders; default: all of them")


def bless(options: argparse.Namespace) -> None:
    """Copy rows into a published suite."""
    if options.energies is None and not options.remove:
        raise InputError(
            "nothing to do: name rows with --energies, or published ones with --remove."
        )
    from ferminet.benchmark.publishing import publish

    publish.bless(options.energies, options.suite, options.only, options.remove, options.dry_run)


def verify(options: argparse.Namespace) -> None:
    """Recompute the hashes of published suites."""
    from ferminet.benchmark.publishing import publish

    publish.verify(options.suites)
