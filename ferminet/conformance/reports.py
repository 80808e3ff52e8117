"""What is measured and not judged: cusps, symmetries, size and speed."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz import ferminet
from ferminet.ansatz.base import AnsatzSpec, count_parameters
from ferminet.conformance.basics import placed
from ferminet.conformance.cases import Case, Subject
from ferminet.conformance.findings import Outcome
from ferminet.conformance.guard import guarded
from ferminet.vmc.hamiltonian import local_energy

# The network of workflow/config/quickstart.yaml, which times are compared with.
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
SAME = 1e-7  # of log|psi|: roundings of moved coordinates, also near a node
_NEAR = 1e-3  # bohr: where slopes at a coalescence are measured


def cusps(subject: Subject) -> Outcome:
    """Slopes of log|psi| where two particles meet, beside Kato's."""
    case = subject.widest
    found = {}
    up, down = case.spins
    if up and down:
        found["opposite spins (exact 1/2)"] = _pair_slope(case, 0, case.system.n_up, same=False)
    if len(up) > 1:
        found["same spin (exact 1/4)"] = _pair_slope(case, 0, 1, same=True)
    nucleus = case.system.charges[0]
    found[f"electron and nucleus (exact {-nucleus:g})"] = _nuclear_slope(case)
    words = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    return Outcome(words, details=found)


_AXES = np.concatenate([np.eye(3), -np.eye(3)])


def _pair_slope(case: Case, i: int, j: int, same: bool) -> float:
    """Slope of log|psi| of two electrons at r = 0; of the same spin, that of log|psi / r|."""
    first = case.walkers[0]
    middle = 0.5 * (first[i] + first[j])
    values = []
    for radius in (_NEAR, 2.0 * _NEAR):
        walkers = np.stack(
            [
                placed(placed(first, i, middle + 0.5 * radius * u), j, middle - 0.5 * radius * u)
                for u in _AXES
            ]
        )
        if same:
            # Along one direction: psi is odd there, so that nothing else is of the first order.
            values.append(case.values(walkers).logabs[0] - np.log(radius))
        else:
            values.append(_log_mean(case, walkers))
    return float((values[1] - values[0]) / _NEAR)


def _nuclear_slope(case: Case) -> float:
    first, center = case.walkers[0], np.asarray(case.nuclei.coords[0])
    values = [
        _log_mean(case, np.stack([placed(first, 0, center + radius * u) for u in _AXES]))
        for radius in (_NEAR, 2.0 * _NEAR)
    ]
    return float((values[1] - values[0]) / _NEAR)


def _log_mean(case: Case, walkers: np.ndarray) -> float:
    """Logarithm of psi's mean over directions, which has no term that is odd."""
    psi = case.values(walkers)
    shift = np.max(psi.logabs)
    return float(np.log(np.abs(np.mean(psi.sign * np.exp(psi.logabs - shift)))) + shift)


def invariances(subject: Subject) -> Outcome:
    """Which symmetries of space are built in; none has to be."""
    case = subject.widest
    center = np.asarray([0.3, -0.7, 0.2])
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    nuclei, before = case.nuclei, case.values(case.walkers)
    images = {
        "translation": (case.walkers + center, nuclei._replace(coords=nuclei.coords + center)),
        "rotation": (case.walkers @ turn.T, nuclei._replace(coords=nuclei.coords @ turn.T)),
    }
    if len(set(case.system.charges)) < len(case.system.charges):
        reordered = nuclei._replace(coords=nuclei.coords[::-1])
        images["relabelling of equal nuclei"] = (case.walkers, reordered)
    changes = {
        name: float(np.max(np.abs(case.values(*image).logabs - before.logabs)))
        for name, image in images.items()
    }
    words = [f"{name} {'yes' if c < SAME else f'no ({c:.1e})'}" for name, c in changes.items()]
    return Outcome(", ".join(words), details=changes)


def parameters(subject: Subject) -> Outcome:
    """Their number, for each system."""
    numbers = {case.system.described: count_parameters(case.params) for case in subject.cases}
    return Outcome(", ".join(f"{n} for {name}" for name, n in numbers.items()), details=numbers)


def times(subject: Subject) -> Outcome:
    """Seconds of log|psi| and of the local energy of walkers, beside the laptop's FermiNet."""
    case = subject.widest
    system = case.system
    spec = AnsatzSpec(system.n_up, system.n_down, len(system.charges))
    other = ferminet.build(spec, **LAPTOP)
    walkers = jnp.asarray(np.tile(case.walkers, (TIMED_WALKERS // len(case.walkers), 1, 1)))
    programs = {}
    for name, ansatz, params in (
        ("own", case.ansatz, case.params),
        ("FermiNet", other, other.init(jax.random.key(1), case.nuclei)),
    ):
        energy = case.energy(ansatz) if name == "own" else local_energy(ansatz)
        for what, function in (("log|psi|", ansatz.apply), ("local energy", energy)):
            program = jax.jit(jax.vmap(function, (None, 0, None)))
            programs[f"{what} {name}"] = partial(program, params, walkers, case.nuclei)
    with guarded("a call for 64 walkers", case.home):
        found = _medians(programs)
    words = ", ".join(
        f"{what} {1e3 * found[f'{what} own']:.2f} ms, "
        f"{found[f'{what} own'] / found[f'{what} FermiNet']:.2f} times FermiNet's"
        for what in ("log|psi|", "local energy")
    )
    return Outcome(f"{TIMED_WALKERS} walkers of {system.name}: {words}", details=found)


def _medians(programs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Seconds of each, taken in turns: what else the machine does then slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(REPEATS + 1):
        for name, program in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(program())
            if turn:  # the first compiles
                seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(each)) for name, each in seconds.items()}
