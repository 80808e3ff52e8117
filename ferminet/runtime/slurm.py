"""What SLURM says of jobs, before they are submitted and after, and what its answers mean."""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import Any

# What it says of jobs that it never takes. (That a node is down or busy may pass.)
_NEVER = re.compile(
    r"invalid|exceeds|not permitted|configuration is not available|can not be satisfied",
    re.IGNORECASE,
)
# What differs between jobs of one kind.
_TIME = re.compile(r" -t (\d+)")

Answers = tuple[dict[str, str] | None, float | None]
Query = Callable[[str, Any], Awaitable[Answers]]


def submission(job: Any, settings: Any) -> str:
    """The options with which Snakemake's plug-in submits a job, as they stand on a command line.

    Args:
        job: Snakemake's, of a rule or of a group.
        settings: the plug-in's.

    Raises:
        WorkflowError: the plug-in refuses what the job asks for.
    """
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    asked = job.resources.get
    account = str(asked("slurm_account") or "").replace(",", " ").split()
    partition = str(asked("slurm_partition") or "")
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
    """Of submissions that differ in their time limit alone, the longest."""
    longest: dict[str, int] = {}
    for command in commands:
        minutes = max(map(int, _TIME.findall(" " + command)), default=0)
        kind = _TIME.sub(" -t MINUTES", " " + command)
        longest[kind] = max(longest.get(kind, 0), minutes)
    return [kind.replace("MINUTES", str(minutes)).strip() for kind, minutes in longest.items()]


def refusal(command: str) -> str | None:
    """Why SLURM would never take a job; None if it would, or if it cannot be asked.

    Args:
        command: ``sbatch``'s options.
    """
    if shutil.which("sbatch") is None:
        return None
    try:
        done = subprocess.run(
            ["sbatch", "--test-only", *shlex.split(command), "--wrap=true"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if not done.returncode or not _NEVER.search(done.stderr):
        return None
    said = " ".join(line.removeprefix("sbatch: error: ") for line in done.stderr.splitlines())
    return f"SLURM takes no job with {command}: {said.rstrip('.')}"


def in_the_queue(job: str) -> bool:
    """Whether SLURM still has a job, as far as it can be asked."""
    if shutil.which("squeue") is None:
        return True
    command = ["squeue", "--noheader", "--format=%T", f"--jobs={job}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return True
    if done.returncode:  # of a job that it has forgotten it says that the id is not valid
        return "Invalid job id" not in done.stderr
    return bool(done.stdout.strip())


# SLURM takes two minutes to put back what it preempted and does not cancel.
LOST_S = 300.0


def told_apart(query: Query, clock: Callable[[], float] = time.monotonic) -> Query:
    """A query for the states of jobs that lets Snakemake's plug-in see how a job has ended.

    ``sacct`` says by whom a job was cancelled ("CANCELLED by 1000"), which the plug-in takes for a
    state that it does not know. PREEMPTED it leaves to SLURM, also where SLURM has dropped the job.
    For either it would wait for ever.

    Args:
        query: the plug-in's.
        clock: seconds, of any beginning.
    """
    since: dict[str, float] = {}

    def is_lost(job: str) -> bool:
        return clock() - since[job] > LOST_S

    def told(job: str, state: str) -> str:
        word = (state.split() or [""])[0]
        if word != "PREEMPTED":
            since.pop(job, None)
            return word
        since.setdefault(job, clock())
        return "CANCELLED" if is_lost(job) else word

    async def states(command: str, logger: Any) -> Answers:
        found, seconds = await query(command, logger)
        if found is not None:
            found = {job: told(job, state) for job, state in found.items()}
            # ``squeue`` forgets jobs, but none that SLURM puts back.
            forgotten = [job for job in since if job not in found and is_lost(job)]
            found |= dict.fromkeys(forgotten, "CANCELLED")
        return found, seconds

    return states
