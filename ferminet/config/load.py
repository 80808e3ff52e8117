"""Read studies, and the runs that a study or a file of a resolved run stands for."""

import json
from collections.abc import Iterable
from pathlib import Path

from ferminet.config.blocks import SUITE_NAME
from ferminet.config.optimizers import is_plugin
from ferminet.config.plugins import plugin_digest
from ferminet.config.runs import RunConfig, resolve_run
from ferminet.config.study import Study
from ferminet.config.study_checks import check_study
from ferminet.errors import InputError
from ferminet.systems.suggestions import among, nearest
from ferminet.systems.validation import prefix_errors, validate
from ferminet.systems.yaml import load_mapping, read_text


def load_study(path: str | Path) -> Study:
    """Read a study, named after its file, and check what can be checked before the first job.

    Raises:
        InputError: one sentence with the file, the key, what was got and what is allowed.
    """
    path = Path(path)
    if not SUITE_NAME.fullmatch(path.stem) or path.suffix != ".yaml":
        raise InputError(
            f"{path}: a study is a .yaml file whose name has letters, digits, underscores and "
            "hyphens only, because it becomes part of paths."
        )
    content = load_mapping(path)
    if "name" in content:
        raise InputError(f"{path}: unknown key name; a study is named after its file.")
    with prefix_errors(path):
        study = validate(Study, {**content, "name": path.stem})
        check_study(study)
    return study


def load_run(
    path: str | Path,
    *,
    system: str | None = None,
    geometry: str | None = None,
    ansatz: str | None = None,
    seed: int | None = None,
    any_run: bool = False,
) -> RunConfig:
    """Return one run, from a study and selectors or from a resolved JSON file alone.

    `path` is a study (.yaml), whose run the selectors name where it has several, or what `ferminet
    resolve` wrote (.json). With `any_run` the first wavefunction and seed are taken, since the
    Hartree-Fock orbitals of all are the same.

    Raises:
        InputError: the file is wrong, or the selectors name no run or more than one.
    """
    path = Path(path)
    if path.suffix != ".json":
        study = load_study(path)
        system = _choose("system", system, study.resolved_systems)
        geometry = _choose("geometry", geometry, study.resolved_systems[system].geometries)
        ansatz = _choose("ansatz", ansatz, study.ansatz, any_run)
        named = None if seed is None else str(seed)
        chosen = _choose("seed", named, map(str, study.seeds), any_run)
        return resolve_run(study, system, geometry, ansatz, int(chosen))
    run = _load_resolved(path)
    selected = {"system": system, "geometry": geometry, "ansatz_name": ansatz, "seed": seed}
    for field, value in selected.items():
        if value not in (None, getattr(run, field)):
            name = field.removesuffix("_name")
            raise InputError(
                f"{path} is a run with {name} {getattr(run, field)}, not {value}; leave --{name} "
                "out."
            )
    return run


def _load_resolved(path: Path) -> RunConfig:
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from None
    with prefix_errors(path):
        run = validate(RunConfig, content)
    plugins = {run.ansatz.build: run.plugin_digest}
    if is_plugin(run.optimizer.name):
        plugins[run.optimizer.name] = run.optimizer_digest
    for name, stored in plugins.items():
        if plugin_digest(name) != stored:
            raise InputError(
                f"{path}: the plug-in {name} has changed; run `ferminet resolve` again."
            )
    return run


def _choose(what: str, chosen: str | None, allowed: Iterable[str], first: bool = False) -> str:
    """Return the chosen name, or the only one there is, or the first."""
    names = list(allowed)
    if not names:
        raise InputError(f"the study has no {what}; it asks for conventional calculations alone.")
    if chosen is None and len(names) > 1 and not first:
        raise InputError(f"the study has more than one {what}; name it with --{what}.")
    if chosen is not None and chosen not in names:
        hint = among(names) if what in ("geometry", "seed") else nearest(chosen, names)
        raise InputError(f"the study has no {what} {chosen!r}; {hint}")
    return chosen or names[0]
