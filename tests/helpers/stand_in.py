"""Snakemake in a folder of its own, where a stand-in for `ferminet` makes the files."""

import multiprocessing
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300


STUDY = """\
seeds: [1]
systems: [He, {name: H4, geometries: [a90]}]
train: {iterations: 10, checkpoint_interval: 5}
baselines: [{method: fci, basis: cc-pvdz, systems: [H4]}]
limits: [{protocol: small, systems: [H4]}]
"""

# Makes what follows --out, --history, and (for tables and figures) --out-dir with --only.
STAND_IN = """\
import sys
from pathlib import Path
arguments = dict(zip(sys.argv[2:], sys.argv[3:]))  # what follows each word
files = [arguments[key] for key in ("--out", "--history", "--log") if key in arguments]
if "--out-dir" in arguments:
    endings = ("md", "csv", "tex", "parquet", "png", "svg")
    files += [f"{arguments['--out-dir']}/{arguments['--only']}.{ending}" for ending in endings]
for file in map(Path, files):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("done")
with open("calls.txt", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
"""


# A process that has imported Snakemake, whose copies need not: that is two thirds of a dry run.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["snakemake.cli"])


def _run_in_fork(words: list[str], folder: Path, environment: dict[str, str], output: Path) -> None:
    """Become `python -m snakemake`, with all output in a file."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [str(folder), environment["PYTHONPATH"]]
    with open(output, "wb") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    sys.argv = ["snakemake", *words]
    from snakemake.cli import main

    main()


def snakemake(
    folder: Path,
    *arguments: str,
    study: str = "study.yaml",
    code: int = 0,
    root: Path = ROOT,
    python: Path | None = None,
) -> str:
    """Run Snakemake in a folder, with the stand-in first on the path; return what it printed."""
    words = [
        *("--snakefile", str(root / "Snakefile"), "--directory", str(folder), "--cores", "2"),
        *(("--configfile", study) if study else ()),
        *arguments,
    ]
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(root),
    }
    if python is None:
        with tempfile.TemporaryDirectory() as aside:
            output = Path(aside) / "output"
            process = _FORKS.Process(target=_run_in_fork, args=(words, folder, environment, output))
            process.start()
            process.join(TIMEOUT_S)
            found, text = process.exitcode, output.read_text()
            process.kill()
    else:
        done = subprocess.run(
            [str(python), "-m", "snakemake", *words], cwd=folder, env=environment,
            capture_output=True, text=True, timeout=TIMEOUT_S,
        )  # fmt: skip
        found, text = done.returncode, done.stdout + done.stderr
    assert found == code, text[-3000:]
    return text


def job_counts(text: str) -> dict[str, int]:
    """Return the number of jobs of each rule, from the table that a dry run prints."""
    table = text[text.index("Job stats:") :]
    counts = {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    return {name: n for name, n in counts.items() if name != "total"}


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    text = snakemake(folder, "--dry-run", *arguments)
    return {} if "Nothing to be done" in text else job_counts(text)


def prepare(folder: Path, python: Path = Path(sys.executable)) -> None:
    """Write the small study and the stand-in, which works from paths with blanks."""
    (folder / "bin").mkdir()
    (folder / "stand_in.py").write_text(STAND_IN)
    stand_in = folder / "bin" / "ferminet"
    # Without site-packages Python starts sooner.
    command = shlex.join([str(python), "-I", "-S", str(folder / "stand_in.py")])
    stand_in.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    stand_in.chmod(0o755)
    (folder / "study.yaml").write_text(STUDY)


def copy_project(folder: Path) -> Path:
    """Copy the project without its results, so that a test can edit it."""
    for name in ("Snakefile", "workflow", "ferminet", "molecules", "profiles"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder
