"""The work and the memory of a run's programs, counted from traces with abstract arrays.

Nothing is compiled or computed. XLA's cost analysis counts the body of a loop once; here loops
count in full.
"""

import math
from collections import defaultdict
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from ferminet.ansatz.base import Params
from ferminet.chemistry.basis_sets import Shell, shells_of
from ferminet.chemistry.gto import GtoBasis, ScfOrbitals, Shells
from ferminet.config import RunConfig
from ferminet.systems.molecule import Molecule
from ferminet.vmc.cost.predict import RunCounts, StageWork, Work
from ferminet.vmc.evaluate import MEASURE_INTERVAL, make_evaluator
from ferminet.vmc.hamiltonian import batched_local_energy, local_energy
from ferminet.vmc.optimizers.base import make_optimizer
from ferminet.vmc.pretrain import ENERGY_SWEEPS, Pretrainer, PretrainState
from ferminet.vmc.programs import Problem, build_problem, make_update
from ferminet.vmc.sampling import Moves, batched_logabs, sweep

# Elementwise functions that take as long as many additions; XLA fuses the cheap ones away.
_TRANSCENDENTAL = frozenset(
    "cos erf_inv exp exp2 expm1 log log1p logistic pow rsqrt sin sqrt tanh".split()
)


class Program(NamedTuple):
    """A traced program: its work, and the peak memory of its arrays."""

    work: Work
    peak_bytes: int


def trace(function: Callable[..., Any], *args: Any) -> Program:
    """Count the work and memory of `function(*args)`; shapes (`jax.ShapeDtypeStruct`) suffice."""
    program = jax.make_jaxpr(function)(*args).jaxpr
    return Program(count_work(program), peak_bytes(program))


def count_work(program: core.Jaxpr) -> Work:
    """Count floating-point operations of products, and values that are expensive to compute.

    Products include factorisations and substitutions; a multiplication and an addition are two
    operations. Values are the elements that products and transcendental functions return. A
    `while` loop counts as often as its condition's constant bound allows, and once without one. Of
    the branches of a conditional, the one with the most products counts.
    """
    total = Work(0.0, 0.0)
    for equation in program.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "scan":
            total += count_work(params["jaxpr"].jaxpr).times(params["length"])
        elif name == "while":
            condition, body = params["cond_jaxpr"].jaxpr, params["body_jaxpr"].jaxpr
            total += (count_work(condition) + count_work(body)).times(_most_iterations(condition))
        elif name == "cond":
            total += max(count_work(branch.jaxpr) for branch in params["branches"])
        elif name in _PRODUCTS:
            total += Work(float(_PRODUCTS[name](equation)), float(_size(equation.outvars[0])))
        elif name in _TRANSCENDENTAL:
            total += Work(0.0, float(_size(equation.outvars[0])))
        else:
            total = sum(map(count_work, core.jaxprs_in_params(params)), start=total)
    return total


def _most_iterations(condition: core.Jaxpr) -> int:
    """Return the integer that a loop's counter, which starts at 0, must stay below; 1: none."""
    bounds = [
        int(bound.val)
        for equation in condition.eqns
        if equation.primitive.name == "lt"
        and isinstance(bound := equation.invars[1], core.Literal)
        and np.asarray(bound.val).dtype.kind == "i"
    ]
    return min(bounds, default=1)


def _dot(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return 2 * math.prod(shape[axis] for axis in contracted) * _size(equation.outvars[0])


def _cholesky(equation: Any) -> int:
    *batch, n, _ = equation.invars[0].aval.shape
    return math.prod(batch) * n**3 // 3


def _triangular_solve(equation: Any) -> int:
    return _size(equation.invars[1]) * equation.invars[0].aval.shape[-1]


_PRODUCTS = {"dot_general": _dot, "cholesky": _cholesky, "triangular_solve": _triangular_solve}


def peak_bytes(program: core.Jaxpr) -> int:
    """Return the most bytes that a program holds at a time besides its inputs.

    Each array lives from the equation that makes it to the last one that reads it, in the order
    of the trace.
    """
    dies_at = {
        variable: index
        for index, equation in enumerate(program.eqns)
        for variable in equation.invars
        if not isinstance(variable, core.Literal)
    }
    results = (v for v in program.outvars if not isinstance(v, core.Literal))
    dies_at |= dict.fromkeys(results, len(program.eqns))
    live: dict[core.Var, int] = {}
    peak = 0
    for index, equation in enumerate(program.eqns):
        outputs = {variable: _bytes(variable) for variable in equation.outvars}
        inside = (peak_bytes(inner) for inner in core.jaxprs_in_params(equation.params))
        peak = max(peak, sum(live.values()) + max(sum(outputs.values()), *inside, 0))
        live |= outputs
        live = {v: size for v, size in live.items() if dies_at.get(v, -1) > index}
    return peak


def _size(variable: Any) -> int:
    return math.prod(variable.aval.shape)


def _bytes(variable: Any) -> int:
    """Return the bytes of an abstract array; random keys count as 0."""
    return _size(variable) * getattr(variable.aval.dtype, "itemsize", 0)


def count_run(run: RunConfig) -> RunCounts:
    """Count the work of pretraining, training and evaluating one run.

    Raises:
        InputError: the wavefunction cannot be built. Errors in a plug-in's code pass through.
    """
    with jax.enable_x64(run.precision == "float64"):
        scf = placeholder_orbitals(run.molecule, run.scf.basis)
        return _count(run, build_problem(run, scf), scf)


def _count(run: RunConfig, problem: Problem, scf: ScfOrbitals) -> RunCounts:
    sampler, nuclei, key = run.sampler, problem.nuclei, jax.random.key(0)
    params = jax.eval_shape(problem.ansatz.init, key, nuclei)
    shape = (sampler.walkers, run.molecule.n_electrons, 3)
    walkers: Any = jax.ShapeDtypeStruct(shape, jnp.dtype(run.precision))

    @cache
    def sweep_of(steps: int) -> Program:
        # The number of steps is a constant here. In the compiled program it is an argument, and a
        # loop of unknown length cannot be counted.
        def move(key, params, electrons, nuclei):
            size = jnp.ones((), electrons.dtype)
            moves = Moves(nuclei, size, problem.n_up, *sampler.shares())
            logabs = batched_logabs(problem.ansatz, params, nuclei)
            return sweep(key, electrons, logabs, moves, steps)

        return trace(move, key, params, walkers, nuclei)

    moved, sampled = (
        sweep_of(sampler.decorrelation_steps),
        sweep_of(run.evaluate.decorrelation_steps),
    )
    energies = trace(batched_local_energy(local_energy(problem.ansatz)), params, walkers, nuclei)
    optimizer = make_optimizer(run.optimizer, problem.ansatz)
    state = jax.eval_shape(optimizer.init, key, params, walkers, nuclei)
    weights = jax.ShapeDtypeStruct(shape[:1], walkers.dtype)
    arguments = (key, weights, state, params, params, walkers, nuclei, jnp.int32(0))
    update = trace(make_update(optimizer, run.train.averaging), *arguments)
    steps = run.evaluate.decorrelation_steps
    evaluator = make_evaluator(
        problem, sampler.exchange_probability, steps, sampler.hop_probability
    )
    observables = trace(evaluator.observables, params, walkers, nuclei).work
    # The check after pretraining equilibrates for twice as many sweeps as it measures.
    check = (moved.work.times(3) + energies.work).times(ENERGY_SWEEPS)
    training = moved.work + energies.work + update.work
    evaluation = sampled.work + energies.work + observables.times(1 / MEASURE_INTERVAL)
    return RunCounts(
        pretrain=StageWork(check, _pretraining(run, problem, scf, params, walkers)),
        train=StageWork(moved.work.times(sampler.burn_in), training),
        # The averaged parameters are evaluated, and then the last ones.
        evaluate=StageWork(sampled.work.times(2 * run.evaluate.burn_in), evaluation),
        peak_bytes=max(program.peak_bytes for program in (moved, energies, update)),
    )


def _pretraining(
    run: RunConfig, problem: Problem, scf: ScfOrbitals, params: Params, walkers: Any
) -> Work:
    """Count an iteration of pretraining: no work if there are no orbitals to fit."""
    ansatz = problem.ansatz
    if not run.pretrain.iterations or ansatz.needs_scf or ansatz.orbitals is None:
        return Work(0.0, 0.0)
    pretrainer = Pretrainer(problem, scf, run.pretrain, run.sampler, run.seed)
    optimizer = jax.eval_shape(pretrainer.fit.init, params)
    half: Any = jax.ShapeDtypeStruct((pretrainer.half, *walkers.shape[1:]), walkers.dtype)
    state = PretrainState(params, optimizer, half, half)
    return trace(partial(pretrainer.step, iteration=0), state).work


def placeholder_orbitals(molecule: Molecule, basis: str) -> ScfOrbitals:
    """Return SCF orbitals of the right sizes, all zero, without a calculation.

    A single determinant replaces the sum of determinants that broken bonds need.
    """
    grouped: dict[int, list[tuple[int, Shell]]] = defaultdict(list)
    for nucleus, symbol in enumerate(molecule.symbols):
        for shell in shells_of(symbol, basis):
            grouped[shell.momentum].append((nucleus, shell))
    shells, n = {}, 0
    for momentum, members in grouped.items():
        primitives = max(shell.primitives for _, shell in members)
        contractions = max(shell.contractions for _, shell in members)
        shells[momentum] = Shells(
            np.zeros((len(members), primitives)),
            np.zeros((len(members), primitives, contractions)),
            np.array([nucleus for nucleus, _ in members]),
        )
        n += (2 * momentum + 1) * sum(shell.contractions for _, shell in members)
    up, down = (np.zeros((n, n_spin)) for n_spin in molecule.spins)
    return ScfOrbitals(GtoBasis(shells, np.arange(n)), up, down, up[None], down[None])
