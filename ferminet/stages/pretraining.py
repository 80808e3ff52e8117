"""The host loop of pretraining, and the check of its error."""

import math
from typing import NamedTuple

import jax

from ferminet.ansatz.base import Params
from ferminet.chemistry.gto import ScfOrbitals
from ferminet.config import PretrainConfig, SamplerConfig
from ferminet.errors import InputError, NotConvergedError
from ferminet.runtime.progress import Progress
from ferminet.vmc.pretrain import Pretrainer
from ferminet.vmc.programs import Problem
from ferminet.vmc.statistics import Estimate

PROGRESS_INTERVAL = 20  # iterations between two progress lines
# Least squares stop when the mean error of so many iterations falls by less than this factor.
STALL_INTERVAL, STALL_FACTOR = 20, 0.8


class PretrainResult(NamedTuple):
    """Where training starts: parameters, the network's walkers, and their energy."""

    params: Params
    electrons: jax.Array  # (n_walkers, n_electrons, 3), bohr
    error: float  # mean share of the density that the orbitals miss
    energy: Estimate  # of the pretrained network, hartree


def pretrain(
    problem: Problem,
    scf: ScfOrbitals,
    scf_energy: float,
    config: PretrainConfig,
    sampler: SamplerConfig,
    seed: int,
    progress: Progress,
) -> PretrainResult:
    """Fit the network's orbitals and check how much of the targets they miss.

    Even orbitals that miss a thousandth can give an energy a hartree above the SCF energy, since
    the cores are steep. Training removes this, so energies are reported and not judged. A
    wavefunction made of the SCF orbitals has nothing to fit: only its walkers are prepared.
    `scf_energy` is the energy of the target orbitals in hartree.

    Raises:
        InputError: the wavefunction offers no orbitals to fit.
        NotConvergedError: the error of the orbitals exceeds the tolerance, or the energy after
            pretraining is not finite.
    """
    if problem.ansatz.needs_scf and config.iterations:
        progress.log("the wavefunction is made of the SCF orbitals: nothing to fit")
        config = config.model_copy(update={"iterations": 0})
    if config.iterations and problem.ansatz.orbitals is None:
        raise InputError(
            "This wavefunction offers no orbitals to pretrain; set pretrain.iterations to 0."
        )
    pretrainer = Pretrainer(problem, scf, config, sampler, seed)
    state, errors = pretrainer.init(), []
    for iteration in range(config.iterations):
        state, error = pretrainer.step(state, iteration)
        errors.append(float(error))
        done = iteration + 1
        finished = done == config.iterations or (config.method != "adam" and has_stalled(errors))
        if done % PROGRESS_INTERVAL == 0 or finished:
            progress(done, f"error of the orbitals {errors[-1]:.2e}")
        if finished:
            break
    if errors and not errors[-1] <= config.tolerance:
        advice = "too few iterations were allowed; raise pretrain.iterations, or pretrain.tolerance"
        if len(errors) < config.iterations:
            advice = (
                "the wavefunction's orbitals cannot take the form of the Hartree-Fock ones; raise "
                "pretrain.tolerance"
            )
        raise NotConvergedError(
            f"After {len(errors)} iterations of pretraining the orbitals' error is "
            f"{errors[-1]:.3g} of the density (allowed: {config.tolerance:g}): {advice} to "
            "leave the rest to training."
        )
    electrons, energy = pretrainer.measure_energy(state)
    measured = f"{energy.mean:.4f} ± {energy.error:.4f} Eh"
    progress.log(f"E = {measured}, SCF reference {scf_energy:.4f} Eh")
    if config.iterations and not math.isfinite(energy.mean):
        raise NotConvergedError(
            f"After pretraining the energy is {measured}; give the wavefunction smoother orbitals."
        )
    return PretrainResult(state.params, electrons, errors[-1] if errors else math.nan, energy)


def has_stalled(errors: list[float]) -> bool:
    """Return whether errors, one per iteration, have nearly stopped falling."""
    last, before = errors[-STALL_INTERVAL:], errors[-2 * STALL_INTERVAL : -STALL_INTERVAL]
    return len(before) == STALL_INTERVAL and sum(last) > STALL_FACTOR * sum(before)
