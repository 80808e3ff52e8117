# What jobs ask for, by prediction: time, memory, disk, priority.
from math import ceil

from ferminet.vmc.cost.runs import device_of, predict_run

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

# Runs that are predicted to be over within minutes.
SHORT_MINUTES = 30


def is_short(wildcards):
    """Whether a run is predicted to be over within minutes."""
    cost = cost_of(wildcards.config_hash, DEVICE)
    return cost is not None and cost.total_s <= 60 * SHORT_MINUTES


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


def more_memory(megabytes):
    """Megabytes that a job asks for whose need is not predicted."""
    return told(lambda wildcards, attempt: raised(attempt) * megabytes)


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
