"""Reads a study and checks what the types of its keys cannot express."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

from ferminet.config.blocks import AnsatzConfig
from ferminet.config.explain import nearest, validate
from ferminet.config.study import STAGE_BLOCKS, Study, baseline_systems
from ferminet.errors import InputError
from ferminet.plugins import option_names
from ferminet.strict_yaml import load_mapping

_STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ANSATZ_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,63}")


def load_study(path: str | Path) -> Study:
    """Reads a study and checks everything that can be known before the first job.

    Args:
        path: a YAML file; its stem is the study's name.

    Raises:
        InputError: one sentence with the file, the key, what was got and what is allowed.
    """
    path = Path(path)
    if not _STUDY_NAME.fullmatch(path.stem) or path.suffix != ".yaml":
        raise InputError(
            f"{path}: a study is a .yaml file whose name has letters, digits, underscores and "
            "hyphens only, because it becomes part of paths."
        )
    content = load_mapping(path)
    if "name" in content:
        raise InputError(f"{path}: unknown key name; a study is named after its file.")
    try:
        study = validate(Study, {**content, "name": path.stem})
        _check(study)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return study


def _check(study: Study) -> None:
    """What the types cannot express.

    Raises:
        InputError: something named does not exist, or stands there twice.
    """
    twice = [seed for seed, count in Counter(study.seeds).items() if count > 1]
    if twice:
        raise InputError(f"seeds: {twice[0]} is given twice; a run is done once.")
    if not study.ansatz and not study.baselines:
        raise InputError("ansatz is empty and there are no baselines; add one of either.")
    systems = study.resolved_systems
    for name in study.ansatz:
        if not _ANSATZ_NAME.fullmatch(name):
            raise InputError(
                f"ansatz: the name {name!r} must have letters, digits and underscores only, "
                "because it becomes part of paths."
            )
    for system, changes in study.overrides.items():
        if system not in systems:
            raise InputError(
                f"overrides: there is no system {system!r}; {nearest(system, systems)}"
            )
        for block in changes:
            if block not in STAGE_BLOCKS and block != "options":
                hint = nearest(block, [*STAGE_BLOCKS, "options"])
                raise InputError(f"unknown key overrides.{system}.{block}; {hint}")
    for system in systems:
        check_basis(study.blocks_for(system)["scf"].basis, f"scf.basis of {system}")
        for ansatz in study.ansatz:
            _check_options(study.ansatz_for(system, ansatz), ansatz)
    _check_baselines(study)


def _check_options(config: AnsatzConfig, name: str) -> None:
    allowed = option_names(config.build)
    for option in config.options:
        if allowed is not None and option not in allowed:
            raise InputError(
                f"unknown key ansatz.{name}.options.{option}; {nearest(option, allowed)}"
            )


def _check_baselines(study: Study) -> None:
    seen: set[tuple[str, ...]] = set()
    for index, baseline in enumerate(study.baselines):
        check_basis(baseline.basis, f"baselines[{index}].basis")
        for system in baseline_systems(study, baseline, index):
            key = (baseline.method, baseline.basis.lower(), baseline.reference, system)
            if key in seen:
                raise InputError(
                    f"baselines[{index}]: {baseline.method} in {baseline.basis} for {system} is "
                    "given twice; keep one."
                )
            seen.add(key)


@cache
def _known_bases() -> frozenset[str]:
    # Imported late: a third of a second that `ferminet --help` need not pay.
    import basis_set_exchange

    return frozenset(basis_set_exchange.get_metadata())


def check_basis(basis: str, where: str) -> None:
    """Refuses a basis set that nobody has published, before any job starts.

    Raises:
        InputError: the Basis Set Exchange has none of that name.
    """
    if basis.lower() not in _known_bases():
        raise InputError(
            f"{where} is {basis!r}, which the Basis Set Exchange does not have; "
            f"{_nearest_basis(basis)}"
        )


def _nearest_basis(basis: str) -> str:
    hint = nearest(basis, _known_bases())
    # All 700 names would not be a sentence.
    return hint if hint.startswith("did") else "write it as its web page does, e.g. aug-cc-pvtz."
