"""Checks of symmetry: exchange of electrons in psi and its orbitals, and motions in space."""

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.ansatz.layers import unregistered
from ferminet.conformance.subject import Case, Finding, Subject, largest
from ferminet.vmc.optimizers.search import layered_of

EXCHANGE = 1e-10  # of log|psi| in float64: a few thousand roundings
SAME = 1e-7  # of log|psi|: roundings of moved coordinates, also near a node
_ORBITALS = "orbitals(params, electrons, nuclei)"
_LOOK = (
    "look at what treats electrons of one spin differently: means over electrons, the order of "
    "(i, j) in pair features, masks by spin"
)


def _exchanged(array: np.ndarray, i: int, j: int, axis: int = 1) -> np.ndarray:
    order = np.arange(array.shape[axis])
    order[[i, j]] = j, i
    return np.take(array, order, axis)


def antisymmetry(subject: Subject) -> Finding:
    """Check that exchanging two electrons of one spin changes the sign of psi and nothing else."""
    changes: dict[str, float] = {}
    for case in subject.cases:
        before = case.values(case.walkers)
        for i, j in case.same_spin_pairs:
            after = case.values(_exchanged(case.walkers, i, j))
            pair = f"electrons {i} and {j} of {case.name}"
            wrong = int(np.sum(after.sign != -before.sign))
            if wrong:
                text = (
                    f"exchanging {pair} must change the sign of psi but does not at {wrong} of "
                    f"{len(before.sign)} walkers; psi must be a sum of determinants of equivariant "
                    f"orbitals: {_LOOK}."
                )
                return Finding("the sign stays", "sign -1", text)
            changes[pair] = float(np.max(np.abs(after.logabs - before.logabs)))
    failure = (
        "exchanging {where}, of the same spin, must not change log|psi| but does so by {value}: "
        f"{_LOOK}."
    )
    return largest("sign -1, change of log|psi|", changes, EXCHANGE, failure)


def spin_dependence(subject: Subject) -> Finding:
    """Report whether |psi| depends on which electron has which spin."""
    changes = {}
    for case in subject.cases:
        up, down = case.spins
        if up and down:
            after = case.values(_exchanged(case.walkers, 0, down[0]))
            change = np.abs(after.logabs - case.values(case.walkers).logabs)
            changes[case.system.name] = float(np.max(change))
    if not changes:
        return Finding("no system with both spins")
    measured = f"exchanging up and down changes log|psi| by {max(changes.values()):.1e}"
    return Finding(measured, details=changes)


def orbitals(subject: Subject) -> Finding:
    """Check the shapes of the orbitals, and that same-spin exchanges only permute their rows."""
    changes: dict[str, float] = {}
    are_psi = True
    for case in subject.cases:
        if case.ansatz.orbitals is None:
            return Finding("none: no pretraining")
        before = case.run(_ORBITALS, case.ansatz.orbitals, case.walkers)
        shapes = [part.shape[1:] for part in before]
        if not _right_shapes(case, shapes):
            measured = " and ".join(map(str, shapes))
            text = (
                f"orbitals returned shapes {measured} for {case.name}; they must be (determinants, "
                "n_up, columns) and (determinants, n_down, columns), with as many columns as "
                "electrons of that spin, or as all electrons in both (ferminet/ansatz/base.py)."
            )
            return Finding(measured, "(determinants, n_spin, columns)", text)
        size = max(float(np.max(np.abs(part), initial=1e-300)) for part in before)
        n_up = case.system.spins[0]
        for i, j in case.same_spin_pairs:
            after = case.run(_ORBITALS, case.ansatz.orbitals, _exchanged(case.walkers, i, j))
            expected, spin = list(before), int(j >= n_up)
            expected[spin] = _exchanged(before[spin], i - spin * n_up, j - spin * n_up, axis=2)
            changes[f"electrons {i} and {j} of {case.name}"] = max(
                float(np.max(np.abs(a - b), initial=0.0)) / size
                for a, b in zip(after, expected, strict=True)
            )
        sums = jax.vmap(sum_of_determinants)(*map(jnp.asarray, before)).logabs
        change = np.max(np.abs(sums - case.values(case.walkers).logabs))
        are_psi = are_psi and bool(change <= EXCHANGE)
    failure = (
        "exchanging {where} must exchange their rows of the orbitals and leave all others alone; "
        f"rows differ by {{value}} of the largest orbital: {_LOOK}."
    )
    finding = largest("rows", changes, EXCHANGE, failure)
    words = "their determinants are psi" if are_psi else "psi is more than their determinants"
    return finding._replace(measured=f"{finding.measured}; {words}")


def _right_shapes(case: Case, shapes: list[tuple[int, ...]]) -> bool:
    if len(shapes) != 2 or any(len(shape) != 3 for shape in shapes):
        return False
    n_spins = case.system.spins
    columns = tuple(shape[2] for shape, n in zip(shapes, n_spins, strict=True) if n)
    block = tuple(n for n in n_spins if n)
    full = tuple(case.system.n_electrons for _ in block)
    rows = tuple(shape[1] for shape in shapes)
    return rows == n_spins and columns in (block, full) and shapes[0][0] == shapes[1][0]


def layered(subject: Subject) -> Finding:
    """Check that what KFAC reads, declared or found, is the same function as `apply`."""
    changes = {}
    for case in subject.cases:
        registering = layered_of(case.ansatz)

        def plain(params, electrons, nuclei, registering=registering):
            return registering(params, electrons, nuclei, unregistered)

        psi = case.values(case.walkers)
        other = case.run("layered(params, electrons, nuclei, register)", plain, case.walkers)
        change = np.abs(psi.logabs - other.logabs) + np.abs(psi.sign - other.sign)
        changes[case.name] = float(np.max(change))
    failure = "layered differs from apply by {value} at {where}; both must be the same function."
    return largest("difference", changes, EXCHANGE, failure)


def invariances(subject: Subject) -> Finding:
    """Report which symmetries of space are built in; none is required."""
    case = subject.widest
    center = np.asarray([0.3, -0.7, 0.2])
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    walkers, coords = case.walkers, case.nuclei.coords
    before = case.values(walkers)
    images = {
        "translation": (walkers + center, coords + center),
        "rotation": (walkers @ turn.T, coords @ turn.T),
    }
    if len(set(case.system.symbols)) < len(case.system.symbols):
        images["relabelling of equal nuclei"] = (walkers, coords[::-1])
    changes: dict[str, float] = {}
    for name, (moved, points) in images.items():
        after = case.values(moved, case.nuclei._replace(coords=points))
        changes[name] = float(np.max(np.abs(after.logabs - before.logabs)))
    words = [f"{name} {'yes' if c < SAME else f'no ({c:.1e})'}" for name, c in changes.items()]
    return Finding(", ".join(words), details=changes)
