"""The FermiNet: antisymmetry, and no other symmetry; shapes; options."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz import ferminet
from ferminet.ansatz.base import AnsatzSpec, Nuclei, count_parameters
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.errors import InputError
from tests.helpers.compilation import AS_USERS

TINY = {"layers": 2, "one_electron_width": 8, "two_electron_width": 4, "determinants": 2}
NUCLEI = Nuclei(jnp.array([[0.0, 0.1, 0.0], [0.0, 0.0, 3.0]]), jnp.array([3.0, 1.0]))
N_WALKERS = 8


def make(n_up: int, n_down: int, **options):
    """A tiny network, any parameters without symmetry, and walkers."""
    ansatz = ferminet.build(AnsatzSpec(n_up, n_down, 2), **(TINY | options))
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        values = 0.5 * rng.normal(size=leaf.shape)
        if "decay" not in jax.tree_util.keystr(path):
            return values
        return values + (np.eye(3) if leaf.shape[-2:] == (3, 3) else 1.0)

    shapes = jax.eval_shape(ansatz.init, jax.random.key(0), NUCLEI)
    electrons = rng.normal(scale=1.5, size=(N_WALKERS, n_up + n_down, 3))
    return ansatz, jax.tree_util.tree_map_with_path(draw, shapes), electrons


def exchanged(electrons: np.ndarray, i: int, j: int) -> np.ndarray:
    order = np.arange(electrons.shape[1])
    order[[i, j]] = order[[j, i]]
    return electrons[:, order]


OPTIONS = [
    {"full_determinant": full, "envelope": envelope}
    for full, envelope in itertools.product((False, True), ("isotropic", "anisotropic"))
]


CASES = [
    *((2, 2, options) for options in OPTIONS),
    *((2, 1, options) for options in OPTIONS),
    (3, 1, {"full_determinant": True}),
    (3, 2, {"full_determinant": True}),  # too large to be expanded
    (3, 0, {}),
    (1, 1, {}),  # no like pair: only that psi changes
    (2, 1, {"jastrow": "electron_cusp"}),
]


@pytest.mark.parametrize(("n_up", "n_down", "options"), CASES, ids=str)
def test_exchange_of_like_spins_flips_the_sign_and_of_unlike_spins_changes_psi(
    n_up, n_down, options
):
    ansatz, params, electrons = make(n_up, n_down, **options)
    apply = jax.jit(jax.vmap(ansatz.apply, (None, 0, None)))
    here = apply(params, electrons, NUCLEI)
    assert np.all(np.abs(here.sign) == 1.0)
    n_like = 0
    for i, j in itertools.combinations(range(n_up + n_down), 2):
        there = apply(params, exchanged(electrons, i, j), NUCLEI)
        change = np.abs(there.logabs - here.logabs)
        if (i < n_up) == (j < n_up):
            n_like += 1
            assert np.all(change <= 1e-10), (i, j)
            assert np.all(there.sign == -here.sign), (i, j)
        else:
            # No symmetry is assumed between the spins.
            assert np.max(change) > 1e-3, (i, j)
    assert n_like == n_up * (n_up - 1) // 2 + n_down * (n_down - 1) // 2


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("n_pairs", [1, 2])
def test_option_spin_symmetric_makes_psi_even_under_exchange_of_all_spins(n_pairs, full):
    ansatz, params, electrons = make(n_pairs, n_pairs, full_determinant=full, spin_symmetric=True)
    plain, plain_params, _ = make(n_pairs, n_pairs, full_determinant=full)
    swapped = np.roll(electrons, n_pairs, axis=1)
    for one, weights, is_even in ((ansatz, params, True), (plain, plain_params, False)):
        apply = jax.jit(jax.vmap(one.apply, (None, 0, None)))
        here, there = apply(weights, electrons, NUCLEI), apply(weights, swapped, NUCLEI)
        assert np.allclose(here.logabs, there.logabs, atol=1e-10) == is_even
        if is_even:
            np.testing.assert_array_equal(here.sign, there.sign)
        if is_even and n_pairs == 2:
            # Still antisymmetric among like spins, and nothing more.
            like = apply(weights, exchanged(electrons, 0, 1), NUCLEI)
            np.testing.assert_allclose(like.logabs, here.logabs, atol=1e-10)
            np.testing.assert_array_equal(like.sign, -here.sign)
            unlike = apply(weights, exchanged(electrons, 1, 2), NUCLEI)
            assert np.max(np.abs(unlike.logabs - here.logabs)) > 1e-3


def test_option_spin_symmetric_needs_equal_spins():
    with pytest.raises(InputError, match="spin_symmetric"):
        ferminet.build(AnsatzSpec(2, 1, 1), spin_symmetric=True)


@pytest.mark.parametrize("full", [False, True])
def test_the_orbitals_of_the_contract_are_those_of_psi(full):
    # apply takes the sign of a mirror image from a rule, the contract's columns have it in place.
    ansatz, params, electrons = make(1, 1, full_determinant=full, spin_symmetric=True)
    for walker in electrons:
        psi = ansatz.apply(params, walker, NUCLEI)
        ours = sum_of_determinants(*ansatz.orbitals(params, walker, NUCLEI))
        assert float(ours.sign) == float(psi.sign)
        assert float(ours.logabs) == pytest.approx(float(psi.logabs), abs=1e-10)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("n_up", "n_down"), [(2, 1), (2, 0)], ids="{}".format)
def test_orbitals_have_the_shapes_of_the_contract(n_up, n_down, full):
    ansatz, params, electrons = make(n_up, n_down, full_determinant=full)
    assert ansatz.orbitals is not None
    up, down = jax.eval_shape(ansatz.orbitals, params, electrons[0], NUCLEI)
    columns = (n_up + n_down,) * 2 if full else (n_up, n_down)
    assert up.shape == (2, n_up, columns[0])
    assert down.shape == (2, n_down, columns[1])


def test_psi_does_not_change_when_the_molecule_moves():
    ansatz, params, electrons = make(2, 1)
    shift = jnp.array([0.3, -0.7, 1.1])
    apply = jax.jit(ansatz.apply)
    here = apply(params, electrons[0], NUCLEI)
    moved = NUCLEI._replace(coords=NUCLEI.coords + shift)
    there = apply(params, electrons[0] + shift, moved)
    np.testing.assert_allclose(there.logabs, here.logabs, atol=1e-12)
    # The nuclei are really read.
    elsewhere = apply(params, electrons[0], moved)
    assert abs(float(elsewhere.logabs - here.logabs)) > 1e-3


def test_psi_vanishes_where_like_spins_meet():
    ansatz, params, electrons = make(2, 1)
    apply = jax.jit(ansatz.apply)
    apart = apply(params, electrons[0], NUCLEI).logabs
    together = electrons[0].copy()  # JAX may still be reading the other one
    together[1] = together[0] + 1e-6
    assert apply(params, together, NUCLEI).logabs < apart - 10.0


def test_it_starts_finite_and_differently_with_each_key():
    ansatz = ferminet.build(AnsatzSpec(2, 1, 2), **TINY)
    init = jax.jit(ansatz.init)
    electrons = jnp.asarray(make(2, 1)[2][0])
    values = [ansatz.apply(init(jax.random.key(k), NUCLEI), electrons, NUCLEI) for k in (0, 1)]
    assert all(np.isfinite(float(psi.logabs)) for psi in values)
    assert float(values[0].logabs) != float(values[1].logabs)


def test_single_precision_stays_single():
    nuclei = jax.tree.map(lambda x: x.astype(jnp.float32), NUCLEI)
    ansatz = ferminet.build(AnsatzSpec(2, 1, 2), **TINY)
    params = jax.eval_shape(ansatz.init, jax.random.key(0), nuclei)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
    psi = jax.eval_shape(ansatz.apply, params, jnp.eye(3, dtype=jnp.float32), nuclei)
    assert psi.logabs.dtype == jnp.float32


def test_the_number_of_parameters_is_the_papers():
    # By hand, of two layers (8, 4), 2 nuclei, 2 + 1 electrons, 2 determinants, isotropic.
    ansatz = ferminet.build(AnsatzSpec(2, 1, 2), **TINY, envelope="isotropic")
    params = jax.eval_shape(ansatz.init, jax.random.key(0), NUCLEI)
    first = (3 * 8 + 2 * 4 + 1) * 8
    second = (3 * 8 + 2 * 4 + 1) * 8
    pairs = (4 + 1) * 4
    orbitals = (8 + 1) * (2 * 2) + (8 + 1) * (2 * 1)
    envelopes = 2 * 2 * (2 * 2) + 2 * 2 * (2 * 1)  # weight and decay, 2 nuclei
    assert count_parameters(params) == first + second + pairs + orbitals + envelopes


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("layers", 0),
        ("one_electron_width", -1),
        ("two_electron_width", 0),
        ("determinants", 0),
        ("envelope", "gaussian"),
        ("jastrow", "yes"),
    ],
)
def test_impossible_options_are_refused_with_their_name(option, value):
    with pytest.raises(InputError, match=option) as refused:
        ferminet.build(AnsatzSpec(1, 1, 1), **{option: value})
    assert str(value) in str(refused.value)


def test_cores_start_where_the_core_orbitals_belong():
    # Lithium: columns are two spin-up orbitals (1s, 2s) and one spin-down orbital (1s).
    nuclei = Nuclei(jnp.zeros((1, 3)), jnp.array([3.0]))
    ansatz = ferminet.build(
        AnsatzSpec(2, 1, 1), determinants=2, full_determinant=True, envelope="isotropic"
    )
    for envelope in ansatz.init(jax.random.key(0), nuclei)["envelopes"]:
        decay = envelope["decay"].reshape(3, 2)  # column, determinant
        # Cores have the nuclear charge; 0.65 is Slater's exponent of lithium's 2s.
        np.testing.assert_allclose(decay, [[3.0, 3.0], [0.65, 0.65], [3.0, 3.0]], rtol=1e-12)


@pytest.mark.slow
def test_thirty_electrons_are_finite_in_single_precision_from_the_start():
    n_up = n_down = 15
    rng = np.random.default_rng(2)
    coords = jnp.asarray(3.0 * rng.normal(size=(10, 3)), jnp.float32)
    nuclei = Nuclei(coords, jnp.asarray([6.0] * 4 + [1.0] * 6, jnp.float32))
    ansatz = ferminet.build(
        AnsatzSpec(n_up, n_down, 10),
        layers=2,
        one_electron_width=32,
        two_electron_width=4,
        determinants=2,
        full_determinant=True,
        envelope="isotropic",
    )
    params = jax.jit(ansatz.init)(jax.random.key(1), nuclei)
    batched = partial(jax.vmap, in_axes=(None, 0, None))
    compiled = partial(jax.jit, compiler_options=AS_USERS)
    owners = np.repeat(np.arange(10), [6, 6, 6, 6, 1, 1, 1, 1, 1, 1])
    electrons = coords[owners] + jnp.asarray(rng.normal(size=(4, 30, 3)), jnp.float32)
    psi = compiled(batched(ansatz.apply))(params, electrons, nuclei)
    assert np.all(np.isfinite(psi.logabs))
    kinetic = compiled(batched(ansatz.kinetic))(params, electrons, nuclei)
    assert np.all(np.isfinite(kinetic))
