# The study and the functions that rules use; no rules. Nothing here imports PySCF or pandas.
import inspect
import os
import shlex
import signal
from math import ceil
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from ferminet import layout
from ferminet.ansatz_checks import check_wavefunctions
from ferminet.config import expand_baselines, expand_limits, expand_runs, load_study
from ferminet.config.resolved import canonical
from ferminet.config.vmc_cost import device_of, predict_run, told_device
from ferminet.environment import put_commands_on_path
from ferminet.errors import FermiNetError
from ferminet.machine import machine_memory_gb
from ferminet.methods import METHODS, PROTOCOLS, REFERENCES
from ferminet.plugins import plugin_file
from ferminet.study_cost import study_cost, summary

DEFAULT_STUDY = "workflow/config/quickstart.yaml"

put_commands_on_path()


def study_file() -> str:
    """The one file that is asked for, seen from here so that a moved project computes nothing anew."""
    if workflow.config_settings.config:
        raise WorkflowError(
            "Settings given with --config do not reach the jobs: copy the study file, change it there, "
            "and name it with --configfile."
        )
    files = workflow.configfiles or [DEFAULT_STUDY]
    if len(files) > 1:
        raise WorkflowError("One study is computed at a time: give one --configfile.")
    return os.path.relpath(files[0])


STUDY_FILE = study_file()
try:
    STUDY = load_study(STUDY_FILE)
    RUNS = {layout.run_key(run): run for run in expand_runs(STUDY)}
    BASELINES = {layout.baseline_key(b): b for b in expand_baselines(STUDY)}
    LIMITS = {layout.limit_key(limit): limit for limit in expand_limits(STUDY)}
    DEVICE = told_device()
    # Energies of published suites, which stand in the tables beside the study's own.
    PUBLISHED = [str(path) for path in layout.published_files(STUDY)]
    # Energies that the wavefunctions are compared with, if they are.
    BASELINE_SUITE = layout.baseline_file(STUDY)
except FermiNetError as error:
    raise WorkflowError(str(error)) from None

if BASELINE_SUITE is not None:
    AGAINST = ["--margin", f"{1000 * STUDY.comparison.margin_hartree:g}"]
    if STUDY.comparison.baseline_ansatz is not None:
        AGAINST += ["--baseline-ansatz", STUDY.comparison.baseline_ansatz]
    PLAN_COMMAND = shlex.join(
        [
            "ferminet",
            "compare",
            str(BASELINE_SUITE),
            "--plan",
            str(len(STUDY.seeds)),
            *AGAINST,
        ]
    )

# Once, and not by each of the jobs, which read this file too.
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


def told(function):
    """Keeps the names of a function's arguments, which Snakemake looks up at every call for every job."""
    function.__signature__ = inspect.signature(function)
    return function


def run_of(wildcards):
    """The configuration of a job of pretrain, train or evaluate."""
    return RUNS[tuple(wildcards.get(name) for name in layout.RUN_WILDCARDS)]


def run_params(stage):
    """What one stage reads of its run's configuration, and no more."""
    return told(lambda wildcards: run_of(wildcards).stage_params(stage))


@told
def scf_params(wildcards):
    """What the Hartree-Fock calculation reads."""
    return SCF[wildcards.system, wildcards.geometry, wildcards.basis].stage_params(
        "scf"
    )


@told
def pretrain_notes(wildcards):
    """Where a failure of pretraining is noted. A resource: as one of its params it would repeat old runs."""
    return layout.PRETRAIN_NOTES.format(**dict(wildcards))


@told
def scf_file(wildcards):
    """The orbitals that a run's pretraining matches."""
    slug = layout.basis_slug(run_of(wildcards).scf.basis)
    return layout.SCF.format(**{**dict(wildcards), "basis": slug})


@told
def plugin_of(wildcards):
    """The file of a wavefunction that is not part of an installed package: an input of its jobs."""
    return plugin_file(run_of(wildcards).ansatz.build) or []


# The wavefunctions from outside of the package; one job checks each.
CHECKED = {layout.check_file(run): run for run in RUNS.values()}


def checked_of(wildcards):
    """The run whose wavefunction a job checks."""
    return CHECKED[layout.CHECK.format(**dict(wildcards))]


@told
def check_of(wildcards):
    """What pretraining waits for: the check of a wavefunction from outside of the package.

    A newer check, or a first one of an older study, repeats nothing.
    """
    path = layout.check_file(run_of(wildcards))
    return ancient(path) if path else []


SEEDLESS = [name for name in layout.RUN_WILDCARDS if name != "seed"]
COSTS = {}


def cost_of(wildcards, device):
    """What a run is predicted to cost, which is the same for all its seeds."""
    kind = (*(wildcards.get(name) for name in SEEDLESS), device)
    if kind not in COSTS:
        COSTS[kind] = predict_run(run_of(wildcards), device)
    return COSTS[kind]


def predicted(stage):
    """A job's predicted hours, in words that its message shows."""

    def text(wildcards):
        found = []
        for device in dict.fromkeys((DEVICE, "a100")):
            cost = cost_of(wildcards, device)
            if cost is None:
                return "not predicted"
            found.append(f"{cost.seconds(stage) / 3600:.3g} {device_of(device).unit}")
        return "predicted " + " or ".join(found)

    return told(text)


# A job that goes on where it stopped asks for no more than a day at once: long limits wait long, and
# many partitions allow no more. (`set-resources` in a profile says otherwise.)
LONGEST_MINUTES = 1440


def run_minutes(stage, unpredicted):
    """A job's time limit: three times the prediction, at least half an hour.

    Only pretraining, which starts anew, is given more time with each attempt.
    """

    def minutes(wildcards, attempt):
        cost = cost_of(wildcards, DEVICE)
        wanted = unpredicted if cost is None else 3 * cost.seconds(stage) / 60
        if stage != "pretrain":
            return ceil(min(max(30, wanted), LONGEST_MINUTES))
        return ceil(raised(attempt) * max(30, wanted))

    return told(minutes)


def raised(attempt):
    """What a failed job is given more of, up to the threefold: most attempts fail for other reasons."""
    return min(attempt, 3)


# The warning before a time limit reaches all processes of a job. It is meant for the package alone: if
# Snakemake died of it, the scheduler would clear away what is still saving. Children ignore it too, until
# they say otherwise.
if workflow.remote_exec:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)

# Where a scheduler ends jobs, those that can save stop by themselves before it does.
WITHIN = (
    ""
    if workflow.local_exec and not workflow.remote_exec
    else " --time-limit-minutes {resources.runtime}"
)


def run_memory(least):
    """Megabytes that a job asks for: a quarter more than predicted."""

    def megabytes(wildcards, attempt):
        cost = cost_of(wildcards, DEVICE)
        wanted = 0 if cost is None else 1250 * cost.memory_gb
        return ceil(raised(attempt) * max(least, wanted))

    return told(megabytes)


def baseline_of(wildcards):
    """The configuration of a conventional calculation."""
    return BASELINES[tuple(wildcards.get(name) for name in layout.BASELINE_WILDCARDS)]


def limit_of(wildcards):
    """The configuration of a basis-set limit."""
    return LIMITS[tuple(wildcards.get(name) for name in layout.LIMIT_WILDCARDS)]


@told
def baseline_memory(wildcards, attempt):
    """Megabytes that a conventional calculation asks for: a quarter more than predicted."""
    return ceil(
        raised(attempt) * max(1000, 1250 * baseline_of(wildcards).cost().memory_gb)
    )


# On this machine they share its memory, and GPU jobs (pretrain, train, evaluate, density) its devices:
# two of them suit two CPU cores; with one GPU use `--resources gpu=1`. (On a cluster the scheduler sees
# to both.)
if workflow.is_main_process and workflow.local_exec:
    workflow.register_resource("baseline_mb", int(1000 * machine_memory_gb()))
    if "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", 2)


@told
def baseline_minutes(wildcards, attempt):
    """Its time limit: three times the prediction, so that a slow processor passes too."""
    return ceil(raised(attempt) * (10 + 3 * baseline_of(wildcards).cost().seconds / 60))


@told
def baseline_disk(wildcards):
    """Megabytes of temporary files, a third more than predicted."""
    return ceil(100 + 1300 * baseline_of(wildcards).cost().scratch_gb)


@told
def costliest_first(wildcards):
    """A conventional calculation's priority: what takes longest starts first."""
    return min(int(baseline_of(wildcards).cost().seconds / 60), 99)


@told
def longest_first(wildcards):
    """A job's priority: what takes longest should start first, and cost grows with the electrons.

    The first geometry of every system comes before all others, which find its compiled programs
    done instead of compiling them at the same time.
    """
    system = STUDY.resolved_systems[wildcards.system]
    first = wildcards.geometry == next(iter(system.geometries))
    n_electrons = system.geometries[wildcards.geometry].n_electrons
    return n_electrons + (100 if first else 0)


def verdicts(wildcards):
    """The files of the target `regression`, which needs something to compare with."""
    if BASELINE_SUITE is None:
        raise WorkflowError(
            f"regression: {STUDY_FILE} names nothing to compare with. Add `comparison: {{baseline: SUITE}}` with"
            " a suite of results/published, or compare folders with `ferminet compare NEW BASELINE`."
        )
    return layout.comparison_files(STUDY)


def report_caption(name):
    """The text beside a table or figure in `snakemake --report`."""
    own = Path(workflow.basedir, "workflow", "report", f"{name}.rst")
    return f"../report/{name if own.exists() else 'curve'}.rst"


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
    reference="|".join(REFERENCES),
