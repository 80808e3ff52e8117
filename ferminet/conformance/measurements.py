"""Measurements that never fail: cusps, number of parameters and speed."""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz import ferminet
from ferminet.ansatz.base import AnsatzSpec, Array, Nuclei, Params, count_parameters
from ferminet.config.plugins import guarded
from ferminet.conformance.subject import Finding, Subject
from ferminet.vmc.hamiltonian import local_energy
from ferminet.vmc.observables import kato_slopes, same_spin_slope

# The network of workflow/config/quickstart.yaml, with which times are compared.
LAPTOP = {
    "layers": 3,
    "one_electron_width": 32,
    "two_electron_width": 8,
    "determinants": 4,
    "full_determinant": True,
    "envelope": "isotropic",
    "jastrow": "electron_cusp",
    "rescale_inputs": True,
}
TIMED_WALKERS, REPEATS = 64, 7
CUSP_STEP = 1e-3  # bohr


def cusps(subject: Subject) -> Finding:
    """Report slopes of log|psi| where two particles meet, next to Kato's exact ones."""
    case = subject.widest
    n_up, charge = case.system.spins[0], case.system.charges[0]

    def slopes(params: Params, electrons: Array, nuclei: Nuclei) -> dict[str, Array]:
        arguments = (case.ansatz, params, electrons, nuclei)
        kato = kato_slopes(*arguments, n_up, CUSP_STEP)
        named = {}
        if "opposite_spin" in kato:
            named["opposite spins (exact 1/2)"] = kato["opposite_spin"]
        if n_up > 1:
            named["same spin (exact 1/4)"] = same_spin_slope(*arguments, CUSP_STEP)
        return named | {f"electron and nucleus (exact {-charge:g})": kato["nucleus"][0]}

    measured = case.run("log|psi| where particles meet", slopes, case.walkers[:1])
    numbers = {name: float(values[0]) for name, values in measured.items()}
    words = ", ".join(f"{name} {value:.3f}" for name, value in numbers.items())
    return Finding(words, details=numbers)


def parameters(subject: Subject) -> Finding:
    """Report the number of parameters for each system."""
    numbers = {case.name: count_parameters(case.params) for case in subject.cases}
    return Finding(", ".join(f"{n} for {name}" for name, n in numbers.items()), details=numbers)


def times(subject: Subject) -> Finding:
    """Report the times of log|psi| and the local energy, relative to the laptop's FermiNet."""
    case = subject.widest
    spec = AnsatzSpec(*case.system.spins, len(case.system.symbols))
    other = ferminet.build(spec, **LAPTOP)
    other_params = other.init(jax.random.key(1), case.nuclei)
    walkers = jnp.asarray(np.tile(case.walkers, (TIMED_WALKERS // len(case.walkers), 1, 1)))
    functions = {
        "log|psi| own": (case.ansatz.apply, case.params),
        "local energy own": (case.energy(case.ansatz), case.params),
        "log|psi| FermiNet": (other.apply, other_params),
        "local energy FermiNet": (local_energy(other), other_params),
    }
    programs = {
        name: partial(jax.jit(jax.vmap(function, (None, 0, None))), params, walkers, case.nuclei)
        for name, (function, params) in functions.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    with guarded("a call for 64 walkers", case.home):
        # In turns, so that other work on the machine slows all of them alike.
        for turn in range(REPEATS + 1):
            for name, program in programs.items():
                start = time.perf_counter()
                jax.block_until_ready(program())
                if turn:  # the first turn compiles
                    seconds[name].append(time.perf_counter() - start)
    medians = {name: float(np.median(each)) for name, each in seconds.items()}
    words = ", ".join(
        f"{quantity} {1e3 * medians[f'{quantity} own']:.2f} ms, "
        f"{medians[f'{quantity} own'] / medians[f'{quantity} FermiNet']:.2f} times FermiNet's"
        for quantity in ("log|psi|", "local energy")
    )
    return Finding(f"{TIMED_WALKERS} walkers of {case.system.name}: {words}", details=medians)
