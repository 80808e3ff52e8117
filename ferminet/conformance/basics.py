"""Shapes, dtypes and finite values, also where a sampler comes rarely."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferminet.ansatz.base import Array, LogPsi, Nuclei, Params
from ferminet.conformance.cases import Case, Subject
from ferminet.conformance.findings import Outcome
from ferminet.conformance.guard import guarded

FAR, CLOSE = 30.0, 1e-3  # bohr


def builds(subject: Subject) -> Outcome:
    """It is built and initialised for several numbers of electrons and nuclei."""
    names = [case.system.described for case in subject.cases]
    for case in subject.cases:
        leaves = jax.tree_util.tree_leaves_with_path(case.initial)
        wrong = [
            f"{jax.tree_util.keystr(path)} is {_described(leaf)}"
            for path, leaf in leaves
            if not isinstance(leaf, jax.Array | np.ndarray) or leaf.dtype != jnp.float64
        ]
        if wrong:
            text = (
                f"init's parameter {wrong[0]} for {case.system.described} and nuclei in float64; "
                "every leaf must be an array of nuclei.coords.dtype, so that the study's precision "
                "decides: look for jnp.zeros, jnp.asarray and jax.random.normal without a dtype."
            )
            return Outcome(f"{len(wrong)} of {len(leaves)} leaves", "none", text)
    measured = f"{len(names)} systems"
    if subject.refused:
        measured += f", refused {', '.join(subject.refused)}"
    return Outcome(measured, "at least 1", details={"systems": names, "refused": subject.refused})


def _described(leaf: object) -> str:
    dtype = getattr(leaf, "dtype", None)
    return f"of type {type(leaf).__name__}" if dtype is None else f"in {dtype}"


def shapes(subject: Subject) -> Outcome:
    """`apply` returns a LogPsi of two scalars in the precision of its arguments."""
    for case in subject.cases:
        with guarded("apply(params, electrons, nuclei)", case.home):
            psi = jax.eval_shape(case.ansatz.apply, case.params, case.walkers[0], case.nuclei)
        if not isinstance(psi, LogPsi):
            text = (
                f"apply returned {type(psi).__name__}; it must return "
                "ferminet.ansatz.base.LogPsi(sign, logabs)."
            )
            return Outcome(type(psi).__name__, "LogPsi", text)
        for name, part in zip(("sign", "logabs"), psi, strict=True):
            shape, dtype = getattr(part, "shape", None), getattr(part, "dtype", None)
            if shape != ():
                text = (
                    f"apply's {name} has shape {shape} for one walker of {case.system.described}; "
                    "it must be (): sum or index the last axis away, batches are made outside."
                )
                return Outcome(f"{name} {shape}", "()", text)
            if dtype != jnp.float64:
                text = (
                    f"apply's {name} is {dtype} where parameters, electrons and nuclei are "
                    "float64; look for a dtype that is written out (jnp.float32, astype) or for "
                    "an array made without electrons.dtype."
                )
                return Outcome(f"{name} {dtype}", "float64", text)
    return Outcome("(), float64", "(), float64")


def special_walkers(case: Case) -> dict[str, np.ndarray]:
    """Walkers in places that runs come to, one electron or one pair of them being moved there."""
    first, center = case.walkers[0], np.asarray(case.nuclei.coords[0])
    aside = np.asarray([0.48, -0.6, 0.64])  # of length 1
    up, down = case.spins
    found = {
        "among the nuclei": first,
        f"{FAR} bohr away": placed(first, 0, center + FAR * aside),
        f"{CLOSE} bohr from a nucleus": placed(first, 0, center + CLOSE * aside),
    }
    if len(up) > 1:
        near = placed(first, 1, first[0] + CLOSE * aside)
        found[f"two electrons of the same spin {CLOSE} bohr apart"] = near
    if up and down:
        near = placed(first, case.system.n_up, first[0] + CLOSE * aside)
        found[f"two electrons of opposite spin {CLOSE} bohr apart"] = near
    return found


def placed(walker: np.ndarray, electron: int, place: np.ndarray) -> np.ndarray:
    """A walker with one electron elsewhere."""
    moved = walker.copy()
    moved[electron] = place
    return moved


def finite(subject: Subject) -> Outcome:
    """Values, derivatives, local energies are finite wherever walkers come, in both precisions."""
    checked = 0
    for case in subject.cases:
        places = special_walkers(case)
        walkers = np.stack(list(places.values()))
        psi = case.values(walkers)
        of_params, of_electrons = case.gradients(walkers)
        energies = case.energies(walkers)
        found = {
            "log|psi|": _bad(psi.logabs),
            "the derivative of log|psi| by the parameters": _bad_of_tree(of_params, len(walkers)),
            "the derivative of log|psi| by the electrons": _bad(of_electrons),
            "the local energy": _bad(energies.total),
            "the sign": np.abs(psi.sign) != 1.0,
        }
        outcome = _first_bad(case, list(places), found, "float64")
        if outcome:
            return outcome
        checked += len(places)
    case = subject.first
    outcome = _first_bad(case, list(special_walkers(case)), _in_float32(case), "float32")
    return outcome or Outcome(f"all of {checked} walkers", "all")


def _in_float32(case: Case) -> dict[str, np.ndarray]:
    """Which of the special walkers have values that are not finite in single precision."""
    places = special_walkers(case)
    with jax.enable_x64(False):
        narrow = lambda tree: jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float32)), tree)  # noqa: E731
        params, nuclei = narrow(case.params), narrow(case.nuclei)
        walkers = narrow(np.stack(list(places.values())))

        def value_and_gradient(params: Params, electrons: Array, nuclei: Nuclei):
            def logabs(params: Params) -> Array:
                return case.ansatz.apply(params, electrons, nuclei).logabs

            return jax.value_and_grad(logabs)(params)

        with guarded("log|psi| and its gradient in float32", case.home):
            program = jax.jit(jax.vmap(value_and_gradient, (None, 0, None)))
            logabs, gradient = jax.tree.map(np.asarray, program(params, walkers, nuclei))
    return {
        "log|psi|": _bad(logabs),
        "the derivative of log|psi| by the parameters": _bad_of_tree(gradient, len(places)),
    }


def _first_bad(
    case: Case, places: list[str], found: dict[str, np.ndarray], precision: str
) -> Outcome | None:
    for what, bad in found.items():
        if bad.any():
            where = places[int(np.argmax(bad))]
            wanted = "must be +1 or -1" if what == "the sign" else "is not finite"
            text = (
                f"{what} {wanted} in {precision}, {where}, {case.system.described}; look for "
                "jnp.sqrt or jnp.linalg.norm of a zero vector (the pair of an electron with "
                "itself), 0/0, and exponentials that under- or overflow."
            )
            return Outcome(f"{what}, {where}", "finite", text)
    return None


def coincidence(subject: Subject) -> Outcome:
    """Nothing is NaN where two electrons have the same place.

    A walker meets that with a chance of about 1e-20 (the spacing of single precision cubed), but
    one NaN in the sum over walkers makes all parameters NaN, for good, and a walker of which
    log|psi| is NaN never moves again, since every ratio with it is NaN. Of opposite spins psi is
    an ordinary number, so log|psi| and its derivatives by the parameters have to be finite. Of the
    same spin psi is 0: log|psi| is -inf, which the sampler rejects, and no walker is ever asked
    for derivatives there. Derivatives by electrons jump at a cusp and are not asked for.
    """
    for case in subject.cases:
        up, down = case.spins
        first = case.walkers[0]
        if len(up) > 1:
            psi = case.values(placed(first, 1, first[0])[None])
            if np.isnan(psi.logabs[0]) or psi.logabs[0] == np.inf:
                return _not_a_number(case, "log|psi|", "the same spin")
        if up and down:
            together = placed(first, case.system.n_up, first[0])[None]
            if _bad(case.values(together).logabs)[0]:
                return _not_a_number(case, "log|psi|", "opposite spin")
            if _bad_of_tree(case.gradients(together)[0], 1)[0]:
                what = "the derivative of log|psi| by the parameters"
                return _not_a_number(case, what, "opposite spin")
    return Outcome("finite", "finite (-inf for the same spin)")


def _not_a_number(case: Case, what: str, spins: str) -> Outcome:
    text = (
        f"{what} is not a number where two electrons of {spins} are at the same place "
        f"({case.system.described}); look for a division by r_ij, its logarithm, or a square root "
        "whose argument can be 0, and use jnp.where on the argument."
    )
    return Outcome("nan", "finite", text)


def _bad(values: ArrayLike) -> np.ndarray:
    """Which walkers have a value that is not finite."""
    array = np.asarray(values)
    return np.asarray(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))


def _bad_of_tree(tree: Params, n_walkers: int) -> np.ndarray:
    bad = np.zeros(n_walkers, bool)
    for leaf in jax.tree.leaves(tree):
        bad |= _bad(leaf)
    return bad


def agreement_in_batches(subject: Subject) -> Outcome:
    """A walker's value is the same alone and among others (jit and vmap change nothing)."""
    case = subject.first
    together = case.values(case.walkers)
    with guarded("apply(params, electrons, nuclei)", case.home):
        program = jax.jit(case.ansatz.apply)
        alone = [program(case.params, walker, case.nuclei) for walker in case.walkers]
    change = max(abs(float(a.logabs) - b) for a, b in zip(alone, together.logabs, strict=True))
    same_sign = all(float(a.sign) == b for a, b in zip(alone, together.sign, strict=True))
    text = ""
    if not (change <= 1e-10 and same_sign):
        text = (
            f"log|psi| of a walker differs by {change:.2g} between jax.jit and jax.vmap, or its "
            "sign does; apply must be a function of one walker, with no statistics over a batch."
        )
    return Outcome(f"{change:.1e}", "1.0e-10", text)
