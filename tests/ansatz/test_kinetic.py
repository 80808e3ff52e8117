"""The kinetic energy of FermiNet against the full Hessian in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz import ferminet, ferminet_kinetic
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.ansatz.jets import Jet
from ferminet.vmc.hamiltonian import hessian_kinetic
from tests.helpers.compilation import AS_USERS

TINY = {"one_electron_width": 6, "two_electron_width": 3, "determinants": 2}
# Spin-up, spin-down, nuclei, layers, options. Every option occurs with open and closed shells, one
# electron of a spin and none, determinants by expansion (up to 4 x 4) and by inverse.
CASES = [
    (1, 0, 1, 1, {}),
    (0, 2, 2, 2, {"full_determinant": True}),
    (1, 1, 1, 2, {"jastrow": "electron_cusp", "envelope": "isotropic"}),
    (2, 1, 2, 3, {"full_determinant": True, "jastrow": "electron_cusp"}),
    (2, 2, 1, 3, {"spin_symmetric": True, "full_determinant": True, "envelope": "isotropic"}),
    (2, 2, 4, 2, {"spin_symmetric": True, "jastrow": "electron_cusp"}),
    (3, 2, 1, 2, {"full_determinant": True, "envelope": "isotropic"}),
    (6, 4, 1, 2, {"envelope": "isotropic"}),
    (2, 1, 2, 2, {"rescale_inputs": True, "jastrow": "electron_cusp"}),
    # Widths that equal the inputs', so that the first layers have residual connections.
    (2, 1, 2, 2, {"one_electron_width": 8, "two_electron_width": 4}),
]


def network(n_up, n_down, n_nuclei, layers, options, seed=0):
    ansatz = ferminet.build(
        AnsatzSpec(n_up, n_down, n_nuclei), layers=layers, **{**TINY, **options}
    )
    rng = np.random.default_rng(seed)
    nuclei = Nuclei(
        jnp.asarray(2.0 * rng.normal(size=(n_nuclei, 3))), jnp.arange(1.0, n_nuclei + 1)
    )
    shapes = jax.eval_shape(ansatz.init, jax.random.key(0), nuclei)

    def draw(path, leaf):
        values = 0.4 * rng.normal(size=leaf.shape)
        if "decay" not in jax.tree_util.keystr(path):
            return jnp.asarray(values)
        return jnp.asarray(values + (np.eye(3) if leaf.shape[-2:] == (3, 3) else 1.0))

    params = jax.tree_util.tree_map_with_path(draw, shapes)
    walkers = jnp.asarray(rng.normal(size=(4, n_up + n_down, 3)))
    return ansatz, params, nuclei, walkers


def both(ansatz, params, nuclei, walkers, options=None):
    """Return kinetic energies by the wavefunction's own way and by the Hessian."""
    return [
        jax.jit(jax.vmap(lambda e, k=k: k(params, e, nuclei)), compiler_options=options)(walkers)
        for k in (ansatz.kinetic, hessian_kinetic(ansatz))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_ferminets_kinetic_energy_is_that_of_the_hessian(case):
    ours, expected = both(*network(*case))
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_a_vanishing_determinant_in_a_finite_psi_keeps_exact_derivatives():
    # Two 2 x 2 determinants of which the first is singular: psi and its derivatives are those of a
    # brute-force sum, and finite.
    rng = np.random.default_rng(3)
    base, slopes = rng.normal(size=(2, 2, 2)), rng.normal(size=(2, 2, 6, 2))
    base[1, :, 0] = 2.0 * base[0, :, 0]

    def psi(x):
        matrices = base + jnp.einsum("rckd,k->rcd", slopes, x) + 0.5 * jnp.sum(x**2)
        return jnp.sum(matrices[0, 0] * matrices[1, 1] - matrices[0, 1] * matrices[1, 0])

    orbitals = Jet(jnp.asarray(base), jnp.asarray(slopes), jnp.full((2, 2, 2), 6.0))
    jet = ferminet_kinetic.sum_of_determinants([[orbitals]], [1.0])
    zero = jnp.zeros(6)
    assert np.linalg.det(base[..., 0]) == pytest.approx(0.0, abs=1e-15)
    gradient, hessian = jax.grad(psi)(zero), jax.hessian(psi)(zero)
    np.testing.assert_allclose(jet.gradient / jet.value, gradient / psi(zero), rtol=1e-12)
    np.testing.assert_allclose(
        jet.laplacian / jet.value, jnp.trace(hessian) / psi(zero), rtol=1e-12
    )


def in_extended_precision(orbitals: Jet) -> np.longdouble:
    """(nabla^2 D) / D of one determinant, by its definition as a sum over permutations."""
    value, gradient, laplacian = (np.asarray(part, np.longdouble)[..., 0] for part in orbitals)
    rows = range(len(value))
    whole = second = np.longdouble(0.0)
    for order in itertools.permutations(rows):
        inversions = sum(a > b for a, b in itertools.combinations(order, 2))
        sign = (-1) ** inversions
        factors = [value[row, order[row]] for row in rows]
        whole += sign * np.prod(factors)
        for a in rows:
            others = [factors[row] for row in rows if row != a]
            second += sign * laplacian[a, order[a]] * np.prod(others)
            for b in rows:
                if b != a:
                    others = [factors[row] for row in rows if row not in (a, b)]
                    slopes = gradient[a, order[a]] @ gradient[b, order[b]]
                    second += sign * slopes * np.prod(others)
    return second / whole


@pytest.mark.parametrize("size", [3, 4, 5])  # by expansion and by elimination
@pytest.mark.parametrize("distance", [1e-2, 1e-5, 1e-8])
def test_near_a_node_the_error_grows_no_faster_than_the_condition(size, distance):
    rng = np.random.default_rng(size)
    value = rng.normal(size=(size, size, 1))
    value[0] = value[1] + distance * rng.normal(size=(size, 1))
    gradient = rng.normal(size=(size, size, 6, 1))
    orbitals = Jet(*map(jnp.asarray, (value, gradient, rng.normal(size=(size, size, 1)))))
    jet, _ = ferminet_kinetic.determinant_jet(orbitals)
    expected = in_extended_precision(orbitals)
    condition = np.linalg.cond(value[..., 0])
    assert condition > 0.1 / distance
    ours = np.longdouble(float(jet.laplacian[0])) / np.longdouble(float(jet.value[0]))
    assert abs(ours - expected) <= 1e-13 * condition * abs(expected)


@pytest.mark.slow
def test_single_precision_is_as_good_as_differentiation_in_single_precision():
    ansatz, params, nuclei, _ = network(2, 2, 1, 3, {"full_determinant": True}, seed=5)
    walkers = jnp.asarray(np.random.default_rng(6).normal(size=(256, 4, 3)))
    expected = both(ansatz, params, nuclei, walkers)[1]
    single = jax.tree.map(lambda x: x.astype(jnp.float32), (params, nuclei, walkers))
    ours, autodiff = (np.abs(x - expected) for x in both(ansatz, *single, AS_USERS))
    for quantile in (0.5, 0.9, 0.99):
        assert np.quantile(ours, quantile) <= 2.0 * np.quantile(autodiff, quantile)
