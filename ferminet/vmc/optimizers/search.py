"""Find the dense layers of a wavefunction in the program that JAX traces from it.

A parameter is the weight of a dense layer if all that the program does with it is to multiply
inputs by it: `x @ w`, `w @ x` or an einsum, of any number of axes, under `jax.vmap`, at one place
or at several. A parameter that is only added to the product is its bias. kfac-jax (Botev and
Martens 2022, github.com/google-deepmind/kfac-jax) matches patterns of equations; here parameters
are followed through transpositions and broadcasts, so axes may have any order.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.extend as jex
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Ansatz, Array, LayerInputs, Nuclei, Params, Register

Equation = Any  # jax.extend.core.JaxprEqn
Variable = Any  # jax.extend.core.Var or Literal

# The programs within a program that are taken apart; parameters in others, such as loops, are not.
INLINED = ("jit", "pjit", "closed_call", "checkpoint", "remat", "remat2")


class View(NamedTuple):
    """A parameter, possibly with its axes in another order, and with new axes (`None`)."""

    leaf: int
    shape: tuple[int, ...]  # of the parameter
    axes: tuple[int | None, ...]

    def wide(self) -> list[int]:
        """Return the axes of the parameter that are longer than 1."""
        return [axis for axis, size in enumerate(self.shape) if size > 1]


class Product(NamedTuple):
    """Inputs times a weight. Axis i of the inputs is written as ~i, axis i of the weight as i."""

    equation: int
    weight: int
    bias: int | None
    inputs: Variable
    contracted: tuple[int, ...]  # axes of the inputs
    input_axes: tuple[int, ...]  # axes of the weight that they meet
    axes: tuple[int, ...]  # of the result


Followed = TypeVar("Followed", View, Product)


def layered_of(ansatz: Ansatz) -> Callable:
    """Return the function that registers the layers of a wavefunction, see `Ansatz.layered`."""
    if ansatz.layered is not None:
        return ansatz.layered
    apply = ansatz.apply

    def layered(params: Params, electrons: Array, nuclei: Nuclei, register: Register) -> Any:
        leaves, structure = jax.tree.flatten((params, electrons, nuclei))
        function = lambda *leaves: apply(*jax.tree.unflatten(structure, leaves))  # noqa: E731
        nested, shapes = jax.make_jaxpr(function, return_shape=True)(*leaves)
        # The second trace takes the programs within the program apart.
        flat = jax.make_jaxpr(lambda *leaves: _evaluate(nested.jaxpr, nested.consts, leaves))
        program = flat(*leaves)
        products = find_products(program.jaxpr, len(jax.tree.leaves(params)))

        def change(index: int, output: Array, read: Callable) -> Array:
            if index not in products:
                return output
            product = products[index]
            weights = {"weight": leaves[product.weight]}
            if product.bias is not None:
                weights["bias"] = leaves[product.bias]
            return _registered(product, output, read(product.inputs), weights, register)

        outputs = _evaluate(program.jaxpr, program.consts, leaves, change)
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return layered


def _registered(
    product: Product, output: Array, inputs: Array, weights: dict[str, Array], register: Register
) -> Array:
    """Pass the outputs of a layer through `register`, in the shape (rows..., outputs)."""
    rows = [axis for axis in range(inputs.ndim) if axis not in product.contracted]
    own = jnp.transpose(inputs, (*rows, *product.contracted))
    own = own.reshape(*own.shape[: len(rows)], -1).astype(weights["weight"].dtype)
    # Rows first, in the order of the inputs' axes, then the weight's axes.
    axes = product.axes
    order = sorted(range(output.ndim), key=lambda i: (axes[i] >= 0, max(axes[i], ~axes[i])))
    ordered = jnp.transpose(output, order)
    flat = ordered.reshape(*ordered.shape[: len(rows)], -1)
    seen = register(flat, weights, LayerInputs(own, input_axes=product.input_axes))
    seen = seen.astype(output.dtype).reshape(ordered.shape)
    return jnp.transpose(seen, np.argsort(order).tolist())


def _evaluate(
    program: Any, constants: Sequence, arguments: Sequence, change: Callable | None = None
) -> list:
    """Evaluate a program; `change(index, output, read)` may replace an equation's only output."""
    values = dict(zip(program.constvars, constants, strict=True))
    values |= dict(zip(program.invars, arguments, strict=True))

    def read(variable: Variable) -> Any:
        return variable.val if _is_literal(variable) else values[variable]

    for index, equation in enumerate(program.eqns):
        inputs = [read(variable) for variable in equation.invars]
        with jex.source_info_util.user_context(equation.source_info.traceback):
            outputs = _outputs_of(equation, inputs)
        if change is not None and len(outputs) == 1:
            outputs = [change(index, outputs[0], read)]
        values |= dict(zip(equation.outvars, outputs, strict=True))
    return [read(variable) for variable in program.outvars]


def _outputs_of(equation: Equation, inputs: list) -> list:
    primitive, params = equation.primitive, equation.params
    if primitive.name in INLINED:
        inner = params.get("jaxpr", params.get("call_jaxpr"))
        constants = getattr(inner, "consts", ())
        return _evaluate(getattr(inner, "jaxpr", inner), constants, inputs)
    outputs = primitive.bind(*inputs, **primitive.get_bind_params(params))
    return outputs if primitive.multiple_results else [outputs]


def _is_literal(variable: Variable) -> bool:
    return isinstance(variable, jex.core.Literal)


def find_products(program: Any, n_params: int) -> dict[int, Product]:
    """Return the dense layers of a flat program, by the equation that completes their outputs.

    The parameters are the first `n_params` inputs of the program.
    """
    variables = [equation.invars for equation in program.eqns] + [program.outvars]
    used = [[v for v in of_one if not _is_literal(v)] for of_one in variables]
    uses = Counter(used[-1])
    for equation, inputs in zip(program.eqns[::-1], used[-2::-1], strict=True):
        if any(uses[output] for output in equation.outvars):  # not dead code
            uses.update(inputs)
    views = {
        variable: View(leaf, variable.aval.shape, tuple(range(variable.aval.ndim)))
        for leaf, variable in enumerate(program.invars[:n_params])
    }
    products: dict[Variable, Product] = {}
    found: dict[int, Product] = {}
    # The equation of a product -> that of its sum with a bias, and the product with the bias.
    sums: dict[int, tuple[int, Product]] = {}
    # A parameter -> the equations that do more with it than move its axes.
    readers: dict[int | None, set[int]] = defaultdict(set)
    for index, equation in enumerate(program.eqns):
        if not any(uses[output] and output.aval.size for output in equation.outvars):
            continue
        if moved := _moved(equation, views):
            views[equation.outvars[0]] = moved
            continue
        for variable in used[index]:
            if variable in views:
                readers[views[variable].leaf].add(index)
        if product := _product(index, equation, views):
            found[index] = products[equation.outvars[0]] = product
        elif total := _sum(equation, views, products, uses):
            sums[total.equation] = index, total
        elif equation.primitive.name == "transpose" and (moved := _moved(equation, products)):
            if uses[equation.invars[0]] == 1:
                products[equation.outvars[0]] = moved
    for variable in used[-1]:
        if variable in views:
            readers[views[variable].leaf].add(len(program.eqns))
    return _layers(found, sums, readers)


def _moved(equation: Equation, followed: dict[Variable, Followed]) -> Followed | None:
    """Return what becomes of an array in an equation that only moves or adds axes."""
    source, params = next(iter(equation.invars), None), equation.params
    if source is None or _is_literal(source) or source not in followed:
        return None
    old, name = followed[source].axes, equation.primitive.name
    if name == "copy":
        return followed[source]
    if name == "transpose":
        return followed[source]._replace(axes=tuple(old[i] for i in params["permutation"]))
    shape = equation.outvars[0].aval.shape
    new: list[int | None] = [None] * len(shape)
    if name == "broadcast_in_dim":
        for axis, size, place in zip(
            old, source.aval.shape, params["broadcast_dimensions"], strict=True
        ):
            new[place] = axis if size == shape[place] else None
        return followed[source]._replace(axes=tuple(new))
    if name in ("reshape", "squeeze"):
        before, after = ([i for i, n in enumerate(s) if n > 1] for s in (source.aval.shape, shape))
        if [source.aval.shape[i] for i in before] == [shape[i] for i in after]:
            for axis, place in zip(before, after, strict=True):
                new[place] = old[axis]
            return followed[source]._replace(axes=tuple(new))
    return None


def _product(index: int, equation: Equation, views: dict[Variable, View]) -> Product | None:
    """Return inputs times a whole parameter that run along no common axis."""
    if equation.primitive.name != "dot_general":
        return None
    contracted, (batch, _) = equation.params["dimension_numbers"]
    sides = [i for i, v in enumerate(equation.invars) if not _is_literal(v) and v in views]
    if len(sides) != 1 or batch or not contracted[0]:
        return None
    (side,) = sides
    view, inputs = views[equation.invars[side]], equation.invars[1 - side]
    whole = None not in view.axes and {*view.wide()} <= {*view.axes} and 0 not in view.shape
    real = jnp.issubdtype(equation.outvars[0].aval.dtype, jnp.floating)
    if not whole or not real or jnp.issubdtype(inputs.aval.dtype, jnp.complexfloating):
        return None
    pairs = zip(contracted[side], contracted[1 - side], strict=True)
    met = sorted((view.axes[own], other) for own, other in pairs)
    axes = [view.axes, tuple(~axis for axis in range(inputs.aval.ndim))]
    kept = [
        [axis for place, axis in enumerate(of_side) if place not in gone]
        for of_side, gone in zip(axes if side == 0 else axes[::-1], contracted, strict=True)
    ]
    input_axes, other_axes = zip(*met, strict=True)
    return Product(index, view.leaf, None, inputs, other_axes, input_axes, tuple(kept[0] + kept[1]))


def _sum(
    equation: Equation,
    views: dict[Variable, View],
    products: dict[Variable, Product],
    uses: Counter,
) -> Product | None:
    """Return a product with a bias if the equation adds one to it, along all its output axes."""
    if equation.primitive.name != "add":
        return None
    for one, other in (equation.invars, equation.invars[::-1]):
        if _is_literal(one) or _is_literal(other) or one not in products or other not in views:
            continue
        alone = uses[one] == 1 and one.aval.shape == equation.outvars[0].aval.shape
        if alone and _runs_along(views[other], products[one], one.aval.shape):
            return products[one]._replace(bias=views[other].leaf)
    return None


def _runs_along(view: View, product: Product, shape: tuple[int, ...]) -> bool:
    """Return whether a whole bias has the axes of the outputs in their order, and no others."""
    wide = view.wide()
    outputs = sorted(a for a, size in zip(product.axes, shape, strict=True) if a >= 0 and size > 1)
    partner = dict(zip(outputs, wide, strict=False))
    expected = [partner.get(axis) for axis in product.axes]
    axes = view.axes or [None] * len(shape)  # of a scalar
    same = expected == [axis if axis in wide else None for axis in axes]
    return same and len(outputs) == len(wide)


def _layers(
    found: dict[int, Product],
    sums: dict[int, tuple[int, Product]],
    readers: dict[int | None, set[int]],
) -> dict[int, Product]:
    """Return the products whose weight has no other use, with the bias if it has none."""
    layers: dict[int, Product] = {}
    for weight in {product.weight: None for product in found.values()}:
        alone = {index: product for index, product in found.items() if product.weight == weight}
        if readers[weight] != set(alone) or len({p.input_axes for p in alone.values()}) > 1:
            continue
        biased = dict(sums[index] for index in alone if index in sums)
        biases = {product.bias for product in biased.values()}
        whole = len(biased) == len(alone) and len(biases) == 1
        layers |= biased if whole and readers[biases.pop()] == set(biased) else alone
    return layers
