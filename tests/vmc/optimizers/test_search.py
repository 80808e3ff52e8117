"""Dense layers that are found in a wavefunction's program, however it is written."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz.base import Ansatz, LayerInputs, LogPsi, Nuclei
from ferminet.vmc.optimizers.base import gradient_of_energy
from ferminet.vmc.optimizers.kfac import make_curvature
from ferminet.vmc.optimizers.layered import block_table, find_layers
from ferminet.vmc.optimizers.search import layered_of
from ferminet.vmc.programs import Problem
from tests.helpers.optimizers import config, weights_of

N_ELECTRONS, N_IN, N_OUT = 4, 4, 5
RNG = np.random.default_rng(0)
ELECTRONS = jnp.asarray(RNG.normal(size=(16, N_ELECTRONS, 3)))
NUCLEI = Nuclei(jnp.zeros((1, 3)), jnp.asarray([3.0]))
# The same numbers in each form: the weight is (inputs, outputs), the bias (outputs,).
WEIGHT, BIAS = jnp.asarray(RNG.normal(size=(N_IN, N_OUT))), jnp.asarray(RNG.normal(size=N_OUT))


def rows_of(electrons):
    """The inputs of the layer, (n_electrons, N_IN)."""
    return jnp.concatenate([electrons, jnp.linalg.norm(electrons, axis=1)[:, None]], axis=1)


def transposed(params, rows):
    return jax.vmap(lambda row: params["weight"] @ row + params["bias"])(rows)


def with_heads(params, rows):
    """The weight has axes (head, inputs, width); the bias has one axis less."""
    heads = jnp.einsum("ni,hiw->hnw", rows, params["weight"]) + params["bias"][:, None]
    return jnp.concatenate(list(heads), axis=1)


def turned(params, rows):
    """The rows lie in two axes that change places before the bias is added."""
    grid = rows.reshape(2, 2, N_IN)
    turned = jnp.einsum("nsi,io->sno", grid, params["weight"]) + params["bias"]
    return turned.swapaxes(0, 1).reshape(4, N_OUT)


def at_two_places(params, rows):
    of = lambda some: some @ params["weight"] + params["bias"]  # noqa: E731
    return jnp.concatenate([of(rows[:1]), of(rows[1:])])


@jax.jit
def in_programs(params, rows):
    return jax.checkpoint(
        lambda rows: jax.jit(jnp.matmul)(rows, params["weight"]) + params["bias"]
    )(rows)


def in_the_style_of_flax(params, rows):
    product = jax.lax.dot_general(rows, params["weight"], (((1,), (0,)), ((), ())))
    return product + jnp.reshape(params["bias"], (1,) * (product.ndim - 1) + (-1,))


def copied(params, rows):
    return rows @ jnp.array(params["weight"]) + params["bias"]


def beside_a_spin_without_electrons(params, rows):
    of = lambda some: some @ params["weight"] + params["bias"]  # noqa: E731
    return jnp.concatenate([of(rows), of(rows[:0])])


def contracting_two_axes(params, rows):
    """The weight has axes (2, outputs, inputs / 2)."""
    return jnp.einsum("nai,aoi->no", rows.reshape(-1, 2, 2), params["weight"]) + params["bias"]


def beside_dead_code(params, rows):
    _ = jnp.sum(2.0 * params["weight"]) + params["bias"]
    return rows @ params["weight"] + params["bias"]


PLAIN = {"weight": WEIGHT, "bias": BIAS}
FORMS = {
    "x @ w + b": (lambda p, rows: rows @ p["weight"] + p["bias"], PLAIN),
    "b + x @ w": (lambda p, rows: p["bias"][None] + rows @ p["weight"], PLAIN),
    "w @ x + b, mapped": (transposed, {"weight": WEIGHT.T, "bias": BIAS}),
    "heads": (
        with_heads,
        {"weight": WEIGHT[:, None].swapaxes(0, 1), "bias": BIAS[None]},
    ),
    "two axes of rows": (turned, PLAIN),
    "flax": (in_the_style_of_flax, PLAIN),
    "a copy": (copied, PLAIN),
    "a bias of two axes": (
        lambda p, rows: rows @ p["weight"] + p["bias"],
        {"weight": WEIGHT, "bias": BIAS[None]},
    ),
    "a weight of three axes": (
        lambda p, rows: rows @ p["weight"].squeeze(1) + p["bias"],
        {"weight": WEIGHT[:, None], "bias": BIAS},
    ),
    "a spin without electrons": (beside_a_spin_without_electrons, PLAIN),
    "dead code": (beside_dead_code, PLAIN),
    "two places": (at_two_places, PLAIN),
    "programs in programs": (in_programs, PLAIN),
    "two axes of inputs": (
        contracting_two_axes,
        {"weight": WEIGHT.reshape(2, 2, N_OUT).swapaxes(1, 2), "bias": BIAS},
    ),
}


def problem_of(layer, params, declared=False) -> Problem:
    """log|psi| = sum_i tanh(layer(r_i)) . v + a parameter in no layer times the radii."""

    def layered(params, electrons, nuclei, register):
        del nuclei
        rows = rows_of(electrons)
        outputs = layer(params["layer"], rows)
        if declared:
            outputs = register(outputs, params["layer"], LayerInputs(rows))
        value = jnp.sum(jnp.tanh(outputs) * params["scale"]) - params["zeta"] * jnp.sum(rows[:, 3])
        return LogPsi(jnp.ones(()), value)

    def apply(params, electrons, nuclei):
        return layered(params, electrons, nuclei, lambda outputs, weights, inputs: outputs)

    params = {"layer": params, "scale": jnp.arange(1.0, 1.0 + N_OUT) / 7, "zeta": jnp.asarray(0.7)}
    ansatz = Ansatz(lambda key, nuclei: params, apply, layered=layered if declared else None)
    return Problem(ansatz, NUCLEI, 2, 2)


def maps_of(problem, electrons=ELECTRONS):
    """The parameters, and the maps of an iteration at these walkers."""
    params = problem.ansatz.init(jax.random.key(0), problem.nuclei)
    init, curvature = make_curvature(problem.ansatz, config("kfac", damping=1e-3))
    factors = init(params, electrons, problem.nuclei)
    maps, _ = curvature(factors, params, electrons, problem.nuclei, jnp.asarray(0))
    return params, maps


def assert_agree(found, expected) -> None:
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13), found, expected
    )


def layers_of(problem):
    params = problem.ansatz.init(jax.random.key(0), problem.nuclei)
    layered = layered_of(problem.ansatz)
    return block_table(params, find_layers(layered, params, ELECTRONS[0], problem.nuclei))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_layer_is_found_and_gives_the_same_step(form):
    problem, plain = problem_of(*FORMS[form]), problem_of(*FORMS["x @ w + b"], declared=True)
    assert [row[1:] for row in layers_of(problem)] == [row[1:] for row in layers_of(plain)]
    weights = weights_of(ELECTRONS)
    (_, found), (_, expected) = maps_of(problem), maps_of(plain)
    one, other = (maps.divide(maps.gradient(weights)) for maps in (found, expected))
    assert_agree(found.change(one), expected.change(other))


@pytest.mark.parametrize("form", FORMS)
def test_gradient_and_change_are_those_of_automatic_differentiation(form):
    problem, weights = problem_of(*FORMS[form]), weights_of(ELECTRONS)
    params, maps = maps_of(problem)
    gradient = maps.gradient(weights)
    assert_agree(
        maps.params_of(gradient),
        gradient_of_energy(problem.ansatz, params, ELECTRONS, NUCLEI, weights),
    )
    logabs = jax.vmap(problem.ansatz.apply, (None, 0, None))
    change = jax.jvp(
        lambda p: logabs(p, ELECTRONS, NUCLEI).logabs, (params,), (maps.params_of(gradient),)
    )[1]
    assert_agree(maps.change(gradient), change)


def scaled(params, rows):
    return rows @ (2.0 * params["weight"]) + params["bias"]


def squared(params, rows):
    return rows @ params["weight"] + params["bias"] + jnp.sum(params["weight"] ** 2)


def different_axes(params, rows):
    return rows @ params["weight"] @ params["weight"].T @ params["weight"] + params["bias"]


def in_a_loop(params, rows):
    add = lambda total, row: (total + row @ params["weight"], None)  # noqa: E731
    return jax.lax.scan(add, jnp.zeros(N_OUT), rows)[0] + params["bias"]


def of_each_row(params, rows):
    return jnp.einsum("ni,nio->no", rows, params["weight"]) + params["bias"]


def bias_used_twice(params, rows):
    return (rows @ params["weight"] + params["bias"]) * params["bias"]


def product_used_twice(params, rows):
    product = rows @ params["weight"]
    return product * jnp.tanh(product + params["bias"])


def bias_of_each_row(params, rows):
    return rows @ params["weight"] + params["bias"][:, None]


OTHERS = {
    "a scaled weight": (scaled, PLAIN, ["bias", "weight"]),
    "a weight that is also squared": (squared, PLAIN, ["bias", "weight"]),
    "other axes at another place": (different_axes, PLAIN, ["bias", "weight"]),
    "a loop": (in_a_loop, PLAIN, ["bias", "weight"]),
    "a weight for each row": (
        of_each_row,
        {"weight": jnp.stack([WEIGHT] * N_ELECTRONS), "bias": BIAS},
        ["bias", "weight"],
    ),
    "a bias that is used twice": (bias_used_twice, PLAIN, ["bias"]),
    "a product that is used twice": (product_used_twice, PLAIN, ["bias"]),
    "a bias for each row": (
        bias_of_each_row,
        {"weight": WEIGHT, "bias": BIAS[:N_ELECTRONS]},
        ["bias"],
    ),
}


@pytest.mark.parametrize("form", OTHERS)
def test_what_is_no_layer_has_the_diagonal_and_exact_derivatives(form):
    layer, params, outside = OTHERS[form]
    problem = problem_of(layer, params)
    table = layers_of(problem)
    diagonal = [name for name, kind, _ in table if kind == "diagonal"]
    assert diagonal == [f"['layer']['{name}']" for name in outside] + ["['scale']", "['zeta']"]
    params, maps = maps_of(problem)
    weights = weights_of(ELECTRONS)
    gradient = gradient_of_energy(problem.ansatz, params, ELECTRONS, NUCLEI, weights)
    assert_agree(maps.params_of(maps.gradient(weights)), gradient)


def features_of(kind, electrons):
    return {
        "bool": electrons > 0.0,
        "int8": jnp.sign(electrons).astype(jnp.int8) * 100,
        "float": electrons,
    }[kind]


def small_problem(function, params) -> Problem:
    """log|psi| = sum(tanh(function(params, electrons))) - sum(r^2)."""

    def apply(params, electrons, nuclei):
        del nuclei
        value = jnp.sum(jnp.tanh(function(params, electrons))) - jnp.sum(electrons**2)
        return LogPsi(jnp.ones(()), value)

    return Problem(Ansatz(lambda key, nuclei: params, apply), NUCLEI, 2, 2)


@pytest.mark.parametrize("kind", ["bool", "int8"])
def test_features_that_are_no_floats_give_the_step_of_floats(kind):
    weight = WEIGHT[:3]
    numbers = lambda electrons: features_of(kind, electrons).astype(float)  # noqa: E731
    steps = []
    for features in (lambda electrons: features_of(kind, electrons), numbers):
        problem = small_problem(lambda w, r, f=features: jnp.dot(f(r), w) / 100, weight)
        _, maps = maps_of(problem)
        steps.append(maps.params_of(maps.divide(maps.gradient(weights_of(ELECTRONS)))))
    assert_agree(*steps)
    assert jnp.any(steps[0] != 0.0)


def test_complex_inputs_make_no_layer():
    def function(weight, electrons):
        return jnp.real((electrons * jnp.exp(1j * electrons)) @ weight)

    problem = small_problem(function, WEIGHT[:3])
    assert [kind for _, kind, _ in layers_of(problem)] == ["diagonal"]
    weights = weights_of(ELECTRONS)
    params, maps = maps_of(problem)
    gradient = gradient_of_energy(problem.ansatz, params, ELECTRONS, NUCLEI, weights)
    assert_agree(maps.params_of(maps.gradient(weights)), gradient)


def test_a_layer_of_one_weight_is_damped_like_others():
    """Its block is exact: 4 <x^2> + damping."""
    problem = small_problem(lambda z, r: r[:1, :1] @ z, jnp.asarray([[0.3]]))
    params, maps = maps_of(problem)
    assert [kind for _, kind, _ in layers_of(problem)] == ["dense"]
    weights = weights_of(ELECTRONS)
    gradient = gradient_of_energy(problem.ansatz, params, ELECTRONS, NUCLEI, weights)
    x = ELECTRONS[:, 0, 0]
    a, b = jnp.mean(x**2), 4.0 * jnp.mean((1.0 - jnp.tanh(0.3 * x) ** 2) ** 2)
    assert_agree(maps.params_of(maps.divide(maps.gradient(weights))), gradient / (a * b + 1e-3))


def test_a_declared_layer_without_rows_stays_and_others_move():
    params = {"empty": {"weight": WEIGHT[:3], "bias": BIAS}, "zeta": jnp.asarray(0.7)}

    def layered(params, electrons, nuclei, register):
        del nuclei
        rows = electrons[:0]
        outputs = rows @ params["empty"]["weight"] + params["empty"]["bias"]
        outputs = register(outputs, params["empty"], LayerInputs(rows))
        return LogPsi(jnp.ones(()), jnp.sum(outputs) - params["zeta"] * jnp.sum(electrons**2))

    plain = lambda *arguments: layered(*arguments, lambda outputs, *_: outputs)  # noqa: E731
    ansatz = Ansatz(lambda key, nuclei: params, plain, layered=layered)
    _, maps = maps_of(Problem(ansatz, NUCLEI, 2, 2))
    step = maps.params_of(maps.divide(maps.gradient(weights_of(ELECTRONS))))
    assert not np.any(step["empty"]["weight"]) and not np.any(step["empty"]["bias"])
    assert np.isfinite(step["zeta"]) and step["zeta"] != 0.0


def test_a_wavefunction_without_parameters_has_a_step_without_numbers():
    problem = small_problem(lambda params, r: r, {})
    _, maps = maps_of(problem)
    gradient = maps.gradient(weights_of(ELECTRONS))
    assert maps.params_of(maps.divide(gradient)) == {}
    np.testing.assert_array_equal(maps.change(gradient), np.zeros(len(ELECTRONS)))
