"""The tables and figures of a study: their names, files, and rows.

The workflow imports this module to plan its jobs, so it imports no heavy library.
"""

from pathlib import Path

from ferminet.benchmark.figures import FIGURES
from ferminet.benchmark.registry import Contents, Target, targets
from ferminet.benchmark.tables import TABLES
from ferminet.config import Study, layout
from ferminet.config.ablations import ablations_of
from ferminet.config.study import chosen_systems
from ferminet.errors import InputError
from ferminet.systems.elements import is_ion
from ferminet.systems.molecule import has_well
from ferminet.systems.validation import among


def contents_of(study: Study) -> Contents:
    """Return the contents of a study, as the registries need them."""
    systems = study.resolved_systems.values()
    units = {s.name: next(iter(s.geometries.values())).parameter_unit for s in systems}
    return Contents(
        kinds={s.name: "ion" if is_ion(s.name) else s.kind for s in systems},
        wells=[s.name for s in systems if has_well(units[s.name], len(s.geometries))],
        runs=len(study.ansatz) * len(study.seeds),
        limits=bool(study.limits),
        densities=chosen_systems(study, study.density.systems, "density"),
        inspected=chosen_systems(study, study.inspect.systems, "inspect"),
        ablations=ablations_of(study),
    )


def tables(study: Study) -> list[Target]:
    """Return the tables of a study."""
    return targets(TABLES, contents_of(study))


def figures(study: Study) -> list[Target]:
    """Return the figures of a study."""
    return targets(FIGURES, contents_of(study))


def table_names(study: Study) -> list[str]:
    """Return the names of a study's tables."""
    return [target.name for target in tables(study)]


def figure_names(study: Study) -> list[str]:
    """Return the names of a study's figures."""
    return [target.name for target in figures(study)]


def table_files(study: Study) -> list[Path]:
    """Return all files of all tables."""
    return [
        Path(layout.TABLE.format(study=study.name, table=table, format=format))
        for table in table_names(study)
        for format in layout.TABLE_FORMATS
    ]


def figure_files(study: Study) -> list[Path]:
    """Return all files of all figures."""
    return [
        Path(layout.FIGURE.format(study=study.name, figure=figure, format=format))
        for figure in figure_names(study)
        for format in study.plots.formats
    ]


def captions(study: Study) -> dict[str, str]:
    """Return the caption of each table and figure by the name of its rule, e.g. table_atoms."""
    return {
        f"{kind}_{target.name}": f"{target.entry.caption} {target.entry.details}".strip()
        for kind, entries in (("table", tables(study)), ("figure", figures(study)))
        for target in entries
    }


def parts(study: Study) -> dict[str, list[str]]:
    """Return the sets of systems that tables or figures need, by the name of the first of these.

    A set is listed only if it is not all systems of the study.
    """
    names: dict[tuple[str, ...], str] = {}
    for target in [*tables(study), *figures(study)]:
        if len(target.systems) < len(study.resolved_systems):
            names.setdefault(target.systems, target.name)
    return {name: list(systems) for systems, name in names.items()}


def rows_file(study: Study, target: Target) -> str:
    """Return the file of rows behind a table or a figure: a part, or all energies."""
    for part, systems in parts(study).items():
        if tuple(systems) == target.systems:
            return layout.PART.format(study=study.name, part=part)
    return layout.ENERGIES.format(study=study.name)


def energy_files(study: Study, part: str | None = None) -> list[Path]:
    """Return the files of rows from which a study, or one of its `parts`, is collected.

    Raises:
        InputError: there is no such part.
    """
    if part is None:
        return layout.energy_files(study)
    systems = parts(study)
    if part not in systems:
        raise InputError(f"{study.name} has no part {part!r}; {among(list(systems))}")
    return layout.energy_files(study, systems[part])
