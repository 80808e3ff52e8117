"""The tables and totals that `ferminet cost` and `ferminet status` print."""

import argparse
import json
import math
import statistics
from typing import Any

from ferminet.cli.inspect import print_table
from ferminet.config import layout, load_study
from ferminet.stages.study_cost import (
    HOUR,
    BaselineEstimate,
    RunEstimate,
    StudyCost,
    compare_reported,
    group_runs,
    study_cost,
)
from ferminet.vmc.cost.predict import STAGES, default_device, device_of

NOT_PREDICTED = "not predicted"
FAILED = "failed"
_BASELINE_COLUMNS = ("system", "geometry", "method", "reference", "basis")


def cost(options: argparse.Namespace) -> None:
    """Print what a study will take: its runs by system, its calculations, the totals."""
    study = load_study(options.config)
    found = study_cost(study, options.device or default_device())
    runs = [_group_row(group) for group in group_runs(found.runs)]
    baselines = sorted(map(_baseline_row, found.baselines), key=lambda one: one["cpu_hours"])
    reported = [
        {
            "system": one.system,
            "published_hours": one.hours,
            "published_unit": one.unit,
            "published_geometries": one.geometries,
            "determinants": one.determinants,
            "geometries": geometries,
            "predicted_hours": hours,
            "rate_fitted_to_it": one.fitted and not device_of(found.device).measured,
            "source": one.source,
        }
        for one, hours, geometries in compare_reported(found)
    ]
    if options.json:
        content = {
            "device": found.device,
            "unit": device_of(found.device).unit,
            "runs": runs,
            "baselines": baselines,
            "totals": _totals(found),
            "published": reported,
        }
        print(json.dumps(content, indent=2))
        return
    unit = device_of(found.device).unit
    if runs:
        _print_runs(runs, unit)
    if baselines:
        _print_baselines(baselines)
    if reported:
        _print_reported(reported, unit)
    _print_totals(found, unit)


def _group_row(group: list[RunEstimate]) -> dict[str, Any]:
    """Sum the runs of one system and wavefunction; hours are None if one is not predicted."""
    run = group[0].run
    costs = [one.cost for one in group if one.cost is not None]
    left = [one.remaining.total_s for one in group]
    known = len(costs) == len(group)
    return {
        "system": run.system,
        "ansatz": run.ansatz_name,
        "electrons": run.molecule.n_electrons,
        "runs": len(group),
        "jobs": len(STAGES) * len(group),
        **{
            f"{stage}_hours": sum(one.seconds(stage) for one in costs) / HOUR if known else None
            for stage in STAGES
        },
        "hours": sum(one.total_s for one in costs) / HOUR if known else None,
        "hours_left": None if None in left else sum(s for s in left if s is not None) / HOUR,
        "longest_run_hours": max(one.total_s for one in costs) / HOUR if known else None,
        "memory_gb": max(one.memory_gb for one in costs) if known else None,
    }


def _baseline_row(one: BaselineEstimate) -> dict[str, Any]:
    return {
        **{key: getattr(one.baseline, key) for key in _BASELINE_COLUMNS},
        "basis_functions": one.cost.n_basis,
        "cpu_hours": one.cost.seconds / HOUR,
        "memory_gb": one.cost.memory_gb,
        "scratch_gb": one.cost.scratch_gb,
        "done": one.done,
    }


def _totals(found: StudyCost) -> dict[str, Any]:
    return {
        "runs": len(found.runs),
        "runs_left": found.runs_left,
        "runs_not_predicted": sum(one.cost is None for one in found.runs),
        "vmc_jobs": len(STAGES) * len(found.runs),
        "device_hours": found.device_hours,
        "device_hours_left": found.device_hours_left,
        "baselines": len(found.baselines),
        "baselines_left": found.baselines_left,
        "core_hours": found.core_hours,
        "core_hours_left": found.core_hours_left,
    }


def _print_runs(rows: list[dict[str, Any]], unit: str) -> None:
    titles = ("system", "wavefunction", "electrons", "runs", *STAGES, "hours", "left", "GB")
    hours = (*(f"{stage}_hours" for stage in STAGES), "hours", "hours_left", "memory_gb")
    lines = []
    for row in rows:
        head = [str(row[key]) for key in ("system", "ansatz", "electrons", "runs")]
        lines.append([*head, *(_number(row[key]) for key in hours)])
    print(f"Runs, in {unit}; memory of one training on a CPU:\n")
    print_table(titles, lines)


def _number(value: float | None) -> str:
    return NOT_PREDICTED if value is None else f"{value:.3g}"


def _print_baselines(rows: list[dict[str, Any]]) -> None:
    titles = (*_BASELINE_COLUMNS, "functions", "hours", "memory / GB", "scratch / GB", "")
    print("\nConventional calculations, the longest last:\n")
    print_table(
        titles,
        [
            [
                *(row[key] for key in _BASELINE_COLUMNS),
                str(row["basis_functions"]),
                f"{row['cpu_hours']:.3g}",
                f"{row['memory_gb']:.1f}",
                f"{row['scratch_gb']:.0f}",
                "done" if row["done"] else "",
            ]
            for row in rows
        ],
    )


def _print_reported(rows: list[dict[str, Any]], unit: str) -> None:
    titles = ("system", "geometries", "determinants", "reported", "predicted here", "source")
    print(f"\nWhat others report for the paper's settings (predicted here: {unit}):\n")
    sources = list(dict.fromkeys(row["source"] for row in rows))
    lines = []
    for row in rows:
        counts = f"{row['published_geometries']} (here {row['geometries']})"
        reported = f"{row['published_hours']:g} {row['published_unit']}"
        mark = f"[{sources.index(row['source']) + 1}]"
        lines.append(
            [
                *(row["system"], counts, f"{row['determinants']} (here 16)", reported),
                *(f"{row['predicted_hours']:.0f}", mark),
            ]
        )
    print_table(titles, lines)
    print()
    for number, source in enumerate(sources, 1):
        print(f"[{number}] {source}")
    if any(row["rate_fitted_to_it"] for row in rows):
        print("The A100's rate is fitted to [1], with 200,000 iterations: no GPU was measured.")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + "s" * (number != 1)


def _print_totals(found: StudyCost, unit: str) -> None:
    totals = _totals(found)
    print()
    if found.runs:
        text = f"{_count(totals['runs'], 'run')}, {totals['vmc_jobs']} jobs: "
        unknown = totals["runs_not_predicted"]
        if unknown < totals["runs"]:
            text += f"about {found.device_hours:.3g} {unit}, {found.device_hours_left:.3g} left"
            text += f", without {unknown} runs that are not predicted" if unknown else ""
        else:
            text += NOT_PREDICTED
        if unknown:
            text += " (their programs cannot be traced)"
        print(f"{text}.")
    if found.baselines:
        print(
            f"{_count(len(found.baselines), 'calculation')}, about {found.core_hours:.3g} hours on "
            f"one core, to a factor of 2.2; {found.core_hours_left:.3g} left."
        )


def status(options: argparse.Namespace) -> None:
    """Print how far each run is and what it still takes; only the ends of files are read."""
    found = study_cost(load_study(options.config), options.device or default_device())
    runs = [_status_row(one) for one in found.runs]
    totals = {
        "done": sum(row["state"] == "evaluated" for row in runs),
        "running": sum(row["running"] for row in runs),
        "failed": sum(row["state"] == FAILED for row in runs),
        "waiting": sum(
            row["state"] not in ("evaluated", FAILED) and not row["running"] for row in runs
        ),
        "device_hours_left": None if _nothing_predicted(found) else found.device_hours_left,
        "runs_without_a_prediction": found.unpredicted,
        "unit": device_of(found.device).unit,
    }
    if options.json:
        print(json.dumps({"runs": runs, "totals": totals}, indent=2))
        return
    titles = (
        *("system", "geometry", "ansatz", "hash", "seed", "state", "iteration", "energy / Eh"),
        "left",
    )
    lines = []
    for run in runs:
        energy = "-"
        if run["energy"] is not None:
            energy = f"{run['energy']:.5f} ± {run['stderr']:.5f}"
        iteration = f"{run['iteration']}/{run['iterations']}"
        head = [str(run[key]) for key in ("system", "geometry", "ansatz", "config_hash", "seed")]
        state = run["state"] + (", running" if run["running"] else "")
        lines.append([*head, state, iteration, energy, _left_text(run)])
    print_table(titles, lines)
    print("\nEnergies are means of the last iterations of training, not results.")
    print(
        f"{totals['done']} runs done, {totals['running']} running, {totals['waiting']} waiting, "
        f"{totals['failed']} failed; {_hours_left_text(found)}."
    )
    for run in runs:
        if run["failure"] is not None:
            name = " ".join(str(run[key]) for key in ("system", "geometry", "ansatz", "seed"))
            print(f"\n{name} failed (exit code {run['exit_code']}): {run['failure']}")


def _nothing_predicted(found: StudyCost) -> bool:
    """Return whether runs are left and none of them is predicted."""
    return 0 < found.unpredicted == found.runs_left


def _hours_left_text(found: StudyCost) -> str:
    """Return the hours that all runs still take, in words."""
    if _nothing_predicted(found):
        return f"how long they take is {NOT_PREDICTED}"
    text = (
        f"about {found.device_hours_left:.3g} hours left ({device_of(found.device).unit}; a run's "
        "own pace where it has one)"
    )
    if found.unpredicted:
        text += f", without {found.unpredicted} runs {NOT_PREDICTED}"
    return text


def _left_text(row: dict[str, Any]) -> str:
    if row["state"] == "evaluated":
        return "-"
    if row["seconds_left"] is None:
        return NOT_PREDICTED
    seconds = row["seconds_left"]
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    clock = f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
    return f"{clock} ({row['left_is']})"


def _status_row(one: RunEstimate) -> dict[str, Any]:
    found, run = one.status, one.run
    energies = [float(row["energy"]) for row in found.recent]
    known = len(energies) > 1
    return {
        **layout.run_fields(run),
        "seed": run.seed,
        "state": found.state if found.failure is None else FAILED,
        "failure": found.failure and found.failure.sentence,
        "exit_code": found.failure and found.failure.exit_code,
        "running": found.running,
        "iteration": found.iteration,
        "iterations": run.train.iterations,
        "evaluated_iterations": found.evaluated,
        "energy": statistics.fmean(energies) if known else None,
        "stderr": statistics.stdev(energies) / math.sqrt(len(energies)) if known else None,
        "seconds_per_iteration": found.pace.get("train"),
        "seconds_left": one.remaining.total_s,
        "left_is": "measured" if one.remaining.measured else "predicted",
    }
