"""What an optimiser needs of a wavefunction: a true gradient, and blocks for KFAC."""

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Params, count_parameters
from ferminet.config import OptimizerConfig
from ferminet.conformance.cases import Case, Subject
from ferminet.conformance.findings import Outcome, largest
from ferminet.conformance.guard import guarded
from ferminet.vmc.optimizers.base import make_optimizer
from ferminet.vmc.optimizers.kfac_layers import block_table, find_layers
from ferminet.vmc.sampling import init_walkers

# Central differences of step h are wrong by h^2 f'''/6 + 2e-16 |f|/h: some 1e-9 at 1e-5.
STEP, GRADIENT = 1e-5, 1e-6
KFAC_WALKERS = 16


def parameter_gradient(subject: Subject) -> Outcome:
    """The derivative of log|psi| by each leaf of the parameters, against finite differences."""
    case = subject.first
    if not count_parameters(case.params):
        return Outcome("no parameters")
    with guarded("the gradient of log|psi| by the parameters", case.home):
        deviations, unused = _deviations(case)
    sentence = (
        "the derivative of log|psi| by the parameters {where} differs by {value} (relative) from "
        "finite differences; look for stop_gradient, a custom derivative rule, or operations "
        "that have no derivative (round, argmax, integer casts)."
    )
    found = largest("relative", deviations, GRADIENT, sentence)
    words = f"; no influence: {', '.join(unused)}" if unused else ""
    return found._replace(measured=found.measured + words)


def _deviations(case: Case) -> tuple[dict[str, float], list[str]]:
    """Per leaf the deviation along one random direction; and the leaves that change nothing."""
    walker, rng = case.walkers[0], np.random.default_rng(4)
    program = jax.jit(lambda p: case.ansatz.apply(p, walker, case.nuclei).logabs)
    paths = [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(case.params)]
    leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, case.params))
    gradient = [leaf[0] for leaf in jax.tree.leaves(case.gradients(case.walkers)[0])]
    size = max(float(np.linalg.norm(g)) for g in gradient)
    deviations, unused = {}, []
    for index, name in enumerate(paths):
        direction = rng.normal(size=leaves[index].shape)
        direction = direction / max(float(np.linalg.norm(direction)), 1e-300)

        def along(step: float, index: int = index, direction: np.ndarray = direction) -> float:
            moved = [*leaves]
            moved[index] = leaves[index] + step * direction
            return float(program(jax.tree.unflatten(structure, moved)))

        slope = (along(STEP) - along(-STEP)) / (2.0 * STEP)
        own = float(np.sum(gradient[index] * direction))
        deviations[name] = abs(slope - own) / max(abs(slope), 1e-3 * size, 1e-3)
        if slope == own == 0.0:
            unused.append(name)
    return deviations, unused


def kfac_blocks(subject: Subject) -> Outcome:
    """Which parameters KFAC has in dense layers' blocks (reported)."""
    case = subject.first
    total = count_parameters(case.params)
    if not total:
        return Outcome("no parameters")
    with guarded("KFAC's search for layers", case.home):
        table = _told(case) if case.ansatz.layered else _searched(case)
    dense = sum(size for _, kind, size in table if "dense" in kind.lower())
    others = [
        f"{name or kind} ({size})" for name, kind, size in table if "dense" not in kind.lower()
    ]
    words = f"{dense} of {total} parameters ({100 * dense / total:.0f} %) in dense blocks"
    if others:
        words += f"; diagonal: {', '.join(others)}"
    return Outcome(words, details={"blocks": [list(row) for row in table]})


def _told(case: Case) -> list[tuple[str, str, int]]:
    assert case.ansatz.layered is not None
    layers = find_layers(case.ansatz.layered, case.params, case.walkers[0], case.nuclei)
    return block_table(case.params, layers)


def _searched(case: Case) -> list[tuple[str, str, int]]:
    # Takes a second to import.
    from ferminet.vmc.optimizers import kfac_jax as by_pattern

    preconditioner = by_pattern.kfac_preconditioner(OptimizerConfig(), case.ansatz)
    arguments = (case.params, case.nuclei, jnp.asarray(case.walkers))
    jax.eval_shape(lambda: preconditioner.init(arguments, jax.random.key(0)))
    return [("", kind, size) for kind, size in by_pattern.block_table(preconditioner)]


def kfac_step(subject: Subject) -> Outcome:
    """The optimiser of all studies can take a finite step that changes something."""
    case = subject.first
    if not count_parameters(case.params):
        return Outcome("no parameters")
    system = case.system
    walkers = init_walkers(jax.random.key(9), case.nuclei, system.n_up, system.n_down, KFAC_WALKERS)
    weights = np.random.default_rng(6).normal(size=KFAC_WALKERS) / KFAC_WALKERS
    weights = jnp.asarray(weights - np.mean(weights))
    optimizer = make_optimizer(OptimizerConfig(), case.ansatz)
    key, iteration = jax.random.key(11), jnp.zeros((), int)
    with guarded("a step of KFAC", case.home):
        state = optimizer.init(key, case.params, walkers, case.nuclei)
        arguments = (key, weights, state, case.params, walkers, case.nuclei, iteration)
        moved, _ = jax.jit(optimizer.update)(*arguments)
        change = _distance(case.params, moved)
    text = ""
    if not 0.0 < change < np.inf:
        text = (
            "a step of KFAC is not finite or changes nothing; look for parameters without "
            "influence, and for derivatives that are not finite, or name another optimiser in the "
            "study (optimizer: {name: adam})."
        )
    return Outcome(f"length {change:.1e}", "finite, not 0", text)


def _distance(first: Params, second: Params) -> float:
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return float(np.sqrt(sum(float(np.sum((np.asarray(a) - b) ** 2)) for a, b in pairs)))
