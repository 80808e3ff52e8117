"""What any wavefunction must have, checked the same way for all of them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.base import Nuclei

NUCLEI = Nuclei(jnp.array([[0.0, 0.1, 0.0], [0.0, 0.0, 3.0]]), jnp.array([3.0, 1.0]))
N_WALKERS = 8


def walkers(n_electrons: int, seed: int = 1) -> np.ndarray:
    """Electrons around the nuclei, (N_WALKERS, n_electrons, 3), bohr."""
    return np.random.default_rng(seed).normal(scale=1.5, size=(N_WALKERS, n_electrons, 3))


def draw_params(ansatz, nuclei=NUCLEI, seed: int = 1):
    """Any parameters, without symmetry; decays and lengths around 1."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        values = 0.5 * rng.normal(size=leaf.shape)
        name = jax.tree_util.keystr(path)
        return 1.0 + 0.3 * values if any(x in name for x in ("decay", "spin", "length")) else values

    shapes = jax.eval_shape(ansatz.init, jax.random.key(0), nuclei)
    return jax.tree_util.tree_map_with_path(draw, shapes)


def check_antisymmetry(ansatz, params, electrons, n_up, nuclei=NUCLEI) -> None:
    """Like spins: the sign flips and log|psi| stays; unlike spins: psi changes."""
    apply = jax.jit(jax.vmap(ansatz.apply, (None, 0, None)))
    here = apply(params, electrons, nuclei)
    assert np.all(np.abs(here.sign) == 1.0)
    for i, j in itertools.combinations(range(electrons.shape[1]), 2):
        order = np.arange(electrons.shape[1])
        order[[i, j]] = order[[j, i]]
        there = apply(params, electrons[:, order], nuclei)
        change = np.abs(there.logabs - here.logabs)
        if (i < n_up) == (j < n_up):
            assert np.all(change <= 1e-10), (i, j)
            assert np.all(there.sign == -here.sign), (i, j)
        else:
            assert np.max(change) > 1e-3, (i, j)


def check_translation(ansatz, params, walker, nuclei=NUCLEI) -> None:
    """Nothing changes if everything moves, and the nuclei are really read."""
    shift = jnp.array([0.3, -0.7, 1.1])
    moved = nuclei._replace(coords=nuclei.coords + shift)
    apply = jax.jit(ansatz.apply)
    here = apply(params, walker, nuclei)
    there = apply(params, walker + shift, moved)
    np.testing.assert_allclose(there.logabs, here.logabs, atol=1e-11)
    assert abs(float(apply(params, walker, moved).logabs - here.logabs)) > 1e-3


def pair_slope(ansatz, params, walker, pair, like, nuclei=NUCLEI) -> float:
    """d log|psi| / dr of two electrons at r = 0, averaged over both directions of a line.

    Of like spins that of |psi| / r, which does not vanish there.
    """
    i, j = pair
    middle, direction = 0.5 * (walker[i] + walker[j]), np.array([0.36, -0.48, 0.8])

    def average(radius: float) -> float:
        values = []
        for sign in (1.0, -1.0):
            moved = np.array(walker)
            moved[i] = middle + 0.5 * sign * radius * direction
            moved[j] = middle - 0.5 * sign * radius * direction
            psi = ansatz.apply(params, jnp.asarray(moved), nuclei)
            values.append(float(psi.logabs) - (np.log(radius) if like else 0.0))
        return float(np.log(np.mean(np.exp(np.array(values) - values[0]))) + values[0])

    return _slope_at_zero(average)


def nucleus_slope(ansatz, params, walker, nucleus, nuclei=NUCLEI) -> float:
    """d log(average of psi) / dr of the first electron at a nucleus, over six directions."""
    directions = np.concatenate([np.eye(3), -np.eye(3)])

    def average(radius: float) -> float:
        values = []
        for direction in directions:
            moved = np.array(walker)
            moved[0] = np.asarray(nuclei.coords[nucleus]) + radius * direction
            psi = ansatz.apply(params, jnp.asarray(moved), nuclei)
            values.append(float(psi.sign) * np.exp(float(psi.logabs)))
        return float(np.log(np.abs(np.mean(values))))

    return _slope_at_zero(average)


def _slope_at_zero(average, step: float = 1e-3) -> float:
    """One-sided derivative at 0 of a function of r > 0, to third order in the step."""
    a, b, c, d = (average(k * step) for k in (1.0, 2.0, 3.0, 4.0))
    # Of the cubic through four points.
    return (-26.0 * a + 57.0 * b - 42.0 * c + 11.0 * d) / (6.0 * step)
