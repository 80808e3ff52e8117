"""The report: one HTML page that works offline, made from the rows and the figures.

The page loads nothing: style is inline, figures are data, there is no script, and its security
policy forbids a browser to fetch anything.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ferminet.benchmark import story
from ferminet.benchmark.curves import H4, curve_systems
from ferminet.benchmark.estimates import METHOD_LABELS, basis_label
from ferminet.benchmark.figures.style import CHEMICAL_ACCURACY_MEH
from ferminet.benchmark.numbers import count
from ferminet.benchmark.publishing.rows import own
from ferminet.benchmark.references import References, quantity_label
from ferminet.benchmark.schema import Row, Rows, distinct, grouped
from ferminet.benchmark.story import summary_text
from ferminet.benchmark.tables.paper import explained, recipe_counts
from ferminet.benchmark.tables.systems import build_table, kind_of, table_names
from ferminet.systems.curves import curve_name

__all__ = ["caption", "render_report", "summary_text"]

_SETTINGS = (
    ("walkers", "walkers"),
    ("iterations", "training iterations"),
    ("evaluation_iterations", "evaluation iterations"),
)
_MOST_VALUES = 4  # more numbers than this are given as a range
_FIGURE_TITLES = {
    "correlation": "Correlation energy recovered",
    "errors": "Error against the exact energy",
    "training": "Training",
    "determinants": "Number of determinants",
    "width": "Width and depth of the network",
    "optimisers": "Optimisers",
    "cost": "Error against cost",
    "density": "One-electron densities",
}
_HISTORIES = ("training", "optimisers")  # figures without error bars, of all rows


_ABLATION_TEXTS = {
    "determinants": "Correlation energy recovered against the number of determinants, for runs "
    "that differ in nothing else. Several seeds are one point; its bar is the larger of sampling "
    "error and spread between seeds.",
    "width": "Absolute error against the reference that the title names: left by the width of the "
    "one-electron stream, right by the number of layers, for runs that differ in nothing else "
    "(the two-electron stream may be wider where the other is). Open markers lie below the "
    f"reference; shaded: within {CHEMICAL_ACCURACY_MEH} mEh (1 kcal/mol).",
    "optimisers": "Energy during training minus the reference, running mean over a twentieth of "
    "the run, for the same geometry and network with different optimisers, each with its own "
    "rates, one line per seed. Right: against the time of training times the number of devices, "
    "compilation included and spread evenly over the iterations; pretraining is not in it.",
    "cost": "Absolute error of every run against the time of its training and evaluation times "
    "the number of devices (pretraining is not in it). Open markers lie below the reference; "
    f"shaded: within {CHEMICAL_ACCURACY_MEH} mEh (1 kcal/mol). Times on different devices do not "
    "compare.",
}


# Its settings stand in the figure, which knows what was sampled; the rows do not.
_DENSITY_CAPTION = (
    "One-electron density of the trained wavefunctions and of Hartree-Fock, nuclei marked. Atoms: "
    "radial distribution, its difference to Hartree-Fock, and the spherical average. Linear "
    "molecules: integrated over the planes across the axis; all others: over all but one direction "
    "in the plane of the nuclei. Below, the map of the difference, averaged over circles around "
    "the axis or integrated along the normal of the plane, grey where it is less than two standard "
    "errors. Bands are one standard error of sampling, from the spread between walkers."
)


@dataclass(frozen=True)
class _FigureView:
    """A figure as the template shows it."""

    title: str
    source: str
    caption: str


def render_report(rows: Rows, references: References, figures: Mapping[str, bytes]) -> str:
    """Writes the report.

    Args:
        rows: rows of results of one study; published ones among them are in the tables only.
        references: published energies.
        figures: SVG files by name of the figure (correlation, errors, training, h4, ...), in the
            order in which they are shown.

    Returns:
        HTML of the page.
    """
    summary = story.summary_table(rows, references)
    tables = [build_table(name, rows, references) for name in table_names(own(rows))]
    rows = own(rows)
    studies = ", ".join(distinct(rows, "study")) or "no rows"
    views = [
        _FigureView(_figure_title(name), _data_uri(svg), caption(name, rows))
        for name, svg in figures.items()
    ]
    return _template().render(
        study=studies,
        headline=story.headline(rows, references),
        summary=summary,
        figures=views,
        tables=[table for table in tables if table.lines],
        explained=explained(rows, references),
        recipes=recipe_counts(rows),
        flagged=story.flagged_rows(rows, references),
        gaps=story.gaps(rows),
        provenance=_provenance(rows),
        deviations=_deviations(rows),
        sources=_sources(rows, references),
        not_covered=story.not_covered(rows, references, figures),
    )


def caption(name: str, rows: Rows) -> str:
    """Returns what a figure shows, from which rows and at which settings.

    Args:
        name: correlation, errors, training, cost, density, an ablation, or a curve in lower case.
        rows: rows of results.
    """
    if name == "density":
        return _DENSITY_CAPTION
    curve = next((one for one in curve_systems(rows) if curve_name(one) == name), None)
    mine = rows
    if curve:
        mine = [row for row in rows if row["system"] == curve]
    elif name not in (*_HISTORIES, "cost"):
        mine = [row for row in rows if kind_of(row) in ("atom", "molecule")]
    texts = {
        "correlation": "Correlation energy recovered per system, 0 % at the Hartree-Fock limit and "
        "100 % at the reference that the table names; above zoomed, below the whole scale. Open "
        "diamonds: the paper's energies between the same end points.",
        "errors": "Absolute error against the exact energy, logarithmic. Open markers lie below "
        f"the exact energy. Shaded: within {CHEMICAL_ACCURACY_MEH} mEh (1 kcal/mol).",
        "training": "Training of every run, running means over a twentieth of it: energy minus the "
        "reference that the panel names, variance of the local energy, and acceptance. Gaps: the "
        "mean lies below the reference. Energies in the tables come from a separate evaluation.",
        **_ABLATION_TEXTS,
    }
    text = texts.get(
        name,
        f"Energies of {curve or name}. "
        + (
            "Above: each method relative to its own mean of 85° and 95°, so that shapes compare "
            "(Hartree-Fock is left out). "
            if curve == H4
            else "Above: total energies. "
        )
        + "Below: differences to the best published curve; shaded: within "
        f"{CHEMICAL_ACCURACY_MEH} mEh.",
    )
    bars = " Error bars are one standard error." if name not in _HISTORIES else ""
    return f"{text}{bars} {_settings(mine)}"


def _settings(rows: Rows) -> str:
    """Says how many rows there are and at which settings they were made."""
    sampled = _sampled(rows)
    if not sampled:
        return "No sampled rows."
    parts = [f"{_values(sampled, key)} {label}" for key, label in _SETTINGS]
    parts += [f"seeds {_values(sampled, 'seed')}", _values(sampled, "precision")]
    baselines = [row for row in rows if row["method"] != "vmc"]
    bases = [
        f"{METHOD_LABELS[method]}/{basis_label(basis)}"
        for method, basis in grouped(baselines, "method", "basis")
    ]
    own = f" Own baselines: {', '.join(bases)}." if bases else ""
    return f"From {count(len(sampled), 'run')}: {', '.join(parts)}.{own}"


def _sampled(rows: Rows) -> list[Row]:
    return [row for row in rows if row["method"] == "vmc"]


def _values(rows: Rows, key: str) -> str:
    """Returns the distinct values of a column, as a range where they are many."""
    values = sorted(distinct(rows, key))
    if not values:
        return "unknown"
    if len(values) > _MOST_VALUES and not isinstance(values[0], str):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(str(value) for value in values)


def _provenance(rows: Rows) -> list[tuple[str, str]]:
    versions: dict[str, set[str]] = {}
    for text in distinct(rows, "package_versions"):
        for package, version in json.loads(text).items():
            versions.setdefault(package, set()).add(str(version))
    packages = ", ".join(f"{name} {'/'.join(sorted(v))}" for name, v in sorted(versions.items()))
    created = sorted(distinct(rows, "created_utc"))
    hours = sum(row["wall_s"] or 0.0 for row in rows) / 3600
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


def _deviations(rows: Rows) -> list[str]:
    found: dict[str, None] = {}
    for text in distinct(rows, "deviations"):
        found |= dict.fromkeys(str(item) for item in json.loads(text))
    return list(found)


def _sources(rows: Rows, references: References) -> list[tuple[str, str, str]]:
    """Returns quantity, systems and source of the published values of the systems in the rows."""
    found: dict[tuple[str, str], list[str]] = {}
    for system in distinct(rows, "system"):
        for quantity in references.quantities(system):
            for entry in references.of_system(system, quantity):
                names = found.setdefault((quantity_label(quantity), entry.source), [])
                if system not in names:
                    names.append(system)
    return [(label, ", ".join(names), source) for (label, source), names in found.items()]


def _figure_title(name: str) -> str:
    return _FIGURE_TITLES.get(name, f"Curve {name.upper() if len(name) <= 3 else name}")


def _data_uri(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def _is_number(cell: str) -> bool:
    return bool(cell) and (cell[0].isdigit() or (cell[0] == "-" and cell[1:2].isdigit()))


def _typeset(cell: Any) -> str:
    """Writes a minus sign where a number has a hyphen."""
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
