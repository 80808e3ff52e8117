"""A person at a terminal sees runs and failures; everything else is in Snakemake's log file."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from tests.helpers.stand_in import ROOT, STAND_IN, prepare

FAILING = """
if sys.argv[1] == "train" and arguments["--system"] == "He":
    Path(arguments["--log"]).parent.mkdir(parents=True, exist_ok=True)
    Path(arguments["--log"]).write_text("ferminet: 7 energies are not finite.\\n")
    sys.exit(3)
"""


def at_a_terminal(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run Snakemake at a pseudo-terminal; return its exit code and what was shown."""
    words = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--cores", "2"]
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    seen, written = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *words, "--configfile", "study.yaml", *arguments],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=written, stderr=written,
    )  # fmt: skip
    os.close(written)
    parts = []
    while True:
        try:
            parts.append(os.read(seen, 65536))
        except OSError:  # all have closed the other side
            break
    os.close(seen)
    return process.wait(), b"".join(parts).decode(errors="replace")


def test_a_failed_job_is_described_and_the_rest_is_in_the_log(tmp_path: Path) -> None:
    prepare(tmp_path)
    head, mark, tail = STAND_IN.partition("files = ")
    (tmp_path / "stand_in.py").write_text(head + FAILING + mark + tail)
    code, shown = at_a_terminal(tmp_path)
    assert code == 1
    log = "results/study/logs/train/He-eq-"
    failure = "Failed: training of He eq ferminet seed 1: 7 energies are not finite."
    assert re.search(rf"{failure}\r\n +log: {log}\S+\.log\r\n", shown)
    done = re.search(r"(\d+) of (\d+) jobs done in \S.*, 1 failed\.\r\n$", shown)
    assert done is not None and 0 < int(done[1]) < int(done[2])
    (complete,) = (tmp_path / ".snakemake" / "log").iterdir()
    for text in ("Job stats:", "ferminet train --config", "CalledProcessError"):
        assert text not in shown
    assert "Job stats:" in complete.read_text() and "ferminet train --con" in complete.read_text()
    # Without the cause of the failure the study continues, here with Snakemake's own output.
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    code, shown = at_a_terminal(tmp_path, "--quiet", "all")
    assert code == 0 and "jobs done" not in shown
    code, shown = at_a_terminal(tmp_path, "--dry-run")
    assert code == 0 and "Nothing to be done" in shown
