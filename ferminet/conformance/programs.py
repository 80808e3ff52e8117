"""Pure functions, one program for all values, and nuclei that are an argument."""

import re

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Array, Nuclei, Params
from ferminet.conformance.cases import Case, Subject
from ferminet.conformance.findings import Outcome
from ferminet.conformance.guard import guarded

# Two geometries that differ by some tenths of a bohr give other values by far more.
SMALLEST_CHANGE = 1e-9


def one_program(subject: Subject) -> Outcome:
    """One trace serves other parameters, walkers and geometries of the same shapes."""
    case = subject.first
    counted = 0

    def apply(params: Params, electrons: Array, nuclei: Nuclei):
        nonlocal counted
        counted += 1
        return case.ansatz.apply(params, electrons, nuclei)

    program = jax.jit(jax.vmap(apply, (None, 0, None)))
    with guarded("apply under jax.jit", case.home):
        program(case.initial, case.walkers, case.nuclei)
        program(_after_a_step(case.initial), 1.1 * case.walkers, case.nuclei)
    if counted > 1:
        text = (
            "apply is compiled again for parameters that an optimiser has moved; init must give "
            "arrays with a dtype (jnp.asarray(1.0, nuclei.coords.dtype)), not Python numbers or "
            "weakly typed arrays."
        )
        return Outcome(f"{counted} traces", "1", text)
    with guarded("init and apply at another geometry", case.home):
        program(case.params, case.walkers, case.moved_nuclei)
        program(case.ansatz.init(jax.random.key(4), case.moved_nuclei), case.walkers, case.nuclei)
    if counted > 1:
        text = (
            "another geometry of the same shape needs another program; parameters' shapes and "
            "structure must depend on spec alone, and nuclei only enter as values."
        )
        return Outcome(f"{counted} traces", "1", text)
    with guarded("init(key, nuclei) under jax.eval_shape", case.home):
        jax.eval_shape(case.ansatz.init, jax.random.key(0), case.nuclei)
    return Outcome("1 trace", "1")


def _after_a_step(params: Params) -> Params:
    """As an optimiser leaves them: arrays of the same dtypes."""
    return jax.tree.map(
        lambda leaf: jnp.asarray(np.asarray(leaf) * 1.01, jnp.asarray(leaf).dtype), params
    )


def program_text(case: Case) -> str:
    """The program that `apply` is traced to, with all its constants, names left out."""

    def fresh(params: Params, electrons: Array, nuclei: Nuclei):
        return case.ansatz.apply(params, electrons, nuclei)

    with guarded("apply under jax.jit", case.home):
        lowered = jax.jit(fresh).lower(case.params, case.walkers[0], case.nuclei)
    return re.sub(r"0x[0-9a-f]{6,}", "", lowered.as_text())


def pure(subject: Subject) -> Outcome:
    """Same inputs, same outputs, bit for bit: within a program, and whenever it is traced."""
    case = subject.first
    texts = [program_text(case) for _ in range(2)]
    if texts[0] != texts[1]:
        text = (
            "two traces of apply give different programs; it must depend on its arguments alone: "
            "look for random numbers of NumPy, counters, caches and globals. Every stage and "
            "every resumed run would have another wavefunction, and compile anew."
        )
        return Outcome("2 programs", "1", text)
    if "callback" in texts[0]:
        text = (
            "apply calls back into Python (jax.pure_callback, io_callback, debug.print); it must "
            "be made of JAX's operations alone."
        )
        return Outcome("a callback", "none", text)
    first, second = (case.values(case.walkers) for _ in range(2))
    with guarded("init(key, nuclei)", case.home):
        again = case.ansatz.init(jax.random.key(1), case.nuclei)
    repeated = all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)) and _same_tree(
        case.initial, again
    )
    text = ""
    if not repeated:
        text = (
            "the same call gives other values than before; init and apply must be pure: random "
            "numbers only from init's key, nothing kept between calls."
        )
    return Outcome("same bits" if repeated else "other bits", "same bits", text)


def _same_tree(first: Params, second: Params) -> bool:
    if jax.tree.structure(first) != jax.tree.structure(second):
        return False
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def key_dependence(subject: Subject) -> Outcome:
    """Whether init draws from its key (reported: a deterministic start is allowed)."""
    case = subject.first
    with guarded("init(key, nuclei)", case.home):
        other = case.ansatz.init(jax.random.key(7), case.nuclei)
    if not jax.tree.leaves(other):
        return Outcome("no parameters")
    drawn = not _same_tree(case.initial, other)
    return Outcome(
        "other keys, other parameters"
        if drawn
        else "the same for all keys: seeds differ only in their walkers"
    )


def geometry(subject: Subject) -> Outcome:
    """The wavefunction depends on where the nuclei are that it is given."""
    changes = {}
    for case in subject.cases:
        psi = case.values(case.walkers)
        moved = case.values(case.walkers, case.moved_nuclei)
        changes[case.system.described] = float(np.max(np.abs(psi.logabs - moved.logabs)))
    where, change = min(changes.items(), key=lambda item: item[1])
    text = ""
    if not change > SMALLEST_CHANGE:
        text = (
            f"moving the nuclei of {where} leaves psi as it is; apply must use the nuclei that it "
            "is given, not those of init or of a constant: all geometries of a curve share one "
            "program and differ in this argument."
        )
    return Outcome(f"change of log|psi| {change:.1e}", f"more than {SMALLEST_CHANGE:.0e}", text)
