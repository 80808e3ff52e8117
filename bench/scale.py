"""Measure the cost of the workflow's graph against static ones of as many jobs.

    python -m bench.scale [--jobs 5000 20000]

A study with many seeds is planned (``snakemake -n``), and so are two Snakefiles that know no study.
*Static* has rules with the same parts (logs, benchmarks, parameters, resources, messages,
commands), all of them constants; *bare* has rules with inputs and outputs only. The study's cost
above static is ours; static's cost above bare is what Snakemake spends on these parts. Costs are
CPU times, children included. The script also checks that neither JAX nor PySCF is imported.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from ferminet.config import expand_runs, layout, load_study
from ferminet.vmc.cost.predict import find_counts

ROOT = Path(__file__).parents[1]
SYSTEMS = ("H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne")
STAGES = 3  # pretraining, training, evaluation; one SCF per system besides

STUDY = """\
seeds: [{seeds}]
systems: [{systems}]
scf: {{basis: cc-pvdz}}
"""

ALL = """\
rule all:
    input: expand("{run}/energy.parquet", system={systems}, seed=range(1, {n_seeds} + 1))
"""
RULE = """
rule {stage}:
    input: {inputs!r}
    output: {outputs!r}
{more}"""
# The folder of a run in both; the bare one has no more wildcards than it needs.
BARE_RUN = "results/bare/{system}/seed{seed}"
STATIC_RUN = layout.RUN
BARE = """\
    shell: "touch {output}"
"""
JOB = "{system}-{geometry}-{ansatz}-{config_hash}-seed{seed}"
STATIC = f"""\
    log: "results/{{study}}/logs/STAGE/{JOB}.log"
    benchmark: "results/{{study}}/benchmarks/STAGE/{JOB}.jsonl"
    priority: 2
    conda: "environment.yaml"
    threads: 1
    resources: gpu=1, mem_mb=8000, runtime=30
    params: study="study.yaml", reads=READS, checkpoints={layout.CHECKPOINTS!r}
    message:
        "Stage of {{wildcards.system}} {{wildcards.geometry}} {{wildcards.ansatz}} seed"
        " {{wildcards.seed}}: predicted 0.02 core-hours; allowed {{resources.runtime}} minutes"
    shell:
        "ferminet STAGE --config {{params.study:q}} --system {{wildcards.system}}"
        " --geometry {{wildcards.geometry}} --ansatz {{wildcards.ansatz}} --seed {{wildcards.seed}}"
        " --expect-hash {{wildcards.config_hash}} --initial {{input:q}}"
        " --checkpoint-dir {{params.checkpoints:q}} --out {{output:q}} --log {{log:q}}"
"""


def rules(run: str, stated: str, scf: str) -> str:
    """Return the rules of a run's stages, with ``stated`` in each."""
    chain = {
        "pretrain": (scf, [f"{run}/pretrained.safetensors"]),
        "train": (
            f"{run}/pretrained.safetensors",
            [f"{run}/trained.safetensors", f"{run}/history.parquet"],
        ),
        "evaluate": (f"{run}/trained.safetensors", [f"{run}/energy.parquet"]),
    }
    text = RULE.format(stage="scf", inputs=[], outputs=scf, more=BARE)
    for stage, (inputs, outputs) in chain.items():
        more = stated.replace("STAGE", stage)
        text += RULE.format(stage=stage, inputs=inputs, outputs=outputs, more=more)
    return text


def plan(folder: Path, arguments: list[str]) -> tuple[float, int, str]:
    """Return the CPU seconds of a dry run, its number of jobs, and what it printed."""
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


def measure(n_jobs: int, folder: Path) -> dict[str, tuple[float, int]]:
    """Return the CPU seconds and numbers of jobs of the study, of static and of bare rules."""
    n_seeds = max(1, round(n_jobs / STAGES / len(SYSTEMS)))
    study = folder / "many.yaml"
    seeds = ", ".join(map(str, range(1, n_seeds + 1)))
    study.write_text(STUDY.format(seeds=seeds, systems=", ".join(SYSTEMS)))
    find_counts(expand_runs(load_study(study)))  # counted once for all dry runs
    own, own_jobs, text = plan(
        folder,
        ["results/many/energies.parquet", "--snakefile", str(ROOT / "Snakefile"),
         "--configfile", str(study)],
    )  # fmt: skip
    if found := re.findall(r"\| +(pyscf|jax)$", text, re.MULTILINE):
        raise SystemExit(f"{' and '.join(sorted(set(found)))} imported to build the graph")
    found = {"study": (own, own_jobs)}

    reads = expand_runs(load_study(study))[0].stage_params("train")
    fixed = {"study": "many", "geometry": "eq", "ansatz": "ferminet", "config_hash": "0123abcd"}
    written = {
        "static": (STATIC_RUN, STATIC.replace("READS", repr(reads)), "results/many/{system}.scf"),
        "bare": (BARE_RUN, BARE, "results/bare/{system}.scf"),
    }
    for name, (run, stated, scf) in written.items():
        wanted = run
        for key, value in fixed.items():
            wanted = wanted.replace(f"{{{key}}}", value)
        target = ALL.format(run=wanted, systems=list(SYSTEMS), n_seeds=n_seeds)
        (folder / name).write_text(target + rules(run, stated, scf))
        found[name] = plan(folder, ["--snakefile", str(folder / name)])[:2]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[5000, 20000])
    for n_jobs in parser.parse_args().jobs:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(n_jobs, Path(folder))
        own, own_jobs = found.pop("study")
        print(f"study  {own_jobs} jobs {own:6.1f} s", flush=True)
        for name, (seconds, jobs) in found.items():
            print(f"{name:6} {jobs} jobs {seconds:6.1f} s, study/{name} {own / seconds:.2f}")


if __name__ == "__main__":
    main()
