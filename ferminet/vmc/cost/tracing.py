"""The work and the memory of a program, counted from its trace; nothing is compiled or computed.

XLA's cost analysis counts the body of a loop once; here loops count in full.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.extend import core

from ferminet.vmc.cost.counts import Work

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
    operations. Values are the elements that products and transcendental functions return. The
    length of a `while` loop is unknown in advance, so its body counts once. Of the branches of a
    conditional, the one with the most products counts.
    """
    total = Work(0.0, 0.0)
    for equation in program.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "scan":
            total += count_work(params["jaxpr"].jaxpr).times(params["length"])
        elif name == "cond":
            total += max(count_work(branch.jaxpr) for branch in params["branches"])
        elif name in _PRODUCTS:
            total += Work(float(_PRODUCTS[name](equation)), float(_size(equation.outvars[0])))
        elif name in _TRANSCENDENTAL:
            total += Work(0.0, float(_size(equation.outvars[0])))
        else:
            total = sum(map(count_work, core.jaxprs_in_params(params)), start=total)
    return total


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
