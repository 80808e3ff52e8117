"""The host loop of pretraining, and the check of the energy that it reaches."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Params
from ferminet.chemistry.gto import ScfOrbitals
from ferminet.config import PretrainConfig, SamplerConfig
from ferminet.errors import InputError, NotConvergedError
from ferminet.runtime.progress import Progress
from ferminet.vmc.pretrain import Pretrainer
from ferminet.vmc.programs import Problem
from ferminet.vmc.statistics import Estimate

PROGRESS_INTERVAL = 20  # iterations between two progress lines


class PretrainResult(NamedTuple):
    """Where training starts: parameters, the network's walkers, and their energy."""

    params: Params
    electrons: jax.Array  # (n_walkers, n_electrons, 3), bohr
    loss: float  # mean squared difference of orbitals at the end
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
    """Fit the network's orbitals and check the energy that they give.

    A wavefunction made of the SCF orbitals has nothing to fit: only its walkers are prepared, and
    its energy is not checked (an untrained Jastrow factor may raise it). `scf_energy` is the
    energy of the target orbitals in hartree.

    Raises:
        InputError: the wavefunction offers no orbitals to fit.
        NotConvergedError: the energy lies further above the SCF energy than the tolerance.
    """
    if problem.ansatz.needs_scf and config.iterations:
        progress.log("the wavefunction is made of the SCF orbitals: nothing to fit")
        config = config.model_copy(update={"iterations": 0})
    if config.iterations and problem.ansatz.orbitals is None:
        raise InputError(
            "This wavefunction offers no orbitals to pretrain; set pretrain.iterations to 0."
        )
    pretrainer = Pretrainer(problem, scf, config, sampler, seed)
    state, loss = pretrainer.init(), jnp.asarray(jnp.nan)
    for iteration in range(config.iterations):
        state, loss = pretrainer.step(state, iteration)
        done = iteration + 1
        if done % PROGRESS_INTERVAL == 0 or done == config.iterations:
            progress(done, f"orbital mean squared error {float(loss):.2e}")
    electrons, energy = pretrainer.measure_energy(state)
    measured = f"{energy.mean:.4f} ± {energy.error:.4f} Eh"
    progress.log(f"E = {measured}, SCF reference {scf_energy:.4f} Eh")
    excess = energy.mean - scf_energy
    if config.iterations and not excess - 3 * energy.error < config.tolerance_hartree:
        raise NotConvergedError(
            f"After pretraining the energy {measured} is {1000 * excess:.0f} mEh above its SCF "
            f"reference {scf_energy:.4f} Eh (allowed: {1000 * config.tolerance_hartree:.0f} mEh); "
            "raise pretrain.iterations, change its learning rate, or raise "
            "pretrain.tolerance_hartree and leave the rest to training."
        )
    return PretrainResult(state.params, electrons, float(loss), energy)
