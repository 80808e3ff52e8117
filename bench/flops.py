"""Floating-point operations of the matrix products in a program, loops counted in full.

XLA's own count takes the body of a loop once. Products are nearly all of the work of a network; a
multiplication and an addition are two operations.
"""

import math
from typing import Any

import jax
from jax.extend import core


def count_flops(function: Any, *args: Any) -> int:
    """Operations of ``function(*args)`` in matrix products, factorisations and substitutions.

    The number of turns of a ``while`` loop is not known before it ends: its body counts once.
    """
    return _count(jax.make_jaxpr(function)(*args).jaxpr)


def _count(program: core.Jaxpr) -> int:
    total = 0
    for equation in program.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "dot_general":
            total += _product(equation)
        elif name == "cholesky":
            *batch, n, _ = equation.invars[0].aval.shape
            total += math.prod(batch) * n**3 // 3
        elif name == "triangular_solve":
            *batch, rows, columns = equation.invars[1].aval.shape
            n = equation.invars[0].aval.shape[-1]
            total += math.prod(batch) * rows * columns * n
        elif name == "scan":
            total += params["length"] * _count(params["jaxpr"].jaxpr)
        elif name == "cond":
            total += max(_count(branch.jaxpr) for branch in params["branches"])
        else:
            total += sum(_count(inner) for inner in core.jaxprs_in_params(params))
    return total


def _product(equation: core.JaxprEqn) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    inner = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    return 2 * inner * math.prod(equation.outvars[0].aval.shape)
