"""The command `ferminet compare`: rows in, a verdict with its exit code out."""

import json
from pathlib import Path

from ferminet.benchmark.comparison.arms import Arm, choose_arm, refuse_unsound
from ferminet.benchmark.comparison.compare import Comparison, compare, plan
from ferminet.benchmark.comparison.inference import Criteria
from ferminet.benchmark.comparison.report import as_json, comparison_figure, markdown, plan_table
from ferminet.benchmark.details import encode_json, plain
from ferminet.benchmark.figures.style import FIGURE_FORMATS, render
from ferminet.benchmark.publishing.suite import read_suite
from ferminet.benchmark.records import read_rows
from ferminet.benchmark.references import project_references
from ferminet.benchmark.tables.formatting import to_markdown
from ferminet.config import layout
from ferminet.errors import InputError
from ferminet.runtime.files import write_bytes

EXIT_CODES = {"better": 0, "equivalent": 0, "worse": 10, "undecided": 11}


def read_arm(path: Path, ansatz: str | None = None) -> Arm:
    """Read the rows of one wavefunction from a folder of results, a suite, or a file of energies.

    `ansatz` may be left out if there is only one. A released suite must agree with its manifest.
    """
    file = path / layout.PUBLISHED_ENERGIES if path.is_dir() else path
    if path.suffix in (".yaml", ".yml"):
        raise InputError(f"{path} is a study; name its results, results/{path.stem}.")
    if not file.is_file():
        raise InputError(
            f"{path} holds no energies ({file} is missing); name a folder of results, a suite of "
            f"{layout.PUBLISHED}, or a file of energies."
        )
    name = path.name if path.is_dir() else path.absolute().parent.name
    released = (file.parent / layout.MANIFEST).is_file()
    rows = read_suite(file.parent).rows if released else read_rows(file)
    return choose_arm(rows, name, ansatz)


def run_compare(
    new: Arm,
    control: Arm,
    criteria: Criteria,
    *,
    equal_device_time: bool = False,
    out_dir: Path | None = None,
    as_machine: bool = False,
) -> Comparison:
    """Compare, print Markdown (JSON if `as_machine`), and write both and the figure to `out_dir`.

    Raises:
        InputError: both arms have the same rows, or see `compare`.
        NotConvergedError: see `compare`.
    """
    common = new.rows.keys() & control.rows.keys()
    first, second = (
        [(row.seed, row.energy, row.stderr) for key in common for row in arm.rows[key]]
        for arm in (new, control)
    )
    if common and first == second:
        raise InputError(
            f"{new.label} and {control.label} are the same rows; name results of two trainings."
        )
    references = project_references()
    comparison = compare(new, control, references, criteria, equal_device_time=equal_device_time)
    text = markdown(comparison, references)
    data = json.dumps(plain(as_json(comparison, references)), indent=2, sort_keys=True)
    print(data if as_machine else text)
    if out_dir is not None:
        write_bytes(out_dir / "comparison.md", text.encode())
        write_bytes(out_dir / "comparison.json", f"{data}\n".encode())
        figure = comparison_figure(comparison)
        for format in FIGURE_FORMATS:
            write_bytes(out_dir / f"comparison.{format}", render(figure, format))
    return comparison


def show_plan(control: Arm, seeds: int, criteria: Criteria, *, as_machine: bool = False) -> None:
    """Print which differences a number of seeds of a new wavefunction could resolve."""
    refuse_unsound(control, control.rows, project_references())
    plans = plan(control, seeds, criteria)
    if as_machine:
        names = ("place", "error", "detectable", "half_width")
        systems = [dict(zip(names, each, strict=True)) for each in plans]
        print(encode_json({"seeds": seeds, "systems": systems}))
    else:
        print(to_markdown(plan_table(plans, control, seeds, criteria)))
