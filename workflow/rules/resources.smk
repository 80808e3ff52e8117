# What jobs request, from predictions: time, memory, disk, priority.
from functools import cache
from math import ceil

from ferminet.config.runs import SHARED
from ferminet.vmc.cost.predict import device_of, predict_runs

# One run per hash: all seeds cost the same.
OF_HASH = {run.config_hash(): run for run in RUNS.values()}


@cache
def all_costs(device):
    """Return the predicted costs of all runs by hash, None where one cannot be predicted."""
    return dict(zip(OF_HASH, predict_runs(OF_HASH.values(), device)))


@cache
def cost_of(config_hash, device):
    """Return the predicted cost of a run, or None if it cannot be predicted."""
    # The main process predicts all runs at once; a job needs only its own.
    if workflow.is_main_process:
        return all_costs(device)[config_hash]
    return predict_runs([OF_HASH[config_hash]], device)[0]


class Predicted:
    """Predicted hours of a job as text: a message names the job as `{predicted:STAGE/HASH}`.

    The text cannot be a resource, because jobs of a group must agree on every resource that is text.
    """

    def __format__(self, job):
        stage, config_hash = job.split("/")
        hours = []
        for device in dict.fromkeys((DEVICE, "a100")):
            cost = cost_of(config_hash, device)
            if cost is None:
                return "not predicted"
            hours.append(f"{cost.seconds(stage) / 3600:.3g} {device_of(device).unit}")
        return "predicted " + " or ".join(hours)


predicted = Predicted()

# Largest prediction for a run that counts as short.
SHORT_MINUTES = 30


def is_short(wildcards):
    """Return whether a run is predicted to be short."""
    cost = cost_of(wildcards.config_hash, DEVICE)
    return cost is not None and cost.total_s <= 60 * SHORT_MINUTES


# A job that can continue where it stopped requests at most a day at once: jobs with long limits wait long,
# and many partitions do not allow more. (`set-resources` in a profile overrides this.) The limits of short
# runs that share a job add up, so their minimum is smaller.
LONGEST_MINUTES = 1440
LEAST_MINUTES = 30
LEAST_SHORT_MINUTES = 10


def run_minutes(stage, unpredicted):
    """Return the time limit of a job: three times the prediction, at least 30 (short runs: 10) minutes.

    Only pretraining, which starts from scratch, gets more time with each attempt.
    """

    def minutes(wildcards, attempt):
        cost = cost_of(wildcards.config_hash, DEVICE)
        least = LEAST_SHORT_MINUTES if is_short(wildcards) else LEAST_MINUTES
        predicted = unpredicted if cost is None else 3 * cost.seconds(stage) / 60
        requested = max(least, predicted)
        if stage != "pretrain":
            return ceil(min(requested, LONGEST_MINUTES))
        return ceil(raised(attempt) * requested)

    return cache_signature(minutes)


def raised(attempt):
    """Return the factor of a request for an attempt, at most 3: most attempts fail for other reasons."""
    return min(attempt, 3)


def more_memory(megabytes):
    """Return the megabytes of a job whose memory is not predicted."""
    return cache_signature(lambda wildcards, attempt: raised(attempt) * megabytes)


def run_memory(least):
    """Return the megabytes of a job: a quarter more than predicted."""

    def megabytes(wildcards, attempt):
        cost = cost_of(wildcards.config_hash, DEVICE)
        predicted = 0 if cost is None else 1250 * cost.memory_gb
        return ceil(raised(attempt) * max(least, predicted))

    return cache_signature(megabytes)


@cache_signature
def baseline_memory(wildcards, attempt):
    """Return the megabytes of a conventional calculation: a quarter more than predicted."""
    return ceil(
        raised(attempt) * max(1000, 1250 * baseline_of(wildcards).cost().memory_gb)
    )


@cache_signature
def baseline_minutes(wildcards, attempt):
    """Return the minutes of a conventional calculation: three times the prediction, for slow processors."""
    return ceil(raised(attempt) * (10 + 3 * baseline_of(wildcards).cost().seconds / 60))


@cache_signature
def baseline_disk(wildcards):
    """Return the megabytes of its temporary files: a third more than predicted."""
    return ceil(100 + 1300 * baseline_of(wildcards).cost().scratch_gb)


@cache_signature
def costliest_first(wildcards):
    """Return the priority of a conventional calculation: the longest starts first."""
    return min(int(baseline_of(wildcards).cost().seconds / 60), 99)


@cache_signature
def longest_first(wildcards):
    """Return the priority of a job: the longest starts first, and cost grows with the electrons.

    The first geometry of every system comes before all others, so that these find its compiled
    programs instead of compiling them at the same time.
    """
    system = STUDY.resolved_systems[wildcards.system]
    label = next(iter(system.geometries))
    first = wildcards.geometry in (label, SHARED)
    n_electrons = system.geometries[label].n_electrons
    return n_electrons + (100 if first else 0)
