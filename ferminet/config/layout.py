"""Where the files of a study lie: the same templates for the workflow, the commands and the stages.

The names in braces are the wildcards of the workflow.
"""

import os
import re
from collections.abc import Collection
from pathlib import Path

import ferminet
from ferminet.config import (
    BaselineConfig,
    LimitConfig,
    RunConfig,
    Study,
    expand_baselines,
    expand_limits,
    expand_runs,
)
from ferminet.config.plugins import is_own
from ferminet.config.study import chosen_systems
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
# Training and evaluation resume from here, so no job declares it as an output: Snakemake deletes
# the outputs of a job that fails. Studies that ask for the same run share it.
CHECKPOINTS = "results/checkpoints/{config_hash}/seed{seed}"
EVALUATION_CHECKPOINTS = CHECKPOINTS + "/evaluation"
# Pretraining has none; the note of its failure lies here.
PRETRAIN_NOTES = CHECKPOINTS + "/pretrain"
ENERGIES = STUDY + "/energies.parquet"
PART = STUDY + "/parts/{part}.parquet"
TABLE = STUDY + "/tables/{table}.{format}"
FIGURE = STUDY + "/figures/{figure}.{format}"
REPORT = STUDY + "/report.html"
COMPARISON = STUDY + "/comparison/{ansatz}/comparison.{format}"
# Blessed rows, the only results that are committed. The files of a suite:
PUBLISHED = "results/published"
MANIFEST = "manifest.json"
PUBLISHED_ENERGIES = "energies.parquet"
PUBLISHED_HISTORIES = "histories.parquet"
CONFIGURATIONS = "configurations"

RUN_WILDCARDS = ("system", "geometry", "ansatz", "config_hash", "seed")
BASELINE_WILDCARDS = ("system", "geometry", "method", "reference", "basis")
LIMIT_WILDCARDS = ("system", "geometry", "protocol")
COMPARISON_FORMATS = ("md", "json", "png", "svg")
TABLE_FORMATS = ("md", "csv", "tex", "parquet")


def basis_slug(basis: str) -> str:
    """A basis set's name as part of a path.

    >>> basis_slug("6-31+G(d,p)")
    '6-31plusg_d_p_'
    """
    text = basis.lower().replace("+", "plus").replace("*", "star")
    return re.sub(r"[^a-z0-9.-]", "_", text)


def run_fields(run: RunConfig) -> dict[str, str]:
    """The wildcards of one run."""
    return {
        "study": run.study,
        "system": run.system,
        "geometry": run.geometry,
        "ansatz": run.ansatz_name,
        "config_hash": run.config_hash(),
        "seed": str(run.seed),
    }


def check_file(run: RunConfig) -> str | None:
    """The check of a run's wavefunction, which runs of the same one share.

    None for the package's own wavefunctions, which its tests check.
    """
    if is_own(run.ansatz.build):
        return None
    return CHECK.format(study=run.study, ansatz=run.ansatz_name, ansatz_hash=run.ansatz_hash())


def baseline_fields(baseline: BaselineConfig) -> dict[str, str]:
    """The wildcards of one conventional calculation."""
    return {
        "study": baseline.study,
        "system": baseline.system,
        "geometry": baseline.geometry,
        "method": baseline.method,
        "reference": baseline.reference,
        "basis": basis_slug(baseline.basis),
    }


def run_key(run: RunConfig) -> tuple[str, ...]:
    """The values of RUN_WILDCARDS for one run."""
    fields = run_fields(run)
    return tuple(fields[name] for name in RUN_WILDCARDS)


def baseline_key(baseline: BaselineConfig) -> tuple[str, ...]:
    """The values of BASELINE_WILDCARDS for one conventional calculation."""
    fields = baseline_fields(baseline)
    return tuple(fields[name] for name in BASELINE_WILDCARDS)


def limit_fields(limit: LimitConfig) -> dict[str, str]:
    """The wildcards of one basis-set limit."""
    return {
        "study": limit.study,
        "system": limit.system,
        "geometry": limit.geometry,
        "protocol": limit.protocol,
    }


def limit_key(limit: LimitConfig) -> tuple[str, ...]:
    """The values of LIMIT_WILDCARDS for one basis-set limit."""
    fields = limit_fields(limit)
    return tuple(fields[name] for name in LIMIT_WILDCARDS)


def member_files(limit: LimitConfig) -> list[Path]:
    """The rows that a limit is extrapolated from."""
    return [Path(BASELINE.format(**baseline_fields(member))) for member in limit.member_baselines()]


def energy_files(study: Study, systems: Collection[str] | None = None) -> list[Path]:
    """Return the files of rows of a study, or of some of its systems."""
    chosen = study.resolved_systems if systems is None else systems
    runs = [run for run in expand_runs(study) if run.system in chosen]
    baselines = [one for one in expand_baselines(study) if one.system in chosen]
    limits = [one for one in expand_limits(study) if one.system in chosen]
    files = [ENERGY.format(**run_fields(run)) for run in runs]
    files += [BASELINE.format(**baseline_fields(one)) for one in baselines]
    files += [LIMIT.format(**limit_fields(one)) for one in limits]
    return [Path(path) for path in files]


def suites() -> dict[str, Path]:
    """The folders of published rows by name: of the working directory, then the project's own."""
    own = Path(ferminet.__file__).parents[1] / PUBLISHED
    found = {}
    for parent in (Path(PUBLISHED), own):
        for path in sorted(parent.glob("*/")):
            if not path.name.startswith("."):  # one that is just being written
                found.setdefault(path.name, path)
    return found


def published_files(study: Study) -> list[Path]:
    """The published energies that a study's tables show too.

    Raises:
        InputError: there is no such suite.
    """
    return [_suite_file(name, "published") for name in study.published]


def baseline_file(study: Study) -> Path | None:
    """The published energies that a study's wavefunctions are compared with, if they are.

    Raises:
        InputError: there is no such suite.
    """
    name = study.comparison.baseline
    return None if name is None else _suite_file(name, "comparison.baseline")


def comparison_files(study: Study) -> list[Path]:
    """The verdicts on a study's wavefunctions, in all formats."""
    if study.comparison.baseline is None:
        return []
    return [
        Path(COMPARISON.format(study=study.name, ansatz=ansatz, format=format))
        for ansatz in study.ansatz
        for format in COMPARISON_FORMATS
    ]


def _suite_file(name: str, key: str) -> Path:
    known = suites()
    if name not in known:
        there = ", ".join(known) or "none yet"
        raise InputError(f"{key}: there is no suite {name!r} in {PUBLISHED}; there are: {there}.")
    return Path(os.path.relpath(known[name] / PUBLISHED_ENERGIES))


def trained_files(study: Study) -> list[Path]:
    """The trained wavefunctions of a study."""
    return [Path(TRAINED.format(**run_fields(run))) for run in expand_runs(study)]


def history_files(study: Study) -> dict[Path, RunConfig]:
    """The training histories of a study, each with its run."""
    return {Path(HISTORY.format(**run_fields(run))): run for run in expand_runs(study)}


def density_files(study: Study) -> dict[Path, RunConfig]:
    """The one-electron densities that a study asks for, each with its run."""
    chosen = chosen_systems(study, study.density.systems, "density")
    runs = [run for run in expand_runs(study) if run.system in chosen]
    return {Path(DENSITY.format(**run_fields(run))): run for run in runs}
