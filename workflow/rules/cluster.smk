# Where jobs run: on this machine, or on a cluster whose scheduler starts and ends them.
import re
import signal

from ferminet.runtime.environment import machine_memory_gb
from ferminet.runtime.slurm import (
    longest_of_each_kind,
    normalise_job_states,
    submission,
    submission_error,
)

# True if a scheduler starts the jobs, or if this process is such a job. (Snakemake names the executor too
# late for the rules, but it counts nodes for every executor except the local one.)
ON_CLUSTER = workflow.remote_exec or workflow.resource_settings.nodes is not None

# On one machine, jobs share its memory, and GPU jobs (pretrain, train, evaluate, density, inspect) its
# devices: two at a time suit two CPU cores; with one GPU use `--resources gpu=1`. (On a cluster the
# scheduler manages both.)
if not ON_CLUSTER and workflow.is_main_process:
    workflow.register_resource("baseline_mb", int(1000 * machine_memory_gb()))
    if "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", 2)

# The warning before a time limit reaches all processes of a job, but only the package handles it: if it
# ended Snakemake, the scheduler would kill processes that are still saving. Children ignore it too until
# they install a handler.
if workflow.remote_exec:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)

# Where a scheduler ends jobs, stages that can save stop by themselves before it does.
WITHIN = " --time-limit-minutes {resources.runtime}" if ON_CLUSTER else ""

# On a cluster a job waits in the queue and needs minutes to start. So the stages of a short run are one job,
# and several runs share one, one after the other: `group-components` in the profile sets how many.
SHORT_RUNS = "short_runs"


@cache_signature
def packed(wildcards):
    """Return the group of a job; None gives it a separate cluster job."""
    # Within such a job, a run that fails for good should not stop the others. The head does not pass
    # `keep-going` on to the Snakemake there, whose settings are made after its rules.
    if workflow.remote_exec:
        workflow.execution_settings.keep_going = True
    several = workflow.group_settings.group_components.get(SHORT_RUNS)
    return SHORT_RUNS if several and is_short(wildcards) else None


PACKED = packed if ON_CLUSTER else None


PROFILE_HINT = "Correct the first lines of the profile; see docs/how-to/slurm.md."


def patch_status_query():
    """Normalise the job states that the plug-in reads from SLURM."""
    import snakemake_executor_plugin_slurm as plugin

    plugin.query_job_status = normalise_job_states(plugin.query_job_status)


def validate_submissions():
    """Ask SLURM once for each kind of job whether it would accept it, before any is submitted.

    Raises:
        WorkflowError: if SLURM would never accept one of them, or would send the warning at the start.
    """
    commands = []
    for job in workflow.dag.needrun_jobs():
        job = workflow.dag.get_job_group(job) or job
        try:
            commands.append(submission(job, workflow.executor_settings))
        except WorkflowError as error:
            raise WorkflowError(f"{error} {PROFILE_HINT}") from None
        minutes = job.resources.get("runtime", 0)
        warning = re.search(r"@(\d+)", job.resources.get("slurm_extra", ""))
        if warning and int(warning[1]) >= 60 * minutes:
            raise WorkflowError(
                f"The warning comes {warning[1]} s before the end of a job's {minutes} minutes, that is, at its"
                " start: lower `warning` or raise `minutes` in the profile; see docs/how-to/slurm.md."
            )
    for command in longest_of_each_kind(commands):
        reason = submission_error(command)
        if reason is not None:
            raise WorkflowError(f"{reason}. {PROFILE_HINT}")
