# The study, and the functions that the rules use. Nothing here imports PySCF or pandas.
import inspect
import os
import shlex
from pathlib import Path

from snakemake.common import overwrite_function_params
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.resources import Resource

from ferminet.benchmark import targets
from ferminet.config import layout
from ferminet.ansatz.options import check_wavefunctions
from ferminet.config import expand_baselines, expand_limits, expand_runs, load_study
from ferminet.config.runs import canonical, expand_trainings
from ferminet.vmc.cost.predict import export_device
from ferminet.runtime.environment import put_commands_on_path
from ferminet.errors import FermiNetError
from ferminet.methods import METHODS, PROTOCOLS, SCF_REFERENCES
from ferminet.config.optimizers import is_plugin
from ferminet.config.plugins import plugin_file
from ferminet.stages.study_cost import study_cost, summary

DEFAULT_STUDY = "workflow/config/quickstart.yaml"

put_commands_on_path()


def study_file() -> str:
    """Return the study's file, relative to this folder so that a moved project computes nothing again."""
    if workflow.config_settings.config:
        raise WorkflowError(
            "Settings given with --config do not reach the jobs: copy the study file, change it there, "
            "and name it with --configfile."
        )
    files = workflow.configfiles or [DEFAULT_STUDY]
    if len(files) > 1:
        raise WorkflowError("Give only one --configfile: one study runs at a time.")
    return os.path.relpath(files[0])


STUDY_FILE = study_file()
try:
    STUDY = load_study(STUDY_FILE)
    TRAININGS = expand_trainings(STUDY)
    RUNS = {
        layout.path_of(layout.RUN, run): run
        for run in [*expand_runs(STUDY), *TRAININGS]
    }
    BASELINES = {layout.path_of(layout.BASELINE, b): b for b in expand_baselines(STUDY)}
    LIMITS = {
        layout.path_of(layout.LIMIT, limit): limit for limit in expand_limits(STUDY)
    }
    DEVICE = export_device()
    # Energies of released suites, shown in the tables next to those of the study.
    PUBLISHED = [str(path) for path in layout.published_files(STUDY)]
    # Energies of the control, if the study compares its wavefunctions with one.
    BASELINE_SUITE = layout.baseline_file(STUDY)
except FermiNetError as error:
    raise WorkflowError(str(error)) from None

if BASELINE_SUITE is not None:
    COMPARE_OPTIONS = ["--margin", f"{1000 * STUDY.comparison.margin_hartree:g}"]
    if STUDY.comparison.baseline_ansatz is not None:
        COMPARE_OPTIONS += ["--baseline-ansatz", STUDY.comparison.baseline_ansatz]
    PLAN_COMMAND = shlex.join(
        [
            "ferminet",
            "compare",
            str(BASELINE_SUITE),
            "--plan",
            str(len(STUDY.seeds)),
            *COMPARE_OPTIONS,
        ]
    )
    if STUDY.comparison.equal_device_time:
        COMPARE_OPTIONS += ["--equal-device-time"]

# workflow/report/caption.rst shows the caption of its rule. If captions were parameters of the rules, a
# changed caption would make tables and figures again.
config["captions"] = targets.captions(STUDY)

# Only here, because each job reads this file too.
if workflow.is_main_process:
    try:
        check_wavefunctions(RUNS.values())
    except FermiNetError as error:
        raise WorkflowError(str(error)) from None
    for system in STUDY.resolved_systems.values():
        for remark in system.doubts():
            logger.warning(f"Remark: {remark}")

# The orbitals of a geometry are the same for all wavefunctions and seeds.
SCF = {
    (run.system, run.geometry, layout.basis_slug(run.scf.basis)): run
    for run in RUNS.values()
}


def cache_signature(function):
    """Cache a function's signature, which Snakemake looks up at every call for every job."""
    overwrite_function_params(function, inspect.signature(function).parameters)
    return function


# Snakemake calls this function for each resource of each job.
cache_signature(Resource.evaluate)


def run_of(wildcards):
    """Return the resolved run of a pretrain, train or evaluate job."""
    return RUNS[Path(layout.RUN.format(**dict(wildcards)))]


def run_params(stage):
    """Return the part of a run's configuration that one stage reads."""
    return cache_signature(lambda wildcards: run_of(wildcards).stage_params(stage))


@cache_signature
def scf_params(wildcards):
    """Return the part of the configuration that the Hartree-Fock calculation reads."""
    return SCF[wildcards.system, wildcards.geometry, wildcards.basis].stage_params(
        "scf"
    )


@cache_signature
def scf_file(wildcards):
    """Return the file of orbitals that a run's pretraining matches."""
    slug = layout.basis_slug(run_of(wildcards).scf.basis)
    return layout.SCF.format(**{**dict(wildcards), "basis": slug})


def shared_file(template):
    """Return a function that gives a file of the training that a run shares with others."""
    return cache_signature(
        lambda wildcards: str(
            layout.path_of(template, run_of(wildcards).training_run())
        )
    )


# Wavefunctions from outside the package; one job checks each.
CHECKED = {layout.check_file(run): run for run in RUNS.values()}


def checked_of(wildcards):
    """Return the run whose wavefunction a job checks."""
    return CHECKED[layout.CHECK.format(**dict(wildcards))]


@cache_signature
def plugin_of(wildcards):
    """Return the file of a wavefunction that is not installed: an input of its jobs."""
    return plugin_file(run_of(wildcards).ansatz.build) or []


@cache_signature
def check_of(wildcards):
    """Return what pretraining waits for: the check of a wavefunction from outside the package.

    A newer check repeats no pretraining.
    """
    path = layout.check_file(run_of(wildcards))
    return ancient(path) if path else []


# Most studies have none, and their jobs need no lookup.
PLUGIN, CHECK = (plugin_of, check_of) if any(CHECKED) else ([], [])


@cache_signature
def optimizer_of(wildcards):
    """Return the file of an optimiser that is a plug-in: an input of training."""
    name = run_of(wildcards).optimizer.name
    return (plugin_file(name) or []) if is_plugin(name) else []


PLUGINS = any(is_plugin(run.optimizer.name) for run in RUNS.values())
OPTIMIZER = optimizer_of if PLUGINS else []


def as_wildcards(path):
    """Return a path of the layout in the form of a shell command or a message."""
    return path.replace("{", "{wildcards.")


def baseline_of(wildcards):
    """Return the configuration of a conventional calculation."""
    return BASELINES[Path(layout.BASELINE.format(**dict(wildcards)))]


def limit_of(wildcards):
    """Return the configuration of a basis-set limit."""
    return LIMITS[Path(layout.LIMIT.format(**dict(wildcards)))]


def verdicts(wildcards):
    """Return the files of the target `regression`, which needs a control."""
    if BASELINE_SUITE is None:
        raise WorkflowError(
            f"regression: {STUDY_FILE} names nothing to compare with. Add `comparison: {{baseline: SUITE}}` with"
            " a suite of results/published, or compare folders with `ferminet compare NEW BASELINE`."
        )
    return layout.comparison_files(STUDY)


def no_such_target(wildcards):
    """Raise an error that names the existing tables or figures, for a target that is none of them."""
    names = targets.table_names if wildcards.kind == "table" else targets.figure_names
    existing = ", ".join(f"{wildcards.kind}_{name}" for name in names(STUDY)) or "none"
    raise WorkflowError(
        f"{STUDY_FILE} makes no {wildcards.kind}_{wildcards.name}; it has: {existing}."
    )


# Hashes of the runs whose training is shared: `split` makes their files, not `train`.
SPLIT = "|".join(
    sorted({run.config_hash() for run in RUNS.values() if run.training_run() != run})
)


wildcard_constraints:
    study=STUDY.name,
    system=r"[A-Za-z][A-Za-z0-9_+-]*",
    geometry=r"[A-Za-z0-9.]+",
    ansatz=r"[A-Za-z0-9_]+",
    config_hash=r"[0-9a-f]{8}",
    ansatz_hash=r"[0-9a-f]{8}",
    seed=r"[0-9]+",
    method="|".join(METHODS),
    protocol="|".join(PROTOCOLS),
    reference="|".join(SCF_REFERENCES),
