"""Checks of derivatives: kinetic and local energies against brute force, gradients, KFAC."""

import math
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferminet.ansatz.base import Nuclei, count_parameters
from ferminet.config import OptimizerConfig
from ferminet.config.plugins import guarded
from ferminet.conformance.subject import Case, Finding, Subject, largest
from ferminet.vmc.hamiltonian import forward_laplacian_kinetic
from ferminet.vmc.optimizers.base import make_optimizer
from ferminet.vmc.optimizers.layered import block_table, find_layers
from ferminet.vmc.optimizers.search import layered_of
from ferminet.vmc.sampling import init_walkers

# Two ways of computing an energy differ by hundreds or thousands of roundings (2.2e-16) of the
# largest term that cancels; a million are allowed. A mistake is as large as a term: 1.
RELATIVE = 2.0**20 * 2.0**-52
# Central differences of step h are wrong by h^2 f'''/6 + 2e-16 |f|/h: some 1e-9 at 1e-5.
STEP, GRADIENT = 1e-5, 1e-6
KFAC_WALKERS = 16
NO_PARAMETERS = Finding("no parameters")


def plain_potential(electrons: np.ndarray, nuclei: Nuclei) -> tuple[float, float]:
    """Return the Coulomb energy of one walker, pair by pair, and the sum of magnitudes, hartree."""
    points = np.concatenate([electrons, nuclei.coords]).tolist()
    charges = [-1.0] * len(electrons) + np.asarray(nuclei.charges).tolist()
    terms = [
        charge_a * charge_b / math.dist(a, b)
        for (a, charge_a), (b, charge_b) in combinations(zip(points, charges, strict=True), 2)
    ]
    return sum(terms), sum(map(abs, terms))


def _kinetic_size(case: Case, brute: np.ndarray) -> np.ndarray:
    """Return the magnitude of the terms that cancel: T itself and the squared gradient."""
    gradient = case.gradients(case.walkers)[1]
    return 1.0 + np.abs(brute) + np.sum(gradient.reshape(len(brute), -1) ** 2, axis=1)


def _kinetic_deviation(case: Case, energies: ArrayLike, nuclei: Nuclei) -> float:
    """Return the largest relative deviation from the kinetic energies of second derivatives."""
    brute = case.brute_kinetic(case.walkers, nuclei)
    return float(np.max(np.abs(np.asarray(energies) - brute) / _kinetic_size(case, brute)))


def kinetic(subject: Subject) -> Finding:
    """Check the kinetic energy that runs use against the Hessian's trace, at two geometries."""
    deviations: dict[str, float] = {}
    for case in subject.cases:
        for suffix, nuclei in (("", case.nuclei), (", nuclei moved", case.moved_nuclei)):
            energies = case.energies(case.walkers, nuclei).kinetic
            deviations[case.name + suffix] = _kinetic_deviation(case, energies, nuclei)
    own = any(case.ansatz.kinetic for case in subject.cases)
    failure = (
        f"{'kinetic' if own else 'the forward Laplacian'} is not -1/2 (nabla^2 psi)/psi: it "
        "differs by {value} (relative) from the trace of the Hessian of log|psi| at {where}; "
        "it must be -1/2 (nabla^2 log|psi| + |nabla log|psi||^2), summed over all electrons, "
        "for the nuclei that it is given."
    )
    words = "own kinetic, relative" if own else "forward Laplacian, relative"
    return largest(words, deviations, RELATIVE, failure)


def forward_laplacian(subject: Subject) -> Finding:
    """Check the general forward Laplacian too if a wavefunction has its own `kinetic`."""
    if not any(case.ansatz.kinetic for case in subject.cases):
        return Finding("runs use it: see kinetic energy")
    case = subject.first
    general = forward_laplacian_kinetic(case.ansatz)
    energies = case.run("the forward Laplacian of log|psi|", general, case.walkers)
    failure = (
        "folx's forward Laplacian of log|psi| differs by {value} (relative) from the trace of its "
        "Hessian at {where}; look for a custom derivative rule or a stop_gradient in apply."
    )
    deviation = _kinetic_deviation(case, energies, case.nuclei)
    return largest("relative", {case.name: deviation}, RELATIVE, failure)


def full_local_energy(subject: Subject) -> Finding:
    """Check the local energy against the Hessian's kinetic energy and all pairs of charges."""
    deviations: dict[str, float] = {}
    for case in subject.cases:
        brute = case.brute_kinetic(case.walkers)
        size = _kinetic_size(case, brute)
        total = case.energies(case.walkers).total
        for index, electrons in enumerate(case.walkers):
            potential, magnitude = plain_potential(electrons, case.nuclei)
            deviation = abs(total[index] - brute[index] - potential) / (size[index] + magnitude)
            deviations[f"{case.name}, walker {index}"] = float(deviation)
    failure = (
        "the local energy differs by {value} (relative) at {where} from the brute-force kinetic "
        "energy plus the Coulomb energy of all pairs of particles; if the kinetic energy passes, "
        "a term of the potential is wrong (ferminet/vmc/hamiltonian.py)."
    )
    return largest("relative", deviations, RELATIVE, failure)


def parameter_gradient(subject: Subject) -> Finding:
    """Check the derivative of log|psi| with respect to each parameter by finite differences."""
    case = subject.first
    if not count_parameters(case.params):
        return NO_PARAMETERS
    with guarded("the gradient of log|psi| with respect to the parameters", case.home):
        deviations, unused = _deviations(case)
    failure = (
        "the derivative of log|psi| with respect to the parameter {where} differs by {value} "
        "(relative) from finite differences; look for stop_gradient, a custom derivative rule, or "
        "operations that have no derivative (round, argmax, integer casts)."
    )
    finding = largest("relative", deviations, GRADIENT, failure)
    words = f"; no influence: {', '.join(unused)}" if unused else ""
    return finding._replace(measured=finding.measured + words)


def _deviations(case: Case) -> tuple[dict[str, float], list[str]]:
    """Return the deviation of each leaf along one random direction, and leaves without effect."""
    walker, rng = case.walkers[0], np.random.default_rng(4)
    program = jax.jit(lambda p: case.logabs(p, walker, case.nuclei))
    params = jax.tree.map(np.asarray, case.params)
    paths = [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(params)]
    leaves, structure = jax.tree.flatten(params)
    gradient = [leaf[0] for leaf in jax.tree.leaves(case.gradients(case.walkers)[0])]
    size = max(float(np.linalg.norm(g)) for g in gradient)

    def value(index: int, change: np.ndarray) -> float:
        moved = [*leaves[:index], leaves[index] + change, *leaves[index + 1 :]]
        return float(program(jax.tree.unflatten(structure, moved)))

    deviations, unused = {}, []
    for index, name in enumerate(paths):
        direction = np.asarray(rng.normal(size=leaves[index].shape))
        direction = direction / max(float(np.linalg.norm(direction)), 1e-300)
        slope = (value(index, STEP * direction) - value(index, -STEP * direction)) / (2.0 * STEP)
        exact = float(np.sum(gradient[index] * direction))
        deviations[name] = abs(slope - exact) / max(abs(slope), 1e-3 * size, 1e-3)
        if slope == exact == 0.0:
            unused.append(name)
    return deviations, unused


def kfac_blocks(subject: Subject) -> Finding:
    """Report which parameters KFAC treats in blocks of dense layers."""
    case = subject.first
    total = count_parameters(case.params)
    if not total:
        return NO_PARAMETERS
    with guarded("KFAC's search for layers", case.home):
        layered = layered_of(case.ansatz)
        layers = find_layers(layered, case.params, case.walkers[0], case.nuclei)
        table = block_table(case.params, layers)
    dense = sum(size for _, kind, size in table if "dense" in kind.lower())
    others = [f"{name or kind} ({n})" for name, kind, n in table if "dense" not in kind.lower()]
    words = f"{dense} of {total} parameters ({100 * dense / total:.0f} %) in dense blocks"
    if others:
        words += f"; diagonal: {', '.join(others)}"
    return Finding(words, details={"blocks": [list(row) for row in table]})


def kfac_step(subject: Subject) -> Finding:
    """Check that the default optimiser takes a finite step that changes the parameters."""
    case = subject.first
    if not count_parameters(case.params):
        return NO_PARAMETERS
    walkers = init_walkers(jax.random.key(9), case.nuclei, *case.system.spins, KFAC_WALKERS)
    weights = np.random.default_rng(6).normal(size=KFAC_WALKERS) / KFAC_WALKERS
    weights = jnp.asarray(weights - np.mean(weights))
    optimizer = make_optimizer(OptimizerConfig(), case.ansatz)
    key, iteration = jax.random.key(11), jnp.zeros((), int)
    with guarded("a step of KFAC", case.home):
        state = optimizer.init(key, case.params, walkers, case.nuclei)
        arguments = (key, weights, state, case.params, walkers, case.nuclei, iteration)
        moved, _ = jax.jit(optimizer.update)(*arguments)
        steps = jax.tree.map(lambda a, b: np.ravel(np.asarray(a) - b), case.params, moved)
        change = float(np.linalg.norm(np.concatenate(jax.tree.leaves(steps))))
    text = (
        "a step of KFAC is not finite or changes nothing; look for parameters without influence "
        "and derivatives that are not finite, or choose another optimiser in the study "
        "(optimizer: {name: adam})."
    )
    return Finding(f"length {change:.1e}", "finite, not 0", "" if 0.0 < change < np.inf else text)
