"""Queries to SLURM about jobs, before and after their submission, and what its answers mean."""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import Any

# Errors for jobs that SLURM will never accept. (A node that is down or busy may come back.)
_NEVER = re.compile(
    r"invalid|exceeds|not permitted|configuration is not available|can not be satisfied",
    re.IGNORECASE,
)
_TIME = re.compile(r" -t (\d+)")
# SLURM requeues a preempted job within two minutes, unless it cancels it.
LOST_S = 300.0

Answers = tuple[dict[str, str] | None, float | None]
Query = Callable[[str, Any], Awaitable[Answers]]


def submission(job: Any, settings: Any) -> str:
    """Return the options of `sbatch` with which Snakemake's plug-in submits a job."""
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    account = str(job.resources.get("slurm_account") or "").replace(",", " ").split()
    partition = str(job.resources.get("slurm_partition") or "")
    options = {
        "run_uuid": "question",
        "slurm_logfile": "/dev/null",
        "comment_str": "question",
        "account": f"-A {shlex.quote(account[0])}" if account else "",
        "partition": f"-p {shlex.quote(partition)}" if partition else "",
        "workdir": ".",
    }
    command = get_submit_command(job, options, settings=settings) + set_gres_string(job)
    return re.sub(r"^sbatch --parsable .*? --comment question", "", command).strip()


def longest_of_each_kind(commands: list[str]) -> list[str]:
    """Keep the longest of the submissions that differ only in their time limit."""
    longest: dict[str, int] = {}
    for command in (f" {command}" for command in commands):
        minutes = max(map(int, _TIME.findall(command)), default=0)
        kind = _TIME.sub(" -t MINUTES", command)
        longest[kind] = max(longest.get(kind, 0), minutes)
    return [kind.replace("MINUTES", str(minutes)).strip() for kind, minutes in longest.items()]


def submission_error(options: str) -> str | None:
    """Return why SLURM would never accept these options; None if it might or does not answer."""
    answer = _ask("sbatch", "--test-only", *shlex.split(options), "--wrap=true")
    if answer is None or not answer.returncode or not _NEVER.search(answer.stderr):
        return None
    lines = (line.removeprefix("sbatch: error: ") for line in answer.stderr.splitlines())
    return f"SLURM accepts no job with {options}: {' '.join(lines).rstrip('.')}"


def is_queued(job: str) -> bool:
    """Return whether SLURM still has a job; also true if it does not answer."""
    answer = _ask("squeue", "--noheader", "--format=%T", f"--jobs={job}")
    if answer is None:
        return True
    if answer.returncode:  # the error for a job that SLURM has forgotten
        return "Invalid job id" not in answer.stderr
    return bool(answer.stdout.strip())


def _ask(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Run a command of SLURM; None if it is not installed or does not answer."""
    if shutil.which(command[0]) is None:
        return None
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None


def normalise_job_states(query: Query, clock: Callable[[], float] = time.monotonic) -> Query:
    """Wrap the status query of Snakemake's plug-in so that it notices how every job has ended.

    The plug-in would wait forever for two kinds of jobs: those that `sacct` reports as
    "CANCELLED by 1000", a state that it does not recognise, and those in the state PREEMPTED, which
    it leaves to SLURM even if SLURM does not requeue them.
    """
    preempted_since: dict[str, float] = {}

    def is_lost(job: str) -> bool:
        return clock() - preempted_since[job] > LOST_S

    def normalise(job: str, state: str) -> str:
        word = state.partition(" ")[0]
        if word != "PREEMPTED":
            preempted_since.pop(job, None)
            return word
        preempted_since.setdefault(job, clock())
        return "CANCELLED" if is_lost(job) else word

    async def states(command: str, logger: Any) -> Answers:
        answers, seconds = await query(command, logger)
        if answers is not None:
            answers = {job: normalise(job, state) for job, state in answers.items()}
            # `squeue` forgets jobs, but none that SLURM requeues.
            forgotten = [job for job in preempted_since if job not in answers and is_lost(job)]
            answers |= dict.fromkeys(forgotten, "CANCELLED")
        return answers, seconds

    return states
