"""`python -m ferminet.vmc.cost`: recount the work of the shipped studies' runs.

It writes the package's `counts.json`. With `--runs` and `--out` it counts the runs of a JSON file.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from ferminet.config import RunConfig, expand_runs, load_study
from ferminet.systems.validation import validate
from ferminet.vmc.cost.predict import SHIPPED, RunCounts, program_key, write_counts
from ferminet.vmc.cost.programs import count_run


def main() -> None:
    """Count the runs and write the counts."""
    parser = argparse.ArgumentParser(prog="python -m ferminet.vmc.cost", description=__doc__)
    parser.add_argument("--runs", type=Path, help="resolved runs by key (.json)")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="the counts (.json)")
    options = parser.parse_args()
    if options.runs is None:
        runs = shipped_runs(Path("workflow/config"))
    else:
        content = json.loads(options.runs.read_text())
        runs = {key: validate(RunConfig, run) for key, run in content.items()}
    write_counts(options.out, count_runs(runs))


def shipped_runs(folder: Path) -> dict[str, RunConfig]:
    """Return one run of each program that the studies of a folder need."""
    runs: dict[str, RunConfig] = {}
    for path in sorted(folder.glob("*.yaml")):
        for run in expand_runs(load_study(path)):
            runs.setdefault(program_key(run), run)
    return runs


def count_runs(runs: Mapping[str, RunConfig]) -> dict[str, RunCounts]:
    """Count all runs that can be traced, and write to standard error why the others cannot."""
    counts = {}
    for key, run in runs.items():
        try:
            counts[key] = count_run(run)
        except Exception as error:  # a plug-in may raise anything
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            print(
                f"ferminet: the cost of {run.ansatz_name} for {run.system} is not predicted, "
                f"because its program cannot be traced ({reason}).",
                file=sys.stderr,
            )
    return counts


if __name__ == "__main__":
    main()
