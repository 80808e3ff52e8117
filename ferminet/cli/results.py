"""The commands that collect rows, show them, compare and publish them."""

import argparse
import shlex
from pathlib import Path

from ferminet.cli.parser import (
    AddCommand,
    add_common,
    add_paths,
    positive_float,
    positive_int,
    some_path,
)
from ferminet.errors import InputError

_MILLI = 1e-3


def add_commands(add: AddCommand) -> None:
    """Add collect, tables, figures, report and compare, and for suites bless and verify."""
    energies = "result of `ferminet collect`"
    parser = add("collect", collect, "Join rows into one file of energies.")
    parser.add_argument("rows", nargs="*", type=some_path, help="files of rows")
    parser.add_argument("--config", type=some_path, help="a study: all its rows")
    text = "with --config: only the systems of this table or potential curve"
    parser.add_argument("--part", help=text)
    text = "with --config: the rows so far, with unfinished trainings by their histories"
    parser.add_argument("--unfinished", action="store_true", help=text)
    add_paths(parser, out="energies (.parquet)")

    parser = add("tables", tables, "Write tables as Markdown, CSV, LaTeX and Parquet.")
    parser.add_argument("--only", help="one table; default: all")
    add_paths(parser, energies=energies)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out-dir", type=some_path, help="folder for the tables")
    target.add_argument("--show", action="store_true", help="print the main table instead")
    text = "energies of released suites, to show next to these"
    parser.add_argument("--published", nargs="+", type=some_path, default=[], help=text)

    parser = add("figures", figures, "Draw figures.")
    parser.add_argument("--only", help="one figure; default: all")
    add_paths(parser, config="the study", energies=energies, out_dir="folder for the figures")

    parser = add("report", report, "Write one page with all tables and figures.")
    add_paths(parser, config="the study", energies=energies, out="page (.html)")

    parser = add("bless", bless, "Copy rows into a released suite, with their provenance.")
    option = parser.add_argument
    option("--energies", type=some_path, help="result of `ferminet collect`")
    option("--suite", help="folder in results/published; default: the name of the study")
    option("--only", nargs="+", metavar="SYSTEM", help="systems; default: all")
    text = "a released row, as the difference shows it"
    option("--remove", action="append", metavar="KEY", help=text)
    option("--dry-run", action="store_true", help="only show the difference")

    parser = add("verify", verify, "Recompute all hashes of released suites; check submissions.")
    parser.add_argument("suites", nargs="*", type=some_path, help="folders; default: all of them")

    text = "Compare two wavefunctions: better, worse, equivalent or undecided."
    parser = add("compare", compare, text, json=True)
    text = "NEW BASELINE: folders of results, released suites, or files of energies"
    parser.add_argument("results", nargs="+", type=some_path, help=text)
    parser.add_argument("--ansatz", help="wavefunction of NEW; needed if it has several")
    text = "wavefunction of BASELINE; needed if it has several"
    parser.add_argument("--baseline-ansatz", help=text)
    text = "largest difference that does not matter (mEh)"
    parser.add_argument("--margin", type=positive_float, default=0.5, help=text)
    text = "only systems whose trainings took the same device time within 10 %%"
    parser.add_argument("--equal-device-time", action="store_true", help=text)
    text = "with BASELINE alone: the differences that this number of seeds can resolve"
    parser.add_argument("--plan", type=positive_int, metavar="SEEDS", help=text)
    parser.add_argument(
        "--out-dir", type=some_path, help="folder for Markdown, JSON and the figure"
    )
    text = "exit with 0 whatever the verdict is"
    parser.add_argument("--always-succeed", action="store_true", help=text)
    add_common(parser, "log")


def collect(options: argparse.Namespace) -> None:
    """Join rows into one file."""
    from ferminet.benchmark.targets import energy_files
    from ferminet.config import load_study
    from ferminet.stages import results

    if options.unfinished:
        if options.config is None or options.rows:
            raise InputError("--unfinished needs --config STUDY and takes no files of rows.")
        study = load_study(options.config)
        finished, partial, missing = results.collect_so_far(study, options.out, options.part)
        print(
            f"{options.out}: {finished} finished rows, {partial} of unfinished runs, {missing} "
            "calculations without any."
        )
        return
    if options.part is not None and options.config is None:
        raise InputError("--part needs --config STUDY.")
    paths = list(options.rows)
    if options.config is not None:
        files = energy_files(load_study(options.config), options.part)
        paths += require_computed(files, options.config)
    if not paths:
        raise InputError("nothing to collect: name files of rows, or a study with --config.")
    results.collect(paths, options.out)


def require_computed(paths: list[Path], study: Path) -> list[Path]:
    """Return the paths.

    Raises:
        InputError: some of the files do not exist yet.
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        command = f"snakemake --cores 2 --configfile {shlex.quote(str(study))}"
        raise InputError(
            f"{len(missing)} of {len(paths)} energies of {study} are not computed yet, for example "
            f"{missing[0]}; `{command}` computes them."
        )
    return paths


def tables(options: argparse.Namespace) -> None:
    """Write tables from the energies alone, or print the main ones."""
    from ferminet.stages import results

    if options.show:
        if options.only is not None:
            raise InputError("--show prints the main table; leave --only out, or give --out-dir.")
        print(results.summary(options.energies, options.published))
    else:
        only = _strip(options.only, "table_")
        results.write_tables(options.energies, options.out_dir, only, options.published)


def figures(options: argparse.Namespace) -> None:
    """Draw figures from the energies and the training histories."""
    from ferminet.config import load_study

    study = load_study(options.config)
    from ferminet.stages import results

    only = _strip(options.only, "figure_")
    results.write_figures(study, options.energies, options.out_dir, only=only)


def report(options: argparse.Namespace) -> None:
    """Write the page."""
    from ferminet.config import load_study

    study = load_study(options.config)
    from ferminet.stages import results

    results.write_report(study, options.energies, options.out)


def _strip(name: str | None, prefix: str) -> str | None:
    """Return the name of a table or figure, which may be given as the workflow's target."""
    return name.removeprefix(prefix) if name else name


def bless(options: argparse.Namespace) -> None:
    """Copy rows into a released suite."""
    if options.energies is None and not options.remove:
        raise InputError(
            "nothing to do: name rows with --energies, or released ones with --remove."
        )
    from ferminet.benchmark.publishing import publish

    publish.bless(options.energies, options.suite, options.only, options.remove, options.dry_run)


def verify(options: argparse.Namespace) -> None:
    """Recompute the hashes of released suites."""
    from ferminet.benchmark.publishing import publish

    publish.verify(options.suites)


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
    if options.plan is not None and options.equal_device_time:
        raise InputError(
            "--equal-device-time compares two trainings, and --plan has only one; leave one out."
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
        new,
        control,
        criteria,
        equal_device_time=options.equal_device_time,
        out_dir=options.out_dir,
        as_machine=options.json,
    )
    return 0 if options.always_succeed else EXIT_CODES[comparison.verdict]
