"""The leaderboard as a page and as JSON: tables over all systems, per system, within a budget."""

import base64
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ferminet.benchmark.details import plain
from ferminet.benchmark.figures import style as look
from ferminet.benchmark.leaderboard.board import (
    COLUMNS,
    FAMILY_ERROR,
    Result,
    literature,
    read_entries,
    results_of,
    within_budget,
)
from ferminet.benchmark.leaderboard.submission import Entry
from ferminet.benchmark.numbers import count, difference_meh
from ferminet.benchmark.references import References, project_references, reference_notes
from ferminet.benchmark.report import render_page
from ferminet.benchmark.schema import group_by
from ferminet.benchmark.tables.formatting import (
    PARENTHESES,
    Line,
    Shown,
    Table,
    distinct_values,
    status_notes,
    varying,
)
from ferminet.runtime.files import write_bytes
from ferminet.units import CHEMICAL_ACCURACY_MEH

BUDGETS = {"core": "one core-hour", "gpu": "one GPU-hour"}
_UNIT_LABELS = {"core": "core-hours", "gpu": "GPU-hours"}


def write_leaderboard(out_dir: Path) -> tuple[int, int]:
    """Write `index.html` and `leaderboard.json`; return the numbers of entries and results."""
    references = project_references()
    entries = read_entries(references)
    results = results_of(entries, references)
    page = render_leaderboard(entries, results, references)
    geometries = group_by(results, lambda result: result.geometry_key).values()
    lines = {
        "results": [result.line for result in results],
        **{f"within_one_{unit}_hour": _budget(results, unit) for unit in BUDGETS},
        "literature": [line for same in geometries for line in literature(same[0], references)],
    }
    content: dict[str, Any] = {
        name: [{key: line[key] for key in COLUMNS} for line in part] for name, part in lines.items()
    }
    content["entries"] = {
        entry.name: entry.submission and entry.submission.model_dump() for entry in entries
    }
    text = json.dumps(plain(content), indent=1, ensure_ascii=False)
    write_bytes(out_dir / "index.html", page.encode())
    write_bytes(out_dir / "leaderboard.json", f"{text}\n".encode())
    return len(entries), len(results)


def render_leaderboard(
    entries: Sequence[Entry], results: Sequence[Result], references: References
) -> str:
    """Return the page as HTML; it loads nothing."""
    systems = []
    for system, same in group_by(results, lambda result: result.line["system"]).items():
        figure = cost_figure(same, references)
        svg = None if figure is None else look.render(figure, "svg")
        source = base64.b64encode(svg).decode() if svg else ""
        table = system_table(system, same, references)
        systems.append({"name": system, "table": table, "figure": source})
    return render_page(
        "leaderboard.html",
        outcome=f"{count(len(entries), 'entry', 'entries')}, {count(len(results), 'result')} on "
        f"{count(len(systems), 'system')}.",
        overall=overall_table(results),
        budgets=[budget_table(results, unit) for unit in BUDGETS],
        systems=systems,
        entries=entries,
        family_error=f"{100 * FAMILY_ERROR:g} %",
    )


def overall_table(results: Sequence[Result]) -> Table:
    """Build the table of all entries, those with most first places first."""
    lines = []
    groups = group_by(results, lambda result: (result.line["entry"], result.line["model"]))
    for (entry, model), same in groups.items():
        ranks = [result.line["rank_low"] for result in same if result.line["rank_low"]]
        errors = [
            abs(result.line["difference_mEh"])
            for result in same
            if result.line["rank_low"] and result.line["difference_mEh"] is not None
        ]
        percents = [r.line["percent"] for r in same if r.line["rank_low"] and r.line["percent"]]
        lines.append({
            "entry": entry, "model": model, "results": len(same), "ranked": len(ranks),
            "first": ranks.count(1),
            "accurate": sum(error <= CHEMICAL_ACCURACY_MEH for error in errors),
            "median_mEh": statistics.median(errors) if errors else None,
            "percent": statistics.fmean(percents) if percents else None,
        })  # fmt: skip
    lines.sort(key=lambda line: (-line["first"], -line["accurate"], line["entry"], line["model"]))
    shown = [
        Shown("entry", "entry"),
        Shown("model", "wavefunction"),
        Shown("results", "geometries"),
        Shown("ranked", "ranked"),
        Shown("first", "first, alone or shared"),
        Shown("accurate", f"within {CHEMICAL_ACCURACY_MEH:g} mEh"),
        Shown("median_mEh", "median error", "mEh"),
        Shown("percent", "mean correlation", "%"),
    ]
    notes = ["Entries cover different systems, so medians and means are no ranking."]
    columns = tuple(column.key for column in shown)
    return Table(lines, columns, shown, notes, title="All systems")


def _budget(results: Sequence[Result], unit: str) -> list[Line]:
    return [result.line for result in within_budget(results, unit, 1.0)]


def budget_table(results: Sequence[Result], unit: str) -> Table:
    """Build the table of runs within one hour of a unit, ranked among themselves."""
    lines = _budget(results, unit)
    first = [Shown("system", "system"), *varying(lines, "geometry")]
    shown = [*first, *(column for column in _shown(lines)[:10] if column.key != "kind")]
    return Table(lines, COLUMNS, shown, title=f"Within {BUDGETS[unit]}")


def _shown(lines: Sequence[Line]) -> list[Shown]:
    return [
        Shown("rank", "rank"),
        Shown("entry", "entry"),
        Shown("model", "wavefunction"),
        Shown("kind", "kind"),
        Shown("n_seeds", "seeds"),
        Shown("difference_mEh", "error", "mEh", "difference_error_mEh"),
        Shown("percent", "correlation", "%", "percent_error"),
        Shown("hours", "hours"),
        Shown("unit", "of a"),
        Shown("evaluations", "local energies"),
        Shown("iterations", "iterations"),
        Shown("energy_hartree", "energy", "hartree", "energy_error_hartree"),
        Shown("variance", "variance / hartree²"),
        Shown("note", "note", width="6cm"),
    ]


def system_table(system: str, results: Sequence[Result], references: References) -> Table:
    """Build the table of one system: ranked lines, others, then literature values."""
    lines: list[Line] = []
    for same in group_by(results, lambda result: result.geometry_key).values():
        values = literature(same[0], references)
        lines += [*(result.line for result in same), *(v | {"n_seeds": None} for v in values)]
    compared = [references.best(*key) for key in {result.geometry_key: 0 for result in results}]
    kinds = distinct_values(lines, "reference")
    notes = [f"{PARENTHESES}; that of the error includes the reference's uncertainty."]
    notes += [f"The error is the difference to {' or '.join(kinds)}."] if kinds else []
    notes += [*reference_notes(compared), *status_notes(lines)]
    shown = [*varying(lines, "geometry"), *_shown(lines)]
    return Table(lines, COLUMNS, shown, notes, "energy_hartree", title=system)


@look.style()
def cost_figure(results: Sequence[Result], references: References) -> Figure | None:
    """Draw the error of each result of a system against its hours; None without any."""
    drawn = [r for r in results if r.line["hours"] and r.line["difference_mEh"]]
    units = [unit for unit in BUDGETS if any(r.line["unit"] == unit for r in drawn)]
    if not units:
        return None
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    panels = figure.subplots(1, len(units), sharey=True, squeeze=False)[0]
    groups = group_by(drawn, lambda result: (result.line["entry"], result.line["model"]))
    key = drawn[0].geometry_key
    paper, best = references.lookup(*key, "ferminet_paper"), references.best(*key)
    sizes = [abs(result.line["difference_mEh"]) for result in drawn]
    if paper and best and len({result.geometry_key for result in drawn}) == 1:
        sizes.append(abs(difference_meh(paper.energy, None, best)[0]))
    handles: dict[str, Any] = {}
    for axes, unit in zip(panels, units, strict=True):
        for number, ((entry, model), same) in enumerate(groups.items()):
            lines = [result.line for result in same if result.line["unit"] == unit]
            columns = ("hours", "difference_mEh", "difference_error_mEh")
            points = [[line[name] for line in lines] for name in columns]
            label = f"{model}, {entry}"
            if lines:
                look.draw_errors(axes, *points, look=look.series_look(number), label=label)
        for size in sizes[len(drawn) :]:
            axes.axhline(size, color=look.VERMILION, linestyle="--", label="FermiNet (paper)")
        axes.set_xscale("log")
        axes.set_yscale("log")
        low, high = axes.get_xlim()
        axes.set_xlim(low / 1.5, high * 1.5)  # so that a short axis has labels
        axes.set_xlabel(f"{_UNIT_LABELS[unit]} of one run")
        look.plain_log_axis(axes.xaxis)
        handles |= {
            label: one for one, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
    for axes in panels:  # bars that reach below zero go out at the bottom
        look.shade_accuracy(axes, min(size for size in sizes if size) / 3)
    look.plain_log_axis(panels[0].yaxis)
    panels[0].set_ylabel("|error| / mEh")
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    return figure
