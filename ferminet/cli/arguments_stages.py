"""The arguments of the commands that compute and collect: each is one job of the workflow."""

from collections.abc import Callable
from pathlib import Path

from ferminet.cli.parser import (
    Parser,
    add_attempt,
    add_distributed,
    add_paths,
    add_selectors,
    add_time_limit,
    positive,
    stage,
)
from ferminet.methods import METHODS, PROTOCOLS, SCF_REFERENCES


def add_stages(add: Callable[..., Parser]) -> None:
    """Adds the stages of runs and of conventional calculations."""
    scf = add("scf", stage("scf"), "Hartree-Fock orbitals for pretraining.")
    scf.add_argument("--config", type=Path, required=True, help="a study or a resolved run")
    scf.add_argument("--system", help="needed where the study has more than one")
    scf.add_argument("--geometry", help="label of the geometry; likewise")
    add_paths(scf, out="orbitals (.safetensors)")

    pretrain = add("pretrain", stage("pretrain"), "Match the orbitals to Hartree-Fock's.")
    add_selectors(pretrain)
    add_distributed(pretrain)
    add_attempt(pretrain)
    pretrain.add_argument(
        "--checkpoint-dir", type=Path, help="folder for the note of a failure; else none is left"
    )
    add_paths(pretrain, scf="orbitals of `ferminet scf`", out="parameters and walkers")

    train = add("train", stage("train"), "Minimise the energy; the same command again continues.")
    add_selectors(train)
    add_distributed(train)
    add_attempt(train)
    add_time_limit(train)
    add_paths(
        train,
        initial="result of `ferminet pretrain`",
        checkpoint_dir="folder of checkpoints",
        out="parameters and walkers",
        history="energy of each iteration (.parquet)",
    )

    evaluate = add("evaluate", stage("evaluate"), "Measure the energy, parameters frozen.")
    add_selectors(evaluate)
    add_distributed(evaluate)
    add_attempt(evaluate)
    add_time_limit(evaluate)
    add_paths(
        evaluate,
        trained="result of `ferminet train`",
        checkpoint_dir="folder of checkpoints",
        out="one row (.parquet)",
    )

    density = add("density", stage("density"), "Measure the one-electron density, beside HF's.")
    add_selectors(density)
    add_distributed(density)
    add_paths(
        density, trained="of `ferminet train`", scf="of `ferminet scf`", out="bins (.parquet)"
    )

    baseline = add("baseline", stage("baseline"), "One conventional calculation of a study.")
    for name in ("system", "geometry", "basis"):
        baseline.add_argument(f"--{name}", required=True)
    baseline.add_argument("--method", required=True, choices=METHODS)
    baseline.add_argument("--reference", default="auto", choices=SCF_REFERENCES)
    baseline.add_argument(
        "--memory-mb", type=positive, help="memory that it may use; else all of the machine's"
    )
    add_paths(baseline, config="the study", out="rows (.parquet)")

    limit = add("limit", stage("limit"), "Extrapolate to the basis-set limit.")
    for name in ("system", "geometry"):
        limit.add_argument(f"--{name}", required=True)
    limit.add_argument("--protocol", required=True, choices=PROTOCOLS)
    limit.add_argument(
        "rows", nargs="*", type=Path, help="the members' rows; else those of the study"
    )
    add_paths(limit, config="the study", out="rows (.parquet)")


def add_results(add: Callable[..., Parser]) -> None:
    """Adds what makes tables, figures and the page of rows."""
    collect = add("collect", stage("collect"), "Join rows into one file of energies.")
    collect.add_argument("rows", nargs="*", type=Path, help="files of rows")
    collect.add_argument("--config", type=Path, help="a study: all its rows")
    collect.add_argument("--part", help="with --config: of the systems of one table or curve only")
    collect.add_argument(
        "--unfinished",
        action="store_true",
        help="with --config: what there is so far, runs that still train by their histories",
    )
    add_paths(collect, out="energies (.parquet)")

    tables = add("tables", stage("tables"), "Write tables as Markdown, CSV, LaTeX and Parquet.")
    tables.add_argument("--only", help="one table; all if left out")
    add_paths(tables, energies="result of `ferminet collect`")
    where = tables.add_mutually_exclusive_group(required=True)
    where.add_argument("--out-dir", type=Path, help="folder for the tables")
    where.add_argument("--show", action="store_true", help="print the main table instead")
    tables.add_argument(
        "--published", nargs="+", type=Path, default=[], help="energies of published suites, beside"
    )

    figures = add("figures", stage("figures"), "Draw figures.")
    figures.add_argument("--only", help="one figure; all if left out")
    add_paths(
        figures,
        config="the study",
        energies="result of `ferminet collect`",
        out_dir="folder for the figures",
    )

    report = add("report", stage("report"), "Write one page with all tables and figures.")
    add_paths(
        report, config="the study", energies="result of `ferminet collect`", out="page (.html)"
    )
