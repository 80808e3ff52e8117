"""The settings in which the two sides of a comparison differ, computed from their rows."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from ferminet.benchmark.comparison.arms import Arm, GeometryKey, labels
from ferminet.benchmark.schema import EnergyRow, Rows
from ferminet.benchmark.tables.formatting import DASH, Shown, Table
from ferminet.config.blocks import FERMINET
from ferminet.vmc.recipes import flat_settings, setting_text


class SettingDifference(NamedTuple):
    """A setting with other values on the two sides, and the systems where they are these."""

    key: str  # as in a study, with dots between block and key
    new: str
    control: str
    geometries: list[GeometryKey]


def differing_settings(
    new: Arm, control: Arm, geometries: Iterable[GeometryKey]
) -> tuple[list[SettingDifference], list[str]]:
    """Return every setting in which two arms differ, and a note on rows without settings.

    A dash stands for an option that the wavefunction of one side does not have.
    """
    found: dict[tuple[str, str, str], list[GeometryKey]] = {}
    unrecorded = []
    for geometry in geometries:
        first, second = (_texts(arm.rows[geometry]) for arm in (new, control))
        if not first or not second:
            unrecorded.append(geometry)
            continue
        for key in first | second:
            values = first.get(key, DASH), second.get(key, DASH)
            if values[0] != values[1]:
                found.setdefault((key, *values), []).append(geometry)
    notes = [f"Settings are not recorded for {labels(unrecorded)}."] if unrecorded else []
    return [SettingDifference(*names, found[names]) for names in sorted(found)], notes


def settings_table(differences: list[SettingDifference], n_systems: int) -> Table | None:
    """Return a table of the settings that differ among so many systems; None if all are equal."""
    lines = []
    for each in differences:
        where = "all" if len(each.geometries) == n_systems else labels(each.geometries)
        lines.append(each._asdict() | {"geometries": where})
    titles = ("Setting", "New", "Control", "Systems")
    shown = [Shown(*names) for names in zip(SettingDifference._fields, titles, strict=True)]
    title = "Settings that differ"
    return Table(lines, SettingDifference._fields, shown, title=title) if lines else None


def tuned_note(control: Arm) -> list[str]:
    """Return a note on what was tuned for FermiNet, if that is the control.

    What its study sets differently from system to system was chosen for each of them.
    """
    rows = [row for group in control.rows.values() for row in group]
    if any((row.details.settings or {}).get("build") != FERMINET for row in rows):
        return []
    systems = [_texts(group) for group in control.rows.values()]
    varied = sorted(
        key
        for key in set().union(*systems)
        if not key.startswith("evaluate.") and len({texts.get(key) for texts in systems}) > 1
    )
    by_system = f", system by system for {', '.join(varied)}" if varied else ""
    return [
        f"The control's settings were chosen for FermiNet{by_system}. A wavefunction that takes "
        "them over was not tuned in the same way, so part of a difference may be due to them."
    ]


def _texts(rows: Rows) -> dict[str, str]:
    """Return the settings of an arm's rows for one system; seeds that differ give a list."""
    seeds = [_settings(row) for row in rows]
    keys = dict.fromkeys(key for seed in seeds for key in seed)
    return {
        key: ", ".join(dict.fromkeys(_text(key, seed[key]) for seed in seeds if key in seed))
        for key in keys
    }


def _settings(row: EnergyRow) -> dict[str, Any]:
    """Return the settings of training and evaluation by dotted keys."""
    if row.details.settings is None:
        return {}
    evaluate = (row.details.configuration or {}).get("evaluate", {})
    return flat_settings({**row.details.settings, "evaluate": evaluate})


def _text(key: str, value: Any) -> str:
    if key in ("build", "optimizer.name") and isinstance(value, list):  # of a file
        digest, function = value
        return f"{function} of file {digest[:8]}"
    return setting_text(value)
