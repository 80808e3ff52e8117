"""The commands that look at a whole study: cost before it starts, status while it runs."""

import argparse
from pathlib import Path

from ferminet.cli.parser import AddCommand
from ferminet.methods import DEVICES


def add_commands(add: AddCommand) -> None:
    """Add cost and status."""
    for name, text in (
        ("cost", "Predict device-hours, memory and scratch of a study, in total and left."),
        ("status", "Show how far the runs of a study are, and the time that is left."),
    ):
        parser = add(name, show, text, json=True)
        parser.add_argument("--config", type=Path, required=True, help="the study")
        parser.add_argument(
            "--device",
            choices=DEVICES,
            help="predict hours of this device; default: FERMINET_DEVICE, else this machine's",
        )


def show(options: argparse.Namespace) -> None:
    """Print the study's cost or status."""
    from ferminet.cli import study_tables

    getattr(study_tables, options.name)(options)
