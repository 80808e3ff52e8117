"""Exchange of electrons of the same spin, in psi and in its orbitals."""

import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Array
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.ansatz.layers import unregistered
from ferminet.conformance.cases import Case, Subject
from ferminet.conformance.findings import Outcome, largest

EXCHANGE = 1e-10  # of log|psi| in float64: some thousand roundings
_LOOK = (
    "look at what treats electrons of one spin differently: means over electrons, the order of "
    "(i, j) in pair features, masks by spin"
)


def _exchanged(walkers: np.ndarray, i: int, j: int) -> np.ndarray:
    changed = walkers.copy()
    changed[:, [i, j]] = walkers[:, [j, i]]
    return changed


def antisymmetry(subject: Subject) -> Outcome:
    """Exchanging any two electrons of one spin changes the sign of psi, and nothing else."""
    changes: dict[str, float] = {}
    for case in subject.cases:
        before = case.values(case.walkers)
        for i, j in case.same_spin_pairs:
            after = case.values(_exchanged(case.walkers, i, j))
            pair = f"electrons {i} and {j} of {case.system.described}"
            if not np.array_equal(after.sign, -before.sign):
                text = (
                    f"exchanging {pair} must change the sign of psi and does not at "
                    f"{int(np.sum(after.sign != -before.sign))} of {len(before.sign)} walkers; psi "
                    f"must be a sum of determinants of equivariant orbitals: {_LOOK}."
                )
                return Outcome("the sign stays", "sign -1", text)
            changes[pair] = float(np.max(np.abs(after.logabs - before.logabs)))
    sentence = (
        "exchanging {where}, of the same spin, changes log|psi| by {value}, and it must not: "
        f"{_LOOK}."
    )
    return largest("sign -1, change of log|psi|", changes, EXCHANGE, sentence)


def spin_dependence(subject: Subject) -> Outcome:
    """Whether |psi| knows which electron has which spin (reported)."""
    changes = {}
    for case in subject.cases:
        up, down = case.spins
        if up and down:
            after = case.values(_exchanged(case.walkers, 0, case.system.n_up))
            change = np.abs(after.logabs - case.values(case.walkers).logabs)
            changes[case.system.name] = float(np.max(change))
    if not changes:
        return Outcome("no system with both spins")
    return Outcome(
        f"exchanging up and down changes log|psi| by {max(changes.values()):.1e}", details=changes
    )


def orbitals(subject: Subject) -> Outcome:
    """The orbitals have their shapes, and same-spin exchanges permute their rows alone."""
    changes: dict[str, float] = {}
    same = True
    for case in subject.cases:
        if case.ansatz.orbitals is None:
            return Outcome("none: no pretraining")
        before = case.orbitals(case.walkers)
        wrong = _wrong_shape(case, before)
        if wrong:
            return wrong
        size = max(float(np.max(np.abs(part), initial=1e-300)) for part in before)
        for i, j in case.same_spin_pairs:
            after = case.orbitals(_exchanged(case.walkers, i, j))
            expected = [np.array(part) for part in before]
            spin = 0 if j < case.system.n_up else 1
            shift = spin * case.system.n_up
            rows = [i - shift, j - shift]
            expected[spin][:, :, rows] = expected[spin][:, :, rows[::-1]]
            pair = f"electrons {i} and {j} of {case.system.described}"
            changes[pair] = max(
                float(np.max(np.abs(a - b), initial=0.0)) / size
                for a, b in zip(after, expected, strict=True)
            )
        same = same and _makes_psi(case, before)
    sentence = (
        "exchanging {where} must exchange their rows of the orbitals and leave all others, which "
        f"change by {{value}} of the largest orbital: {_LOOK}."
    )
    found = largest("rows", changes, EXCHANGE, sentence)
    words = "their determinants are psi" if same else "psi is more than their determinants"
    return found._replace(measured=f"{found.measured}; {words}")


def _wrong_shape(case: Case, found: tuple[Array, Array]) -> Outcome | None:
    shapes = [part.shape[1:] for part in found]
    n_up, n_down = case.system.n_up, case.system.n_down
    if len(shapes) == 2 and all(len(shape) == 3 for shape in shapes):
        rows = [shape[1] for shape in shapes]
        columns = tuple(shape[2] for shape, n in zip(shapes, (n_up, n_down), strict=True) if n)
        block = tuple(n for n in (n_up, n_down) if n)
        full = tuple(case.n_electrons for n in (n_up, n_down) if n)
        if rows == [n_up, n_down] and columns in (block, full) and shapes[0][0] == shapes[1][0]:
            return None
    text = (
        f"orbitals returned shapes {' and '.join(map(str, shapes))} for {case.system.described}; "
        "they must be (determinants, n_up, columns) and (determinants, n_down, columns), with as "
        "many columns as electrons of that spin, or as all electrons in both "
        "(ferminet/ansatz/base.py)."
    )
    return Outcome(" ".join(map(str, shapes)), "(determinants, n_spin, columns)", text)


def _makes_psi(case: Case, found: tuple[Array, Array]) -> bool:
    psi = case.values(case.walkers)
    for walker, (up, down) in enumerate(zip(*found, strict=True)):
        own = sum_of_determinants(jnp.asarray(up), jnp.asarray(down))
        if abs(float(own.logabs) - psi.logabs[walker]) > EXCHANGE:
            return False
    return True


def layered(subject: Subject) -> Outcome:
    """`layered`, which KFAC reads, is `apply`."""
    changes = {}
    for case in subject.cases:
        if case.ansatz.layered is None:
            return Outcome("none: KFAC looks for x @ weight + bias by itself")
        told = case.ansatz.layered

        def registered(params, electrons, nuclei, told=told):
            return told(params, electrons, nuclei, unregistered)

        psi = case.values(case.walkers)
        other = case.run("layered(params, electrons, nuclei, register)", registered, case.walkers)
        change = np.abs(psi.logabs - other.logabs) + np.abs(psi.sign - other.sign)
        changes[case.system.described] = float(np.max(change))
    sentence = "layered differs from apply by {value} at {where}; both must be the same function."
    return largest("difference", changes, EXCHANGE, sentence)
