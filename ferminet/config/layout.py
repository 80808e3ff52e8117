"""Paths of a study's files, as templates with the wildcards of the workflow in braces."""

import os
import re
from collections.abc import Collection
from pathlib import Path

from ferminet.config import expand_baselines, expand_limits, expand_runs
from ferminet.config.baselines import BaselineConfig, LimitConfig
from ferminet.config.plugins import is_own
from ferminet.config.runs import Resolved, RunConfig
from ferminet.config.study import PROJECT, Study, chosen_systems
from ferminet.errors import InputError

STUDY = "results/{study}"
SCF = STUDY + "/scf/{system}/{geometry}/{basis}.safetensors"
BASELINE = STUDY + "/baselines/{system}/{geometry}/{method}-{reference}-{basis}.parquet"
LIMIT = STUDY + "/baselines/{system}/{geometry}/limit-{protocol}.parquet"
CHECK = STUDY + "/checks/{ansatz}-{ansatz_hash}.json"
RUN = STUDY + "/runs/{system}/{geometry}/{ansatz}-{config_hash}/seed{seed}"
PRETRAINED = RUN + "/pretrained.safetensors"
TRAINED = RUN + "/trained.safetensors"
HISTORY = RUN + "/history.parquet"
ENERGY = RUN + "/energy.parquet"
DENSITY = RUN + "/density.parquet"
INSPECTION = RUN + "/inspection.parquet"
# Training and evaluation resume from here, so no job declares it as an output: Snakemake deletes
# the outputs of a job that fails. Studies that ask for the same run share it.
CHECKPOINTS = "results/checkpoints/{config_hash}/seed{seed}"
EVALUATION_CHECKPOINTS = CHECKPOINTS + "/evaluation"
# Pretraining has no checkpoint; the note of its failure lies here.
PRETRAIN_NOTES = CHECKPOINTS + "/pretrain"
ENERGIES = STUDY + "/energies.parquet"
PART = STUDY + "/parts/{part}.parquet"
TABLE = STUDY + "/tables/{table}.{format}"
FIGURE = STUDY + "/figures/{figure}.{format}"
REPORT = STUDY + "/report.html"
COMPARISON = STUDY + "/comparison/{ansatz}/comparison.{format}"
# Released rows, the only results under version control, and the files of a suite.
PUBLISHED = "results/published"
MANIFEST = "manifest.json"
PUBLISHED_ENERGIES = "energies.parquet"
PUBLISHED_HISTORIES = "histories.parquet"
CONFIGURATIONS = "configurations"
# Rows that others submitted to the leaderboard, and the description of each submission.
SUBMISSIONS = "results/submissions"
SUBMISSION = "submission.yaml"

COMPARISON_FORMATS = ("md", "json", "png", "svg")
TABLE_FORMATS = ("md", "csv", "tex", "parquet")


def basis_slug(basis: str) -> str:
    """Return a basis set's name as part of a path.

    >>> basis_slug("6-31+G(d,p)")
    '6-31plusg_d_p_'
    """
    text = basis.lower().replace("+", "plus").replace("*", "star")
    return re.sub(r"[^a-z0-9.-]", "_", text)


def wildcards(config: Resolved) -> dict[str, str]:
    """Return the wildcards of one run, conventional calculation or basis-set limit."""
    fields = {"study": config.study, "system": config.system, "geometry": config.geometry}
    if isinstance(config, RunConfig):
        fields |= {"ansatz": config.ansatz_name, "config_hash": config.config_hash()}
        return fields | {"seed": str(config.seed)}
    if isinstance(config, BaselineConfig):
        fields |= {"method": config.method, "reference": config.reference}
        return fields | {"basis": basis_slug(config.basis)}
    assert isinstance(config, LimitConfig)
    return fields | {"protocol": config.protocol}


def path_of(template: str, config: Resolved) -> Path:
    """Return a path of a run, conventional calculation or basis-set limit."""
    return Path(template.format(**wildcards(config)))


def history_name(geometry: str = "") -> str:
    """Return the name of a history in a checkpoint directory, or of a geometry's of a curve."""
    return f"history-{geometry}.csv" if geometry else "history.csv"


def history_csv(run: RunConfig) -> Path:
    """Return the history that a run's training appends to."""
    folder = path_of(CHECKPOINTS, run.training_run())
    return folder / history_name(run.geometry if run.curve else "")


def check_file(run: RunConfig) -> str | None:
    """Return the check of a run's wavefunction; None for the package's own, which tests check."""
    if is_own(run.ansatz.build):
        return None
    return CHECK.format(study=run.study, ansatz=run.ansatz_name, ansatz_hash=run.ansatz_hash())


def member_files(limit: LimitConfig) -> list[Path]:
    """Return the files of the rows that a limit is extrapolated from."""
    return [path_of(BASELINE, member) for member in limit.member_baselines()]


def energy_files(study: Study, systems: Collection[str] | None = None) -> list[Path]:
    """Return the files of rows of a study, or of some of its systems."""
    chosen = study.resolved_systems if systems is None else systems
    files = [(ENERGY, run) for run in expand_runs(study)]
    files += [(BASELINE, baseline) for baseline in expand_baselines(study)]
    files += [(LIMIT, limit) for limit in expand_limits(study)]
    return [path_of(template, config) for template, config in files if config.system in chosen]


def suites() -> dict[str, Path]:
    """Return the folders of released rows by name, of the working directory and the project."""
    return _folders(PUBLISHED)


def submissions() -> dict[str, Path]:
    """Return the folders of submissions by name, of the working directory and the project."""
    return _folders(SUBMISSIONS)


def _folders(parent: str) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for path in (*sorted(Path(parent).glob("*/")), *sorted((PROJECT / parent).glob("*/"))):
        if not path.name.startswith("."):  # an unfinished one
            folders.setdefault(path.name, path)
    return folders


def published_files(study: Study) -> list[Path]:
    """Return the released energies that a study's tables show too, or raise InputError."""
    return [_suite_file(name, "published") for name in study.published]


def baseline_file(study: Study) -> Path | None:
    """Return the released energies that a study is compared with, if any, or raise InputError."""
    name = study.comparison.baseline
    return None if name is None else _suite_file(name, "comparison.baseline")


def _suite_file(name: str, key: str) -> Path:
    folders = suites()
    if name not in folders:
        existing = ", ".join(folders) or "none yet"
        raise InputError(
            f"{key}: there is no suite {name!r} in {PUBLISHED}; there are: {existing}."
        )
    return Path(os.path.relpath(folders[name] / PUBLISHED_ENERGIES))


def comparison_files(study: Study) -> list[Path]:
    """Return the verdicts on a study's wavefunctions, in all formats."""
    if study.comparison.baseline is None:
        return []
    return [
        Path(COMPARISON.format(study=study.name, ansatz=ansatz, format=format))
        for ansatz in study.ansatz
        for format in COMPARISON_FORMATS
    ]


def data_files(study: Study, reads: str) -> list[Path]:
    """Return the files that a table or figure reads besides the energies."""
    files = {
        "histories": history_files,
        "both": history_files,
        "densities": density_files,
        "inspections": inspection_files,
    }
    return list(files[reads](study)) if reads in files else []


def trained_files(study: Study) -> list[Path]:
    """Return the trained wavefunctions of a study."""
    return [path_of(TRAINED, run) for run in expand_runs(study)]


def history_files(study: Study) -> dict[Path, RunConfig]:
    """Return the training histories of a study, each with its run."""
    return {path_of(HISTORY, run): run for run in expand_runs(study)}


def density_files(study: Study) -> dict[Path, RunConfig]:
    """Return the one-electron densities that a study asks for, each with its run."""
    return _chosen_files(study, DENSITY, chosen_systems(study, study.density.systems, "density"))


def inspection_files(study: Study) -> dict[Path, RunConfig]:
    """Return the inspections of wavefunctions that a study asks for, each with its run."""
    return _chosen_files(study, INSPECTION, chosen_systems(study, study.inspect.systems, "inspect"))


def _chosen_files(study: Study, template: str, systems: list[str]) -> dict[Path, RunConfig]:
    return {path_of(template, run): run for run in expand_runs(study) if run.system in systems}
