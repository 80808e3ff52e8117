# What a person sees while jobs run on this machine; Snakemake's own text is in its log file. Snakemake looks
# for logger plug-ins among installed packages only, not among those installed with `pip install -e`.
from collections import Counter

from ferminet.cli.screen import Screen, job_name

# --quiet, --verbose and a logger plug-in are requests for another output, and a scheduler's jobs have none.
_settings = workflow.output_settings
SCREEN = None
if (
    workflow.is_main_process
    and not ON_CLUSTER
    and not (_settings.quiet or _settings.verbose or _settings.dryrun)
):
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            SCREEN = Screen(handler.stream)
            logger.removeHandler(handler)
            logger.addHandler(SCREEN)


def start_screen(cost):
    """Show the jobs that are to be done, weighted with their predicted time."""
    if SCREEN is not None:
        seconds = Counter()
        for run, _, _, remaining in cost.runs:
            for stage, left in remaining.seconds.items():
                one = run if stage == "evaluate" else run.training_run()
                seconds[stage, job_name(layout.wildcards(one))] += left or 0
        jobs = [
            (job.rule.name, job_name(job.wildcards_dict, job.message))
            for job in workflow.dag.needrun_jobs()
        ]
        SCREEN.start(seconds, jobs)
