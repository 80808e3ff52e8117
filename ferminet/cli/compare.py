"""The command ``ferminet compare`` from its arguments to its exit code."""

import argparse

from ferminet.config.blocks import WIDEST_MARGIN_HARTREE
from ferminet.errors import InputError

_MILLI = 1e-3


def compare(options: argparse.Namespace) -> int:
    """Compares two wavefunctions, or says what a number of seeds could tell."""
    expected = 1 if options.plan is not None else 2
    if len(options.results) != expected:
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
    from ferminet.benchmark.comparison.verdicts import Criteria

    criteria = Criteria(margin=_MILLI * options.margin)
    baseline = read_arm(options.results[-1], options.baseline_ansatz)
    if options.plan is not None:
        show_plan(baseline, options.plan, criteria, as_machine=options.json)
        return 0
    new = read_arm(options.results[0], options.ansatz)
    comparison = run_compare(
        new, baseline, criteria, out_dir=options.out_dir, as_machine=options.json
    )
    return 0 if options.always_succeed else EXIT_CODES[comparison.verdict]
