"""Check that this working tree computes the bits of an earlier commit and resumes its runs.

    python -m bench.same_bits COMMIT [--work FOLDER]

H and LiH, by KFAC and by SPRING, are pretrained, trained with checkpoints, evaluated, collected and
tabulated by the workflow of the earlier commit and by this one. All arrays of the checkpoints, the
histories, the energies and the tables are compared. A run that the earlier commit has stopped
half-way is then resumed here and must end with the same bits as well, and `ferminet verify`
must accept the released suites. The exit code is 1 where anything differs. Times, commits and
versions are not compared.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[1]
STUDY = """\
seeds: [1]
systems: [H, LiH]
ansatz:
  kfac:
    options: {{layers: 2, one_electron_width: 8, two_electron_width: 4, determinants: 2}}
  spring:
    options: {{layers: 2, one_electron_width: 8, two_electron_width: 4, determinants: 2}}
    settings: {{optimizer: {{name: spring}}}}
scf: {{basis: sto-3g}}
pretrain: {{iterations: 50, tolerance: 1.0}}
sampler: {{walkers: 32, decorrelation_steps: 5, burn_in: 20}}
optimizer: {{name: kfac}}
train: {{iterations: {iterations}, checkpoint_interval: 5}}
evaluate: {{iterations: 40, decorrelation_steps: 5, burn_in: 10}}
"""
ITERATIONS = 20
# Columns that depend on the time, the duration or the commit of a calculation.
NOT_COMPARED = {"wall_s", "created_utc", "git_commit", "package_versions", "details", "flags"}
EXTRAS_NOT_COMPARED = {
    "attempts", "train_wall_s", "pretrain_wall_s", "trained_sha256", "command", "trained_by",
    "flags",
}  # fmt: skip


def main() -> int:
    """Run both trees and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("commit", help="the earlier commit, for example 9ecf3c9 or a tag")
    parser.add_argument(
        "--work", type=Path, help="folder for the runs; a temporary one if not given"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="same-bits-") as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        before = export(options.commit, work / "tree")
        whole = compute(before, work / "before", ITERATIONS)
        here = compute(ROOT, work / "here", ITERATIONS)
        half = compute(before, work / "resumed", ITERATIONS // 2)
        shutil.rmtree(half / "tables", ignore_errors=True)
        resumed = compute(ROOT, work / "resumed", ITERATIONS)
        different = [
            *(f"from scratch: {text}" for text in differences(whole, here)),
            *(f"resumed: {text}" for text in differences(whole, resumed)),
            *unverified(),
        ]
    for text in different:
        print(text)
    print("Something differs." if different else "All bits are the same.")
    return 1 if different else 0


def export(commit: str, folder: Path) -> Path:
    """Return a folder with the files of a commit."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        sys.exit(f"git has no commit {commit!r} here; name one of this repository.")
    subprocess.run(["tar", "-x"], input=archive.stdout, cwd=folder, check=True)
    return folder


def compute(tree: Path, folder: Path, iterations: int) -> Path:
    """Run the workflow of a tree in a folder and return its folder of results."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bits.yaml").write_text(STUDY.format(iterations=iterations))
    python = linked_environment(folder.parent / "environment")
    command = [
        *(str(python), "-m", "snakemake", "--snakefile", str(tree / "Snakefile")),
        *("--directory", str(folder), "--cores", "2", "--quiet", "all"),
        *("--workflow-profile", "none", "--configfile", "bits.yaml"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"The workflow of {tree} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    print(f"{iterations} iterations by {tree} in {folder}", flush=True)
    return folder / "results"


def linked_environment(folder: Path) -> Path:
    """Return a Python like this one whose command `ferminet` is the package on PYTHONPATH.

    The installed command names a module that the earlier commit may not have.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        python.parent.mkdir(parents=True)
        here = Path(sys.prefix)
        for item in [*here.iterdir(), *(here / "bin").iterdir()]:
            if item.name not in ("bin", "ferminet"):
                (folder / item.relative_to(here)).symlink_to(item)
        command = folder / "bin" / "ferminet"
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))} -m ferminet "$@"\n')
        command.chmod(0o755)
    return python


def differences(before: Path, here: Path) -> list[str]:
    """Return a line for each thing that differs between two folders of results."""
    readers: dict[str, Callable[[Path], dict[str, Any]]] = {
        "bits/runs/**/*.safetensors": load_file,
        "checkpoints/**/*.safetensors": load_file,
        "bits/runs/**/history.parquet": _columns,
        "bits/energies.parquet": _energies,
        "bits/tables/*.csv": _table,
    }
    found = []
    for pattern, read in readers.items():
        files = sorted(file.relative_to(before) for file in before.glob(pattern))
        if not files:
            found.append(f"there is no {pattern}")
        for file in files:
            if not (here / file).exists():
                found.append(f"{file} is missing")
                continue
            old, new = read(before / file), read(here / file)
            missing = sorted(old.keys() - new.keys())
            unequal = [name for name in old.keys() & new.keys() if not _same(old[name], new[name])]
            found += [f"{file} has no {name}" for name in missing]
            found += [f"{file}: {name} differs" for name in sorted(unequal)]
    return found


def _columns(file: Path) -> dict[str, Any]:
    frame = pd.read_parquet(file)
    return {name: frame[name].to_numpy() for name in frame if name not in NOT_COMPARED}


def _energies(file: Path) -> dict[str, Any]:
    frame = pd.read_parquet(file)
    columns = {name: frame[name].to_numpy() for name in frame if name not in NOT_COMPARED}
    for number, text in enumerate(frame["details"]):
        extras = json.loads(text or "{}")
        columns |= {
            f"details[{number}].{name}": value
            for name, value in extras.items()
            if name not in EXTRAS_NOT_COMPARED
        }
    return columns


def _table(file: Path) -> dict[str, Any]:
    frame = pd.read_csv(file)
    return {n: frame[n].to_numpy() for n in frame if not n.endswith(("_s", "_hours", "hours"))}


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, np.ndarray) and old.dtype != object:
        return old.dtype == new.dtype and old.tobytes() == new.tobytes()
    if isinstance(old, np.ndarray):
        return pd.Series(old).equals(pd.Series(new))
    return old == new


def unverified() -> list[str]:
    """Return a line for each released suite that `ferminet verify` refuses."""
    found = []
    for suite in sorted((ROOT / "results" / "published").iterdir()):
        command = [sys.executable, "-m", "ferminet", "verify", str(suite)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            found.append(f"ferminet verify {suite.name}: {done.stderr.strip()}")
    return found


if __name__ == "__main__":
    sys.exit(main())
