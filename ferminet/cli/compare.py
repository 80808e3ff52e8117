"""The command `ferminet compare`."""

import argparse

from ferminet.cli.parser import AddCommand, add_common, positive_float, positive_int, some_path
from ferminet.errors import InputError

_MILLI = 1e-3


def add_commands(add: AddCommand) -> None:
    """Add compare."""
    text = "Decide whether a wavefunction is better than another, worse, equivalent, or undecided."
    parser = add("compare", compare, text, json=True)
    text = "NEW BASELINE: folders of results, released suites, or files of energies"
    parser.add_argument("results", nargs="+", type=some_path, help=text)
    parser.add_argument("--ansatz", help="wavefunction of NEW; needed if it has several")
    text = "wavefunction of BASELINE; needed if it has several"
    parser.add_argument("--baseline-ansatz", help=text)
    text = "differences that do not matter (mEh)"
    parser.add_argument("--margin", type=positive_float, default=0.5, help=text)
    text = "with BASELINE alone: the differences that this number of seeds can resolve"
    parser.add_argument("--plan", type=positive_int, metavar="SEEDS", help=text)
    parser.add_argument(
        "--out-dir", type=some_path, help="folder for Markdown, JSON and the figure"
    )
    text = "exit with 0 whatever the verdict is"
    parser.add_argument("--always-succeed", action="store_true", help=text)
    add_common(parser, "log")


def compare(options: argparse.Namespace) -> int:
    """Compare two wavefunctions, or report what a number of seeds could resolve."""
    from ferminet.config.blocks import WIDEST_MARGIN_HARTREE

    if len(options.results) != (2 if options.plan is None else 1):
        raise InputError(
            f"got {len(options.results)} results; `ferminet compare NEW BASELINE` compares two, "
            "`ferminet compare --plan SEEDS BASELINE` plans with one."
        )
    widest = WIDEST_MARGIN_HARTREE / _MILLI
    if options.margin > widest:
        raise InputError(
            f"--margin {options.margin:g} is more than {widest:g} mEh, which would call "
            "almost anything equivalent; give the difference that does not matter to you."
        )
    if options.plan is not None and options.ansatz is not None:
        raise InputError(
            "--ansatz names the new wavefunction of a comparison, and --plan needs none; "
            "--baseline-ansatz chooses the baseline's."
        )
    from ferminet.benchmark.comparison.files import EXIT_CODES, read_arm, run_compare, show_plan
    from ferminet.benchmark.comparison.inference import Criteria

    criteria = Criteria(margin=_MILLI * options.margin)
    control = read_arm(options.results[-1], options.baseline_ansatz)
    if options.plan is not None:
        show_plan(control, options.plan, criteria, as_machine=options.json)
        return 0
    new = read_arm(options.results[0], options.ansatz)
    comparison = run_compare(
        new, control, criteria, out_dir=options.out_dir, as_machine=options.json
    )
    return 0 if options.always_succeed else EXIT_CODES[comparison.verdict]
