"""What a study found, in sentences and in one short table; every number is computed from the rows.

The same short table ends a run on the terminal and opens the report.
"""

from collections.abc import Iterable

from ferminet.benchmark import diagnostics as judge
from ferminet.benchmark.ablations import ablation_lines, measure
from ferminet.benchmark.curves import (
    H4,
    H4_CURVATURE,
    PAPER,
    Series,
    best_quantity,
    curvature,
    curve_series,
    curve_systems,
)
from ferminet.benchmark.estimates import METHOD_LABELS, ansatz_label, basis_label
from ferminet.benchmark.numbers import count, format_value
from ferminet.benchmark.publishing.rows import own
from ferminet.benchmark.references import References, quantity_label
from ferminet.benchmark.schema import Row, Rows, distinct, grouped
from ferminet.benchmark.tables.curves import curve_table
from ferminet.benchmark.tables.formatting import DASH, Shown, Table
from ferminet.benchmark.tables.ionisation import ionisation_table
from ferminet.benchmark.tables.limits import limits_table
from ferminet.benchmark.tables.systems import all_system_lines, system_lines
from ferminet.config.ablations import DETERMINANTS, LAYERS, OPTIMISERS, WIDTH

_MILLI = 1e3
_MOST_NAMED = 6  # systems that a sentence names one by one

# Parts of Pfau et al., Phys. Rev. Research 2, 033429 (2020), that are not energies of a system.
PAPER_PARTS_NOT_COVERED = ("one-electron densities",)
# Parts that rows cover if they hold runs that differ in one setting alone.
PAPER_ABLATIONS = {
    "dependence on the number of determinants": DETERMINANTS,
    "dependence on the width of the network": WIDTH,
    "dependence on the depth of the network": LAYERS,
    "comparison of optimisers": OPTIMISERS,
}
# Figure -> the part of the paper that a study with this figure has.
_PART_OF_FIGURE = {"density": "one-electron densities"}

# Of its table of ionisation potentials and electron affinities.
PAPER_IONS = (
    "Li+", "Be+", "B+", "C+", "N+", "O+", "F+", "Ne+", "Li-", "B-", "C-", "O-", "F-",
)  # fmt: skip


def headline(rows: Rows, references: References) -> list[str]:
    """Returns what was found, in a few sentences, best first."""
    sentences = [*_systems_sentence(rows, references)]
    for system in curve_systems(rows):
        sentences += _curve_sentences(system, rows, references)
    sentences += _ionisation_sentences(rows, references)
    sentences += _limit_sentences(rows, references)
    sampled = [row for row in rows if row["method"] == "vmc"]
    if rows and not sampled:
        lacking = sum(row["energy"] is None for row in rows)
        state = f"{lacking} of them without a value" if lacking else "every one with a value"
        number = count(len(rows), "conventional energy", "conventional energies")
        return [*sentences, f"{number}, {state}."]
    lacking = sum(row["energy"] is None for row in sampled)
    flagged = len(flagged_rows(rows, references))
    state = f"{lacking} without an energy" if lacking else "every one with an energy"
    flags = f"{flagged} flagged (named below)" if flagged else "none flagged"
    sentences.append(f"Of {count(len(sampled), 'run')}, {state}; {flags}.")
    return sentences


def flagged_rows(rows: Rows, references: References) -> list[tuple[str, str]]:
    """Returns name and flags of each doubtful run."""
    found = []
    for row in rows:
        if flags := judge.flags(row, references):
            name = f"{row['system']} {row['geometry']}, {row['ansatz']}, seed {row['seed']}"
            found.append((name, "; ".join(flags)))
    return found


def _flagged(lines: list[Row], rows: Rows, references: References, label: str) -> str:
    """Returns the end of a sentence that names its doubtful numbers by `label`, "" if none is."""
    found = []
    for line in lines:
        mine = [
            row
            for row in rows
            if all(row[key] == line[key] for key in ("study", "system", "geometry", "ansatz"))
            and row["config_hash"] in line["config_hash"].split()  # a curve has one per geometry
        ]
        flags = (flag for row in mine for flag in judge.flags(row, references))
        if words := dict.fromkeys(flag.partition(":")[0] for flag in flags):
            found.append(f"{line[label]} ({', '.join(words)})")
    return f"; flagged: {', '.join(found)}" if found else ""


def gaps(rows: Rows) -> list[str]:
    """Returns which calculations gave no energy, and why."""
    found = []
    for row in rows:
        if row["energy"] is None:
            who = (
                f"{row['ansatz']}, seed {row['seed']}"
                if row["method"] == "vmc"
                else f"{METHOD_LABELS[row['method']]}/{basis_label(row['basis'])}"
            )
            status = judge.details(row).get("note") or row["status"].replace("_", " ")
            found.append(f"{row['system']} {row['geometry']}, {who}: {status}")
    return found


def not_covered(rows: Rows, references: References, figures: Iterable[str] = ()) -> list[str]:
    """Returns which systems and parts of the paper these rows and figures do not have."""
    covered = {r["system"] for r in rows if r["method"] == "vmc" and r["energy"] is not None}
    missing = [name for name in references.systems(PAPER) if name not in covered]
    systems = [f"systems: {', '.join(missing)}"] if missing else []
    measured, _ = measure([row for row in rows if row["energy"] is not None], references)
    ablations = [
        name for name, what in PAPER_ABLATIONS.items() if not ablation_lines(measured, what)
    ]
    drawn = [_PART_OF_FIGURE.get(name) for name in figures]
    parts = [part for part in PAPER_PARTS_NOT_COVERED if part not in drawn]
    return [*systems, *_ions_not_covered(rows, references), *ablations, *parts]


def _ions_not_covered(rows: Rows, references: References) -> list[str]:
    sampled = [line["ion"] for line in _ionisations(rows, references)]
    lacking = [ion for ion in PAPER_IONS if ion not in sampled]
    ions = "ionisation potentials and electron affinities of the atoms"
    some = f": {', '.join(lacking)}" if len(lacking) < len(PAPER_IONS) else ""
    return [ions + some] if lacking else []


def summary_table(rows: Rows, references: References) -> Table:
    """Builds the short table: system, geometry, our energy, its distance, the percentage."""
    columns = (
        "study", "system", "geometry", "energy_hartree", "energy_error_hartree", "reference",
        "difference_mEh", "difference_error_mEh", "percent", "percent_error", "status", "ansatz",
    )  # fmt: skip
    whole = [*all_system_lines(rows, references), *system_lines("ions", rows, references)[0]]
    for system in curve_systems(rows):
        whole += curve_table(system, rows, references).lines
    lines = [{key: line.get(key) for key in columns} for line in whole]
    ansaetze = [name for name in distinct(lines, "ansatz") if name]
    ours = ansatz_label(ansaetze[0]) if len(ansaetze) == 1 else "VMC"
    shown = [Shown("study", "study")] if len(distinct(lines, "study")) > 1 else []
    shown += [Shown("system", "system"), Shown("geometry", "geometry")]
    if len(ansaetze) > 1:
        shown.append(Shown("ansatz", "ansatz"))
    shown += [
        Shown("energy_hartree", ours, "hartree", "energy_error_hartree"),
        Shown("difference_mEh", "difference", "mEh", "difference_error_mEh"),
        Shown("reference", "to"),
        Shown("percent", "correlation", "%", "percent_error"),
    ]
    if set(distinct(lines, "status")) - {"complete"}:
        shown.append(Shown("status", "status"))
    notes = ["In parentheses: standard error of the last digit."]
    if any(line["percent"] is None for line in lines):
        notes.append(
            "No correlation percentage where it is undefined (one electron), not used (curves) or "
            "without a reference."
        )
    return Table("summary", "Results", lines, columns, shown, notes)


def summary_text(rows: Rows, references: References) -> str:
    """Returns the short table and the findings as text for a terminal.

    Published rows are in the table, and not what was found.
    """
    table = summary_table(rows, references)
    rows = own(rows)
    titles = [column.title for column in table.shown]
    lines = [[cell.replace(DASH, "-") for cell in cells] for cells in table.cells()]
    widths = [max(len(line[i]) for line in [titles, *lines]) for i in range(len(titles))]
    numeric = [bool(column.unit) for column in table.shown]

    def write(cells: list[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return "  ".join(padded).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    body = [write(titles), rule, *map(write, lines)] if lines else ["No rows."]
    doubtful = [f"! {name}: {flags}" for name, flags in flagged_rows(rows, references)]
    missing = [f"- no energy: {gap}" for gap in gaps(rows)]
    return "\n".join([*body, "", *headline(rows, references), *doubtful, *missing]) + "\n"


def _systems_sentence(rows: Rows, references: References) -> list[str]:
    lines = all_system_lines(rows, references)
    known = [line for line in lines if line["percent"] is not None]
    sentences = []
    for (name,), mine in grouped(known, "ansatz").items():
        values = [
            (format_value(line["percent"], line["percent_error"], 2) + " %", line["system"])
            for line in sorted(mine, key=lambda line: line["percent"])
        ]
        flagged = _flagged(mine, rows, references, "system")
        if len(values) <= _MOST_NAMED:
            share = " of the correlation energy of "
            listed = [
                f"{value}{' of ' if number else share}{system}"
                for number, (value, system) in enumerate(reversed(values))
            ]
            sentences.append(f"{ansatz_label(name)} recovers {_join(listed)}{flagged}.")
        else:
            (low, first), (high, last) = values[0], values[-1]
            sentences.append(
                f"{ansatz_label(name)} recovers between {low} ({first}) and {high} ({last}) of the "
                f"correlation energy of {len(values)} systems{flagged}."
            )
    return sentences


def _ionisations(rows: Rows, references: References) -> list[Row]:
    """The ionisation potentials and electron affinities that our energies give."""
    lines = ionisation_table(rows, references).lines
    return [line for line in lines if line["vmc_mEh"] is not None]


def _ionisation_sentences(rows: Rows, references: References) -> list[str]:
    """How far they are from the exact values and from experiment, at worst."""
    sentences = []
    known = [line for line in _ionisations(rows, references) if line["reference"]]
    for (name, reference), mine in grouped(known, "ansatz", "reference").items():
        worst = max(mine, key=lambda line: abs(line["difference_mEh"]))
        value = format_value(worst["difference_mEh"], worst["difference_error_mEh"], 2)
        target = "the exact ones" if reference == "exact" else "experiment"
        sentences.append(
            f"{ansatz_label(name)}'s ionisation potentials and electron affinities differ from "
            f"{target} by at most {value} mEh ({worst['atom']} to {worst['ion']}, of {len(mine)})."
        )
    return sentences


def _limit_sentences(rows: Rows, references: References) -> list[str]:
    """How far our own basis-set limits are from the published ones, at worst."""
    lines = limits_table(rows, references).lines
    sentences = []
    for (protocol,), mine in grouped(lines, "protocol").items():
        against = []
        for name, quantity in (("ccsd_t_to_paper", "CCSD(T)/CBS"), ("hf_to_paper", "HF/CBS")):
            known = [line for line in mine if line[f"{name}_mEh"] is not None]
            if known:
                worst = max(known, key=lambda line: abs(line[f"{name}_mEh"]))
                against.append(
                    f"{quantity} by at most {worst[f'{name}_mEh']:.2f} mEh ({worst['system']}, of "
                    f"{count(len(known), 'system')})"
                )
        if against:
            sentences.append(
                f"The limits by the protocol {protocol} differ from the published {_join(against)}."
            )
    return sentences


def _curve_sentences(system: str, rows: Rows, references: References) -> list[str]:
    lines = curve_table(system, rows, references).lines
    best = best_quantity(system, rows, references)
    known = [line for line in lines if line["difference_mEh"] is not None]
    count = len(distinct(lines, "geometry"))
    target = "the exact energies" if best == "exact" else quantity_label(best or "")
    sentences = []
    for (name,), mine in grouped(known, "ansatz").items():
        worst = max(mine, key=lambda line: abs(line["difference_mEh"]))
        value = format_value(worst["difference_mEh"], worst["difference_error_mEh"], 2)
        sentences.append(
            f"Along {system} ({len(distinct(mine, 'geometry'))} of {count} geometries), "
            f"{ansatz_label(name)} differs from {target} by at most {value} "
            f"mEh (at {worst['geometry']}){_flagged(mine, rows, references, 'geometry')}."
        )
    if system == H4:
        everything = curve_series(system, rows, references)
        sampled = [one for one in everything if one.kind == "vmc" and curvature(one.points)]
        others = [one for one in everything if one.name in ("fci_cbs", "ccsd_t_cbs")]
        for one in sampled:
            square = [
                line
                for line in lines
                if line["geometry"] in H4_CURVATURE
                and (line["study"], line["ansatz"], line["config_hash"])
                == (one.study, one.name, one.config_hash)
            ]
            flagged = _flagged(square, rows, references, "geometry")
            sentences.append(_curvature_sentence(one, others, flagged))
    return sentences


def _curvature_sentence(ours: Series, others: list[Series], flagged: str) -> str:
    value, error = curvature(ours.points) or (0.0, 0.0)
    against = [
        f"{quantity_label(one.name)} has {_MILLI * found[0]:.2f}"
        for one in others
        if (found := curvature(one.points))
    ]
    return (
        f"The curvature of {H4} at the square, E(90°) \N{MINUS SIGN} ½[E(85°) + E(95°)], is "
        f"{format_value(_MILLI * value, _MILLI * error)} mEh with {ours.label}"
        + (f"; {_join(against)}" if against else "")
        + f"{flagged}."
    )


def _join(items: list[str]) -> str:
    """Joins items as prose does: a, b and c."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
