# What jobs ask for, by prediction: time, memory, disk, priority, and which of them share a job of a
# cluster's scheduler.
import signal
from math import ceil

from ferminet.config.vmc_cost import device_of, predict_run
from ferminet.machine import machine_memory_gb

# Whether a scheduler starts the jobs, and whether this is one of them. (Which executor it is Snakemake
# says too late for rules; it counts nodes for all but its own machine.)
ON_CLUSTER = workflow.remote_exec or workflow.resource_settings.nodes is not None

# One run of each hash: seeds cost the same.
OF_HASH = {config_hash: run for (*_, config_hash, _), run in RUNS.items()}
COSTS = {}


def cost_of(config_hash, device):
    """What a run is predicted to cost; None if that is not known."""
    if (config_hash, device) not in COSTS:
        COSTS[config_hash, device] = predict_run(OF_HASH[config_hash], device)
    return COSTS[config_hash, device]


class Predicted:
    """A job's predicted hours in words: a message names the job as `{predicted:STAGE/HASH}`.

    Words may not stand among the resources, which the jobs of a group have to have in common.
    """

    def __init__(self):
        self.said = {}

    def __format__(self, job):
        if job not in self.said:
            self.said[job] = self.words(*job.split("/"))
        return self.said[job]

    def words(self, stage, config_hash):
        found = []
        for device in dict.fromkeys((DEVICE, "a100")):
            cost = cost_of(config_hash, device)
            if cost is None:
                return "not predicted"
            found.append(f"{cost.seconds(stage) / 3600:.3g} {device_of(device).unit}")
        return "predicted " + " or ".join(found)


predicted = Predicted()

# Runs that are predicted to be over within minutes. On a cluster, where a job waits and starts for minutes
# too, the stages of such a run are one job, and several runs share one, the one after the other:
# `group-components` in its profile says how many.
SHORT_RUNS = "short_runs"
SHORT_MINUTES = 30


def is_short(wildcards):
    """Whether a run is predicted to be over within minutes."""
    cost = cost_of(wildcards.config_hash, DEVICE)
    return cost is not None and cost.total_s <= 60 * SHORT_MINUTES


@told
def packed(wildcards):
    """The group of a job: None has a job of the scheduler's for itself."""
    # Within such a job, one run that cannot be helped should not stop the others. The head's own
    # `keep-going` does not reach the Snakemake there, whose settings are made after its rules.
    if workflow.remote_exec:
        workflow.execution_settings.keep_going = True
    several = workflow.group_settings.group_components.get(SHORT_RUNS)
    return SHORT_RUNS if several and is_short(wildcards) else None


PACKED = packed if ON_CLUSTER else None


# A job that goes on where it stopped asks for no more than a day at once: long limits wait long, and
# many partitions allow no more. (`set-resources` in a profile says otherwise.) Limits of short runs that
# share a job add up, so the least is less.
LONGEST_MINUTES = 1440
LEAST_MINUTES = 30
LEAST_SHORT_MINUTES = 10


def run_minutes(stage, unpredicted):
    """A job's time limit: three times the prediction, at least half an hour or, of short runs, ten minutes.

    Only pretraining, which starts anew, is given more time with each attempt.
    """

    def minutes(wildcards, attempt):
        cost = cost_of(wildcards.config_hash, DEVICE)
        wanted = unpredicted if cost is None else 3 * cost.seconds(stage) / 60
        wanted = max(
            LEAST_SHORT_MINUTES if is_short(wildcards) else LEAST_MINUTES, wanted
        )
        if stage != "pretrain":
            return ceil(min(wanted, LONGEST_MINUTES))
        return ceil(raised(attempt) * wanted)

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
WITHIN = " --time-limit-minutes {resources.runtime}" if ON_CLUSTER else ""


def run_memory(least):
    """Megabytes that a job asks for: a quarter more than predicted."""

    def megabytes(wildcards, attempt):
        cost = cost_of(wildcards.config_hash, DEVICE)
        wanted = 0 if cost is None else 1250 * cost.memory_gb
        return ceil(raised(attempt) * max(least, wanted))

    return told(megabytes)


@told
def baseline_memory(wildcards, attempt):
    """Megabytes that a conventional calculation asks for: a quarter more than predicted."""
    return ceil(
        raised(attempt) * max(1000, 1250 * baseline_of(wildcards).cost().memory_gb)
    )


# On this machine they share its memory, and GPU jobs (pretrain, train, evaluate, density) its devices:
# two of them suit two CPU cores; with one GPU use `--resources gpu=1`. (On a cluster the scheduler sees
# to both.)
if not ON_CLUSTER and workflow.is_main_process:
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
