"""Kinetic and local energies beside brute force: all second derivatives, all pairs one by one."""

import numpy as np

from ferminet.ansatz.base import Nuclei
from ferminet.conformance.cases import Case, Subject
from ferminet.conformance.findings import Outcome, largest

# Both ways round differently, by some hundred to thousand units of 2.2e-16 of the largest of the
# terms that cancel; a million units are allowed. A mistake is of the order of a term: 1.
RELATIVE = 2.0**20 * 2.0**-52


def plain_potential(electrons: np.ndarray, nuclei: Nuclei) -> tuple[float, float]:
    """All Coulomb terms of one walker, pair by pair, hartree.

    Returns:
        Their sum and the sum of their magnitudes.
    """
    coords = [[float(x) for x in point] for point in np.asarray(nuclei.coords)]
    charged = list(zip(coords, np.asarray(nuclei.charges).tolist(), strict=True))
    points = [([float(x) for x in point], -1.0) for point in electrons] + charged
    terms = []
    for second in range(len(points)):
        for first in range(second):
            (a, charge_a), (b, charge_b) = points[first], points[second]
            squares = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
            terms.append(charge_a * charge_b / squares**0.5)
    return sum(terms), sum(map(abs, terms))


def _kinetic_size(case: Case, walkers: np.ndarray, brute: np.ndarray) -> np.ndarray:
    """The magnitude of what cancels in a kinetic energy: T itself and half the squared gradient."""
    gradient = case.gradients(walkers)[1]
    squares = np.sum(gradient.reshape(len(walkers), -1) ** 2, axis=1)
    return 1.0 + np.abs(brute) + squares


def kinetic(subject: Subject) -> Outcome:
    """The kinetic energy that runs use, against the trace of the Hessian, at two geometries."""
    deviations: dict[str, float] = {}
    own = any(case.ansatz.kinetic is not None for case in subject.cases)
    for case in subject.cases:
        for place, nuclei in (("", case.nuclei), (", nuclei moved", case.moved_nuclei)):
            brute = case.brute_kinetic(case.walkers, nuclei)
            size = _kinetic_size(case, case.walkers, brute)
            found = case.energies(case.walkers, nuclei).kinetic
            where = case.system.described + place
            deviations[where] = float(np.max(np.abs(found - brute) / size))
    name = "kinetic" if own else "the forward Laplacian"
    sentence = (
        f"{name} is not -1/2 (nabla^2 psi)/psi: it differs by {{value}} (relative) from the trace "
        "of the Hessian of log|psi| at {where}; expected is -1/2 (nabla^2 log|psi| + |nabla "
        "log|psi||^2), summed over all electrons, with the nuclei that it is given."
    )
    words = "own kinetic, relative" if own else "forward Laplacian, relative"
    return largest(words, deviations, RELATIVE, sentence)


def forward_laplacian(subject: Subject) -> Outcome:
    """The general forward Laplacian, for a wavefunction that has its own kinetic energy."""
    if all(case.ansatz.kinetic is None for case in subject.cases):
        return Outcome("is what runs use: see kinetic energy")
    case = subject.first
    brute = case.brute_kinetic(case.walkers)
    size = _kinetic_size(case, case.walkers, brute)
    change = float(np.max(np.abs(case.forward_kinetic(case.walkers) - brute) / size))
    sentence = (
        "folx's forward Laplacian of log|psi| differs by {value} (relative) from the trace of its "
        "Hessian at {where}; look for a custom derivative rule or a stop_gradient in apply."
    )
    return largest("relative", {case.system.described: change}, RELATIVE, sentence)


def full_local_energy(subject: Subject) -> Outcome:
    """The whole local energy against brute force: Hessian, and every pair of charges."""
    deviations: dict[str, float] = {}
    for case in subject.cases:
        brute = case.brute_kinetic(case.walkers)
        size = _kinetic_size(case, case.walkers, brute)
        total = case.energies(case.walkers).total
        for index, electrons in enumerate(case.walkers):
            potential, magnitude = plain_potential(electrons, case.nuclei)
            deviation = abs(total[index] - brute[index] - potential) / (size[index] + magnitude)
            where = f"{case.system.described}, walker {index}"
            deviations[where] = float(deviation)
    sentence = (
        "the local energy differs by {value} (relative) from the kinetic energy by brute force "
        "plus -Z/r over electrons and nuclei, 1/r over pairs of electrons and Z Z'/R over pairs of "
        "nuclei, at {where}; if the kinetic energy passes, a term of the potential is wrong "
        "(ferminet/vmc/hamiltonian.py)."
    )
    return largest("relative", deviations, RELATIVE, sentence)
