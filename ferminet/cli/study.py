"""The commands that look at a whole study: cost before it starts, status while it runs."""

import argparse
from pathlib import Path

from ferminet.cli.parser import AddCommand
from ferminet.methods import DEVICES


def add_commands(add: AddCommand) -> None:
    """Add cost and status."""
    for name, action, text in (
        ("cost", cost, "Predict device-hours, memory and scratch of a study, in total and left."),
        ("status", status, "Show how far the runs of a study are, and the time that is left."),
    ):
        parser = add(name, action, text, json=True)
        parser.add_argument("--config", type=Path, required=True, help="the study")
        parser.add_argument(
            "--device",
            choices=DEVICES,
            help="predict hours of this device; default: FERMINET_DEVICE, else this machine's",
        )


def cost(options: argparse.Namespace) -> None:
    """Print what a study will take."""
    from ferminet.cli import study_tables

    study_tables.cost(options)


def status(options: argparse.Namespace) -> None:
    """Show how far each run is and what it still takes."""
    from ferminet.cli import study_tables

    study_tables.status(options)
