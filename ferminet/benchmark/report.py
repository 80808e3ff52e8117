"""The report: one HTML page that works offline, made from the rows and the figures.

The page loads nothing: the style is inline, figures are embedded, there is no script, and the
security policy forbids the browser to fetch anything.
"""

import base64
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ferminet.benchmark.coverage import not_covered
from ferminet.benchmark.estimates import METHOD_LABELS, basis_label
from ferminet.benchmark.figures import FIGURES
from ferminet.benchmark.numbers import count
from ferminet.benchmark.publishing.rows import without_released
from ferminet.benchmark.references import References
from ferminet.benchmark.registry import Target, find_target
from ferminet.benchmark.schema import EnergyRow, Rows, distinct, grouped
from ferminet.benchmark.summary import flagged_rows, gaps, outcome, summary_table
from ferminet.benchmark.tables.build import build_table, contents_of, table_names
from ferminet.benchmark.tables.paper import explained, recipe_counts
from ferminet.benchmark.tables.paper_recipe import row_deviations

_SETTINGS = (
    ("walkers", "walkers"),
    ("iterations", "training iterations"),
    ("evaluation_iterations", "evaluation iterations"),
)
_MOST_VALUES = 4  # more numbers than this are shown as a range


def render_report(rows: Rows, references: References, figures: Mapping[str, bytes]) -> str:
    """Return the page as HTML.

    Args:
        rows: rows of results of one study; released rows appear in the tables only.
        references: literature values.
        figures: SVG files by name of the figure, in the order in which they are shown.
    """
    summary = summary_table(rows, references)
    tables = [build_table(name, rows, references) for name in table_names(without_released(rows))]
    rows = without_released(rows)
    return _template().render(
        study=", ".join(distinct(rows, "study")) or "no rows",
        outcome=outcome(rows, references),
        summary=summary,
        figures=[_view(name, svg, rows) for name, svg in figures.items()],
        tables=[table for table in tables if table.lines],
        explained=explained(rows, references),
        recipes=recipe_counts(rows),
        flagged=flagged_rows(rows, references),
        gaps=gaps(rows),
        provenance=_provenance(rows),
        deviations=_deviations(rows),
        sources=_sources(rows, references),
        not_covered=not_covered(rows, references, figures),
    )


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
        "caption": caption(target, rows) if target else "",
    }


def caption(figure: Target, rows: Rows) -> str:
    """Return the caption of a figure, with the number and settings of its runs.

    A figure of densities states its settings itself, because the rows do not hold them.
    """
    if figure.entry.reads == "densities":
        return figure.entry.caption
    shown = [row for row in rows if row.system in figure.systems]
    return f"{figure.entry.caption} {_settings(shown)}"


def _settings(rows: Rows) -> str:
    sampled = _sampled(rows)
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


def _sampled(rows: Rows) -> list[EnergyRow]:
    return [row for row in rows if row.method == "vmc"]


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
    sampled = _sampled(rows)
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


def _is_number(cell: str) -> bool:
    return bool(cell) and (cell[0].isdigit() or (cell[0] == "-" and cell[1:2].isdigit()))


def _typeset(cell: Any) -> str:
    """Replace the hyphen of a negative number by a minus sign."""
    text = str(cell)
    return "−" + text[1:] if text.startswith("-") and _is_number(text) else text  # noqa: RUF001


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("ferminet.benchmark"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["typeset"] = _typeset
    environment.tests["numeric"] = _is_number
    return environment.get_template("report.html")
