"""The stages of one run: files in, files out. It is assembly only; read it like a methods section.

Each function is one job of the workflow and one command of the command line. The calculations by
PySCF are in `chemistry`, the tables and figures in `results`.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Nuclei, count_parameters
from ferminet.benchmark.diagnostics import marked
from ferminet.benchmark.records import read_table, write_rows, write_table
from ferminet.benchmark.references import project_references
from ferminet.benchmark.schema import row
from ferminet.chemistry.gto import ScfOrbitals, from_arrays
from ferminet.config import RunConfig
from ferminet.config.runs import SHARED
from ferminet.errors import InputError
from ferminet.runtime.checkpoint import Arrays, load_arrays, save_arrays
from ferminet.runtime.files import file_sha256
from ferminet.runtime.interrupts import TimeLimit, stop_requested
from ferminet.runtime.progress import Progress
from ferminet.runtime.provenance import TRAINED_BY, training_segments
from ferminet.runtime.run_lock import run_lock
from ferminet.stages.columns import vmc_columns
from ferminet.stages.evaluation import EvaluationResult, evaluate
from ferminet.stages.history import UNITS
from ferminet.stages.pretraining import pretrain
from ferminet.stages.training import RunIdentity, train
from ferminet.stages.wavefunction import (
    load_of_run,
    orbitals_to_store,
    params_template,
    prepare_device,
    stored_orbitals,
)
from ferminet.vmc.devices import (
    arrays_to_tree,
    check_determinants,
    check_products,
    fetch,
    tree_to_arrays,
)
from ferminet.vmc.evaluate import Evaluator, Trace, make_evaluator, summarise
from ferminet.vmc.observables import kato_slopes
from ferminet.vmc.programs import Problem, build_problem
from ferminet.vmc.statistics import training_trend
from ferminet.vmc.train import TrainSettings

KATO_WALKERS = 256


def run_pretrain(run: RunConfig, scf_path: Path, out: Path) -> None:
    """Make initial parameters and walkers, matched to the orbitals of `run_scf`."""
    prepare_device(run)
    orbitals, scf = load_orbitals(run, scf_path)
    problem = build_problem(run, orbitals)
    progress = Progress(f"pretrain {run_name(run)}", run.pretrain.iterations)
    result = pretrain(
        problem, orbitals, scf["energy"], run.pretrain, run.sampler, run.seed, progress
    )
    arrays = tree_to_arrays(result.params, "params") | {"electrons": fetch(result.electrons)}
    arrays |= orbitals_to_store(problem, orbitals)
    save_arrays(out, arrays, _header("pretrain", run) | {"scf": scf, "energy": result.energy.mean})


def load_orbitals(run: RunConfig, scf_path: Path) -> tuple[ScfOrbitals, dict[str, Any]]:
    """Load the Hartree-Fock orbitals of a run's geometry, and the header of their file.

    Raises:
        InputError: there is no such file, or it belongs to another calculation.
        CorruptError: the file cannot be read.
    """
    arrays, header = load_arrays(scf_path)
    if header.get("identity") != run.stage_params("scf"):
        raise InputError(
            f"{scf_path} does not hold the orbitals of {run.system} {run.geometry} in "
            f"{run.scf.basis}; give the result of `ferminet scf` with the same configuration."
        )
    return from_arrays(arrays), header


def _header(stage: str, run: RunConfig) -> dict[str, Any]:
    """Return the header that ties a stage's file to a run; see `load_of_run`."""
    return {"stage": stage, "config_hash": run.config_hash(), "settings": run.trajectory()}


def run_train(
    run: RunConfig,
    initial: Path,
    checkpoint_dir: Path,
    out: Path,
    history: Path,
    limit: TimeLimit | None = None,
) -> None:
    """Minimise the energy, resuming from the newest checkpoint if there is one.

    The checkpoints are never an output of the workflow. `out` holds the last and the averaged
    parameters, the walkers and the step size. For the training of a curve, walkers and step sizes
    are those of all its geometries, and `history` has a column for the geometry.
    """
    if run.training_run() != run:
        raise InputError(
            f"{run.system} {run.geometry} shares its training with other geometries; give "
            f"--geometry {SHARED}."
        )
    # Listen for signals from here on, since one may arrive during the first compilation.
    with stop_requested(limit) as asked, run_lock(checkpoint_dir, asked) as should_stop:
        prepare_device(run)
        check_products(run.precision)
        check_determinants(run.precision)
        arrays, _ = load_of_run(initial, run, "pretrain")
        orbitals = stored_orbitals(arrays)
        problem = build_problem(run, orbitals)
        params = arrays_to_tree(arrays, params_template(problem), "params")
        result = train(
            problem._replace(nuclei=_training_nuclei(run, problem)),
            TrainSettings(run.sampler, run.optimizer, run.train, run.seed),
            RunIdentity(run.config_hash(), run.trajectory(), tuple(run.curve or ())),
            params,
            jnp.asarray(arrays["electrons"]),
            checkpoint_dir,
            Progress(f"train {run_name(run)}", run.train.iterations),
            should_stop,
        )
    state = result.state
    save_arrays(
        out,
        tree_to_arrays(state.params, "last")
        | tree_to_arrays(state.average, "average")
        | {"electrons": fetch(state.electrons), "step_size": fetch(state.step_size)}
        | orbitals_to_store(problem, orbitals),
        {
            **_header("train", run),
            "iterations": run.train.iterations,
            "attempts": result.attempts,
            "wall_s": result.wall_s,
            TRAINED_BY: result.trained_by,
            "convergence": None if run.curve else training_trend(result.histories[0]),
            "run": run.model_dump(),
        },
    )
    write_table(history, _joined(run, result.histories), UNITS)


def _training_nuclei(run: RunConfig, problem: Problem) -> Nuclei:
    """Return the nuclei of a training: of a curve, with coordinates of all its geometries."""
    if run.curve is None:
        return problem.nuclei
    if problem.ansatz.needs_scf:
        raise InputError(
            f"{run.ansatz_name} is made of the SCF orbitals of one geometry; set train.shared: "
            "false for it (ansatz.NAME.settings)."
        )
    parts = len(run.curve) * len(jax.devices())
    if run.sampler.walkers % parts:
        raise InputError(
            f"sampler.walkers: {run.sampler.walkers} walkers cannot be divided among "
            f"{len(run.curve)} geometries on {len(jax.devices())} devices; make it a multiple of "
            f"{parts}, or make fewer devices visible."
        )
    coords = np.stack([molecule.coords for molecule in run.curve.values()])
    return problem.nuclei._replace(coords=jnp.asarray(coords, problem.nuclei.coords.dtype))


def _joined(run: RunConfig, histories: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Return the history of a run, or those of a curve one after the other."""
    if run.curve is None:
        return histories[0]
    names = [[geometry] * run.train.iterations for geometry in run.curve]
    columns = {name: np.concatenate([one[name] for one in histories]) for name in histories[0]}
    return {"geometry": np.concatenate(names), **columns}


def run_split(run: RunConfig, trained: Path, histories: Path, out: Path, history: Path) -> None:
    """Take one geometry of a curve out of the results of the shared training.

    `out` and `history` are those of a training of this geometry alone, so that everything after
    training is the same. Time is divided equally among the geometries. Each walker is repeated
    once for every geometry, to make as many as `sampler.walkers`; the burn-in of the evaluation
    makes them independent.

    Raises:
        InputError: the run shares no training, or the files belong to another run.
    """
    if run.curve is None or run.geometry == SHARED:
        raise InputError(
            f"{run.system} {run.geometry} is not a geometry of a shared training (train.shared)."
        )
    arrays, header = load_of_run(trained, run.training_run(), "train")
    labels, index = list(run.curve), list(run.curve).index(run.geometry)
    table = read_table(histories, ["geometry"])
    mine = table[table["geometry"] == run.geometry].drop(columns="geometry")
    columns = {name: mine[name].to_numpy() for name in mine}
    arrays["step_size"] = arrays["step_size"][index]
    arrays["electrons"] = np.repeat(arrays["electrons"][index :: len(labels)], len(labels), axis=0)
    kept = {name: header[name] for name in ("iterations", "attempts", TRAINED_BY)}
    own = {
        "wall_s": header["wall_s"] / len(labels),
        "convergence": training_trend(columns),
        "run": run.model_dump(),
    }
    save_arrays(out, arrays, {**_header("train", run), **kept, **own})
    write_table(history, columns, UNITS)


def run_evaluate(
    run: RunConfig,
    trained: Path,
    checkpoint_dir: Path,
    out: Path,
    command: str = "",
    limit: TimeLimit | None = None,
) -> None:
    """Measure the energy of a trained wavefunction, with its diagnostics, and write it as a row.

    Both the averaged and the last parameters are measured; the energy of the row is always that of
    the averaged ones, even if the last ones give a lower one. The row identifies the measured file
    by its SHA-256, and holds the whole configuration and the command that reproduces it.
    """
    prepare_device(run)
    product_error = check_products(run.precision)
    check_determinants(run.precision)
    arrays, header = load_of_run(trained, run, "train")
    problem = build_problem(run, stored_orbitals(arrays))
    exchanges, hops = run.sampler.shares()
    evaluator = make_evaluator(problem, exchanges, run.evaluate.decorrelation_steps, hops)
    with stop_requested(limit) as asked, run_lock(checkpoint_dir, asked) as should_stop:
        results = [
            _evaluate_one(run, problem, evaluator, arrays, which, checkpoint_dir, should_stop)
            for which in ("average", "last")
        ]
    summary, last = (_summary(run, result.trace) for result in results)
    params = arrays_to_tree(arrays, params_template(problem), "average")
    averaged = results[0]
    columns = {
        **vmc_columns(run, jax.devices()[0].device_kind),
        **summary,
        "evaluation_seed": run.evaluation_seed,
        "status": "complete",
        "iterations": header["iterations"],
        "parameters": count_parameters(params),
        "evaluation_iterations": len(averaged.trace.step_energy),
        "wall_s": header["wall_s"] + sum(result.wall_s for result in results),
    }
    details = {
        "convergence": header.get("convergence"),
        "energy_last_parameters": last["energy"],
        "stderr_last_parameters": last["stderr"],
        "kato": _kato(problem, params, averaged.electrons),
        "attempts": header["attempts"],
        "train_wall_s": header["wall_s"],
        TRAINED_BY: training_segments(header),
        "step_size": averaged.step_size,
        "matrix_product_error": product_error,
        "devices": len(jax.devices()),
        "settings": run.settings(),
        "trained_sha256": file_sha256(trained),
        "configuration": run.model_dump(),
        **({"command": command} if command else {}),
    }
    energy = row(**{**columns, "details": summary["details"] | details})
    energy = marked(energy, project_references())
    write_rows(out, [energy])
    report = Progress(f"evaluate {run_name(run)}", 1)
    report.log(f"E = {energy.energy:.6f} ± {energy.stderr:.6f} Eh ({energy.status})")


def _summary(run: RunConfig, trace: Trace) -> dict[str, Any]:
    return summarise(trace, run.evaluate.decorrelation_steps, run.molecule.unpaired_electrons)


def _evaluate_one(
    run: RunConfig,
    problem: Problem,
    evaluator: Evaluator,
    arrays: Arrays,
    which: str,
    checkpoint_dir: Path,
    should_stop: Callable[[], bool],
) -> EvaluationResult:
    iterations = run.evaluate.iterations_with(which)
    identity = _evaluation_hash(run, arrays, which)
    return evaluate(
        evaluator,
        run.evaluate.model_copy(update={"iterations": iterations}),
        arrays_to_tree(arrays, params_template(problem), which),
        jnp.asarray(arrays["electrons"]),
        jnp.asarray(arrays["step_size"]),
        run.evaluation_seed,
        identity,
        checkpoint_dir / f"{which}-{identity}",
        Progress(f"evaluate {which} {run_name(run)}", iterations),
        should_stop,
    )


def _evaluation_hash(run: RunConfig, arrays: Arrays, which: str) -> str:
    """Return a hash of the parameters and the settings that the samples depend on."""
    sha = hashlib.sha256(run.config_hash().encode())
    settings = (run.evaluate.decorrelation_steps, run.evaluate.burn_in, run.evaluation_seed)
    sha.update(repr(settings).encode())
    for name in sorted(arrays):
        if name.startswith(which) or name in ("electrons", "step_size"):
            sha.update(arrays[name].tobytes())
    return sha.hexdigest()[:8]


def _kato(problem: Problem, params: Any, electrons: np.ndarray) -> dict[str, Any]:
    """Return the medians over walkers of the slopes at coalescence points; see `kato_slopes`."""
    exact = {"nucleus": (-problem.nuclei.charges).tolist(), "opposite_spin": 0.5}

    @jax.jit
    def slopes(params, electrons, nuclei):
        def one(walker):
            kato = kato_slopes(problem.ansatz, params, walker, nuclei, problem.n_up)
            return {name: kato[name] for name in exact if name in kato}

        return jax.vmap(one)(electrons)

    values = slopes(params, jnp.asarray(electrons[:KATO_WALKERS]), problem.nuclei)
    return {
        name: {"median_slope": np.median(np.asarray(value), axis=0).tolist(), "exact": exact[name]}
        for name, value in values.items()
    }


def run_name(run: RunConfig) -> str:
    """Return the name of a run in progress lines."""
    return f"{run.system} {run.geometry} {run.ansatz_name} seed {run.seed}"
