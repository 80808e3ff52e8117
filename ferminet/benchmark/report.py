"""The results in short for a terminal, and the report: one HTML page that works offline.

The page loads nothing: style and script are inline, figures are embedded, and the security policy
forbids the browser to fetch anything and to run another script. The script only sorts tables.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ferminet.benchmark import diagnostics
from ferminet.benchmark.curves import PAPER, curve_systems
from ferminet.benchmark.estimates import METHOD_LABELS, basis_label
from ferminet.benchmark.figures import FIGURES
from ferminet.benchmark.numbers import count
from ferminet.benchmark.publishing.rows import without_released
from ferminet.benchmark.references import References
from ferminet.benchmark.registry import Target, find_target
from ferminet.benchmark.schema import IMPORTED, Rows, computed_rows, distinct, grouped, vmc_rows
from ferminet.benchmark.tables.build import build_table, contents_of, table_names
from ferminet.benchmark.tables.curves import curve_table
from ferminet.benchmark.tables.formatting import (
    PARENTHESES,
    Shown,
    Table,
    distinct_values,
    our_label,
    to_text,
    varying,
)
from ferminet.benchmark.tables.ionisation import ionisation_table
from ferminet.benchmark.tables.paper import above_paper_table, recipe_counts
from ferminet.benchmark.tables.paper_recipe import row_deviations
from ferminet.benchmark.tables.systems import system_lines
from ferminet.config.ablations import DETERMINANTS, LAYERS, OPTIMISERS, WIDTH, families

_COLUMNS = (
    "study", "system", "geometry", "energy_hartree", "energy_error_hartree", "reference",
    "difference_mEh", "difference_error_mEh", "percent", "percent_error", "status", "ansatz",
)  # fmt: skip
_SETTINGS = (
    ("walkers", "walkers"),
    ("iterations", "training iterations"),
    ("evaluation_iterations", "evaluation iterations"),
)
_MOST_VALUES = 4  # more numbers than this are shown as a range
# Parts that a figure covers, by the name of the figure.
PAPER_FIGURES = {"density": "one-electron densities"}
# Parts that rows cover if they hold runs that differ in one setting only.
PAPER_ABLATIONS = {
    "dependence on the number of determinants": DETERMINANTS,
    "dependence on the width of the network": WIDTH,
    "dependence on the depth of the network": LAYERS,
    "comparison of optimisers": OPTIMISERS,
}
# The ions in the paper's table of ionisation potentials and electron affinities.
PAPER_IONS = (
    "Li+", "Be+", "B+", "C+", "N+", "O+", "F+", "Ne+", "Li-", "B-", "C-", "O-", "F-",
)  # fmt: skip


def summary_table(rows: Rows, references: References) -> Table:
    """Build the short table: system, geometry, our energy, difference and percentage."""
    all_lines, _ = system_lines(rows, references, "atom", "molecule", "ion")
    for system in curve_systems(rows):
        all_lines += curve_table(system, rows, references).lines
    lines = [{key: line.get(key) for key in _COLUMNS} for line in all_lines]
    shown = [
        *varying(lines, "study"),
        Shown("system", "system"),
        Shown("geometry", "geometry"),
        *varying(lines, "ansatz"),
        Shown("energy_hartree", our_label(lines), "hartree", "energy_error_hartree"),
        Shown("difference_mEh", "difference", "mEh", "difference_error_mEh"),
        Shown("reference", "to"),
        Shown("percent", "correlation", "%", "percent_error"),
    ]
    if set(distinct_values(lines, "status")) - {"complete"}:
        shown.append(Shown("status", "status"))
    notes = [f"{PARENTHESES}."]
    if any(line["percent"] is None for line in lines):
        notes.append(
            "The correlation percentage is left out for one electron, for curves and without a "
            "reference."
        )
    return Table(lines, _COLUMNS, shown, notes, name="summary", title="Results")


def summary_text(rows: Rows, references: References) -> str:
    """Return the short table and the doubtful and missing results, for a terminal.

    Released rows appear in the table only.
    """
    imported: list[str] = []
    if any(row.method == IMPORTED for row in rows):
        imported = ["", to_text(build_table(IMPORTED, rows, references))]
        rows = computed_rows(rows)
    if imported and not rows:
        return f"{imported[1]}\n"
    table = to_text(summary_table(rows, references))
    rows = without_released(rows)
    doubtful = [f"! {name}: {flags}" for name, flags in flagged_rows(rows, references)]
    missing = [f"- no energy: {gap}" for gap in gaps(rows)]
    return "\n".join([table, "", outcome(rows, references), *doubtful, *missing, *imported]) + "\n"


def outcome(rows: Rows, references: References) -> str:
    """Return the numbers of all, missing and flagged results as one sentence."""
    sampled = vmc_rows(rows)
    if rows and not sampled:
        total = count(len(rows), "conventional energy", "conventional energies")
        return f"{total}: {len(gaps(rows)) or 'none'} without a value."
    missing, flagged = len(gaps(sampled)), len(flagged_rows(rows, references))
    return (
        f"{count(len(sampled), 'run')}: {missing or 'none'} without an energy, "
        f"{flagged or 'none'} flagged."
    )


def flagged_rows(rows: Rows, references: References) -> list[tuple[str, str]]:
    """Return name and flags of each doubtful run."""
    return [
        (f"{row.system} {row.geometry}, {row.ansatz}, seed {row.seed}", "; ".join(flags))
        for row in rows
        if (flags := diagnostics.flags(row, references))
    ]


def gaps(rows: Rows) -> list[str]:
    """Return the calculations without an energy, each with the reason."""
    reasons = []
    for row in rows:
        if row.energy is None:
            name = f"{METHOD_LABELS[row.method]}/{basis_label(row.basis or '')}"
            if row.method == "vmc":
                name = f"{row.ansatz}, seed {row.seed}"
            reason = row.details.note or row.status.replace("_", " ")
            reasons.append(f"{row.system} {row.geometry}, {name}: {reason}")
    return reasons


def render_report(rows: Rows, references: References, figures: Mapping[str, bytes]) -> str:
    """Return the page about one study as HTML; released rows appear in the tables only.

    `figures` are SVG files by name of the figure, in the order in which they are shown.
    """
    tables = [build_table(name, rows, references) for name in table_names(without_released(rows))]
    rows = computed_rows(rows)
    summary = summary_table(rows, references)
    rows = without_released(rows)
    return render_page(
        "report.html",
        study=", ".join(distinct(rows, "study")) or "no rows",
        outcome=outcome(rows, references),
        summary=summary,
        figures=[_view(name, svg, rows) for name, svg in figures.items()],
        tables=[table for table in tables if table.lines],
        above_paper=above_paper_table(rows, references),
        recipes=recipe_counts(rows),
        flagged=flagged_rows(rows, references),
        gaps=gaps(rows),
        provenance=_provenance(rows),
        deviations=_deviations(rows),
        sources=_sources(rows, references),
        not_covered=not_covered(rows, references, figures),
    )


def render_page(template: str, **values: Any) -> str:
    """Return a page of `templates/` as HTML, with style and script inline; it loads nothing."""
    script = files("ferminet.benchmark").joinpath("templates/report.js").read_text("utf-8")
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _templates().get_template(template)
    return page.render(script=script, script_hash=script_hash, **values)


def _deviations(rows: Rows) -> list[str]:
    """Return where the rows depart from the paper: settings, choices of the code, and in words."""
    systems: dict[str, dict[str, None]] = {}
    for row in rows:
        for deviation in row_deviations(row) or []:
            systems.setdefault(str(deviation), {})[row.system] = None
    settings = [f"{text}: {', '.join(names)}" for text, names in systems.items()]
    return [*settings, *dict.fromkeys(str(d) for row in rows for d in row.deviations or [])]


def _view(name: str, svg: bytes, rows: Rows) -> dict[str, str]:
    """Return a figure as the template shows it."""
    target = find_target(name, FIGURES, contents_of(rows))
    return {
        "title": target.title if target else name,
        "source": f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}",
        "caption": target.entry.caption if target else "",
        "details": figure_details(target, rows) if target else "",
    }


def figure_details(figure: Target, rows: Rows) -> str:
    """Return how a figure was made, with the number and settings of its runs.

    A figure of densities states its settings itself, because the rows do not hold them.
    """
    if figure.entry.reads == "densities":
        return figure.entry.details
    shown = [row for row in rows if row.system in figure.systems]
    return f"{figure.entry.details} {_settings(shown)}"


def _settings(rows: Rows) -> str:
    sampled = vmc_rows(rows)
    if not sampled:
        return "No sampled rows."
    parts = [f"{_values(sampled, key)} {label}" for key, label in _SETTINGS]
    parts += [f"seeds {_values(sampled, 'seed')}", _values(sampled, "precision")]
    baselines = [row for row in rows if row.method != "vmc"]
    bases = [
        f"{METHOD_LABELS[method]}/{basis_label(basis)}"
        for method, basis in grouped(baselines, "method", "basis")
    ]
    computed = f" Baselines of this study: {', '.join(bases)}." if bases else ""
    return f"From {count(len(sampled), 'run')}: {', '.join(parts)}.{computed}"


def _values(rows: Rows, key: str) -> str:
    """Return the distinct values of a column, as a range if there are many."""
    values = sorted(distinct(rows, key))
    if not values:
        return "unknown"
    if len(values) > _MOST_VALUES and not isinstance(values[0], str):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(str(value) for value in values)


def _provenance(rows: Rows) -> list[tuple[str, str]]:
    versions: dict[str, set[str]] = {}
    for row in rows:
        for package, version in (row.package_versions or {}).items():
            versions.setdefault(package, set()).add(str(version))
    packages = ", ".join(f"{name} {'/'.join(sorted(v))}" for name, v in sorted(versions.items()))
    created = sorted(distinct(rows, "created_utc"))
    hours = sum(row.wall_s or 0.0 for row in rows) / 3600
    sampled = vmc_rows(rows)
    return [
        ("commit", _values(rows, "git_commit")),
        ("packages", packages or "unknown"),
        ("device", _values(rows, "device")),
        ("precision", _values(sampled, "precision")),
        ("training seeds", _values(sampled, "seed")),
        ("evaluation seeds", _values(sampled, "evaluation_seed")),
        ("settings (hashes)", _values(sampled, "config_hash")),
        ("rows", f"{len(rows)}, made {created[0]} to {created[-1]}" if created else f"{len(rows)}"),
        ("time of all calculations", f"{hours:.2f} h"),
        ("version of the method", _values(rows, "method_version")),
        ("version of the rows' schema", _values(rows, "schema_version")),
    ]


def _sources(rows: Rows, references: References) -> list[tuple[str, str, str]]:
    """Return quantity, systems and source of the literature values of the systems in the rows."""
    systems: dict[tuple[str, str], dict[str, None]] = {}
    for system in distinct(rows, "system"):
        for quantity in references.quantities(system):
            for entry in references.of_system(system, quantity):
                kind = "" if entry.kind == entry.label else f", {entry.kind}"
                dispute = f". {entry.dispute}" if entry.dispute else ""
                name = (entry.label + kind, entry.source + dispute)
                systems.setdefault(name, {})[system] = None
    return [(label, ", ".join(names), source) for (label, source), names in systems.items()]


def not_covered(rows: Rows, references: References, figures: Iterable[str] = ()) -> list[str]:
    """Return the systems and parts of the FermiNet paper that rows and figures do not cover."""
    sampled = [row for row in vmc_rows(rows) if row.energy is not None]
    covered = distinct(sampled, "system")
    missing = [name for name in references.systems(PAPER) if name not in covered]
    systems = [f"systems: {', '.join(missing)}"] if missing else []
    runs = [
        [(row, row.details.settings) for row in group if row.details.settings]
        for group in grouped(sampled, "study", "system", "geometry").values()
    ]
    ablations = [
        name
        for name, variation in PAPER_ABLATIONS.items()
        if not any(families(group, variation) for group in runs)
    ]
    parts = [part for name, part in PAPER_FIGURES.items() if name not in set(figures)]
    lines = ionisation_table(rows, references).lines
    ions = [line["ion"] for line in lines if line["vmc_mEh"] is not None]
    missing_ions = [ion for ion in PAPER_IONS if ion not in ions]
    some = f": {', '.join(missing_ions)}" if len(missing_ions) < len(PAPER_IONS) else ""
    potentials = f"ionisation potentials and electron affinities of the atoms{some}"
    return [*systems, *([potentials] if missing_ions else []), *ablations, *parts]


def _is_number(cell: str) -> bool:
    return re.match(r"-?\d", cell) is not None


def _typeset(cell: str) -> str:
    """Replace the hyphen of a negative number by a minus sign."""
    return cell.replace("-", "−", 1) if cell[:1] == "-" and _is_number(cell) else cell  # noqa: RUF001


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("ferminet.benchmark"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["typeset"] = _typeset
    environment.tests["numeric"] = _is_number
    return environment
