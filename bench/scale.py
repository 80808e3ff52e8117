"""What the workflow's graph costs beside a bare one of as many jobs.

    python -m bench.scale [--jobs 5000 20000]

A study with many seeds is planned (``snakemake -n``), and so is a static Snakefile with rules of
the same names, inputs and outputs and nothing else. Both are charged with their CPU time, children
included. That neither JAX nor PySCF is imported is made sure of.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SYSTEMS = ("H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne")
STAGES = 3  # pretraining, training, evaluation; one SCF per system besides

STUDY = """\
seeds: [{seeds}]
systems: [{systems}]
scf: {{basis: cc-pvdz}}
"""

# The same files, with wildcards as few as a static graph needs.
BARE = """\
SYSTEMS = {systems!r}
SEEDS = range(1, {n_seeds} + 1)
RUN = "results/bare/runs/{{system}}/eq/ferminet/seed{{seed}}/"

rule all:
    input: expand(RUN + "energy.parquet", system=SYSTEMS, seed=SEEDS)

rule scf:
    output: "results/bare/scf/{{system}}.safetensors"
    shell: "touch {{output}}"

rule pretrain:
    input: "results/bare/scf/{{system}}.safetensors"
    output: RUN + "pretrained.safetensors"
    shell: "touch {{output}}"

rule train:
    input: RUN + "pretrained.safetensors"
    output: RUN + "trained.safetensors", RUN + "history.parquet"
    shell: "touch {{output}}"

rule evaluate:
    input: RUN + "trained.safetensors"
    output: RUN + "energy.parquet"
    shell: "touch {{output}}"
"""


def plan(folder: Path, arguments: list[str]) -> tuple[float, int, str]:
    """CPU seconds of a dry run, its number of jobs, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "snakemake", "-n", "--quiet", "rules",
         "--cores", "2", "--directory", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = done.stdout + done.stderr
    if done.returncode:
        raise SystemExit(f"snakemake ended with {done.returncode}:\n{text[-2000:]}")
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    total = re.findall(r"^total\s+(\d+)", text, re.MULTILINE)
    return seconds, int(total[-1]), text


def measure(n_jobs: int, folder: Path) -> tuple[float, float, int, int]:
    """CPU seconds of the study and of the bare graph, and their numbers of jobs."""
    n_seeds = max(1, round(n_jobs / STAGES / len(SYSTEMS)))
    study = folder / "many.yaml"
    seeds = ", ".join(map(str, range(1, n_seeds + 1)))
    study.write_text(STUDY.format(seeds=seeds, systems=", ".join(SYSTEMS)))
    bare = folder / "Bare"
    bare.write_text(BARE.format(systems=list(SYSTEMS), n_seeds=n_seeds))
    own, own_jobs, text = plan(
        folder,
        ["results/many/energies.parquet", "--snakefile", str(ROOT / "Snakefile"),
         "--configfile", str(study)],
    )  # fmt: skip
    if found := re.findall(r"\| +(pyscf|jax)$", text, re.MULTILINE):
        raise SystemExit(f"{' and '.join(sorted(set(found)))} imported to build the graph")
    other, other_jobs, _ = plan(folder, ["--snakefile", str(bare)])
    return own, other, own_jobs, other_jobs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[5000, 20000])
    for n_jobs in parser.parse_args().jobs:
        with tempfile.TemporaryDirectory() as folder:
            own, bare, own_jobs, bare_jobs = measure(n_jobs, Path(folder))
        print(
            f"{own_jobs} jobs {own:.1f} s, bare {bare_jobs} jobs {bare:.1f} s: "
            f"{own / bare:.2f} times the CPU time",
            flush=True,
        )


if __name__ == "__main__":
    main()
