"""Checks of what `init` and `apply` return: shapes, finite values, one pure program."""

import re

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Array, LogPsi, Nuclei, Params
from ferminet.config.plugins import guarded
from ferminet.conformance.subject import SAME_SPIN, Case, Finding, Subject

FAR, CLOSE = 30.0, 1e-3  # bohr
# Two geometries that differ by some tenths of a bohr give values that differ by far more.
SMALLEST_CHANGE = 1e-9
_GRADIENT = "the derivative of log|psi| with respect to the parameters"
_APPLY = "apply(params, electrons, nuclei)"


def builds(subject: Subject) -> Finding:
    """Check that the wavefunction is built and initialised for systems of several sizes."""
    for case in subject.cases:
        for path, leaf in jax.tree_util.tree_leaves_with_path(case.initial):
            kind = str(getattr(leaf, "dtype", type(leaf).__name__))
            if not isinstance(leaf, jax.Array | np.ndarray) or kind != "float64":
                name = jax.tree_util.keystr(path)
                text = (
                    f"init's parameter {name} is {kind} for {case.name}, with nuclei in float64; "
                    "every leaf must be an array of nuclei.coords.dtype: look for jnp.zeros, "
                    "jnp.asarray and jax.random.normal without a dtype."
                )
                return Finding(f"{name} {kind}", "float64", text)
    refused = f", refused {', '.join(subject.refused)}" if subject.refused else ""
    details = {"systems": [case.name for case in subject.cases], "refused": subject.refused}
    return Finding(f"{len(subject.cases)} systems{refused}", "at least 1", details=details)


def shapes(subject: Subject) -> Finding:
    """Check that `apply` returns a LogPsi of two scalars in the dtype of its arguments."""
    for case in subject.cases:
        with guarded(_APPLY, case.home):
            psi = jax.eval_shape(case.ansatz.apply, case.params, case.walkers[0], case.nuclei)
        if not isinstance(psi, LogPsi):
            name = type(psi).__name__
            rule = "it must return ferminet.ansatz.base.LogPsi(sign, logabs)."
            return Finding(name, "LogPsi", f"apply returned {name}; {rule}")
        for name, part in psi._asdict().items():
            shape, dtype = getattr(part, "shape", None), getattr(part, "dtype", None)
            text = ""
            if shape != ():
                text = (
                    f"apply's {name} has shape {shape} for one walker of {case.name}; it must be "
                    "(): reduce the last axis; batches are made outside."
                )
            elif dtype != jnp.float64:
                text = (
                    f"apply's {name} is {dtype}, but parameters, electrons and nuclei are "
                    "float64; look for an explicit dtype (jnp.float32, astype) or an array made "
                    "without electrons.dtype."
                )
            if text:
                return Finding(f"{name} {shape}, {dtype}", "(), float64", text)
    return Finding("(), float64", "(), float64")


def _special_walkers(case: Case) -> tuple[list[str], np.ndarray]:
    """Return walkers that are rare in a run, with one electron or one pair moved; names first."""
    first, center = case.walkers[0], np.asarray(case.nuclei.coords[0])
    offset = np.asarray([0.48, -0.6, 0.64])  # of length 1
    walkers = {
        "among the nuclei": first,
        f"{FAR} bohr away": _moved(first, 0, center + FAR * offset),
        f"{CLOSE} bohr from a nucleus": _moved(first, 0, center + CLOSE * offset),
    }
    near = first[0] + CLOSE * offset
    for spins, electron in case.partners.items():
        walkers[f"two electrons of {spins} {CLOSE} bohr apart"] = _moved(first, electron, near)
    return list(walkers), np.stack(list(walkers.values()))


def _moved(walker: np.ndarray, electron: int, position: np.ndarray) -> np.ndarray:
    walker = walker.copy()
    walker[electron] = position
    return walker


def finite(subject: Subject) -> Finding:
    """Check that all values and derivatives are finite at special positions, in both precisions."""
    checked = 0
    in_float64 = [(case, "float64", _bad_in_float64) for case in subject.cases]
    for case, precision, bad_of in [*in_float64, (subject.first, "float32", _bad_in_float32)]:
        names, walkers = _special_walkers(case)
        checked += len(walkers)
        for quantity, bad in bad_of(case, walkers).items():
            if bad.any():
                where = names[int(np.argmax(bad))]
                rule = "must be +1 or -1" if quantity == "the sign" else "is not finite"
                text = (
                    f"{quantity} {rule} in {precision}, {where}, {case.name}; look for jnp.sqrt or "
                    "jnp.linalg.norm of a zero vector (the pair of an electron with itself), 0/0, "
                    "and exponentials that under- or overflow."
                )
                return Finding(f"{quantity}, {where}", "finite", text)
    return Finding(f"all of {checked} walkers", "all")


def _bad_in_float64(case: Case, walkers: np.ndarray) -> dict[str, np.ndarray]:
    """Return which walkers have values that are not finite."""
    psi = case.values(walkers)
    by_params, by_electrons = case.gradients(walkers)
    return {
        "log|psi|": _bad(psi.logabs),
        _GRADIENT: _bad(by_params, len(walkers)),
        "the derivative of log|psi| with respect to the electrons": _bad(by_electrons),
        "the local energy": _bad(case.energies(walkers).total),
        "the sign": np.abs(psi.sign) != 1.0,
    }


def _bad_in_float32(case: Case, walkers: np.ndarray) -> dict[str, np.ndarray]:
    """Return which walkers have values that are not finite in single precision."""
    with jax.enable_x64(False), guarded("log|psi| and its gradient in float32", case.home):
        arguments = jax.tree.map(
            lambda x: jnp.asarray(np.asarray(x, np.float32)), (case.params, walkers, case.nuclei)
        )
        program = jax.jit(jax.vmap(jax.value_and_grad(case.logabs), (None, 0, None)))
        values, gradient = jax.tree.map(np.asarray, program(*arguments))
    return {"log|psi|": _bad(values), _GRADIENT: _bad(gradient, len(walkers))}


def coincidence(subject: Subject) -> Finding:
    """Check that nothing is NaN where two electrons are at the same position.

    A walker meets that with a probability of about 1e-20 (the spacing of single precision cubed),
    but one NaN in the sum over walkers makes all parameters NaN for good, and a walker whose
    log|psi| is NaN never moves again. For opposite spins psi is an ordinary number, so log|psi| and
    its derivatives with respect to the parameters must be finite. For the same spin psi is 0:
    log|psi| is -inf, which the sampler rejects. Derivatives with respect to electrons are not
    checked, because they jump at a cusp.
    """
    for case in subject.cases:
        for spins, electron in case.partners.items():
            together = _moved(case.walkers[0], electron, case.walkers[0][0])[None]
            logabs = case.values(together).logabs
            if spins == SAME_SPIN:
                bad = {"log|psi|": not logabs[0] < np.inf}
            else:
                gradient = case.gradients(together)[0]
                bad = {"log|psi|": _bad(logabs)[0], _GRADIENT: _bad(gradient, 1)[0]}
            for quantity in [name for name, is_bad in bad.items() if is_bad]:
                text = (
                    f"{quantity} is not a number where two electrons of {spins} are at the same "
                    f"position ({case.name}); look for a division by r_ij, its logarithm, or a "
                    "square root whose argument can be 0, and use jnp.where on the argument."
                )
                return Finding("nan", "finite", text)
    return Finding("finite", "finite (-inf for the same spin)")


def _bad(tree: Params, n_walkers: int = 1) -> np.ndarray:
    """Return which walkers have a value that is not finite in an array or a tree of arrays."""
    bad = np.zeros(n_walkers, bool)
    for leaf in map(np.asarray, jax.tree.leaves(tree)):
        bad = bad | ~np.isfinite(leaf.reshape(len(leaf), -1)).all(axis=1)
    return bad


def agreement_in_batches(subject: Subject) -> Finding:
    """Check that a walker has the same value alone (jit) and among others (vmap)."""
    case = subject.first
    together = case.values(case.walkers)
    with guarded(_APPLY, case.home):
        program = jax.jit(case.ansatz.apply)
        alone = [program(case.params, walker, case.nuclei) for walker in case.walkers]
    change = np.max(np.abs(np.array([psi.logabs for psi in alone]) - together.logabs))
    same_sign = np.array_equal([psi.sign for psi in alone], together.sign)
    text = (
        f"log|psi| of a walker differs by {change:.2g} between jax.jit and jax.vmap, or its sign "
        "does; apply must be a function of one walker, with no statistics over a batch."
    )
    return Finding(f"{change:.1e}", "1.0e-10", "" if change <= 1e-10 and same_sign else text)


def one_program(subject: Subject) -> Finding:
    """Check that one trace serves other parameters, walkers and geometries of the same shapes."""
    case = subject.first
    traces = 0

    def apply(params: Params, electrons: Array, nuclei: Nuclei):
        nonlocal traces
        traces += 1
        return case.ansatz.apply(params, electrons, nuclei)

    # As an optimiser leaves them: arrays of the same dtypes.
    moved = jax.tree.map(lambda x: jnp.asarray(np.asarray(x) * 1.01, x.dtype), case.initial)
    program = jax.jit(jax.vmap(apply, (None, 0, None)))
    with guarded("apply under jax.jit", case.home):
        program(case.initial, case.walkers, case.nuclei)
        program(moved, 1.1 * case.walkers, case.nuclei)
    text = (
        "apply is compiled again for parameters that an optimiser has moved; init must return "
        "arrays with a dtype (jnp.asarray(1.0, nuclei.coords.dtype)), not Python numbers or weakly "
        "typed arrays."
    )
    if traces == 1:
        text = (
            "another geometry of the same shape needs another program; parameters' shapes and "
            "structure must depend on spec alone, and nuclei may enter only as values."
        )
        with guarded("init and apply at another geometry", case.home):
            program(case.params, case.walkers, case.moved_nuclei)
            other = case.ansatz.init(jax.random.key(4), case.moved_nuclei)
            program(other, case.walkers, case.nuclei)
    with guarded("init(key, nuclei) under jax.eval_shape", case.home):
        jax.eval_shape(case.ansatz.init, jax.random.key(0), case.nuclei)
    return Finding("1 trace", "1") if traces == 1 else Finding(f"{traces} traces", "1", text)


def _program_text(case: Case) -> str:
    """Return the program that `apply` is traced to, with its constants and without addresses."""
    with guarded("apply under jax.jit", case.home):
        # A new function each time, which JAX has not traced yet.
        fresh = jax.jit(lambda *arguments: case.ansatz.apply(*arguments))
        lowered = fresh.lower(case.params, case.walkers[0], case.nuclei)
    return re.sub(r"0x[0-9a-f]{6,}", "", lowered.as_text())


def pure(subject: Subject) -> Finding:
    """Check that equal inputs give equal bits, within a program and in every trace."""
    case = subject.first
    program = _program_text(case)
    if program != _program_text(case):
        text = (
            "two traces of apply give different programs; it must depend on its arguments alone: "
            "look for NumPy random numbers, counters, caches and globals. Otherwise every stage "
            "and every resumed run has another wavefunction and compiles again."
        )
        return Finding("2 programs", "1", text)
    if "callback" in program:
        text = (
            "apply calls back into Python (jax.pure_callback, io_callback, debug.print); it must "
            "use JAX operations alone."
        )
        return Finding("a callback", "none", text)
    first, second = (case.values(case.walkers) for _ in range(2))
    if _same_tree(first, second) and _same_tree(case.initial, case.init(1)):
        return Finding("same bits", "same bits")
    text = (
        "a repeated call gives other values; init and apply must be pure: random "
        "numbers only from init's key, nothing kept between calls."
    )
    return Finding("other bits", "same bits", text)


def _same_tree(first: Params, second: Params) -> bool:
    same_structure = jax.tree.structure(first) == jax.tree.structure(second)
    return same_structure and all(jax.tree.leaves(jax.tree.map(np.array_equal, first, second)))


def key_dependence(subject: Subject) -> Finding:
    """Report whether init draws from its key; a deterministic start is allowed."""
    other = subject.first.init(7)
    if not jax.tree.leaves(other):
        return Finding("no parameters")
    if _same_tree(subject.first.initial, other):
        return Finding("the same for all keys: seeds differ only in their walkers")
    return Finding("other keys, other parameters")


def geometry(subject: Subject) -> Finding:
    """Check that the wavefunction depends on the nuclei in its arguments."""
    changes = {}
    for case in subject.cases:
        psi = case.values(case.walkers)
        moved = case.values(case.walkers, case.moved_nuclei)
        changes[case.name] = float(np.max(np.abs(psi.logabs - moved.logabs)))
    where, change = min(changes.items(), key=lambda item: item[1])
    text = (
        f"moving the nuclei of {where} does not change psi; apply must use the nuclei that it is "
        "given, not those of init or a constant: all geometries of a curve share one program "
        "and differ in this argument."
    )
    measured, limit = f"change of log|psi| {change:.1e}", f"more than {SMALLEST_CHANGE:.0e}"
    return Finding(measured, limit, "" if change > SMALLEST_CHANGE else text)
