"""What SLURM says to a job before it is submitted."""

import re
import shutil
import subprocess
from typing import NamedTuple

# What it says of jobs that it never takes. (That a node is down or busy may pass.)
_NEVER = re.compile(r"invalid|exceeds|not permitted|configuration is not available", re.IGNORECASE)


class Request(NamedTuple):
    """What a job asks for; what is empty or zero is left to the cluster.

    Attributes:
        partition: name of the partition.
        account: whom the time is charged to.
        gpus: number of GPUs.
        gpu_model: their name as `sinfo -o %G` shows it.
        memory_mb: memory, MB.
        minutes: time limit.
    """

    partition: str = ""
    account: str = ""
    gpus: int = 0
    gpu_model: str = ""
    memory_mb: int = 0
    minutes: int = 0


def refusal(request: Request) -> str | None:
    """Why SLURM would never take a job; None if it would, or if it cannot be asked.

    Args:
        request: what the job asks for.
    """
    if shutil.which("sbatch") is None:
        return None
    gpus = ":".join(filter(None, (request.gpu_model, str(request.gpus))))
    options = {
        "partition": request.partition,
        "account": request.account,
        "gpus": gpus if request.gpus else "",
        "mem": request.memory_mb,
        "time": request.minutes,
    }
    command = ["sbatch", "--test-only"]
    command += [f"--{name}={value}" for name, value in options.items() if value]
    try:
        done = subprocess.run(
            [*command, "--wrap=true"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if not done.returncode or not _NEVER.search(done.stderr):
        return None
    said = " ".join(line.removeprefix("sbatch: error: ") for line in done.stderr.splitlines())
    return f"SLURM takes no job with {' '.join(command[2:])}: {said.rstrip('.')}"
