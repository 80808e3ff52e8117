"""The commands for your own wavefunction: check-ansatz, new-ansatz."""

import argparse
import json
import logging
import os
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Any

from ferminet.cli.output import PRINTED
from ferminet.cli.parser import AddCommand, add_common, some_path
from ferminet.errors import InputError

logger = logging.getLogger(__name__)
TEMPLATE = ("conformance", "template.py")


def add_commands(add: AddCommand) -> None:
    """Add check-ansatz and new-ansatz."""
    parser = add(
        "check-ansatz", check_ansatz, "Check a wavefunction against its contract.", json=True
    )
    parser.add_argument(
        "target", help="module:function, file.py:function or an entry point of ferminet.ansatz"
    )
    parser.add_argument(
        "--options",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="options of the builder, or one JSON object",
    )
    parser.add_argument("--no-times", action="store_true", help="skip the comparison of times")
    parser.add_argument(
        "--out", type=some_path, help="also write the findings to this file, as JSON"
    )
    add_common(parser, "log")

    parser = add("new-ansatz", new_ansatz, "Write a working template of a wavefunction.")
    parser.add_argument("path", type=some_path, help="the new file, for example my_net.py")


def check_ansatz(options: argparse.Namespace) -> int:
    """Check a wavefunction against its contract.

    Returns:
        0, or 2 if a check failed; the reasons are logged.
    """
    from ferminet.config.plugins import builder_options, read_options
    from ferminet.runtime.files import write_bytes
    from ferminet.systems.validation import nearest

    chosen = read_options(options.options)
    names = builder_options(options.target)
    for name in chosen:
        if names is not None and name not in names:
            raise InputError(f"{options.target} has no option {name!r}; {nearest(name, names)}")
    # Imports JAX; a misspelt name is reported before that.
    from ferminet.conformance import checks

    only = [*checks.CHECKS, *checks.REPORTS]
    if options.no_times:
        only.remove(checks.TIMES)
    report = (lambda finding: None) if options.json else _print_finding
    result = checks.check_ansatz(options.target, chosen, only=only, report=report)
    text = json.dumps(result.to_dict(), indent=2, default=str) + "\n"
    if options.out is not None:
        write_bytes(options.out, text.encode())
    if options.json:
        print(text, end="")
    n_checks, n_failed = len(checks.CHECKS), len(result.failures)
    for failure in result.failures:
        logger.error("ferminet: %s: %s", failure.name, failure.sentence)
    if n_failed:
        logger.error(
            f"ferminet: {n_failed} of {n_checks} checks of {options.target} failed; "
            "docs/how-to/own-wavefunction.md explains each of them."
        )
        return InputError.exit_code
    if not options.json:
        print(f"{options.target} passes all {n_checks} checks.")
    return 0


def _print_finding(finding: Any) -> None:
    limit = f" (limit {finding.limit})" if finding.limit else ""
    line = f"{finding.status:9s} {finding.name:21s} {finding.measured}{limit}".rstrip()
    print(line, flush=True)
    logger.info(line, extra=PRINTED)


def new_ansatz(options: argparse.Namespace) -> None:
    """Write the template of a wavefunction.

    Raises:
        InputError: the file exists already, or its name is not that of a Python module.
    """
    from ferminet.runtime.files import write_bytes

    path: Path = options.path
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise InputError(f"{path} is not the name of a Python module; use one like my_net.py.")
    if path.exists():
        raise InputError(f"{path} exists and is left as it is; choose another name.")
    source = files("ferminet").joinpath(*TEMPLATE).read_text(encoding="utf-8")
    write_bytes(path, source.replace("my_net.py", path.name).encode())
    target = shlex.quote(f"{os.path.relpath(path)}:build")
    print(
        f"{path} is a working wavefunction. Next:\n"
        f"  ferminet check-ansatz {target}\n"
        f"  pytest -p ferminet.conformance.pytest_plugin --ansatz {target}\n"
        f"  snakemake --cores 2 --configfile workflow/config/STUDY.yaml   # in STUDY.yaml: "
        f"ansatz: {{{path.stem}: {{build: {target!r}}}}}\n"
        "  Whether it is better than FermiNet: copy workflow/config/regression.yaml; its first "
        "lines explain what to change"
    )
