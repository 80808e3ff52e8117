"""The arguments of the commands that answer a question or judge what has been computed."""

import argparse
from collections.abc import Callable
from pathlib import Path

from ferminet.cli.parser import (
    Parser,
    add_log,
    add_selectors,
    late,
    positive,
    positive_number,
    query,
    stage,
)
from ferminet.methods import DEVICES


def add_queries(add: Callable[..., Parser]) -> None:
    """Adds doctor, molecules, resolve, cost and status."""
    add(
        "doctor",
        late("ferminet.cli.doctor", "doctor"),
        "Show versions and devices, and say what is wrong.",
        json=True,
    )

    molecules = add("molecules", query("molecules"), "List and check molecule files.", json=True)
    molecules.add_argument("files", nargs="*", type=Path, help="YAML or xyz files; else molecules/")
    molecules.add_argument("--charge", type=int, help="of an xyz file")
    molecules.add_argument("--unpaired-electrons", type=int, help="N_up - N_down of an xyz file")
    molecules.add_argument("--unit", help="bohr or angstrom, of an xyz file")
    # Refused with the converted value, because codes disagree on what the words mean.
    for name in ("--spin", "--multiplicity"):
        molecules.add_argument(name, type=int, help=argparse.SUPPRESS, default=argparse.SUPPRESS)

    resolve = add("resolve", query("resolve"), "Print the full configuration of one run as JSON.")
    add_selectors(resolve)
    resolve.add_argument("--out", type=Path, help="write to this file instead")

    for name, text in (
        ("cost", "Predict device-hours, memory and scratch of a study, and what is left of them."),
        ("status", "Show how far the runs of a study are, and the time that is left."),
    ):
        study = add(name, late("ferminet.cli.study", name), text, json=True)
        study.add_argument("--config", type=Path, required=True, help="the study")
        study.add_argument(
            "--device",
            choices=DEVICES,
            help="whose hours are predicted; else FERMINET_DEVICE, else what this machine has",
        )


def add_ansatz(add: Callable[..., Parser]) -> None:
    """Adds check-ansatz and new-ansatz."""
    check = add(
        "check-ansatz",
        late("ferminet.cli.ansatz", "check_ansatz"),
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
    add_log(check)

    new = add(
        "new-ansatz",
        late("ferminet.cli.ansatz", "new_ansatz"),
        "Write a template of a wavefunction, which works as it stands.",
    )
    new.add_argument("path", type=Path, help="the new file, for example my_net.py")


def add_published(add: Callable[..., Parser]) -> None:
    """Adds bless and verify."""
    bless = add("bless", stage("bless"), "Copy rows into a published suite, with their provenance.")
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

    verify = add("verify", stage("verify"), "Recompute all hashes of published suites.")
    verify.add_argument("suites", nargs="*", type=Path, help="folders; all of them if left out")


def add_compare(add: Callable[..., Parser]) -> None:
    """Adds compare."""
    compare = add(
        "compare",
        late("ferminet.cli.compare", "compare"),
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
        "--margin", type=positive_number, default=0.5, help="differences that do not matter (mEh)"
    )
    compare.add_argument(
        "--plan",
        type=positive,
        metavar="SEEDS",
        help="with BASELINE alone: the differences that so many seeds can tell",
    )
    compare.add_argument("--out-dir", type=Path, help="folder for Markdown, JSON and the figure")
    compare.add_argument(
        "--always-succeed", action="store_true", help="exit with 0 whatever the verdict is"
    )
    add_log(compare)
