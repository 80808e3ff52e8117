"""Make a callable wavefunction from the configuration or folder of a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import LogPsi, Nuclei, Params
from ferminet.chemistry.gto import ScfOrbitals, from_arrays, to_arrays
from ferminet.config import RunConfig
from ferminet.config.plugins import is_own, plugin_digest
from ferminet.errors import InputError, ResourceError
from ferminet.runtime.checkpoint import Arrays, load_arrays, settings_difference
from ferminet.systems.validation import validate
from ferminet.vmc.devices import arrays_to_tree, check_products
from ferminet.vmc.frozen import Frozen
from ferminet.vmc.programs import Problem, build_problem, make_sweep

# Prefix of the SCF orbitals' arrays in the files of runs whose wavefunction needs them.
_SCF = "scf:"


class Wavefunction(NamedTuple):
    """A trained wavefunction."""

    apply: Callable[[Params, jax.Array, Nuclei], LogPsi]
    params: Params
    nuclei: Nuclei
    walkers: jax.Array  # (n_walkers, n_electrons, 3), bohr, from the end of training


def load(run: str | Path, build: str | None = None) -> Wavefunction:
    """Load the trained wavefunction of a finished run.

    Args:
        run: folder of a run, `results/{study}/runs/{system}/{geometry}/{ansatz}-{hash}/seed{n}`.
        build: the builder of a wavefunction that is not part of the package, as a study names it,
            e.g. `my_net.py:build`. Without it no such builder runs: the folder may be anyone's.

    Returns:
        `(apply, params, nuclei, walkers)`: `apply(params, walkers[i], nuclei)` gives sign and
        log|psi| of one walker; `params` are the averaged parameters, which were evaluated.

    Raises:
        InputError: there is none, or its builder may not be run.
        CorruptError: it cannot be read.
    """
    path = Path(run) / "trained.safetensors"
    arrays, header = load_arrays(path)
    try:
        made = validate(RunConfig, header.get("run"))
    except InputError as error:
        raise InputError(f"{path} is not the trained wavefunction of a run: {error}") from None
    config = _with_builder(made, build, path)
    _set_precision(config)
    problem = build_problem(config, stored_orbitals(arrays))
    params = arrays_to_tree(arrays, params_template(problem), "average")
    return Wavefunction(
        problem.ansatz.apply, params, problem.nuclei, jnp.asarray(arrays["electrons"])
    )


def _with_builder(run: RunConfig, build: str | None, path: Path) -> RunConfig:
    """Return a stored configuration with a builder that may be run: this package's or the caller's.

    A plug-in is identified by the content of its file, not by its path.
    """
    made_with = run.ansatz.build
    if build is None:
        if is_own(made_with):
            return run
        raise InputError(
            f"{path} was made with {made_with!r}, which is not part of this package, so it "
            f"runs only if you name it; if you trust it: load(..., build={made_with!r})."
        )
    ansatz = run.ansatz.model_copy(update={"build": build})
    named = run.model_copy(update={"ansatz": ansatz, "plugin_digest": plugin_digest(build)})
    if named.ansatz_hash() != run.ansatz_hash():
        raise InputError(
            f"{path} was made with {made_with!r}, and {build!r} is another builder or its file has "
            "changed since; name the one that it was made with."
        )
    return named


def orbitals_to_store(problem: Problem, orbitals: ScfOrbitals | None) -> Arrays:
    """Return the SCF orbitals as arrays for a run's file if its wavefunction needs them."""
    if orbitals is None or not problem.ansatz.needs_scf:
        return {}
    return {_SCF + name: array for name, array in to_arrays(orbitals).items()}


def stored_orbitals(arrays: Arrays) -> ScfOrbitals | None:
    """Return the SCF orbitals that `orbitals_to_store` put into a run's file, or None."""
    named = {n.removeprefix(_SCF): array for n, array in arrays.items() if n.startswith(_SCF)}
    return from_arrays(named) if named else None


def params_template(problem: Problem) -> Params:
    """Return parameters of the right shapes, all zero."""
    shapes = jax.eval_shape(problem.ansatz.init, jax.random.key(0), problem.nuclei)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def load_of_run(path: Path, run: RunConfig, stage: str) -> tuple[Arrays, dict[str, Any]]:
    """Read a stage's result; raise an InputError unless that stage of this run wrote it."""
    arrays, header = load_arrays(path)
    if header.get("stage") != stage:
        raise InputError(
            f"{path} is the result of `ferminet {header.get('stage', '?')}`; this needs the result "
            f"of `ferminet {stage}`."
        )
    if header.get("config_hash") != run.config_hash():
        differing = settings_difference(header.get("settings"), run.trajectory())
        raise InputError(
            f"{path} belongs to the configuration {header.get('config_hash')}, not "
            f"{run.config_hash()}{differing}; run `ferminet {stage}` again."
        )
    return arrays, header


def load_frozen(run: RunConfig, trained: Path, iterations: int) -> Frozen:
    """Prepare the device, and read what `run_train` wrote, to sample it like the evaluation."""
    prepare_device(run)
    check_products(run.precision)
    arrays, _ = load_of_run(trained, run, "train")
    problem = build_problem(run, stored_orbitals(arrays))
    return Frozen(
        problem,
        make_sweep(problem, *run.sampler.shares()),
        arrays_to_tree(arrays, params_template(problem), "average"),
        jnp.asarray(arrays["electrons"]),
        jnp.asarray(arrays["step_size"]),
        iterations,
        run.evaluate.burn_in,
        run.evaluate.decorrelation_steps,
        run.evaluation_seed,
    )


def prepare_device(run: RunConfig) -> None:
    """Set the precision of the process, and reject a CPU where the study requires a GPU."""
    _set_precision(run)
    if run.require_gpu and jax.default_backend() != "gpu":
        raise ResourceError(
            f"The study has require_gpu: true, but JAX computes on {jax.devices()[0].device_kind} "
            "here; ask for a node with a GPU, install JAX for it (make env GPU=cuda13), or set "
            "require_gpu: false. `ferminet doctor` shows the devices that JAX sees."
        )


def _set_precision(run: RunConfig) -> None:
    """Switch float64 on if the run needs it, and never round float32 products to TF32."""
    jax.config.update("jax_enable_x64", run.precision == "float64")
    jax.config.update("jax_default_matmul_precision", "highest")
