"""The command ``ferminet compare``: rows in, a verdict with its exit code out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ferminet.benchmark.comparison.arms import Arm, choose_arm, refuse_unsound
from ferminet.benchmark.comparison.compare import Comparison, compare, plan
from ferminet.benchmark.comparison.figure import comparison_figure
from ferminet.benchmark.comparison.report import as_json, markdown, plan_table
from ferminet.benchmark.comparison.verdicts import Criteria
from ferminet.benchmark.details import encode_json
from ferminet.benchmark.figures.style import FIGURE_FORMATS, render
from ferminet.benchmark.publishing.suite import read_suite
from ferminet.benchmark.records import read_rows, write_text
from ferminet.benchmark.references import load_references
from ferminet.benchmark.tables.formatting import to_markdown
from ferminet.config import layout
from ferminet.config.study import references_directory
from ferminet.errors import InputError
from ferminet.runtime.files import write_bytes

EXIT_CODES = {"better": 0, "equivalent": 0, "worse": 10, "undecided": 11}

Say = Callable[[str], Any]


def read_arm(path: Path, ansatz: str | None = None) -> Arm:
    """One wavefunction's rows.

    Args:
        path: a study's folder of results, a published suite, or a file of energies.
        ansatz: name of the wavefunction; may be left out if there is one only.

    Raises:
        InputError: there are no rows, or the choice is not clear.
        CorruptError: a published suite is not what its manifest says.
    """
    file = path / layout.PUBLISHED_ENERGIES if path.is_dir() else path
    if path.suffix in (".yaml", ".yml"):
        raise InputError(f"{path} is a study; name its results, results/{path.stem}.")
    if not file.is_file():
        raise InputError(
            f"{path} holds no energies ({file} is missing); name a folder of results, a suite of "
            f"{layout.PUBLISHED}, or a file of energies."
        )
    name = path.name if path.is_dir() else path.parent.name
    published = (file.parent / layout.MANIFEST).is_file()  # whose rows nobody may have altered
    rows = read_suite(file.parent).rows if published else read_rows(file)
    return choose_arm(rows, name, ansatz)


def run_compare(
    new: Arm,
    baseline: Arm,
    criteria: Criteria,
    *,
    out_dir: Path | None = None,
    as_machine: bool = False,
    say: Say = print,
) -> Comparison:
    """Compares, prints Markdown or JSON, and writes both and the figure into a folder if asked.

    Args:
        new: the wavefunction in question.
        baseline: what it is compared with.
        criteria: margin and error rates.
        out_dir: folder for comparison.md, .json, .png and .svg; nothing is written if not given.
        as_machine: print JSON.
        say: gets what is printed.

    Raises:
        InputError: see `compare`.
        NotConvergedError: see `compare`.
    """
    if _same_rows(new, baseline):
        raise InputError(
            f"{new.label} and {baseline.label} are the same rows; name results of two trainings."
        )
    references = load_references(references_directory())
    comparison = compare(new, baseline, references, criteria)
    text = markdown(comparison, references)
    data = json.dumps(json.loads(encode_json(as_json(comparison, references))), indent=2)
    say(data if as_machine else text)
    if out_dir is not None:
        write_text(out_dir / "comparison.md", text)
        write_text(out_dir / "comparison.json", data + "\n")
        figure = comparison_figure(comparison)
        for ending in FIGURE_FORMATS:
            write_bytes(out_dir / f"comparison.{ending}", render(figure, ending))
    return comparison


def _same_rows(new: Arm, baseline: Arm) -> bool:
    """Whether the two sides are one and the same, to the last digit."""
    common = new.rows.keys() & baseline.rows.keys()
    return bool(common) and all(
        [(row.seed, row.energy, row.stderr) for row in new.rows[place]]
        == [(row.seed, row.energy, row.stderr) for row in baseline.rows[place]]
        for place in common
    )


def show_plan(
    baseline: Arm, seeds: int, criteria: Criteria, *, as_machine: bool = False, say: Say = print
) -> None:
    """Prints which differences a number of seeds of a new wavefunction can tell.

    Raises:
        InputError, NotConvergedError: the baseline has energies that no comparison would take.
    """
    refuse_unsound(baseline, baseline.rows, load_references(references_directory()))
    plans = plan(baseline, seeds, criteria)
    if as_machine:
        say(encode_json({"seeds": seeds, "systems": [vars(one) for one in plans]}))
        return
    say(to_markdown(plan_table(plans, baseline, seeds, criteria)))
