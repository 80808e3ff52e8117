"""The tables and totals that `ferminet cost` and `ferminet status` print."""

import argparse
import json
import math
import statistics
from typing import Any

from ferminet.ansatz.options import check_wavefunctions
from ferminet.benchmark.numbers import count
from ferminet.benchmark.schema import group_by
from ferminet.cli.inspect import print_table
from ferminet.config import expand_runs, layout, load_study
from ferminet.config.plugins import is_own
from ferminet.stages.study_cost import HOUR, BaselineEstimate, RunEstimate, StudyCost, study_cost
from ferminet.vmc.cost.predict import REPORTED, STAGES, default_device, has_paper_settings

NOT_PREDICTED = "not predicted"
FAILED = "failed"
_BASELINE_COLUMNS = ("system", "geometry", "method", "reference", "basis")
Row = dict[str, Any]  # a line of a table, as the JSON output has it


def _load(options: argparse.Namespace) -> StudyCost:
    study = load_study(options.config)
    # A plug-in that raises an error is not predicted; its check reports the error.
    check_wavefunctions(run for run in expand_runs(study) if is_own(run.ansatz.build))
    return study_cost(study, options.device or default_device())


def cost(options: argparse.Namespace) -> None:
    """Print what a study will need: its runs by system, its calculations, the totals."""
    study = _load(options)
    unit = study.device.unit
    groups = group_by(study.runs, lambda one: (one.run.system, one.run.ansatz_name))
    runs = [_group_row(group) for group in groups.values()]
    baselines = sorted(map(_baseline_row, study.baselines), key=lambda row: row["cpu_hours"])
    reported = _reported_rows(study)
    totals = study.totals()
    if options.json:
        content = {"device": study.device.name, "unit": unit, "runs": runs, "baselines": baselines}
        print(json.dumps({**content, "totals": totals, "published": reported}, indent=2))
        return
    if runs:
        _print_runs(runs, unit)
    if baselines:
        _print_baselines(baselines)
    if reported:
        _print_reported(reported, unit)
    _print_totals(totals, unit)


def _group_row(group: list[RunEstimate]) -> Row:
    """Sum the runs of one system and wavefunction; hours are None if one is not predicted."""
    run = group[0].run
    costs = [estimate.cost for estimate in group if estimate.cost is not None]
    left = [estimate.remaining.total_s for estimate in group]
    numbers = [f"{stage}_hours" for stage in STAGES] + ["hours", "longest_run_hours", "memory_gb"]
    row: Row = {
        "system": run.system,
        "ansatz": run.ansatz_name,
        "electrons": run.molecule.n_electrons,
        "runs": len(group),
        "jobs": len(STAGES) * len(group),
        "hours_left": None if None in left else sum(s for s in left if s is not None) / HOUR,
        **dict.fromkeys(numbers),
    }
    if len(costs) == len(group):
        totals = [cost.total_s / HOUR for cost in costs]
        for stage in STAGES:
            row[f"{stage}_hours"] = sum(cost.seconds(stage) for cost in costs) / HOUR
        row |= {"hours": sum(totals), "longest_run_hours": max(totals)}
        row["memory_gb"] = max(cost.memory_gb for cost in costs)
    return row


def _reported_rows(study: StudyCost) -> list[Row]:
    """Return reported and predicted hours of the same systems, with one seed per geometry."""
    rows = []
    for reported in REPORTED:
        costs = {
            one.run.geometry: one.cost
            for one in study.runs
            if one.run.system == reported.system and has_paper_settings(one.run)
        }
        row: Row = {
            "system": reported.system,
            "published_hours": reported.hours,
            "published_unit": reported.unit,
            "published_geometries": reported.geometries,
            "determinants": reported.determinants,
            "geometries": len(costs),
            "predicted_hours": sum(cost.total_s for cost in costs.values() if cost) / HOUR,
            "rate_fitted_to_it": reported.fitted and not study.device.measured,
            "source": reported.source,
        }
        rows += [row] if costs else []
    return rows


def _baseline_row(estimate: BaselineEstimate) -> Row:
    cost = estimate.cost
    return {
        **{key: getattr(estimate.baseline, key) for key in _BASELINE_COLUMNS},
        "basis_functions": cost.n_basis,
        "cpu_hours": cost.seconds / HOUR,
        "memory_gb": cost.memory_gb,
        "scratch_gb": cost.scratch_gb,
        "done": estimate.done,
    }


def _print_runs(rows: list[Row], unit: str) -> None:
    titles = ("system", "wavefunction", "electrons", "runs", *STAGES, "hours", "left", "GB")
    numbers = (*(f"{stage}_hours" for stage in STAGES), "hours", "hours_left", "memory_gb")
    print(f"Runs, in {unit}; memory of one training on a CPU:\n")
    lines = []
    for row in rows:
        head = [str(row[key]) for key in ("system", "ansatz", "electrons", "runs")]
        cells = (NOT_PREDICTED if row[key] is None else f"{row[key]:.3g}" for key in numbers)
        lines.append([*head, *cells])
    print_table(titles, lines)


def _print_baselines(rows: list[Row]) -> None:
    titles = (*_BASELINE_COLUMNS, "functions", "hours", "memory / GB", "scratch / GB", "")
    print("\nConventional calculations, the longest last:\n")
    lines = []
    for row in rows:
        head = [str(row[key]) for key in (*_BASELINE_COLUMNS, "basis_functions")]
        needs = (f"{row['cpu_hours']:.3g}", f"{row['memory_gb']:.1f}", f"{row['scratch_gb']:.0f}")
        lines.append([*head, *needs, "done" if row["done"] else ""])
    print_table(titles, lines)


def _print_reported(rows: list[Row], unit: str) -> None:
    titles = ("system", "geometries", "determinants", "reported", "predicted here", "source")
    print(f"\nWhat others report for the paper's settings (predicted here: {unit}):\n")
    sources = list(dict.fromkeys(row["source"] for row in rows))
    lines = []
    for row in rows:
        geometries = f"{row['published_geometries']} (here {row['geometries']})"
        reported = f"{row['published_hours']:g} {row['published_unit']}"
        predicted = f"{row['predicted_hours']:.0f}"
        source = f"[{sources.index(row['source']) + 1}]"
        determinants = f"{row['determinants']} (here 16)"
        lines.append([row["system"], geometries, determinants, reported, predicted, source])
    print_table(titles, lines)
    print("", *(f"[{number}] {source}" for number, source in enumerate(sources, 1)), sep="\n")
    if any(row["rate_fitted_to_it"] for row in rows):
        print("The A100's rate is fitted to [1], with 200,000 iterations: no GPU was measured.")


def _print_totals(totals: Row, unit: str) -> None:
    print()
    if runs := totals["runs"]:
        text = f"{count(runs, 'run')}, {totals['vmc_jobs']} jobs: "
        unknown = totals["runs_not_predicted"]
        if unknown < runs:
            text += f"about {totals['device_hours']:.3g} {unit}, "
            text += f"{totals['device_hours_left']:.3g} left"
            text += f", without {unknown} runs that are not predicted" if unknown else ""
        else:
            text += NOT_PREDICTED
        print(text + (" (their programs cannot be traced)." if unknown else "."))
    if baselines := totals["baselines"]:
        print(
            f"{count(baselines, 'calculation')}, about {totals['core_hours']:.3g} hours on "
            f"one core, to a factor of 2.2; {totals['core_hours_left']:.3g} left."
        )


def status(options: argparse.Namespace) -> None:
    """Print the progress of each run and the time left; only the ends of files are read."""
    study = _load(options)
    rows = [_status_row(estimate) for estimate in study.runs]
    states = [row["state"] for row in rows]
    running, failed = sum(row["running"] for row in rows), states.count(FAILED)
    done, hours_left = states.count("evaluated"), study.totals()["device_hours_left"]
    waiting = len(rows) - done - failed - running
    nothing_predicted = 0 < study.unpredicted == len(rows) - done
    totals = {
        "done": done,
        "running": running,
        "failed": failed,
        "waiting": waiting,
        "device_hours_left": None if nothing_predicted else hours_left,
        "runs_without_a_prediction": study.unpredicted,
        "unit": study.device.unit,
    }
    if options.json:
        print(json.dumps({"runs": rows, "totals": totals}, indent=2))
        return
    columns = ("system", "geometry", "ansatz", "config_hash", "seed")
    titles = ("system", "geometry", "ansatz", "hash", "seed", "state", "iteration", "energy / Eh")
    lines = []
    for row in rows:
        has_energy = row["energy"] is not None
        energy = f"{row['energy']:.5f} ± {row['stderr']:.5f}" if has_energy else "-"
        iteration = f"{row['iteration']}/{row['iterations']}"
        state = row["state"] + (", running" if row["running"] else "")
        head = [str(row[key]) for key in columns]
        lines.append([*head, state, iteration, energy, _left_text(row)])
    print_table((*titles, "left"), lines)
    print("\nEnergies are means of the last iterations of training, not results.")
    left = f"the time left is {NOT_PREDICTED}"
    if not nothing_predicted:
        left = (
            f"about {hours_left:.3g} hours left ({study.device.unit}, from measured paces if known)"
        )
        if study.unpredicted:
            left += f", without {study.unpredicted} runs {NOT_PREDICTED}"
    print(f"{done} runs done, {running} running, {waiting} waiting, {failed} failed; {left}.")
    for row in rows:
        if row["failure"] is not None:
            name = " ".join(str(row[key]) for key in ("system", "geometry", "ansatz", "seed"))
            print(f"\n{name} failed (exit code {row['exit_code']}): {row['failure']}")


def _left_text(row: Row) -> str:
    if row["state"] == "evaluated":
        return "-"
    if row["seconds_left"] is None:
        return NOT_PREDICTED
    hours, minutes = divmod(math.ceil(row["seconds_left"] / 60), 60)
    clock = f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
    return f"{clock} ({row['left_is']})"


def _status_row(estimate: RunEstimate) -> Row:
    run, _, status, remaining = estimate
    energies = status.energies
    has_mean = len(energies) > 1
    return {
        **layout.wildcards(run),
        "seed": run.seed,
        "state": status.state if status.failure is None else FAILED,
        "failure": status.failure and status.failure.sentence,
        "exit_code": status.failure and status.failure.exit_code,
        "running": status.running,
        "iteration": status.iteration,
        "iterations": run.train.iterations,
        "evaluated_iterations": status.evaluated,
        "energy": statistics.fmean(energies) if has_mean else None,
        "stderr": statistics.stdev(energies) / math.sqrt(len(energies)) if has_mean else None,
        "seconds_per_iteration": status.pace.get("train"),
        "seconds_left": remaining.total_s,
        "left_is": "measured" if remaining.measured else "predicted",
    }
