r"""Wavefunctions and programs with a defect, trained and evaluated as the suite's FermiNet is.

    python -m experiments.defects DEFECT [--systems Be] [--seeds 1 2 3 4 5 6 7 8]

The script writes one line per seed to experiments/studies/defects/DEFECT.csv, for

    python -m experiments.gate --bank results/published/regression \
        --defects experiments/studies/defects

which reports the cost of each and how often `ferminet compare` would detect it. The stages are
those of the command line, on workflow/config/regression.yaml; the defect is an option or a
wavefunction of the study, or a function of the package that is replaced in this process. Finished
stages are kept in results/defects and not repeated.
"""

import argparse
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import yaml

from ferminet.ansatz.base import Array
from ferminet.benchmark.records import read_rows
from ferminet.cli.main import main as ferminet
from ferminet.config import load_run
from ferminet.errors import InputError
from ferminet.runtime.files import write_bytes
from ferminet.systems.yaml import load_mapping
from ferminet.vmc.optimizers.base import clip_energies
from ferminet.vmc.programs import Problem, make_energies

SUITE = Path("workflow/config/regression.yaml")
WORK = Path("results/defects")
OUT = Path("experiments/studies/defects")
SYSTEMS = ("He", "Li", "Be", "LiH", "H4")
CLIP = 1.0  # mean absolute deviations; of five, as in training, four seeds cannot be sure
COLUMNS = ("defect", "system", "geometry", "seed", "energy", "stderr", "variance", "git_commit")


@dataclass(frozen=True)
class Defect:
    """What is wrong.

    Attributes:
        options: of FermiNet, over the suite's.
        build: the wavefunction, if it is not the package's FermiNet.
        broken: exchanges functions of the package, as a context.
    """

    options: dict[str, Any] = field(default_factory=dict)
    build: str | None = None
    broken: Callable[[], AbstractContextManager] = nullcontext


def clipped_evaluation() -> AbstractContextManager:
    """Evaluation that clips local energies, as training does, at their mean absolute deviation."""

    def make_clipped(problem: Problem):
        energies = make_energies(problem)

        @jax.jit
        def clipped(params, electrons, nuclei):
            parts = energies(params, electrons, nuclei)
            return parts._replace(total=clip_energies(parts.total, CLIP))

        return clipped

    return mock.patch("ferminet.vmc.evaluate.make_energies", make_clipped)


@contextmanager
def gradient_not_centred() -> Iterator[None]:
    """Training with the gradient 2 <E_L grad log|psi|>, without subtracting the mean energy."""

    def weights_of(energies: Array, width: float) -> Array:
        return 2.0 * clip_energies(energies, width) / energies.shape[0]

    def bounded(weights: Array, change: Array, limit: float) -> Array:
        deviation = jnp.abs(change - jnp.median(change))
        width = limit * jnp.mean(deviation)
        return weights * jnp.where(deviation > width, width / deviation, 1.0)

    with (
        mock.patch("ferminet.vmc.programs.gradient_weights", weights_of),
        mock.patch("ferminet.vmc.optimizers.base.bounded_weights", bounded),
    ):
        yield


DEFECTS = {
    "one_determinant": Defect({"determinants": 1}),
    "no_pair_distance": Defect(
        {"jastrow": "none"}, "experiments/studies/no_pair_distance.py:build"
    ),
    "clipped_evaluation": Defect(broken=clipped_evaluation),
    "gradient_not_centred": Defect(broken=gradient_not_centred),
}


def study_of(name: str, systems: Sequence[str]) -> Path:
    """Write the suite with the defect that a study can state; return its file."""
    study: dict[str, Any] = load_mapping(SUITE)
    defect, network = DEFECTS[name], study["ansatz"]["ferminet"]
    network["options"].update(defect.options)
    if defect.build is not None:
        network["build"] = defect.build
    named = {one if isinstance(one, str) else one["name"]: one for one in study["systems"]}
    study["systems"] = [named[system] for system in systems]
    study["deviations"] = [f"a defect on purpose: {name}"]
    for block in (study["overrides"], network["overrides"]):
        for system in [system for system in block if system not in systems]:
            del block[system]
    path = WORK / f"{name}.yaml"
    write_bytes(path, yaml.safe_dump(study, sort_keys=False).encode())
    return path


def run_stage(done: Path, *arguments: str | Path) -> None:
    """Run one stage of the command line, unless its result exists."""
    if not done.exists() and (code := ferminet([str(word) for word in arguments])):
        raise SystemExit(code)


def run_seed(study: Path, system: str, seed: int) -> dict[str, Any]:
    """Run SCF, pretraining, training and evaluation of one seed; return its row."""
    folder = WORK / study.stem / system
    of_seed = folder / f"seed{seed}"
    run = ("--config", study, "--system", system, "--seed", str(seed))
    scf, pretrained = folder / "scf.safetensors", of_seed / "pretrained.safetensors"
    trained, energy = of_seed / "trained.safetensors", of_seed / "energy.parquet"
    history, checkpoints = of_seed / "history.parquet", of_seed / "checkpoints"
    run_stage(scf, "scf", "--config", study, "--system", system, "--out", scf)
    run_stage(pretrained, "pretrain", *run, "--scf", scf, "--out", pretrained)
    run_stage(
        trained, "train", *run, "--initial", pretrained, "--checkpoint-dir", checkpoints,
        "--out", trained, "--history", history,
    )  # fmt: skip
    run_stage(
        energy, "evaluate", *run, "--trained", trained,
        "--checkpoint-dir", checkpoints / "evaluation", "--out", energy,
    )  # fmt: skip
    (row,) = read_rows(energy)
    if row.config_hash != (now := load_run(study, system=system, seed=seed).config_hash()):
        raise InputError(
            f"{of_seed} was computed with other settings ({row.config_hash}, now {now}); remove "
            "it, and it is computed again."
        )
    return row


def main() -> int:
    """Run the seeds of one defect, and write their energies after each."""
    parser = argparse.ArgumentParser(prog="python -m experiments.defects", description=__doc__)
    parser.add_argument("defect", choices=DEFECTS)
    parser.add_argument("--systems", nargs="+", default=["Be"], choices=SYSTEMS)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(1, 9)))
    options = parser.parse_args()
    study, sink = study_of(options.defect, options.systems), io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(COLUMNS)
    with DEFECTS[options.defect].broken():
        for system in options.systems:
            for seed in options.seeds:
                row = run_seed(study, system, seed)
                named = {"defect": options.defect} | row
                writer.writerow([named[column] for column in COLUMNS])
                write_bytes(OUT / f"{options.defect}.csv", sink.getvalue().encode())
    print(sink.getvalue())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
