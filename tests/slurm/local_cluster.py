"""A SLURM cluster of one node on this machine, for tests: real daemons, a GPU in name only.

It needs root, because the daemons start jobs as other users, and Debian's packages slurmctld,
slurmd, slurm-client and munge. With slurmdbd and mariadb-server it has accounting too, which
`sacct` asks. The configuration has to be in /etc/slurm: inside of a job Snakemake removes
SLURM_CONF from the environment, so that no other place is found. A configuration that is not of
this file is left alone, and there is no cluster.

    python tests/slurm/local_cluster.py FOLDER      runs one until it is interrupted
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

CONFIGURATION = Path("/etc/slurm")
MARK = "# Of the tests of FermiNet; they remove it."
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
ACCOUNTING = ("slurmdbd", "sacct", "mariadbd", "mariadb-install-db", "mariadb")
START_S = 60.0

# Jobs of the last partition preempt those of the three before it, each in its own way.
SLURM_CONF = """\
{mark}
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort=26817
SlurmdPort=26818
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# Nothing that needs systemd or control groups. Memory is looked at every second.
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/{accounting}
AccountingStoragePass={folder}/munge.socket
AccountingStoragePort=26819
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# Quick, for tests.
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
MinJobAge=600
KillWait=10
ReturnToService=2
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=localhost Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=OFF
PartitionName=gpu Nodes=localhost MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE
PartitionName=cancel Nodes=localhost MaxTime=INFINITE PriorityTier=1 PreemptMode=CANCEL
PartitionName=grace Nodes=localhost MaxTime=INFINITE PriorityTier=1 PreemptMode=CANCEL GraceTime=30
PartitionName=urgent Nodes=localhost MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""
SLURMDBD_CONF = """\
{mark}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdPort=26819
SlurmUser=root
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=26816
StorageUser=slurm
StoragePass=tests
"""
GRES_CONF = f"{MARK}\nNodeName=localhost Name=gpu File=/dev/null\n"


def search_path() -> str:
    """Where its programs are looked for."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def missing(programs: Iterable[str]) -> list[str]:
    """Those that are not installed."""
    return [name for name in programs if shutil.which(name, path=search_path()) is None]


def why_no_accounting() -> str | None:
    """Why a cluster here has no accounting; None if it has."""
    absent = missing(ACCOUNTING)
    return f"SLURM's accounting is not installed here ({', '.join(absent)})" if absent else None


def why_not() -> str | None:
    """Why there can be no cluster on this machine; None if there can."""
    absent = missing(PROGRAMS)
    if absent:
        return f"SLURM is not installed here ({', '.join(absent)})"
    if os.geteuid() != 0:
        return "a local SLURM cluster needs root"
    present = CONFIGURATION / "slurm.conf"
    if present.exists() and MARK not in present.read_text():
        return f"{present} is another cluster's"
    if present.exists() and answers("scontrol", "ping", says="is UP")():
        return "another cluster of these tests is running"
    return None


@contextlib.contextmanager
def local_cluster(folder: Path) -> Iterator[None]:
    """Runs a cluster within the block.

    Args:
        folder: for its state and logs; its path must be short enough for a socket.

    Raises:
        RuntimeError: a daemon does not come up.
    """
    cpus = max(len(os.sched_getaffinity(0)), 2)
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # munged trusts no other folder
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    accounting = why_no_accounting() is None
    kind = "slurmdbd" if accounting else "none"
    about = {"mark": MARK, "folder": folder}
    texts = {
        "slurm.conf": SLURM_CONF.format(**about, cpus=cpus, memory=memory, accounting=kind),
        "gres.conf": GRES_CONF,
        "slurmdbd.conf": SLURMDBD_CONF.format(**about),
    }
    CONFIGURATION.mkdir(exist_ok=True)
    socket = folder / "munge.socket"
    munged = ["munged", "--foreground", f"--key-file={key}", f"--socket={socket}"]
    munged += [f"--{name}-file={folder}/munged.{name}" for name in ("pid", "log", "seed")]
    with contextlib.ExitStack() as stack:
        for name, text in texts.items():
            (CONFIGURATION / name).write_text(text)
            (CONFIGURATION / name).chmod(0o600 if name == "slurmdbd.conf" else 0o644)
            stack.callback((CONFIGURATION / name).unlink, missing_ok=True)
        stack.enter_context(daemon(folder, munged, socket.exists))
        if accounting:
            stack.enter_context(database(folder))
            named = answers("sacctmgr", "--noheader", "list", "cluster")
            stack.enter_context(daemon(folder, ["slurmdbd", "-D"], named))
        stack.enter_context(daemon(folder, ["slurmctld", "-D", "-i"], answers("scontrol", "ping")))
        slurmd = ["slurmd", "-D", "-N", "localhost"]
        stack.enter_context(daemon(folder, slurmd, answers("sinfo", "-h", "-o", "%t", says="idle")))
        yield


@contextlib.contextmanager
def database(folder: Path) -> Iterator[None]:
    """Runs a database for the accounting within the block."""
    place = folder / "database"
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={place}", "--user=root"]
    subprocess.run(
        [*install, "--skip-test-db", "--auth-root-authentication-method=normal"],
        capture_output=True,
        check=True,
    )
    socket = folder / "database.socket"
    server = ["mariadbd", "--no-defaults", f"--datadir={place}", "--user=root"]
    server += [f"--socket={socket}", "--port=26816", "--bind-address=127.0.0.1"]
    client = ("mariadb", "--no-defaults", f"--socket={socket}", "--user=root", "--execute")
    with daemon(folder, [*server, f"--pid-file={folder}/database.pid"], answers(*client, "")):
        allow = "GRANT ALL ON *.* TO 'slurm'@'{}' IDENTIFIED BY 'tests';"
        for host in ("127.0.0.1", "localhost"):
            subprocess.run([*client, allow.format(host)], check=True)
        yield


@contextlib.contextmanager
def daemon(folder: Path, command: list[str], ready: Callable[[], bool]) -> Iterator[None]:
    """Runs one of its programs within the block."""
    with (
        open(folder / f"{command[0]}.out", "wb") as out,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"PATH": search_path()},
        ) as process,
    ):
        try:
            deadline = time.monotonic() + START_S
            while not ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    said = (folder / f"{command[0]}.out").read_text()[-2000:]
                    raise RuntimeError(f"{command[0]} did not come up: {said}")
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def answers(*command: str, says: str = "") -> Callable[[], bool]:
    """Whether a program of SLURM answers, and what."""

    def ask() -> bool:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode == 0 and says in done.stdout

    return ask


if __name__ == "__main__":
    reason = why_not()
    if reason is not None:
        sys.exit(reason)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
    with local_cluster(Path(sys.argv[1])):
        print("The cluster runs; Ctrl-C ends it.")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)
